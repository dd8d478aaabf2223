"""Classification as a task to act in: one pattern, one decision, one episode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import check_render_mode, checked_action, chosen_split
from rwta_sim.errors import nearest

__all__ = ["SPLITS", "PatternTask", "Patterns"]

SPLITS = ("train", "validation", "test")
_PICTURE = 128  # the longer side of a rendered picture is about this many pixels


@dataclass(frozen=True, eq=False)
class Patterns:
    """Labelled patterns, read-only.

    Attributes
    ----------
    values : array, shape (n, ...)
        Pattern i is ``values[i] * scale``, in [0, 1]; images stay bytes in memory this way.
    labels : int array, shape (n,)
    scale : float

    Raises
    ------
    ValueError
        If counts differ, labels are not whole numbers from 0, or a pattern leaves [0, 1].
    """

    values: np.ndarray
    labels: np.ndarray
    scale: float = 1.0

    def __post_init__(self) -> None:
        values, labels = self.values, self.labels
        if values.ndim < 2 or labels.shape != values.shape[:1]:
            raise ValueError(
                f"patterns of shape {values.shape} with labels of shape {labels.shape}: expected (n, ...) and (n,)"
            )
        if not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
            raise ValueError("labels: expected whole numbers from 0")
        # NaN fails both comparisons.
        if values.size and not (values.min() * self.scale >= 0 and values.max() * self.scale <= 1):
            raise ValueError(
                f"patterns between {values.min() * self.scale} and {values.max() * self.scale}: expected [0, 1]"
            )
        for name, array in (("values", values), ("labels", labels)):
            view = array.view()
            view.setflags(write=False)
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> np.ndarray:
        """Pattern `index`, a new float32 array."""
        return np.multiply(self.values[index], np.float32(self.scale), dtype=np.float32)


class PatternTask(gym.Env[np.ndarray, np.int64]):
    """See a pattern, name its class: an episode is one decision.

    Observation: ``Box(0, 1)`` of the pattern's shape, float32. Action: ``Discrete(n_classes)``, the class.
    Reward: `right_reward` for the right class, else `wrong_reward`. The episode terminates with that decision; the
    info of the step is ``{"correct": bool, "label": int}``.

    ``reset()`` draws a pattern of the training split uniformly; ``reset(options={"split": "test"})`` draws from another
    split, and ``reset(options={"split": "test", "index": 3})`` shows that pattern.

    Parameters
    ----------
    splits : mapping
        A `Patterns` for each of "train", "validation" and "test". Only "train" may not be empty.
    n_classes : int
    right_reward, wrong_reward : float
        Finite, and the right one is larger.
    render_mode : None or "rgb_array"
        A grey picture of the pattern; patterns of one dimension are a strip.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(
        self,
        splits: Mapping[str, Patterns],
        n_classes: int,
        *,
        right_reward: float = 1.0,
        wrong_reward: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        if not math.isfinite(wrong_reward) or not math.isfinite(right_reward) or right_reward <= wrong_reward:
            raise ValueError(
                f"right_reward = {right_reward}, wrong_reward = {wrong_reward}: expected two finite numbers, the right "
                "one larger"
            )
        check_render_mode(render_mode)
        _check_splits(splits, n_classes)
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, splits["train"].values.shape[1:], np.float32)
        self.action_space = spaces.Discrete(n_classes)
        self._splits = splits
        self._n_classes = n_classes
        self._rewards = (float(wrong_reward), float(right_reward))
        self._pattern: np.ndarray | None = None
        self._label = -1  # no decision is due

    def n_patterns(self, split: str) -> int:
        """How many patterns the split holds."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: {nearest(str(split), SPLITS)}")
        return len(self._splits[split])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Show a pattern; see the class for `options`.

        Raises
        ------
        ValueError
            If an option or split is unknown, the split is empty, or the index is not one of it.
        """
        super().reset(seed=seed)
        split, index = chosen_split(options, self.n_patterns, "patterns") if options else ("train", None)
        patterns = self._splits[split]
        if index is None:
            index = int(self.np_random.integers(len(patterns)))
        self._label = int(patterns.labels[index])
        self._pattern = patterns[index]
        return self._pattern.copy(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Decide; the observation is the same pattern again."""
        if self._pattern is None or self._label < 0:
            raise ResetNeeded("the episode is over, it had one decision: call reset() first")
        label, correct = self._label, checked_action(action, self._n_classes) == self._label
        self._label = -1
        return self._pattern.copy(), self._rewards[correct], True, False, {"correct": correct, "label": label}

    def render(self) -> np.ndarray | None:
        """The pattern in grey, shape (height, width, 3), uint8."""
        if self.render_mode is None:
            return None
        if self._pattern is None:
            raise ResetNeeded("nothing to render yet: call reset() first")
        grey = np.atleast_2d(np.round(self._pattern * 255).astype(np.uint8))
        times = max(1, _PICTURE // max(grey.shape))
        return np.repeat(grey.repeat(times, axis=0).repeat(times, axis=1)[:, :, None], 3, axis=2)


def _check_splits(splits: Mapping[str, Patterns], n_classes: int) -> None:
    if set(splits) != set(SPLITS):
        raise ValueError(f"splits {sorted(splits)}: expected {', '.join(SPLITS)}")
    if len(splits["train"]) == 0:
        raise ValueError("split 'train' has no patterns: expected at least one")
    for name, patterns in splits.items():
        if patterns.values.shape[1:] != splits["train"].values.shape[1:]:
            raise ValueError(f"patterns of split {name!r} have another shape than those of 'train'")
        if len(patterns) and patterns.labels.max() >= n_classes:
            raise ValueError(f"label {patterns.labels.max()} in split {name!r}: expected 0 to {n_classes - 1}")
