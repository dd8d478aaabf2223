"""An environment that workers can make by its name, which kills its process or fails in some episodes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import gymnasium as gym
import numpy as np


class Faulty(gym.Env):
    """Episodes of 2 to 7 steps; all of it follows from the seed.

    Parameters
    ----------
    mark : str
        Folder.
    deadly : int
        Seed of an episode in whose second step the process dies, by SIGKILL, as often as ``mark/deaths`` has bytes.
    fails : int
        Seed of an episode whose second step raises, as long as there is ``mark/broken``.
    """

    def __init__(self, mark: str, deadly: int = -1, fails: int = -1) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.action_space = gym.spaces.Discrete(2)
        self._deaths, self._broken = Path(mark) / "deaths", Path(mark) / "broken"
        self._deadly, self._fails = deadly, fails

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed, self._steps, self._length = seed, 0, int(self.np_random.integers(2, 8))
        return self.np_random.uniform(-1, 1, 2), {}

    def step(self, action):
        self._steps += 1
        if self._steps == 2:
            if self._seed == self._deadly and (left := self._deaths.read_bytes()):
                self._deaths.write_bytes(left[1:])
                os.kill(os.getpid(), signal.SIGKILL)
            if self._seed == self._fails and self._broken.exists():
                raise RuntimeError("cable broke")
        reward = float(action) + self.np_random.normal(0, 0.1)
        return self.np_random.uniform(-1, 1, 2), reward, self._steps == self._length, False, {}


gym.register("Faulty-v0", Faulty)
