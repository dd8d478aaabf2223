"""`Transcript`: notes of an episode, for a learner who hears of it later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from rwta_sim.bridge import Listener
from rwta_sim.encoders import Encoder
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.rules import Rule

__all__ = ["Transcript"]

_FORGOTTEN = np.empty(0)


class Transcript:
    """Notes of an episode, to be told to a learner later: a `Listener`.

    Features are kept, and the drive of the inputs made of them again: an image is kept once.

    Parameters
    ----------
    encoder : Encoder
    rule : Rule, optional
        Makes factors of a decision at once, so that its history need not be kept; the learner's rule, or one like it.
    keep : bool
        Take notes at all.
    watch : callable
        Called at each decision.
    """

    def __init__(
        self, encoder: Encoder, rule: Rule | None = None, keep: bool = True, watch: Callable[[], None] = lambda: None
    ) -> None:
        self._encoder = encoder
        self._rule = rule
        self._keep = keep
        self._watch = watch
        self._first = _FORGOTTEN
        self._notes: deque[tuple[Decision, float, np.ndarray, bool]] = deque()
        self._rng: np.random.Generator | None = None
        self._complete = False

    def __len__(self) -> int:
        """Decisions noted and not yet told."""
        return len(self._notes)

    def begin_episode(self, features: np.ndarray) -> None:
        self._first = features

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        self._watch()
        if self._keep:
            self._notes.append((self._shortened(decision), reward, features, terminated))
            self._rng = rng
        return False

    def end_episode(self, rng: np.random.Generator) -> bool:
        self._complete = self._keep
        return False

    def _shortened(self, decision: Decision) -> Decision:
        if self._rule is None:
            trace = _FORGOTTEN if decision.input_trace is decision.drive else decision.input_trace
            return decision._replace(drive=_FORGOTTEN, input_trace=trace)
        return Decision(
            drive=_FORGOTTEN,
            input_trace=_FORGOTTEN,
            trace=_FORGOTTEN,
            q=_FORGOTTEN,
            v=_FORGOTTEN,
            spoke=_FORGOTTEN,
            action=decision.action,
            policy=decision.policy.copy(),  # a view of all that a readout tells
            policy_entropy=decision.policy_entropy,
            rate=decision.rate,
            rates=None if decision.rates is None else decision.rates.copy(),
            factors=self._rule.factors(decision),
        )

    def tell(self, learner: Listener) -> None:
        """Let `learner` hear the episode, up to where it got; only once, as what was told is forgotten."""
        if self._first is _FORGOTTEN:
            return
        before = self._first
        learner.begin_episode(before)
        while self._notes:
            assert self._rng is not None
            decision, reward, features, terminated = self._notes.popleft()
            if self._rule is None:
                drive = self._encoder.drive(before)
                trace = drive if decision.input_trace is _FORGOTTEN else decision.input_trace
                decision = decision._replace(drive=drive, input_trace=trace)
            learner.observe(decision, reward, features, terminated, self._rng)
            before = features
        if self._complete and self._rng is not None:
            learner.end_episode(self._rng)
