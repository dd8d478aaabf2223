"""Recordings as tables: a CSV or Parquet file each of decisions, episodes, spikes and what else was recorded."""

from __future__ import annotations

import csv
import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

__all__ = ["imported", "tables", "write_csv", "write_parquet"]

#: Decisions that are in memory at once.
BLOCK = 4096
#: Values of a row for which there are columns; of more, as of images and matrices, there is a row each.
_MOST_COLUMNS = 256
Table = dict[str, np.ndarray]


def imported(module: str) -> Any:
    """A module of the extra `neuro`.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(f"this needs {package}: pip install 'rwta-sim[neuro]' ({error})") from None


def tables(recording: Recording) -> dict[str, Callable[[], Iterator[Table]]]:
    """What there is, by the name of the table: functions that give it in pieces, columns of equal lengths.

    ``decisions``: one row each, with start (s) and episode. ``episodes``. ``spikes``: time (s), population, neuron.
    States: a row for each sample; other probes: of each decision or episode, one value per column, or, of matrices, one
    per row, with indices ``i0``, ``i1``.
    """
    found: dict[str, Callable[[], Iterator[Table]]] = {
        "decisions": lambda: _decisions(recording),
        "episodes": lambda: iter([_episodes(recording)]),
    }
    if recording.populations:
        found["spikes"] = lambda: _spikes(recording)
    for key, probe in recording.probes.items():
        name, moment = probe["name"], probe["moment"]
        found[key] = lambda name=name, moment=moment: _probe(recording, name, moment)  # type: ignore[misc]
    return found


def blocks(recording: Recording) -> Iterator[Recording]:
    """Parts of a recording of few decisions each."""
    for start in range(0, len(recording), BLOCK):
        yield recording.decisions(start, min(start + BLOCK, len(recording)))


def _decisions(recording: Recording) -> Iterator[Table]:
    rows = recording.episodes
    firsts, ends, numbers = (np.array([getattr(row, name) for row in rows]) for name in ("first", "end", "number"))
    step = float(recording.decision_time)
    for part in blocks(recording):
        decision = np.arange(part.start, part.stop)
        table: Table = {"decision": decision, "start": decision * step, "stop": (decision + 1) * step}
        if len(rows):
            at = np.clip(np.searchsorted(firsts, decision, side="right") - 1, 0, None)
            inside = (decision >= firsts[at]) & (decision < ends[at])
            table["episode"] = np.where(inside, numbers[at], -1)
        for column in recording.columns:
            table |= _columns(column, part[column])
        yield table


def _columns(name: str, values: np.ndarray) -> Table:
    """One column, or as many as a row has values."""
    if values.ndim == 1:
        return {name: values}
    flat = values.reshape(len(values), -1)
    if flat.shape[1] > _MOST_COLUMNS:
        return {}
    return {f"{name}_{k}": flat[:, k] for k in range(flat.shape[1])}


def _episodes(recording: Recording) -> Table:
    rows, step = recording.episodes, float(recording.decision_time)
    return {
        "episode": np.array([row.number for row in rows], int),
        "start": np.array([row.first * step for row in rows], float),
        "stop": np.array([row.end * step for row in rows], float),
        "decisions": np.array([row.end - row.first for row in rows], int),
        "return": np.array([row.total for row in rows], float),
        "terminated": np.array([row.terminated for row in rows], bool),
    }


def _spikes(recording: Recording) -> Iterator[Table]:
    names = np.array(list(recording.populations))
    for part in blocks(recording):
        found = [part.spikes(str(name)) for name in names]
        t = np.concatenate([np.asarray(s.t) for s in found])
        order = np.argsort(t, kind="stable")
        population = np.repeat(names, [len(s.i) for s in found])
        yield {"time": t[order], "population": population[order], "neuron": np.concatenate([s.i for s in found])[order]}


def _probe(recording: Recording, name: str, moment: str) -> Iterator[Table]:
    if moment == "episode":
        values = np.asarray(recording.at_episodes(name))
        yield _rows({"episode": np.array([row.number for row in recording.episodes], int)}, values)
        return
    for part in blocks(recording):
        if moment == "step":
            t, sampled = part.states(name)
            yield _rows({"time": np.asarray(t)}, np.asarray(sampled))
        else:
            yield _rows({"decision": np.arange(part.start, part.stop)}, np.asarray(part.readings(name)))


def _rows(index: Table, values: np.ndarray) -> Table:
    if values.ndim <= 2:
        return {**index, **(_columns("value", values) if values.size else {})}
    places = np.indices(values.shape).reshape(values.ndim, -1)
    (name, labels), *_ = index.items()
    return {
        name: labels[places[0]],
        **{f"i{k}": places[k + 1] for k in range(values.ndim - 1)},
        "value": values.ravel(),
    }


def write_csv(recording: Recording, path: Path) -> Path:
    """A folder of CSV files, as `tables` has them."""

    def write(target: Path, pieces: Iterator[Table]) -> None:
        with open(target, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for number, piece in enumerate(pieces):
                if number == 0:
                    writer.writerow(piece)
                writer.writerows(zip(*(column.tolist() for column in piece.values()), strict=True))

    return _folder(recording, path, ".csv", write)


def write_parquet(recording: Recording, path: Path) -> Path:
    """A folder of Parquet files, as `tables` has them; raises ConfigError without pyarrow."""
    arrow, parquet = imported("pyarrow"), imported("pyarrow.parquet")

    def write(target: Path, pieces: Iterator[Table]) -> None:
        writer = None
        try:
            for piece in pieces:
                table = arrow.table(piece)
                writer = writer or parquet.ParquetWriter(target, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    return _folder(recording, path, ".parquet", write)


def _folder(recording: Recording, path: Path, ending: str, write: Callable[[Path, Iterator[Table]], None]) -> Path:
    """All tables, in a folder that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, pieces in tables(recording).items():
            write(temporary / f"{name}{ending}", pieces())
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path
