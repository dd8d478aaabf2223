"""`Recorder`: what happens in episodes, streamed to disk while they are played."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.lab.zarr import GrowingArray, write_group
from rwta_sim.loop.probes import Chosen, Spikes
from rwta_sim.loop.spaces import environment_name
from rwta_sim.loop.system import Choice, System

__all__ = ["Recorder", "Seeing"]

#: Decisions after which what the network recorded is fetched, at the most, and bytes of it.
_MOST_DECISIONS, _MOST_BYTES = 256, 2**21
#: Seconds between what a reader sees, or a kill leaves.
_PERIOD = 1.0


class Seeing(gym.Wrapper):
    """Keeps the last observation.

    Parameters
    ----------
    env : gymnasium.Env

    Attributes
    ----------
    seen : ndarray
        Of a space with several parts, flattened as `gymnasium.spaces.flatten` does.
    """

    seen: np.ndarray

    def reset(self, **kwargs: Any) -> Any:
        result = super().reset(**kwargs)
        self.seen = self._array(result[0])
        return result

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.seen = self._array(result[0])
        return result

    def _array(self, observation: Any) -> np.ndarray:
        if isinstance(observation, dict | tuple):
            observation = gym.spaces.flatten(self.observation_space, observation)
        return np.array(observation)


class Recorder:
    """Hears of every decision, as a `Listener`, and of what the system recorded within it.

    Rows wait in memory until they are `_MOST_DECISIONS` or `_MOST_BYTES`; each array then fills one chunk on its way to
    the disk. Every second all of it is on disk.

    Parameters
    ----------
    system : System
        Built to sample what is chosen.
    env : Seeing
    folder : Path
        Of the recording, which must not exist.
    chosen : sequence of Chosen
    meta : mapping
        Attributes of the recording, plain JSON.
    learns : bool
        Whether the system learns meanwhile; then TD errors are those it learned from, else those its critic tells.
    values : bool
        Whether its critic can be asked.

    Attributes
    ----------
    decisions, episodes : int
        So far.
    bytes_in_memory : int
        Of chunks that are being filled.
    """

    def __init__(
        self,
        system: System,
        env: Seeing,
        folder: Path,
        chosen: Sequence[Chosen],
        meta: Mapping[str, Any],
        learns: bool = False,
        values: bool = True,
    ) -> None:
        self._system, self._env, self._folder = system, env, folder
        self._learns, self._values = learns, values
        self._meta = dict(meta)
        self.decisions = self.episodes = 0
        self._within = any(one.moment in ("spike", "step") for one in chosen)
        self._drained = 0  # decisions of which all is fetched that was recorded within them
        self._sampled = [one for one in chosen if one.moment == "step"]
        self._each = [one for one in chosen if one.moment == "decision"]
        self._last = [one for one in chosen if one.moment == "episode"]
        self._groups = self._recorded_groups(chosen)
        self._dt, self._time = system.timing
        self._block = self._decisions_in_memory()
        self._arrays: dict[str, GrowingArray] = {}
        self._spikes = dict.fromkeys(self._groups, 0)
        self._waiting: list[tuple[Any, ...]] = []
        self._readings: dict[str, list[np.ndarray]] = {one.name: [] for one in self._each}
        self._deltas: list[float] = []
        self._next = 0.0
        self._number = self._first = 0
        self._before = np.empty(0)
        self._features: Any = None
        self._value: float | None = None  # of the observation before the last decision, until its TD error is told
        self._reward = self._return = 0.0
        self._terminated = False
        write_group(folder, {**self._meta, "complete": False})

    def _recorded_groups(self, chosen: Sequence[Chosen]) -> list[str]:
        where = self._system.populations()
        return sorted({where[c.name.rpartition(".")[0]].group for c in chosen if c.moment == "spike"})

    def _decisions_in_memory(self) -> int:
        """Between two drains: rows of samples and of readings, and observations, within `_MOST_BYTES`."""
        dt, length = self._system.timing
        steps = round(length / dt) if dt else 1
        row = sum(8 * steps * math.prod(one.shape) for one in self._sampled)
        row += sum(8 * math.prod(one.shape) for one in self._each)
        row += 8 * math.prod(self._env.observation_space.shape or (1,))
        return min(max(_MOST_BYTES // max(row, 1), 1), _MOST_DECISIONS)

    # -- what a listener hears -----------------------------------------------------------------------

    def began(self, number: int) -> None:
        """The next episode has this number; what was recorded within decisions before it is dropped."""
        self._number = number
        if self._within:
            self._system.drain()

    def begin_episode(self, features: Any) -> None:
        if not self._arrays:
            self._make_arrays()
        if self._learns:
            self._system.begin_episode(features)
        self._before, self._features, self._value = self._env.seen, features, None
        self._first, self._return = self.decisions, 0.0
        self._terminated = False

    def hear_answer(self, action: Any) -> None:
        if self._learns:
            self._system.hear_answer(action)

    def learn(self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator) -> None:
        for one in self._each:
            self._readings[one.name].append(_part_of(self._system.read(one.name), one))
        value = self._system.value(self._features) if self._values else math.nan
        if not self._learns:
            self._tell(value)
        self._waiting.append((choice.action, reward, value, choice.probabilities, self._before, *choice.numbers))
        if self._learns:
            self._system.learn(choice, reward, features, terminated, rng)
        self._value, self._reward, self._before = value, reward, self._env.seen
        self._features, self._terminated = features, terminated
        self._return += reward
        self.decisions += 1
        if len(self._waiting) >= self._block or time.monotonic() >= self._next:
            self._settle()

    def end_episode(self, rng: np.random.Generator) -> None:
        if self._learns:
            self._system.end_episode(rng)
        elif self._values:
            self._tell(0.0 if self._terminated else self._system.value(self._features))
        self._settle()
        self._hear()
        for one in self._last:
            self._arrays[f"episodes/{one.name}"].append(_part_of(self._system.read(one.name), one)[None])
        row = {
            "first": self._first,
            "end": self.decisions,
            "number": self._number,
            "return": self._return,
            "terminated": self._terminated,
        }
        for name, value in row.items():
            self._arrays[f"episodes/{name}"].append(np.array([value]))
        self.episodes += 1

    def close(self, complete: bool) -> None:
        """Write what is in memory, and whether all that was to be recorded is there."""
        self._settle(everything=True)
        write_group(self._folder, {**self._meta, "complete": complete})

    @property
    def bytes_in_memory(self) -> int:
        return sum(array.bytes_in_memory for array in self._arrays.values())

    # -- writing -------------------------------------------------------------------------------------

    def _make_arrays(self) -> None:
        system, seen = self._system, self._env.seen
        if seen.dtype.kind not in "biuf":
            raise EnvironmentFailure(
                f"{environment_name(self._env)}: observations of {seen.dtype} cannot be recorded: expected numbers"
            )
        columns: dict[str, tuple[tuple[int, ...], Any]] = {
            "action": ((), np.int64),
            "reward": ((), float),
            "value": ((), float),
            "td_error": ((), float),
            "observation": (seen.shape, seen.dtype),
            "policy": ((self._meta["n_actions"],), float),
            **{name: ((), float) for name in system.numbers},
        }
        if self._learns:
            columns["modulation"] = ((), float)
        made = {f"decisions/{name}": column for name, column in columns.items()}
        for name, kind in (("first", int), ("end", int), ("number", int), ("return", float), ("terminated", bool)):
            made[f"episodes/{name}"] = ((), np.dtype(kind))
        for group in self._groups:
            made[f"spikes/{group}/i"], made[f"spikes/{group}/t"] = ((), np.int32), ((), float)
            made[f"spikes/{group}/end"] = ((), np.int64)
        for folder, probes in (("states", self._sampled), ("readings", self._each), ("episodes", self._last)):
            made |= {f"{folder}/{one.name}": (one.shape, float) for one in probes}
        for name in {part for path in made for part in _parents(path)}:
            write_group(self._folder / name, {})
        self._arrays = {name: GrowingArray(self._folder / name, *column) for name, column in made.items()}

    def _tell(self, value: float) -> None:
        """TD error of the decision before, now that the value of what followed is known."""
        if self._value is not None:
            self._deltas.append(self._reward + self._system.gamma * value - self._value)
            self._value = None

    def _settle(self, everything: bool = False) -> None:
        """Hand over what waits to the arrays; once a second, or `everything`, also to the disk."""
        if not self._arrays:
            return
        if self._waiting:
            self._append_decisions()
        if self._learns and self._system.batch == 0:
            self._hear()
        if self._within:
            self._drain()
        if everything or time.monotonic() >= self._next:
            # Lengths of what lies within decisions first: a reader counts decisions by their actions.
            for name in sorted(self._arrays, reverse=True):
                self._arrays[name].flush()
            self._next = time.monotonic() + _PERIOD

    def _append_decisions(self) -> None:
        action, reward, value, policy, seen, *numbers = zip(*self._waiting, strict=True)
        self._waiting.clear()
        unknown = np.full(self._meta["n_actions"], np.nan)
        columns: dict[str, Any] = {
            "action": action,
            "reward": reward,
            "value": value,
            "policy": [unknown if p is None else p for p in policy],
            "observation": seen,
            **dict(zip(self._system.numbers, numbers, strict=True)),
        }
        for name, rows in columns.items():
            self._arrays[f"decisions/{name}"].append(np.array(rows))
        self._append_deltas()
        for name, readings in self._readings.items():
            self._arrays[f"readings/{name}"].append(np.array(readings))
            readings.clear()

    def _append_deltas(self) -> None:
        if self._deltas:
            self._arrays["decisions/td_error"].append(np.array(self._deltas))
            self._deltas.clear()

    def _hear(self) -> None:
        """TD errors and modulations, as far as they are known; of decisions of which they never will be, NaN."""
        self._append_deltas()
        told = self._system.heard() if self._learns else (np.empty(0),)
        for name, values in zip(("td_error", "modulation"), told, strict=False):
            self._arrays[f"decisions/{name}"].append(values)
        if self._waiting or self._system.batch == 0:
            return
        for name in ("td_error", "modulation") if self._learns else ("td_error",):
            array = self._arrays[f"decisions/{name}"]
            array.append(np.full(max(self.decisions - array.rows, 0), np.nan))

    def _drain(self) -> None:
        drained = self._system.drain()
        for group in self._groups:
            self._append_spikes(group, drained.spikes[group])
        for name, rows in drained.states.items():
            self._arrays[f"states/{name}"].append(rows)
        self._drained = self.decisions

    def _append_spikes(self, group: str, spikes: Spikes) -> None:
        decision = np.repeat(np.arange(len(spikes.counts)), spikes.counts) + self._drained
        t = decision * self._time + spikes.t
        if self._dt:
            t = np.rint(t / self._dt) * self._dt
        self._arrays[f"spikes/{group}/i"].append(spikes.i)
        self._arrays[f"spikes/{group}/t"].append(t)
        self._arrays[f"spikes/{group}/end"].append(self._spikes[group] + np.cumsum(spikes.counts))
        self._spikes[group] += len(spikes.i)


def _part_of(reading: np.ndarray, one: Chosen) -> np.ndarray:
    return np.asarray(reading[one.part] if one.probe.shape else reading, float)


def _parents(path: str) -> list[str]:
    """Of "spikes/inputs/t": "spikes" and "spikes/inputs"."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
