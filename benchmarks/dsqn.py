"""Deep spiking Q-learning beside DQN of the same size, seed by seed: dsqn.md.

    python benchmarks/dsqn.py --runs FOLDER --rows cartpole/dqn cartpole/dsqn --seeds 3 [--seconds 600]
    python benchmarks/dsqn.py --render

Every run trains a preset (``rwta-sim train TASK --model MODEL --seed N``); with `--seconds` it stops after so many
seconds at the end of an episode, and a later call goes on from there: a row says how far it is. What is tested is the
weights of the best validation so far, greedy, in 20 evaluation episodes. FOLDER keeps the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np

from rwta_sim import Agent, RunFolder, preset, resume, train
from rwta_sim.lab.runs import versions
from rwta_sim.lab.training import Progress
from rwta_sim.models import tasks

TABLE = Path(__file__).with_suffix(".json")
ROWS = [f"{p.task}/{p.model}" for p in tasks() if p.model in ("dqn", "dsqn")]
EPISODES = 20
#: Of MinAtar, DQN and DSQN at 5 M decisions: highest return, five seeds (arXiv:2610.07808).
PUBLISHED = {
    "minatar-asterix": {"dqn": "32.2", "dsqn": "22.0"},
    "minatar-breakout": {"dqn": "27.8", "dsqn": "23.0"},
    "minatar-freeway": {"dqn": "62.6", "dsqn": "57.0"},
    "minatar-seaquest": {"dqn": "49.7", "dsqn": "33.1"},
    "minatar-space-invaders": {"dqn": "138.3", "dsqn": "109.5"},
}


def went_on(task: str, model: str, seed: int, runs: Path, seconds: float, before: dict[str, Any]) -> dict[str, Any]:
    """Train for a while and test what came of it."""
    folder, ends, cpu = runs / f"{task}-{model}-{seed}", time.monotonic() + seconds, time.process_time()

    def stop(progress: Progress) -> None:
        if time.monotonic() > ends:
            os.kill(os.getpid(), signal.SIGINT)

    if (folder / "config.toml").exists():
        summary = resume(folder, report=stop)
    else:
        summary = train(preset(task, model).changed(seed=seed), folder, report=stop)
    used = time.process_time() - cpu
    run = RunFolder.open(folder)
    with Agent.load(run) as agent:
        best = float(np.mean([episode.total for episode in agent.play(EPISODES)]))
        random = float(np.mean([episode.total for episode in agent.play(EPISODES, random=True)]))
    return {
        "task": task,
        "model": model,
        "seed": seed,
        "decisions": summary.decisions,
        "budget": run.experiment.training.decisions,
        "finished": summary.finished,
        "best": best,
        "random": random,
        "last_100": float(run.metrics()["return"][-100:].mean()),
        "cpu_seconds": before.get("cpu_seconds", 0.0) + used,
    }


def line(row: dict[str, Any]) -> str:
    speed = row["decisions"] / row["cpu_seconds"]
    end = "finished" if row["finished"] else f"of {row['budget']:,}"
    published = PUBLISHED.get(row["task"], {}).get(row["model"], "–")
    cells = [f"`{row['task']}`", f"`{row['model']}`", str(row["seed"]), f"{row['decisions']:,} ({end})"]
    cells += [f"{row['best']:.2f}", f"{row['last_100']:.2f}", f"{row['random']:.2f}", published]
    cells += [f"{speed:,.0f}", f"{row['cpu_seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


def text(table: dict[str, Any]) -> str:
    heads = ["task", "model", "seed", "decisions", "best weights", "last 100 episodes", "random", "published at 5 M"]
    heads += ["decisions per CPU s", "CPU s"]
    lines = [
        "# Deep spiking Q-learning",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/dsqn.py`, whose text says what is done. Mean returns: of the best validation's "
        f"weights, greedy, in {EPISODES} episodes; of the last 100 episodes of training, which explore; of a random "
        "policy. CPU s are those of training, validations among them. Published: the highest return of five seeds, "
        "DSQN with T = 4, by other code.",
        "",
        f"| {' | '.join(heads)} |",
        "| --- " * len(heads) + "|",
        *(line(row) for row in sorted(table["runs"], key=lambda row: (row["task"], row["model"], row["seed"]))),
    ]
    return "\n".join([*lines, ""])


def save(table: dict[str, Any]) -> None:
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    TABLE.with_suffix(".md").write_text(text(table))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/dsqn"), help="folder of the runs")
    parser.add_argument("--rows", nargs="*", default=[], choices=ROWS, metavar="TASK/MODEL", help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 ... N-1")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of training a run, in this call")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    parser.add_argument("--render", action="store_true", help="write the page anew, without any run")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for task, model in (row.split("/") for row in arguments.rows):
            table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
            known = {(row["task"], row["model"], row["seed"]): row for row in table["runs"]}
            before = known.get((task, model, seed), {})
            if before.get("finished"):
                continue
            row = went_on(task, model, seed, arguments.runs, arguments.seconds, before)
            # Read again: other processes may have added rows meanwhile.
            table = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": []}
            known = {(each["task"], each["model"], each["seed"]): each for each in table["runs"]}
            known[task, model, seed] = row
            table = {"machine": machine(), "versions": versions("torch"), "load": arguments.load}
            save({**table, "runs": list(known.values())})
            print(row, flush=True)
    if arguments.render:
        save(json.loads(TABLE.read_text()))


if __name__ == "__main__":
    main()
