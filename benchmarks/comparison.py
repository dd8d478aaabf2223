"""Systems compared: every system on the same budget of environment steps, seed by seed; comparison.json and .md.

    python benchmarks/comparison.py --runs FOLDER [--rows cartpole/coagents ...] [--seeds 10] [--first 0]
    python benchmarks/comparison.py --render

A row is a task and a system. Each seed of it is made by the commands a user would type, in processes of their own with
one thread:

    rwta-sim train TASK --seed N --run FOLDER/TASK-SYSTEM-N --no-figures [options of the row]
    rwta-sim evaluate FOLDER/TASK-SYSTEM-N

Finished seeds in comparison.json are kept, unless the options of their row have changed; interrupted ones begin anew.
Two of these may run side by side. `--render` makes the figures (docs/pictures/comparison-*.png) and puts the table into
docs/comparison.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commands import command
from filelock import FileLock
from machine import listed, machine
from matplotlib.figure import Figure
from spikes import FAN_OUTS, activity, of_circuits

from rwta_sim import Agent, RunFolder, preset
from rwta_sim.analysis import bootstrap_interval, plot_comparison, plot_costs, plot_scores, returns_by_step
from rwta_sim.errors import ConfigError
from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent
TABLE = HERE / "comparison.json"
DOCS = HERE.parent / "docs"
PAGE, PICTURES = DOCS / "comparison.md", DOCS / "pictures"
#: Parts of a budget in a stored curve, and how many a drawn point is the mean of.
BINS, WINDOW = 100, 5
#: A validation reaches no such return, so nothing ends before its budget.
NO_TARGET = "1e9"


@dataclass(frozen=True)
class Task:
    """What all systems have in common on a task.

    Attributes
    ----------
    budget : int
        Environment steps of training.
    validate_every : int
        Episodes.
    goal : float
        Return that counts as 1 where returns are made comparable; a random policy's is 0.
    goal_text : str
        What it is.
    discount : float
        Where the only reward comes at the end, returns are shown discounted by it.
    digits : int
        Of returns in the table.
    """

    budget: int
    validate_every: int
    goal: float
    goal_text: str
    discount: float = 1.0
    digits: int = 1

    def returns(self, metrics: dict[str, np.ndarray]) -> np.ndarray:
        """Of training episodes."""
        found: np.ndarray = metrics["return"] * self.discount ** (metrics["decisions"] - 1)
        return found

    @property
    def metric(self) -> str:
        """Key of an evaluation's JSON."""
        return "mean_return" if self.discount == 1.0 else "mean_discounted_return"


TASKS = {
    "gridworld": Task(100_000, 500, 1.1207, "optimum, discounted", discount=0.9, digits=3),
    "cartpole": Task(100_000, 50, 500.0, "highest possible"),
    "mountaincar": Task(100_000, 50, -110.0, "Gymnasium's threshold"),
    "inverted-pendulum": Task(70_000, 50, 200.0, "highest possible"),
    "acrobot": Task(100_000, 50, -100.0, "Gymnasium's threshold"),
}


@dataclass(frozen=True)
class System:
    """A line of the legend.

    Attributes
    ----------
    model : str
        Whose preset it is.
    colour : str
    train : list of str
        Options of `rwta-sim train`.
    evaluate : list of str
        Options of `rwta-sim evaluate`.
    """

    model: str
    colour: str
    train: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()


#: PPO as the reparameterised presets have it, in place of the batch of one episode of the living ones.
PPO = ("--learning.batch", "8", "--learning.entropy", "0.01")
PPO += ("--learning.modulation.minibatch", "256", "--learning.modulation.epochs", "10")
SYSTEMS = {
    "svpg": System("svpg", "#d62728"),
    "svpg-last-step": System("svpg", "#ff9f4a", ("--learning.rule.kind", "last_step")),
    "svpg-lockstep": System("svpg-lockstep", "#8c564b"),
    "svpg-published": System("svpg-published", "#e377c2", evaluate=("--dynamics", "spiking")),
    "coagents": System("coagents", "#1f77b4"),
    "reparameterised": System("reparameterised", "#2ca02c"),
    "linear": System("linear", "0.55", ("--learning.rate", "3e-3", *PPO)),
    "relu": System("relu", "#9467bd", PPO),
    "random": System("random", "black"),
}


def known(task: str, system: str) -> bool:
    """Whether the system's model has a preset for the task."""
    try:
        preset(task, SYSTEMS[system].model)
    except ConfigError:
        return False
    return True


#: Name of a row: task and system.
ROWS = {f"{task}/{system}": (task, system) for task in TASKS for system in SYSTEMS if known(task, system)}


def options(name: str) -> list[str]:
    """What a row's `rwta-sim train TASK` is given beside seed and folder."""
    task, system = TASKS[ROWS[name][0]], SYSTEMS[ROWS[name][1]]
    length = ["--training.decisions", str(task.budget), "--training.target", NO_TARGET]
    every = str(task.validate_every)
    length += ["--training.validate_every", every, "--training.checkpoint_every", every]
    return ["--model", system.model, *length, *system.train]


