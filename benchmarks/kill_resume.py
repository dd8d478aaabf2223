"""Kill a training with SIGKILL at random moments, resume it, and compare with the run that was never killed.

    python benchmarks/kill_resume.py --kills 20

Each trial starts a training of its own, kills it at a moment drawn uniformly from the duration of the whole run
(start-up included), resumes it to its end, and compares every array of the last checkpoint and the file
metrics.csv byte by byte. Prints one line a trial and writes kill_resume.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rwta_sim.runs import RunFolder, versions

PROGRAM = str(Path(sys.executable).with_name("rwta-sim"))
#: CartPole, short, with validations and checkpoints often enough that kills hit them.
SETTINGS = [
    *("--episodes", "100", "--no-figures"),
    *("--training.validate_every", "10", "--training.validation_episodes", "2", "--training.checkpoint_every", "4"),
]


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end_of(folder: Path) -> tuple[dict[str, bytes], bytes, int]:
    run = RunFolder.open(folder)
    last = run.last()
    return {k: a.tobytes() for k, a in last.arrays.items()}, run.metrics_path.read_bytes(), last.meta["episode"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill_resume-"))
    for name in ("warm", "whole"):  # the first one fills the cache of compiled code
        began = time.perf_counter()
        if start("train", "cartpole", *SETTINGS, "--run", str(folder / name)).wait():
            raise SystemExit("the training failed")
        duration = time.perf_counter() - began
    expected = end_of(folder / "whole")
    rows, equal = [], 0
    for trial in range(arguments.kills):
        run, moment = folder / f"killed-{trial}", rng.uniform(0, duration)
        process = start("train", "cartpole", *SETTINGS, "--run", str(run))
        time.sleep(moment)
        process.kill()
        process.wait()
        made = (run / "config.toml").exists()
        metrics = run / "metrics.csv"
        episodes = max(len(metrics.read_bytes().splitlines()) - 1, 0) if metrics.exists() else 0
        again = ["resume", str(run), "--no-figures"] if made else ["train", "cartpole", *SETTINGS, "--run", str(run)]
        failed = start(*again).wait()
        same = not failed and end_of(run) == expected
        equal += same
        rows.append(f"| {trial + 1} | {moment:.2f} | {episodes if made else 'not begun'} | {'yes' if same else 'NO'} |")
        print(rows[-1], flush=True)
    text = [
        "# SIGKILL at random moments of a CartPole training, then `rwta-sim resume`",
        "",
        f"Command: `python benchmarks/kill_resume.py --kills {arguments.kills} --seed {arguments.seed}`; a training: "
        f"`rwta-sim train cartpole {' '.join(SETTINGS)}`, {duration:.1f} s unkilled, {expected[2]} episodes.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".",
        "",
        f"{equal} of {arguments.kills} ended bit for bit like the run that was never killed: every array of the last "
        "checkpoint (weights, optimiser, critic) and metrics.csv.",
        "",
        "| trial | killed after (s) | episodes logged by then | same end |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    (Path(__file__).parent / "kill_resume.md").write_text("\n".join(text) + "\n")
    print(text[5])
    return 0 if equal == arguments.kills else 1


if __name__ == "__main__":
    sys.exit(main())
