"""What the paper's public scripts do otherwise than the paper says, each by a name: ``learning.published_code``.

Read from the scripts (github.com/asneha213/spiking-agent-RL: cartpole, gridworld, mountain car) and written anew.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

import numpy as np

from rwta_sim.agents.coagents.rule import agreement
from rwta_sim.errors import ConfigError

__all__ = ["SCRIPTS", "SHIFT", "Slip", "check_grid", "credited", "heard_of", "moved"]

#: goal_value: the last TD error of an episode counts what the critic thinks of the state that ended it.
#: taken: the module of the action taken has credit 1 though its output kept silent.
#: outcome: credit goes by the direction in which one went, not by the action, where the floor slips.
#: spike_score: a neuron's spike, 1 or -1, stands in place of its score, as an assignment selects nothing.
#: one_sided: weights onto outputs of actions not taken change only if the modulation is above 0.
#: shifted_votes: outputs fire with 1/(1 + exp(-2z + 1)), as if their input were 1/2 less.
Slip = Literal["goal_value", "taken", "outcome", "spike_score", "one_sided", "shifted_votes"]

#: By public script, the slips that it has; mountaincar with credit "broadcast".
SCRIPTS: dict[str, tuple[Slip, ...]] = {
    "cartpole": ("goal_value", "taken"),
    "gridworld": ("goal_value", "outcome"),
    "mountaincar": ("goal_value", "spike_score", "one_sided", "shifted_votes"),
}
#: What shifted_votes adds to the input of an output, in units of the temperature.
SHIFT = -0.5


def credited(credit: str, votes: np.ndarray, action: int, slips: Collection[Slip] = ()) -> np.ndarray:
    """Credit of each module, shape (actors * actions,).

    Parameters
    ----------
    credit : {"agreement", "broadcast"}
    votes : ndarray, shape (actors, actions)
        1 of modules whose output fired, else -1.
    action : int
        That was taken.
    slips : collection of Slip
    """
    if credit == "broadcast":
        return np.ones(votes.size)
    found = agreement(votes, action)
    if "taken" in slips:
        found[:, action] = 1.0
    return found.reshape(-1)


def heard_of(y: np.ndarray, action: int, shape: tuple[int, int]) -> np.ndarray:
    """What hidden neurons did, but 0 of modules of actions not taken; shapes (n_hidden,). See ``one_sided``."""
    heard = np.zeros_like(y).reshape(*shape, -1)
    heard[:, action] = y.reshape(*shape, -1)[:, action]
    return heard.reshape(-1)


def check_grid(discrete: bool, n_features: int, n_actions: int) -> None:
    """Check that ``outcome`` has a square gridworld to see the direction in.

    Raises
    ------
    ConfigError
        If observations are not the cells of a square, or actions not its four directions.
    """
    if not discrete or n_actions != 4 or math.isqrt(n_features) ** 2 != n_features:
        what = f"{n_features} {'cells' if discrete else 'numbers'} and {n_actions} actions"
        raise ConfigError(
            f"learning.published_code = 'outcome' needs the cells of a square gridworld and its four directions, and "
            f"this environment has {what}: leave it out"
        )


def moved(before: np.ndarray, after: np.ndarray, action: int) -> int:
    """The direction in which one went in a square gridworld (up, down, left, right); `action`, if one stayed.

    Parameters
    ----------
    before, after : ndarray, shape (cells,)
        1 at the cell.
    action : int
        That was taken.
    """
    width = math.isqrt(before.size)
    step = int(after.argmax()) - int(before.argmax())
    return {-width: 0, width: 1, -1: 2, 1: 3}.get(step, action)
