"""Kill the workers of a sweep, and once its command with the scheduler, at random moments; writes sweep_kills.md.

    python benchmarks/sweep_kills.py --folder FOLDER [--runs 40] [--kills 20] [--workers 4]

A sweep of short runs, half of them a mean field and half of spikes in NumPy, on worker processes of this machine. When
shares of all its episodes, drawn at random, have been played, a random worker is killed (SIGKILL); at another moment
the command is, and started again. Then every run is compared with the same run alone: metrics.csv, all arrays and
counters of the first, the best and the last checkpoint, the summary, and what its best weights evaluate to. Nothing
may have been done twice: once it was there, no run's config.toml (it would have begun anew) and no result.json (it
would have been finished again) may have been written again.

What is in FOLDER is gone on with, if this is interrupted itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tomli_w
from interruptions import end_of
from machine import ONE_THREAD, listed, machine

import rwta_sim
from rwta_sim.lab.runs import versions
from rwta_sim.lab.sweep import Point, Sweep, SweepFolder, points_of

TABLE = Path(__file__).with_suffix(".md")
EPISODES = 16
SETTINGS = {
    "training.episodes": EPISODES,
    "training.target": 1e9,  # none is reached: all runs are as long
    "training.checkpoint_every": 2,
    "training.validate_every": 7,
    "training.validation_episodes": 2,
    "engine.target": "numpy",
}
#: Half of the runs each.
KINDS = (
    {"name": "mean field", "dynamics": "rate", "learning.rule.kind": "mean_field"},
    {"name": "spikes", "dynamics": "spiking", "learning.rule.kind": "last_step"},
)


def sweep_of(runs: int) -> dict[str, Any]:
    """The sweep file."""
    who = {"task": "cue", "model": "svpg-lockstep", "seeds": runs // len(KINDS), "evaluate": 2}
    return {**who, "settings": SETTINGS, "point": list(KINDS)}


class Sweeping:
    """The command, its workers, and what it has written."""

    def __init__(self, file: Path, out: Path, points: list[Point], workers: int) -> None:
        program = str(Path(sys.executable).with_name("rwta-sim"))
        self._line = [program, "sweep", str(file), "--out", str(out), "--cluster", f"local:{workers}"]
        self._places = [SweepFolder(out).run(point) for point in points]
        self._log = open(out.parent / "log.txt", "a")
        self.written: dict[str, int] = {}
        self.twice: list[str] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._line, stdout=self._log, stderr=self._log, env={**os.environ, **ONE_THREAD}, start_new_session=True
        )

    def workers(self) -> list[psutil.Process]:
        found = []
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
        return found

    def look(self) -> float:
        """Share of all episodes that were played; notes what was written twice."""
        played = 0
        for place in self._places:
            for name in ("config.toml", "result.json"):
                with suppress(FileNotFoundError):
                    path = place / name
                    moment = path.stat().st_mtime_ns
                    if self.written.setdefault(str(path), moment) != moment:
                        self.twice.append(str(path))
            with suppress(FileNotFoundError):
                played += (place / "metrics.csv").read_bytes().count(b"\n") - 1
        return played / (EPISODES * len(self._places))


def killed(sweeping: Sweeping, moments: list[float], command_at: float, rng: np.random.Generator) -> list[str]:
    """Sweep to the end, killing when shares of the episodes are played; a line for each kill."""
    told, left, command_left = [], sorted(moments), True
    while True:
        share, status = sweeping.look(), sweeping.process.poll()
        if status is not None:
            if status:
                raise SystemExit(f"the sweep ended with status {status}: see log.txt")
            return told
        if command_left and share >= command_at:
            command_left = False
            sweeping.process.kill()
            sweeping.process.wait()
            told.append(f"| the command and its scheduler | {share:.3f} |")
            sweeping.start()
        elif left and share >= left[0] and (workers := sweeping.workers()):
            left.pop(0)
            workers[int(rng.integers(len(workers)))].kill()
            told.append(f"| a worker | {share:.3f} |")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tree = sweep_of(arguments.runs)
    points, rng = points_of(Sweep.of(tree)), np.random.default_rng(arguments.seed)
    moments, command_at = rng.random(arguments.kills).tolist(), float(rng.uniform(0.3, 0.7))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file, out, notes = (arguments.folder / name for name in ("sweep.toml", "swept", "kills.json"))
    file.write_text(tomli_w.dumps(tree))
    if not notes.exists():
        sweeping = Sweeping(file, out, points, arguments.workers)
        told = killed(sweeping, moments, command_at, rng)
        notes.write_text(json.dumps({"kills": told, "twice": sweeping.twice, "written": len(sweeping.written)}))
    content = json.loads(notes.read_text())
    same = 0
    for point in points:
        alone = arguments.folder / "alone" / point.name
        if not (alone / "config.toml").exists():
            rwta_sim.train(point.experiment(), alone)
        elif not (json.loads((alone / "summary.json").read_text()) if (alone / "summary.json").exists() else {}):
            rwta_sim.resume(alone)
        same += end_of(SweepFolder(out).run(point)) == end_of(alone)
        print(f"{point.name}: {same} the same so far", flush=True)
    TABLE.write_text("\n".join(lines(arguments, content, same, len(points))) + "\n")
    print(TABLE.read_text())
    if same < len(points) or content["twice"]:
        raise SystemExit("not all runs ended alike, or something was done twice")


def lines(arguments: argparse.Namespace, content: dict[str, Any], same: int, of: int) -> list[str]:
    """The page."""
    workers = sum("a worker" in line for line in content["kills"])
    return [
        "# A sweep whose workers are killed",
        "",
        f"Command: `python benchmarks/sweep_kills.py --folder FOLDER --runs {arguments.runs} --kills {arguments.kills} "
        f"--workers {arguments.workers} --seed {arguments.seed}`. Machine: {machine()}. Versions: "
        f"{listed({**versions('distributed')})}.",
        "",
        f"{of} runs of {EPISODES} episodes on {arguments.workers} worker processes; {workers} workers killed "
        f"(SIGKILL), and {len(content['kills']) - workers} time the command with its scheduler, started again. {same} "
        f"of {of} runs ended bit for bit like the same run alone: metrics.csv, all arrays and counters of the first, "
        "the best and the last checkpoint, the summary, and what the best weights evaluate to. Of the "
        f"{content['written']} config.toml and result.json that were seen to appear, {len(content['twice'])} were "
        "written again.",
        "",
        "| killed | share of all episodes that were played |",
        "| --- | --- |",
        *content["kills"],
    ]


if __name__ == "__main__":
    main()
