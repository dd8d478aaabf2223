"""Cue-action association, the smallest task that needs learning."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

__all__ = ["CueAction"]


class CueAction(gym.Env[np.int64, np.int64]):
    """Answer each cue with its action.

    Observation: ``Discrete(n_cues)``, the cue, drawn uniformly at each trial.
    Action: ``Discrete(n_cues)``; action i is right for cue i.
    Reward: 1 for the right action, else 0. An episode is `trials` trials, so the return is at most `trials`.

    Parameters
    ----------
    n_cues : int
        Number of cues and actions, at least 2.
    trials : int
        Trials in an episode.
    """

    def __init__(self, n_cues: int = 4, trials: int = 20) -> None:
        if n_cues < 2 or trials < 1:
            raise ValueError(f"n_cues = {n_cues}, trials = {trials}: expected at least 2 cues and 1 trial")
        self.observation_space = spaces.Discrete(n_cues)
        self.action_space = spaces.Discrete(n_cues)
        self._trials = trials

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        self._trial = 0
        return self._next_cue(), {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        reward = float(int(action) == int(self._cue))
        self._trial += 1
        return self._next_cue(), reward, self._trial >= self._trials, False, {}

    def _next_cue(self) -> np.int64:
        self._cue = np.int64(self.np_random.integers(int(self.observation_space.n)))  # type: ignore[attr-defined]
        return self._cue
