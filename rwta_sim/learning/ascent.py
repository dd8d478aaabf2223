"""Plain gradient ascent in place: of weights from the inputs, which may be millions, no gradient is made.

In compiled code (ascent.cpp), one call per update, for what spikes or a single row of traces tell. The rest, and all of
it without a compiler, takes the way of the other optimisers.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.gradient import Gradient
from rwta_sim.native import Piece, address, native_function

__all__ = ["Ascent"]

#: Filters nothing; what there is where nothing is to be filtered.
_NO_KAPPA = np.zeros(1)


class _Projection(ctypes.Structure):
    """As in ascent.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("from_inputs", "source", "n_source", "target", "n_target", "mirrored")),
        *((name, ctypes.c_void_p) for name in ("w", "g", "mask")),
        ("gain", ctypes.c_double),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("targets", "first", "begin", "transposition")),
    ]


class _Rows(ctypes.Structure):
    """As in ascent.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("rows", "n", "traces")),
        *((name, ctypes.c_void_p) for name in ("dense", "neurons", "counts", "post")),
    ]


class _Ascent(ctypes.Structure):
    """As in ascent.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("single", "n_ways", "inputs", "neurons")),
        *((name, ctypes.c_void_p) for name in ("ways", "scratch", "bias")),
    ]


@functools.cache
def _native() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    arguments = [number, pointer, number, *[pointer] * 2, number, number, ctypes.c_double, *[pointer] * 2]
    return native_function(Path(__file__).with_name("ascent.cpp"), "ascend", *arguments)


