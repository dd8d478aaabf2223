"""What a table says about the machine and the software that made it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ONE_THREAD", "listed", "machine"]

#: Environment in which NumPy keeps to one core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def processor() -> str:
    """The processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    """Processor, number of cores and system."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}"


def listed(versions: Mapping[str, str]) -> str:
    """Names and versions of the software, for a sentence."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
