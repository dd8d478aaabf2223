"""One training whose episodes are played by worker processes: the same bits, and how fast, by their number.

    python benchmarks/training_on_workers.py [--workers 0 1 2 4] [--batches 4] [--rounds 1] [--rows doom] [--write]

Zero workers are one process. Each training has some batches of episodes; what is timed lies between the end of the
first (by then workers have started Doom and built their networks) and the end of the last but one. Every number of
workers has to come to the same weights, bit for bit, or the script ends with an error. `--write` writes
training_on_workers.md.

(It is not called distributed.py, as from here that would hide Dask's package of that name.)
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)  # before NumPy

import distributed.protocol.pickle as wire
import numpy as np

from rwta_sim import Agent, RunFolder, preset, train
from rwta_sim.lab.runs import versions
from rwta_sim.lab.training import Progress
from rwta_sim.lab.workers import opened
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.players import play_one
from rwta_sim.loop.transcript import Transcript
from rwta_sim.seeding import Purpose

TABLE = Path(__file__).with_suffix(".md")
BATCH = 8
#: Frames of Doom in a decision.
TICS = {"doom": 4}


def experiments(batches: int) -> dict[str, Experiment]:
    """What is trained: Doom with the 60 x 80 pixels and 50 circuits of ten of S3, and CartPole, whose decisions cost
    next to nothing."""
    same = {
        "training.episodes": BATCH * batches,
        "training.validate_every": BATCH * batches,
        "training.validation_episodes": 1,
        "training.checkpoint_every": BATCH * batches,
        "training.target": None,
        "learning.batch": BATCH,
    }
    doom = {"environment.kwargs": {"size": [60, 80], "encoding": "grey"}, "network.hidden_circuits": 50, **same}
    cartpole = {"learning.modulation.kind": "episode_advantage", **same}
    return {
        "doom": preset("doom-health").changed(doom),
        "cartpole": preset("cartpole", "svpg-lockstep").changed(cartpole),
    }


@dataclass
class Clock:
    """Hears of episodes, and times those between the first batch and the last."""

    batches: int
    moments: dict[int, tuple[float, float]] = field(default_factory=dict)
    decisions: dict[int, int] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> None:
        self.moments[progress.episode] = time.perf_counter(), time.process_time()
        self.decisions[progress.episode] = progress.result.decisions

    def each(self) -> np.ndarray:
        """Seconds of a decision, by the clock and of this process."""
        first, last = BATCH, BATCH * (self.batches - 1)
        played = sum(self.decisions[n] for n in range(first + 1, last + 1))
        return np.subtract(self.moments[last], self.moments[first]) / played


def trained(experiment: Experiment, workers: int, batches: int) -> tuple[np.ndarray, str]:
    """See `Clock.each`, and a digest of all that the last checkpoint holds."""
    clock = Clock(batches)
    with tempfile.TemporaryDirectory(prefix="on_workers-") as folder, ExitStack() as stack:
        cluster = stack.enter_context(opened(f"local:{workers}")) if workers else None
        train(experiment, f"{folder}/run", report=clock, cluster=cluster)
        arrays = RunFolder.open(f"{folder}/run").last().arrays
        digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    return clock.each(), digest


def sizes(experiment: Experiment) -> tuple[float, float]:
    """MiB that go out with an order, and that come back for each decision."""
    with Agent(experiment, trains=True) as agent:
        agent.player.calibrate(experiment.seed)
        transcript = Transcript(agent.system)
        result = agent.run(play_one(agent.player, experiment.seed, Purpose.TRAINING, 0, transcript))
        out = sum(np.asarray(array).nbytes for array in agent.system.state().values())
        back = len(wire.dumps(transcript)) / result.decisions
    return out / 2**20, back / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="numbers of them; 0 first")
    parser.add_argument("--batches", type=int, default=4, help=f"of {BATCH} episodes, 3 at least")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rows", nargs="+", default=["doom", "cartpole"])
    parser.add_argument("--load", default="quiet", help="what else the machine did")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    lines = []
    for name in arguments.rows:
        experiment = experiments(arguments.batches)[name]
        times: dict[int, list[np.ndarray]] = {workers: [] for workers in arguments.workers}
        digests = set()
        for _ in range(arguments.rounds):
            for workers in arguments.workers:
                each, digest = trained(experiment, workers, arguments.batches)
                times[workers].append(each)
                digests.add(digest)
                print(name, workers, f"{1 / each[0]:.1f} decisions/s", digest[:12], file=sys.stderr, flush=True)
        if len(digests) != 1:
            raise SystemExit(f"{name}: numbers of workers came to {len(digests)} different ends")
        out, back = sizes(experiment)
        for workers, ours in times.items():
            ratio = median(alone[0] / mine[0] for mine, alone in zip(ours, times[arguments.workers[0]], strict=True))
            seconds, here = np.median(ours, axis=0)
            frames = f"{TICS[name] / seconds:,.0f}" if name in TICS else ""
            lines.append(
                f"| {name} | {workers} | {1 / seconds:,.0f} | {frames} | {ratio:.2f} | {1e3 * here:.2f} | {out:.2f} | "
                f"{1024 * back:.1f} | {min(digests)[:12]} |"
            )
    text = "\n".join(
        [
            "# One training on worker processes",
            "",
            f"Command: `python benchmarks/training_on_workers.py {shlex.join(sys.argv[1:])}`. Machine: {machine()}, "
            f"{arguments.load}. Versions: {listed(versions('distributed'))}.",
            "",
            f"Batches of {BATCH} episodes, the first and the last of {arguments.batches} not timed; medians of "
            f"{arguments.rounds} round(s). `doom`: 4,800 grey pixels, 50x10 hidden neurons, spikes, PPO, episodes as "
            "short as an untrained agent's; a frame is a tic of Doom, four to a decision. `ms here`: processor "
            "time of the process that learns, for each decision (without Doom, which is a process of its own): what it "
            "takes with workers is what no further worker takes off it. Sent are the weights, with "
            "each order, and of each decision its notes. `digest` is that of the last checkpoint's arrays: one for all "
            "numbers of workers.",
            "",
            "| task | workers | decisions/s | frames/s | of one process | ms here | MiB out | KiB back | digest |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )
    print(text)
    if arguments.write:
        TABLE.write_text(text)


if __name__ == "__main__":
    main()
