"""What a learning rule does on average, and in which direction that goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rwta_sim.critics.linear import LinearTD, TDSettings
from rwta_sim.exact._common import check_vector
from rwta_sim.exact.process import ExactProcess
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.rules import Rule
from rwta_sim.spec import NetworkSpec
from rwta_sim.wiring import Weights, Wiring

__all__ = ["Moments", "cosines", "update_moments", "updater"]


class Moments(NamedTuple):
    """Mean and variance of a change of the weights; by projection name, and "b"."""

    mean: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]


def updater(wiring: Wiring, rule: Rule) -> Learner:
    """A learner for its `gradient`, which lays out factors as weights; its critic and weights do not matter."""
    critic = LinearTD(TDSettings(), lambda features: features, np.zeros(1))
    weights = Weights(wiring, {p.name: np.zeros(p.shape) for p in wiring.projections}, np.zeros(wiring.n_neurons))
    return Learner(LearningSpec(), critic, weights, rule)


def update_moments(process: ExactProcess, rule: Rule, advantage: np.ndarray) -> Moments:
    """Mean and variance of ``A(action) e``, with the eligibility e of `rule`, over every decision of `process`.

    Parameters
    ----------
    process : ExactProcess
    rule : Rule
        Made for the wiring, steps and decoder of `process`.
    advantage : ndarray, shape (n_actions,)
    """
    a = check_vector(advantage, process.wiring.n_actions, "advantage")
    learner = updater(process.wiring, rule)
    names = [*(p.name for p in process.wiring.projections), "b"]
    sums: list[np.ndarray] = []
    squares: list[np.ndarray] = []
    for probability, decision in process.decisions():
        gradients = learner.gradient(rule.factors(decision).times(a[decision.action]))
        if not sums:
            sums, squares = ([np.zeros_like(g) for g in gradients] for _ in range(2))
        for total, square, g in zip(sums, squares, gradients, strict=True):
            total += probability * g
            square += probability * g**2
    variances = [np.maximum(square - total**2, 0.0) for total, square in zip(sums, squares, strict=True)]
    return Moments(dict(zip(names, sums, strict=True)), dict(zip(names, variances, strict=True)))


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
