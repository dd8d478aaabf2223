"""Kill a training with SIGKILL at random moments, resume it, and compare with the run that was never killed.

    python benchmarks/kill_resume.py --kills 20 --engine compiled

Each trial starts a training of its own, kills it at a moment drawn uniformly from the duration of the whole run
(start-up included), resumes it to its end, and compares every array of the last checkpoint and the file
metrics.csv byte by byte. Prints one line a trial and writes the engine's section of kill_resume.md.

    python benchmarks/kill_resume.py --kills 1000 --operations

does so with a tiny training, at each of its file operations and of those of its resumption, the rest at random moments,
and lets the disk be full at each; it compares all that a run comes to (see `interruptions.end_of`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from interruptions import SPIKING, TINY, attempt, begin_or_resume, full, kill
from interruptions import end_of as all_of
from machine import listed

import rwta_sim
from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.runs import RunFolder, versions

PROGRAM = str(Path(sys.executable).with_name("rwta-sim"))
TABLE = Path(__file__).parent / "kill_resume.md"
HEADING = "## "
#: CartPole, short, with validations and checkpoints often enough that kills hit them.
SETTINGS = [
    "--no-figures",
    *("--training.validate_every", "10", "--training.validation_episodes", "2", "--training.checkpoint_every", "4"),
]


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end_of(folder: Path) -> tuple[dict[str, bytes], bytes, int]:
    run = RunFolder.open(folder)
    last = run.last()
    return {k: a.tobytes() for k, a in last.arrays.items()}, run.metrics_path.read_bytes(), last.meta["episode"]


def whole(folder: Path, settings: list[str]) -> float:
    """A training that nobody kills; returns its duration in seconds."""
    began = time.perf_counter()
    if start("train", "cartpole", *settings, "--run", str(folder)).wait():
        raise SystemExit("the training failed")
    return time.perf_counter() - began


def killed(run: Path, settings: list[str], moment: float) -> str:
    """Train, kill after `moment` seconds, resume to the end; returns the episodes logged by the kill."""
    process = start("train", "cartpole", *settings, "--run", str(run))
    time.sleep(moment)
    process.kill()
    process.wait()
    made = (run / "config.toml").exists()
    metrics = run / "metrics.csv"
    episodes = max(len(metrics.read_bytes().splitlines()) - 1, 0) if metrics.exists() else 0
    again = ["resume", str(run), "--no-figures"] if made else ["train", "cartpole", *settings, "--run", str(run)]
    return (str(episodes) if made else "not begun") if not start(*again).wait() else "resuming failed"


def trials(engine: str, episodes: int, kills: int, seed: int) -> tuple[bool, list[str]]:
    """Whether all trials ended alike, and the section of kill_resume.md."""
    rng = np.random.default_rng(seed)
    folder, settings = (
        Path(tempfile.mkdtemp(prefix="kill_resume-")),
        [*SETTINGS, "--episodes", str(episodes), "--engine", engine],
    )
    whole(folder / "warm", settings)  # fills the cache of compiled code
    duration = whole(folder / "whole", settings)
    expected = end_of(folder / "whole")
    rows, equal = [], 0
    for trial in range(kills):
        run, moment = folder / f"killed-{trial}", rng.uniform(0, duration)
        logged = killed(run, settings, moment)
        same = logged != "resuming failed" and end_of(run) == expected
        equal += same
        rows.append(f"| {trial + 1} | {moment:.2f} | {logged} | {'yes' if same else 'NO'} |")
        print(rows[-1], flush=True)
    return equal == kills, [
        f"{HEADING}Engine: {engine}",
        "",
        "SIGKILL at random moments of a CartPole training. "
        f"Command: `python benchmarks/kill_resume.py --kills {kills} --seed {seed} --engine {engine} "
        f"--episodes {episodes}`; a training: "
        f"`rwta-sim train cartpole {' '.join(settings)}`, {duration:.1f} s unkilled, {expected[2]} episodes.",
        f"Versions: {listed(versions())}.",
        "",
        f"{equal} of {kills} ended bit for bit like the run that was never killed: every array of the last "
        "checkpoint (weights, optimiser, critic) and metrics.csv.",
        "",
        "| trial | killed after (s) | episodes logged by then | same end |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


class Tiny:
    """A tiny training that is interrupted again and again, each time in a folder of its own.

    Attributes
    ----------
    operations : int
        File operations of a whole training.
    trials, interrupted, alike : int
        Trials up to now, those in which something was interrupted, and those that came to the end of the whole one.
    """

    def __init__(self, experiment: rwta_sim.Experiment, parent: Path) -> None:
        self.experiment, self.parent = experiment, parent
        began = time.perf_counter()
        done = attempt(lambda: rwta_sim.train(experiment, parent / "whole"), parent / "whole", lambda count: None)
        self.seconds, self.operations = time.perf_counter() - began, int(done.removeprefix("done and "))
        self.expected = all_of(parent / "whole")
        self.trials = self.interrupted = self.alike = 0

    def trial(self, act: Callable[[int], None], after: float | None = None, of_resumption: bool = False) -> None:
        folder = self.parent / f"trial-{self.trials}"
        if of_resumption:  # of what a kill in the middle left
            attempt(lambda: rwta_sim.train(self.experiment, folder), folder, kill(self.operations // 2))
        said = attempt(lambda: begin_or_resume(self.experiment, folder), folder, act, after)
        again = attempt(lambda: begin_or_resume(self.experiment, folder), folder, lambda count: None)
        wrong = [said] if said != "killed" and ("\n" in said or not said.startswith(("done", "cannot"))) else []
        try:
            found = all_of(folder)
            wrong += [name for name, value in self.expected.items() if found[name] != value]
        except (RwtaSimError, OSError) as error:
            wrong.append(str(error))
        self.trials += 1
        self.interrupted += not said.startswith("done")
        self.alike += not wrong
        if wrong:
            print(f"{folder}: {wrong}, it said: {said}, then: {again}", flush=True)
        else:
            shutil.rmtree(folder)


def operations(kills: int, seed: int) -> tuple[bool, list[str]]:
    """The same of a tiny training, at each file operation."""
    rng, rows, equal = np.random.default_rng(seed), [], True
    parent = Path(tempfile.mkdtemp(prefix="kill_resume-"))

    def row(name: str, what: str, tiny: Tiny) -> None:
        nonlocal equal
        equal = equal and tiny.alike == tiny.trials
        rows.append(f"| {name} | {what} | {tiny.trials} | {tiny.interrupted} | {tiny.alike} |")
        print(rows[-1], flush=True)

    killed = 0
    for name, experiment, every in (("mean field", TINY, 1), ("spikes, in NumPy", SPIKING, 4)):
        for of_resumption in (False, True):
            tiny = Tiny(experiment, Path(tempfile.mkdtemp(dir=parent)))
            for at in range(1, tiny.operations + 1, every):
                if not of_resumption or at <= tiny.operations // 2 + 10:
                    tiny.trial(kill(at), of_resumption=of_resumption)
            row(name, f"SIGKILL at operations of a {'resumption' if of_resumption else 'training'}", tiny)
            killed += tiny.trials
        for what, last in (("from an operation on", False), ("at an operation", True)):
            tiny = Tiny(experiment, Path(tempfile.mkdtemp(dir=parent)))
            for at in range(1, tiny.operations + 1, every):
                tiny.trial(full(at, at if last else None))
            row(name, f"disk full {what}", tiny)
    tiny = Tiny(TINY, Path(tempfile.mkdtemp(dir=parent)))
    for _ in range(max(kills - killed, 0)):
        tiny.trial(lambda count: None, after=rng.uniform(0, tiny.seconds))
    row("mean field", "SIGKILL at random moments of a training", tiny)
    return equal, [
        f"{HEADING}Every file operation of a tiny training",
        "",
        f"Command: `python benchmarks/kill_resume.py --operations --kills {kills} --seed {seed}`. Ten episodes of the "
        "task `cue` with a checkpoint every second one and four validations. File operations are writes (half of one "
        "that is interrupted is there), renames, fsync, truncations, deletions and new folders: every one with the "
        "mean field, every fourth with spikes.",
        f"Versions: {listed(versions())}.",
        "",
        "Alike: resumed, or begun again where there was no config.toml yet, they end bit for bit like the training "
        "that nothing interrupted: all arrays and counters of the first, the best and the last checkpoint, "
        "metrics.csv, the summary, what the best evaluates to; no other file is left. "
        "A full disk is told of in one line.",
        "",
        "| network | what | trials | interrupted | alike |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]


def write(section: list[str]) -> None:
    """Put a section into kill_resume.md, and leave the others."""
    text = TABLE.read_text() if TABLE.exists() else ""
    sections = {part.partition("\n")[0]: part.strip() for part in text.split(f"\n{HEADING}")[1:]}
    sections[section[0].removeprefix(HEADING)] = "\n".join(section).removeprefix(HEADING)
    parts = ["# Trainings that are interrupted, then resumed with `rwta-sim resume`"]
    TABLE.write_text("\n\n".join([*parts, *(HEADING + sections[name] for name in sorted(sections))]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--episodes", type=int, default=250, help="of a training, so that most kills hit it")
    parser.add_argument("--engine", choices=["compiled", "runtime"], default="compiled")
    parser.add_argument("--operations", action="store_true", help="a tiny training, at each of its file operations")
    arguments = parser.parse_args()
    if arguments.operations:
        equal, section = operations(arguments.kills, arguments.seed)
    else:
        equal, section = trials(arguments.engine, arguments.episodes, arguments.kills, arguments.seed)
        print(section[5])
    write(section)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
