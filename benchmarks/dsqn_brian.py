"""A deep spiking Q-network in Brian2 held against the same one in PyTorch, observation by observation: dsqn_brian.md.

    python benchmarks/dsqn_brian.py [--sizes minatar atari] [--engines compiled cython numpy] [--observations 1000]
    python benchmarks/dsqn_brian.py --render

Weights are drawn (He et al. 2015 times the preset's gain; those of actions with their spread, as at 0 they would say
nothing), pictures too: MinAtar's zeros and ones, a cell of ten is 1; Atari's grey in steps of 1/255. Each observation
is decided by Brian2, by PyTorch in double precision, and by PyTorch in single precision, as it acts: compared are all
spikes of all steps and all potentials of the actions. Decisions/s are of processor time, on one thread, the three in
turn on the same observations. Every size and engine is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import numpy as np
import torch

from rwta_sim.agents.dsqn.brian2_network import LeakyNetwork
from rwta_sim.agents.dsqn.experiment import ConvolutionSpec, LeakySpec
from rwta_sim.agents.dsqn.network import SpikingQNetwork
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.engines import CompiledEngine, Engine, RuntimeEngine, run_session
from rwta_sim.lab.runs import versions
from rwta_sim.learning.torch_adam import initialise

TABLE = Path(__file__).with_suffix(".json")
ATARI = (
    ConvolutionSpec(maps=32, kernel=8, stride=4),
    ConvolutionSpec(maps=64, kernel=4, stride=2),
    ConvolutionSpec(maps=64, kernel=3, stride=1),
)
#: Per size: shape of a picture, layers of maps, dense layers, actions, steps of a decision, highest grey.
SIZES: dict[str, tuple[tuple[int, int, int], tuple[ConvolutionSpec, ...], tuple[int, ...], int, int, int]] = {
    "minatar": ((4, 10, 10), (ConvolutionSpec(),), (128,), 3, 4, 1),
    "atari": ((4, 84, 84), ATARI, (512,), 4, 8, 255),
}
ENGINES = {
    "compiled": CompiledEngine,
    "cython": lambda: RuntimeEngine("cython"),
    "numpy": lambda: RuntimeEngine("numpy"),
}
#: Bytes of an entry of Brian2's Synapses: weight, source, target, and its place in the row of its source.
ENTRY = 21


def resident() -> float:
    """Resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def drawn(plan: QNetworkPlan, spec: LeakySpec) -> SpikingQNetwork:
    """The network in PyTorch, in single precision."""
    network = SpikingQNetwork(plan, spec)
    initialise(network, 0)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for layer in network.layers[:-1]:
            layer.weight *= spec.gain
        last = network.layers[-1].weight
        last[...] = torch.from_numpy(rng.normal(size=last.shape) * (2 / last.shape[1]) ** 0.5)
    return network


