"""`Transcript`: notes of an episode, for a system who hears of it later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from rwta_sim.loop.system import Choice, Listener, System

__all__ = ["Transcript"]


class Transcript:
    """Notes of an episode, to be told to the system that learns: a `Listener`.

    Parameters
    ----------
    system : System
        Who plays; says what has to be kept of its choices.
    keep : bool
        Take notes at all.
    watch : callable
        Called at each decision.
    """

    def __init__(self, system: System, keep: bool = True, watch: Callable[[], None] = lambda: None) -> None:
        self._system = system
        self._keep = keep
        self._watch = watch
        self._first: list[Any] = []  # the features that the episode began with
        self._notes: deque[tuple[Choice, float, Any, bool]] = deque()
        self._answers: deque[Any] = deque()  # of each note; None where nothing was told
        self._answer: Any = None
        self._rng: np.random.Generator | None = None
        self._complete = False

    def __getstate__(self) -> dict[str, Any]:
        """The notes without who took them: what goes from one process to another."""
        return {name: value for name, value in vars(self).items() if name not in ("_system", "_watch")}

    def __len__(self) -> int:
        """Decisions noted and not yet told."""
        return len(self._notes)

    def begin_episode(self, features: Any) -> None:
        self._first = [features]

    def hear_answer(self, action: Any) -> None:
        self._answer = action

    def learn(self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator) -> None:
        self._watch()
        if self._keep:
            self._notes.append((self._system.note(choice), reward, features, terminated))
            self._answers.append(self._answer)
            self._answer = None
            self._rng = rng

    def end_episode(self, rng: np.random.Generator) -> None:
        self._complete = self._keep

    def tell(self, listener: Listener) -> None:
        """Let `listener` hear the episode, up to where it got; only once, as what was told is forgotten."""
        if not self._first:
            return
        listener.begin_episode(self._first.pop())
        while self._notes:
            assert self._rng is not None
            if (answer := self._answers.popleft()) is not None:
                listener.hear_answer(answer)
            listener.learn(*self._notes.popleft(), self._rng)
        if self._complete and self._rng is not None:
            listener.end_episode(self._rng)
