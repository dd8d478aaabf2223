"""Networks small enough to enumerate: everything that can happen in a decision, with its probability."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.agents.coagents.rule import agreement, ballot, score

__all__ = ["Outcome", "expected_updates", "outcomes", "policy"]


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
            best = ballot(votes)
            actions[best] += (1 - epsilon) / best.size
            chance = _chance(hidden, p_hidden) * _chance(fired, p_outputs)
            yield Outcome(chance, hidden, p_hidden, votes, p_outputs.reshape(shape), actions)


def policy(
    parameters: Parameters, x: np.ndarray, shape: tuple[int, int], epsilon: float = 0.0, temperature: float = 1.0
) -> np.ndarray:
    """Chance of each action, shape (n_actions,); arguments as for `outcomes`."""
    return np.sum([o.probability * o.actions for o in outcomes(parameters, x, shape, epsilon, temperature)], axis=0)


def expected_updates(
    parameters: Parameters,
    x: np.ndarray,
    advantage: np.ndarray,
    credit: str,
    shape: tuple[int, int],
    epsilon: float = 0.0,
    temperature: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the updates of all parameters in a decision with `advantage`, shape (n_actions,).

    Parameters
    ----------
    parameters, x, shape, epsilon, temperature
        As for `outcomes`.
    advantage : ndarray, shape (n_actions,)
        What is broadcast after each action.
    credit : {"agreement", "broadcast"}

    Returns
    -------
    mean, variance : ndarray
        Inputs to hidden neurons, these to outputs, and the biases of outputs, one after the other in C order.
    """
    mean, square = 0.0, 0.0
    for o in outcomes(parameters, x, shape, epsilon, temperature):
        hidden, outputs = (
            score(o.hidden, o.p_hidden, temperature),
            score(o.votes, o.p_votes, temperature).reshape(-1),
        )
        for action, chance in enumerate(o.actions):
            c = agreement(o.votes, action).reshape(-1) if credit == "agreement" else np.ones(outputs.size)
            of_hidden, of_outputs = np.repeat(c, hidden.size // c.size) * hidden, c * outputs
            modules = np.repeat(of_outputs, hidden.size // c.size) * o.hidden
            update = advantage[action] * np.concatenate([np.outer(x, of_hidden).ravel(), modules, of_outputs])
            mean = mean + o.probability * chance * update
            square = square + o.probability * chance * update**2
    return np.asarray(mean), np.asarray(square - mean**2)


def _fires(z: np.ndarray, temperature: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-2 * z / temperature)))


def _patterns(n: int) -> Iterator[np.ndarray]:
    return (np.array(pattern) for pattern in product((-1.0, 1.0), repeat=n))


def _chance(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.where(y > 0, p, 1 - p).prod())
