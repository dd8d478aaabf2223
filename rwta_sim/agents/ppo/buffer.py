"""The decisions of an update as Stable-Baselines3 reads them. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer, RolloutBufferSamples

__all__ = ["SeededBuffer"]


class SeededBuffer(RolloutBuffer):
    """A rollout buffer that is full, and whose minibatches are drawn by a generator of ours, not by NumPy's global one.

    Parameters
    ----------
    rows : mapping of ndarray
        ``drive``, ``action``, ``probability``, ``reward`` and ``starts`` of each decision.
    values : ndarray, shape (n,)
        What the critic says of their observations.
    n_actions : int
    gamma, lam : float
        Of the advantage.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        rows: Mapping[str, np.ndarray],
        values: np.ndarray,
        n_actions: int,
        gamma: float,
        lam: float,
        rng: np.random.Generator,
    ) -> None:
        count, n_inputs = rows["drive"].shape
        box = spaces.Box(-np.inf, np.inf, (n_inputs,), np.float32)
        super().__init__(count, box, spaces.Discrete(n_actions), torch.device("cpu"), lam, gamma)
        self._rng = rng
        columns = {"observations": "drive", "actions": "action", "rewards": "reward", "episode_starts": "starts"}
        for name, row in columns.items():
            array = getattr(self, name)
            array[...] = rows[row].reshape(array.shape)
        self.values[:, 0] = values
        self.log_probs[:, 0] = np.log(np.maximum(rows["probability"], 1e-30))
        self.full = True

    def get(self, batch_size: int | None = None) -> Iterator[RolloutBufferSamples]:
        order = self._rng.permutation(self.buffer_size)
        size = batch_size or self.buffer_size
        for begin in range(0, self.buffer_size, size):
            yield self._samples(order[begin : begin + size])

    def _samples(self, chosen: np.ndarray) -> RolloutBufferSamples:
        names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
        parts: list[Any] = [torch.from_numpy(getattr(self, name)[chosen, 0].astype(np.float32)) for name in names]
        return RolloutBufferSamples(*parts)
