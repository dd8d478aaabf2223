"""Kill a training with SIGKILL at random moments, resume it, and compare with the run that was never killed.

    python benchmarks/kill_resume.py --kills 20 --engine compiled

Each trial starts a training of its own, kills it at a moment drawn uniformly from the duration of the whole run
(start-up included), resumes it to its end, and compares every array of the last checkpoint and the file
metrics.csv byte by byte. Prints one line a trial and writes the engine's section of kill_resume.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import listed

from rwta_sim.runs import RunFolder, versions

PROGRAM = str(Path(sys.executable).with_name("rwta-sim"))
TABLE = Path(__file__).parent / "kill_resume.md"
HEADING = "## Engine: "
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
        f"{HEADING}{engine}",
        "",
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


def write(engine: str, section: list[str]) -> None:
    """Put the section of an engine into kill_resume.md, and leave that of the other."""
    text = TABLE.read_text() if TABLE.exists() else ""
    sections = {part.partition("\n")[0]: part.strip() for part in text.split(f"\n{HEADING}")[1:]}
    sections[engine] = "\n".join(section).removeprefix(HEADING)
    parts = ["# SIGKILL at random moments of a CartPole training, then `rwta-sim resume`"]
    TABLE.write_text("\n\n".join([*parts, *(HEADING + sections[name] for name in sorted(sections))]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--episodes", type=int, default=250, help="of a training, so that most kills hit it")
    parser.add_argument("--engine", choices=["compiled", "runtime"], default="compiled")
    arguments = parser.parse_args()
    equal, section = trials(arguments.engine, arguments.episodes, arguments.kills, arguments.seed)
    write(arguments.engine, section)
    print(section[5])
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
