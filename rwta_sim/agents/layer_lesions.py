"""Lesions and stimulation of a network of layers: changes of weights and biases, nothing else.

Nothing is taken out of the network, so that everything else has the same random numbers as before. A neuron without
weights says nothing; what one that is silent or always fires says is for its system to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from rwta_sim.agents.targets import check_known, number, share
from rwta_sim.errors import ConfigError

__all__ = ["LAYER_LESIONS", "lesion_layers"]

#: What may be done to layers, by name, with a description of the targets.
LAYER_LESIONS = {
    "lesion": "cut connections (sh: inputs to hidden, hh: among hidden layers, ha: hidden to actions), or destroy "
    "layer:K or neurons:SHARE of the hidden neurons: no connections",
    "silence": "keep layer:K or neurons:SHARE of the hidden neurons from firing",
    "drive": "neuron:I: hidden neuron I, counted through all layers, always fires",
}
_TARGET = re.compile(r"(layer|neurons|neuron):([0-9.eE+-]+)")


def lesion_layers(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    name: str,
    target: str,
    rests: Mapping[str, float],
    rng: np.random.Generator,
) -> None:
    """Change weights and biases in place, as `LAYER_LESIONS` says.

    Parameters
    ----------
    weights : sequence of ndarray, shape (n_post, n_pre) each
        Layer after layer, that onto the actions last.
    biases : sequence of ndarray, shape (n_post,) each
    name : str
        One of `rests`.
    target : str
        Of what; as there.
    rests : mapping of str to float
        What the system declares of `LAYER_LESIONS`, with the bias that a neuron is given by each.
    rng : numpy.random.Generator
        Draws the neurons of a share.

    Raises
    ------
    ConfigError
        If there is no such perturbation, or no such target in this network; then nothing has changed.
    """
    check_known(name, rests)
    asked = f"{name} {target!r}"
    blocks = {"sh": weights[:1], "hh": weights[1:-1], "ha": weights[-1:]}
    if name == "lesion" and target in blocks:
        if not blocks[target]:
            raise ConfigError(f"{asked}: there is one hidden layer, expected sh or ha")
        for block in blocks[target]:
            block[...] = 0.0
        return
    hit = _targets([len(bias) for bias in biases[:-1]], name, asked, target, rng)
    for k, neurons in enumerate(hit):
        weights[k][neurons] = 0.0
        biases[k][neurons] = rests[name]
        if name == "lesion":
            weights[k + 1][:, neurons] = 0.0


def _targets(sizes: Sequence[int], name: str, asked: str, target: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Of each hidden layer the neurons that a target names."""
    found = _TARGET.fullmatch(target)
    if found is None or (name == "drive") != (found[1] == "neuron"):
        expected = {"drive": "neuron:I", "silence": "layer:K or neurons:SHARE"}
        blocks = "a block (sh, hh, ha), layer:K or neurons:SHARE"
        raise ConfigError(f"{asked}: expected {expected.get(name, blocks)}")
    kind, text = found.groups()
    count, starts = sum(sizes), np.cumsum([0, *sizes])
    if kind == "neurons":
        chosen = rng.permutation(count)[: round(share(asked, text) * count)]
    elif kind == "layer":
        layer = number(asked, "a hidden layer", text, len(sizes))
        chosen = np.arange(starts[layer], starts[layer + 1])
    else:
        chosen = np.array([number(asked, "a hidden neuron", text, count)])
    hit = np.isin(np.arange(count), chosen)
    return [np.flatnonzero(hit[start:stop]) for start, stop in pairwise(starts)]
