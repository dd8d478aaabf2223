"""The results table: every task's preset with many seeds, evaluated greedily; results.json and results.md.

    python benchmarks/results.py --runs FOLDER [--rows xor parity3 ...] [--seeds 10] [--cluster local:1]

What is trained stands in results.toml, a sweep with a point for each row: it is run into FOLDER, one run at a time
unless --cluster says otherwise, then every run is evaluated in the ways of its row by `rwta-sim evaluate`. Trainings
are those of `rwta-sim train TASK --seed N` with the options of the row.

Finished runs in results.json are kept, and interrupted ones go on (their seconds are then those since); delete the file
to evaluate all of FOLDER again, and FOLDER to train all of it. Two of these may run side by side in different folders.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from commands import command
from filelock import FileLock
from machine import listed, machine

from rwta_sim.lab.runs import versions
from rwta_sim.lab.sweep import Point, Sweep, SweepDisplay, SweepFolder, points_of, sweep
from rwta_sim.lab.workers import opened

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
REACHES = "≥ 0.95; ≤ 8 decisions"
OPTIMUM = "≥ 1.065 (95 % of the optimum, 1.1207)"

SWEEP = Sweep.read(HERE / "results.toml")
_TRAINED = {point.label: point for point in points_of(SWEEP)}


def _row(name: str, metric: str = "mean_return", **how: Any) -> tuple[str, Row]:
    """A line for a point of the sweep, by its name."""
    return name, Row(_TRAINED[name].task, metric, options(_TRAINED[name]), **how)


def options(point: Point) -> list[str]:
    """Of `rwta-sim train`, what a point of the sweep has."""
    given = ([] if point.model is None else [("model", point.model)]) + list(point.varied.items())
    return [word for key, value in given for word in (f"--{key}", _toml(value))]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)


ROWS = dict(
    (
        _row("cue", evaluate=LIVING, asked="20 at the most"),
        _row("cartpole", evaluate=LIVING, asked="≥ 495"),
        _row("cartpole-positions", evaluate=COMPARES, asked="above memoryless"),
        _row("cartpole-positions, no recurrence", evaluate=PLAIN),
        _row("cartpole-positions, memoryless", evaluate=PLAIN),
        _row("inverted-pendulum", evaluate=LIVING, published="199.87 ± 0.27 (rate)", asked="≥ 199"),
        _row("mountaincar", evaluate=LIVING, asked="≥ −130"),
        _row("acrobot", evaluate=LIVING, asked="≥ −105"),
        _row("gridworld", "mean_discounted_return", evaluate=LIVING, asked=OPTIMUM),
        _row("delayed-cue", "accuracy", evaluate=REMEMBERS, asked="≥ 0.95"),
        _row("delayed-cue, 10", "accuracy", evaluate=REMEMBERS, asked="≥ 0.95"),
        _row("delayed-cue, no recurrence", "accuracy", evaluate=REMEMBERS_NOT, asked="chance, 0.5"),
        _row("t-maze", "accuracy", evaluate=REMEMBERS, asked="≥ 0.95"),
        _row("t-maze, no recurrence", "accuracy", evaluate=REMEMBERS_NOT, asked="chance, 0.5"),
        _row("xor", "accuracy", evaluate=LIVING, asked="≥ 0.99"),
        _row("xor, last_step", "accuracy"),
        _row("parity3", "accuracy", evaluate=LIVING, asked="≥ 0.98"),
        _row("parity3, last_step", "accuracy"),
        _row("cartpole, dale", evaluate=LIVING, asked="≥ 495"),
        _row("xor, dale", "accuracy", evaluate=LIVING, asked="≥ 0.99"),
        _row("digits", "accuracy", evaluate=LIVING, asked="≥ 0.97"),
        _row("inverted-pendulum, lockstep", evaluate=BOTH, published="199.87 ± 0.27 (rate)", asked="≥ 199.9"),
        _row("cartpole, lockstep", asked="≥ 495"),
        _row("mountaincar, lockstep", asked="≥ −150"),
        _row("acrobot, lockstep"),
        _row("gridworld, lockstep", "mean_discounted_return", asked=OPTIMUM),
        _row("digits, lockstep", "accuracy", evaluate=BOTH, asked="≥ 0.97"),
        _row("mnist", "accuracy", published="0.926 ± 0.001 (rate)"),
        _row("doom-health", "mean_decisions", evaluate=PLAYED, asked="≥ 524, every seed"),
        _row("doom-health-supreme", "mean_decisions", evaluate=PLAYED, asked="≥ 300", also=("mean_score",)),
        _row("doom-health-supreme, memory", "mean_decisions", asked="above without", also=("mean_score",)),
        _row("doom-health-supreme, linear", "mean_decisions", evaluate=PLAIN),
        _row("panda-reach", "success", evaluate=LIVING, asked=REACHES, also=("mean_decisions",)),
        _row("robot-navigation", "success", evaluate=LIVING, asked="≥ 0.95", also=("mean_decisions",)),
        _row("panda-reach, lockstep", "success", evaluate=PLAYED, also=("mean_decisions",)),
        _row("robot-navigation, lockstep", "success", evaluate=PLAYED, also=("mean_decisions",)),
        _row("inverted-pendulum, rate", evaluate=SPIKES, published="199.87 ± 0.27", asked="spikes within 2 %"),
        _row("doom-health, rate", "mean_decisions", evaluate=SPIKES),
        _row("panda-reach, rate", "success", evaluate=SPIKES, also=("mean_decisions",)),
        _row("robot-navigation, rate", "success", evaluate=SPIKES, also=("mean_decisions",)),
        _row("digits, rate", "accuracy", evaluate=SPIKES, asked="spikes within 2 %"),
    )
)


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
        "a sweep, results.toml, which for each seed trains as `rwta-sim train TASK --seed N` does, with the options of "
        "the row, then `rwta-sim evaluate`, both with OMP_NUM_THREADS=1. Evaluated with the weights of the best "
        "validation: 100 episodes (`delayed-cue`, "
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
    parser.add_argument("--runs", type=Path, default=Path("runs/results"), help="folder of the sweep")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--mnist", help="folder with MNIST's files; without it the row mnist is left out")
    parser.add_argument("--cluster", default="local:1", help="as rwta-sim sweep --cluster")
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--readme", action="store_true", help="only put the table of results.json into README.md")
    arguments = parser.parse_args()
    if arguments.readme:
        readme(load())
        return
    wanted = wanted_of(arguments.rows, range(arguments.first, arguments.seeds), arguments.mnist)
    folder = SweepFolder(arguments.runs)
    with opened(arguments.cluster) as workers, SweepDisplay("results") as display:
        count = sweep(wanted, folder, workers, evaluate=0, report=display)
    for point in wanted:
        standing, told = folder.standing(point)
        if standing == "finished":
            run = {"row": point.label, "seed": point.seed}
            run |= tested(ROWS[point.label], folder.run(point), told["numbers"])
            add(run, arguments.load)
            print(run, flush=True)
    if count.left or count.failed:
        raise SystemExit(f"{count.line()}: the same command goes on")


def wanted_of(rows: Sequence[str], seeds: Sequence[int], mnist: str | None) -> list[Point]:
    """Points of rows that results.json does not have yet; mnist only where its files are."""
    done = {(run["row"], run["seed"]) for run in load()["runs"]}
    found = points_of(SWEEP.model_copy(update={"seeds": tuple(seeds)}))
    found = [point for point in found if point.label in rows and (point.label, point.seed) not in done]
    files = {"environment.kwargs.folder": mnist}
    found = [replace(point, common={**point.common, **files}) if point.task == "mnist" else point for point in found]
    return [point for point in found if point.task != "mnist" or mnist is not None]


if __name__ == "__main__":
    main()
