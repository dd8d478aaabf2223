"""What is remembered of decisions, to be learned from again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rwta_sim.agents.dsqn.experiment import ReplaySpec
from rwta_sim.errors import ConfigError
from rwta_sim.learning.rows import Rows
from rwta_sim.memory import Need

__all__ = ["Replay", "Transitions", "replay_need"]


class Transitions(NamedTuple):
    """Decisions by row: `seen` and `following` are drives, shape (n, n_inputs), float32; the others have shape (n,)."""

    seen: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    following: np.ndarray
    terminated: np.ndarray


class _Store(NamedTuple):
    """How drives are kept: of how many inputs, the numbers and what they are."""

    kept: Callable[[int], int]
    dtype: type[np.generic]
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, int], np.ndarray]


def _bits(drive: np.ndarray) -> np.ndarray:
    on = drive == 1
    if not (on | (drive == 0)).all():
        odd = drive[~on & (drive != 0)][0]
        raise ConfigError(
            f"replay.store = 'bits' keeps 0 and 1 alone, and an observation drives an input by {odd:g}: set "
            "replay.store = 'uint8'"
        )
    return np.packbits(on)


_STORES = {
    "float32": _Store(lambda n: n, np.float32, lambda drive: drive, lambda rows, n: rows),
    "uint8": _Store(
        lambda n: n,
        np.uint8,
        lambda drive: np.rint(drive * 255).astype(np.uint8),
        lambda rows, n: rows.astype(np.float32) / np.float32(255),
    ),
    "bits": _Store(
        lambda n: -(-n // 8),
        np.uint8,
        _bits,
        lambda rows, n: np.unpackbits(rows, axis=1, count=n).astype(np.float32),
    ),
}
_NUMBERS: dict[str, np.ndarray] = {
    "action": np.zeros((), np.int32),
    "reward": np.zeros((), np.float32),
    "terminated": np.zeros((), np.bool_),
}


def replay_need(spec: ReplaySpec, n_inputs: int) -> Need:
    """Memory of a full replay, with the three copies of it that writing a checkpoint makes."""
    store = _STORES[spec.store]
    row = 2 * store.kept(n_inputs) * np.dtype(store.dtype).itemsize + sum(a.nbytes for a in _NUMBERS.values())
    what = f"a replay of {spec.size:,} decisions, {row} bytes each, of {n_inputs:,} inputs, and its checkpoint"
    return Need(what, 4 * spec.size * row, "lower replay.size, or set replay.store = 'uint8' or 'bits'")


class Replay(Rows):
    """The last decisions, as many as `spec.size`, of which any is drawn as often as any other.

    Parameters
    ----------
    spec : ReplaySpec
    n_inputs : int
    """

    def __init__(self, spec: ReplaySpec, n_inputs: int) -> None:
        self._size, self._n_inputs, self._store = spec.size, n_inputs, _STORES[spec.store]
        drive = np.zeros(self._store.kept(n_inputs), self._store.dtype)
        super().__init__(seen=drive, following=drive, **_NUMBERS)
        self._next = np.zeros(1, np.int64)

    def add(self, seen: np.ndarray, action: int, reward: float, following: np.ndarray, terminated: bool) -> None:
        """Remember a decision, in place of the oldest where there is no more room.

        Raises
        ------
        ConfigError
            If a drive cannot be stored as a bit each.
        """
        if not self._capacity():
            self._resize(self._size)  # pages are taken as they are written
        pack, place = self._store.pack, int(self._next[0])
        row: dict[str, Any] = {"seen": pack(seen), "following": pack(following), "action": action, "reward": reward}
        for name, value in {**row, "terminated": terminated}.items():
            self._arrays[name][place] = value
        self._n = max(self._n, place + 1)
        self._next[0] = (place + 1) % self._size

    def drawn(self, count: int, rng: np.random.Generator) -> Transitions:
        """So many decisions, drawn with replacement."""
        return self.taken(rng.integers(len(self), size=count))

    def taken(self, rows: np.ndarray) -> Transitions:
        """The decisions in these rows."""
        found = {name: array[rows] for name, array in self._arrays.items()}
        for name in ("seen", "following"):
            found[name] = self._store.unpack(found[name], self._n_inputs)
        return Transitions(**found)

    def saved(self) -> dict[str, np.ndarray]:
        """Views of all there is to save, by name."""
        return {**self.state(), "next": self._next}

    def make_room(self, count: int) -> None:
        """Have exactly so many rows, or as many as there may be."""
        self._resize(self._size)
        self._n = min(count, self._size)
