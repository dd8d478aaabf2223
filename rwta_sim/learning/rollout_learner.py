"""Learners that wait for a batch of episodes, and then infer firing probabilities anew for all of its decisions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np

from rwta_sim.critics.base import Critic
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.ppo import PPO, clipped_modulation
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.rules import Rule
from rwta_sim.wiring import Weights

__all__ = ["RolloutLearner"]


class RolloutLearner(Learner):
    """Ascends the gradient of ``A ln pi(action) + entropy H`` over the decisions of a batch.

    With ``episode_advantage`` in one step along the sum over decisions, mean over episodes; with ``ppo`` in several
    (`PPO`).

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        See `Learner`.
    weights : Weights
        What learns.
    rule : Rule
    rollout : Rollout
        For what `_remember` gives.
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, rule: Rule, rollout: Rollout) -> None:
        super().__init__(spec, critic, weights, rule)
        self._rollout = rollout
        self._in_batch = np.zeros(1, dtype=np.int64)

    @abstractmethod
    def _remember(self, decision: Decision) -> dict[str, np.ndarray]:
        """What `_infer` and `_ascent` need of a decision, by the names of the rollout."""

    @abstractmethod
    def _infer(self, seen: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Firing probabilities with the weights as they are now, shape (n, n_neurons); `seen` holds n rows each."""

    @abstractmethod
    def _ascent(
        self,
        seen: Mapping[str, np.ndarray],
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        """Factors of the gradient of ``sum_n modulation_n ln pi(action_n) + entropy H_n``."""

    def _new_batch(self) -> None:
        """None: the rollout is the batch."""

    def begin_episode(self, features: np.ndarray) -> None:
        self._rollout.begin_episode()
        self._begin_transitions(features)

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        if self.spec.control == "off":
            return False
        delta = self._td_error(decision, reward, features, terminated)
        if delta is not None:
            if self.spec.control == "shuffled":
                delta = self._shuffle.exchange(delta, rng)
            seen = {name: values[None] for name, values in self._remember(decision).items()}
            action, modulation = np.array([decision.action]), np.array([delta])
            self._follow(self._ascent(seen, decision.q[None], action, modulation, self.entropy, rng))
            return True
        probability = float(decision.policy[decision.action])
        self._rollout.add(action=decision.action, probability=probability, **self._remember(decision))
        return False

    def end_episode(self, rng: np.random.Generator) -> bool:
        if not self._rollout.going_on:
            return False
        result = self._advantages(rng)
        if self.spec.control == "shuffled":
            result = np.array([self._shuffle.exchange(a, rng) for a in result])
        self._rollout.end_episode(result)
        self._in_batch += 1
        if self._in_batch[0] < self.spec.batch:
            return False
        self._learn(self._rollout.state(), rng)
        self._rollout.clear()
        self._in_batch[:] = 0
        return True

    def _learn(self, rows: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        """Learn from a batch of decisions, by row."""
        modulation = self.spec.modulation
        if isinstance(modulation, PPO):
            advantage = modulation.normalised(rows["advantage"])
            for _ in range(modulation.epochs):
                for where in _parts(len(advantage), modulation.minibatch, rng):
                    part = {name: values[where] for name, values in rows.items()}
                    self._clipped_step(modulation, part, advantage[where], rng)
            return
        q = self._infer(rows, rng)
        scale = 1.0 / self.spec.batch
        self._follow(self._ascent(rows, q, rows["action"], scale * rows["advantage"], scale * self.entropy, rng))

    def _clipped_step(
        self, ppo: PPO, rows: Mapping[str, np.ndarray], advantage: np.ndarray, rng: np.random.Generator
    ) -> None:
        q, action, scale = self._infer(rows, rng), rows["action"], 1.0 / len(advantage)
        policy = q[:, self._weights.network.action]
        ratio = policy[np.arange(len(q)), action] / np.maximum(rows["probability"], 1e-30)
        gate = clipped_modulation(ratio, advantage, ppo.clip)
        self._follow(self._ascent(rows, q, action, scale * gate, scale * self.entropy, rng))

    def state(self) -> dict[str, np.ndarray]:
        rollout = {f"rollout.{name}": array for name, array in self._rollout.complete().items()}
        return {**super().state(), **rollout, "rollout.episodes": self._in_batch}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        if "rollout.action" in saved:
            self._rollout.make_room(len(saved["rollout.action"]))


def _parts(n: int, size: int | None, rng: np.random.Generator) -> Iterator[slice | np.ndarray]:
    """All of n rows, or in random order parts of about `size`."""
    if size is None or size >= n:
        yield slice(None)
    else:
        yield from np.array_split(rng.permutation(n), -(-n // size))
