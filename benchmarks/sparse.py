"""Memory and time of sparse networks in proportion to the connections that they have; writes sparse.md.

    python benchmarks/sparse.py --before FOLDER

The network of CartPole in the living regime (`preset("cartpole", "svpg")`: poisson firing, 100 ms a decision) with
many hidden circuits of 50 neurons, connections among them (`hh`) and sparsity. Each row is a process of its own:
memory is what its peak (VmHWM in /proc/self/status) grows by from before the network is built to the end of the last
decision; times are medians. A *forward* decides, a *learning decision* decides and learns (TD error, the optimiser
given). FOLDER is a checkout of the commit before sparse projections were packed, whose rows are beside; without it
there are none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np

import rwta_sim
from rwta_sim.lab.runs import versions
from rwta_sim.seeding import Purpose, episode_seeds

HERE = Path(__file__).parent
SIZE = 50
#: Rule and optimiser of each column of times.
LEARNING = (("feedback", "rms"), ("score_function", "rms"), ("score_function", "sgd"))


def peak() -> float:
    """Peak of this process's resident memory in MiB."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def experiment(circuits: int, sparsity: float, rule: str, optimiser: str) -> rwta_sim.Experiment:
    changes: dict[str, Any] = {
        "network.hidden_circuits": circuits,
        "network.hidden_size": SIZE,
        "network.blocks": ["sh", "hh", "ha"],
        "network.sparsity": sparsity,
        "learning.rule.kind": rule,
        "learning.optimiser.kind": optimiser,
        "engine.name": "compiled",
    }
    return rwta_sim.preset("cartpole", "svpg").changed(changes)


def measure(circuits: int, sparsity: float, rule: str, optimiser: str, decisions: int) -> dict[str, float]:
    """Build the network, let it decide and learn, and tell connections among neurons, MiB and ms."""
    before, began = peak(), time.perf_counter()
    agent = rwta_sim.Agent(experiment(circuits, sparsity, rule, optimiser), trains=True)
    system, seeds = agent.system, episode_seeds(0, Purpose.TRAINING, 0)
    system.prepare_learning()
    built = time.perf_counter() - began
    observation, _ = agent.env.reset(seed=seeds.environment)
    features = system.perceive(observation)
    system.begin(seeds)
    system.begin_episode(features)
    forward, learning = [], []
    for _ in range(decisions):
        start = time.perf_counter()
        choice = system.run(system.decide(features, False, seeds.choices))
        decided = time.perf_counter()
        system.learn(choice, 1.0, features, False, seeds.choices)
        forward.append(decided - start)
        learning.append(time.perf_counter() - start)
    structure = [p for p in system.network.projections if p.origin == "neurons"]
    return {
        "connections": sum(_connections(p) for p in structure),
        "memory": peak() - before,
        "forward": 1e3 * float(np.median(forward[2:])),
        "learning": 1e3 * float(np.median(learning[2:])),
        "built": built,
    }


def _connections(projection: Any) -> int:
    """Also of a commit before there was a packing."""
    if getattr(projection, "packing", None) is not None:
        return projection.packing.size
    return int(np.prod(projection.shape)) if projection.mask is None else int(projection.mask.sum())


def measured(folder: Path, *arguments: object) -> dict[str, float]:
    """`measure` in a process of its own, with the package in `folder`."""
    line = [sys.executable, __file__, "--measure", *map(str, arguments)]
    where = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, cwd=folder, env=where)
    return json.loads(done.stdout.splitlines()[-1])


def row(folder: Path, circuits: int, sparsity: float, decisions: int) -> str:
    """A line of the table: each rule has a process, and the memory is that of the first."""
    found = [measured(folder, circuits, sparsity, *learning, decisions) for learning in LEARNING]
    count, first = found[0]["connections"], found[0]
    per = f"{first['memory']:,.0f} | {first['memory'] * 2**20 / count:.0f}"
    times = [first["forward"], *(x["learning"] for x in found)]
    cells = " | ".join(f"{ms:.1f} ({1e6 * ms / count:.1f})" for ms in times)
    print(f"{folder} {circuits} {sparsity}: {found}", file=sys.stderr, flush=True)
    return f"| {circuits} x {SIZE} | {sparsity:g} | {count:,.0f} | {per} | {cells} | {first['built']:.0f} |"


def table(folder: Path, cases: list[tuple[int, float]], decisions: int) -> list[str]:
    columns = ["forward ms (ns)", *(f"`{rule}`, `{optimiser}` ms (ns)" for rule, optimiser in LEARNING)]
    head = ["hidden", "sparsity", "connections", "peak MiB", "bytes each", *columns, "to build, s"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(row(folder, circuits, sparsity, decisions) for circuits, sparsity in cases), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of the commit before")
    parser.add_argument("--large", type=int, default=200, help="hidden circuits")
    parser.add_argument("--small", type=int, default=60, help="hidden circuits where both commits are run")
    parser.add_argument("--decisions", type=int, default=12, help="of each process; the first two are not timed")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        circuits, sparsity, rule, optimiser, decisions = arguments.measure
        print(json.dumps(measure(int(circuits), float(sparsity), rule, optimiser, int(decisions))))
        return
    if arguments.decisions < 3:
        parser.error("--decisions: expected at least 3")
    here, levels = HERE.parent, (0.8, 0.9, 0.95, 0.99)
    small = [(arguments.small, sparsity) for sparsity in (0.0, *levels)]
    command = f"--large {arguments.large} --small {arguments.small} --decisions {arguments.decisions}"
    text = [
        "# Sparse networks: memory and time of the connections that there are",
        "",
        f"Command: `python benchmarks/sparse.py {command} --before FOLDER`, one process after the other, seed 0.",
        "",
        f"Machine: {machine()}, compiled engine, one thread. Versions: {listed(versions())}.",
        "",
        "Connections are those among hidden and action neurons (`hh`, `ha`); 64 inputs reach all hidden neurons "
        "besides (`sh`). In brackets: per connection. Memory is that of `feedback` with `rms`.",
        "",
        "## Packed",
        "",
        *table(here, [(arguments.large, sparsity) for sparsity in levels], arguments.decisions),
        f"The same with {arguments.small} hidden circuits, without sparsity as matrices:",
        "",
        *table(here, small, arguments.decisions),
    ]
    if arguments.before is not None:
        text += [
            "## Before: matrices with a mask",
            "",
            *table(arguments.before.resolve(), small, arguments.decisions),
        ]
    (HERE / "sparse.md").write_text("\n".join(text).rstrip() + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
