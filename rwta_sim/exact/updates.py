"""What a learning rule does on average, and in which direction that goes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.exact._common import by_projection, check_vector
from rwta_sim.exact.process import ExactProcess
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.rules import Rule

__all__ = ["Moments", "cosines", "update_moments"]


#: Decisions whose updates are summed at a time.
_CHUNK = 1000


class Moments(NamedTuple):
    """Mean and variance of a change of the weights; by projection name, and "b"."""

    mean: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]


def update_moments(process: ExactProcess, rules: Sequence[Rule], advantage: np.ndarray) -> list[Moments]:
    """Mean and variance of ``A(action) e``, with the eligibility e of each rule, over every decision of `process`.

    Parameters
    ----------
    process : ExactProcess
    rules : sequence of Rule
        Made for the wiring, steps and decoder of `process`.
    advantage : ndarray, shape (n_actions,)
    """
    a = check_vector(advantage, process.wiring.n_actions, "advantage")
    sums = [_Sums(process.wiring) for _ in rules]
    decisions = process.decisions()
    while chunk := list(itertools.islice(decisions, _CHUNK)):
        probability = np.array([p for p, _ in chunk])
        for rule, total in zip(rules, sums, strict=True):
            total.add(probability, [rule.factors(decision).times(a[decision.action]) for _, decision in chunk])
    return [total.moments() for total in sums]


class _Sums:
    """Weighted sums of updates and of their squares."""

    def __init__(self, wiring: Wiring) -> None:
        n_in, n = wiring.n_inputs, wiring.n_neurons
        self._wiring = wiring
        self._first = [np.zeros((n_in, n)), np.zeros((n, n)), np.zeros(n)]
        self._second = [np.zeros_like(s) for s in self._first]

    def add(self, probability: np.ndarray, factors: Sequence[Factors]) -> None:
        pre_inputs, pre_neurons = np.stack([f.pre_inputs for f in factors]), np.stack([f.pre_neurons for f in factors])
        post = np.stack([f.post for f in factors])
        bias = np.stack([f.of_biases for f in factors]).sum(axis=1)
        among = pre_neurons.transpose(0, 2, 1) @ post
        if self._wiring.spec.symmetric:
            among = among + among.transpose(0, 2, 1)
        for i, e in enumerate((pre_inputs.transpose(0, 2, 1) @ post, among, bias)):
            self._first[i] += np.tensordot(probability, e, 1)
            self._second[i] += np.tensordot(probability, e**2, 1)

    def moments(self) -> Moments:
        variance = [np.maximum(second - first**2, 0.0) for first, second in zip(self._first, self._second, strict=True)]
        return Moments(by_projection(self._wiring, *self._first), by_projection(self._wiring, *variance))


def cosines(spec: NetworkSpec, update: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Cosine of the angle between two changes of the weights, in each block, in "b", and in "all" together.

    NaN where one of them has no direction: where its block is nothing (1e-9) beside the rest of it.

    Parameters
    ----------
    spec : NetworkSpec
    update, target : mapping of ndarray
        By projection name, and "b".
    """
    parts = []
    for whole in (update, target):
        matrices = spec.split_blocks({name: g for name, g in whole.items() if name != "b"})
        blocks = {name: np.ravel(g) for name, g in {**matrices, "b": whole["b"]}.items()}
        parts.append({**blocks, "all": np.concatenate(list(blocks.values()))})
    smallest = [1e-9 * float(np.linalg.norm(part["all"])) for part in parts]
    found = {}
    for name in parts[0]:
        x, y = parts[0][name], parts[1][name]
        lengths = float(np.linalg.norm(x)), float(np.linalg.norm(y))
        directed = all(n > small for n, small in zip(lengths, smallest, strict=True))
        found[name] = float(x @ y) / math.prod(lengths) if directed else math.nan
    return found
