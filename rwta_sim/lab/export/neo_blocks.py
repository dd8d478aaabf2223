"""Recordings as Neo objects: a Block is a recording, a Segment an episode, a SpikeTrain a neuron in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.lab.export.tables import imported
from rwta_sim.lab.files import replacing
from rwta_sim.lab.recordings import EpisodeRow, Recording

__all__ = ["to_neo", "write_neo"]


def to_neo(recording: Recording) -> Any:
    """The recording as a `neo.Block`, which Elephant takes.

    Each episode is a segment with a spike train per neuron (annotated with population, neuron, circuit), an epoch
    "decisions", and analog signals with one sample a decision: observations, action, reward, value, TD error …, and
    what was read; states have as many as were recorded. The trains of a neuron are joined by a group. Decisions behind
    the last whole episode are a segment of their own.

    Raises
    ------
    ConfigError
        Without neo.
    """
    neo, pq = imported("neo"), imported("quantities")
    meta = recording.meta
    block = neo.Block(
        name=f"{meta['task']}, seed {meta['seed']}",
        rec_datetime=None,
        description=f"{meta['model']}, {meta['engine']}",
        configuration=meta["configuration"],
        started=meta["started"],
        dt=meta["dt"],
        gamma=meta["gamma"],
    )
    groups: dict[tuple[str, int], Any] = {}
    for number, (row, part) in enumerate(_parts(recording)):
        segment = neo.Segment(name=f"episode {row.number}" if row else "unfinished", index=number)
        if row:
            segment.annotate(episode=row.number, total=row.total, terminated=row.terminated)
        _add_trains(neo, pq, segment, part, groups)
        segment.epochs.append(_epoch(neo, pq, part))
        segment.analogsignals.extend(_signals(neo, pq, part))
        block.segments.append(segment)
    for (population, neuron), trains in groups.items():
        group = neo.Group(name=f"{population} {neuron}", population=population, neuron=neuron)
        group.spiketrains.extend(trains)
        block.groups.append(group)
    block.check_relationships()
    return block


def _parts(recording: Recording) -> list[tuple[EpisodeRow | None, Recording]]:
    rows = recording.episodes
    parts: list[tuple[EpisodeRow | None, Recording]] = [(row, recording.episode(n)) for n, row in enumerate(rows)]
    seen = rows[-1].end - recording.start if rows else 0
    return parts if seen == len(recording) else [*parts, (None, recording.decisions(seen))]


def _add_trains(neo: Any, pq: Any, segment: Any, part: Recording, groups: dict[tuple[str, int], Any]) -> None:
    start, stop = part.start * float(part.decision_time), part.stop * float(part.decision_time)
    for name, population in part.populations.items():
        i, t = part.spikes(name)
        order, size = np.argsort(i, kind="stable"), population.stop - population.start
        of_each = np.split(np.asarray(t)[order], np.searchsorted(i[order], np.arange(1, size)))
        for neuron, times in enumerate(of_each):
            circuit = int(np.searchsorted(population.circuits, neuron, side="right")) - 1 if population.circuits else -1
            train = neo.SpikeTrain(
                # By less than a rounding error a spike may be outside of its episode.
                np.clip(times, start, stop) * pq.s,
                t_start=start * pq.s,
                t_stop=stop * pq.s,
                name=f"{name} {neuron}",
                population=name,
                neuron=neuron,
                circuit=circuit,
            )
            segment.spiketrains.append(train)
            groups.setdefault((name, neuron), []).append(train)


def _epoch(neo: Any, pq: Any, part: Recording) -> Any:
    step = float(part.decision_time)
    return neo.Epoch(
        np.arange(part.start, part.stop) * step * pq.s,
        durations=np.full(len(part), step) * pq.s,
        labels=np.array([f"action {action}" for action in part["action"]]),
        name="decisions",
    )


def _signals(neo: Any, pq: Any, part: Recording) -> list[Any]:
    step = float(part.decision_time)
    start = part.start * step * pq.s
    found = []
    for name in part.columns:
        values = part[name].reshape(len(part), -1).astype(float)
        signal = neo.AnalogSignal(values, units="dimensionless", sampling_period=step * pq.s, t_start=start, name=name)
        found.append(signal)
    for key, probe in part.probes.items():
        name, unit = probe["name"], "dimensionless" if probe["unit"] == "1" else probe["unit"]
        if probe["moment"] == "step":
            values, period = np.asarray(part.states(name).values), step / int(probe["samples"])
        elif probe["moment"] == "decision":
            values, period = np.asarray(part.readings(name)).reshape(len(part), -1), step
        else:
            continue
        signal = neo.AnalogSignal(values, units=unit, sampling_period=period * pq.s, t_start=start, name=key)
        found.append(signal)
    return found


def write_neo(recording: Recording, path: Path) -> Path:
    """Write the block of `to_neo` into a MAT file, which `neo.io.NeoMatlabIO` reads, and MATLAB.

    Neo's own format, NIX, takes a quarter of a second for each spike train.

    Raises
    ------
    ConfigError
        Without neo.
    RunError
        If it cannot be written.
    """
    block = to_neo(recording)
    with replacing(path) as temporary:
        imported("neo.io").NeoMatlabIO(str(temporary)).write_block(block)
    return path
