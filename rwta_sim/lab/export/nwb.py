"""Recordings as NWB files, by pynwb.

What is where: units with their population, circuit and number; trials are episodes; an interval table has the
decisions; observations are a stimulus; states and what was read of every decision are series in the processing module
"network"; weights and whatever was read after episodes are tables there. All times are seconds since the recording
began, in which one decision follows the other.
"""

from __future__ import annotations

import json
import math
import uuid
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.lab.export.tables import BLOCK, imported
from rwta_sim.lab.files import replacing
from rwta_sim.lab.recordings import Recording

__all__ = ["write_nwb"]


def write_nwb(recording: Recording, path: Path) -> Path:
    """Write one NWB file.

    Raises
    ------
    ConfigError
        Without pynwb.
    RunError
        If it cannot be written.
    """
    pynwb = imported("pynwb")
    file = _file(pynwb, recording)
    _add_units(pynwb, file, recording)
    _add_episodes(file, recording)
    _add_decisions(pynwb, file, recording)
    _add_observations(pynwb, file, recording)
    _add_probes(pynwb, file, recording)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not end with .nwb.*")
        with pynwb.NWBHDF5IO(temporary, "w") as io:
            io.write(file)
    return path


def _file(pynwb: Any, recording: Recording) -> Any:
    meta = recording.meta
    what = f"a spiking network ({meta['model']}) that acts in {meta['task']}, simulated by rwta_sim; no animal"
    # The same recording has the same identifier.
    name = f"{meta['started']} {meta['run']} {recording.path.name} {recording.start} {recording.stop}"
    return pynwb.NWBFile(
        session_description=f"{len(recording.episodes)} episodes of {what}",
        identifier=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        session_start_time=datetime.fromisoformat(meta["started"]),
        experiment_description=f"seed {meta['seed']}, engine {meta['engine']}, checkpoint {meta['checkpoint']}, "
        + ("learning" if meta["learning"] else "evaluation"),
        keywords=["simulation", "spiking neural network", "reinforcement learning", meta["task"]],
        source_script=f"rwta_sim {meta['versions'].get('rwta-sim', '')}",
        source_script_file_name="rwta_sim",
        notes=meta["configuration"],
        session_id=meta["run"],
    )


def _add_units(pynwb: Any, file: Any, recording: Recording) -> None:
    if not recording.populations:
        return
    start, stop = _span(recording)
    file.add_unit_column("population", "inputs, hidden or action")
    file.add_unit_column("circuit", "winner-take-all circuit, counted in its population; -1 without one")
    file.add_unit_column("neuron", "number in its population")
    for name, population in recording.populations.items():
        i, t = recording.spikes(name)
        order = np.argsort(i, kind="stable")
        times = np.split(
            np.asarray(t)[order], np.searchsorted(i[order], np.arange(1, population.stop - population.start))
        )
        for neuron, spikes in enumerate(times):
            circuit = int(np.searchsorted(population.circuits, neuron, side="right")) - 1 if population.circuits else -1
            file.add_unit(
                spike_times=spikes,
                obs_intervals=[[start, stop]],
                population=name,
                circuit=circuit,
                neuron=neuron,
            )
    # Without a time step, what double precision resolves.
    file.units.resolution = recording.meta["dt"] or float(np.spacing(stop))


def _span(recording: Recording) -> tuple[float, float]:
    step = float(recording.decision_time)
    return recording.start * step, recording.stop * step


def _add_episodes(file: Any, recording: Recording) -> None:
    step = float(recording.decision_time)
    if not recording.episodes:
        return
    file.add_trial_column("episode", "number of the episode")
    file.add_trial_column("episode_return", "sum of its rewards")
    file.add_trial_column("is_terminated", "whether it ended in a terminal state, not by a limit of time")
    for row in recording.episodes:
        file.add_trial(
            start_time=row.first * step,
            stop_time=row.end * step,
            episode=row.number,
            episode_return=row.total,
            is_terminated=row.terminated,
        )


_COLUMNS = {
    "action": "what was done, from 0",
    "reward": "what followed",
    "value": "what the critic expected",
    "td_error": "temporal-difference error",
    "modulation": "third factor that reached the synapses",
    "policy": "probability of each action",
    "entropy": "of the policy, nats",
    "rate_hz": "mean firing rate of hidden and action neurons, Hz",
}