def one(name: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train and evaluate one seed of a row."""
    (task_name, system_name), folder = ROWS[name], runs / f"{name.replace('/', '-')}-{seed}"
    task, system = TASKS[task_name], SYSTEMS[system_name]
    if folder.exists():  # interrupted: its time would be that of two
        shutil.rmtree(folder)
    trained = command("train", task_name, "--seed", str(seed), "--run", str(folder), "--no-figures", *options(name))
    run = RunFolder.open(folder)
    metrics = run.metrics()
    returns = task.returns(metrics)
    curve = returns_by_step(metrics["decisions"], returns, task.budget, BINS)
    if system.model == "random":  # acts as it trained
        final = float(returns.mean())
    else:
        final = command("evaluate", str(folder), *system.evaluate)[task.metric]
    counts = activity(run)._asdict() if system.model in FAN_OUTS else {}
    kept = ("episodes", "decisions", "seconds", "cpu_seconds")
    return {
        "row": name,
        "seed": seed,
        "options": " ".join(options(name)),
        "curve": [float(f"{value:.5g}") for value in curve],
        "area": float(curve.mean()),
        "final": final,
        "parameters": parameters(run),
        **counts,
        **{key: trained[key] for key in kept},
    }


def parameters(run: RunFolder) -> int:
    """Weights and biases that decide; of symmetric weights one of two, and without the critic's."""
    with Agent.load(run) as agent:
        arrays = agent.system.state()
        if FAN_OUTS.get(run.experiment.model) is not of_circuits:
            return sum(array.size for name, array in arrays.items() if not name.startswith("encoder."))
        fan_out, spec = of_circuits(agent.system), agent.system.network.spec
        among = int(fan_out.neurons.sum())
        return int(fan_out.inputs.sum()) + among // (2 if spec.symmetric else 1) + arrays["bias"].size


# -- the table ---------------------------------------------------------------------------------------------


def load() -> dict[str, Any]:
    """What comparison.json holds, but for runs of rows whose options were others then."""
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    now = {name: " ".join(options(name)) for name in ROWS}
    return {**table, "runs": [run for run in table["runs"] if run["options"] == now.get(run["row"])]}


def add(run: dict[str, Any], load_text: str) -> None:
    """Put a finished seed into the table; another process may be doing the same."""
    with FileLock(f"{TABLE}.lock"):
        table = load()
        table |= {"machine": machine(), "versions": versions("torch"), "load": load_text}
        table["runs"].append(run)
        TABLE.write_text(written(table))
        TABLE.with_suffix(".md").write_text(text(table))


def written(table: dict[str, Any]) -> str:
    """The table as JSON, a line for each run."""
    runs = ",\n".join(json.dumps(run) for run in table["runs"])
    rest = json.dumps({key: value for key, value in table.items() if key != "runs"})
    return f'{rest[:-1]}, "runs": [\n{runs}\n]}}\n'


def by_system(table: dict[str, Any], task: str) -> dict[str, list[dict[str, Any]]]:
    """The runs of a task, in the order of the systems and of their seeds."""
    found = {}
    for name, (of, system) in ROWS.items():
        runs = sorted((r for r in table["runs"] if r["row"] == name), key=lambda r: r["seed"])
        if of == task and runs:
            found[system] = runs
    return found


def with_interval(values: list[float], digits: int) -> str:
    """Mean, and its 95 % interval if there are seeds to resample."""
    shown = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return shown
    low, high = bootstrap_interval(np.array(values))
    return f"{shown} [{low:.{digits}f}, {high:.{digits}f}]"


def normalised(table: dict[str, Any], task: str, values: list[float], which: str) -> list[float] | None:
    """With a random policy's mean at 0, and the task's goal at 1; None without a random policy."""
    chance = by_system(table, task).get("random")
    if chance is None:
        return None
    low = np.mean([run[which] for run in chance])
    return [(value - low) / (TASKS[task].goal - low) for value in values]


HEADS = ["system", "seeds", "final return", "lowest seed", "mean return over the budget", "the same, normalised"]
HEADS += ["parameters", "spikes", "input spikes", "synaptic events", "products", "CPU s"]


def cells(table: dict[str, Any], task: str, system: str, runs: list[dict[str, Any]]) -> list[str]:
    digits = TASKS[task].digits
    final, area = ([run[key] for run in runs] for key in ("final", "area"))
    scaled = normalised(table, task, area, "area")

    def median(key: str) -> str:
        return f"{np.median([run[key] for run in runs]):,.0f}" if key in runs[0] else "–"

    return [
        system,
        str(len(runs)),
        with_interval(final, digits),
        f"{min(final):.{digits}f}",
        with_interval(area, digits),
        "–" if scaled is None else with_interval(scaled, 2),
        *map(median, ("parameters", "spikes", "input_spikes", "events", "products", "cpu_seconds")),
    ]


def sections(table: dict[str, Any], level: str) -> Iterator[str]:
    """Lines: a heading and a table for each task."""
    for name, task in TASKS.items():
        groups = by_system(table, name)
        if groups:
            yield from ("", f"{level} {name}", "")
            yield f"{task.budget:,} steps. The goal is {task.goal:g}, {task.goal_text}."
            yield from ("", f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|")
            for system, runs in groups.items():
                yield f"| {' | '.join(cells(table, name, system, runs))} |"


def text(table: dict[str, Any]) -> str:
    lines = [
        "# Systems compared",
        "",
        f"Machine: {table['machine']}; {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Made by `python benchmarks/comparison.py --runs FOLDER`, whose text says what is done; [what it shows]"
        "(../docs/comparison.md). CPU s are those of `rwta-sim train`, start, validations and checkpoints included.",
        *sections(table, "##"),
        "",
        "## The commands",
        "",
        *(f"    {name}: rwta-sim train {ROWS[name][0]} {' '.join(options(name))}" for name in ROWS),
    ]
    return "\n".join([*lines, ""])


# -- the page ----------------------------------------------------------------------------------------------


def panels(table: dict[str, Any], draw: Callable[[Any, str, dict[str, list[dict[str, Any]]]], None]) -> Figure:
    """A figure with a panel for each task that has runs; `draw` gets its axes, the task and the runs by system."""
    groups = {task: found for task in TASKS if (found := by_system(table, task))}
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows + 0.4), layout="constrained")
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for ax, (task, found) in zip(axes, groups.items(), strict=False):
        draw(ax, task, found)
        ax.set_title(task)
    for ax in axes[len(groups) :]:
        ax.set_axis_off()
    return figure


