"""Probes: what can be watched in a system, and what somebody chose to watch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rwta_sim.errors import ConfigError, nearest

__all__ = [
    *("MOMENTS", "Chosen", "Drained", "Population", "Probe", "Sampling", "Spikes"),
    *("choose", "placed", "spikes_of"),
]

#: When a probe can be read: at every spike, every so many steps of a decision, after each decision, after each episode.
MOMENTS = ("spike", "step", "decision", "episode")
_WRITTEN = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:\[(?P<part>[^\]]*)\])?(?:@(?P<moment>\w+))?")


class Probe(NamedTuple):
    """Something that can be watched in a system.

    Attributes
    ----------
    unit : str
        As text: "Hz", "s", "1" for a number without one.
    shape : tuple of int
        Of one reading; of a probe of spikes, of the neurons that fire them.
    description : str
    moments : tuple of str
        When it can be read, of `MOMENTS`; the first is meant where nothing is said.
    terms : int
        Numbers that each of a reading is made of, as long as it is not drained.
    """

    unit: str
    shape: tuple[int, ...]
    description: str
    moments: tuple[str, ...] = ("decision",)
    terms: int = 1


class Population(NamedTuple):
    """Neurons that go by a name: `start` to `stop` of a group whose spikes are numbered together.

    Attributes
    ----------
    group : str
    start, stop : int
    circuits : tuple of int
        The first neuron of each circuit, counted in the population, and the end; empty where it has none.
    """

    group: str
    start: int
    stop: int
    circuits: tuple[int, ...] = ()


class Chosen(NamedTuple):
    """A probe that is to be recorded.

    Attributes
    ----------
    name : str
    probe : Probe
    part : slice
        Of the first axis of a reading, with start, stop and step.
    moment : str
        One of the probe's.
    """

    name: str
    probe: Probe
    part: slice
    moment: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is kept of a reading."""
        if not self.probe.shape:
            return ()
        return (len(range(self.part.start, self.part.stop, self.part.step)), *self.probe.shape[1:])


class Sampling(NamedTuple):
    """What is to be recorded within decisions, for a system that is built for it.

    Attributes
    ----------
    probes : tuple of str
        As a user writes them: see `choose`.
    every : float or None
        Seconds between the samples of a probe that is read in steps; None: each step.
    """

    probes: tuple[str, ...]
    every: float | None = None


class Spikes(NamedTuple):
    """Spikes of a group in some decisions.

    Attributes
    ----------
    i : ndarray of int32, shape (spikes,)
    t : ndarray, shape (spikes,)
        Seconds since the decision of each began; ascending in each decision.
    counts : ndarray of int, shape (decisions,)
        In each decision.
    """

    i: np.ndarray
    t: np.ndarray
    counts: np.ndarray


class Drained(NamedTuple):
    """What a system recorded within its last decisions; arrays are good until its next one.

    Attributes
    ----------
    decisions : int
        Their number.
    spikes : dict of Spikes
        By group.
    states : dict of ndarray, shape (decisions * samples, ...)
        By probe.
    """

    decisions: int
    spikes: dict[str, Spikes]
    states: dict[str, np.ndarray]


def placed(t: np.ndarray, dt: float, lengths: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """In which of decisions of `lengths` time steps, the first of which began at step `first`, times (s) are, counted
    from 0, and how long after its start (s)."""
    step, edges = np.rint(t / dt).astype(np.int64) - first, np.append(0, np.cumsum(lengths))
    decision = np.searchsorted(edges[1:], step, side="right")
    return decision, (step - edges[decision]) * dt


def spikes_of(events: Mapping[str, np.ndarray], dt: float, lengths: np.ndarray, first: int) -> Spikes:
    """What a SpikeMonitor has, "i" and "t", by decision; see `placed`."""
    decision, t = placed(events["t"], dt, lengths, first)
    return Spikes(events["i"].astype(np.int32), t, np.bincount(decision, minlength=len(lengths))[: len(lengths)])


def choose(written: Sequence[str], probes: Mapping[str, Probe]) -> list[Chosen]:
    """The probes that somebody wrote, such as ``spikes``, ``hidden.u[0:8]``, ``sh.w@decision``.

    A name that is none of a probe stands for all that end in it after a dot: ``spikes`` is that of all populations.

    Parameters
    ----------
    written : sequence of str
    probes : mapping of Probe
        Those that there are.

    Raises
    ------
    ConfigError
        If one is malformed, unknown, of another moment, or a part that it has not.
    """
    chosen: dict[tuple[str, str], Chosen] = {}
    for text in written:
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ConfigError(f"probe {text!r}: expected NAME, NAME[0:8], NAME@decision: {_hint(text, probes)}")
        name = found["name"]
        names = [name] if name in probes else [known for known in probes if known.endswith(f".{name}")]
        if not names:
            raise ConfigError(f"probe {text!r}: there is none of the name {name!r} here: {_hint(name, probes)}")
        for known in names:
            one = _chosen(text, known, probes[known], found["part"], found["moment"])
            if chosen.setdefault((known, one.moment), one) != one:
                raise ConfigError(f"probe {text!r}: {known} is asked for twice, with different parts: give one")
    return list(chosen.values())


def _hint(name: str, probes: Mapping[str, Probe]) -> str:
    short = {known.rpartition(".")[2] for known in probes}
    return nearest(name, [*probes, *short]) if probes else "this system has no probes"


def _chosen(text: str, name: str, probe: Probe, part: str | None, moment: str | None) -> Chosen:
    if moment is not None and moment not in probe.moments:
        raise ConfigError(f"probe {text!r}: {name} can be read at {_listed(probe.moments)}, not at {moment!r}")
    when = moment or probe.moments[0]
    size = probe.shape[0] if probe.shape else 1
    where = slice(0, size, 1)
    if part is not None:
        if when == "spike" or not probe.shape:
            raise ConfigError(f"probe {text!r}: {name} is recorded as a whole: leave [{part}] out")
        where = _part(text, name, part, size)
    return Chosen(name, probe, where, when)


def _part(text: str, name: str, part: str, size: int) -> slice:
    words = [word.strip() for word in part.split(":")]
    try:
        numbers = [int(word) if word else None for word in words]
    except ValueError:
        numbers = [None, None, None, None]
    if len(numbers) == 1 and numbers[0] is not None:
        numbers = [numbers[0], numbers[0] + 1]
    if not 2 <= len(numbers) <= 3:
        raise ConfigError(f"probe {text!r}: [{part}] is no part: expected a number, or as in [0:8] or [0:64:4]")
    start, stop, step = (*numbers, None)[:3]
    start, stop, step = start or 0, size if stop is None else stop, 1 if step is None else step
    if not (0 <= start < stop <= size and step > 0):
        raise ConfigError(
            f"probe {text!r}: {name} has {size} values, of which [{part}] is no part: expected [0:{size}]"
        )
    return slice(start, stop, step)


def _listed(moments: Sequence[str]) -> str:
    return " and ".join(f"@{moment}" for moment in moments)
