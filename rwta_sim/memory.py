"""How much memory there is, compared with what something takes before it is begun."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rwta_sim.errors import NotEnoughMemory

__all__ = ["Need", "available", "readable_size", "require"]


class Need(NamedTuple):
    """Bytes that something takes, and what to change if that is too much."""

    what: str
    bytes: int
    advice: str


def require(needs: Sequence[Need]) -> None:
    """Check that there is memory for all of this.

    Raises
    ------
    NotEnoughMemory
        If there is not, with what takes most of it and what to change.
    """
    total, there = sum(need.bytes for need in needs), available()
    if there is not None and total > there:
        most = max(needs, key=lambda need: need.bytes)
        raise NotEnoughMemory(
            f"this takes at least {readable_size(total)} of memory ({most.what}: {readable_size(most.bytes)}), and "
            f"there are {readable_size(there)}: {most.advice}"
        )


def available() -> int | None:
    """Bytes that this process can still get: of the machine, its control group and its own limits; None: not known."""
    limits = [limit for limit in (_of_machine(), _of_process(), *_of_groups()) if limit is not None]
    return max(min(limits), 0) if limits else None


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {name: int(value.split()[0]) * 1024 for name, value in (line.split(":", 1) for line in lines)}
        return sizes["MemAvailable"] + sizes.get("SwapFree", 0)
    except (OSError, ValueError, KeyError):
        pass
    try:  # no Linux: at least not more than there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_process() -> int | None:
    """What `ulimit -v` leaves."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return limit


def _of_groups(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What the memory limits of control groups (of containers, or of jobs on a cluster) leave, in both versions."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            folder = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the path may be that of the host, of which only the root is there.
        below = Path(path.lstrip("/"))
        for group in {folder / part for part in (below, *below.parents)}:
            limit = _group_limit(group, *names)
            if limit is not None:
                yield limit


def _group_limit(group: Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        left = int((group / limit).read_text()) - int((group / usage).read_text())
        lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        return left + next((int(value) for name, value in lines if name == cached), 0)
    except (OSError, ValueError):  # not there, or "max"
        return None


def readable_size(size: float) -> str:
    """Bytes in the handiest unit: ``1.5 MiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
