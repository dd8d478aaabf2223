"""The learner of the mean field: exact gradients of batches of decisions, REINFORCE, actor-critic or PPO."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.critics.linear import LinearTD
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.modulation import TDError, advantages
from rwta_sim.learning.ppo import PPO, clipped_modulation
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.rules.mean_field import MeanFieldGradient, MeanFieldRule
from rwta_sim.meanfield import MeanField
from rwta_sim.wiring import Weights

__all__ = ["RateLearner"]


class RateLearner(Learner):
    """Ascends the gradient of ``A ln pi(action) + entropy H`` in place.

    With ``td_error``, A is the TD error and every decision is a step. With ``episode_advantage`` a batch of episodes is
    one step along the sum over decisions, mean over episodes: REINFORCE with the critic as baseline (and lambda).
    With ``ppo`` it is several, see `PPO`. Both infer q anew at the end of a batch, so with ``mean_field.noise`` it is
    not quite the q that the actions were drawn from.

    Parameters
    ----------
    spec : LearningSpec
        With a `MeanFieldRule`.
    critic : LinearTD
    weights : Weights
        What learns.
    field : MeanField
    """

    rule: MeanFieldGradient

    def __init__(self, spec: LearningSpec, critic: LinearTD, weights: Weights, field: MeanField) -> None:
        assert isinstance(spec.rule, MeanFieldRule)
        rule = MeanFieldGradient(spec.rule, field, weights, spec.published_code)
        super().__init__(spec, critic, weights, rule)
        self._field = field
        self._deltas: list[float] = []
        self._rollout = Rollout(field.wiring.n_inputs)
        self._in_batch = np.zeros(1, dtype=np.int64)

    def _new_batch(self) -> None:
        """None: the rollout is the batch."""

    def begin_episode(self, features: np.ndarray) -> None:
        self._deltas.clear()
        self._rollout.begin_episode()
        self.critic.begin_episode(features)

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        if self.spec.control == "off":
            return False
        delta = self.critic.td_error(reward, features, terminated)
        if isinstance(self.spec.modulation, TDError):
            if self.spec.control == "shuffled":
                delta = self._shuffle.exchange(delta, rng)
            drive = np.asarray(decision.drive, self._field.dtype)[None]
            self._ascend(drive, decision.q[None], np.array([decision.action]), np.array([delta]), 1.0, rng)
            return True
        self._deltas.append(delta)
        self._rollout.add(decision.drive, decision.action, float(decision.policy[decision.action]))
        return False

    def end_episode(self, rng: np.random.Generator) -> bool:
        if not self._deltas:
            return False
        assert not isinstance(self.spec.modulation, TDError)
        result = advantages(np.array(self._deltas), self.critic.gamma * self.spec.modulation.trace)
        self._deltas.clear()
        if self.spec.control == "shuffled":
            result = np.array([self._shuffle.exchange(a, rng) for a in result])
        self._rollout.end_episode(result)
        self._in_batch += 1
        if self._in_batch[0] < self.spec.batch:
            return False
        self._learn(**self._rollout.state(), rng=rng)
        self._rollout.clear()
        self._in_batch[:] = 0
        return True

    def _learn(
        self,
        drive: np.ndarray,
        action: np.ndarray,
        probability: np.ndarray,
        advantage: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Learn from a batch of n decisions; shapes (n, n_inputs), (n,), (n,), (n,)."""
        ppo = self.spec.modulation if isinstance(self.spec.modulation, PPO) else None
        if ppo is not None and ppo.normalise and len(advantage) > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        for _ in range(1 if ppo is None else ppo.epochs):
            q = self._field.infer(drive, self._weights.weights, self._weights.b, rng).q
            if ppo is None:
                self._ascend(drive, q, action, advantage, 1.0 / self.spec.batch, rng)
                continue
            policy = q[:, self._field.wiring.action]
            ratio = policy[np.arange(len(q)), action] / np.maximum(probability, 1e-30)
            modulation = clipped_modulation(ratio, advantage, ppo.clip)
            self._ascend(drive, q, action, modulation, 1.0 / len(q), rng)

    def _ascend(
        self,
        drive: np.ndarray,
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        scale: float,
        rng: np.random.Generator,
    ) -> None:
        factors = self.rule.ascent(drive, q, action, scale * modulation, scale * self.entropy, rng)
        self._follow(factors)

    def state(self) -> dict[str, np.ndarray]:
        rollout = {f"rollout.{name}": array for name, array in self._rollout.complete().items()}
        return {**super().state(), **rollout, "rollout.episodes": self._in_batch}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        if "rollout.action" in saved:
            self._rollout.make_room(len(saved["rollout.action"]))
