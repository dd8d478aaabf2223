"""TD(lambda) of a value that is linear in features, in compiled code (linear_td.cpp): a decision in one call."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rwta_sim.native import Piece, address, native_function

__all__ = ["CompiledTD", "Features"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_KINDS = ("one", "itself", "with_one", "cosines", "products")


class Features(NamedTuple):
    """What compiled code makes of an observation with so many numbers s.

    Attributes
    ----------
    kind : str
        one: 1, whatever is seen; itself: s; with_one: s and 1; cosines: 1, and dimension by dimension the cosines of
        ``pi k s_i`` up to `order`; products: ``cos(pi c.s)`` of all c in {0, ..., order}^d, which are the real parts of
        products of ``exp(i pi s_j)**c_j``, to some 1e-15 for each factor.
    size : int
    order : int
    """

    kind: Literal["one", "itself", "with_one", "cosines", "products"]
    size: int
    order: int = 0


class _Critic(ctypes.Structure):
    """As in linear_td.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("basis", "n_features", "n", "order")),
        ("gamma", _REAL),
        ("decay", _REAL),
        *((name, _POINTER) for name in ("theta", "eligibility", "rates", "phi", "next", "real", "imaginary")),
    ]


class _Functions(NamedTuple):
    begin: Any
    value: Any
    learn: Any


@functools.cache
def _native() -> _Functions | None:
    """The compiled functions, or None where there is no compiler."""
    where, learns = Path(__file__).with_suffix(".cpp"), [_REAL, _NUMBER, _NUMBER]
    found = [
        native_function(where, f"critic_{name}", _POINTER, _POINTER, *kinds)
        for name, kinds in (("begin", []), ("value", [_POINTER]), ("learn", [*learns, _POINTER]))
    ]
    return None if None in found else _Functions(*found)


class CompiledTD:
    """What `LinearTD` does, the same but for rounding.

    Parameters
    ----------
    features : Features
    theta, eligibility, rates : ndarray, shape (n,)
        The first two change in place.
    gamma, decay : float
    """

    def __init__(
        self,
        features: Features,
        theta: np.ndarray,
        eligibility: np.ndarray,
        rates: np.ndarray,
        gamma: float,
        decay: float,
    ) -> None:
        self._features = features
        room = [np.zeros(theta.size) for _ in range(4)]
        self._keep = theta, eligibility, rates, room  # their memory is used
        names = ("theta", "eligibility", "rates", "phi", "next", "real", "imaginary")
        pointers = {name: address(array) for name, array in zip(names, (theta, eligibility, rates, *room), strict=True)}
        self._critic = _Critic(
            basis=_KINDS.index(features.kind),
            n_features=features.size,
            n=theta.size,
            order=features.order,
            gamma=gamma,
            decay=decay,
            **pointers,
        )
        self._told = np.zeros(1)
        self._at, self._told_at = ctypes.addressof(self._critic), address(self._told)
        functions = _native()
        assert functions is not None  # what `made` has asked
        self._call = functions
        self.piece = Piece.of(functions.learn, self._at, self)

    @classmethod
    def made(cls, features: Features | None, *arrays_and_numbers: Any) -> CompiledTD | None:
        """One, or None without a description of its features, or without a compiler."""
        return None if features is None or _native() is None else cls(features, *arrays_and_numbers)

    def where(self, features: np.ndarray) -> tuple[int | None, object]:
        """Where the numbers of an observation are, and what has to live as long as that is used.

        Raises
        ------
        ValueError
            If there are more or fewer than there should be.
        """
        if self._features.kind == "one":
            return None, None
        found = np.ascontiguousarray(features, float)
        if found.size != self._features.size:
            raise ValueError(f"an observation of {found.size} features, expected {self._features.size}")
        return address(found), found

    def begin(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode."""
        at, _kept = self.where(features)
        self._call.begin(self._at, at)

    def value(self, features: np.ndarray) -> float:
        """V of an observation."""
        at, _kept = self.where(features)
        self._call.value(self._at, at, self._told_at)
        return float(self._told[0])

    def td_error(self, reward: float, features: np.ndarray, terminated: bool, learn: bool) -> float:
        """See `LinearTD.td_error`."""
        at, _kept = self.where(features)
        self._call.learn(self._at, at, reward, terminated, learn, self._told_at)
        return float(self._told[0])
