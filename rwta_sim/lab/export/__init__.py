"""Recordings as files and objects of other tools: NWB, Neo, tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rwta_sim.errors import ConfigError, RunError, nearest
from rwta_sim.lab.export.neo_blocks import to_neo, write_neo
from rwta_sim.lab.export.nwb import write_nwb
from rwta_sim.lab.export.tables import write_csv, write_parquet
from rwta_sim.lab.recordings import Recording

__all__ = ["FORMATS", "export", "to_neo", "write_csv", "write_neo", "write_nwb", "write_parquet"]

#: By name: what writes it, and how the name of its file, or folder, ends.
FORMATS: dict[str, tuple[Callable[[Recording, Path], Path], str]] = {
    "nwb": (write_nwb, ".nwb"),
    "neo": (write_neo, ".mat"),
    "csv": (write_csv, "-csv"),
    "parquet": (write_parquet, "-parquet"),
}


def export(recording: Recording, format: str, path: Path | str | None = None) -> Path:
    """Write a recording for other tools.

    Parameters
    ----------
    recording : Recording
        Whole, or a part of one.
    format : {"nwb", "neo", "csv", "parquet"}
        NWB by pynwb; Neo in a MAT file; tables in a folder.
    path : path, optional
        Default: beside the recording, with its name.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If there is no such format, or the package that writes it is not installed.
    RunError
        If it exists already, there is nothing in the recording, or it cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"format {format!r}: {nearest(format, FORMATS)}")
    write, ending = FORMATS[format]
    target = recording.path.with_name(recording.path.stem + ending) if path is None else Path(path)
    if target.exists():
        raise RunError(f"{target} exists already: choose another path, or delete it")
    if not len(recording):
        raise RunError(f"{recording.path} has no decisions to export")
    try:
        return write(recording, target)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
