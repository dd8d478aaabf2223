"""Decoders: the spikes of the action circuit become a discrete action."""

from __future__ import annotations

from typing import Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rwta_sim.errors import EnvironmentFailure

__all__ = ["Decoder", "action_count", "choose_action"]

Decoder = Literal["last_spike", "most_spikes"]


def action_count(env: gym.Env) -> int:
    """Number of actions of `env`, which must be discrete.

    Raises
    ------
    EnvironmentFailure
        For any other action space.
    """
    space = env.action_space
    if not isinstance(space, spaces.Discrete):
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        raise EnvironmentFailure(
            f"{name}: action space {space} is not supported; supported action spaces: Discrete. "
            "Wrap the environment to offer a list of actions."
        )
    return int(space.n)


def choose_action(
    decoder: Decoder, last: np.ndarray, counts: np.ndarray, q: np.ndarray, rng: np.random.Generator
) -> int:
    """Index of the chosen action neuron.

    Parameters
    ----------
    decoder : {"last_spike", "most_spikes"}
    last : ndarray, shape (n_actions,)
        Who fired last in the action circuit (ties share the one, all zero if silent).
    counts : ndarray, shape (n_actions,)
        Spikes of the decision.
    q : ndarray, shape (n_actions,)
        Firing probabilities: who would fire next, asked where the circuit stayed silent.
    rng : numpy.random.Generator
        Breaks ties.
    """
    score = (last if decoder == "last_spike" else counts).tolist()  # a handful: faster than NumPy
    best = max(score)
    if best <= 0:
        return int(rng.choice(q.size, p=q / q.sum()))
    winners = [i for i, value in enumerate(score) if value == best]
    return winners[0] if len(winners) == 1 else int(rng.choice(winners))
