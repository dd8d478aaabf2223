"""Where compiled code is kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from rwta_sim.errors import EngineError

__all__ = ["cache_folder", "writable"]


def cache_folder() -> Path:
    """Folder for compiled code: ``$RWTA_SIM_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("RWTA_SIM_CACHE") or platformdirs.user_cache_path("rwta_sim"))


def writable(folder: Path) -> Path:
    """`folder`, made if need be.

    Raises
    ------
    EngineError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EngineError(
            f"the cache folder {folder} cannot be written ({error.strerror}): "
            "set RWTA_SIM_CACHE to a folder you can write to"
        ) from error
    return folder