@functools.cache
def _native_along() -> Any:
    """The compiled function that takes a step along gradients."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    return native_function(Path(__file__).with_name("ascent.cpp"), "ascend_along", number, pointer, number)


@functools.cache
def _native_pieces() -> tuple[Any, Any]:
    """The compiled functions that take a step along the traces of one row, and along eligibilities."""
    where, pointer, number = Path(__file__).with_name("ascent.cpp"), ctypes.c_void_p, ctypes.c_double
    row = native_function(where, "ascend_row", *[pointer] * 4, number, number)
    return row, native_function(where, "ascend_eligibility", *[pointer] * 4, number)


class Ascent:
    """Steps ``w += rate * g`` of all projections and biases, g the sum of outer products that factors describe.

    Parameters
    ----------
    gradient : Gradient
        Of which this is the shortcut: its weights change, and its buffers are overwritten.
    """

    def __init__(self, gradient: Gradient) -> None:
        weights, buffers = gradient.weights, gradient.buffers[:-1]
        network, whole = weights.network, [weights.weights[p.name] for p in gradient.projections]
        self._keep = gradient, [p.mask for p in network.projections]  # their memory is used
        described, grown = [], []
        for p, w, g, gain, mirrored in zip(
            gradient.projections, whole, buffers, gradient.gains, gradient.mirrors, strict=True
        ):
            mirror = mirrored is not None
            assert w.flags.c_contiguous and g.flags.c_contiguous and w.dtype == g.dtype == whole[0].dtype
            direct = not mirror and p.mask is None and gain == 1.0
            grown.append(w if direct else g)
            pointers = {"w": w.ctypes.data, "g": None if direct else g.ctypes.data}
            pointers["mask"] = None if p.mask is None else p.mask.ctypes.data
            where = {"source": p.source.start, "n_source": p.shape[0], "target": p.target.start, "n_target": p.shape[1]}
            where |= {"from_inputs": p.origin == "inputs", "size": w.size}
            if p.packing is not None:
                names = ["targets", "first", "begin", *(["transposition"] if mirror else [])]
                pointers |= {name: getattr(p.packing, name).ctypes.data for name in names}
            described.append(_Projection(mirrored=mirror, gain=gain, **where, **pointers))
        #: What eligibilities are added to, and which of it is no weights and begins from zero.
        self.grown, self._cleared = tuple(grown), [g for g in grown if any(g is other for other in buffers)]
        self._projections = (_Projection * len(described))(*described)
        self._fixed = ctypes.addressof(self._projections), len(described)
        self._dtype = whole[0].dtype
        self._single = int(self._dtype == np.float32)
        self._n_neurons = network.n_neurons
        self._bias = weights.b
        self._b = weights.b.ctypes.data
        self._sides = (_Rows * 2)()
        self._sides_at = ctypes.addressof(self._sides)
        self._sides[0].n, self._sides[1].n = network.n_neurons, network.n_inputs
        self._scratch = np.empty(0, self._dtype)
        self._scratch_at: int | None = None
        self._kappa, self._kappa_at = _NO_KAPPA, _NO_KAPPA.ctypes.data
        self._nothing = _NO_KAPPA.ctypes.data  # where no events are: an address, for null means dense
        function = _native()
        assert function is not None  # what `made` has asked
        self._function = function
        self._along = _native_along()
        self.along: Piece | None
        self.piece, self.along = self._pieces()

    def _pieces(self) -> tuple[Piece, Piece]:
        """For other compiled code to call: along one row, and along eligibilities."""
        scratch = np.empty(2 * self._n_neurons, self._dtype)
        ascent = _Ascent(
            single=self._single,
            n_ways=self._fixed[1],
            inputs=self._sides[1].n,
            neurons=self._n_neurons,
            ways=self._fixed[0],
            scratch=scratch.ctypes.data,
            bias=self._b,
        )
        keep = ascent, scratch, self
        row, along = (Piece.of(function, ctypes.addressof(ascent), keep) for function in _native_pieces())
        return row, along

    @classmethod
    def made(cls, gradient: Gradient) -> Ascent | None:
        """One, or None where it cannot be had: no compiler, weights that are shared, or biases that do not learn."""
        shared = any(mirror not in (None, i) for i, mirror in enumerate(gradient.mirrors))
        if shared or gradient.bias_mask is not None or gradient.weights.b.dtype != np.float64 or _native() is None:
            return None
        return cls(gradient)

    def can(self, factors: Factors | Eligibilities) -> bool:
        """Whether these are of the kinds it knows: eligibilities, spikes, or traces of one row."""
        if not isinstance(factors, Factors):
            return True
        inputs, neurons, post, bias, post_inputs = factors
        if bias is not None or post.dtype != np.float64:
            return False
        if isinstance(inputs, SpikeRows) and isinstance(neurons, SpikeRows) and not _same(inputs.kappa, neurons.kappa):
            return False
        return _known(inputs, post if post_inputs is None else post_inputs) and _known(neurons, post)

    def step(self, factors: Factors | Eligibilities, rate: float, modulation: float) -> None:
        """Ascend; `factors` as `can` wants them."""
        if isinstance(factors, Factors):
            self._follow(factors, rate, modulation)
            return
        for g in self._cleared:
            g.fill(0.0)
        factors.add_to(self.grown, self._bias, rate * modulation)
        self._along(self._single, *self._fixed)

    def _follow(self, factors: Factors, rate: float, modulation: float) -> None:
        post = factors.post if factors.post.flags.c_contiguous else factors.post.copy()
        post_at = at_inputs = address(post)
        post_inputs = factors.post_inputs
        if post_inputs is not None:
            post_inputs = np.ascontiguousarray(post_inputs)
            at_inputs = address(post_inputs)
        neurons, inputs = self._sides
        kept = self._put(neurons, factors.pre_neurons), self._put(inputs, factors.pre_inputs)
        neurons.post, inputs.post = post_at, at_inputs
        room = (neurons.rows + inputs.rows) * self._n_neurons
        if self._scratch.size < room:
            self._scratch = np.empty(room, self._dtype)
            self._scratch_at = address(self._scratch)
        arguments = self._kappa_at, self._kappa.size, self._n_neurons, modulation * rate, self._scratch_at, self._b
        self._function(self._single, *self._fixed, self._sides_at, *arguments)
        del kept  # until here its memory was used

    def _put(self, side: _Rows, pre: np.ndarray | SpikeRows) -> object:
        """Tell `side` of presynaptic factors; returns what has to live as long as it is used."""
        side.rows = len(pre)
        if not isinstance(pre, SpikeRows):
            side.traces, side.neurons = 1, None
            pre = pre if pre.flags.c_contiguous else pre.copy()
            side.dense = address(pre)
            return pre
        side.traces = 0
        if pre.kappa is not self._kappa and pre.kappa is not None:
            self._kappa, self._kappa_at = pre.kappa, pre.kappa.ctypes.data
        if pre.dense is None:
            side.neurons, side.counts = address(pre.neurons) or self._nothing, address(pre.counts)
        else:
            side.neurons, side.dense = None, address(pre.dense)
        return pre


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _known(pre: np.ndarray | SpikeRows, post: np.ndarray) -> bool:
    if isinstance(pre, SpikeRows):
        return pre.kappa is not None and len(pre) == len(post) and len(pre) % pre.kappa.size == 0
    return len(pre) == len(post) == 1 and pre.dtype == np.float64
