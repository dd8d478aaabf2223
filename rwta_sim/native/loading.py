"""Compiled code into memory."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from pathlib import Path

from rwta_sim.errors import EngineError
from rwta_sim.native.build import compiler, compiler_failed
from rwta_sim.native.folder import cache_folder
from rwta_sim.native.scratch import scratch

__all__ = ["load"]


def load(code: bytes) -> ctypes.CDLL:
    """A library with memory of its own, whoever else has loaded the same code.

    Raises
    ------
    EngineError
        If it cannot be written to a place from which it can be loaded.
    """
    # The loader gives the same memory to the same file: a library of its own needs a file of its own. Where temporary
    # files may not be executed, those in the cache may.
    problems, name = [], f"{hashlib.sha256(code).hexdigest()}.so"  # so debuggers and profilers tell them apart
    for place in (Path(tempfile.gettempdir()), cache_folder() / "compiled"):
        try:
            with scratch(place) as folder:
                copy = folder / name
                copy.write_bytes(code)
                return ctypes.CDLL(str(copy), mode=ctypes.RTLD_LOCAL)
        except OSError as error:
            problem = error.strerror or str(error).replace(str(folder), str(place))
            if "undefined symbol" in problem or "ymbol not found" in problem:
                raise compiler_failed(
                    f"{compiler()}: its library lacks something ({problem}). Is it a C compiler? C++ needs g++, not gcc"
                ) from error
            problems.append(f"{place}: {problem}")
    raise EngineError(
        f"compiled code cannot be loaded ({'; '.join(problems)}): is the disk full, or nothing allowed to be executed "
        "there? Set TMPDIR to a folder where it is"
    )
