"""Checkpoints of sparse networks from before their weights were packed: they hold matrices."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Wiring

__all__ = ["with_packed_weights"]

#: Arrays in the shapes of all weights, the biases last, by their number.
_LEARNED = re.compile(r"(learner\.(?:optimiser\.(?:squares|means)|batch\.sum))\.([0-9]+)")


def with_packed_weights(network: Wiring, arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The arrays of a checkpoint with weights, and what a learner keeps of each, as `network` has them.

    Those of a checkpoint in which they are so already, or which is of another network, stay as they are.
    """
    weights = [arrays.get(f"weight.{name}", np.empty(0)) for name in network.matrices]
    shapes = list(network.matrices.values())
    if not any(p.packing for p in network.projections) or [w.shape for w in weights] != shapes:
        return arrays
    names = [p.name for p in network.projections]
    packed = dict(zip((f"weight.{name}" for name in names), network.repacked(weights), strict=True))
    for prefix in {found[1] for name in arrays if (found := _LEARNED.fullmatch(name))}:
        old = [arrays.get(f"{prefix}.{i}", np.empty(0)) for i in range(len(shapes) + 1)]
        if [a.shape for a in old[:-1]] == shapes:
            packed |= {f"{prefix}.{i}": a for i, a in enumerate([*network.repacked(old[:-1]), old[-1]])}
    return {**arrays, **packed}