def pictures(shape: tuple[int, int, int], grey: int, count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    for _ in range(count):
        picture = rng.random(shape) < 0.1 if grey == 1 else rng.integers(0, grey + 1, shape) / grey
        yield picture.astype(np.float32).ravel()


class Comparison:
    """What came of all observations so far."""

    def __init__(self) -> None:
        self.seconds = {"brian2": 0.0, "double": 0.0, "single": 0.0}
        self.compared, self.fired, self.worst = 0, 0.0, 0.0
        self.differ = {"double": 0, "single": 0}  # spikes
        self.flipped, self.worst_single = 0, 0.0  # observations in which any spike differs; membranes of the others

    def add(self, ours: list[np.ndarray], theirs: dict[str, list[np.ndarray]]) -> None:
        self.compared += sum(layer.size for layer in ours[:-1])
        self.fired += sum(float(layer.sum()) for layer in ours[:-1])
        for name, told in theirs.items():
            wrong = sum(int((a != b).sum()) for a, b in zip(ours[:-1], told[:-1], strict=True))
            self.differ[name] += wrong
            off = float(abs(ours[-1] - told[-1]).max())
            if name == "double":
                self.worst = max(self.worst, off)
            elif wrong:
                self.flipped += 1
            else:
                self.worst_single = max(self.worst_single, off)


def compared(engine: Engine, network: LeakyNetwork, plan: QNetworkPlan, spec: LeakySpec, drives: Any) -> Comparison:
    result = Comparison()
    torches = {"single": drawn(plan, spec), "double": drawn(plan, spec).double()}
    layers = [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in torches["single"].layers]
    network.set_weights(*zip(*layers, strict=True))

    def session() -> Iterator[None]:
        for drive in drives:
            theirs = {}
            for name, module in torches.items():
                began = time.process_time()
                with torch.no_grad():
                    found = module.run(torch.from_numpy(drive[None].astype(f"f{4 if name == 'single' else 8}")))
                theirs[name] = [layer.numpy() for layer in found]
                result.seconds[name] += time.process_time() - began
            began = time.process_time()
            ours = yield from network.decide(drive)
            result.seconds["brian2"] += time.process_time() - began
            result.add(ours, theirs)

    run_session(engine, session(), 1)
    return result


def measured(size: str, name: str, observations: int) -> dict[str, Any]:
    """One row, in this process."""
    shape, convolutions, hidden, actions, steps, grey = SIZES[size]
    plan = QNetworkPlan.of(shape, int(np.prod(shape)), convolutions, hidden, actions)
    spec = LeakySpec(steps=steps)
    torch.set_num_threads(1)
    before, engine = resident(), ENGINES[name]()
    network = LeakyNetwork(engine, plan, spec)
    built = resident() - before
    result = compared(engine, network, plan, spec, pictures(shape, grey, observations))
    # A neuron of maps hears a whole kernel.
    unrolled = [int(np.prod(w[1:])) * n for w, n in zip(plan.weights, plan.sizes, strict=True)]
    maps = len(plan.strides)
    return {
        "size": size,
        "engine": name,
        "steps": steps,
        "observations": observations,
        "neurons": sum(plan.sizes),
        "weights": plan.n_weights,
        "fired": result.fired / result.compared,
        "compared": result.compared,
        "differ_double": result.differ["double"],
        "differ_single": result.differ["single"],
        "flipped": result.flipped,
        "worst_double": result.worst,
        "worst_single": result.worst_single,
        "per_second": {who: observations / seconds for who, seconds in result.seconds.items()},
        "built_mib": built,
        "shared_mib": sum(int(np.prod(w)) for w in plan.weights[:maps]) * 8 / 2**20,
        "unrolled_mib": sum(unrolled[:maps]) * ENTRY / 2**20,
        "dense_mib": sum(unrolled[maps:]) * ENTRY / 2**20,
    }


def line(row: dict[str, Any]) -> str:
    speed = row["per_second"]
    cells = [row["size"], row["engine"], f"{row['observations']:,}", f"{row['compared']:,}", f"{row['fired']:.1%}"]
    cells += [str(row["differ_double"]), f"{row['worst_double']:.0e}"]
    cells += [f"{row['differ_single']} in {row['flipped']}", f"{row['worst_single']:.0e}"]
    cells += [f"{speed[who]:,.0f}" for who in ("brian2", "single", "double")]
    return f"| {' | '.join(cells)} |"


def memory(row: dict[str, Any]) -> str:
    cells = [row["size"], f"{row['neurons']:,}", f"{row['weights']:,}"]
    cells += [f"{row[name]:.2f}" for name in ("shared_mib", "unrolled_mib", "dense_mib")]
    return f"| {' | '.join(cells)} |"


def table_of(heads: list[str], lines: list[str]) -> list[str]:
    return [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|", *lines]


def text(table: dict[str, Any]) -> str:
    rows = sorted(table["rows"], key=lambda row: (list(SIZES).index(row["size"]), list(ENGINES).index(row["engine"])))
    sizes = {row["size"]: row for row in rows}
    built = ", ".join(f"{row['size']} on {row['engine']} {row['built_mib']:.0f}" for row in rows)
    heads = ["size", "engine", "observations", "spikes compared", "fired", "differ (double)", "potentials (double)"]
    heads += ["differ (single)", "potentials (single)", "Brian2/s", "PyTorch/s, single", "PyTorch/s, double"]
    lines = [
        "# Deep spiking Q-networks in Brian2 and in PyTorch",
        "",
        f"Machine: {table['machine']}, {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        "Made by `python benchmarks/dsqn_brian.py`, whose text says what is done. `minatar`: 4 x 10 x 10, 16 maps of "
        "3 x 3, 128 neurons, 3 actions, T = 4. `atari`: 4 x 84 x 84, 32 maps of 8 x 8, 64 of 4 x 4, 64 of 3 x 3, 512 "
        "neurons, 4 actions, T = 8 (the paper's).",
        "",
        *table_of(heads, [line(row) for row in rows]),
        "",
        "Spikes compared: 1 or 0 of every hidden neuron in every step. Differ: how many are not the same; in single "
        "precision also in how many observations, which happens where a potential is at the threshold to the last "
        "bits, as sums are rounded there. Potentials: largest difference of any action's in any step; single: of "
        "observations whose spikes are the same. Decisions/s are of processor time on one thread.",
        "",
        *table_of(
            ["size", "neurons", "weights", "kernels, MiB", "the same as synapses, MiB", "dense synapses, MiB"],
            [memory(row) for row in sizes.values()],
        ),
        "",
        f"Reckoned: a weight of a kernel is 8 bytes, an entry of Brian2's Synapses {ENTRY}. Measured, of the whole "
        f"process, what building the network added, compiling and Brian2's code among it, MiB: {built}.",
        "",
    ]
    return "\n".join(lines)


def save(table: dict[str, Any]) -> None:
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    TABLE.with_suffix(".md").write_text(text(table))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES, help="sizes of networks")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=ENGINES, help="engines")
    parser.add_argument("--observations", type=int, default=1000, help="of each size and engine")
    parser.add_argument("--load", default="with nothing else running", help="what else the machine did, for the table")
    parser.add_argument("--row", action="store_true", help="print the one row, for the process that asked")
    parser.add_argument("--render", action="store_true", help="write the page anew, without measuring")
    arguments = parser.parse_args()
    if arguments.render:
        save(json.loads(TABLE.read_text()))
        return
    asked = [(size, engine) for size in arguments.sizes for engine in arguments.engines]
    if arguments.row:
        print(json.dumps(measured(*asked[0], arguments.observations)))
        return
    for size, engine in asked:
        command = [sys.executable, __file__, "--row", "--sizes", size, "--engines", engine]
        command += ["--observations", str(arguments.observations)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {"rows": []}
        others = [r for r in table["rows"] if (r["size"], r["engine"]) != (size, engine)]
        save({"machine": machine(), "versions": versions("torch"), "load": arguments.load, "rows": [*others, row]})
        print(row, flush=True)


if __name__ == "__main__":
    main()
