"""What the two enumerations share: checked weights as whole matrices, and gradients laid out as projections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring

#: States of a network, or histories of a process, that are enumerated at the most: a few hundred MB.
LIMIT = 2**18


def check_count(count: float, what: str, smaller: str) -> None:
    """Raise ValueError if `count` things called `what` are too many to enumerate."""
    if count > LIMIT:
        raise ValueError(f"{count:.3g} {what} are too many to enumerate, at most {LIMIT}: {smaller}")


def check_plain(spec: NetworkSpec) -> None:
    """Raise ValueError if a network has details that are not enumerated."""
    details = ("refractory", "delay", "noise", "tau_spread", "warm_up", "published_code")
    if given := [name for name in details if getattr(spec, name)]:
        raise ValueError(f"network.{given[0]} = {getattr(spec, given[0])} is not enumerated here: leave it out")


def winners(sizes: Sequence[int]) -> np.ndarray:
    """All ways to choose one of each circuit; shape (ways, circuits)."""
    index = np.arange(math.prod(sizes))
    columns = []
    for size in reversed(sizes):
        columns.append(index % size)
        index = index // size
    return np.stack(columns[::-1], axis=1)


def whole_matrices(
    wiring: Wiring, weights: Mapping[str, np.ndarray], b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copies of weights from inputs (n_inputs, n), among neurons (n, n), and biases (n,), zero where nothing connects.

    Raises
    ------
    ValueError
        For missing or unknown projections, wrong shapes, or what `Wiring.assign` refuses.
    """
    expected = {p.name: p.weights_shape for p in wiring.projections}
    found = {name: np.shape(w) for name, w in weights.items()}
    if found != expected:
        raise ValueError(f"weights by projection have shapes {found}, this wiring needs {expected}")
    if np.shape(b) != (wiring.n_neurons,):
        raise ValueError(f"biases of shape {np.shape(b)}, expected ({wiring.n_neurons},)")
    copies = {name: np.zeros(shape) for name, shape in expected.items()}
    bias = np.zeros(wiring.n_neurons)
    whole = {name: np.array(w, dtype=float) for name, w in weights.items()}
    wiring.assign(copies, bias, {**wiring.spec.split_blocks(whole), "b": b})
    from_inputs, among = np.zeros((wiring.n_inputs, wiring.n_neurons)), np.zeros((wiring.n_neurons,) * 2)
    for p in wiring.projections:
        (from_inputs if p.origin == "inputs" else among)[p.source, p.target] = p.unpack(copies[p.name])
    return from_inputs, among, bias


def check_vector(values: np.ndarray, size: int, what: str) -> np.ndarray:
    """`values` as a float array of shape (size,), finite."""
    values = np.asarray(values, dtype=float)
    if values.shape != (size,) or not np.isfinite(values).all():
        raise ValueError(f"{what} of shape {values.shape}, expected {size} finite numbers: {values}")
    return values


def by_projection(
    wiring: Wiring, from_inputs: np.ndarray, among: np.ndarray, bias: np.ndarray
) -> dict[str, np.ndarray]:
    """Gradients as a learner has them: zero where nothing connects; by projection name, and "b"."""
    gradients = {}
    for p in wiring.projections:
        gradients[p.name] = p.pack((from_inputs if p.origin == "inputs" else among)[p.source, p.target].copy())
    return {**gradients, "b": bias}
