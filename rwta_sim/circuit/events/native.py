"""A decision from event to event in compiled code (advance.cpp)."""

from __future__ import annotations

import ctypes
import functools
import weakref
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rwta_sim.circuit.events.journal import groups_of, senders_of
from rwta_sim.circuit.events.state import Arrays, Constants, Fired, Span
from rwta_sim.circuit.readout import Readout, Told
from rwta_sim.circuit.wiring import Weights
from rwta_sim.native import address, native_function

__all__ = ["Native"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class _Projection(ctypes.Structure):
    """As in advance.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("from_inputs", "source", "n_source", "target", "n_target")),
        ("targets", _POINTER),
        ("gain", _REAL),
        ("w", _POINTER),
    ]


class _Network(ctypes.Structure):
    """As in advance.cpp."""

    _fields_: ClassVar = [
        *((name, _NUMBER) for name in ("inputs", "neurons", "circuits", "projections", "parts", "single")),
        *((name, _NUMBER) for name in ("credits", "logs")),
        *((name, _REAL) for name in ("rho_hat", "jump", "duration", "refractory", "noise", "noise_rate")),
        ("delay", _REAL * 3),
        ("rate", _REAL * 2),
        ("starts", _POINTER),
        ("projection", ctypes.POINTER(_Projection)),
        ("outgoing", _POINTER),
        ("onto", _POINTER),
        *(
            (name, _POINTER)
            for name in (
                *("b", "current", "x_inputs", "x", "u", "t_spike", "eta", "gain"),
                *("counts", "last", "q", "q_last", "potential"),
            )
        ),
    ]


class _Decision(ctypes.Structure):
    """As in advance.cpp."""

    _fields_: ClassVar = [
        ("end", _REAL),
        ("afresh", _NUMBER),
        *((name, _POINTER) for name in ("drive", "next_input", "input_state", "next_circuit", "circuit_state")),
        ("tau_e", _REAL),
        ("since", _REAL),
        ("causal_hidden", _NUMBER),
        ("causal_action", _NUMBER),
        ("pairs", _NUMBER),
        ("a_plus", _REAL),
        ("race", _NUMBER),
        ("noted", _NUMBER),
        ("posts", _NUMBER),
        ("took", _REAL),
        ("traced", _NUMBER),
        ("steps_but_one", _REAL),
        ("room", _NUMBER),
    ]


class _Functions(NamedTuple):
    new: Any
    free: Any
    clear: Any
    advance: Any
    counts: Any
    copy: Any
    logged: Any
    copy_log: Any
    drop_log: Any
    journal: Any
    read: Any
    decide: Any


@functools.cache
def _functions() -> _Functions | None:
    """The compiled functions, or None where there is no compiler."""
    source = Path(__file__).with_name("advance.cpp")
    arguments: dict[str, list[Any]] = {
        "new": [_POINTER],
        "free": [_POINTER],
        "clear": [_POINTER],
        "advance": [_POINTER] * 3,
        "counts": [_POINTER] * 2,
        "copy": [_POINTER] * 5,
        "logged": [_POINTER] * 2,
        "copy_log": [_POINTER] * 7,
        "drop_log": [_POINTER],
        "journal": [_POINTER] * 2,
        "read": [_POINTER] * 3,
        "decide": [*[_POINTER] * 4, _NUMBER, _POINTER],
    }
    found = {}
    for name, kinds in arguments.items():
        function = native_function(source, f"events_{name}", *kinds)
        if function is None:
            return None
        found[name] = function
    return _Functions(**found)


class Native:
    """Advances a network, as `Plain` does.

    Parameters
    ----------
    weights : Weights
    constants : Constants
    arrays : Arrays
    gains : list of float
        Of each projection.
    """

    def __init__(self, weights: Weights, constants: Constants, arrays: Arrays, gains: list[float]) -> None:
        functions = _functions()
        assert functions is not None  # what `made` has asked
        self._call = functions
        self._weights, self._arrays, self._gains = weights, arrays, gains
        network = weights.network
        self._groups = groups_of(network)
        self._projections = (_Projection * len(self._groups))()
        self._outgoing, self._onto = senders_of(network, self._groups)
        numbers = {
            name: getattr(constants, name)
            for name in ("rho_hat", "jump", "duration", "refractory", "noise", "noise_rate")
        }
        self._network = _Network(
            inputs=network.n_inputs,
            neurons=network.n_neurons,
            circuits=len(network.starts) - 1,
            projections=len(self._groups),
            parts=len(constants.rates),
            delay=(_REAL * 3)(*constants.delays),
            rate=(_REAL * 2)(*constants.rates),
            starts=network.starts.ctypes.data,
            projection=self._projections,
            outgoing=self._outgoing.ctypes.data,
            onto=self._onto.ctypes.data,
            **numbers,
        )
        of_decision = ("counts", "last", "q", "q_last", "potential")
        for name in ("current", "x_inputs", "x", "u", "t_spike", "eta", "gain", *of_decision):
            setattr(self._network, name, getattr(arrays, name).ctypes.data)
        self._decision = _Decision()
        self._past = _POINTER()
        self._room = _Room(256)
        functions.new(ctypes.addressof(self._past))
        self._span: Span | None = None
        self._decision.traced = traced = network.n_inputs if network.spec.inputs == "spikes" else 0
        self._n, self._read = network.n_neurons, 6 * network.n_neurons + traced + len(Told._fields)
        self._where = ctypes.addressof(self._network), ctypes.addressof(self._decision), self._past.value
        self._end = weakref.finalize(self, functions.free, self._past.value)
        self.point()

    @classmethod
    def made(cls, weights: Weights, constants: Constants, arrays: Arrays, gains: list[float]) -> Native | None:
        """One, or None where there is no compiler."""
        return None if _functions() is None else cls(weights, constants, arrays, gains)

    def point(self) -> None:
        """Look at the weights as they are now: others may have been put in their place."""
        weights = self._weights
        projections = weights.network.projections
        matrices = []
        for p in projections:
            matrices += [part for _, part in p.parts(weights.weights[p.name])]
        for described, (k, rows, targets), w in zip(self._projections, self._groups, matrices, strict=True):
            p = projections[k]
            assert w.flags.c_contiguous
            described.from_inputs, described.gain = p.origin == "inputs", self._gains[k]
            described.source, described.n_source = p.source.start + rows.start, w.shape[0]
            described.target, described.n_target = p.target.start, w.shape[1]
            described.targets = None if targets is None else targets.ctypes.data
            described.w = w.ctypes.data
        self._network.single = next(iter(weights.weights.values())).dtype == np.float32
        self._network.b = weights.b.ctypes.data

    def clear(self) -> None:
        self._call.clear(self._past)

    def advance(self, span: Span, drive: np.ndarray | None, afresh: bool) -> float:
        """Go through a decision; returns when it ended (s).

        Parameters
        ----------
        span : Span
        drive : ndarray of float, shape (n_inputs,), in C order, or None
            What the inputs spike with, in units of rho_hat; None if they do not spike.
        afresh : bool
            Whether it starts with nothing felt, nobody refractory, no spike under way.
        """
        decision = self._decision
        if span is not self._span:
            self._ask(span)
        decision.drive = None if drive is None else address(drive)
        decision.afresh = afresh
        self._call.advance(*self._where)
        took: float = decision.took
        return took

    def decide(
        self, span: Span, drive: np.ndarray | None, afresh: bool, steps: int
    ) -> tuple[float, Readout, tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
        """`advance`, `read` and, where there is one, `journal` in one call."""
        decision, size = self._decision, self._read
        if span is not self._span:
            self._ask(span)
        decision.steps_but_one = max(steps - 1, 1)
        out = np.empty(size + decision.room)
        where = self._where
        self._call.decide(*where, None if drive is None else address(drive), afresh, address(out))
        readout = Readout.of_rows(out[:size], self._n)
        return decision.took, readout, self._journal_in(out[size:]) if span.credits else None

    def _journal_in(self, written: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        noted, told, wanted = self._lengths()
        if wanted > written.size:
            self._decision.room = wanted + wanted // 2
            return self.journal()
        return written[:noted], written[told:wanted].view(np.int32)[:noted], written[noted:told]

    def _lengths(self) -> tuple[int, int, int]:
        """Where in a journal in one piece its times, posts and numbers (of half the size) end."""
        noted = self._decision.noted
        told = noted + self._decision.posts
        return noted, told, told + (noted + 1) // 2

    def _ask(self, span: Span) -> None:
        decision, self._span = self._decision, span
        decision.next_input, decision.input_state = _stream(span.for_inputs)
        decision.next_circuit, decision.circuit_state = _stream(span.for_circuits)
        decision.end = span.end
        self._network.credits = span.credits
        decision.tau_e, decision.since = span.tau_e, span.since
        decision.race, decision.pairs, decision.a_plus = span.race, span.pairs is not None, (span.pairs or (0, 0))[0]
        decision.causal_hidden, decision.causal_action = span.causal_hidden, span.causal_action

    def read(self, steps: int) -> Readout:
        """What the decision came to; arrays of their own."""
        out = np.empty(self._read)
        self._decision.steps_but_one = max(steps - 1, 1)
        self._call.read(*self._where[:2], address(out))
        return Readout.of_rows(out, self._n)

    def journal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the last decision; see `Journal`."""
        noted, told, wanted = self._lengths()
        out = np.empty(wanted)
        self._call.journal(self._past, address(out))
        return out[:noted], out[told:].view(np.int32)[:noted], out[noted:told]

    def spikes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Times (s) and numbers of the inputs that fired in the last decision, and of the neurons."""
        room = self._room
        self._call.counts(self._past, room.where[0])
        inputs, events = room.counts.tolist()
        if max(inputs, events) > room.size:
            room = self._room = _Room(2 * max(inputs, events))
        self._call.copy(self._past, *room.where[1:])
        input_t, input_i, t, fired = room.input_t[:inputs], room.input_i[:inputs], room.t[:events], room.fired[:events]
        if events and fired.min() < 0:  # a circuit all of whose neurons are refractory
            spoke = fired >= 0
            return input_t.copy(), input_i.copy(), t[spoke], fired[spoke]
        return input_t.copy(), input_i.copy(), t.copy(), fired.copy()

    def log(self) -> None:
        """From now on keep the spikes of every decision, for `logged`."""
        self._network.logs = True

    def logged(self, drop: bool) -> tuple[Fired, Fired]:
        """Spikes that were kept, of inputs and neurons; and forget them, if they are to be dropped."""
        sizes = np.zeros(3, np.int64)
        self._call.logged(self._past, address(sizes))
        decisions, *spikes = sizes.tolist()
        found = [Fired(np.empty(n), np.empty(n, np.int32), np.empty(decisions, np.int64)) for n in spikes]
        self._call.copy_log(self._past, *(address(array) for fired in found for array in fired))
        if drop:
            self._call.drop_log(self._past)
        return found[0], found[1]


class _Room:
    """Where the spikes of a decision are copied to, at addresses that stay the same."""

    def __init__(self, size: int) -> None:
        self.size, self.counts = size, np.zeros(2, np.int64)
        self.input_t, self.input_i = np.zeros(size), np.zeros(size, np.int32)
        self.t, self.fired = np.zeros(size), np.zeros(size, np.int32)
        self.where = [a.ctypes.data for a in (self.counts, self.input_t, self.input_i, self.t, self.fired)]


def _stream(rng: np.random.Generator) -> tuple[int | None, int]:
    """Where NumPy's C function for the next uniform number is, and what it draws from."""
    interface = rng.bit_generator.ctypes
    return ctypes.cast(interface.next_double, _POINTER).value, interface.state_address
