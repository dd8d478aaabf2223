"""The RMS-normalised step of one decision in compiled code (rms_update.cpp): one pass over the weights, not fifteen."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.projection import Packing
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.gradient import Gradient
from rwta_sim.learning.packed_outer import PackingPointers
from rwta_sim.native import native_function

__all__ = ["RMSUpdate", "available"]


class _Update(ctypes.Structure):
    """As in rms_update.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("rows", "columns", "single")),
        *((name, ctypes.c_void_p) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask", "w", "square")),
        ("packing", PackingPointers),
    ]


@functools.cache
def available() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    where = Path(__file__).with_suffix(".cpp")
    return native_function(where, "rms_update", ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_double] * 3)


@dataclass(frozen=True)
class _Outer:
    """A matrix whose gradient is ``outer(pre, post)``, plus ``outer(mirror_post, mirror_pre)`` if these are given.

    With a `packing`, of the matrix only what that has connections for.

    `pre`, `post` and the mirror's are views of vectors that are filled before each step; `weights` and `squares`
    (C order, or packed) change in place.
    """

    pre: np.ndarray
    post: np.ndarray
    mirror_post: np.ndarray | None
    mirror_pre: np.ndarray | None
    mask: np.ndarray | None
    weights: np.ndarray
    squares: np.ndarray
    packing: Packing | None = None


class RMSUpdate:
    """The step of `RMSNormalised` for factors of one row, with the numbers of gradient and optimiser.

    Parameters
    ----------
    gradient : Gradient
        Of which this is the shortcut; its gains must be 1.
    squares : sequence of ndarray
        The optimiser's means of squares, which change in place.
    decay, epsilon : float
        As in `RMSNormalised`.
    """

    def __init__(self, gradient: Gradient, squares: Sequence[np.ndarray], decay: float, epsilon: float) -> None:
        function = available()
        assert function is not None  # what `made` has asked
        self._function = function
        network = gradient.weights.network
        self._inputs, self._neurons = np.zeros(network.n_inputs), np.zeros(network.n_neurons)
        self._post = np.zeros(network.n_neurons)
        self._outers = [*self._matrices(gradient, squares), self._biases(gradient, squares)]  # their memory is used
        self._updates = (_Update * len(self._outers))(*map(_pointers, self._outers))
        self._arguments = ctypes.byref(self._updates), len(self._outers), decay, epsilon

    @classmethod
    def made(cls, gradient: Gradient, squares: Sequence[np.ndarray], decay: float, epsilon: float) -> RMSUpdate | None:
        """One, or None where it cannot be had: without a compiler, or with gains."""
        if set(gradient.gains) != {1.0} or available() is None:
            return None
        return cls(gradient, squares, decay, epsilon)

    def _matrices(self, gradient: Gradient, squares: Sequence[np.ndarray]) -> list[_Outer]:
        found = []
        for p, mirror, square in zip(gradient.projections, gradient.mirrors, squares[:-1], strict=True):
            pre = self._inputs if p.origin == "inputs" else self._neurons
            mirrored = mirror is not None
            found.append(
                _Outer(
                    pre=pre[p.source],
                    post=self._post[p.target],
                    mirror_post=self._post[p.source] if mirrored else None,
                    mirror_pre=self._neurons[p.target] if mirrored else None,
                    mask=p.mask,
                    weights=gradient.weights.weights[p.name],
                    squares=square,
                    packing=p.packing,
                )
            )
        return found

    def _biases(self, gradient: Gradient, squares: Sequence[np.ndarray]) -> _Outer:
        return _Outer(np.ones(1), self._post, None, None, gradient.bias_mask, gradient.weights.b, squares[-1])

    def can(self, factors: Factors | Eligibilities) -> bool:
        """Whether these are factors of one row, of numbers, with none of their own for biases."""
        if not isinstance(factors, Factors):
            return False
        inputs, neurons, post, bias, _ = factors
        dense = isinstance(inputs, np.ndarray) and isinstance(neurons, np.ndarray)
        return bias is None and dense and len(inputs) == len(neurons) == len(post) == 1

    def step(self, factors: Factors | Eligibilities, rate: float, modulation: float) -> None:
        """One step; `factors` as `can` wants them."""
        assert isinstance(factors, Factors)  # what `can` has asked
        self._inputs[:] = factors.pre_inputs[0]  # type: ignore[index]
        self._neurons[:] = factors.pre_neurons[0]  # type: ignore[index]
        np.multiply(factors.post[0], modulation, out=self._post)
        self._function(*self._arguments, rate)


def _pointers(outer: _Outer) -> _Update:
    arrays = {name: getattr(outer, name) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask")}
    arrays |= {"w": outer.weights, "square": outer.squares}
    for array in arrays.values():
        assert array is None or array.flags.c_contiguous
    rows, columns = outer.pre.size, outer.post.size
    single = outer.weights.dtype == np.float32
    pointers = {name: None if array is None else array.ctypes.data for name, array in arrays.items()}
    packing = PackingPointers() if outer.packing is None else PackingPointers.of(outer.packing)
    return _Update(rows=rows, columns=columns, single=single, packing=packing, **pointers)
