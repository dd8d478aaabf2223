"""Compile what all networks include once, not once per network: a third of the compilers' time in this suite.

Brian2's code includes the same headers of the standard library in every file. GCC can read them from a precompiled
header, which is named in ``$CXX``, arguments of the compiler; whoever finds it of no use reads the headers themselves.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from brian2.codegen.cpp_prefs import get_compiler_and_args

from rwta_sim.native.build import compiler

__all__ = ["precompiled"]

_HEADERS = (
    *("algorithm", "climits", "cmath", "csignal", "ctime", "fstream", "iostream", "map", "random", "string", "tuple"),
    *("utility", "vector", "stdlib.h"),
)


def precompiled(folder: Path) -> str | None:
    """A value for ``$CXX`` with these headers compiled in `folder`; None if the compiler is not GCC's or fails."""
    path = compiler()
    if path is None:
        return None
    command = shlex.split(path)
    version = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    if "Free Software Foundation" not in version:
        return None
    header = folder / "standard.h"
    header.write_text("".join(f"#include <{name}>\n" for name in _HEADERS))
    _, usual = get_compiler_and_args()
    made = subprocess.run([*command, *usual, "-fPIC", "-x", "c++-header", header, "-o", f"{header}.gch"])
    return shlex.join([*command, "-include", str(header)]) if made.returncode == 0 else None
