"""Lesions and stimulation of a recurrent winner-take-all network: changes of its weights and biases, nothing else.

Nothing is taken out of the network, so that everything else draws the same random numbers as before: a connection
without weight delivers nothing, a neuron with the bias `MUTE` has q = 0 exactly (potentials saturate, see
`rwta_sim.circuit.equations`), and one with the bias -MUTE has q = 1. A circuit always fires as a whole, whatever its
weights; where all of one is to be silent, its spikes go on unheard: nothing it sends has any weight.
"""

from __future__ import annotations

import re

import numpy as np

from rwta_sim.agents.targets import check_known, share
from rwta_sim.circuit.equations import U_MAX
from rwta_sim.circuit.spec import BLOCKS
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.errors import ConfigError

__all__ = ["MUTE", "PERTURBATIONS", "perturb"]

#: Bias of a neuron that cannot win.
MUTE = -2 * U_MAX

PERTURBATIONS = {
    "lesion": "cut a block (sh, sa, hh, ha, ah), or destroy circuit:K, circuits:SHARE or neurons:SHARE of the hidden "
    "ones: no connections, and no part in the competition",
    "silence": "keep circuit:K, circuits:SHARE or neurons:SHARE from firing; what they receive stays",
    "drive": "circuit:K=neuron:I: neuron I of hidden circuit K wins whenever its circuit fires; circuits:SHARE: in so "
    "many of the hidden circuits a neuron that is drawn",
}
_NOBODY = np.empty(0, np.int64)
_TARGET = re.compile(r"(circuit|circuits|neurons):([0-9.eE+-]+)")
_DRIVE = re.compile(r"circuit:(\d{1,6})=neuron:(\d{1,6})")


def perturb(weights: Weights, name: str, target: str, rng: np.random.Generator) -> np.ndarray:
    """Change weights and biases in place, as `PERTURBATIONS` says.

    Parameters
    ----------
    weights : Weights
    name : str
        One of `PERTURBATIONS`.
    target : str
        Of what; as there.
    rng : numpy.random.Generator
        Draws the neurons or circuits of a share.

    Returns
    -------
    ndarray of int
        The neurons that were hit; empty for a block.

    Raises
    ------
    ConfigError
        If there is no such perturbation, or no such target in this network; then nothing has changed.
    """
    check_known(name, PERTURBATIONS)
    asked = f"{name} {target!r}"
    if name == "drive":
        return _drive(weights, asked, target, rng)
    if name == "lesion" and target in BLOCKS:
        _block(weights, asked, target)[...] = 0.0
        return _NOBODY
    neurons = _hidden(weights.network, asked, target, rng)
    _cut(weights, neurons, incoming=name == "lesion")
    return neurons


def _block(weights: Weights, asked: str, name: str) -> np.ndarray:
    blocks = weights.network.spec.split_blocks(weights.weights)
    if name not in blocks:
        raise ConfigError(f"{asked}: this network has no such block; it has {', '.join(blocks)}")
    return blocks[name]


def _hidden(network: Wiring, asked: str, target: str, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the hidden neurons that a target names."""
    found = _TARGET.fullmatch(target)
    if found is None:
        blocks = ", ".join(network.spec.present_blocks)
        raise ConfigError(f"{asked}: expected a block ({blocks}), circuit:K, circuits:SHARE or neurons:SHARE")
    kind, text = found.groups()
    if kind == "circuit":
        return _circuit(network, asked, text)
    count = network.spec.hidden_circuits if kind == "circuits" else network.spec.n_hidden
    chosen = rng.permutation(count)[: round(share(asked, text) * count)]
    if kind == "neurons":
        return np.sort(chosen)
    return np.flatnonzero(np.isin(network.circuit[: network.spec.n_hidden], chosen))


def _circuit(network: Wiring, asked: str, text: str) -> np.ndarray:
    count = network.spec.hidden_circuits
    if not text.isdecimal() or int(text) >= count:
        there = f"from 0 to {count - 1}" if count else "but this network has no hidden circuits"
        raise ConfigError(f"{asked}: expected the number of a hidden circuit, {there}")
    return np.flatnonzero(network.circuit == int(text))


def _drive(weights: Weights, asked: str, target: str, rng: np.random.Generator) -> np.ndarray:
    if target.startswith("circuits:"):
        sizes = np.array(weights.network.spec.hidden_sizes, int)
        order, places = rng.permutation(sizes.size), rng.random(sizes.size)  # the same at every share
        chosen = order[: round(share(asked, target.removeprefix("circuits:")) * sizes.size)]
        neurons = np.sort(weights.network.starts[chosen] + (places[chosen] * sizes[chosen]).astype(int))
        weights.b[neurons] = -MUTE
        return neurons
    found = _DRIVE.fullmatch(target)
    if found is None:
        raise ConfigError(f"{asked}: expected circuit:K=neuron:I, such as circuit:2=neuron:5, or circuits:SHARE")
    neurons = _circuit(weights.network, asked, found[1])
    if int(found[2]) >= neurons.size:
        raise ConfigError(f"{asked}: expected a neuron from 0 to {neurons.size - 1} of that circuit")
    neuron = neurons[int(found[2])]
    weights.b[neuron] = -MUTE
    return np.array([neuron])


def _cut(weights: Weights, neurons: np.ndarray, incoming: bool) -> None:
    """Take hidden neurons out of the competition, and their connections away."""
    network = weights.network
    for name, block in network.spec.split_blocks(weights.weights).items():
        sources = neurons if name[0] == "h" else _NOBODY
        targets = neurons if name[1] == "h" and incoming else _NOBODY
        packed = network.projection_of(name)
        if packed is not None and packed.packing is not None:
            packed.packing.cut(block, sources, targets)
        else:
            block[sources, :] = 0.0
            block[:, targets] = 0.0
    whole = network.circuit_sum(np.isin(np.arange(network.n_neurons), neurons).astype(float))[neurons]
    sizes = np.diff(network.starts)[network.circuit[neurons]]
    # Of a circuit that is hit as a whole nobody can win less than the others: it goes on, and is not heard.
    weights.b[neurons] = np.where(whole < sizes, MUTE, 0.0)
