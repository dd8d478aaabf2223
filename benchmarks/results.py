"""The results table: every task's preset with many seeds, evaluated greedily; results.json and results.md.

    python benchmarks/results.py --runs FOLDER [--rows xor parity3 ...] [--seeds 10]

Every row of it is made by the commands a user would type, in processes of their own with one thread:

    rwta-sim train TASK --seed N --run FOLDER/ROW-N --no-figures [options of the row]
    rwta-sim evaluate FOLDER/ROW-N

Finished runs in results.json are kept, interrupted ones begin anew; delete the file to make all of it again. Two of
these may run side by side with different rows.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from commands import command
from filelock import FileLock
from machine import listed, machine

from rwta_sim import preset
from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent
TABLE = HERE / "results.json"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    task : str
    metric : str
        Key of the evaluation's JSON that is shown.
    also : tuple of str
        Further keys, each with a line of its own.
    train : list of str
        Options of `rwta-sim train`.
    evaluate : dict of list of str
        Options of `rwta-sim evaluate` by the name of the evaluation; "" is the plain one.
    published, asked : str
        Beside it in the table.
    """

    task: str
    metric: str = "mean_return"
    train: list[str] = field(default_factory=list)
    evaluate: dict[str, list[str]] = field(default_factory=lambda: {"": []})
    published: str = "–"
    asked: str = "–"
    also: tuple[str, ...] = ()


#: Evaluations of the same weights as spikes and as their mean field.
BOTH = {"": [], "rate": ["--dynamics", "rate"]}
SPIKES = {"": [], "spiking": ["--dynamics", "spiking"]}
PLAIN: dict[str, list[str]] = {"": []}
LIVING = {"": [], "lesion ha": ["--lesion", "ha"], "random": ["--random"]}
#: Two cues, so twice as certain with four times the episodes.
REMEMBERS = {
    label: [*options, "--episodes", "400"] for label, options in {**LIVING, "lesion hh": ["--lesion", "hh"]}.items()
}
REMEMBERS_NOT = {"": ["--episodes", "400"]}
COMPARES = {**LIVING, "lesion hh": ["--lesion", "hh"]}
PLAYED = {"": [], "random": ["--random"]}
#: No hidden circuits: what is drawn from the action circuit is a linear softmax policy of the drive.
LINEAR = ["--network.hidden_circuits", "0", "--network.blocks", '["sa"]', "--network.weight_sd", "0"]
LINEAR += ["--critic.kind", "linear", "--critic.gamma", "0.98", "--critic.trace", "0.95", "--critic.rate", "3e-4"]
LAST_STEP = ["--learning.rule.kind", "last_step"]
RATE = ["--model", "svpg-rate"]
DELAY_10 = ["--environment.kwargs", "{delay = 10}"]
MASKED = ["--network.blocks", '["sh", "ha"]', "--network.symmetric", "false", "--network.random_blocks", '["sh"]']
DALE = ["--model", "svpg-dale"]
#: Each decision begins without traces, and with a kernel that is quick enough for one alone.
MEMORYLESS = [*MASKED, "--decision.clear", "decision"]
MEMORYLESS += ["--network.kernel.kind", "exponential", "--network.kernel.tau", "30 ms"]
#: Traces outlive decisions of 10 ms, and hidden neurons hear one another.
DOOM_MEMORY = ["--decision.clear", "episode", "--network.kernel.kind", "exponential", "--network.kernel.tau", "20 ms"]
DOOM_MEMORY += ["--network.blocks", '["sh", "hh", "ha"]', "--network.random_blocks", '["sh", "hh"]']
LOCKSTEP = ["--model", "svpg-lockstep"]
REACHES = "≥ 0.95; ≤ 8 decisions"
OPTIMUM = "≥ 1.065 (95 % of the optimum, 1.1207)"