COLOURS = {name: system.colour for name, system in SYSTEMS.items()}


def curves(table: dict[str, Any]) -> Figure:
    """Learning curves of all tasks."""
    handles: dict[str, Any] = {}

    def draw(ax: Any, task: str, found: dict[str, list[dict[str, Any]]]) -> None:
        values = {system: np.array([run["curve"] for run in runs]) for system, runs in found.items()}
        plot_comparison(ax, TASKS[task].budget, values, COLOURS, WINDOW)
        ax.axhline(TASKS[task].goal, color="0.6", linestyle=":", linewidth=1)
        handles.update(zip(*reversed(ax.get_legend_handles_labels()), strict=True))

    figure = panels(table, draw)
    order = [name for name in SYSTEMS if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside lower center", ncols=5, fontsize="small")
    return figure


def scores(table: dict[str, Any]) -> Figure:
    """Final returns of all tasks, seed by seed; without a random policy's, beside which the others would be one."""

    def draw(ax: Any, task: str, found: dict[str, list[dict[str, Any]]]) -> None:
        learned = {system: [run["final"] for run in runs] for system, runs in found.items() if system != "random"}
        plot_scores(ax, learned, COLOURS)
        ax.axvline(TASKS[task].goal, color="0.6", linestyle=":", linewidth=1)
        ax.set_xlabel("return, 100 episodes")
        ax.tick_params(axis="y", labelsize="small")

    return panels(table, draw)


def costs(table: dict[str, Any]) -> Figure:
    """How soon tasks are learned, against what a decision costs at synapses."""
    points: dict[str, dict[str, tuple[float, float]]] = {}
    for task in TASKS:
        for system, runs in by_system(table, task).items():
            scaled = normalised(table, task, [run["area"] for run in runs], "area")
            if "events" in runs[0] and scaled is not None:
                work = np.median([run["events"] + run["products"] for run in runs])
                points.setdefault(system, {})[task] = float(work), float(np.mean(scaled))
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    ax = figure.add_subplot()
    plot_costs(ax, points, COLOURS)
    ax.axhline(1.0, color="0.6", linestyle=":", linewidth=1)
    ax.set(xlabel="synaptic events and products in a decision", ylabel="normalised area")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    return figure


FIGURES = {"curves": curves, "scores": scores, "costs": costs}


def render(table: dict[str, Any]) -> None:
    """Make the figures, and put the tables into the page, between its markers."""
    for name, draw in FIGURES.items():
        draw(table).savefig(PICTURES / f"comparison-{name}.png", dpi=110)
    begin, end = "<!-- comparison -->", "<!-- end of comparison -->"
    before, rest = PAGE.read_text().split(begin)
    body = "\n".join([*sections(table, "###"), ""])
    PAGE.write_text(before + begin + body + "\n" + end + rest.split(end)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds FIRST ... N-1")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=Path, default=Path("runs/comparison"), help="where the run folders go")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help="; ".join(ROWS))
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--render", action="store_true", help="only draw and write what comparison.json holds")
    arguments = parser.parse_args()
    if arguments.render:
        render(load())
        return
    for seed in range(arguments.first, arguments.seeds):
        for name in arguments.rows:
            if (name, seed) in {(run["row"], run["seed"]) for run in load()["runs"]}:
                continue
            run = one(name, seed, arguments.runs)
            add(run, arguments.load)
            print({key: value for key, value in run.items() if key not in ("curve", "options")}, flush=True)


if __name__ == "__main__":
    main()
