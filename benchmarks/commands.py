"""The commands a user would type, each in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import ONE_THREAD

__all__ = ["command"]


def command(*arguments: str) -> dict[str, Any]:
    """Run rwta-sim with --json in this Python's environment; its answer, and the CPU time it took."""
    line = [str(Path(sys.executable).with_name("rwta-sim")), *arguments, "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **ONE_THREAD})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {**json.loads(done.stdout), "cpu_seconds": round(spent, 1)}
