"""Coagents on their tasks, seed by seed, and their rules against exact gradients: coagents.md.

    python benchmarks/coagents.py --tasks xor mountaincar --seeds 10
    python benchmarks/coagents.py --rules
    python benchmarks/coagents.py --speed

Every run trains the preset of the model `coagents` and plays its best validation's weights greedily, 100 episodes;
of digits as many as `rwta-sim evaluate` does, every test picture alike.
`--rules` compares the mean update of each rule, by enumeration of ten random networks, with the exact gradient.
`--speed` counts the decisions of training on CartPole at the published size in a CPU second, episodes 20 to 80 of the
preset without validations, three times.
What has been made is kept in coagents.json, and not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np

from rwta_sim import Agent, RunFolder, preset, train
from rwta_sim.agents.coagents.exact import Episodes, expected_updates, own_baselines, policy, scored
from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.lab.runs import versions
from rwta_sim.lab.training import Progress

TABLE = Path(__file__).with_suffix(".json")
#: Task: which return is told, and what it should reach.
TARGETS = {
    "xor": ("return", 0.99),
    "mountaincar": ("return", -150.0),
    "cartpole": ("return", 475.0),
    "inverted-pendulum": ("return", 195.0),
    "gridworld": ("discounted return", 1.065),
    "acrobot": ("return", None),
    "digits": ("return", None),
}
#: Episodes of a test, where they are not 100; None: those of an evaluation.
EPISODES: dict[str, int | None] = {"digits": None}
#: Actors and actions of the networks that are enumerated, one hidden neuron a module, two inputs and a bias.
SHAPE, INPUTS = (2, 2), 2


def trained(task: str, seed: int) -> dict[str, Any]:
    """Train one agent, and test it."""
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(preset(task, "coagents").changed(seed=seed), folder)
        used, seconds = time.process_time() - cpu, time.perf_counter() - began
        decisions = int(RunFolder.open(folder).metrics()["decisions"].sum())
        with Agent.load(folder) as agent:
            played = agent.play(EPISODES.get(task, 100))
    discounted = TARGETS[task][0] == "discounted return"
    score = float(np.mean([e.discounted if discounted else e.total for e in played]))
    row = {"task": task, "seed": seed, "score": score, "decisions": decisions}
    return {**row, "seconds": seconds, "cpu_seconds": used}


def speed() -> float:
    """Decisions of training in a CPU second."""
    ends: dict[int, tuple[int, float]] = {}

    def report(progress: Progress) -> None:
        if progress.episode in (20, 80):
            ends[progress.episode] = progress.decisions, time.process_time()

    few = {"episodes": 81, "validate_every": 81, "validation_episodes": 1, "checkpoint_every": 81}
    experiment = preset("cartpole", "coagents").changed({f"training.{name}": value for name, value in few.items()})
    with tempfile.TemporaryDirectory() as folder:
        train(experiment, folder, report=report)
    (before, began), (after, ended) = ends[20], ends[80]
    return (after - before) / (ended - began)


def compared(seed: int) -> dict[str, dict[str, float]]:
    """Of one random network: the cosine of each rule's mean update with the exact gradient, and its variance.

    Variances are sums over parameters, relative to the squared length of the mean. Gradients are central differences of
    enumerated policies: of the mean value of a decision, and of the return of an episode of two.
    """
    rng, n = np.random.default_rng(seed), SHAPE[0] * SHAPE[1]
    arrays = [rng.normal(size=(INPUTS + 1, n)), rng.normal(size=n), rng.normal(size=n)]
    x, values = np.append(rng.normal(size=INPUTS), 1.0), rng.normal(size=SHAPE[1])
    parameters = Parameters(*arrays)
    advantage = values - policy(parameters, x, SHAPE) @ values
    own = own_baselines(scored(parameters, x, "broadcast", SHAPE), values)
    found = {
        name: expected_updates(parameters, x, modulation, credit, SHAPE, baselines=baselines)
        for name, credit, modulation, baselines in (
            ("agreement, advantage", "agreement", advantage, 0.0),
            ("broadcast, advantage", "broadcast", advantage, 0.0),
            ("broadcast, return", "broadcast", values, 0.0),
            ("broadcast, return less each neuron's own baseline", "broadcast", values, own),
        )
    }
    gradient = _slopes(arrays, lambda: policy(parameters, x, SHAPE) @ values)
    return {
        **{name: _against(gradient, *moments) for name, moments in found.items()},
        **_episodes(parameters, arrays, x, rng),
    }


def _episodes(
    parameters: Parameters, arrays: list[np.ndarray], x: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """With and without eligibility traces, by a critic that knows all values, and by one that knows none."""
    then = [np.append(rng.normal(size=INPUTS), 1.0) for _ in range(SHAPE[1])]
    reward, last = rng.normal(size=SHAPE[1]), rng.normal(size=(SHAPE[1], SHAPE[1]))

    def known() -> np.ndarray:
        """Of the first decision, and of the second after each action."""
        second = np.array([policy(parameters, then[a], SHAPE) @ last[a] for a in range(SHAPE[1])])
        return np.append(policy(parameters, x, SHAPE) @ (reward + second), second)

    gradient = _slopes(arrays, lambda: known()[0])
    first, *second = (scored(parameters, inputs, "broadcast", SHAPE) for inputs in (x, *then))
    episodes = Episodes(first, second, reward, last)
    return {
        f"broadcast, two decisions, traces of lambda {lam:g}, {critic}": _against(
            gradient, *episodes.expected_updates(values, lam)
        )
        for critic, values in (("a critic that knows", known()), ("no critic", np.zeros(1 + SHAPE[1])))
        for lam in (0.0, 0.8, 1.0)
    }


def _against(gradient: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> dict[str, float]:
    cosine = float(mean @ gradient / np.linalg.norm(mean) / np.linalg.norm(gradient))
    return {"cosine": cosine, "variance": float(variance.sum() / (mean @ mean))}


def _slopes(arrays: list[np.ndarray], value: Callable[[], float]) -> np.ndarray:
    """Of a value, along each number of the parameters' arrays."""
    slopes = []
    for flat in (array.reshape(-1) for array in arrays):
        for i, kept in enumerate(flat.copy()):
            sides = []
            for step in (1e-5, -1e-5):
                flat[i] = kept + step
                sides.append(value())
            flat[i] = kept
            slopes.append((sides[0] - sides[1]) / 2e-5)
    return np.array(slopes)


