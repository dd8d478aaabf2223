"""A surrogate of an agent, a small network that answers as it does, whose gradient says how to mislead it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rwta_sim.lab.agent import Agent
from rwta_sim.lab.blas import one_thread
from rwta_sim.loop.perturbed import unit
from rwta_sim.loop.session import Session
from rwta_sim.seeding import Purpose, episode_seeds

__all__ = ["LIBRARY", "Surrogate"]

#: What fits it.
LIBRARY = "sklearn"
#: Decisions of the agent that it learns from, neurons of its hidden layer, and passes over the decisions at the most.
_DECISIONS, _HIDDEN, _PASSES = 5000, 64, 100


class Surrogate:
    """A network with one hidden layer of 64 rectified neurons, trained to give an agent's own answers.

    The agent answers in episodes of its own, with the patterns or places of training where a task has such, read out
    as it is evaluated. The same run has the same surrogate.

    Parameters
    ----------
    agent : Agent
        As it is when the surrogate is made.

    Attributes
    ----------
    agreement : float
        Share of the agent's answers that it gives, among those it has learned from.
    """

    def __init__(self, agent: Agent) -> None:
        observations, actions = _answers(agent)
        self._unit = unit(agent.env)
        self._mean = observations.mean(axis=0)
        inputs = self._scaled(observations)
        self._network = _fitted(inputs, actions)
        self.agreement = float((self._network.predict(inputs) == actions).mean()) if self._network is not None else 1.0

    def direction(self, observation: np.ndarray) -> np.ndarray:
        """Sign of the gradient, with respect to an observation, of the surrogate's loss at its own answer.

        That is the step of the fast gradient sign method (Goodfellow, Shlens and Szegedy 2015, section 4); 0 where an
        agent always answers the same.

        Parameters
        ----------
        observation : ndarray of the observation's shape

        Returns
        -------
        ndarray of the same shape
            Of -1, 0 and 1.
        """
        if self._network is None:
            return np.zeros(observation.shape)
        (into, out), (b_hidden, b_out) = self._network.coefs_, self._network.intercepts_
        drive = self._scaled(observation[None])[0] @ into + b_hidden
        o = np.maximum(drive, 0) @ out + b_out
        if o.size == 1:  # of two answers
            rise = out[:, 0] * (-1.0 if o[0] > 0 else 1.0)
        else:
            # Of -ln p(answer), up to a factor of 1 - p(answer), which may be too small to compute.
            answer = int(o.argmax())
            others = np.delete(np.arange(o.size), answer)
            share = np.exp(o[others] - o[others].max())
            rise = (out[:, others] - out[:, [answer]]) @ (share / share.sum())
        return np.sign((into @ (rise * (drive > 0))).reshape(observation.shape))

    def _scaled(self, observations: np.ndarray) -> np.ndarray:
        """Observations in units from their mean, one row each."""
        return ((observations - self._mean) / self._unit).reshape(len(observations), -1)


@one_thread()
def _answers(agent: Agent) -> tuple[np.ndarray, np.ndarray]:
    """Observations, shape (decisions, ...), and the agent's actions, shape (decisions,)."""

    def session() -> Session[tuple[list[Any], list[int]]]:
        seen: list[Any] = []
        done: list[int] = []
        number = 0
        while len(done) < _DECISIONS:
            seeds = episode_seeds(agent.experiment.seed, Purpose.PERTURBATION, number)
            episode = yield from agent.player.episode(
                seeds, None, greedy=agent.system.evaluates_greedily, observations=True
            )
            seen += episode.observations[: len(episode.actions)]
            done += episode.actions
            number += 1
        return seen, done

    seen, done = agent.run(session())
    return np.array(seen, float), np.array(done)


@one_thread()
def _fitted(inputs: np.ndarray, actions: np.ndarray) -> Any:
    """scikit-learn's network; None if there is one answer only."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    if len(np.unique(actions)) == 1:
        return None
    network = MLPClassifier((_HIDDEN,), max_iter=_PASSES, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred passes are enough for a direction
        return network.fit(inputs, actions)
