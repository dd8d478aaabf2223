"""Networks small enough to enumerate: everything that can happen in a decision, with its probability."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.agents.coagents.rule import ballot, score
from rwta_sim.agents.coagents.slips import Slip, credited

__all__ = ["Episodes", "Outcome", "Scored", "expected_updates", "outcomes", "own_baselines", "policy", "scored"]


class Outcome(NamedTuple):
    """One way a decision can go.

    Attributes
    ----------
    probability : float
    hidden, p_hidden : ndarray, shape (n_hidden,)
        What hidden neurons did (1 or -1), and their firing probabilities.
    votes, p_votes : ndarray, shape (actors, actions)
        The same of outputs.
    actions : ndarray, shape (n_actions,)
        Chance of each action, given the votes: ties fall by chance, and of epsilon all actions are alike.
    """

    probability: float
    hidden: np.ndarray
    p_hidden: np.ndarray
    votes: np.ndarray
    p_votes: np.ndarray
    actions: np.ndarray


def outcomes(
    parameters: Parameters, x: np.ndarray, shape: tuple[int, int], epsilon: float = 0.0, temperature: float = 1.0
) -> Iterator[Outcome]:
    """All of a network with these parameters, for the inputs `x` (the last one 1); 2**(neurons) in number.

    Parameters
    ----------
    parameters : Parameters
    x : ndarray, shape (n_inputs + 1,)
    shape : tuple of int
        Actors and actions.
    epsilon, temperature : float
    """
    p_hidden = _fires(x @ parameters.inputs, temperature)
    for hidden in _patterns(p_hidden.size):
        arriving = (parameters.modules * hidden).reshape(parameters.bias.size, -1).sum(axis=1)
        p_outputs = _fires(arriving + parameters.bias, temperature)
        for fired in _patterns(p_outputs.size):
            votes = fired.reshape(shape)
            actions = np.full(shape[1], epsilon / shape[1])
            best = ballot(votes.sum(axis=0))
            actions[best] += (1 - epsilon) / len(best)
            chance = _chance(hidden, p_hidden) * _chance(fired, p_outputs)
            yield Outcome(chance, hidden, p_hidden, votes, p_outputs.reshape(shape), actions)


def policy(
    parameters: Parameters, x: np.ndarray, shape: tuple[int, int], epsilon: float = 0.0, temperature: float = 1.0
) -> np.ndarray:
    """Chance of each action, shape (n_actions,); arguments as for `outcomes`."""
    return np.sum([o.probability * o.actions for o in outcomes(parameters, x, shape, epsilon, temperature)], axis=0)


class Scored(NamedTuple):
    """All that can happen in a decision, the action included, and the update of each for a modulation of 1.

    Attributes
    ----------
    chances, actions : ndarray, shape (n,)
    updates : ndarray, shape (n, n_parameters)
        Inputs to hidden neurons, these to outputs, and the biases of outputs, one after the other in C order.
    """

    chances: np.ndarray
    actions: np.ndarray
    updates: np.ndarray


def scored(
    parameters: Parameters,
    x: np.ndarray,
    credit: str,
    shape: tuple[int, int],
    epsilon: float = 0.0,
    temperature: float = 1.0,
    slips: Collection[Slip] = (),
) -> Scored:
    """Arguments as for `outcomes`; `credit` is "agreement" or "broadcast"; `slips`: "taken" and "spike_score" count."""
    chances, actions, updates = [], [], []
    for o in outcomes(parameters, x, shape, epsilon, temperature):
        hidden, outputs = (
            score(o.hidden, o.p_hidden, temperature),
            score(o.votes, o.p_votes, temperature).reshape(-1),
        )
        if "spike_score" in slips:
            hidden, outputs = o.hidden, o.votes.reshape(-1)
        for action, chance in enumerate(o.actions):
            c = credited(credit, o.votes, action, slips)
            of_hidden, of_outputs = np.repeat(c, hidden.size // c.size) * hidden, c * outputs
            modules = np.repeat(of_outputs, hidden.size // c.size) * o.hidden
            chances.append(o.probability * chance)
            actions.append(action)
            updates.append(np.concatenate([np.outer(x, of_hidden).ravel(), modules, of_outputs]))
    return Scored(np.array(chances), np.array(actions), np.array(updates))


def expected_updates(
    parameters: Parameters,
    x: np.ndarray,
    advantage: np.ndarray,
    credit: str,
    shape: tuple[int, int],
    epsilon: float = 0.0,
    temperature: float = 1.0,
    baselines: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the updates of all parameters in a decision with `advantage`, shape (n_actions,).

    Parameters
    ----------
    parameters, x, shape, epsilon, temperature
        As for `outcomes`.
    advantage : ndarray, shape (n_actions,)
        What is broadcast after each action.
    credit : {"agreement", "broadcast"}
    baselines : ndarray, shape (n_parameters,), or float
        What each parameter takes from it.

    Returns
    -------
    mean, variance : ndarray
        In the order of `Scored.updates`.
    """
    seen = scored(parameters, x, credit, shape, epsilon, temperature)
    updates = (advantage[seen.actions][:, None] - baselines) * seen.updates
    mean = seen.chances @ updates
    return mean, seen.chances @ updates**2 - mean**2


def own_baselines(seen: Scored, values: np.ndarray) -> np.ndarray:
    """The baselines with the least variance of updates, shape (n_parameters,): ``E[g**2 R]/E[g**2]`` for the score g.

    Greensmith, Bartlett and Baxter (2004). As presynaptic neurons are 1 or -1, and inputs the same in all that can
    happen, it is one number for all weights of a neuron.
    """
    weight = seen.chances[:, None] * seen.updates**2
    return np.asarray(values[seen.actions] @ weight / weight.sum(axis=0))


class Episodes(NamedTuple):
    """Episodes of two decisions: the first action chooses what the second one sees.

    Attributes
    ----------
    first : Scored
    second : sequence of Scored
        After each action.
    reward : ndarray, shape (n_actions,)
        Of the first action.
    last : ndarray, shape (n_actions, n_actions)
        Of the second one, after the first.
    """

    first: Scored
    second: Sequence[Scored]
    reward: np.ndarray
    last: np.ndarray

    def expected_updates(self, values: np.ndarray, lam: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, in an episode, of ``sum_t delta_t e_t`` with traces ``e_t = lam e_t-1 + g_t``; gamma is 1.

        Parameters
        ----------
        values : ndarray, shape (1 + n_actions,)
            What a critic thinks of the first decision, and of the second after each action.
        lam : float
        """
        n = self.first.updates.shape[1]
        mean, square = np.zeros(n), np.zeros(n)
        for action, then in enumerate(self.second):
            mine = self.first.actions == action
            chances, g = self.first.chances[mine], self.first.updates[mine]
            last = self.last[action][then.actions] - values[1 + action]  # the TD error of the second decision
            advantage = self.reward[action] + values[1 + action] - values[0] + lam * last
            later = last[:, None] * then.updates
            of_first, of_square = chances @ g, chances @ g**2
            means = then.chances @ advantage, then.chances @ later
            mean += means[0] * of_first + means[1] * chances.sum()
            cross = then.chances @ (advantage[:, None] * later)
            square += (then.chances @ advantage**2) * of_square + 2 * of_first * cross
            square += (then.chances @ later**2) * chances.sum()
        return mean, square - mean**2


def _fires(z: np.ndarray, temperature: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-2 * z / temperature)))


def _patterns(n: int) -> Iterator[np.ndarray]:
    return (np.array(pattern) for pattern in product((-1.0, 1.0), repeat=n))


def _chance(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.where(y > 0, p, 1 - p).prod())
