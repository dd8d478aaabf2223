"""The T-maze of Bakker: which way to turn at the end of a corridor was told at its beginning."""

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

__all__ = ["TMaze"]

_SIGHTS = ((0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 0.0))
_SIGNS = 2  # the first two sights: go up, go down
_CORRIDOR, _JUNCTION = 2, 3
_UP, _DOWN, _AHEAD, _BACK = range(4)


class TMaze(gym.Env[Any, np.int64]):
    """Walk a corridor to its end and turn to the side that a sign at its beginning showed.

    The benchmark of Bakker (2002, Reinforcement learning with long short-term memory, NIPS 14). Observation:
    ``Box(0, 1, (3,))``, float32: at the start the sign, 011 for up and 110 for down, drawn uniformly; 101 in the
    corridor, 010 at the junction; with `symbols` instead ``Discrete(4)``, 0 and 1 for the signs, 2 and 3 for these. The
    places look alike, and the sign is seen at the start alone. Action: ``Discrete(4)``: up, down, ahead, back; ahead
    leads from the start, place 0, to the junction, place `corridor`.
    Reward: 4 for the turn that the sign showed and -0.1 for the other, either of which ends the episode; before, -0.1
    for a move into a wall, after which the agent stands where it stood, else 0. The info of the last step has
    "correct"; that of every step before has ``"correct": False``, which stands if the episode is cut off, as
    registered after 300 steps.

    Who forgets the sign turns to the right side with probability 1/2.

    ``reset()`` draws the sign, and with `shorter` the length too, ``1 + floor(corridor * u**2)`` with u uniform in [0,
    1). ``reset(options={"split": "test", "index": 1})`` shows that sign (0: up) in the whole corridor, as does the
    split "validation".

    Parameters
    ----------
    corridor : int
        Moves from the start to the junction, at least 1.
    shorter : bool
        Whether episodes of training have corridors of any length up to `corridor`, more often short ones.
    symbols : bool
        Show each sight as a symbol of its own, as an animal would know signs from walls. Of Bakker's bits the corridor
        shares one with each sign, so that to walk it is to see half of both signs again.
    """

    def __init__(self, corridor: int = 5, shorter: bool = True, symbols: bool = False) -> None:
        if not isinstance(corridor, int | np.integer) or isinstance(corridor, bool) or corridor < 1:
            raise ValueError(f"corridor = {corridor!r}: expected a whole number, at least 1")
        for name, value in (("shorter", shorter), ("symbols", symbols)):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} = {value!r}: expected true or false")
        self.observation_space = spaces.Discrete(len(_SIGHTS)) if symbols else spaces.Box(0, 1, (3,), np.float32)
        self.action_space = spaces.Discrete(4)
        self._corridor, self._shorter, self._symbols = operator.index(corridor), shorter, bool(symbols)
        self._place, self._end = -1, -1  # no episode is going on

    def n_starts(self, split: str) -> int:
        """How many signs a split has: both."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: {nearest(str(split), SPLITS)}")
        return _SIGNS

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        split, index = chosen_split(options or {}, self.n_starts, "signs")
        self._sign = int(self.np_random.integers(_SIGNS)) if index is None else index
        varies = self._shorter and split == "train"
        # As for the delays of `DelayedCue`: many short ones among long ones.
        self._end = 1 + int(self._corridor * self.np_random.random() ** 2) if varies else self._corridor
        self._place = 0
        return self._shown(), {}

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._place < 0:
            raise ResetNeeded("no episode is going on: call reset() first")
        move = checked_action(action, 4)
        if self._place == self._end and move in (_UP, _DOWN):
            self._place, correct = -1, move == self._sign
            return self._sight(_JUNCTION), 4.0 if correct else -0.1, True, False, {"correct": correct}
        place = min(max(self._place + (move == _AHEAD) - (move == _BACK), 0), self._end)
        stood, self._place = place == self._place, place
        return self._shown(), -0.1 if stood else 0.0, False, False, {"correct": False}

    def _shown(self) -> Any:
        if self._place == 0:
            return self._sight(self._sign)
        return self._sight(_JUNCTION if self._place == self._end else _CORRIDOR)

    def _sight(self, number: int) -> Any:
        return np.int64(number) if self._symbols else np.array(_SIGHTS[number], np.float32)
