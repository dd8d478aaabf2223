"""Reparameterised spikes on every task they have a preset for: reparameterised.md.

    python benchmarks/reparameterised.py --runs FOLDER [--seeds 10] [--tasks cartpole xor ...] [--units ...]

For each task and seed the preset (``rwta-sim train TASK --model reparameterised --seed N``), then the weights of its
best validation in 100 evaluation episodes (XOR: 400; digits: every test picture), as ``rwta-sim evaluate`` plays them:
hidden neurons fire by chance, the action neuron with the highest potential fires, and the action is its spike. Beside
it the same with noise on the actions, as in learning; with the connections from hidden to action neurons cut; and a
random policy. ``Concrete`` is the model `reparameterised-concrete`: the relaxed network in place of straight-through
units, at a temperature that falls from 1 to .2.

FOLDER keeps the runs; finished ones in reparameterised.json are kept, interrupted ones go on where they were.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np

from rwta_sim import Agent, preset, resume, train
from rwta_sim.lab.runs import versions
from rwta_sim.loop.player import Episode
from rwta_sim.models.reparameterised import CONCRETE_MODEL, MODEL

TABLE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Task:
    """What is shown of a task, and what was asked for."""

    aim: str
    metric: str = "total"
    digits: int = 1


TASKS = {
    "gridworld": Task("≥ 1.065 (95 % of the optimum, 1.1207)", "discounted", 3),
    "cartpole": Task("≥ 475"),
    "mountaincar": Task("≥ −150"),
    "inverted-pendulum": Task("≥ 195"),
    "acrobot": Task("–"),
    "xor": Task("≥ 0.99", digits=3),
    "digits": Task("–", digits=3),
}
#: By units, the model whose presets have them.
UNITS = {"straight-through": MODEL, "Concrete": CONCRETE_MODEL}


def trained(task: str, units: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train one network, or go on with it, and test it."""
    folder = runs / f"{task}-{units}-{seed}"
    began, cpu = time.perf_counter(), time.process_time()
    if (folder / "config.toml").exists():
        summary = resume(folder)
    else:
        summary = train(preset(task, UNITS[units]).changed(seed=seed), folder)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu

    def mean(episodes: list[Episode]) -> float:
        return float(np.mean([getattr(episode, TASKS[task].metric) for episode in episodes]))

    with Agent.load(folder) as agent:
        values = {
            "greedy": mean(agent.play()),
            "noisy": mean(agent.play(greedy=False)),
            "random": mean(agent.play(random=True)),
        }
        agent.perturb("lesion", "ha")
        values["lesion"] = mean(agent.play())
    return {
        "task": task,
        "units": units,
        "seed": seed,
        **values,
        "decisions": summary.decisions,
        "seconds": seconds,
        "cpu_seconds": used,
    }


def line(task: str, units: str, runs: list[dict[str, Any]]) -> str:
    digits = TASKS[task].digits

    def spread(name: str) -> str:
        values = [run[name] for run in runs]
        deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{deviation}"

    def median(name: str) -> float:
        return float(np.median([run[name] for run in runs]))

    lowest = min(run["greedy"] for run in runs)
    results = [spread("greedy"), f"{lowest:.{digits}f}", TASKS[task].aim, *map(spread, ("noisy", "lesion", "random"))]
    costs = [f"{median('decisions'):,.0f}", f"{median('seconds'):.0f}", f"{median('cpu_seconds'):.0f}"]
    return f"| {' | '.join([task, units, str(len(runs)), *results, *costs])} |"


def text(table: dict[str, Any]) -> str:
    heads = ["task", "units", "seeds", "mean ± sd", "lowest", "aim", "noise on actions", "lesion ha", "random policy"]
    heads += ["decisions of training", "s", "CPU s"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in table["runs"]:
        groups.setdefault((run["task"], run["units"]), []).append(run)
    order = sorted(groups, key=lambda key: (list(UNITS).index(key[1]), list(TASKS).index(key[0])))
    lines = [
        "# Reparameterised spikes",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/reparameterised.py`, whose text says what is compared. Mean return (gridworld: "
        "discounted; XOR and digits: share of right answers) ± standard deviation over seeds 0, 1, ...; lowest seed. "
        "Decisions of training and seconds (processor seconds beside) are medians. Spikes and synaptic events are in "
        "[comparison.md](comparison.md).",
        "",
        f"| {' | '.join(heads)} |",
        "| --- " * len(heads) + "|",
        *(line(task, units, groups[task, units]) for task, units in order),
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/reparameterised"), help="folder of the runs")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument(
        "--units", nargs="*", default=list(UNITS), choices=UNITS, metavar="UNITS", help=", ".join(UNITS)
    )
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 ... N-1")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    for seed in range(arguments.seeds):
        for task in arguments.tasks:
            for units in arguments.units:
                if (task, units, seed) in {(r["task"], r["units"], r["seed"]) for r in table["runs"]}:
                    continue
                table["runs"].append(trained(task, units, seed, arguments.runs))
                table |= {"machine": machine(), "versions": versions("torch"), "load": arguments.load}
                TABLE.write_text(json.dumps(table) + "\n")
                TABLE.with_suffix(".md").write_text(text(table))
                print(table["runs"][-1], flush=True)


if __name__ == "__main__":
    main()
