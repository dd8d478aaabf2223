"""The tables of the SVPG papers beside ours: reproduction.json and reproduction.md.

    python benchmarks/reproduction.py --runs FOLDER [--rows inverted-pendulum ...] [--seeds 10] [--mnist FOLDER]
    python benchmarks/reproduction.py --runs FOLDER --others

Made of rows like those of results.py: every seed of a row is trained and evaluated by the commands a user would type,
in processes of their own with one thread; interrupted runs begin anew. MNIST's own rows need its four IDX files
(`--mnist`). Rows that stand in for MNIST take scikit-learn's digits, and say nothing of MNIST. `--others` evaluates the
pendulum's runs in FOLDER as spikes in other ways: in decisions of 162 steps with a kernel of 160, in which
probabilities and inputs are estimated from four times as many spikes, and in those of 42 from cleared traces, without
the even firing before q is asked for. Finished runs in reproduction.json are kept; delete the file to make all of them
again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np
from commands import command
from filelock import FileLock
from results import SPIKES, Row, put, spread, tested

from rwta_sim import Agent, RunFolder, preset
from rwta_sim.lab.runs import versions

TABLE = Path(__file__).with_suffix(".json")
PAGE = TABLE.parent.parent / "docs/reproduction.md"
PUBLISHED, BMVC = ["--model", "svpg-published"], ["--model", "svpg-bmvc"]
#: 64 pixels, and a part of the batches.
DIGITS = ["--environment.id", "rwta_sim/Digits-v0", "--training.episodes", "100000"]
DIGITS += ["--training.validate_every", "10000"]
#: Shorter, as the pole falls soon in all of it.
GRADIENT = ["--learning.rule.entropy", "gradient", "--training.episodes", "600"]
REINFORCE = ["--learning.modulation.objective", "reinforce", "--learning.modulation.epochs", "1"]

#: Other ways to be evaluated as spikes: changes of the experiment.
OTHERS: dict[str, dict[str, Any]] = {
    "spiking, T = 162": {"network.kernel.duration": "160 ms", "network.warm_up": "159 ms", "decision.steps": 162},
    "spiking, no warm-up": {"network.warm_up": None},
}

ROWS = {
    "inverted-pendulum": Row(
        "inverted-pendulum", train=PUBLISHED, evaluate=SPIKES, published="199.87 ± 0.27", asked="≥ 199.5"
    ),
    "inverted-pendulum, 3 mean-field steps": Row(
        "inverted-pendulum", train=[*PUBLISHED, "--mean_field.iterations", "3"], evaluate=SPIKES
    ),
    "inverted-pendulum, gradient of the entropy": Row(
        "inverted-pendulum", train=[*PUBLISHED, *GRADIENT], evaluate=SPIKES
    ),
    "inverted-pendulum, slips": Row(
        "inverted-pendulum", train=[*PUBLISHED, "--learning.published_code", "true"], evaluate=SPIKES
    ),
    "inverted-pendulum, REINFORCE": Row("inverted-pendulum", train=[*PUBLISHED, *REINFORCE], evaluate=SPIKES),
    "cartpole": Row("cartpole", train=PUBLISHED, evaluate=SPIKES),
    "digits, BMVC": Row("mnist", "accuracy", [*BMVC, *DIGITS]),
    "digits, TPAMI": Row("mnist", "accuracy", [*PUBLISHED, *DIGITS]),
    "mnist, BMVC": Row("mnist", "accuracy", BMVC, published="0.926 ± 0.001"),
    "mnist, TPAMI": Row("mnist", "accuracy", PUBLISHED),
}


def folder_of(name: str, seed: int, runs: Path) -> Path:
    """Where the run of a row's seed is."""
    return runs / f"{name.replace(', ', '-')}-{seed}"


def one(name: str, row: Row, seed: int, runs: Path, mnist: str | None) -> dict[str, Any]:
    """Train and evaluate one seed of a row."""
    folder = folder_of(name, seed, runs)
    if folder.exists():  # interrupted: its time would be that of two
        shutil.rmtree(folder)
    where = ["--environment.kwargs", kwargs(row, folder=mnist)] if row.task == "mnist" and mnist else []
    options = ["--seed", str(seed), "--run", str(folder), "--no-figures", *row.train, *where]
    return {"row": name, "seed": seed, **tested(row, folder, command("train", row.task, *options))}


def kwargs(row: Row, **more: str) -> str:
    """Those of the environment of a row's preset, and more, as TOML."""
    model = row.train[row.train.index("--model") + 1] if "--model" in row.train else None
    values = {**preset(row.task, model).environment.kwargs, **more}
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "}"


def load() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    return table


def other(folder: Path, changes: dict[str, Any]) -> float:
    """Mean return of the weights of a run as spikes of a changed experiment, 30 greedy episodes."""
    run = RunFolder.open(folder)
    with Agent.load(run) as trained, Agent(run.experiment.changed(changes).with_dynamics("spiking")) as agent:
        agent.system.set_state({name: np.asarray(a, float) for name, a in trained.system.state().items()})
        return float(np.mean([episode.total for episode in agent.play(30)]))


