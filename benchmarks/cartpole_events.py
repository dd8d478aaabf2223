"""CartPole learned without a time step: seeds, and training speed beside the compiled engine.

    python benchmarks/cartpole_events.py --runs /tmp/cartpole_events
    python benchmarks/cartpole_events.py --speed

Every row is made by the commands a user would type, in a process of its own:

    rwta-sim train cartpole --engine events --seed N --run FOLDER
    rwta-sim evaluate FOLDER --episodes 100

Finished rows in cartpole_events.json are kept, interrupted runs are resumed; delete the file to begin anew. `--speed`
trains with both engines in turns, so that a slow moment of the machine falls on both, and counts the CPU time of this
process from the end of the first episodes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from commands import command
from machine import ONE_THREAD, listed, machine

TABLE = Path(__file__).with_suffix(".json")
#: Decisions of a training that is timed, episodes before its clock starts, and seeds: none that a table is made with.
DECISIONS, FIRST, SEEDS = 8_000, 5, range(20, 29)


def row(seed: int, runs: Path) -> dict:
    """Train (or resume) and evaluate one seed."""
    folder = runs / f"{seed}"
    if (folder / "config.toml").exists():
        trained = command("resume", str(folder), "--no-figures")
    else:
        options = ["--seed", str(seed), "--engine", "events", "--run", str(folder), "--no-figures"]
        trained = command("train", "cartpole", *options)
    evaluated = command("evaluate", str(folder), "--episodes", "100")
    return {
        "seed": seed,
        "mean_return": evaluated["mean_return"],
        "sd_return": evaluated["sd_return"],
        **{key: trained[key] for key in ("episodes", "decisions", "seconds", "cpu_seconds")},
    }


def spent(engine: str, seed: int, folder: Path) -> float:
    """CPU seconds of a training decision."""
    import rwta_sim

    experiment = rwta_sim.preset("cartpole").changed(
        {
            "engine.name": engine,
            "seed": seed,
            "training.decisions": DECISIONS,
            "training.target": None,
            "training.validate_every": 100_000,
        }
    )
    moments: list[float] = []
    rwta_sim.train(experiment, folder, report=lambda progress: moments.append(time.process_time()))
    decisions = rwta_sim.RunFolder.open(folder).metrics()["decisions"]
    shutil.rmtree(folder)
    return (moments[-1] - moments[FIRST]) / int(decisions[FIRST + 1 : len(moments)].sum())


def speed() -> dict:
    """Median and lowest CPU time of a decision by engine, trained in turns."""
    found: dict[str, list[float]] = {"events": [], "compiled": []}
    with tempfile.TemporaryDirectory(prefix="cartpole_events-") as folder:
        for seed in SEEDS:
            for engine, times in found.items():
                times.append(spent(engine, seed, Path(folder) / engine))
                print(f"{engine} {seed}: {times[-1] * 1e6:.0f} us", file=sys.stderr, flush=True)
    return {engine: {"median": median(times) * 1e6, "lowest": min(times) * 1e6} for engine, times in found.items()}


def saved() -> dict:
    """What is in the table."""
    return json.loads(TABLE.read_text()) if TABLE.exists() else {"rows": []}


def write(table: dict) -> None:
    """Write the table as JSON and as Markdown."""
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    lines = ["# CartPole-v1 (cap 500) on the event engine", ""]
    lines += [f"Machine: {table['machine']}. Versions: {listed(table['versions'])}."]
    if rows := sorted(table.get("rows", []), key=lambda r: r["seed"]):
        means = np.array([r["mean_return"] for r in rows])
        lines += ["", "## Learned", "", "Command: `python benchmarks/cartpole_events.py --runs FOLDER`", ""]
        lines += [
            "The preset, `--engine events`: mean ± sd of the return over 100 evaluation episodes read from spikes."
        ]
        lines += ["", "| seed | mean return | sd | episodes | decisions | CPU seconds |", "| --- " * 6 + "|"]
        lines += [
            f"| {r['seed']} | {r['mean_return']:.1f} | {r['sd_return']:.1f} | {r['episodes']} | {r['decisions']} "
            f"| {r['cpu_seconds']:.0f} |"
            for r in rows
        ]
        lines += ["", f"{len(rows)} seeds: mean {means.mean():.1f}, lowest {means.min():.1f}; "]
        lines[-1] += f"{(means >= 495).sum()} of {len(rows)} at 495 or more."
    if "speed" in table:
        events, compiled = table["speed"]["events"], table["speed"]["compiled"]
        lines += ["", "## Speed", "", "Command: `python benchmarks/cartpole_events.py --speed`", ""]
        lines += [
            f"CPU microseconds of a training decision and all in it (environment, critic, learning), in {len(SEEDS)} "
            f"trainings of {DECISIONS:,} decisions, seeds {SEEDS[0]}-{SEEDS[-1]}, the engines in turns; other "
            "work shared the machine, which makes both slower.",
            "",
            "| engine | median | lowest |",
            "| --- | --- | --- |",
            f"| events | {events['median']:.0f} | {events['lowest']:.0f} |",
            f"| compiled, dt 1 ms | {compiled['median']:.0f} | {compiled['lowest']:.0f} |",
            "",
            f"Events train {compiled['median'] / events['median']:.2f} times as fast (medians), "
            f"{compiled['lowest'] / events['lowest']:.2f} times (lowest).",
        ]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 ... N-1")
    parser.add_argument("--runs", type=Path, help="where the run folders go")
    parser.add_argument("--speed", action="store_true", help="measure training speed, instead")
    arguments = parser.parse_args()
    os.environ.update(ONE_THREAD)
    from rwta_sim.lab.runs import versions

    if arguments.speed:
        found = speed()
        write({**saved(), "machine": machine(), "versions": versions(), "speed": found})
        return
    if arguments.runs is None:
        parser.error("--runs FOLDER is needed, or --speed")
    for seed in range(arguments.seeds):
        if seed not in {r["seed"] for r in saved()["rows"]}:
            found = row(seed, arguments.runs)
            table = saved()  # may have changed meanwhile
            write({**table, "machine": machine(), "versions": versions(), "rows": [*table["rows"], found]})
            print(found, flush=True)


if __name__ == "__main__":
    main()
