"""Resident memory over a million training decisions of a large network; writes memory_training.md.

    python benchmarks/memory_training.py

S3 (4,800 inputs, 50x10 hidden, 5 actions, all blocks, 2.7 million weights) learns from its spikes by the score function
and an update per episode, in the environment of random images of replicas.py, with checkpoints and metrics as in every
training. Resident memory is that of the whole process (VmRSS in /proc/self/status).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from machine import listed, machine
from memory import resident
from replicas import RandomImages, Row

from rwta_sim import train
from rwta_sim.lab.runs import versions
from rwta_sim.lab.training import Progress

HERE = Path(__file__).parent
LENGTH, STEPS, LIT = 250, 10, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--inputs", choices=["spikes", "current"], default="current")
    arguments = parser.parse_args()
    episodes = arguments.decisions // LENGTH
    changes = {
        "decision.steps": STEPS,
        "network.precision": "single",
        "network.inputs": arguments.inputs,
        "learning.rule.kind": "score_function",
        "learning.batch": 1,
        "training.episodes": episodes,
        "training.validate_every": max(episodes // 4, 1),
        "training.checkpoint_every": 100,
    }
    experiment = Row("S3", "poisson").experiment(1, episodes).changed(changes)
    marks = {round(episodes * n / 20) for n in range(1, 21)} | {1}
    rows, began = [(0, resident())], time.perf_counter()

    def report(progress: Progress) -> None:
        if progress.episode in marks:
            rows.append((progress.episode * LENGTH, resident()))
            print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        train(experiment, f"{folder}/run", env=RandomImages(4800, 5, 1.0, LENGTH, LIT), report=report)
    seconds = time.perf_counter() - began
    settled = rows[len(rows) // 4 :]
    grown, decisions = settled[-1][1] - settled[0][1], settled[-1][0] - settled[0][0]
    text = [
        "# Resident memory of a training of a million decisions",
        "",
        f"Command: `python benchmarks/memory_training.py --decisions {arguments.decisions} "
        f"--inputs {arguments.inputs}`",
        "",
        f"Machine: {machine()}. Versions: {listed(versions())}.",
        "",
        f"S3, poisson firing, inputs as {arguments.inputs}, {STEPS} steps a decision, {LENGTH} decisions an episode, "
        f"{LIT:.0%} of the pixels lit; "
        "`score_function`, `episode_advantage`, single precision; `rwta_sim.train` with checkpoints. The memory of the "
        "whole process.",
        "",
        "| decisions | resident MiB |",
        "| --- | --- |",
        *(f"| {done:,} | {size:.1f} |" for done, size in rows),
        "",
        f"From decision {settled[0][0]:,} to {settled[-1][0]:,}: {grown:+.2f} MiB, {grown / decisions * 1e6:+.2f} a "
        f"million. {seconds:.0f} s, beside other work.",
    ]
    (HERE / "memory_training.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