def _add_decisions(pynwb: Any, file: Any, recording: Recording) -> None:
    step = float(recording.decision_time)
    start = np.arange(recording.start, recording.stop) * step
    vector = pynwb.core.VectorData
    columns = [
        vector(name="start_time", description="seconds", data=start),
        vector(name="stop_time", description="seconds", data=start + step),
    ]
    for name in recording.columns:
        values = recording[name]
        # A column that is not known anywhere says nothing.
        if name != "observation" and not (values.dtype.kind == "f" and np.isnan(values).all()):
            columns.append(vector(name=name, description=_COLUMNS.get(name, name), data=values))
    file.add_time_intervals(
        pynwb.epoch.TimeIntervals(
            name="decisions",
            description="each decision: the network advanced from start to stop, then the environment",
            columns=columns,
        )
    )


def _add_observations(pynwb: Any, file: Any, recording: Recording) -> None:
    seen = recording["observation"]
    flat = seen.reshape(len(seen), -1)
    if _tall(flat.shape):
        file.add_stimulus(_series(pynwb, recording, "observation", flat, "what was seen before each decision", "n.a."))
    else:
        _module(file).add(_table(pynwb, "observation", "what was seen before each decision", flat))


def _add_probes(pynwb: Any, file: Any, recording: Recording) -> None:
    for key, probe in recording.probes.items():
        name, unit = key.replace(".", "_").replace("@", "_at_"), _unit(probe["unit"])
        told = f"{probe['description']}; {json.dumps(probe['part'])} (start, stop, step) of {probe['of']}"
        if probe["moment"] == "step":
            each = int(probe["samples"])
            shape = (len(recording) * each, *_kept(probe))
            if _tall(shape):
                data = _stream(recording, probe["name"], each, shape)
                _module(file).add(_series(pynwb, recording, name, data, told, unit, each))
            else:
                _module(file).add(_table(pynwb, name, told, np.asarray(recording.states(probe["name"]).values)))
        elif probe["moment"] == "decision":
            values = np.asarray(recording.readings(probe["name"]))
            if values.ndim <= 2 and _tall(values.shape):
                _module(file).add(_series(pynwb, recording, name, values, told, unit))
            else:
                _module(file).add(_table(pynwb, name, told, values))
        elif recording.episodes:
            _module(file).add(_table(pynwb, name, told, np.asarray(recording.at_episodes(probe["name"]))))


def _kept(probe: dict[str, Any]) -> tuple[int, ...]:
    return (len(range(*probe["part"])), *probe["of"][1:]) if probe["of"] else ()


def _tall(shape: tuple[int, ...]) -> bool:
    """Whether time is the longest side, as it has to be in a series."""
    return len(shape) < 2 or shape[0] > max(shape[1:])


def _unit(unit: str) -> str:
    return {"1": "n.a.", "s": "seconds", "V": "volts", "A": "amperes"}.get(unit, unit)


def _module(file: Any) -> Any:
    if "network" not in file.processing:
        file.create_processing_module("network", "what was read of the network")
    return file.processing["network"]


def _series(pynwb: Any, recording: Recording, name: str, data: Any, description: str, unit: str, each: int = 1) -> Any:
    return pynwb.TimeSeries(
        name=name,
        description=description,
        data=data,
        unit=unit,
        starting_time=_span(recording)[0],
        rate=each / float(recording.decision_time),
    )


def _table(pynwb: Any, name: str, description: str, values: np.ndarray) -> Any:
    """Rows are decisions or episodes, in the order of their tables."""
    column = pynwb.core.VectorData(name="value", description=description, data=values)
    return pynwb.core.DynamicTable(name=name, description=description, columns=[column])


def _stream(recording: Recording, name: str, each: int, shape: tuple[int, ...]) -> Any:
    """Samples, read block by block while the file is written."""
    utils = imported("hdmf.data_utils")

    def pieces() -> Iterator[np.ndarray]:
        for start in range(0, len(recording), BLOCK):
            part = recording.decisions(start, min(start + BLOCK, len(recording)))
            yield from np.asarray(part.states(name).values)

    return utils.DataChunkIterator(
        data=pieces(), maxshape=shape, dtype=np.dtype(float), buffer_size=max(1, 2**20 // (8 * math.prod(shape[1:])))
    )
