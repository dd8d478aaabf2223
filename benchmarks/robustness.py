"""Is SVPG more robust than its rivals? robustness.json, robustness.md, and what docs/robustness.md says of it.

    python benchmarks/robustness.py --runs FOLDER [--tasks inverted-pendulum ...] [--systems svpg ppo ...] [--seeds 5]
    python benchmarks/robustness.py --render

For each seed a preset is trained (a run in FOLDER/TASK-MODEL-SEED is taken as it is), and the weights of its best
validation are played, as it is evaluated, at each level of the families below: in each of five draws, which are the
same for all levels and systems of a seed, one episode, of `digits` 100 test patterns. `converted` is the weights of
`ppo` as spikes. Ablations are trainings of their own: `ppo-noise` sees observations with Gaussian noise of 0.1 units
while it learns, `svpg-current` has its inputs as currents, which are not drawn. Both SVPGs act with a gain of 1, as
while they learn, and action neurons have biases; presets may differ in both.

What is compared is the area under a curve over the width of its levels (the mean return over them), seed by seed, and
the mean of these over the families that both systems have. Intervals of differences are percentile bootstraps,
stratified by system; the effect size is Hedges' g. Finished seeds in robustness.json are kept.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np
from filelock import FileLock
from matplotlib.figure import Figure
from results import put

from rwta_sim import Agent, RunFolder, preset, train
from rwta_sim.analysis import bootstrap_interval, difference_interval, effect_size
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.lab.robustness import Family, families_of
from rwta_sim.lab.robustness.suite import draw_seed
from rwta_sim.lab.runs import versions
from rwta_sim.loop.environments import make_environment
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.perturbed import NoisyObservation
from rwta_sim.models import tasks

TABLE = Path(__file__).with_suffix(".json")
DOCS = TABLE.parent.parent / "docs"
PAGE = DOCS / "robustness.md"
DRAWS = 5
#: Standard deviation of the noise of observations in the training of `ppo-noise`, in their units.
NOISE = 0.1
#: Resamplings of intervals need some seeds; with fewer nothing is said of a claim.
LEAST_SEEDS = 5


class Task(NamedTuple):
    """Episodes of a draw, and levels by family."""

    episodes: int
    levels: dict[str, tuple[float, ...]]


_WEIGHTS = {
    "weights-relative-gaussian": (0.25, 0.5, 1.0, 2.0),
    "weights-bits": (4.0, 3.0, 2.0, 1.0),
    "connections-all": (0.1, 0.2, 0.3, 0.4),
    "neurons-silent": (0.1, 0.25, 0.5),
}
_CONTROL = {
    "input-gaussian": (0.05, 0.1, 0.2, 0.4),
    "input-lost": (0.2, 0.4, 0.6),
    "action-delay": (1.0, 2.0, 3.0),
    **_WEIGHTS,
}
TASKS = {
    "inverted-pendulum": Task(1, {**_CONTROL, "environment-length": (0.5, 1.0, 2.5, 4.0)}),
    "cartpole": Task(1, {**_CONTROL, "environment-length": (0.25, 1.0, 2.0)}),
    "digits": Task(100, {"input-gaussian": (0.1, 0.2, 0.4, 0.8), "input-salt-pepper": (0.1, 0.2, 0.4), **_WEIGHTS}),
}


class System(NamedTuple):
    """What is trained, by which changes, and how it acts.

    Attributes
    ----------
    run : str
        Name in run folders.
    model : str
    changes : dict
    dynamics : str or None
    noise : float
        Of observations while it learns.
    """

    run: str
    model: str
    changes: Mapping[str, Any] = MappingProxyType({})
    dynamics: str | None = None
    noise: float = 0.0


#: SVPG as it learns: without the gain that some presets have where nothing is learned.
_AS_LEARNED: dict[str, Any] = {"decision.gain": 1.0, "learning.biases": "all"}
SYSTEMS = {
    "svpg": System("svpg", "svpg", _AS_LEARNED),
    "svpg-lockstep": System("svpg-lockstep", "svpg-lockstep"),
    "svpg-published": System("svpg-published", "svpg-published"),
    "ppo": System("ppo", "ppo"),
    "converted": System("ppo", "ppo", dynamics="spiking"),
    "bptt": System("bptt", "bptt"),
    "svpg-current": System("svpg-current", "svpg", {**_AS_LEARNED, "network.inputs": "current"}),
    "ppo-noise": System("ppo-noise", "ppo", noise=NOISE),
}
PRESETS = {(each.task, each.model) for each in tasks()}
#: Of the paper's claim, and what the ablations ask: the first against the second.
CLAIMS = (
    ("svpg", "ppo"),
    ("svpg", "converted"),
    ("svpg", "bptt"),
    ("svpg-published", "ppo"),
    ("svpg-published", "converted"),
    ("svpg-lockstep", "ppo"),
    ("svpg-lockstep", "converted"),
    ("ppo-noise", "ppo"),
    ("svpg", "svpg-current"),
    ("svpg", "ppo-noise"),
)


# -- what is played ----------------------------------------------------------------------------------------


def trained(task: str, system: System, seed: int, runs: Path) -> RunFolder:
    """The run, trained if it is not there."""
    folder = runs / f"{task}-{system.run}-{seed}"
    if not (folder / "summary.json").exists():
        experiment = preset(task, system.model).changed({**system.changes, "seed": seed})
        env = (lambda: noisy(experiment, system.noise)) if system.noise else None
        train(experiment, folder, env=env)
    return RunFolder.open(folder)


def noisy(experiment: Experiment, noise: float) -> NoisyObservation:
    return NoisyObservation(make_environment(experiment.environment), "gaussian", noise, experiment.seed)


def played(task: str, system: System, seed: int, runs: Path) -> dict[str, Any]:
    """Mean returns of each draw without perturbation, and by family and level."""
    run = trained(task, system, seed, runs)
    clean = preset(task, system.model).changed({**system.changes, "seed": seed}).with_dynamics(system.dynamics)
    with Agent(clean) as agent:
        agent.load_weights(run.best())
        known, episodes = families_of(agent), TASKS[task].episodes
        plain = [score(agent, draw, episodes) for draw in range(DRAWS)]
        families = {
            name: {f"{level:g}": at_level(agent, known[name], level, episodes) for level in levels}
            for name, levels in TASKS[task].levels.items()
            if name in known
        }
    return {"plain": plain, "families": families}


def score(agent: Agent, draw: int, episodes: int) -> float:
    return float(np.mean([episode.total for episode in agent.play(episodes, first=draw * episodes)]))


def at_level(agent: Agent, family: Family, level: float, episodes: int) -> list[float] | None:
    """Of each draw; None where the environment cannot be so."""
    found = []
    for draw in range(DRAWS):
        try:
            with family.applied(agent, level, draw_seed(agent.experiment.seed, draw)):
                found.append(score(agent, draw, episodes))
        except EnvironmentFailure:
            return None
    return found


# -- what is said ------------------------------------------------------------------------------------------


def areas(table: dict[str, Any], task: str, system: str) -> dict[str, dict[int, float]]:
    """Mean return over the levels, by family and seed, and without perturbation as "plain"."""
    found: dict[str, dict[int, float]] = {}
    for run in of(table, task, system):
        found.setdefault("plain", {})[run["seed"]] = float(np.mean(run["plain"]))
        for name, levels in run["families"].items():
            found.setdefault(name, {})[run["seed"]] = area(name, run["plain"], levels)
    return found


def area(family: str, plain: list[float], levels: dict[str, list[float] | None]) -> float:
    """By trapezia over levels, of which the unperturbed one is 0; of bits and bodies the mean over levels, whose
    distances mean nothing."""
    curve = {float(level): float(np.mean(draws)) for level, draws in levels.items() if draws is not None}
    if family == "weights-bits" or family.startswith("environment"):
        return float(np.mean([np.mean(plain), *curve.values()]))
    x, y = np.array([0.0, *curve]), np.array([np.mean(plain), *curve.values()])
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def of(table: dict[str, Any], task: str, system: str) -> list[dict[str, Any]]:
    runs = [run for run in table["runs"] if (run["task"], run["system"]) == (task, system)]
    return sorted(runs, key=lambda run: run["seed"])


def overall(found: dict[str, dict[int, float]], families: list[str]) -> np.ndarray:
    """Of each seed the mean over families."""
    return np.mean([list(found[name].values()) for name in families], axis=0)


def answers(table: dict[str, Any]) -> Iterator[str]:
    """The lines of the page."""
    for task in TASKS:
        found = {name: areas(table, task, name) for name in SYSTEMS if of(table, task, name)}
        if not found:
            continue
        yield from ("", f"### `{task}`", "")
        yield from area_lines(task, found)
        yield from ("", *claim_lines(found))
        yield from ("", f"![Return against levels](pictures/robustness-{task}.png)")


def area_lines(task: str, found: dict[str, dict[str, dict[int, float]]]) -> Iterator[str]:
    """Mean areas and their intervals over seeds, a column for each system."""
    yield f"| mean return over levels | {' | '.join(f'`{name}`' for name in found)} |"
    yield "| --- |" + " --- |" * len(found)
    yield f"| seeds | {' | '.join(str(len(one['plain'])) for one in found.values())} |"
    digits = 3 if task == "digits" else 1
    for family in ("plain", *TASKS[task].levels):
        cells = [
            interval_of(np.array([*one[family].values()]), digits) if family in one else "–" for one in found.values()
        ]
        yield f"| {'unperturbed' if family == 'plain' else f'`{family}`'} | {' | '.join(cells)} |"


def interval_of(values: np.ndarray, digits: int) -> str:
    low, high = bootstrap_interval(values)
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def claim_lines(found: dict[str, dict[str, dict[int, float]]]) -> Iterator[str]:
    """Differences of the mean over all families that both have, and in which of them there is one."""
    yield "| claim | difference over all | Hedges' g | verdict | more robust in | less robust in |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one, other in CLAIMS:
        if one not in found or other not in found:
            continue
        families = [name for name in found[one] if name != "plain" and name in found[other]]
        a, b = overall(found[one], families), overall(found[other], families)
        if min(len(a), len(b)) < LEAST_SEEDS:
            yield f"| `{one}` above `{other}` | {a.mean() - b.mean():.3g} | – | too few seeds to say | | |"
            continue
        low, high = difference_interval(a, b)
        sides: dict[bool, list[str]] = {True: [], False: []}
        for name in families:
            ends = difference_interval(*(np.array([*found[who][name].values()]) for who in (one, other)))
            if ends[0] > 0 or ends[1] < 0:
                sides[ends[0] > 0].append(f"`{name}`")
        text = f"{a.mean() - b.mean():.3g} [{low:.3g}, {high:.3g}] | {effect_size(a, b):.2f} | {verdict(low, high)}"
        yield f"| `{one}` above `{other}` | {text} | {', '.join(sides[True])} | {', '.join(sides[False])} |"


def verdict(low: float, high: float) -> str:
    return "confirmed" if low > 0 else "refuted: the other way round" if high < 0 else "not shown"


def draw(table: dict[str, Any], task: str) -> Figure:
    """A panel for each family, a curve with its interval over seeds for each system."""
    families = TASKS[task].levels
    rows = -(-len(families) // 3)
    figure = Figure(figsize=(11, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False).ravel()
    for ax, (family, levels) in zip(axes, families.items(), strict=False):
        for i, name in enumerate(SYSTEMS):
            runs = [run for run in of(table, task, name) if family in run["families"]]
            if not runs:
                continue
            shown = [x for x in levels if all(run["families"][family][f"{x:g}"] is not None for run in runs)]
            y = np.array([[np.mean(run["families"][family][f"{x:g}"]) for x in shown] for run in runs])
            ends = family == "weights-bits" or family.startswith("environment")
            if not ends:
                shown, y = [0.0, *shown], np.column_stack([[np.mean(run["plain"]) for run in runs], y])
            ax.plot(shown, y.mean(axis=0), ".-", color=f"C{i}", label=name)
            if len(runs) > 1:
                ax.fill_between(shown, *bootstrap_interval(y), color=f"C{i}", alpha=0.15)
        if family == "weights-bits":
            ax.invert_xaxis()
        unit = "bits" if family == "weights-bits" else "level"
        ax.set(title=family, xlabel=unit, ylabel="mean return")
    for ax in axes[len(families) :]:
        ax.set_axis_off()
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
    return figure


def text(table: dict[str, Any]) -> str:
    """The page of all seeds."""
    lines = [
        "# Robustness compared",
        "",
        f"Machine: {table['machine']}; {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Made by `python benchmarks/robustness.py`, whose text says what is done. Mean return over the levels of each "
        "family, seed by seed; every level is in robustness.json.",
        "",
        "| task | system | family | seed: area |",
        "| --- | --- | --- | --- |",
    ]
    for task in TASKS:
        for name in SYSTEMS:
            for family, values in areas(table, task, name).items():
                shown = ", ".join(f"{seed}: {value:.4g}" for seed, value in values.items())
                lines.append(f"| {task} | {name} | {family} | {shown} |")
    return "\n".join([*lines, ""])


def save(table: dict[str, Any]) -> None:
    """The table, its page, the part of docs/robustness.md that it makes, and figures."""
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    TABLE.with_suffix(".md").write_text(text(table))
    put(PAGE, "answer", list(answers(table)))
    for task in TASKS:
        if any(run["task"] == task for run in table["runs"]):
            draw(table, task).savefig(DOCS / "pictures" / f"robustness-{task}.png", dpi=90)


def load() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/robustness"), help="where the run folders are")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument(
        "--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS, metavar="SYSTEM", help=", ".join(SYSTEMS)
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 ... N-1")
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--render", action="store_true", help="write the pages anew, without any run")
    arguments = parser.parse_args()
    if arguments.render:
        save(load())
        return
    for task in arguments.tasks:
        for seed in range(arguments.seeds):
            for name in arguments.systems:
                done = {(r["task"], r["system"], r["seed"]) for r in load()["runs"]}
                if (task, name, seed) in done or (task, SYSTEMS[name].model) not in PRESETS:
                    continue
                row = {"task": task, "system": name, "seed": seed, **played(task, SYSTEMS[name], seed, arguments.runs)}
                with FileLock(f"{TABLE}.lock"):
                    table = load()
                    libraries = ("torch", "stable-baselines3", "snntorch")
                    table |= {"machine": machine(), "versions": versions(*libraries), "load": arguments.load}
                    table["runs"].append(row)
                    save(table)
                print(task, name, seed, np.mean(row["plain"]), flush=True)


if __name__ == "__main__":
    main()
