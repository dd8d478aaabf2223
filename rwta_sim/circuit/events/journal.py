"""What a decision without a clock tells of eligibilities: its journal, from which they are made when they are needed.

A score function is a sum over the events of circuits of traces times what their neurons are credited with, its *post*,
``e_jk = sum_t x_j(t) post_k(t)``. A trace is a sum over earlier spikes, so the sum can be taken the other way round,

    e_jk = sum over spikes s of j of  sum_{t > s} kappa(t - s) post_k(t),

backwards in time: what has been credited later, decayed since, is what a spike's row grows by. That takes as long as
the spikes took to be felt, and a journal is smaller than the eligibilities of all synapses.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rwta_sim.circuit.events.state import Constants
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.native import Piece, address, native_function

__all__ = ["Creditor", "EventEligibility", "Journal"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Journal(NamedTuple):
    """What happened in a decision, in order.

    Attributes
    ----------
    t : ndarray, shape (notes,)
        When (s, from its start).
    what : ndarray of int32, shape (notes,)
        Sender i, inputs first, is felt from then on; ``-i - 1``: no longer; ``senders + c``: circuit c is credited;
        ``senders + circuits + i``: sender i fires, which is noted of pairs only.
    posts : ndarray
        What each neuron of a credited circuit is credited with, one circuit after the other; of a spike one number.
    x_inputs, x : ndarray, shapes (parts, n_inputs) and (parts, n_neurons), or None
        Traces at its start; None: there were none.
    end : float
        Its length (s).
    drive : ndarray, shape (n_inputs,), or None
        Inputs that are currents.
    pairs : (float, float), or None
        As in `EventCredit`.
    """

    t: np.ndarray
    what: np.ndarray
    posts: np.ndarray
    x_inputs: np.ndarray | None
    x: np.ndarray | None
    end: float
    drive: np.ndarray | None
    pairs: tuple[float, float] | None = None


class Creditor:
    """Makes eligibilities of the journals of one network.

    Parameters
    ----------
    wiring : Wiring
    constants : Constants
    kind : type
        Of the numbers of weights.
    native : bool
        Compiled code where there is a compiler; else Python, with the same numbers.
    """

    def __init__(self, wiring: Wiring, constants: Constants, kind: type, native: bool) -> None:
        self.wiring, self.constants, self.kind = wiring, constants, np.dtype(kind)
        function = _native() if native else None
        self._compiled = None if function is None else _Compiled(self, function)

    @property
    def piece(self) -> Piece | None:
        """Compiled code that adds the eligibilities of a journal that it was told (`tell`) to biases and weights; None
        where there is none, or where inputs are currents, whose part is not in the journal."""
        spikes = self.wiring.spec.inputs == "spikes"
        return self._compiled.piece if self._compiled is not None and spikes else None

    def tell(self, journal: Journal, weights: Sequence[np.ndarray]) -> int:
        """Where compiled code finds a journal, until the next one; its eligibilities will be added to `weights`."""
        assert self._compiled is not None
        return self._compiled.tell(journal, weights)

    def add(self, journal: Journal, scale: float, weights: Sequence[np.ndarray], bias: np.ndarray) -> None:
        """Add `scale` times the eligibilities of a journal, in the shapes of the weights of each projection."""
        own = bias if journal.drive is None else np.zeros_like(bias)
        if self._compiled is None:
            backwards = _Backwards(self, journal, scale, weights, own)
            backwards.go()
            if journal.pairs is not None:
                backwards.pair()
        else:
            self._compiled.add(journal, scale, weights, own)
        if journal.drive is None:
            return
        for p, e in zip(self.wiring.projections, weights, strict=True):
            if p.origin == "inputs":  # the same in all of a decision
                p.add_outer(journal.drive[p.source].astype(e.dtype), own[p.target].astype(e.dtype), e)
        bias += own


class EventEligibility:
    """Eligibilities of one decision, or a sum over several, as `rwta_sim.circuit.evidence.Eligibility`.

    Parameters
    ----------
    creditor : Creditor
    parts : tuple of (Journal, float)
        Decisions, and what each is multiplied by.
    counts, fired : ndarray, shape (n_neurons,)
        Spikes in the decision, and 1.0 for who fired last in its circuit.
    """

    def __init__(
        self, creditor: Creditor, parts: tuple[tuple[Journal, float], ...], counts: np.ndarray, fired: np.ndarray
    ) -> None:
        self.creditor, self.parts, self.counts, self.fired = creditor, parts, counts, fired

    @cached_property
    def _made(self) -> tuple[list[np.ndarray], np.ndarray]:
        wiring = self.creditor.wiring
        weights = [np.zeros(p.weights_shape, self.creditor.kind) for p in wiring.projections]
        bias = np.zeros(wiring.n_neurons)
        self.add_to(weights, bias)
        return weights, bias

    @property
    def weights(self) -> list[np.ndarray]:
        """Of each projection, in the shape of its weights."""
        return self._made[0]

    @property
    def bias(self) -> np.ndarray:
        """Of each neuron."""
        return self._made[1]

    def add_to(self, weights: Sequence[np.ndarray], bias: np.ndarray, scale: float = 1.0) -> None:
        """Add `scale` times the eligibilities to arrays like `weights` and `bias`."""
        for journal, factor in self.parts:
            self.creditor.add(journal, factor * scale, weights, bias)

    def times(self, modulation: float) -> EventEligibility:
        """The eligibilities with the third factor."""
        parts = tuple((journal, factor * modulation) for journal, factor in self.parts)
        return EventEligibility(self.creditor, parts, self.counts, self.fired)

    def joined(self, others: Sequence[EventEligibility]) -> EventEligibility:
        """The sum of these and others."""
        parts = sum((other.parts for other in others), self.parts)
        return EventEligibility(self.creditor, parts, self.counts, self.fired)

    def with_choice(
        self, network: Wiring, input_trace: np.ndarray, trace: np.ndarray, post: np.ndarray
    ) -> EventEligibility:
        """See `rwta_sim.circuit.evidence.Eligibilities.with_choice`."""
        ((journal, factor),) = self.parts
        wiring = self.creditor.wiring
        action = wiring.n_inputs + wiring.n_neurons + len(wiring.starts) - 2
        noted = journal._replace(
            t=np.append(journal.t, journal.end),
            what=np.append(journal.what, np.int32(action)),
            posts=np.append(journal.posts, post[wiring.action]),
        )
        return EventEligibility(self.creditor, ((noted, factor),), self.counts, self.fired)


class _Backwards:
    """What credit.cpp does, number for number."""

    def __init__(
        self, creditor: Creditor, journal: Journal, scale: float, weights: Sequence[np.ndarray], bias: np.ndarray
    ) -> None:
        self._wiring, self._is, self._journal = creditor.wiring, creditor.constants, journal
        self._scale, self._weights, self._bias = scale, weights, bias
        self._later = np.zeros((len(self._is.rates), self._wiring.n_neurons), creditor.kind)
        self._origin = journal.end

    def _grown(self, t: float) -> list[float]:
        return [math.exp(rate * (t - self._origin)) for rate in self._is.rates]

    def _in_range(self, t: float) -> None:
        if max(self._is.rates) * (self._origin - t) > (40.0 if self._later.itemsize == 4 else 200.0):
            for later, grown in zip(self._later, self._grown(t), strict=True):
                later *= grown
            self._origin = t

    def go(self) -> None:
        journal, wiring = self._journal, self._wiring
        senders, left = wiring.n_inputs + wiring.n_neurons, len(journal.posts)
        for t, what in zip(journal.t[::-1].tolist(), journal.what[::-1].tolist(), strict=True):
            if what >= senders + len(wiring.starts) - 1:
                left -= 1
                continue
            self._in_range(t)
            if what >= senders:
                low, high = wiring.starts[what - senders : what - senders + 2]
                change = self._scale * journal.posts[left - (high - low) : left]
                left -= high - low
                if journal.pairs is None:
                    self._bias[low:high] += change
                for later, grown in zip(self._later, self._grown(t), strict=True):
                    later[low:high] += (change / grown).astype(later.dtype)
                continue
            jump = -self._is.jump if what < 0 else self._is.jump
            self._add(-what - 1 if what < 0 else what, [jump * grown for grown in self._grown(t)])
        if journal.x is None or journal.x_inputs is None:
            return
        felt = np.concatenate([journal.x_inputs, journal.x], axis=1)
        for i in np.flatnonzero(felt[0]).tolist():
            self._add(i, [float(x) * g for x, g in zip(felt[:, i], self._grown(0.0), strict=True)])

    def pair(self) -> None:
        """A spike of j meets the traces of those it projects to."""
        journal, wiring, rates = self._journal, self._wiring, self._is.rates
        assert journal.pairs is not None
        senders, circuits, done, origin = wiring.n_inputs + wiring.n_neurons, len(wiring.starts) - 1, 0, 0.0
        x = self._later = np.zeros_like(self._later) if journal.x is None else journal.x.astype(self._later.dtype)
        for t, what in zip(journal.t.tolist(), journal.what.tolist(), strict=True):
            left = [math.exp(-rate * (t - origin)) for rate in rates]
            if max(rates) * (t - origin) > (40.0 if x.itemsize == 4 else 200.0):
                for part, kept in zip(x, left, strict=True):
                    part *= kept
                origin, left = t, [1.0] * len(rates)
            if what >= senders + circuits:
                factor = -journal.pairs[1] * self._scale * float(journal.posts[done])
                done += 1
                self._add(what - senders - circuits, [factor * kept for kept in left])
            elif what >= senders:
                done += int(wiring.starts[what - senders + 1] - wiring.starts[what - senders])
            elif (j := (-what - 1 if what < 0 else what) - wiring.n_inputs) >= 0:
                for part, kept in zip(x, left, strict=True):
                    part[j] += x.dtype.type((-self._is.jump if what < 0 else self._is.jump) / kept)

    def _add(self, i: int, by: list[float]) -> None:
        """The row of a sender grows by what has been credited later, or is felt."""
        wiring, kind = self._wiring, self._later.dtype.type
        input_ = i < wiring.n_inputs
        j = i if input_ else i - wiring.n_inputs
        for p, e in zip(wiring.projections, self._weights, strict=True):
            if (p.origin == "inputs") != input_ or not p.source.start <= j < p.source.stop:
                continue
            row = kind(by[0]) * self._later[0, p.target]
            if len(by) > 1:
                row = row - kind(by[1]) * self._later[1, p.target]
            if p.packing is None:
                e[j - p.source.start] += row
                continue
            for rows, targets, part in p.packing.groups(e):
                if rows.start <= j - p.source.start < rows.stop:
                    part[j - p.source.start - rows.start] += row[targets]


# -- in compiled code ----------------------------------------------------------------------------------------


class _Way(ctypes.Structure):
    """As in credit.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("source", "target", "n_target")),
        ("targets", _POINTER),
        ("e", _POINTER),
    ]