def text(table: dict[str, Any]) -> str:
    lines = [
        "# Coagents",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/coagents.py`, whose text says what is done. Decisions are those of training; CPU s "
        "include building, validations and checkpoints.",
        "",
        "| task | what | seeds | mean ± sd | lowest | target | decisions | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task, (what, target) in TARGETS.items():
        rows = [r for r in table["runs"] if r["task"] == task]
        if not rows:
            continue
        scores = np.array([r["score"] for r in rows])
        spread = f"± {scores.std(ddof=1):.3f}" if len(rows) > 1 else ""
        decisions, cpu = (np.mean([r[name] for r in rows]) for name in ("decisions", "cpu_seconds"))
        aim = "–" if target is None else f"≥ {target:g}"
        lines.append(
            f"| {task} | {what} | {len(rows)} | {scores.mean():.3f} {spread} | {scores.min():.3f} | {aim} | "
            f"{decisions:,.0f} | {cpu:.0f} |"
        )
    if table["rules"]:
        lines += [
            "",
            "| rule | cosine with the gradient: mean, lowest | variance / mean² (median) |",
            "| --- | --- | --- |",
        ]
        for name in table["rules"][0]:
            cosines, variances = (np.array([r[name][k] for r in table["rules"]]) for k in ("cosine", "variance"))
            lines.append(f"| {name} | {cosines.mean():.4f}, {cosines.min():.4f} | {np.median(variances):.1f} |")
    if "speed" in table:
        found = ", ".join(f"{x:,.0f}" for x in table["speed"])
        lines += ["", f"Decisions of training on CartPole, 4,000 hidden neurons, in a CPU second: {found}."]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[], choices=TARGETS, metavar="TASK", help=", ".join(TARGETS))
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 ... N-1")
    parser.add_argument("--rules", action="store_true", help="compare rules with exact gradients, ten networks")
    parser.add_argument("--speed", action="store_true", help="decisions of training in a CPU second, three times")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": [], "rules": []}

    def save() -> None:
        table.update(machine=machine(), versions=versions(), load=arguments.load)
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        TABLE.with_suffix(".md").write_text(text(table))

    if arguments.rules:
        table["rules"] = [compared(seed) for seed in range(10)]
        save()
    if arguments.speed:
        table["speed"] = [speed() for _ in range(3)]
        save()
    for seed in range(arguments.seeds):
        for task in arguments.tasks:
            if (task, seed) not in {(r["task"], r["seed"]) for r in table["runs"]}:
                table["runs"].append(trained(task, seed))
                save()
                print(table["runs"][-1], flush=True)
    print(text(table))


if __name__ == "__main__":
    main()
