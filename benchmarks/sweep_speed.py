"""How much faster a sweep is with two workers than with one, and what a run costs beside its training.

    python benchmarks/sweep_speed.py [--runs 40] [--rounds 3]      # on a quiet machine; writes sweep_speed.md

In each round the same sweep runs on one worker process and on two, in turn, so that both meet the same load. Seconds
are from the moment when the workers are there, and have done a run each that is not counted, to the last result. The
overhead of a run is what the sweep on one worker takes beyond the same trainings and evaluations one after the other in
one process, which has done one before, for each run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)  # before NumPy

import rwta_sim
from rwta_sim.lab.runs import versions
from rwta_sim.lab.sweep import Point, Sweep, SweepFolder, points_of, sweep
from rwta_sim.lab.workers import opened

TABLE = Path(__file__).with_suffix(".md")
EVALUATE = 20
SETTINGS = {"training.episodes": 150, "training.target": 1e9, "engine.target": "numpy", "dynamics": "rate"}
SETTINGS |= {"learning.rule.kind": "mean_field"}
WARM = 10_000  # seeds from here on: runs that are not counted


def points(seeds: list[int]) -> list[Point]:
    who = {"task": "cue", "model": "svpg-lockstep", "evaluate": EVALUATE}
    return points_of(Sweep.of({**who, "seeds": seeds, "settings": SETTINGS}))


def swept(runs: int, workers: int) -> float:
    """Seconds of a sweep on worker processes that are there."""
    with tempfile.TemporaryDirectory(prefix="sweep_speed-") as parent, opened(f"local:{workers}") as cluster:
        folder = SweepFolder(Path(parent))
        sweep(points(list(range(WARM, WARM + 4 * workers))), folder, cluster, EVALUATE)
        began = time.perf_counter()
        count = sweep(points(list(range(runs))), folder, cluster, EVALUATE)
        seconds = time.perf_counter() - began
    if count.finished != runs:
        raise SystemExit(f"{count.finished} of {runs} runs finished")
    return seconds


def plain(runs: int) -> float:
    """Seconds of the same trainings and evaluations, one after the other in this process."""
    with tempfile.TemporaryDirectory(prefix="sweep_speed-") as parent:
        for number, point in enumerate(points([WARM, *range(runs)])):
            if number == 1:
                began = time.perf_counter()
            rwta_sim.train(point.experiment(), Path(parent) / point.name)
            with rwta_sim.Agent.load(Path(parent) / point.name) as agent:
                agent.play(EVALUATE)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of worker processes; 1 first")
    parser.add_argument("--load", default="quiet", help="what else the machine did")
    arguments = parser.parse_args()
    alone: list[float] = []
    seconds: dict[int, list[float]] = {workers: [] for workers in arguments.workers}
    for _ in range(arguments.rounds):
        alone.append(plain(arguments.runs))
        for workers in arguments.workers:
            seconds[workers].append(swept(arguments.runs, workers))
        print(alone, seconds, flush=True)
    overhead = median((one - by) / arguments.runs for one, by in zip(seconds[1], alone, strict=True))
    lines = [
        "# How fast a sweep is",
        "",
        f"Command: `python benchmarks/sweep_speed.py --runs {arguments.runs} --rounds {arguments.rounds}`. Machine: "
        f"{machine()}, {arguments.load}. Versions: {listed(versions('distributed'))}.",
        "",
        f"{arguments.runs} runs of {SETTINGS['training.episodes']} episodes of `cue` (the mean field of "
        f"`svpg-lockstep`), each evaluated on {EVALUATE} episodes; medians of {arguments.rounds} rounds.",
        "",
        "| | seconds | against one worker | runs an hour |",
        "| --- | --- | --- | --- |",
        f"| one process, no sweep | {median(alone):.1f} | | {3600 * arguments.runs / median(alone):.0f} |",
    ]
    for workers, ours in seconds.items():
        ratio = median(one / mine for one, mine in zip(seconds[1], ours, strict=True))
        rate = 3600 * arguments.runs / median(ours)
        lines.append(f"| {workers} worker(s) | {median(ours):.1f} | {ratio:.2f} | {rate:.0f} |")
    lines += ["", f"Overhead of a run on one worker: {overhead:.3f} s."]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
