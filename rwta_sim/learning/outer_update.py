"""The step of one decision in compiled code (outer_update.cpp): one pass over the weights, not NumPy's fifteen."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.projection import Packing
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.gradient import Gradient
from rwta_sim.learning.packed_outer import PackingPointers
from rwta_sim.native import Piece, address, native_function

__all__ = ["Moments", "OuterUpdate", "available"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Moments(NamedTuple):
    """What an optimiser keeps of gradients, and how.

    Attributes
    ----------
    squares : list of ndarray
        Running means of squares, in the shapes of the parameters; they change in place.
    decay, epsilon : float
        Of the means of squares; what is added to their roots.
    means : list of ndarray, or None
        Running means of gradients, of `Adam`; None: the step is that of `RMSNormalised`.
    mean_decay : float
    steps : ndarray, shape (1,), or None
        Of `Adam`, so far; counted in place.
    """

    squares: list[np.ndarray]
    decay: float
    epsilon: float
    means: list[np.ndarray] | None = None
    mean_decay: float = 0.0
    steps: np.ndarray | None = None


class _Update(ctypes.Structure):
    """As in outer_update.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("rows", "columns", "single")),
        *((name, _POINTER) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask", "w", "square", "mean")),
        ("packing", PackingPointers),
    ]


class _Step(ctypes.Structure):
    """As in outer_update.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("updates", "adam", "inputs", "neurons")),
        *((name, _POINTER) for name in ("update", "pre_inputs", "pre_neurons", "post")),
        *((name, _REAL) for name in ("decay", "mean_decay", "epsilon")),
        ("steps", _POINTER),
    ]


@functools.cache
def available() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    where = Path(__file__).with_suffix(".cpp")
    return native_function(where, "outer_update", *[_POINTER] * 4, _REAL, _REAL)


@dataclass(frozen=True)
class _Outer:
    """A matrix whose gradient is ``outer(pre, post)``, plus ``outer(mirror_post, mirror_pre)`` if these are given.

    With a `packing`, of the matrix only what that has connections for.

    `pre`, `post` and the mirror's are views of vectors that are filled before each step; `weights`, `squares` and
    `means` (C order, or packed) change in place.
    """

    pre: np.ndarray
    post: np.ndarray
    mirror_post: np.ndarray | None
    mirror_pre: np.ndarray | None
    mask: np.ndarray | None
    weights: np.ndarray
    squares: np.ndarray
    means: np.ndarray | None
    packing: Packing | None = None


class OuterUpdate:
    """The step of `RMSNormalised` or `Adam` for factors of one row, with the numbers of gradient and optimiser.

    Parameters
    ----------
    gradient : Gradient
        Of which this is the shortcut; its gains must be 1.
    moments : Moments
    """

    #: Eligibilities take the optimiser's own way.
    grown: tuple[np.ndarray, ...] = ()
    along: Piece | None = None

    def __init__(self, gradient: Gradient, moments: Moments) -> None:
        function = available()
        assert function is not None  # what `made` has asked
        self._function = function
        network = gradient.weights.network
        self._inputs, self._neurons = np.zeros(network.n_inputs), np.zeros(network.n_neurons)
        self._post = np.zeros(network.n_neurons)
        nothing: list[np.ndarray | None] = [None] * len(moments.squares)
        means = nothing if moments.means is None else moments.means
        kept = list(zip(moments.squares, means, strict=True))
        self._outers = [*self._matrices(gradient, kept[:-1]), self._biases(gradient, *kept[-1])]  # their memory is used
        self._updates = (_Update * len(self._outers))(*map(_pointers, self._outers))
        self._step = _Step(
            updates=len(self._outers),
            adam=moments.means is not None,
            inputs=network.n_inputs,
            neurons=network.n_neurons,
            update=ctypes.addressof(self._updates),
            pre_inputs=address(self._inputs),
            pre_neurons=address(self._neurons),
            post=address(self._post),
            decay=moments.decay,
            mean_decay=moments.mean_decay,
            epsilon=moments.epsilon,
            steps=None if moments.steps is None else address(moments.steps),
        )
        self._kept = moments
        self._at = ctypes.addressof(self._step)
        self.piece = Piece.of(function, self._at, self)

    @classmethod
    def made(cls, gradient: Gradient, moments: Moments) -> OuterUpdate | None:
        """One, or None where it cannot be had: without a compiler, or with gains."""
        if set(gradient.gains) != {1.0} or available() is None:
            return None
        return cls(gradient, moments)

    def _matrices(self, gradient: Gradient, kept: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[_Outer]:
        found = []
        for p, mirror, (square, mean) in zip(gradient.projections, gradient.mirrors, kept, strict=True):
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
                    means=mean,
                    packing=p.packing,
                )
            )
        return found

    def _biases(self, gradient: Gradient, square: np.ndarray, mean: np.ndarray | None) -> _Outer:
        return _Outer(np.ones(1), self._post, None, None, gradient.bias_mask, gradient.weights.b, square, mean)

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
        rows = [
            np.ascontiguousarray(pre, dtype=float) for pre in (factors.pre_inputs, factors.pre_neurons, factors.post)
        ]
        self._function(self._at, *map(address, rows), modulation, rate)


def _pointers(outer: _Outer) -> _Update:
    arrays = {name: getattr(outer, name) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask")}
    arrays |= {"w": outer.weights, "square": outer.squares, "mean": outer.means}
    for array in arrays.values():
        assert array is None or array.flags.c_contiguous
    rows, columns = outer.pre.size, outer.post.size
    single = outer.weights.dtype == np.float32
    pointers = {name: None if array is None else array.ctypes.data for name, array in arrays.items()}
    packing = PackingPointers() if outer.packing is None else PackingPointers.of(outer.packing)
    return _Update(rows=rows, columns=columns, single=single, packing=packing, **pointers)
