"""The CartPole table: train the preset with many seeds, evaluate each, and write cartpole_ENGINE.json and .md.

    python benchmarks/cartpole.py --seeds 10 --runs /tmp/cartpole

Every row is made by the commands a user would type, in a process of its own:

    rwta-sim train cartpole --model svpg-lockstep --encoder.copies 1 --seed N --run FOLDER [control]
    rwta-sim evaluate FOLDER --episodes 100

Finished rows in the .json file are kept, interrupted runs are resumed; delete the file to begin anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from commands import command
from machine import listed, machine

from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent

#: Name: (options of `rwta-sim train`, what it shows, what must hold of the means of all seeds).
CONDITIONS: dict[str, tuple[list[str], str, str]] = {
    "learning": ([], "the preset", "at least 9 of 10 means >= 475"),
    "off": (["--learning.control", "off"], "learning switched off", "every mean < 60"),
    "shuffled": (["--learning.control", "shuffled"], "modulation shuffled in time", "every mean < 100"),
}


def row(condition: str, seed: int, runs: Path, engine: str) -> dict:
    """Train (or resume) and evaluate one seed."""
    folder = runs / f"{condition}-{seed}"
    if (folder / "config.toml").exists():
        trained = command("resume", str(folder), "--no-figures")
    else:
        options = ["--seed", str(seed), "--engine", engine, "--run", str(folder), "--no-figures"]
        options += ["--model", "svpg-lockstep", "--encoder.copies", "1"]
        trained = command("train", "cartpole", *options, *CONDITIONS[condition][0])
    evaluated = command("evaluate", str(folder), "--episodes", "100")
    return {
        "condition": condition,
        "seed": seed,
        "mean_return": evaluated["mean_return"],
        "sd_return": evaluated["sd_return"],
        **{key: trained[key] for key in ("episodes", "decisions", "seconds", "decisions_per_second")},
    }


def write(table: dict) -> None:
    """Write the table as JSON and as Markdown."""
    path = HERE / f"cartpole_{table['engine']}.json"
    path.write_text(json.dumps(table, indent=1) + "\n")
    lines = [
        f"# CartPole-v1 (cap 500), SVPG preset, {table['engine']} engine",
        "",
        f"Command: `{table['command']}`",
        "",
        "With one input neuron per channel, `--encoder.copies 1` (the preset has more; see results.md for it).",
        "",
    ]
    lines += [
        f"Machine: {table['machine']}; {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Mean ± sd of the return over 100 greedy evaluation episodes with the weights of the best validation; "
        "`seconds` is the wall-clock of the training, compilation not included where the cache was warm.",
    ]
    for condition, (options, text, must) in CONDITIONS.items():
        rows = sorted((r for r in table["rows"] if r["condition"] == condition), key=lambda r: r["seed"])
        if not rows:
            continue
        means = np.array([r["mean_return"] for r in rows])
        lines += [
            "",
            f"## {condition}: {text}" + (f" (`{' '.join(options)}`)" if options else ""),
            "",
            "| seed | mean return | sd | episodes | decisions | seconds | decisions/s |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {r['seed']} | {r['mean_return']:.1f} | {r['sd_return']:.1f} | {r['episodes']} | {r['decisions']} "
            f"| {r['seconds']:.0f} | {r['decisions_per_second']:.0f} |"
            for r in rows
        ]
        lines += [
            "",
            f"{len(rows)} seeds: mean {means.mean():.1f}, lowest {means.min():.1f}, highest {means.max():.1f}; "
            f"{(means >= 475).sum()} of {len(rows)} at 475 or more. Must hold: {must}.",
        ]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 ... N-1")
    parser.add_argument("--runs", type=Path, required=True, help="where the run folders go")
    parser.add_argument("--engine", default="compiled", choices=["compiled", "runtime"])
    parser.add_argument("--load", default="one run at a time", help="what else the machine did, for the table")
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    arguments = parser.parse_args()
    name = f"python benchmarks/cartpole.py --seeds {arguments.seeds} --runs FOLDER --engine {arguments.engine}"
    path = HERE / f"cartpole_{arguments.engine}.json"
    table = json.loads(path.read_text()) if path.exists() else {"rows": []}
    table |= {
        "command": name,
        "engine": arguments.engine,
        "load": arguments.load,
        "machine": machine(),
        "versions": versions(),
    }
    done = {(r["condition"], r["seed"]) for r in table["rows"]}
    for condition in arguments.conditions:
        for seed in range(arguments.seeds):
            if (condition, seed) not in done:
                table["rows"].append(row(condition, seed, arguments.runs, arguments.engine))
                write(table)
                print(table["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
