"""Spike trains as Neo has them, of whatever holds spikes: what the statistics of this room take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rwta_sim.errors import ConfigError
from rwta_sim.lab.export.tables import imported
from rwta_sim.lab.recordings import Recording

__all__ = ["described", "spike_trains", "table"]


def spike_trains(data: Any, population: str | None = None, stop: float | None = None, start: float = 0.0) -> list[Any]:
    """One `neo.SpikeTrain` for each neuron.

    Parameters
    ----------
    data : Recording, neo.Block, neo.Segment, or sequence
        A recording is taken as one stretch of time, episode after episode. Of a block or a segment these are the trains
        it has, a train per neuron and segment. A sequence has a `neo.SpikeTrain`, or an array of seconds, per neuron.
    population : str, optional
        Only those of it: of a recording, or where trains are annotated.
    start, stop : float
        Seconds; needed of arrays, which do not say how long was looked.

    Raises
    ------
    ConfigError
        Without neo, or if there is no train, or of arrays `stop` is missing.
    """
    neo, pq = imported("neo"), imported("quantities")
    if isinstance(data, Recording):
        trains = _of_recording(neo, pq, data, population)
    elif isinstance(data, neo.Block):
        trains = [train for segment in data.segments for train in segment.spiketrains]
    elif isinstance(data, neo.Segment):
        trains = list(data.spiketrains)
    else:
        trains = [_of_array(neo, pq, one, number, start, stop) for number, one in enumerate(data)]
    if population is not None:
        trains = [train for train in trains if train.annotations.get("population") == population]
    if not trains:
        raise ConfigError(f"there are no spike trains{f' of population {population!r}' if population else ''}")
    return trains


def _of_recording(neo: Any, pq: Any, recording: Recording, population: str | None) -> list[Any]:
    start, trains = float(recording.t_start), []
    stop = start + float(recording.duration)
    for name in recording.populations if population is None else [population]:
        i, t = recording.spikes(name)
        _, first, end, circuits = recording.populations[name]
        order = np.argsort(i, kind="stable")
        times = np.split(np.asarray(t)[order], np.searchsorted(i[order], np.arange(1, end - first)))
        for neuron, mine in enumerate(times):
            circuit = int(np.searchsorted(circuits, neuron, side="right")) - 1 if circuits else -1
            known = {"population": name, "neuron": neuron, "circuit": circuit}
            trains.append(
                neo.SpikeTrain(np.clip(mine, start, stop) * pq.s, t_start=start * pq.s, t_stop=stop * pq.s, **known)
            )
    return trains


def _of_array(neo: Any, pq: Any, one: Any, number: int, start: float, stop: float | None) -> Any:
    if isinstance(one, neo.SpikeTrain):
        return one
    if stop is None:
        raise ConfigError("spikes in arrays do not say how long was looked: give stop, in seconds")
    times = np.sort(np.asarray(one, float))
    return neo.SpikeTrain(times * pq.s, t_start=start * pq.s, t_stop=stop * pq.s, neuron=number)


def described(trains: Sequence[Any]) -> dict[str, list[Any]]:
    """Columns that say whose trains these are: population, circuit and neuron, as far as they are annotated."""
    names = [name for name in ("population", "circuit", "neuron") if any(name in t.annotations for t in trains)]
    return {name: [train.annotations.get(name) for train in trains] for name in names}


def table(columns: dict[str, Any]) -> Any:
    """A `pandas.DataFrame`; raises ConfigError without pandas."""
    return imported("pandas").DataFrame(columns)
