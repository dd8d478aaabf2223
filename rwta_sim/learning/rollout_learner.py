"""`RolloutLearner`: learns from all the decisions of a batch of episodes, whose probabilities it infers anew."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.critics.base import Critic
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.replay import Replay
from rwta_sim.learning.replay_learner import ReplayLearner
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.spec import LearningSpec

__all__ = ["RolloutLearner"]


class RolloutLearner(ReplayLearner):
    """Ascends the gradient of ``A ln pi(action) + entropy H`` over the decisions of a batch.

    With ``td_error``, A is the TD error and every decision is a step. With ``episode_advantage`` it is REINFORCE with
    the critic as baseline (and lambda): one step along the sum over decisions, mean over episodes; with ``ppo`` there
    are several (`PPO`).

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        One that tells TD errors at once, if the modulation is the TD error.
    weights : Weights
        What learns.
    replay : Replay
        Of these weights.
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, replay: Replay) -> None:
        super().__init__(spec, critic, weights, replay)
        self._rollout = Rollout(**replay.examples)
        self._in_batch = np.zeros(1, dtype=np.int64)

    def begin_episode(self, features: np.ndarray) -> None:
        self._rollout.begin_episode()
        self.credit.begin_episode(features)

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        credit = self.credit
        if not credit.learns:
            return False
        td_error = credit.td_error(decision.rates, reward, features, terminated)
        if td_error is not None:
            seen = {name: values[None] for name, values in self.replay.remember(decision).items()}
            modulation = np.array([credit.given(td_error, rng)])
            self.ascend(seen, decision.q[None], np.array([decision.action]), modulation, self.entropy, rng)
            return True
        probability = float(decision.policy[decision.action])
        self._rollout.add(action=decision.action, probability=probability, **self.replay.remember(decision))
        return False

    def end_episode(self, rng: np.random.Generator) -> bool:
        if not self._rollout.going_on:
            return False
        advantages = self.credit.advantages(rng)
        self._rollout.end_episode(np.array([self.credit.given(a, rng) for a in advantages]))
        self._in_batch += 1
        if self._in_batch[0] < self.spec.batch:
            return False
        self.learn(self._rollout.state(), rng)
        self._rollout.clear()
        self._in_batch[:] = 0
        return True

    def state(self) -> dict[str, np.ndarray]:
        rollout = {f"rollout.{name}": array for name, array in self._rollout.complete().items()}
        return {**super().state(), **rollout, "rollout.episodes": self._in_batch}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        if "rollout.action" in saved:
            self._rollout.make_room(len(saved["rollout.action"]))
