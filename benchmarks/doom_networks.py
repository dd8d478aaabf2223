"""Ordinary networks on the supreme Doom map, under the budget of the spiking ones: doom_networks.md, and a figure.

    python benchmarks/doom_networks.py --runs FOLDER

`linear` and `relu` (500 units) are the models of these names: softmax policies in PyTorch that see what the preset
`doom-health-supreme` of the spiking networks sees, are rewarded for the same, play as many episodes from the same seeds
and learn by PPO with that preset's batch, minibatch, epochs, clip, gamma, lambda, entropy and annealing; the rate is
1e-3 as there, 3e-4 for `relu`. Their critic is a network of the same kind. `plain` policies have no retina: 60 x 80
grey pixels, the published rewards, PPO on every episode as a whole, gamma .97, entropy .02 and Adam 1e-4, for twice
as many episodes, which are shorter.

FOLDER keeps the runs, which go on where they were interrupted; spiking runs that results.py has made there are drawn
beside.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import matplotlib.pyplot as plt
import numpy as np

from rwta_sim import Agent, RunFolder, preset, resume, train
from rwta_sim.lab.runs import versions

TABLE, FIGURE = Path(__file__).with_suffix(".json"), Path(__file__).parent.parent / "docs/pictures/doom_curves.png"
PLAIN = {
    "environment.kwargs": {},
    "encoder.standardise": 0,
    "learning.modulation.minibatch": None,
    "learning.batch": 1,
    "learning.rate": 1e-4,
    "learning.final_rate": 1.0,
    "learning.entropy": 0.02,
    "critic.gamma": 0.97,
}
#: Episodes in a point of a learning curve.
POINT = 50


@dataclass(frozen=True)
class Kind:
    """A model, and what it does otherwise than its preset."""

    model: str
    changes: dict[str, Any] = field(default_factory=dict)
    #: Times the episodes of the preset.
    episodes: float = 1.0


KINDS = {
    "linear": Kind("linear"),
    "relu": Kind("relu"),
    "linear, plain": Kind("linear", PLAIN, 2.0),
    "relu, plain": Kind("relu", PLAIN, 2.0),
}
#: Rows of results.py, for the figure.
SPIKING = {"doom-health-supreme": "RWTA, hidden circuits", "doom-health-supreme-linear": "RWTA, no hidden circuits"}


def trained(name: str, seed: int, episodes: int | None, runs: Path) -> dict[str, Any]:
    """Train one policy, or go on with it, and test it."""
    began, cpu, kind = time.perf_counter(), time.process_time(), KINDS[name]
    experiment = preset("doom-health-supreme", kind.model).changed(kind.changes, seed=seed)
    count = round((episodes or experiment.training.episodes) * kind.episodes)
    folder = runs / f"{name.replace(', ', '-')}-{seed}"
    if (folder / "config.toml").exists():
        resume(folder)
    else:
        train(experiment.changed({"training.episodes": count}), folder)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    lived = RunFolder.open(folder).metrics()["decisions"]
    with Agent.load(folder) as agent:
        tested = [episode.decisions for episode in agent.play(100)]
    return {
        "kind": name,
        "seed": seed,
        "survived": float(np.mean(tested)),
        "episodes": count,
        "decisions": int(lived.sum()),
        "seconds": seconds,
        "cpu_seconds": used,
        "lived": [int(n) for n in lived],
    }


def curve(lived: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Decisions of training so far, and decisions survived, means of `POINT` episodes."""
    parts = np.array(lived[: len(lived) // POINT * POINT]).reshape(-1, POINT)
    return np.cumsum(parts.sum(axis=1)), parts.mean(axis=1)


def spiking(runs: Path) -> list[dict[str, Any]]:
    """Learning curves of the spiking runs there are."""
    found = []
    for row, label in SPIKING.items():
        for folder in sorted(runs.glob(f"{row}-[0-9]*")):
            with (folder / "metrics.csv").open() as file:
                lived = [int(line["decisions"]) for line in csv.DictReader(file)]
            found.append({"kind": label, "seed": int(folder.name.rsplit("-", 1)[1]), "lived": lived})
    return found


def draw(runs: list[dict[str, Any]]) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    kinds = sorted({run["kind"] for run in runs})
    for kind in kinds:
        for n, run in enumerate(r for r in runs if r["kind"] == kind):
            x, y = curve(run["lived"])
            axes.plot(x / 1000, y, color=f"C{kinds.index(kind)}", lw=1, label=None if n else kind)
    axes.set(xlabel="decisions of training (thousands)", ylabel="decisions survived while learning")
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.36))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, dpi=120)


def text(table: dict[str, Any]) -> str:
    lines = [
        "# Ordinary networks on the supreme Doom map",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/doom_networks.py`, whose text says what is compared; greedy evaluation, 100 "
        "episodes, weights of the best validation. The spiking networks are in results.md; all learning curves in "
        "docs/pictures/doom_curves.png.",
        "",
        "| policy | seed | survived of 525 | episodes | decisions | s | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in sorted(table["runs"], key=lambda r: (list(KINDS).index(r["kind"]), r["seed"])):
        found = f"{run['survived']:.1f} | {run['episodes']} | {run['decisions']:,}"
        lines.append(f"| {run['kind']} | {run['seed']} | {found} | {run['seconds']:.0f} | {run['cpu_seconds']:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/doom_networks"), help="folder of the runs")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 ... N-1")
    parser.add_argument("--episodes", type=int, help="default: those of the preset")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": [], "spiking": []}
    for seed in range(arguments.seeds):
        for kind in arguments.kinds:
            if (kind, seed) in {(r["kind"], r["seed"]) for r in table["runs"]}:
                continue
            run = trained(kind, seed, arguments.episodes, arguments.runs)
            table["runs"].append(run)
            table |= {"machine": machine(), "versions": versions("torch"), "load": arguments.load}
            TABLE.write_text(json.dumps(table) + "\n")
            TABLE.with_suffix(".md").write_text(text(table))
            print({name: value for name, value in run.items() if name != "lived"}, flush=True)
    if found := spiking(arguments.runs):
        table["spiking"] = found
        TABLE.write_text(json.dumps(table) + "\n")
    draw([*table["spiking"], *table["runs"]])


if __name__ == "__main__":
    main()