ROWS = {
    "cue": Row("cue", evaluate=LIVING, asked="20 at the most"),
    "cartpole": Row("cartpole", evaluate=LIVING, asked="≥ 495"),
    "cartpole-positions": Row("cartpole-positions", evaluate=COMPARES, asked="above memoryless"),
    "cartpole-positions, no recurrence": Row("cartpole-positions", train=MASKED, evaluate=PLAIN),
    "cartpole-positions, memoryless": Row("cartpole-positions", train=MEMORYLESS, evaluate=PLAIN),
    "inverted-pendulum": Row("inverted-pendulum", evaluate=LIVING, published="199.87 ± 0.27 (rate)", asked="≥ 199"),
    "mountaincar": Row("mountaincar", evaluate=LIVING, asked="≥ −130"),
    "acrobot": Row("acrobot", evaluate=LIVING, asked="≥ −105"),
    "gridworld": Row("gridworld", "mean_discounted_return", evaluate=LIVING, asked=OPTIMUM),
    "delayed-cue": Row("delayed-cue", "accuracy", evaluate=REMEMBERS, asked="≥ 0.95"),
    "delayed-cue, 10": Row("delayed-cue", "accuracy", DELAY_10, REMEMBERS, asked="≥ 0.95"),
    "delayed-cue, no recurrence": Row("delayed-cue", "accuracy", MASKED, REMEMBERS_NOT, asked="chance, 0.5"),
    "t-maze": Row("t-maze", "accuracy", evaluate=REMEMBERS, asked="≥ 0.95"),
    "t-maze, no recurrence": Row("t-maze", "accuracy", MASKED, REMEMBERS_NOT, asked="chance, 0.5"),
    "xor": Row("xor", "accuracy", evaluate=LIVING, asked="≥ 0.99"),
    "xor, last_step": Row("xor", "accuracy", train=LAST_STEP),
    "parity3": Row("parity3", "accuracy", evaluate=LIVING, asked="≥ 0.98"),
    "parity3, last_step": Row("parity3", "accuracy", train=LAST_STEP),
    "cartpole, dale": Row("cartpole", train=DALE, evaluate=LIVING, asked="≥ 495"),
    "xor, dale": Row("xor", "accuracy", DALE, LIVING, asked="≥ 0.99"),
    "digits": Row("digits", "accuracy", evaluate=LIVING, asked="≥ 0.97"),
    "inverted-pendulum, lockstep": Row(
        "inverted-pendulum", train=LOCKSTEP, evaluate=BOTH, published="199.87 ± 0.27 (rate)", asked="≥ 199.9"
    ),
    "cartpole, lockstep": Row("cartpole", train=LOCKSTEP, asked="≥ 495"),
    "mountaincar, lockstep": Row("mountaincar", train=LOCKSTEP, asked="≥ −150"),
    "acrobot, lockstep": Row("acrobot", train=LOCKSTEP),
    "gridworld, lockstep": Row("gridworld", "mean_discounted_return", train=LOCKSTEP, asked=OPTIMUM),
    "digits, lockstep": Row("digits", "accuracy", train=LOCKSTEP, evaluate=BOTH, asked="≥ 0.97"),
    "mnist": Row("mnist", "accuracy", published="0.926 ± 0.001 (rate)"),
    "doom-health": Row("doom-health", "mean_decisions", evaluate=PLAYED, asked="≥ 524, every seed"),
    "doom-health-supreme": Row(
        "doom-health-supreme", "mean_decisions", evaluate=PLAYED, asked="≥ 300", also=("mean_score",)
    ),
    "doom-health-supreme, memory": Row(
        "doom-health-supreme", "mean_decisions", DOOM_MEMORY, asked="above without", also=("mean_score",)
    ),
    "doom-health-supreme, linear": Row("doom-health-supreme", "mean_decisions", train=LINEAR, evaluate=PLAIN),
    "panda-reach": Row("panda-reach", "success", evaluate=LIVING, asked=REACHES, also=("mean_decisions",)),
    "robot-navigation": Row("robot-navigation", "success", evaluate=LIVING, asked="≥ 0.95", also=("mean_decisions",)),
    "panda-reach, lockstep": Row("panda-reach", "success", LOCKSTEP, PLAYED, also=("mean_decisions",)),
    "robot-navigation, lockstep": Row("robot-navigation", "success", LOCKSTEP, PLAYED, also=("mean_decisions",)),
    "inverted-pendulum, rate": Row(
        "inverted-pendulum", train=RATE, evaluate=SPIKES, published="199.87 ± 0.27", asked="spikes within 2 %"
    ),
    "doom-health, rate": Row("doom-health", "mean_decisions", train=RATE, evaluate=SPIKES),
    "panda-reach, rate": Row("panda-reach", "success", train=RATE, evaluate=SPIKES, also=("mean_decisions",)),
    "robot-navigation, rate": Row("robot-navigation", "success", train=RATE, evaluate=SPIKES, also=("mean_decisions",)),
    "digits, rate": Row("digits", "accuracy", train=RATE, evaluate=SPIKES, asked="spikes within 2 %"),
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


def tested(row: Row, folder: Path, trained: dict[str, Any]) -> dict[str, Any]:
    """What the evaluations of a row say of a run, beside what its training said."""
    values, signs = {}, {}
    for label, options in row.evaluate.items():
        found = command("evaluate", str(folder), *options)
        values |= {key(label, metric, row): found[metric] for metric in (row.metric, *row.also)}
        if not label:
            others = {readout: scores[row.metric] for readout, scores in found["other_readouts"].items()}
            signs = {"readout": found["readout"], "others": others}
            signs |= {name: found[name] for name in ("firing_rates", "circuits")}
    kept = ("episodes", "decisions", "seconds", "cpu_seconds", "decisions_per_second", "engine")
    return {"values": values, "signs": signs, **{key: trained[key] for key in kept}}


def kwargs(row: Row, **more: str) -> str:
    """Those of the environment of a row's preset, and more, as TOML."""
    model = row.train[row.train.index("--model") + 1] if "--model" in row.train else None
    values = {**preset(row.task, model).environment.kwargs, **more}
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "}"


def key(label: str, metric: str, row: Row) -> str:
    """Where a run keeps a metric of an evaluation."""
    return label if metric == row.metric else f"{label} {metric}"


def load() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    return table


def add(run: dict[str, Any], load_text: str) -> None:
    """Put a finished run into the table; another process may be doing the same."""
    with FileLock(f"{TABLE}.lock"):
        table = load()
        table |= {"machine": machine(), "versions": versions(), "load": load_text}
        table["runs"].append(run)
        text = markdown(table)
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        TABLE.with_suffix(".md").write_text(text)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, and the lowest."""
    digits = 4 if max(map(abs, values)) <= 2 else 2
    sd = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{sd} | {min(values):.{digits}f}"


def markdown(table: dict[str, Any]) -> str:
    lines = [
        "# Every task, every seed",
        "",
        f"Machine: {table['machine']}; {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Made by `python benchmarks/results.py --runs FOLDER` (for `mnist` with `--mnist FOLDER`, its four IDX files): "
        "for each seed `rwta-sim train TASK --seed N`, with the options of the row, then `rwta-sim evaluate`, both "
        "with OMP_NUM_THREADS=1. Evaluated with the weights of the best validation: 100 episodes (`delayed-cue`, "
        "`t-maze`: 400); in classification tasks every test pattern 30 times, 400 decisions at least. Mean ± "
        "standard deviation over seeds. `s` is the wall-clock of the training, `CPU s` its processor time, compilation "
        "included where the cache was cold. "
        "`last_step` leaves the weights onto hidden neurons without direction: they stay the random features they "
        "start as, which happen to be enough in some seeds.",
        "",
        "| row | options | shown | evaluated as | seeds | mean ± sd | lowest | aim | published | "
        "s (median, longest) | CPU s (median) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    details = []
    for name, row in ROWS.items():
        runs = sorted((r for r in table["runs"] if r["row"] == name), key=lambda r: r["seed"])
        if not runs:
            continue
        options = f"`{' '.join(row.train)}`" if row.train else ""
        seconds = [r["seconds"] for r in runs]
        cpu = np.median([r["cpu_seconds"] for r in runs])
        for label, metric in [(label, metric) for label in row.evaluate for metric in (row.metric, *row.also)]:
            values = [r["values"][key(label, metric, row)] for r in runs]
            plain = "rate" if "svpg-rate" in row.train else "spikes"
            names = {"": readout(runs, plain), "rate": "rate", "spiking": "spikes", "random": "random policy"}
            shown = names.get(label, label)
            lines.append(
                f"| {name} | {options} | {metric} | {shown} | {len(runs)} | {spread(values)} | {row.asked} | "
                f"{row.published} | {np.median(seconds):.0f}, {max(seconds):.0f} | {cpu:.0f} |"
            )
        details += ["", f"## {name}", "", "| seed | " + " | ".join(label or "plain" for label in row.evaluate)]
        details[-1] += " | episodes | decisions | s | CPU s | decisions/s |"
        details.append("| --- |" + " --- |" * (len(row.evaluate) + 5))
        details += [
            f"| {r['seed']} | "
            + " | ".join(f"{r['values'][label]:.4f}" for label in row.evaluate)
            + f" | {r['episodes']} | {r['decisions']} | {r['seconds']:.0f} | {r['cpu_seconds']:.0f} | "
            f"{r['decisions_per_second']:.0f} |"
            for r in runs
        ]
    return "\n".join([*lines, *alive(table), *details]) + "\n"


def readout(runs: list[dict[str, Any]], plain: str) -> str:
    """What a row's own evaluation acted on; rows that are older than the choice acted on argmax of q."""
    kinds = {run["signs"]["readout"] if run.get("signs") else "argmax" for run in runs}
    kinds = {"argmax of q" if kind == "argmax" else kind for kind in kinds}
    return f"{plain}, {'; '.join(sorted(kinds))}"


def alive(table: dict[str, Any]) -> list[str]:
    """Of the rows whose hidden circuits were cut off in a test: what their neurons do."""
    lines = [
        "",
        "## Circuits that live",
        "",
        "The result is what the action circuit's spikes do; beside it the same weights read out by argmax of q, with "
        "all connections from hidden to action neurons cut (`--lesion ha`), and a random policy (`--random`): mean and "
        "95 % interval of the mean over seeds (normal). Rates: mean of hidden and action neurons, and of the fastest "
        "neuron of any seed, each averaged over an evaluation. Bits: what the winner of the median circuit tells of "
        "the action or of the feature of which it tells most, the mean over seeds and the lowest (docs/lesions.md says "
        "how it is estimated).",
        "",
        "| task | seeds | spikes | lowest | argmax q | lesion ha | random | mean Hz | highest Hz | bits | lowest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in ROWS:
        runs = [r for r in table["runs"] if r["row"] == name and "lesion ha" in r["values"]]
        if runs:
            lines.append(f"| {name} | {len(runs)} | {' | '.join(signs_of(runs))} |")
    return lines


def signs_of(runs: list[dict[str, Any]]) -> list[str]:
    """The cells of a row of `alive`."""
    spikes, cut, chance = ([r["values"][label] for r in runs] for label in ("", "lesion ha", "random"))
    others = [r["signs"]["others"]["argmax"] for r in runs]
    rates = [r["signs"]["firing_rates"] for r in runs]
    bits = [r["signs"]["circuits"]["told_bits"] for r in runs]
    return [
        *spread(spikes).split(" | "),
        spread(others).split(" | ")[0],
        interval(cut),
        interval(chance),
        f"{np.mean([rate['mean'] for rate in rates]):.1f}",
        f"{max(rate['highest'] for rate in rates):.0f}",
        f"{np.mean(bits):.2f}",
        f"{min(bits):.2f}",
    ]


def interval(values: list[float]) -> str:
    """Mean and half the width of its 95 % interval."""
    digits = 3 if max(map(abs, values)) <= 2 else 1
    half = f" ± {1.96 * np.std(values, ddof=1) / np.sqrt(len(values)):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{half}"


def readme(table: dict[str, Any]) -> None:
    """Put the short table into the README, between its markers: rows that have an aim or a published figure."""
    lines = ["| task | mean ± sd | lowest | read from | seeds | aim |", "| --- | --- | --- | --- | --- | --- |"]
    for name, row in ROWS.items():
        runs = [r for r in table["runs"] if r["row"] == name]
        values = [r["values"][""] for r in runs]
        if values and "svpg-rate" not in row.train and (row.asked, row.published) != ("–", "–"):
            names = {"mean_return": "return", "mean_discounted_return": "discounted return"}
            shown = {**names, "mean_decisions": "decisions survived"}.get(row.metric, row.metric)
            mean, lowest = spread(values).split(" | ")
            lines.append(
                f"| `{name}` | {mean} ({shown}) | {lowest} | {readout(runs, '').lstrip(', ')} | {len(values)} | "
                f"{row.asked} |"
            )
    put(HERE.parent / "README.md", "results", lines)


def put(path: Path, name: str, lines: list[str]) -> None:
    """Replace what stands between the markers of a table in a page."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = path.read_text().split(begin)
    path.write_text(before + begin + "\n".join(["", *lines, ""]) + "\n" + end + rest.split(end)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds FIRST ... N-1")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"), help="where the run folders go")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--mnist", help="folder with MNIST's files; without it the row mnist is left out")
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--readme", action="store_true", help="only put the table of results.json into README.md")
    arguments = parser.parse_args()
    if arguments.readme:
        readme(load())
        return
    for seed in range(arguments.first, arguments.seeds):
        for name in arguments.rows:
            done = {(r["row"], r["seed"]) for r in load()["runs"]}
            if (name, seed) in done or (name == "mnist" and arguments.mnist is None):
                continue
            run = one(name, ROWS[name], seed, arguments.runs, arguments.mnist)
            add(run, arguments.load)
            print(run, flush=True)


if __name__ == "__main__":
    main()
