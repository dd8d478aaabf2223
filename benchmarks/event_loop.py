"""The section of closed_loop.py on decisions without a time step; see `python benchmarks/closed_loop.py --events`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from c_events import CEvents
from event_paths import FORWARD, LEARNING, TIME, make_event_path, spec_of
from loop_cases import NETWORKS
from loop_worker import Worker

from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.wiring import Wiring

__all__ = ["agreement", "events"]


def events(networks: Sequence[str], rounds: int, seconds: float) -> dict[str, Any]:
    """The section: rows, and what the table says of itself."""
    rows = [
        row
        for network in networks
        for paths in (FORWARD, LEARNING)
        for row in _measured(network, paths, rounds, seconds)
    ]
    return {
        "text": [
            f"A decision of {TIME * 1e3:.0f} ms: drive the inputs, simulate, read q of the action circuit. Circuits "
            "fire at 100 Hz, inputs at 50 / 10 / 10 Hz on S1/S2/S3, kernel exponential of 20 ms, all blocks, weights "
            "normal with sd 0.1. Learning: traces cleared, then the score function of the decision, applied to all "
            "weights.",
            "",
            f"CPU time of the process of each path (other work shared the machine, which makes all slower): lowest and "
            f"median of {rounds} rounds of about {seconds:g} s, the paths in turns.",
            "",
            *(f"- `{name}`: {what}." for name, what in {**FORWARD, **LEARNING}.items()),
            "",
            agreement(),
        ],
        "rows": rows,
    }


def _measured(network: str, paths: Sequence[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    workers = [Worker(path, network, seconds, make_event_path) for path in paths]
    for worker in workers:
        worker.ready()
    times: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(rounds):
        for worker in workers:
            times[worker.name].append(worker.round() * 1e6)
    for worker in workers:
        worker.end()
    limit = times[next(iter(paths))]
    return [
        {
            "network": network,
            "path": path,
            "us": min(found),
            "us_median": median(found),
            "relative_to_c": min(found) / min(limit),
        }
        for path, found in times.items()
    ]


def agreement(decisions: int = 4000) -> str:
    """That the C loop is the same network: mean spikes of every neuron of S1, and of inputs, in a decision."""
    size = NETWORKS["S1"]
    spec = spec_of(size, 1.0).model_copy(update={"weight_sd": 1.0})
    loop = CEvents(
        RWTANetwork(spec, size.inputs, size.actions, rng=np.random.default_rng(0)),
        np.random.SeedSequence(3),
        TIME,
        False,
    )
    rng = np.random.default_rng(0)
    network = EventNetwork(Wiring(spec, size.inputs, size.actions, rng), rng)
    drive, seen = np.linspace(0.2, 1.0, size.inputs), []
    loop.drive(drive)
    network.drive(drive)
    for _ in range(decisions):
        loop.clear()
        before = loop.view("n_spikes").copy()
        loop.play()
        network.advance(TIME, afresh=True)
        seen.append((loop.view("n_spikes") - before, network.arrays.counts.copy()))
    in_c, ours = (np.array(each, float) for each in zip(*seen, strict=True))
    error = np.sqrt((in_c.var(axis=0) + ours.var(axis=0)) / decisions)
    largest = float((np.abs(in_c.mean(axis=0) - ours.mean(axis=0)) / error).max())
    bound = 4.8  # false alarm 1e-4 of 69 means
    if largest > bound:
        raise SystemExit(f"the C event loop is not the same network: |z| = {largest:.2f}")
    return (
        f"Check of the C event loop against `EventNetwork` (S1, weights of sd 1): mean spikes of {ours.shape[1]} "
        f"neurons over {decisions} decisions, largest |z| {largest:.2f}, bound {bound} (false alarms: 0.0001)."
    )
