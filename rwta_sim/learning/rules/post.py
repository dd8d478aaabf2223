"""Postsynaptic factors of one decision in compiled code (post.cpp), for rules that make a single row of them.

For a small network a dozen NumPy calls take longer than the decision.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.events.journal import groups_of
from rwta_sim.circuit.projection import Projection
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.decision import Decision
from rwta_sim.native import Piece, address, native_function

__all__ = ["CompiledPost"]

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64


class _Way(ctypes.Structure):
    """As in post.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("source", "n_source", "target", "n_target")),
        ("targets", _POINTER),
        ("w", _POINTER),
    ]


class _Network(ctypes.Structure):
    """As in post.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("neurons", "circuits", "ways", "single")),
        ("starts", _POINTER),
        ("way", _POINTER),
        ("depth", _NUMBER),
        ("epsilon", ctypes.c_double),
    ]


@functools.cache
def _native(rule: str) -> Any | None:
    """The compiled function of a rule, or None where there is no compiler."""
    return native_function(Path(__file__).with_name("post.cpp"), f"{rule}_post", *[_POINTER] * 5)


class CompiledPost:
    """The postsynaptic factors of a rule on one network.

    Parameters
    ----------
    rule : {"last_step", "feedback"}
    weights : Weights
        Whose arrays stay where they are.
    depth : int
        Of `Feedback`.
    """

    def __init__(self, rule: str, weights: Weights, depth: int = 1) -> None:
        function = _native(rule)
        assert function is not None  # what `made` has asked
        self._function = function
        network = weights.network
        self._weights = [weights.weights[p.name] for p in network.projections]  # their memory is used
        groups = groups_of(network)
        matrices = [part for p, w in zip(network.projections, self._weights, strict=True) for _, part in p.parts(w)]
        ways = [
            _way(network.projections[k], rows, targets, w)
            for (k, rows, targets), w in zip(groups, matrices, strict=True)
            if network.projections[k].origin == "neurons"
        ]
        self._ways = (_Way * len(ways))(*ways)
        self._keep = groups, network.starts
        self._network = _Network(
            neurons=network.n_neurons,
            circuits=len(network.starts) - 1,
            ways=len(ways),
            single=self._weights[0].dtype == np.float32,
            starts=network.starts.ctypes.data,
            way=ctypes.addressof(self._ways),
            depth=depth,
            epsilon=10 * np.finfo(float).eps,
        )
        self._at = ctypes.addressof(self._network)

    @classmethod
    def made(cls, rule: str, weights: Weights, depth: int = 1) -> CompiledPost | None:
        """One, or None where there is no compiler."""
        return None if _native(rule) is None else cls(rule, weights, depth)

    def of(self, decision: Decision) -> np.ndarray:
        """Of a decision; shape (1, n_neurons)."""
        post = np.empty((1, decision.q.size))
        self._function(self._at, address(decision.q), address(decision.v), address(decision.spoke), address(post))
        return post

    @property
    def piece(self) -> Piece:
        """For other compiled code to call."""
        return Piece.of(self._function, self._at, self)


def _way(p: Projection, rows: slice, targets: np.ndarray | None, w: np.ndarray) -> _Way:
    assert w.flags.c_contiguous
    return _Way(
        source=p.source.start + rows.start,
        n_source=len(w),
        target=p.target.start,
        n_target=w.shape[1],
        targets=None if targets is None else targets.ctypes.data,
        w=w.ctypes.data,
    )
