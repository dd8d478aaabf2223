"""How the cost of a decision without a time step grows with spikes, with circuits and with inputs.

    python benchmarks/event_scaling.py --write

Three series, from one network: 16 circuits of 8 neurons, 5 actions, 16 inputs, circuits at 100 Hz, inputs at 10 Hz,
kernel 20 ms, all blocks, single precision, decisions of 100 ms. Spikes: decisions from 12.5 ms to 3.2 s. Circuits: 4 to
128, of which each spikes and sends to all others. Inputs: 16 to 4,096. Forward, as in `closed_loop.py --events`, beside
the C event loop. CPU time of this process, the lowest of some rounds in turns: other work may share the machine.

The power is the slope of a line through the upper half of a series, in logarithms: of spikes and of inputs 1 is what
each adds by itself; circuits have rows as long as there are neurons, so of a network that is all rows it is 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from c_events import CEvents
from event_paths import spec_of
from loop_cases import Size
from machine import listed, machine

from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.wiring import Wiring

TABLE = Path(__file__).with_suffix(".json")
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "event_scaling.png"
INPUT_RATE, ROUNDS, SECONDS = 10.0, 9, 0.03
#: Length of a decision (s), circuits, inputs: what varies, and what it is where another does.
SERIES: dict[str, list[float]] = {
    "spikes": [0.0125 * 2**k for k in range(9)],
    "circuits": [4 * 2**k for k in range(6)],
    "inputs": [16 * 4**k for k in range(5)],
}
USUAL = {"spikes": 0.1, "circuits": 16, "inputs": 16}
ENGINES = ("events", "C loop")


def paths(name: str, value: float) -> tuple[float, dict[str, Callable[[], None]]]:
    """Mean spikes in a decision of one point of a series, and how each engine takes one."""
    at = {**USUAL, name: value}
    duration, circuits, inputs = at["spikes"], int(at["circuits"]), int(at["inputs"])
    spec, rng = spec_of(Size(inputs, circuits, 8, 5, {}), 1.0), np.random.default_rng(0)
    drive = np.full(inputs, INPUT_RATE / 100)
    network = EventNetwork(Wiring(spec, inputs, 5, rng), rng)
    loop = CEvents(RWTANetwork(spec, inputs, 5, rng=rng), np.random.SeedSequence(1), duration, False)
    network.drive(drive)
    loop.drive(drive)
    spikes = duration * (100.0 * (circuits + 1) + INPUT_RATE * inputs)
    return spikes, {"events": lambda: network.advance(duration), "C loop": loop.play}  # type: ignore[dict-item]


def measured(name: str, value: float) -> dict:
    """Microseconds of a decision by engine, at one point."""
    spikes, decide = paths(name, value)
    times: dict[str, list[float]] = {engine: [] for engine in decide}
    for _ in range(ROUNDS):
        for engine, once in decide.items():
            began, done = time.process_time(), 0
            while (spent := time.process_time() - began) < SECONDS or not done:
                for _ in range(10):
                    once()
                done += 10
            times[engine].append(spent / done * 1e6)
    row = {"series": name, "value": value, "spikes": spikes, **{engine: min(found) for engine, found in times.items()}}
    print(row, file=sys.stderr, flush=True)
    return row


def of_series(rows: list[dict], name: str) -> tuple[list[float], dict[str, list[float]]]:
    """What varies (of the first series spikes), and the microseconds of each engine."""
    mine = [row for row in rows if row["series"] == name]
    x = [row["spikes" if name == "spikes" else "value"] for row in mine]
    return x, {engine: [row[engine] for row in mine] for engine in ENGINES}


def power(x: list[float], us: list[float]) -> float:
    """Slope in logarithms over the upper half."""
    upper = len(x) // 2
    return float(np.polyfit(np.log(x[upper:]), np.log(us[upper:]), 1)[0])


def draw(rows: list[dict]) -> None:
    """One panel for each series."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
    labels = {"spikes": "spikes in a decision", "circuits": "circuits of 8 neurons", "inputs": "inputs at 10 Hz"}
    for axis, name in zip(axes, SERIES, strict=True):
        x, times = of_series(rows, name)
        for engine, us in times.items():
            axis.loglog(x, us, "o-" if engine == "events" else "s--", label=f"{engine}: power {power(x, us):.2f}")
        axis.set(xlabel=labels[name])
        axis.legend(loc="upper left")
    axes[0].set(ylabel="CPU time of a decision (µs)")
    figure.savefig(PICTURE, dpi=110)


def write(rows: list[dict]) -> None:
    """The table as JSON and as Markdown, and the picture."""
    from rwta_sim.lab.runs import versions

    TABLE.write_text(json.dumps({"rows": rows, "versions": versions()}, indent=1) + "\n")
    lines = ["# Cost of a decision without a time step", "", "Command: `python benchmarks/event_scaling.py --write`"]
    lines += ["", f"Machine: {machine()}. Versions: {listed(versions())}. Lowest of {ROUNDS} rounds of {SECONDS:g} s."]
    lines += ["", "What varies, and what the power is: see the script."]
    for name in SERIES:
        x, times = of_series(rows, name)
        lines += ["", f"| {name} | µs, events | µs, C loop | ratio |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {n:,.0f} | {ours:,.1f} | {theirs:,.1f} | {ours / theirs:.2f} |"
            for n, ours, theirs in zip(x, times["events"], times["C loop"], strict=True)
        ]
        lines += ["", f"Power: events {power(x, times['events']):.2f}, C loop {power(x, times['C loop']):.2f}."]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write event_scaling.json and .md, and the picture")
    arguments = parser.parse_args()
    rows = [measured(name, value) for name, values in SERIES.items() for value in values]
    if arguments.write:
        write(rows)


if __name__ == "__main__":
    main()
