"""`Recording`: what was recorded of episodes, read from disk as it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2 import Quantity, get_unit, second
from brian2.units.allunits import all_units

from rwta_sim.errors import RunError, nearest
from rwta_sim.lab.overview import as_html, of_recording
from rwta_sim.lab.zarr import StoredArray, read_attributes
from rwta_sim.loop.probes import Population

__all__ = ["FORMAT", "EpisodeRow", "Recording", "SpikeTimes", "States"]

FORMAT, VERSION = "rwta_sim recording", 1
_UNITS = {str(unit): unit for unit in all_units}


class SpikeTimes(NamedTuple):
    """Spikes in the order of their times.

    Attributes
    ----------
    i : ndarray of int, shape (spikes,)
        Neurons, counted from 0 in their population.
    t : Quantity, shape (spikes,)
        Seconds since the recording began; a decision takes `Recording.decision_time`.
    """

    i: np.ndarray
    t: Quantity


class States(NamedTuple):
    """Samples of a variable.

    Attributes
    ----------
    t : Quantity, shape (samples,)
    values : ndarray or Quantity, shape (samples, values)
        With its unit, if it has one.
    """

    t: Quantity
    values: Any


class EpisodeRow(NamedTuple):
    """An episode: its number, its decisions `first` to `end`, its return, and whether it ended in a terminal state."""

    number: int
    first: int
    end: int
    total: float
    terminated: bool


@dataclass(frozen=True)
class Recording:
    """Episodes as a `Recorder` wrote them; complete, or as far as it came.

    Nothing but a description is read before it is asked for. `episode` and `decisions` give the same of a part.

    Parameters
    ----------
    path : Path
    meta : dict
        What the recording says of itself: task, model, seed, engine, versions, configuration, probes.
    start, stop : int
        Decisions that are seen.

    Raises
    ------
    RunError
        By all that reads, if the recording is damaged.
    """

    path: Path
    meta: dict[str, Any]
    start: int
    stop: int

    @classmethod
    def open(cls, path: Path | str) -> Recording:
        """The recording in a folder.

        Raises
        ------
        RunError
            If there is none, or it is damaged, or of a later version.
        """
        path = Path(path)
        if not (path / "zarr.json").is_file():
            raise RunError(f"{path} is no recording: `rwta-sim record RUN` makes one")
        meta = read_attributes(path)
        if meta.get("format") != FORMAT:
            raise RunError(
                f"{path} is a Zarr group, but no recording of rwta_sim: its format is {meta.get('format')!r:.60}"
            )
        if meta.get("version") != VERSION:
            raise RunError(f"{path} has version {meta.get('version')!r:.20}, expected {VERSION}: use a later rwta_sim")
        there = (path / "decisions" / "action" / "zarr.json").is_file()
        return cls(path, meta, 0, len(StoredArray(path / "decisions" / "action")) if there else 0)

    def __repr__(self) -> str:
        whole = "" if self.complete else ", not complete"
        return f"Recording({str(self.path)!r}, {len(self)} decisions of {len(self.episodes)} episodes{whole})"

    def _repr_html_(self) -> str:
        return as_html(repr(self), of_recording(self))

    def __len__(self) -> int:
        return self.stop - self.start

    # -- what there is -------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether all was recorded that was to be."""
        return self.meta["complete"] is True

    @property
    def dt(self) -> Quantity:
        """The time step; 0 s where there is none."""
        return self.meta["dt"] * second

    @property
    def decision_time(self) -> Quantity:
        """How long a decision takes in simulated time; 1 s where there is none."""
        return self.meta["decision_time"] * second

    @property
    def duration(self) -> Quantity:
        """Of all decisions."""
        return len(self) * self.decision_time

    @property
    def t_start(self) -> Quantity:
        """When the first decision began."""
        return self.start * self.decision_time

    @cached_property
    def populations(self) -> dict[str, Population]:
        """Neurons whose spikes are there, by name."""
        found = {n: Population(p[0], p[1], p[2], tuple(p[3])) for n, p in self.meta["populations"].items()}
        return {name: p for name, p in found.items() if self._has(f"spikes/{p.group}/end")}

    @cached_property
    def fan_out(self) -> dict[str, np.ndarray]:
        """Synapses that each neuron of a population sends its spikes to, shape (neurons,), where that is known."""
        return {name: np.array(counts) for name, counts in self.meta.get("fan_out", {}).items()}

    @cached_property
    def probes(self) -> dict[str, dict[str, Any]]:
        """What else was recorded, by probe and moment ("sh.w@decision"): unit, shape, description, part."""
        return {f"{p['name']}@{p['moment']}": p for p in self.meta["probes"] if p["moment"] != "spike"}

    @property
    def columns(self) -> list[str]:
        """What there is of every decision: see `[]`."""
        folder = self.path / "decisions"
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

    @cached_property
    def episodes(self) -> list[EpisodeRow]:
        """Those that ended, of which all decisions are seen."""
        if not self._has("episodes/end"):
            return []
        names = ("number", "first", "end", "return", "terminated")
        columns = [StoredArray(self.path / "episodes" / name) for name in names]
        count = min(len(column) for column in columns)
        rows = zip(*(column.rows(0, count).tolist() for column in columns), strict=True)
        return [row for row in map(EpisodeRow._make, rows) if self.start <= row.first and row.end <= self.stop]

    # -- parts ---------------------------------------------------------------------------------------

    def decisions(self, start: int, stop: int | None = None) -> Recording:
        """Decisions `start` to `stop` of those that are seen.

        Raises
        ------
        IndexError
            If there are none such.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise IndexError(
                f"decisions {start} to {stop}: there are {len(self)}, expected 0 <= start <= stop <= {len(self)}"
            )
        return Recording(self.path, self.meta, self.start + start, self.start + stop)

    def episode(self, index: int) -> Recording:
        """The decisions of one of the `episodes`; raises IndexError if there is none such."""
        rows = self.episodes
        if not -len(rows) <= index < len(rows):
            raise IndexError(f"episode {index}: there are {len(rows)}, counted from 0")
        return Recording(self.path, self.meta, rows[index].first, rows[index].end)

    def __iter__(self) -> Iterator[Recording]:
        """Its episodes, one after the other."""
        return (self.episode(index) for index in range(len(self.episodes)))

    # -- what was recorded ---------------------------------------------------------------------------

    def __getitem__(self, column: str) -> np.ndarray:
        """A column of the decisions: "action", "reward", "observation" (what was seen before), "value", "td_error",
        "policy", and what the system logs; "modulation" where it learned. NaN where something is not known.

        Raises
        ------
        KeyError
            If there is none of this name.
        """
        if column not in self.columns:
            raise KeyError(f"{column!r}: {nearest(column, self.columns)}")
        return self._rows(f"decisions/{column}", self.start, self.stop)

    def spikes(self, population: str) -> SpikeTimes:
        """The spikes of a population.

        Raises
        ------
        KeyError
            If its spikes were not recorded.
        """
        if population not in self.populations:
            recorded = nearest(population, self.populations) if self.populations else "none were recorded"
            raise KeyError(f"spikes of {population!r}: {recorded}")
        group, first, end, _ = self.populations[population]
        low, high = self._spike_rows(group)
        i, t = (self._rows(f"spikes/{group}/{name}", low, high) for name in ("i", "t"))
        mine = (i >= first) & (i < end)
        return SpikeTimes(i[mine] - first, t[mine] * second)

    def spike_total(self, population: str) -> int:
        """Spikes of the group to which a population belongs, without reading them; raises KeyError as `spikes`."""
        low, high = self._spike_rows(self.populations[population].group)
        return high - low

    def spike_counts(self, population: str) -> np.ndarray:
        """Spikes of each neuron in each decision, shape (decisions, neurons); raises as `spikes`."""
        i, t = self.spikes(population)
        _, first, end, _ = self.populations[population]
        size = end - first
        return np.bincount(self.decisions_of(t) * size + i, minlength=len(self) * size).reshape(len(self), size)

    def decisions_of(self, t: Quantity) -> np.ndarray:
        """In which decisions spikes at times `t` are, counted from the first that is seen."""
        # Half a time step later: a spike that begins a decision may be just before it in rounded numbers.
        late = np.asarray(t) + float(self.dt) / 2 - float(self.t_start)
        return np.clip((late / float(self.decision_time)).astype(np.int64), 0, max(len(self) - 1, 0))

    def states(self, probe: str) -> States:
        """Samples of a probe that was read within decisions, such as "hidden.u".

        Raises
        ------
        KeyError
            If it was not recorded so.
        """
        one = self._probe(probe, "step")
        each = self._per_decision(one)
        values = self._rows(f"states/{probe}", self.start * each, self.stop * each)
        t = (np.arange(self.start * each, self.stop * each) * (self.meta["decision_time"] / each)) * second
        return States(t, _with_unit(values, one["unit"]))

    def readings(self, probe: str) -> Any:
        """What a probe showed at the end of each decision, before anything was learned from it.

        Returns
        -------
        ndarray or Quantity, shape (decisions, ...)

        Raises
        ------
        KeyError
            If it was not recorded so.
        """
        one = self._probe(probe, "decision")
        return _with_unit(self._rows(f"readings/{probe}", self.start, self.stop), one["unit"])

    def at_episodes(self, probe: str) -> Any:
        """What a probe showed at the end of each of the `episodes`, shape (episodes, ...); else as `readings`."""
        one = self._probe(probe, "episode")
        stored = StoredArray(self.path / "episodes" / probe)
        whole = Recording.open(self.path).episodes
        first = whole.index(self.episodes[0]) if self.episodes else 0
        rows = stored.rows(first, first + len(self.episodes))
        return _with_unit(rows, one["unit"])

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The same as `rwta_sim.lab.recording.record_episode` tells it, for figures that read that.

        Raises
        ------
        KeyError
            If spikes of hidden and action neurons were not recorded.
        """
        hidden, action = (self.populations.get(name) for name in ("hidden", "action"))
        if action is None:
            raise KeyError("a raster needs the probe 'spikes', which was not recorded")
        starts = [*(hidden.circuits if hidden else (0,)), action.stop]
        low, high = self._spike_rows(action.group)
        begun = float(self.t_start)
        arrays = {
            "neuron_i": self._rows(f"spikes/{action.group}/i", low, high),
            "neuron_t": self._rows(f"spikes/{action.group}/t", low, high) - begun,
            "input_i": np.empty(0, np.int32),
            "input_t": np.empty(0),
            "n_inputs": np.array(0),
        }
        if "inputs" in self.populations:
            i, t = self.spikes("inputs")
            arrays |= {"input_i": i, "input_t": np.asarray(t) - begun}
            arrays["n_inputs"] = np.array(self.populations["inputs"].stop)
        ends = [row.end - self.start for row in self.episodes]
        return {
            **arrays,
            "actions": self["action"],
            "rewards": self["reward"],
            "observations": self["observation"],
            "ends": np.array(ends or [len(self)]),
            "starts": np.array(starts),
            "dt": np.array(self.meta["dt"]),
            "decision_time": np.array(self.meta["decision_time"]),
        }

    # -- reading -------------------------------------------------------------------------------------

    def _has(self, name: str) -> bool:
        return (self.path / name / "zarr.json").is_file()

    def _rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of an array; NaN for those that it has not yet, of TD errors and modulations."""
        stored = StoredArray(self.path / name)
        if name in ("decisions/td_error", "decisions/modulation"):
            known = stored.rows(min(start, len(stored)), min(stop, len(stored)))
            return np.concatenate([known, np.full(stop - start - len(known), np.nan)])
        return stored.rows(start, stop)

    def _spike_rows(self, group: str) -> tuple[int, int]:
        ends = StoredArray(self.path / "spikes" / group / "end")
        low, high = (int(ends.rows(k - 1, k)[0]) if k else 0 for k in (self.start, self.stop))
        return low, high

    def _probe(self, name: str, moment: str) -> dict[str, Any]:
        found = self.probes.get(f"{name}@{moment}")
        if found is None:
            recorded = nearest(f"{name}@{moment}", self.probes) if self.probes else "no probes were recorded"
            raise KeyError(f"{name}@{moment}: {recorded}")
        return found

    def _per_decision(self, one: Mapping[str, Any]) -> int:
        return int(one["samples"])


def _with_unit(values: np.ndarray, unit: str) -> Any:
    """Values in SI units; of a unit that has no name of its own plain numbers."""
    if unit not in _UNITS:
        return values
    return Quantity(values * float(_UNITS[unit]), dim=get_unit(_UNITS[unit].dim).dim)
