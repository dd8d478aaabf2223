"""`Recorder`: what happens in episodes, streamed to disk while they are played."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.lab.zarr import GrowingArray, write_group
from rwta_sim.loop.probes import Chosen, Drained, Spikes
from rwta_sim.loop.spaces import environment_name
from rwta_sim.loop.system import Choice, System

__all__ = ["Recorder", "Source"]

#: Decisions after which what the network recorded is fetched, at the most, and bytes of it.
_MOST_DECISIONS, _MOST_BYTES = 1024, 2**21
#: Seconds between what a reader sees, or a kill leaves.
_PERIOD = 1.0
#: Decisions between two looks at the clock, where they are quick.
_LOOKS = 16
#: Columns of the episodes.
_EPISODE = {"first": np.int64, "end": np.int64, "number": np.int64, "return": np.float64, "terminated": np.bool_}
#: So many times as long as it took to write; on a slow disk, then, it takes longer until it is done again.
_SHARE = 50.0
#: Rows of a chunk of spikes, of which there are many in a decision.
_SPIKE_ROWS = 2**16
#: Observations that have several parts.
_COMPOSITE = (dict, tuple)


class Source(Protocol):
    """Who tells what a system recorded within decisions, and heard: itself, or somebody who listens to it, too."""

    def drain(self) -> Drained: ...

    def heard(self) -> tuple[np.ndarray, np.ndarray]: ...


class Recorder:
    """Hears of every decision, as a `Listener`, and of what the system recorded within it.

    Rows wait in memory until they are `_MOST_DECISIONS` or `_MOST_BYTES`; each array then fills one chunk on its way to
    the disk. Every second all of it is on disk.

    Parameters
    ----------
    system : System
        Built to sample what is chosen.
    env : gymnasium.Env
        In which it plays; whoever plays tells `see` what it sees.
    folder : Path
        Of the recording, which must not exist.
    chosen : sequence of Chosen
    meta : mapping
        Attributes of the recording, plain JSON.
    learns : bool
        Whether the system learns meanwhile; then TD errors are those it learned from, else those its critic tells.
    values : bool
        Whether its critic can be asked.
    nth : int
        Of a training, every so many episodes are recorded.
    source : Source, optional
        Asked in place of the system for what it recorded within decisions, and heard.

    Attributes
    ----------
    folder : Path
    decisions, episodes : int
        So far.
    bytes_in_memory : int
        Of chunks that are being filled.
    """

    def __init__(
        self,
        system: System,
        env: gym.Env,
        folder: Path,
        chosen: Sequence[Chosen],
        meta: Mapping[str, Any],
        learns: bool = False,
        values: bool = True,
        nth: int = 1,
        source: Source | None = None,
    ) -> None:
        self._system, self._env, self.folder = system, env, folder
        self._source: Source = source or system
        self._learns, self._values, self._nth = learns, values, nth
        self._going_on = False  # whether nothing was played since the last decision that was recorded
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
        #: Of decisions that wait: numbers of each; and rows of what is an array, read in place.
        self._waiting: list[tuple[Any, ...]] = []
        self._policies = np.empty((self._block, self._meta["n_actions"]))
        self._read = system.reader([one.name for one in self._each]) if self._each else None
        self._readings = np.empty((self._block, sum(math.prod(one.probe.shape) for one in self._each)))
        #: Observations before these decisions, and the one after the last; that which is seen next comes to `_place`.
        self._seen: np.ndarray | None = None
        self._place = 0
        self._next = 0.0
        self._look, self._looked = 0, 0.0  # so many decisions may wait before the next look at the clock; the last one
        self._number = self._first = 0
        self._features: Any = None
        self._open: tuple[float, float] | None = None  # value and reward of a decision whose TD error is to be told
        #: Of episodes that ended: after how many of the decisions that wait, and features of the last observation, if
        #: that was of no terminal state; their rows; what was read at their ends.
        self._ends: list[tuple[int, Any]] = []
        self._rows: list[tuple[Any, ...]] = []
        self._lasts: list[list[np.ndarray]] = []
        size = sum(8 * math.prod(one.shape) for one in self._last)
        self._most_episodes = min(max(_MOST_BYTES // max(size, 1), 1), _MOST_DECISIONS)
        self._return = 0.0
        self._terminated = False
        write_group(folder, {**self._meta, "complete": False})

    def _recorded_groups(self, chosen: Sequence[Chosen]) -> list[str]:
        where = self._system.populations()
        return sorted({where[c.name.rpartition(".")[0]].group for c in chosen if c.moment == "spike"})

    def _decisions_in_memory(self) -> int:
        """Between two drains: rows of samples and of readings, and observations, within `_MOST_BYTES`."""
        dt, length = self._system.timing
        steps = round(length / dt) if dt else 1
        row = sum(8 * steps * one.probe.terms * math.prod(one.shape) for one in self._sampled)
        row += sum(8 * math.prod(one.probe.shape) for one in self._each)
        row += 8 * math.prod(self._env.observation_space.shape or (1,))
        return min(max(_MOST_BYTES // max(row, 1), 1), _MOST_DECISIONS)

    # -- what a listener hears -----------------------------------------------------------------------

    def began(self, number: int) -> None:
        """The next episode has this number, and is recorded."""
        self._number = number
        if not self._going_on:
            self.forget()
        self._going_on = True

    def wants(self, number: int) -> bool:
        return number % self._nth == 0

    def left(self) -> None:
        """Other episodes follow, which are not recorded."""
        if self._going_on:
            self._settle()
        self._going_on = False

    def forget(self) -> None:
        """What the system recorded within decisions of other episodes, and heard of them, is of no use."""
        if self._within:
            self._source.drain()
        if self._learns:
            self._source.heard()

    def see(self, observation: Any) -> None:
        """What is seen next; of a space with several parts, flattened as `gymnasium.spaces.flatten` does."""
        if isinstance(observation, _COMPOSITE):
            observation = gym.spaces.flatten(self._env.observation_space, observation)
        if self._seen is None:
            first = np.array(observation)
            self._seen = np.empty((self._block + 1, *first.shape), first.dtype)
        try:
            self._seen[self._place] = observation
        except (TypeError, ValueError) as error:
            raise EnvironmentFailure(
                f"{environment_name(self._env)}: {shown(observation)} cannot be recorded after observations of shape "
                f"{self._seen.shape[1:]} and type {self._seen.dtype}: {error}"
            ) from error

    def begin_episode(self, features: Any) -> None:
        if not self._arrays:
            self._make_arrays()
        if self._learns:
            self._system.begin_episode(features)
        self._place, self._features = len(self._waiting) + 1, features
        self._first, self._return = self.decisions, 0.0
        self._terminated = False

    def hear_answer(self, action: Any) -> None:
        if self._learns:
            self._system.hear_answer(action)

    def learn(self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator) -> None:
        waiting = self._waiting
        number = len(waiting)
        if self._read is not None:
            self._readings[number] = self._read()
        self._policies[number] = np.nan if choice.probabilities is None else choice.probabilities
        # While it learns its values change; else they are asked for together.
        told = self._system.value(self._features) if self._learns else self._features
        waiting.append((choice.action, reward, told, *choice.numbers))
        if self._learns:
            self._system.learn(choice, reward, features, terminated, rng)
        self._features, self._terminated = features, terminated
        self._return += reward
        self.decisions += 1
        if number >= self._look:
            self._look_at_the_clock()
        self._place = len(waiting) + 1

    def _look_at_the_clock(self) -> None:
        """Settle if it is time to, or too many decisions wait; to ask for the time costs more than to wait a little."""
        now = time.monotonic()
        if len(self._waiting) >= self._block or now >= self._next:
            self._settle()
        pause = _LOOKS if now - self._looked < _PERIOD / _LOOKS else 1
        self._look, self._looked = min(len(self._waiting) + pause, self._block) - 1, now

    def end_episode(self, rng: np.random.Generator) -> None:
        if self._learns:
            self._system.end_episode(rng)
        if not self._learns:
            self._ends.append((len(self._waiting), None if self._terminated else self._features))
        self._rows.append((self._first, self.decisions, self._number, self._return, self._terminated))
        self._lasts.append([_part_of(self._system.read(one.name), one) for one in self._last])
        self.episodes += 1
        if len(self._lasts) >= self._most_episodes:
            self._settle()
        self._place = len(self._waiting)

    def close(self, complete: bool) -> None:
        """Write what is in memory, and whether all that was to be recorded is there."""
        self._settle(everything=True)
        for array in self._arrays.values():
            array.close()
        write_group(self.folder, {**self._meta, "complete": complete})

    @property
    def bytes_in_memory(self) -> int:
        return sum(array.bytes_in_memory for array in self._arrays.values())

    # -- writing -------------------------------------------------------------------------------------

    def _make_arrays(self) -> None:
        system, seen = self._system, self._seen
        assert seen is not None  # by `see`
        if seen.dtype.kind not in "biuf":
            raise EnvironmentFailure(
                f"{environment_name(self._env)}: observations of {seen.dtype} cannot be recorded: expected numbers"
            )
        columns: dict[str, tuple[Any, ...]] = {
            "action": ((), np.int64),
            "reward": ((), float),
            "value": ((), float),
            "td_error": ((), float),
            "observation": (seen.shape[1:], seen.dtype),
            "policy": ((self._meta["n_actions"],), float),
            **{name: ((), float) for name in system.numbers},
        }
        if self._learns:
            columns["modulation"] = ((), float)
        made = {f"decisions/{name}": column for name, column in columns.items()}
        made |= {f"episodes/{name}": ((), kind) for name, kind in _EPISODE.items()}
        for group in self._groups:
            made[f"spikes/{group}/i"] = (), np.int32, _SPIKE_ROWS
            made[f"spikes/{group}/t"] = (), float, _SPIKE_ROWS
            made[f"spikes/{group}/end"] = ((), np.int64)
        for folder, probes in (("states", self._sampled), ("readings", self._each), ("episodes", self._last)):
            made |= {f"{folder}/{one.name}": (one.shape, float) for one in probes}
        for name in {part for path in made for part in _parents(path)}:
            write_group(self.folder / name, {})
        self._arrays = {name: GrowingArray(self.folder / name, *column) for name, column in made.items()}

    def _values_of(self, features: Sequence[Any]) -> np.ndarray:
        if not (self._values and features):
            return np.full(len(features), np.nan)
        return self._system.values(features)

    def _tell(self, values: np.ndarray, rewards: np.ndarray) -> None:
        """TD errors of the decisions that waited, as far as the value of what followed is known."""
        deltas, start = [np.empty(0)], 0
        last = iter(self._values_of([f for _, f in self._ends if f is not None]).tolist())
        for end, features in self._ends:
            worth = 0.0 if features is None else next(last)
            deltas.append(self._differences(np.append(values[start:end], worth), np.append(rewards[start:end], 0.0)))
            start, self._open = end, None
        deltas.append(self._differences(values[start:], rewards[start:]))
        self._ends.clear()
        self._arrays["decisions/td_error"].append(np.concatenate(deltas))

    def _differences(self, values: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """TD errors of an episode, from where the last piece of it ended; that of the last decision stays open."""
        if self._open is not None:
            values, rewards = np.append(self._open[0], values), np.append(self._open[1], rewards)
        if not values.size:
            return values
        self._open = float(values[-1]), float(rewards[-1])
        return np.asarray(rewards[:-1] + self._system.gamma * values[1:] - values[:-1])

    def _settle(self, everything: bool = False) -> None:
        """Hand over what waits to the arrays; once a second, or `everything`, also to the disk."""
        if not self._arrays:
            return
        if self._waiting:
            self._append_decisions()
        elif self._ends:  # episodes that ended with a decision that was handed over before
            self._tell(np.empty(0), np.empty(0))
        if self._learns:
            self._hear()
        if self._within:
            self._drain()
        if self._rows:
            self._append_episodes()
        began = time.monotonic()
        if everything or began >= self._next:
            # Lengths of what lies within decisions first: a reader counts decisions by their actions.
            for name in sorted(self._arrays, reverse=True):
                self._arrays[name].flush()
            took = time.monotonic() - began
            self._next = began + took + max(_PERIOD, _SHARE * took)

    def _append_decisions(self) -> None:
        count = len(self._waiting)
        action, reward, told, *numbers = zip(*self._waiting, strict=True)
        self._waiting.clear()
        self._look = 0
        value = np.array(told, float) if self._learns else self._values_of(told)
        if not self._learns:
            self._tell(value, np.array(reward, float))
        assert self._seen is not None  # by `see`
        columns: dict[str, Any] = {
            "action": action,
            "reward": reward,
            "value": value,
            "policy": self._policies[:count],
            "observation": self._seen[:count],
            **dict(zip(self._system.numbers, numbers, strict=True)),
        }
        for name, rows in columns.items():
            self._arrays[f"decisions/{name}"].append(np.asarray(rows))
        start = 0
        for one in self._each:
            end = start + math.prod(one.probe.shape)
            rows = self._readings[:count, start:end].reshape(count, *one.probe.shape)
            self._arrays[f"readings/{one.name}"].append(rows[:, one.part] if one.probe.shape else rows)
            start = end
        self._seen[0] = self._seen[count]

    def _append_episodes(self) -> None:
        for name, column in zip(_EPISODE, zip(*self._rows, strict=True), strict=True):
            self._arrays[f"episodes/{name}"].append(np.array(column))
        for one, readings in zip(self._last, zip(*self._lasts, strict=True), strict=True):
            self._arrays[f"episodes/{one.name}"].append(np.array(readings))
        self._rows.clear()
        self._lasts.clear()

    def _hear(self) -> None:
        """TD errors and modulations, as far as they are known; of learners that know none of single decisions, none."""
        self._ends.clear()
        td_errors, modulations = self._source.heard()
        if len(td_errors) == len(modulations):
            self._arrays["decisions/td_error"].append(td_errors)
            self._arrays["decisions/modulation"].append(modulations)

    def _drain(self) -> None:
        drained = self._source.drain()
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
