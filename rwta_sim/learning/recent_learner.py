"""`RecentLearner`: learns every few decisions from the last ones, over the ends of episodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.critics.base import Critic, CriticInputs, Remembered
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.modulation import Recent
from rwta_sim.learning.replay import Replay
from rwta_sim.learning.replay_learner import ReplayLearner
from rwta_sim.learning.rows import Rows
from rwta_sim.learning.spec import LearningSpec

__all__ = ["RecentLearner"]

_NOBODY = np.zeros((), bool)


class RecentLearner(ReplayLearner):
    """Learns as `Recent` says. What it remembers is part of its state: a resumed run learns from the same decisions.

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        One that judges remembered decisions.
    weights : Weights
        What learns.
    replay : Replay
        Of these weights.
    inputs : CriticInputs
        What the critic was made for.
    """

    def __init__(
        self, spec: LearningSpec, critic: Critic, weights: Weights, replay: Replay, inputs: CriticInputs
    ) -> None:
        super().__init__(spec, critic, weights, replay)
        assert isinstance(spec.modulation, Recent)  # who makes a learner has asked `recalls`
        self._size, self._every = spec.modulation.size, spec.modulation.every
        number, features = np.zeros(()), np.zeros(inputs.n_features)
        self._rows = Rows(
            features=features,
            following=features,
            action=number.astype(np.int64),
            policy=np.zeros(inputs.n_actions),
            reward=number,
            terminated=_NOBODY,
            followed=_NOBODY,
            probability=number,
            **replay.examples,
        )
        #: Decisions since the last update.
        self._fresh = np.zeros(1, dtype=np.int64)
        self._before = features
        self._going_on = False

    def begin_episode(self, features: np.ndarray) -> None:
        self._before, self._going_on = features, False

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        if not self.credit.learns:
            return False
        self._remember(decision, reward, features, terminated)
        if self._fresh[0] < self._every:
            return False
        self._fresh[:] = 0
        self._rows.forget(len(self._rows) - self._size)
        rows = self._rows.state()
        told = self.credit.critic.judge(Remembered(**{name: rows[name] for name in Remembered._fields}), rng)
        advantage = np.array([self.credit.given(a, rng) for a in told]) if self.credit.shuffled else told
        self.learn({**rows, "advantage": advantage}, rng)
        return True

    def _remember(self, decision: Decision, reward: float, features: np.ndarray, terminated: bool) -> None:
        if self._going_on:
            self._rows.state()["followed"][-1] = True
        self._rows.extend(
            1,
            features=self._before,
            following=features,
            action=decision.action,
            policy=decision.policy,
            reward=reward,
            terminated=terminated,
            probability=float(decision.policy[decision.action]),
            **self.replay.remember(decision),
        )
        self._fresh += 1
        self._before, self._going_on = features, True

    def end_episode(self, rng: np.random.Generator) -> bool:
        """Nothing waits for it."""
        return False

    def state(self) -> dict[str, np.ndarray]:
        recent = {f"recent.{name}": array for name, array in self._rows.state().items()}
        return {**super().state(), **recent, "recent.fresh": self._fresh}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        if "recent.action" in saved:
            self._rows.make_room(len(saved["recent.action"]))
