"""How soon a training begins, and how fast it goes: the whole loop, learning included, on one core.

    python benchmarks/training_speed.py --write

Start: `rwta-sim train cartpole --model svpg-lockstep --episodes 1`, from the start of the process to its first decision
and to the first change of weights, with an empty cache of compiled code and with the full one. Speed: decisions per
second of a longer training (encode, 20 steps, decode, `env.step`, critic, learning; validations included), from its
first decision on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from loop_cases import STEPS
from loop_table import write_section
from machine import ONE_THREAD, machine

from rwta_sim.lab.runs import versions

#: Trains like the command line, and writes to standard error when the first decision had been learned from.
PROBE = """
import sys, time
from rwta_sim import cli
from rwta_sim.learning import Learner
observe, moments = Learner.observe, []
def timed(*arguments):
    moments.append(time.time())
    changed = observe(*arguments)
    moments.append(time.time())
    if changed:
        Learner.observe = observe
        print("moments", moments[0], moments[-1], file=sys.stderr)
    return changed
Learner.observe = timed
cli.main()
"""


def say(text: str) -> None:
    """Progress, which is no result."""
    print(text, file=sys.stderr, flush=True)


def train(cache: Path, episodes: int) -> tuple[dict[str, Any], dict[str, float]]:
    """One training in a process of its own; its summary, and seconds since the start of the process."""
    environment = {**os.environ, **ONE_THREAD, "RWTA_SIM_CACHE": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python keeps the bytecode of what it imports
    with tempfile.TemporaryDirectory(prefix="training_speed-") as folder:
        line = [sys.executable, "-c", PROBE, *command(episodes), "--run", f"{folder}/run"]
        began = time.time()
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the training failed:\n{done.stderr}")
    moments = next(line.split()[1:] for line in done.stderr.splitlines() if line.startswith("moments"))
    decided, learned = (float(moment) - began for moment in moments)
    return json.loads(done.stdout), {"decided": decided, "learned": learned}


def command(episodes: int) -> list[str]:
    """Arguments of rwta-sim."""
    options = ["--engine", "compiled", "--decision.steps", str(STEPS), "--episodes", str(episodes)]
    return ["train", "cartpole", "--model", "svpg-lockstep", *options, "--json", "--no-figures"]


def row(what: str, values: list[float]) -> dict[str, Any]:
    """One line of the table."""
    say(f"{what}: {median(values):.3g} ({min(values):.3g} to {max(values):.3g})")
    return {"what": what, "median": median(values), "lowest": min(values), "highest": max(values)}


def starts(repeats: int) -> list[dict[str, Any]]:
    """Cold and warm starts."""
    seen: dict[str, list[tuple[float, float, float]]] = {"empty": [], "full": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="training_speed-cache-") as cache:
            for state in seen:
                summary, moments = train(Path(cache), 1)
                seen[state].append((moments["decided"], moments["learned"], summary["first_decision_seconds"]))
    rows = []
    for state, times in seen.items():
        decided, learned, inside = ([float(t) for t in column] for column in zip(*times, strict=True))
        rows += [
            row(f"{state} cache: process start to first decision (s)", decided),
            row(f"{state} cache: process start to first learning step (s)", learned),
            row(f"{state} cache: `first_decision_seconds` of the JSON, imports not included", inside),
        ]
    return rows


def speed(repeats: int, episodes: int) -> dict[str, Any]:
    """Decisions per second of the whole loop."""
    with tempfile.TemporaryDirectory(prefix="training_speed-cache-") as cache:
        train(Path(cache), 1)
        rates = [train(Path(cache), episodes)[0]["decisions_per_second"] for _ in range(repeats)]
    return row(f"training decisions per second, {episodes} episodes", rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=100, help="of the longer training")
    parser.add_argument("--quick", action="store_true", help="once, with 10 episodes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="write closed_loop.json and closed_loop.md")
    arguments = parser.parse_args()
    repeats, episodes = (1, 10) if arguments.quick else (arguments.repeats, arguments.episodes)
    rows = [*starts(repeats), speed(repeats, episodes)]
    if arguments.json:
        print(json.dumps(rows))
    if arguments.write:
        text = [
            f"`rwta-sim {' '.join(command(episodes))}` with OMP_NUM_THREADS=1 (the starts: 1 episode): 8 inputs, 8x8 "
            f"hidden, 2 actions, one_hot, {STEPS} steps and one weight update per decision. Median of {repeats}."
        ]
        line = " ".join(["python", "benchmarks/training_speed.py", *sys.argv[1:]])
        section = {"command": line, "machine": machine(), "versions": versions(), "text": text, "rows": rows}
        write_section("training", section)


if __name__ == "__main__":
    main()
