"""Weights and biases that are noisy, lost or coarse: the same perturbations for every system that names its blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rwta_sim.agents.targets import check_known
from rwta_sim.errors import ConfigError

__all__ = ["PERTURBATIONS", "Block", "layer_blocks", "perturb_blocks", "quantised", "whole"]


class Block(NamedTuple):
    """Parameters of a system that are free: each one of them is drawn, lost or rounded by itself.

    What follows from them, such as the other half of a symmetric matrix, `write` sets too.

    Attributes
    ----------
    name : str
        Several may share one.
    read : callable
        Gives a copy of the free values, shape (n,), float64.
    write : callable
        Takes them.
    bias : bool
        Whether they are biases, and not weights.
    """

    name: str
    read: Callable[[], np.ndarray]
    write: Callable[[np.ndarray], None]
    bias: bool = False


def whole(name: str, array: np.ndarray, bias: bool = False) -> Block:
    """A block of all the numbers in an array."""

    def write(values: np.ndarray) -> None:
        array[...] = values.reshape(array.shape)

    return Block(name, lambda: array.astype(float).reshape(-1), write, bias)


def layer_blocks(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> list[Block]:
    """Blocks of a network of layers: "sh" from the inputs, "hh" among hidden layers, "ha" to the actions, "b" biases.

    Without a hidden layer its weights are "sa".
    """
    last = len(weights) - 1
    names = ["sa"] if not last else ["sh" if k == 0 else "ha" if k == last else "hh" for k in range(last + 1)]
    return [whole(n, w) for n, w in zip(names, weights, strict=True)] + [whole("b", b, bias=True) for b in biases]


#: Beyond this rounding is below the precision of the weights themselves.
MOST_BITS = 32
Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class _Perturbation(NamedTuple):
    change: Change
    level: str
    description: str
    most: float = 1e6


def _gaussian(values: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    return values + sd * rng.standard_normal(values.size)


def _uniform(values: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    return values + reach * rng.uniform(-1.0, 1.0, values.size)


def _relative(values: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    return _gaussian(values, sd * float(np.abs(values).mean()) if values.size else 0.0, rng)


def _relative_uniform(values: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    return _uniform(values, reach * float(np.abs(values).mean()) if values.size else 0.0, rng)


def _cut(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    lost = rng.permutation(values.size)[: round(share * values.size)]
    values[lost] = 0.0
    return values


def quantised(values: np.ndarray, bits: float) -> np.ndarray:
    """The nearest of ``2^bits - 1`` evenly spaced values from ``-max |w|`` to ``max |w|``, 0 among them.

    With one bit only the sign is left, times ``mean |w|``: the scale with the smallest squared error (Rastegari et al.
    2016, XNOR-Net). With infinitely many bits they stay as they are.

    Parameters
    ----------
    values : ndarray, shape (n,)
    bits : float
        A whole number from 1, or infinity.

    Returns
    -------
    ndarray, shape (n,)
    """
    largest = float(np.abs(values).max(initial=0.0))
    if math.isinf(bits) or not largest:
        return values
    if bits == 1:
        return np.where(values < 0, -1.0, 1.0) * float(np.abs(values).mean())
    step = largest / (2 ** (int(bits) - 1) - 1)
    return np.round(values / step) * step


_KINDS = {
    "gaussian-noise": _Perturbation(_gaussian, "SD", "add Gaussian noise with this standard deviation"),
    "uniform-noise": _Perturbation(_uniform, "REACH", "add uniform noise between -REACH and REACH"),
    "relative-gaussian-noise": _Perturbation(
        _relative, "SD", "add Gaussian noise with this many times the block's mean |w| as its standard deviation"
    ),
    "relative-uniform-noise": _Perturbation(
        _relative_uniform, "REACH", "add uniform noise within this many times the block's mean |w|"
    ),
    "cut": _Perturbation(_cut, "SHARE", "set this share of each block's connections, drawn at random, to 0", most=1.0),
    "quantise": _Perturbation(
        lambda values, bits, rng: quantised(values, bits),
        "BITS",
        f"round to what so many bits (1 to {MOST_BITS}, or inf for all) can tell apart in each block",
        most=math.inf,
    ),
}

#: By name, with their targets; for the `perturbations` of a system that has blocks.
PERTURBATIONS = {
    name: f"{kind.description}: weights:{kind.level}, biases:{kind.level}, or of a block of weights BLOCK:{kind.level}"
    for name, kind in _KINDS.items()
}
_TARGET = re.compile(r"([A-Za-z_][\w.]*):([0-9.eE+-]+|inf)")


def perturb_blocks(blocks: Sequence[Block], name: str, target: str, rng: np.random.Generator) -> None:
    """Change the parameters of a system in place, as `PERTURBATIONS` says.

    The same generator draws the same numbers at every level: noise of twice the standard deviation is twice the noise,
    and of a larger share the same connections are lost, and more.

    Parameters
    ----------
    blocks : sequence of Block
        Of the whole system.
    name : str
        One of `PERTURBATIONS`.
    target : str
        Of what, and how much; as there.
    rng : numpy.random.Generator
        Draws noise and connections.

    Raises
    ------
    ConfigError
        If there is no such perturbation, no such block or no such level; then nothing has changed.
    """
    check_known(name, _KINDS)
    kind, asked = _KINDS[name], f"{name} {target!r}"
    names = list(dict.fromkeys(block.name for block in blocks if not block.bias))
    found = _TARGET.fullmatch(target)
    if found is None or found[1] not in ("weights", "biases", *names):
        raise ConfigError(
            f"{asked}: expected weights:{kind.level}, biases:{kind.level} or a block ({', '.join(names)}) in place of "
            "weights"
        )
    level = _level(asked, found[2], kind)
    everywhere = {"weights": False, "biases": True}
    for block in blocks:
        if block.bias == everywhere[found[1]] if found[1] in everywhere else block.name == found[1]:
            block.write(kind.change(block.read(), level, rng))


def _level(asked: str, text: str, kind: _Perturbation) -> float:
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if kind.level == "BITS":
        if level != math.inf and level not in range(1, MOST_BITS + 1):
            raise ConfigError(f"{asked}: expected a whole number of bits from 1 to {MOST_BITS}, or inf, got {text}")
    elif not 0 <= level <= kind.most:
        raise ConfigError(f"{asked}: expected {kind.level} from 0 to {kind.most:g}, got {text}")
    return level
