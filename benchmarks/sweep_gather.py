"""Gather the results of many runs, which nobody trained for, into tables and a figure; writes sweep_gather.md.

    python benchmarks/sweep_gather.py --runs 10000

One run is trained; its result.json, with another mean return for each, and its config.toml are put where those of the
other points belong. Then `rwta-sim sweep FILE --table` is measured in a process of its own: seconds, processor time and
the most memory. What a million runs take is what one takes, times a million.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from machine import ONE_THREAD, listed, machine

from rwta_sim.lab.runs import versions
from rwta_sim.lab.sweep import Sweep, SweepFolder, points_of
from rwta_sim.lab.sweep.estimate import size_of
from rwta_sim.lab.sweep.job import RESULT, Job, do
from rwta_sim.memory import readable_size

TABLE = Path(__file__).with_suffix(".md")
SEEDS = 10


def sweep_of(runs: int) -> dict[str, Any]:
    """The sweep file: a grid of two settings, with ten seeds."""
    rates = np.geomspace(1e-3, 1e-1, max(1, runs // SEEDS // 10)).tolist()
    gammas = np.linspace(0.1, 0.9, 10).round(3).tolist()
    settings = {"dynamics": "rate", "learning.rule.kind": "mean_field", "training.episodes": 50}
    grid = {"learning.rate": rates, "critic.gamma": gammas}
    return {"task": "cue", "model": "svpg-lockstep", "seeds": SEEDS, "settings": settings, "grid": grid}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--load", default="busy with other work", help="what else the machine did")
    arguments = parser.parse_args()
    tree = sweep_of(arguments.runs)
    points = points_of(Sweep.of(tree))
    with tempfile.TemporaryDirectory(prefix="sweep_gather-") as parent:
        folder = SweepFolder(Path(parent) / "out")
        (Path(parent) / "sweep.toml").write_text(tomli_w.dumps(tree))
        first = folder.run(points[0])
        experiment = points[0].experiment()
        if do(Job(points[0].name, str(first), experiment.model_dump(mode="json"), 20, {})).state != "finished":
            raise SystemExit("the run that is copied failed")
        bytes_, files = size_of(first)
        content, rng = json.loads((first / RESULT).read_text()), np.random.default_rng(0)
        for point in points[1:]:
            run = folder.run(point)
            run.mkdir(parents=True)
            shutil.copy(first / "config.toml", run / "config.toml")
            numbers = {**content["numbers"], "mean_return": float(rng.normal(15, 2))}
            (run / RESULT).write_text(json.dumps({**content, "name": point.name, "numbers": numbers}, indent=1))
        seconds, cpu, memory = measured(Path(parent))
        most = max(len(list(shard.iterdir())) for shard in (folder.path / "runs").iterdir())
        sizes = {name: (folder.path / name).stat().st_size for name in ("runs.csv", "scores.csv")}
    million = 1_000_000
    lines = [
        "# Gathering the results of a sweep",
        "",
        f"Command: `python benchmarks/sweep_gather.py --runs {arguments.runs}`. Machine: {machine()}, "
        f"{arguments.load}. Versions: {listed(versions())}.",
        "",
        f"`rwta-sim sweep FILE --table` of {len(points)} finished runs ({len(points) // SEEDS} points, {SEEDS} seeds), "
        "start of Python included:",
        "",
        "| | |",
        "| --- | --- |",
        f"| seconds | {seconds:.1f} |",
        f"| processor time (s) | {cpu:.1f} |",
        f"| most memory | {readable_size(memory)} |",
        f"| entries of the fullest folder | {most} |",
        *(f"| {name} | {readable_size(size)} |" for name, size in sizes.items()),
        "",
        "Reckoned, not measured: a million runs like the one that was trained (the mean field of a small network, "
        "checkpoints included) take",
        "",
        "| | |",
        "| --- | --- |",
        f"| files | {files} of each run, {files * million:,} in all |",
        f"| disk | {readable_size(bytes_)} of each run, {bytes_ * million / 1e9:,.0f} GB in all |",
        f"| runs in each of 256 folders | {million / 256:,.0f} |",
    ]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


def measured(parent: Path) -> tuple[float, float, int]:
    """Seconds, processor time and most memory (bytes) of the command."""
    line = [str(Path(sys.executable).with_name("rwta-sim")), "sweep", "sweep.toml", "--out", "out", "--table"]
    began = time.perf_counter()
    subprocess.run(line, check=True, cwd=parent, env={**os.environ, **ONE_THREAD})
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
