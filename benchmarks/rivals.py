"""What the papers compare SVPG with, on the same tasks, seed by seed: rivals.md.

    python benchmarks/rivals.py --rows inverted-pendulum/ppo cartpole/ppo --seeds 10
    python benchmarks/rivals.py --render

Every run trains a preset and plays its best validation's weights: 100 episodes, of `digits` every test pattern once.
Those of `ppo` are played as spikes too (`--dynamics spiking`), which is the row `converted`. Beside the best actions
there are those drawn from the policy. What has been made is kept in rivals.json, and not made again; with `--runs
FOLDER` run folders are kept too, as FOLDER/TASK-MODEL-SEED.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np

from rwta_sim import Agent, RunFolder, preset, train
from rwta_sim.lab.runs import versions
from rwta_sim.models import tasks

TABLE = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parent.parent / "docs" / "rivals.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


class Task(NamedTuple):
    """How a task is tested: episodes, and by model what the papers have of it (other data: see docs/rivals.md)."""

    episodes: int
    published: dict[str, str]


TASKS = {
    "inverted-pendulum": Task(100, {"ppo": "199.95 ± 0.13", "converted": "190.79 ± 27.64", "bptt": "199.96 ± 0.12"}),
    "cartpole": Task(100, {}),
    "digits": Task(398, {}),
    "xor": Task(100, {}),
}
#: Models that are trained, and those that are tests of another's weights, with the dynamics that they have.
MODELS = {"ppo": {"ppo": None, "converted": "spiking"}, "bptt": {"bptt": None}, "ep": {"ep": None}}
#: Those whose policies are drawn from in learning.
DRAWS = ("ppo", "bptt")
ROWS = [f"{p.task}/{p.model}" for p in tasks() if p.model in MODELS and p.task in TASKS]


def trained(task: str, model: str, seed: int, runs: Path | None) -> dict[str, Any]:
    """Train one agent, and test it in all its dynamics; the run stays in `runs`."""
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(preset(task, model).changed(seed=seed), folder)
        used, seconds = time.process_time() - cpu, time.perf_counter() - began
        decisions = int(RunFolder.open(folder).metrics()["decisions"].sum())
        scores = {name: tested(folder, task, dynamics) for name, dynamics in MODELS[model].items()}
        if runs is not None:
            shutil.copytree(folder, runs / f"{task}-{model}-{seed}", dirs_exist_ok=True)
    row = {"task": task, "model": model, "seed": seed, "scores": scores, "decisions": decisions}
    return {**row, "seconds": seconds, "cpu_seconds": used}


def tested(folder: str, task: str, dynamics: str | None) -> dict[str, float]:
    """Mean returns of the best actions and of drawn ones."""
    with Agent.load(folder, dynamics=dynamics) as agent:
        found = {}
        for name, greedy in (("best", True), ("drawn", False)):
            found[name] = float(np.mean([e.total for e in agent.play(TASKS[task].episodes, greedy=greedy)]))
    return found


def rows(table: dict[str, Any]) -> list[str]:
    """A line for every task and model that there is."""
    lines = [
        "| task | model | seeds | best actions: mean ± sd | lowest | drawn actions | papers | decisions | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, (_, published) in TASKS.items():
        for trains, tests in MODELS.items():
            runs = [run for run in table["runs"] if (run["task"], run["model"]) == (task, trains)]
            for model in tests if runs else ():
                best, drawn = (np.array([run["scores"][model][k] for run in runs]) for k in ("best", "drawn"))
                decisions, cpu = (np.mean([run[k] for run in runs]) for k in ("decisions", "cpu_seconds"))
                digits = 4 if best.max() <= 1 else 2
                lines.append(
                    f"| `{task}` | `{model}` | {len(runs)} | {spread(best, digits)} | {best.min():.{digits}f} | "
                    f"{spread(drawn, digits) if model in DRAWS else '–'} | {published.get(model, '–')} | "
                    f"{decisions:,.0f} | {cpu:.0f} |"
                )
    return lines


def spread(scores: np.ndarray, digits: int) -> str:
    sd = f" ± {scores.std(ddof=1):.{digits}f}" if len(scores) > 1 else ""
    return f"{scores.mean():.{digits}f}{sd}"


def text(table: dict[str, Any]) -> str:
    """The page of all seeds."""
    lines = [
        "# Rivals",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/rivals.py`, whose text says what is done. `converted` is the weights of `ppo`, "
        "chosen by its validations, as spikes. Decisions and CPU s are those of training, CPU s with validations.",
        "",
        *rows(table),
        "",
        "Seed by seed, best actions:",
        "",
        "| task | model | seed: return |",
        "| --- | --- | --- |",
    ]
    for task in TASKS:
        for trains, tests in MODELS.items():
            runs = [run for run in table["runs"] if (run["task"], run["model"]) == (task, trains)]
            runs.sort(key=lambda run: run["seed"])
            for model in tests if runs else ():
                scores = ", ".join(f"{run['seed']}: {run['scores'][model]['best']:.5g}" for run in runs)
                lines.append(f"| {task} | {model} | {scores} |")
    return "\n".join([*lines, ""])


def save(table: dict[str, Any]) -> None:
    """The table, its page, and the part of docs/rivals.md that it makes."""
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    TABLE.with_suffix(".md").write_text(text(table))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN, *rows(table), "", END + after]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=[], choices=ROWS, metavar="TASK/MODEL", help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 ... N-1")
    parser.add_argument("--runs", type=Path, help="where run folders are kept")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    parser.add_argument("--render", action="store_true", help="write the pages anew, without any run")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    for seed in range(arguments.seeds):
        for task, model in (row.split("/") for row in arguments.rows):
            if (task, model, seed) not in {(r["task"], r["model"], r["seed"]) for r in table["runs"]}:
                table["runs"].append(trained(task, model, seed, arguments.runs))
                libraries = ("torch", "stable-baselines3", "snntorch")
                table.update(machine=machine(), versions=versions(*libraries), load=arguments.load)
                save(table)
                print(table["runs"][-1], flush=True)
    if arguments.render:
        save(table)
    print(text(table))


if __name__ == "__main__":
    main()