def add_others(runs: Path) -> None:
    """Evaluate the runs of the pendulum that are there and were not yet."""
    for run in of_row(load(), "inverted-pendulum"):
        folder = folder_of(run["row"], run["seed"], runs)
        for label, changes in OTHERS.items():
            if label not in run["values"] and folder.exists():
                score = other(folder, changes)
                with FileLock(f"{TABLE}.lock"):
                    table = load()
                    same = [r for r in table["runs"] if (r["row"], r["seed"]) == (run["row"], run["seed"])]
                    same[0]["values"][label] = score
                    write(table)


def add(run: dict[str, Any], load_text: str) -> None:
    """Put a finished run into the table; another process may be doing the same."""
    with FileLock(f"{TABLE}.lock"):
        table = load()
        table |= {"machine": machine(), "versions": versions("torch"), "load": load_text}
        table["runs"].append(run)
        write(table)


def write(table: dict[str, Any]) -> None:
    """The table in its three places."""
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    TABLE.with_suffix(".md").write_text(markdown(table))
    put(PAGE, "reproduction", short(table))


def of_row(table: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The runs of a row, by seed."""
    return sorted((run for run in table["runs"] if run["row"] == name), key=lambda run: run["seed"])


def cells(row: Row, runs: list[dict[str, Any]], label: str) -> str:
    """How a row is evaluated, its seeds, and what came of them."""
    values = [run["values"][label] for run in runs if label in run["values"]]
    return f"{label.replace('spiking', 'spikes') or 'rate'} | {len(values)} | {spread(values)}"


def labels(row: Row, runs: list[dict[str, Any]]) -> list[str]:
    """How the runs of a row were evaluated."""
    return [*row.evaluate, *(label for label in OTHERS if any(label in run["values"] for run in runs))]


def short(table: dict[str, Any]) -> list[str]:
    """The table of the page."""
    lines = ["| row | shown | evaluated as | seeds | mean ± sd | lowest | published |"]
    lines.append("| --- |" + " --- |" * 6)
    for name, row in ROWS.items():
        runs = of_row(table, name)
        for label in labels(row, runs) if runs else ():
            lines.append(f"| {name} | {row.metric} | {cells(row, runs, label)} | {row.published} |")
    return lines


def markdown(table: dict[str, Any]) -> str:
    lines = [
        "# The published recipe",
        "",
        f"Machine: {table['machine']}; {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Made by `python benchmarks/reproduction.py --runs FOLDER`: for each seed `rwta-sim train TASK --seed N` with "
        "the options of the row, then `rwta-sim evaluate` on 100 episodes, greedy, with the weights of the best "
        "validation; patterns as in [every task](results.md). Mean ± standard deviation over seeds. "
        "`spikes`: the same weights evaluated with `--dynamics spiking`, on argmax of the firing probability of the "
        "last step. On 30 episodes: with T = 162 in decisions of 162 steps in place of 42, with a kernel of 160 in "
        "place of 40; with no warm-up in those of 42, but without the even firing before q is asked for.",
        "",
        "| row | options | shown | evaluated as | seeds | mean ± sd | lowest | published | aim | "
        "episodes | decisions | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    details = [
        "",
        "| row | seed | rate | spikes | T = 162 | no warm-up | episodes | decisions | CPU s |",
        "| --- |" + " --- |" * 8,
    ]
    for name, row in ROWS.items():
        runs = of_row(table, name)
        if not runs:
            continue
        costs = [f"{np.median([r[what] for r in runs]):,.0f}" for what in ("episodes", "decisions", "cpu_seconds")]
        for label in labels(row, runs):
            lines.append(
                f"| {name} | `{' '.join(row.train)}` | {row.metric} | {cells(row, runs, label)} | {row.published} | "
                f"{row.asked} | {' | '.join(costs)} |"
            )
        for run in runs:
            shown = [
                f"{run['values'][label]:.4f}" if label in run["values"] else "–" for label in ("", "spiking", *OTHERS)
            ]
            spent = f"{run['episodes']} | {run['decisions']} | {run['cpu_seconds']:.0f}"
            details.append(f"| {name} | {run['seed']} | {' | '.join(shown)} | {spent} |")
    return "\n".join([*lines, "", "Episodes, decisions and CPU seconds of the training: medians.", *details]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds FIRST ... N-1")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduction"), help="where the run folders go")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help="; ".join(ROWS))
    parser.add_argument("--mnist", help="folder with MNIST's files; without it its rows are left out")
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--others", action="store_true", help="only evaluate the pendulum's runs in other ways")
    arguments = parser.parse_args()
    if arguments.others:
        add_others(arguments.runs)
        return
    for seed in range(arguments.first, arguments.seeds):
        for name in arguments.rows:
            done = {(r["row"], r["seed"]) for r in load()["runs"]}
            if (name, seed) in done or (name.startswith("mnist") and arguments.mnist is None):
                continue
            folder = arguments.mnist if name.startswith("mnist") else None
            run = one(name, ROWS[name], seed, arguments.runs, folder)
            add(run, arguments.load)
            print(run, flush=True)


if __name__ == "__main__":
    main()