class _Network(ctypes.Structure):
    """As in credit.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("inputs", "neurons", "circuits", "parts", "single")),
        ("jump", _REAL),
        ("rate", _REAL * 2),
        *((name, _POINTER) for name in ("starts", "outgoing", "onto", "ways")),
    ]


class _Journal(ctypes.Structure):
    """As in credit.cpp."""

    _fields_: ClassVar = [
        ("events", _NUMBER),
        ("posts", _NUMBER),
        *((name, _POINTER) for name in ("t", "what", "post", "x_inputs", "x")),
        ("end", _REAL),
        ("pairs", _NUMBER),
        ("a_minus", _REAL),
    ]


@functools.cache
def _native() -> Any | None:
    """The compiled function (credit.cpp), or None where there is no compiler."""
    where = Path(__file__).with_name("credit.cpp")
    return native_function(where, "events_credit", _POINTER, _POINTER, _REAL, _POINTER)


class _Compiled:
    def __init__(self, creditor: Creditor, function: Any) -> None:
        wiring, constants = creditor.wiring, creditor.constants
        self._function = function
        self._groups = groups_of(wiring)
        self._ways = (_Way * len(self._groups))()
        for way, (k, rows, targets) in zip(self._ways, self._groups, strict=True):
            p = wiring.projections[k]
            way.source, way.target = p.source.start + rows.start, p.target.start
            way.n_target = p.shape[1] if targets is None else targets.size
            way.targets = None if targets is None else targets.ctypes.data
        self._projections = wiring.projections
        self._outgoing, self._onto = senders_of(wiring, self._groups)
        self._network = _Network(
            inputs=wiring.n_inputs,
            neurons=wiring.n_neurons,
            circuits=len(wiring.starts) - 1,
            parts=len(constants.rates),
            single=creditor.kind == np.float32,
            jump=constants.jump,
            rate=(_REAL * 2)(*constants.rates),
            starts=wiring.starts.ctypes.data,
            outgoing=self._outgoing.ctypes.data,
            onto=self._onto.ctypes.data,
            ways=ctypes.addressof(self._ways),
        )
        self._at = ctypes.addressof(self._network)
        self._aimed: tuple[Any, ...] = ()
        self._journal = _Journal()
        self._journal_at = ctypes.addressof(self._journal)
        self.piece = Piece.of(function, self._at, self)

    def add(self, journal: Journal, scale: float, weights: Sequence[np.ndarray], bias: np.ndarray) -> None:
        self._function(self._at, self.tell(journal, weights), scale, address(bias))

    def tell(self, journal: Journal, weights: Sequence[np.ndarray]) -> int:
        self._aim(weights)
        told = self._journal
        told.events, told.posts, told.end = len(journal.t), len(journal.posts), journal.end
        told.t, told.what, told.post = address(journal.t), address(journal.what), address(journal.posts)
        told.pairs, told.a_minus = journal.pairs is not None, 0.0 if journal.pairs is None else journal.pairs[1]
        told.x_inputs = told.x = None
        if journal.x is not None and journal.x_inputs is not None:
            told.x_inputs, told.x = address(journal.x_inputs), address(journal.x)
        return self._journal_at

    def _aim(self, weights: Sequence[np.ndarray]) -> None:
        """Let it add to these arrays; who has them in a tuple, which stays as it is, is known at once."""
        if weights is self._aimed:
            return
        matrices = [part for p, e in zip(self._projections, weights, strict=True) for _, part in p.parts(e)]
        for way, e in zip(self._ways, matrices, strict=True):
            assert e.flags.c_contiguous
            way.e = e.ctypes.data
        self._aimed = tuple(weights)


def groups_of(wiring: Wiring) -> list[tuple[int, slice, np.ndarray | None]]:
    """All connections as matrices: projection, sources, and targets (None: all) of each."""
    return [
        (k, rows, targets)
        for k, p in enumerate(wiring.projections)
        for rows, targets in ([(slice(0, p.shape[0]), None)] if p.packing is None else p.packing.reached())
    ]


def senders_of(wiring: Wiring, groups: Sequence[tuple[int, slice, np.ndarray | None]]) -> tuple[np.ndarray, np.ndarray]:
    """Which of the groups are of each sender's connections, inputs first: numbers, and where each sender's begin."""
    onto: list[list[int]] = [[] for _ in range(wiring.n_inputs + wiring.n_neurons)]
    for number, (k, rows, _) in enumerate(groups):
        p = wiring.projections[k]
        first = p.source.start + (0 if p.origin == "inputs" else wiring.n_inputs)
        for i in range(first + rows.start, first + rows.stop):
            onto[i].append(number)
    outgoing = np.cumsum([0, *map(len, onto)], dtype=np.int64)
    return outgoing, np.array([number for numbers in onto for number in numbers], dtype=np.int32)
