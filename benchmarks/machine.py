"""What a table says about the machine that made it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["machine"]


def processor() -> str:
    """The processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    """Processor, number of cores and system."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}"
