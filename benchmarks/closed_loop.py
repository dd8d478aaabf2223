"""The speed of the closed loop: what each way of advancing a network costs per step, batch 1.

    python benchmarks/closed_loop.py --write
    python benchmarks/closed_loop.py --learning --write
    python benchmarks/closed_loop.py --events --write

A decision writes the spike probabilities of the inputs, simulates 20 steps and reads q of the action circuit; nothing
is learned, but with `--learning`. `--events`: decisions of 100 ms at cortical rates, without a time step and with one.
Each path runs in a process of its own, one at a time, in turns: round by round, so that a slow moment of the machine
falls on all of them. `--quick` measures less; `--check` compares the C loop with the compiled engine.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from statistics import median
from typing import Any

from brian2 import BrianLogger
from c_check import Agreement, compare
from event_loop import events
from loop_cases import MODES, NETWORKS, STEPS, Case
from loop_paths import LEARNING_PATHS, PATHS, RULES, Precision, make_path
from loop_table import write_section
from loop_worker import Worker
from machine import ONE_THREAD, machine

from rwta_sim.lab.runs import versions

#: Rounds, and about how many seconds each of them takes.
FULL, QUICK = (7, 1.0), (3, 0.1)
#: Of paths without a time step, which are timed by the CPU.
EVENTS = (9, 0.3)
#: Seconds after which `--quick` begins with no other network, so that it ends within five minutes.
QUICK_LIMIT = 230.0
#: For the check: standard deviation of the weights, and decisions.
CHECK_SD, CHECK_DECISIONS = 1.0, 4000


_PRECISIONS = {"c_loop": "single", "c_loop_learning": "single"}


def say(text: str) -> None:
    """Progress, which is no result."""
    print(text, file=sys.stderr, flush=True)


def measure(case: Case, paths: list[str], precision: Precision, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """One row per path."""
    make = functools.partial(make_path, precision=precision)
    workers = [Worker(name, case, seconds, make) for name in paths]  # they build at the same time ...
    for worker in workers:
        say(f"{case.network} {case.mode}: {worker.name} is ready, {worker.ready()} decisions a round")
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for worker in workers:  # ... and work one after the other
            times[worker.name].append(worker.round())
    for worker in workers:
        worker.end()
    return [row(case, worker, times, precision) for worker in workers]


def row(case: Case, worker: Worker, times: dict[str, list[float]], precision: Precision) -> dict[str, Any]:
    """The figures of one path."""
    name = worker.name
    us_per_step = [seconds / STEPS * 1e6 for seconds in times[name]]
    result = {
        "network": case.network,
        "mode": case.mode,
        "path": name,
        "precision": precision if name in ("compiled", "compiled_learning") else _PRECISIONS.get(name, "double"),
        "us_per_step": median(us_per_step),
        "us_per_step_min": min(us_per_step),
        "us_per_step_max": max(us_per_step),
        "decisions_per_second": 1 / median(times[name]),
        "rounds": len(us_per_step),
        "decisions_per_round": worker.decisions,
    }
    if "compiled" in times:
        result["relative_to_compiled"] = median(times[name]) / median(times["compiled"])
    say(f"{case.network} {case.mode} {name}: {result['us_per_step']:.3g} us per step")
    return result


def check() -> dict[str, Agreement]:
    """Compare the C loop with the compiled engine in both firing modes."""
    agreements = {}
    for mode in MODES:
        agreements[mode] = compare(Case("S1", mode, weight_sd=CHECK_SD), CHECK_DECISIONS)
        say(f"check {mode}: {agreements[mode]}")
    return agreements


def learning(arguments: argparse.Namespace, rounds: int, seconds: float) -> dict[str, Any]:
    """The section on paths that learn."""
    rows = []
    for case in [
        Case(network, mode, rule=rule) for network in arguments.networks for mode in arguments.modes for rule in RULES
    ]:
        measured = measure(case, list(LEARNING_PATHS), arguments.precision, rounds, seconds)
        ours, limit = (r["us_per_step"] for r in measured)
        rows += [{**r, "rule": case.rule, "relative_to_c_loop": r["us_per_step"] / limit} for r in measured]
        say(f"{case.network} {case.mode} {case.rule}: {ours / limit:.2f} of the C loop")
    return {
        "text": [
            f"A decision: drive the inputs, clear the traces, simulate {STEPS} steps, take an action, change all "
            "weights at once by plain gradient ascent with a modulation of +-1 (all blocks, symmetric among hidden and "
            "action neurons). Networks and inputs as above, single precision.",
            "",
            *(f"- `{name}`: {what}." for name, what in LEARNING_PATHS.items()),
        ],
        "rows": rows,
    }


def text(rounds: int, seconds: float, agreements: dict[str, Agreement]) -> list[str]:
    """What the table says about itself."""
    return [
        f"A decision: write the inputs' spike probabilities, simulate {STEPS} steps, read q of the action circuit. "
        "Batch 1, no learning, all blocks connected, weights normal with sd 0.1, exponential kernel of 10 steps. "
        "`poisson`: rho_hat*dt = 0.1, "
        + "inputs spike with p = {} in a step on {}; ".format(*_inputs("poisson"))
        + "`one_hot`: {} on {}.".format(*_inputs("one_hot")),
        "",
        f"Median, lowest and highest of {rounds} rounds of about {seconds:g} s (or of one decision, where that "
        "takes longer), the paths in turns; each path is a process of its own and works alone.",
        "",
        *(f"- `{name}`: {what}." for name, what in PATHS.items()),
        "",
        f"Check of the C loop against the compiled engine (S1, weights of sd {CHECK_SD:g}; see benchmarks/c_check.py): "
        + "; ".join(f"`{mode}` {'agrees' if a.holds else 'DISAGREES'}, {a}" for mode, a in agreements.items())
        + ".",
    ]


def _inputs(mode: str) -> tuple[str, str]:
    return " / ".join(f"{size.p[mode]:g}" for size in NETWORKS.values()), "/".join(NETWORKS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--paths", nargs="+", default=list(PATHS), choices=PATHS)
    parser.add_argument("--precision", default="single", choices=["single", "double"], help="of the path `compiled`")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK[0]} rounds of {QUICK[1]} s, not {FULL[0]} of 1 s")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="check, and write closed_loop.json and closed_loop.md")
    parser.add_argument("--learning", action="store_true", help="measure the paths that learn, instead")
    parser.add_argument("--events", action="store_true", help="measure decisions without a time step, instead")
    parser.add_argument("--check", action="store_true", help="only check the C loop; exit status 1 if it disagrees")
    arguments = parser.parse_args()
    BrianLogger.suppress_name("unused_brian_object")  # the C loop only reads weights from a network
    for name, count in ONE_THREAD.items():
        os.environ.setdefault(name, count)
    if arguments.check:
        return 0 if all(agreement.holds for agreement in check().values()) else 1
    rounds, seconds = QUICK if arguments.quick else FULL
    made_by = {
        "command": " ".join(["python", "benchmarks/closed_loop.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        "networks": {name: str(size) for name, size in NETWORKS.items()},
    }
    if arguments.learning:
        section = {**made_by, **learning(arguments, rounds, seconds)}
        if arguments.json:
            print(json.dumps(section["rows"]))
        if arguments.write:
            write_section("learning", section)
        return 0
    if arguments.events:
        section = {**made_by, **events(arguments.networks, *(QUICK if arguments.quick else EVENTS))}
        if arguments.json:
            print(json.dumps(section["rows"]))
        if arguments.write:
            write_section("events", section)
        return 0
    began, rows = time.perf_counter(), []
    for case in [Case(network, mode) for network in arguments.networks for mode in arguments.modes]:
        if arguments.quick and time.perf_counter() - began > QUICK_LIMIT:
            say(f"{case.network} {case.mode} is left out: compiling took too long for --quick; it goes on next time")
            continue
        rows += measure(case, arguments.paths, arguments.precision, rounds, seconds)
    if arguments.json:
        print(json.dumps(rows))
    if arguments.write:
        # Last, because the paths are forked from this process, where no network shall have been built.
        agreements = check()
        if not all(agreement.holds for agreement in agreements.values()):
            say("the C loop is not the same network: nothing was written")
            return 1
        write_section("loop", {**made_by, "text": text(rounds, seconds, agreements), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
