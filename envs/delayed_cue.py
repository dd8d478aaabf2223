"""Say which cue was shown some decisions ago: a task that cannot be done without memory."""

from __future__ import annotations

import operator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import checked_action, chosen_split
from rwta_sim.envs.patterns import SPLITS
from rwta_sim.errors import nearest

__all__ = ["DelayedCue"]


class DelayedCue(gym.Env[np.int64, np.int64]):
    """A cue, then distractors, then a signal to answer.

    Observation: ``Discrete(n_cues + n_distractors + 1)``: a cue first, drawn uniformly, then `delay` distractors, each
    drawn uniformly (from `n_cues` on), then the last symbol, the signal to answer. Action: ``Discrete(n_cues)``; only
    the answer to the signal counts, and it is right if it is the cue. Reward: 1 for the right answer, 0 for the wrong
    one and before. An episode has ``delay + 2`` decisions; the info of its last step has "correct".

    The signal tells nothing of the cue, so who forgets is right with probability ``1 / n_cues``.

    ``reset()`` draws the cue, and with `shorter` the delay too, ``floor((delay + 1) * u**2)`` with u uniform in [0, 1):
    as animals are trained, on many short delays among long ones. ``reset(options={"split": "test", "index": 1})`` shows
    that cue, with the whole delay, as does the split "validation".

    Parameters
    ----------
    n_cues : int
        At least 2.
    delay : int
        Decisions between the one on the cue and the answer, all of them on distractors; 0 asks at once.
    n_distractors : int
        Kinds of distractors, at least 1.
    shorter : bool
        Whether episodes of training have delays of any length up to `delay`, more often short ones.
    """

    def __init__(self, n_cues: int = 2, delay: int = 5, n_distractors: int = 4, shorter: bool = True) -> None:
        for name, value, least in (("n_cues", n_cues, 2), ("delay", delay, 0), ("n_distractors", n_distractors, 1)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} = {value!r}: expected a whole number, at least {least}")
        if not isinstance(shorter, bool | np.bool_):
            raise ValueError(f"shorter = {shorter!r}: expected true or false")
        self._cues, self._delay = operator.index(n_cues), operator.index(delay)
        self._signal = self._cues + operator.index(n_distractors)
        self.observation_space = spaces.Discrete(self._signal + 1)
        self.action_space = spaces.Discrete(self._cues)
        self._shorter = shorter
        self._left = -1  # no decision is due

    def n_starts(self, split: str) -> int:
        """How many cues a split has: all of them."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: {nearest(str(split), SPLITS)}")
        return self._cues

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        split, index = chosen_split(options or {}, self.n_starts, "cues")
        self._cue = np.int64(self.np_random.integers(self._cues) if index is None else index)
        varies = self._shorter and split == "train"
        # The square of a uniform number: a third of the episodes have a ninth of the delay or less.
        delay = int((self._delay + 1) * self.np_random.random() ** 2) if varies else self._delay
        self._left = delay + 1  # decisions until the answer
        return self._cue, {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        if self._left < 0:
            raise ResetNeeded("the episode is over, it ended with the answer: call reset() first")
        answer = checked_action(action, self._cues)
        self._left -= 1
        if self._left < 0:
            correct = bool(answer == self._cue)
            return np.int64(self._signal), float(correct), True, False, {"correct": correct}
        return self._shown(), 0.0, False, False, {}

    def _shown(self) -> np.int64:
        if self._left == 0:
            return np.int64(self._signal)
        return np.int64(self.np_random.integers(self._cues, self._signal))
