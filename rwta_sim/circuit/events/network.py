"""`EventNetwork`: a network of winner-take-all circuits without a time step, exactly.

Lateral inhibition makes the total rate of every circuit rho_hat, whatever the weights (Yang et al. 2022, arXiv
2210.13225): so the spike times of a circuit are a Poisson process that can be drawn beforehand, and at each of them the
neuron that fires is a draw from the softmax of the circuit's potentials at that moment. Between events nothing has to
be computed: a trace that decays with exp(-t/tau) is kept as the sum of exp(t_spike/tau). What Brian2's clocked
networks converge to as dt goes to 0 (tests/test_events.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rwta_sim.circuit.events.journal import Creditor, EventEligibility, Journal
from rwta_sim.circuit.events.native import Native
from rwta_sim.circuit.events.plain import Plain
from rwta_sim.circuit.events.state import Arrays, Constants, Fired, Span
from rwta_sim.circuit.projection import Projection
from rwta_sim.circuit.readout import Readout
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.native import Piece

__all__ = ["EventCredit", "EventNetwork", "check_events"]


def check_events(spec: NetworkSpec) -> None:
    """Check that a network can be simulated from event to event.

    Raises
    ------
    ValueError
        If not, with what to change.
    """
    why = "engine.name = 'events' has no time step"
    if spec.firing != "poisson":
        raise ValueError(
            f"{why}, and network.firing = {spec.firing!r} is one spike in each: set network.firing = 'poisson' and "
            "network.rho_hat"
        )
    if spec.warm_up is not None:
        raise ValueError(f"{why}, and network.warm_up is told in steps: leave it out, or set engine.name = 'compiled'")
    if spec.tau_spread > 0:
        raise ValueError(
            f"engine.name = 'events' keeps one decay for all traces, and network.tau_spread = {spec.tau_spread} gives "
            "each neuron its own: leave it out, or set engine.name = 'compiled'"
        )


@dataclass(frozen=True)
class EventCredit:
    """How a score function over the events of circuits is summed.

    Attributes
    ----------
    tau_e : float
        Time constant (s) with which eligibilities fade; 0: they do not.
    window : float
        Seconds before the end of a decision that count; infinite: all.
    causal_hidden : bool
        Credit hidden circuits only for spikes before the action circuit's last one.
    causal_action : bool
        Credit the action circuit only for its last spike.
    pairs : (float, float), or None
        Credit pairs of spikes, pre before post with the first number and post before pre with minus the second, by the
        trace of the earlier one; None: scores.
    """

    tau_e: float = 0.0
    window: float = np.inf
    causal_hidden: bool = False
    causal_action: bool = False
    pairs: tuple[float, float] | None = None


class EventNetwork(Weights):
    """Spikes from event to event. Times in seconds.

    Parameters
    ----------
    wiring : Wiring
        Of poisson firing, without `tau_spread`.
    rng : numpy.random.Generator, optional
        Draws the initial weights; needed only if ``wiring.spec.weight_sd > 0``.
    credit : EventCredit, optional
        Keep eligibilities; default: none.
    native : bool
        Compiled code where there is a compiler; else Python, with the same numbers.

    Attributes
    ----------
    arrays : Arrays
        What it felt and did, see there.
    compiled : bool
        Whether it runs compiled code.
    """

    def __init__(
        self,
        wiring: Wiring,
        rng: np.random.Generator | None = None,
        credit: EventCredit | None = None,
        native: bool = True,
    ) -> None:
        check_events(wiring.spec)
        spec = wiring.spec
        kind = np.float32 if spec.precision == "single" else np.float64
        weights = {name: np.ascontiguousarray(w, kind) for name, w in wiring.initial_weights(rng).items()}
        super().__init__(wiring, weights, np.zeros(wiring.n_neurons))
        self._constants = Constants.of(spec)
        self.arrays = Arrays(wiring, len(self._constants.rates))
        self._credit = credit
        self.keeps_eligibilities = credit is not None
        self._creditor = None if credit is None else Creditor(wiring, self._constants, kind, native)
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        self._drive = np.zeros(wiring.n_inputs)
        self._currents = spec.inputs == "current"
        self._span: Span | None = None
        self._took = 0.0
        gains = [self.gain(p) for p in wiring.projections]
        made = Native.made(self, self._constants, self.arrays, gains) if native else None
        self.compiled = made is not None
        self._engine: Native | Plain = made or Plain(self, self._constants, self.arrays, gains)
        self.seed(np.random.SeedSequence(0))

    def gain(self, projection: Projection) -> float:
        return 0.5 if self.network.spec.published_code and projection.origin == "neurons" else 1.0

    def seed(self, seed: np.random.SeedSequence) -> None:
        """Draw from here on from two streams of this seed: one for the inputs' spikes, one for the circuits'."""
        self._for_inputs, self._for_circuits = (np.random.Generator(np.random.PCG64(s)) for s in seed.spawn(2))
        self._span = None

    def clear(self) -> None:
        """Forget every spike; and draw the noise anew."""
        self.arrays.forget()
        self._engine.clear()
        if self._constants.noise > 0:
            self.arrays.eta[:] = self._constants.noise * self._for_circuits.standard_normal(self.network.n_neurons)

    def drive(self, drive: np.ndarray) -> None:
        """Drive the inputs, shape (n_inputs,): what they spike with in units of rho_hat, or send as currents."""
        sound = drive.dtype == np.float64 and drive.flags.c_contiguous
        self._drive = drive if sound else np.ascontiguousarray(drive, dtype=float)
        if self._currents:
            self.arrays.current.fill(0.0)
            for p in self.network.projections:
                if p.origin == "inputs":
                    w = self.weights[p.name]
                    self.arrays.current[p.target] += p.forwards(self._drive[p.source].astype(w.dtype, copy=False), w)

    def advance(self, time: float, afresh: bool = False, race: int = 0) -> float:
        """Go on, and begin to count spikes and eligibilities anew.

        Parameters
        ----------
        time : float
            For so long (s), at most.
        afresh : bool
            Start as after `clear`.
        race : int
            Spikes of one action neuron that end it; 0: none do. Who fires last then is not felt.

        Returns
        -------
        float
            How long it took (s).
        """
        self._took = self._engine.advance(
            self._begin(time, afresh, race), None if self._currents else self._drive, afresh
        )
        return self._took

    def decide(
        self, drive: np.ndarray, time: float, afresh: bool, race: int, steps: int
    ) -> tuple[float, Readout, EventEligibility | None]:
        """`drive`, `advance`, `read` and `eligibility`, for compiled code in one call: how long it took, and what it
        came to."""
        self.drive(drive)
        span = self._begin(time, afresh, race)
        told = self._engine.decide(span, None if self._currents else self._drive, afresh, steps)
        self._took, readout, journal = told
        return (
            self._took,
            readout,
            None if journal is None else self._eligibility(*journal, readout.counts, readout.v.copy()),
        )

    def _begin(self, time: float, afresh: bool, race: int) -> Span:
        """What is to be done before a decision."""
        if afresh and self._constants.noise > 0:
            self.clear()
        if self._creditor is not None:
            arrays = self.arrays
            self._before = None if afresh else (arrays.x_inputs.copy(), arrays.x.copy())
        if self._span is None or (self._span.end, self._span.race) != (time, race):
            self._span = self._span_of(time, race)
        return self._span

    def _span_of(self, time: float, race: int) -> Span:
        credit = self._credit or EventCredit()
        return Span(
            end=time,
            for_inputs=self._for_inputs,
            for_circuits=self._for_circuits,
            credits=self._credit is not None,
            tau_e=credit.tau_e,
            since=time - credit.window,
            causal_hidden=credit.causal_hidden,
            causal_action=credit.causal_action,
            race=race,
            pairs=credit.pairs,
        )

    # -- what came of it -----------------------------------------------------------------------------

    def read(self, steps: int) -> Readout:
        """What the decision came to, as a clocked network of so many steps tells it; arrays of their own."""
        return self._engine.read(steps)

    def trace(self) -> np.ndarray:
        """kappa*S of the neurons at the end of the decision; shape (n_neurons,)."""
        return self._felt(self.arrays.x)

    def input_trace(self) -> np.ndarray:
        """kappa*S of the inputs at the end of the decision, or their current; shape (n_inputs,)."""
        return self._drive if self._currents else self._felt(self.arrays.x_inputs)

    def synaptic_current(self) -> np.ndarray:
        """sum w (kappa*S) of each neuron at the end of the decision, and what inputs that are currents give it; shape
        (n_neurons,)."""
        arrays = self.arrays
        current: np.ndarray = self._felt(arrays.u) + arrays.current
        return current

    def _felt(self, parts: np.ndarray) -> np.ndarray:
        trace: np.ndarray = parts[0] - parts[1] if len(parts) > 1 else parts[0].copy()
        return trace

    def eligibility(self) -> EventEligibility | None:
        """Of the decision, or None where none are kept."""
        if self._creditor is None:
            return None
        arrays = self.arrays
        return self._eligibility(*self._engine.journal(), arrays.counts.copy(), arrays.last.copy())

    def _eligibility(
        self, t: np.ndarray, what: np.ndarray, posts: np.ndarray, counts: np.ndarray, last: np.ndarray
    ) -> EventEligibility:
        assert self._creditor is not None and self._credit is not None
        x_inputs, x = self._before or (None, None)
        drive = self._drive if self._currents else None
        journal = Journal(t, what, posts, x_inputs, x, self._took, drive, self._credit.pairs)
        return EventEligibility(self._creditor, ((journal, 1.0),), counts, last)

    @property
    def credits(self) -> Piece | None:
        return None if self._creditor is None else self._creditor.piece

    def spikes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of the last decision: times (s, from its start) and numbers of the inputs that fired, and of the neurons."""
        return self._engine.spikes()

    def log(self) -> None:
        """From now on keep the spikes of every decision, for `logged`."""
        self._engine.log()

    def logged(self, drop: bool) -> tuple[Fired, Fired]:
        """Spikes of the inputs and of the neurons in decisions since `log`, or since they were dropped by this."""
        return self._engine.logged(drop)

    # -- weights -------------------------------------------------------------------------------------

    def set_weights(self, new: Mapping[str, np.ndarray]) -> None:
        super().set_weights(new)
        self.refresh()

    def refresh(self) -> None:
        """Let weights that changed count at once for spikes already sent, as in potentials u = b + W (kappa*S)."""
        self._engine.point()
        arrays = self.arrays
        arrays.u.fill(0.0)
        for p in self.network.projections:
            if p.origin == "inputs" and self._currents:
                continue
            x = arrays.x_inputs if p.origin == "inputs" else arrays.x
            arrays.u[:, p.target] += self.gain(p) * p.forwards(x[:, p.source], self.weights[p.name].astype(float))
