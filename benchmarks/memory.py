"""Resident memory over a million advances with monitors, on the compiled engine; writes memory.md.

    python benchmarks/memory.py

A small network with a SpikeMonitor, a StateMonitor and a PopulationRateMonitor advances one step at a time, as a closed
loop does; every --every steps the monitors are drained (`engine.drain`). The contrast, a process of its own, advances
without draining, for fewer steps. Resident memory is that of the whole process (VmRSS in /proc/self/status).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import PopulationRateMonitor, SpikeMonitor, StateMonitor, ms
from machine import listed, machine

from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine
from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent
SPEC = NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=5 * ms))


def resident() -> float:
    """Resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def make() -> tuple[CompiledEngine, list]:
    """The network with its monitors, ready to advance."""
    engine = CompiledEngine()
    with engine.building():
        rwta = RWTANetwork(SPEC, n_inputs=3, n_actions=2, rng=np.random.default_rng(0))
        rwta.inputs.p = 0.2
        monitors = [
            SpikeMonitor(rwta.neurons, name="spikes"),
            StateMonitor(rwta.neurons, "q", record=True, clock=rwta.clock, name="states"),
            PopulationRateMonitor(rwta.neurons, name="rates"),
        ]
        rwta.network.add(*monitors)
    engine.prepare(rwta.network, namespace={})
    engine.seed(np.random.SeedSequence(0))
    return engine, monitors


def measure(advances: int, every: int, points: int) -> dict:
    """Advance, draining every so many steps (0: never); rows of (step, MiB) and what was drained."""
    engine, monitors = make()
    rows, values, began = [(0, resident())], 0, time.perf_counter()
    marks = {round(advances * n / points) for n in range(1, points + 1)}
    for step in range(1, advances + 1):
        engine.advance(1)
        if every and step % every == 0:
            values += sum(array.size for monitor in monitors for array in engine.drain(monitor).values())
        if step in marks:
            rows.append((step, resident()))
    return {"rows": rows, "values": values, "seconds": time.perf_counter() - began}


def measured(advances: int, every: int, points: int) -> dict:
    """`measure` in a process of its own, so that neither memory is that of the other."""
    line = [sys.executable, __file__, "--measure", str(advances), str(every), str(points)]
    return json.loads(subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout)


def section(title: str, result: dict) -> list[str]:
    """One table in Markdown, with what it comes to."""
    rows = result["rows"]
    # From the first mark on: before it, buffers of a constant size are still filling.
    steps, grown = rows[-1][0] - rows[1][0], rows[-1][1] - rows[1][1]
    per_million = (
        f"{grown:+.2f} MiB from step {rows[1][0]:,} to step {rows[-1][0]:,}, {grown / steps * 1e6:+.1f} a million"
    )
    return [
        f"## {title}",
        "",
        "| step | resident MiB |",
        "| --- | --- |",
        *(f"| {step:,} | {size:.1f} |" for step, size in rows),
        "",
        f"{per_million}; {result['values']:,} values drained; {result['seconds']:.0f} s.",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advances", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=1000, help="advances between two drains")
    parser.add_argument("--contrast", type=int, default=200_000, help="advances without draining")
    parser.add_argument("--measure", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    if min(arguments.advances, arguments.contrast) < 10 or not 1 <= arguments.every <= arguments.advances:
        parser.error("--advances and --contrast: expected at least 10; --every: at least 1 and at most --advances")
    if not Path("/proc/self/status").exists():
        parser.error("resident memory is read from /proc/self/status, which only Linux has")
    command = f"--advances {arguments.advances} --every {arguments.every} --contrast {arguments.contrast}"
    text = [
        "# Resident memory of advances with monitors, compiled engine",
        "",
        f"Command: `python benchmarks/memory.py {command}`",
        "",
        f"Machine: {machine()}. Versions: {listed(versions())}.",
        "",
        "A network of 8 neurons with a SpikeMonitor, a StateMonitor (q of every neuron) and a PopulationRateMonitor; "
        "`advance(1)` each time; the memory of the whole process.",
        "",
    ]
    drained = measured(arguments.advances, arguments.every, 10)
    text += section(f"Drained every {arguments.every:,} advances", drained)
    text += section("Never drained", measured(arguments.contrast, 0, 10))
    (HERE / "memory.md").write_text("\n".join(text).rstrip() + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
