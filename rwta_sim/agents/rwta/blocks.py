"""The free parameters of a recurrent winner-take-all network, block by block."""

from __future__ import annotations

import numpy as np

from rwta_sim.agents.parameter_noise import Block, whole
from rwta_sim.circuit.projection import Projection
from rwta_sim.circuit.wiring import Weights

__all__ = ["free_blocks"]


def free_blocks(weights: Weights) -> list[Block]:
    """Weights by block ("sh", "sa", "hh", "ha", "ah") and biases "b": connections that exist, each one once.

    Of symmetric weights those among hidden neurons are one half of the matrix, and "ah" follows from "ha". Where Dale's
    law holds, a weight that would change its sign becomes 0.
    """
    network, spec = weights.network, weights.network.spec
    views, found = spec.split_blocks(weights.weights), []
    masks = spec.split_blocks(
        {p.name: np.ones(p.shape, bool) if p.mask is None else p.mask for p in network.projections if p.packing is None}
    )
    for name, w in views.items():
        packed = network.projection_of(name)
        if spec.symmetric and name == "ah":
            continue
        if spec.symmetric and name == "hh":
            block = _half(w, masks["hh"]) if packed is None else _packed_half(w, packed)
        elif spec.symmetric and name == "ha":
            block = _followed(w, views["ah"], packed)
        else:
            block = whole(name, w) if packed is not None else _where(name, w, masks[name])
        found.append(_with_signs(block, weights))
    return [*found, whole("b", weights.b, bias=True)]


def _where(name: str, w: np.ndarray, mask: np.ndarray) -> Block:
    def write(values: np.ndarray) -> None:
        w[mask] = values

    return Block(name, lambda: w[mask].astype(float), write)


def _half(w: np.ndarray, mask: np.ndarray) -> Block:
    """Of a symmetric matrix what is above the diagonal."""
    upper = np.triu(mask, 1)

    def write(values: np.ndarray) -> None:
        w[upper] = values
        w.T[upper] = values

    return Block("hh", lambda: w[upper].astype(float), write)


def _packed_half(w: np.ndarray, packed: Projection) -> Block:
    i, j = packed.connections()
    upper = i < j

    def write(values: np.ndarray) -> None:
        w[upper] = values
        back = np.empty_like(w)
        packed.transpose(w, back)
        w[~upper] = back[~upper]

    return Block("hh", lambda: w[upper].astype(float), write)


def _followed(w: np.ndarray, back: np.ndarray, packed: Projection | None) -> Block:
    """Weights from hidden to action neurons, which those from action to hidden neurons follow."""
    block = whole("ha", w)

    def write(values: np.ndarray) -> None:
        block.write(values)
        if packed is None:
            back[...] = w.T
        else:
            packed.transpose(w, back)

    return block._replace(write=write)


def _with_signs(block: Block, weights: Weights) -> Block:
    if weights.network.spec.inhibitory is None:
        return block

    def write(values: np.ndarray) -> None:
        block.write(values)
        weights.network.keep_signs(weights.weights)

    return block._replace(write=write)
