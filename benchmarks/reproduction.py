"""The tables of the SVPG papers beside ours: reproduction.json and reproduction.md.

    python benchmarks/reproduction.py --runs FOLDER [--rows inverted-pendulum ...] [--seeds 10] [--mnist FOLDER]
    python benchmarks/reproduction.py --runs FOLDER --longer
    python benchmarks/reproduction.py --runs FOLDER --extend

Made like results.py, whose rows these are: every seed of a row is trained and evaluated by the commands a user would
type. MNIST's own rows need its four IDX files (`--mnist`). Rows that stand in for MNIST take scikit-learn's digits, and
say nothing of MNIST. `--longer` evaluates the pendulum's runs in FOLDER once more as spikes, in decisions of 164 steps
with a kernel of 160, in which probabilities and inputs are estimated from four times as many spikes. `--extend` lets
runs of `inverted-pendulum, one validation`, which end sooner, go on to where those of `inverted-pendulum` end: what is
resumed is the same bit for bit as what never stopped. Finished runs in reproduction.json are kept; delete the file to
make all of them again.
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
from results import SPIKES, Row, folder_of, one, put, spread, tested

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

ONE_VALIDATION = "inverted-pendulum, one validation"
#: Of four times as many spikes.
LONGER = {"network.kernel.duration": "160 ms", "decision.steps": 164}
LONGER_LABEL = "spiking, T = 164"

ROWS = {
    "inverted-pendulum": Row(
        "inverted-pendulum", train=PUBLISHED, evaluate=SPIKES, published="199.87 ± 0.27", asked="≥ 199.5"
    ),
    ONE_VALIDATION: Row("inverted-pendulum", train=[*PUBLISHED, "--training.target_streak", "1"], evaluate=SPIKES),
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


def load() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    return table


def longer(folder: Path) -> float:
    """Mean return of the weights of a run as spikes in `LONGER` decisions, 30 greedy episodes."""
    run = RunFolder.open(folder)
    with Agent.load(run) as trained, Agent(run.experiment.changed(LONGER).with_dynamics("spiking")) as agent:
        agent.system.set_state({name: np.asarray(a, float) for name, a in trained.system.state().items()})
        return float(np.mean([episode.total for episode in agent.play(30)]))


def add_longer(runs: Path) -> None:
    """Evaluate the runs of the pendulum that are there and were not yet."""
    for run in of_row(load(), "inverted-pendulum"):
        folder = folder_of(run["row"], run["seed"], runs)
        if LONGER_LABEL not in run["values"] and folder.exists():
            score = longer(folder)
            with FileLock(f"{TABLE}.lock"):
                table = load()
                same = [r for r in table["runs"] if (r["row"], r["seed"]) == (run["row"], run["seed"])]
                same[0]["values"][LONGER_LABEL] = score
                write(table)


def extended(run: dict[str, Any], runs: Path) -> dict[str, Any]:
    """The run of `inverted-pendulum` with the seed of one of `ONE_VALIDATION`, which it begins as."""
    name = "inverted-pendulum"
    source, folder = (folder_of(row, run["seed"], runs) for row in (run["row"], name))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    training = preset(name, "svpg-published").training
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("target_streak = 1", f"target_streak = {training.target_streak}"))
    trained = command("resume", str(folder), "--no-figures")
    trained |= {what: trained[what] + run[what] for what in ("seconds", "cpu_seconds")}
    return {"row": name, "seed": run["seed"], **tested(ROWS[name], folder, trained)}


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
    return [*row.evaluate, *([LONGER_LABEL] if any(LONGER_LABEL in run["values"] for run in runs) else [])]


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
        "last step; with T = 164 in decisions of 164 steps in place of 42, with a kernel of 160 in place of 40, on 30 "
        "episodes.",
        "",
        "| row | options | shown | evaluated as | seeds | mean ± sd | lowest | published | aim | "
        "episodes | decisions | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    details = ["", "| row | seed | rate | spikes | T = 164 | episodes | decisions | CPU s |", "| --- |" + " --- |" * 7]
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
                f"{run['values'][label]:.4f}" if label in run["values"] else "–"
                for label in ("", "spiking", LONGER_LABEL)
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
    parser.add_argument("--longer", action="store_true", help="only evaluate the pendulum's runs in longer decisions")
    parser.add_argument("--extend", action="store_true", help="only let runs of one validation go on to two")
    arguments = parser.parse_args()
    if arguments.longer:
        add_longer(arguments.runs)
        return
    if arguments.extend:
        for run in of_row(load(), ONE_VALIDATION):
            if run["seed"] not in {r["seed"] for r in of_row(load(), "inverted-pendulum")}:
                add(extended(run, arguments.runs), arguments.load)
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
