"""`NetworkArrays`: the state of an `RWTANetwork` on an engine, as NumPy arrays that share its memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from rwta_sim.circuit.evidence import Eligibility, History
from rwta_sim.circuit.faults import WAITING, Faults
from rwta_sim.circuit.history import HistoryRecorder
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.plasticity import PlasticSynapse
from rwta_sim.circuit.projection import Projection
from rwta_sim.circuit.readout import NativeReader, Readout, Told
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.circuit.wiring import Weights
from rwta_sim.engines.base import Engine

__all__ = ["NetworkArrays"]


class NetworkArrays(Weights):
    """Views, and the few operations a decision needs on them. Times in seconds.

    Parameters
    ----------
    network : RWTANetwork
    engine : Engine
        On which ``network.network`` has been prepared.

    Attributes
    ----------
    p : ndarray, shape (n_inputs,), or None
        Spike probability of each input per step; None where inputs are currents.
    q : ndarray, shape (n_neurons,)
        Firing probability of each neuron within its circuit at the last step.
    preference : ndarray, shape (n_neurons,)
        What a greedy choice takes the largest of: q or, as q of a refractory neuron is 0 however much its circuit is
        for it, the potential of the last step.
    weights, b
        See `Weights`.
    """

    network: RWTANetwork

    def __init__(self, network: RWTANetwork, engine: Engine) -> None:
        self._engine = engine
        self._dt = float(network.spec.dt)
        view = engine.view
        carried = {
            p.name: view(network.synapses[p.name], "w").reshape(p.weights_shape) for p in network.spiking_projections
        }
        whole = {**carried, **network.current_weights}
        super().__init__(network, {p.name: whole[p.name] for p in network.projections}, view(network.neurons, "b"))
        self._view_inputs()
        self._view_neurons()
        self._view_times()
        if network.faults:
            self._view_faults()
        self._start = 0
        self._history: dict[str, np.ndarray] = {}
        if network.history is not None:
            self._view_history(network.history)
        self._plastic: list[np.ndarray] = []
        if network.plasticity is not None:
            self._view_plasticity(network.plasticity)
        self._steps: list[np.ndarray] | None = None
        self._poisson = network.spec.firing == "poisson"
        self._each_step = not (self._poisson or network.faults)  # whether every circuit sends one spike in each
        self._everyone = np.ones(network.n_neurons)
        self._everyone.flags.writeable = False
        doubles = [self._t_spike, self._n_spikes, self.q, self._seen, self._input_seen]
        self._reader = NativeReader.made(network.starts, self._spikes if self._each_step else None, doubles)

    def _view_inputs(self) -> None:
        network, view = self.network, self._engine.view
        self.p = None if network.inputs is None else view(network.inputs, "p")
        self._drive = np.zeros(network.n_inputs)
        self._input_traces: list[np.ndarray] = []
        self._input_seen = np.empty(0)
        if network.inputs is None:
            self._input_current = view(network.neurons, "I_in")
        else:
            self._input_seen = view(network.inputs, "x_seen")
            self._input_traces = [view(network.inputs, name) for name in network.spec.kernel.variables("x")]

    def _view_neurons(self) -> None:
        network, kernel = self.network, self.network.spec.kernel
        view = partial(self._engine.view, network.neurons)
        self.q, self._seen, self._spikes, self._n_spikes = map(view, ("q", "x_seen", "_spikespace", "n_spikes"))
        self._traces = [view(name) for name in kernel.variables("x")]
        # With kernels of their own the neurons' potentials are summed from traces and weights in every step.
        self._summed = network.spec.tau_spread > 0
        currents = () if self._summed else kernel.variables("I")
        self._currents = [view(name) for name in currents]
        self._felt = [*self._input_traces, *self._traces, *self._currents]
        self._refractory = network.spec.refractory is not None
        self._q_spike = view("q_spike") if self._refractory else self.q
        self.preference = view("u_seen") if self._refractory else self.q
        self._gain, self._t_go = (
            view(name) if name in network.neurons.variables else None for name in ("action_gain", "t_go")
        )

    def _view_times(self) -> None:
        """Of each neuron's last spike, and since when traces, eligibilities and noise count."""
        network, view = self.network, self._engine.view
        self._t_spike = view(network.neurons, "t_spike")
        clearing = [*network.synapses.values(), *network.trace_synapses]
        self._t_clear = [view(s, "t_clear") for s in clearing if "t_clear" in s.variables]
        if network.spec.noise > 0 or network.spec.warm_up is not None:
            self._t_clear.append(view(network.neurons, "t_fresh"))

    def _view_faults(self) -> None:
        self._faults = []
        for group in filter(None, (self.network.inputs, self.network.neurons)):
            view = partial(self._engine.view, group)
            self._faults.append([view(name) for name in ("p_lost", "p_extra", "most_late")])
            self._felt += [view(name) for name in WAITING]  # on its way is as good as felt

    def _view_plasticity(self, plasticity: PlasticSynapse) -> None:
        network, view = self.network, self._engine.view
        self._plastic = [view(network.neurons, name) for name in plasticity.variables("neuron")]
        for synapses in network.synapses.values():
            self._plastic += [view(synapses, name) for name in plasticity.variables("synapse")]
        self._balances = [
            view(network.synapses[p.name], "balance").reshape(p.weights_shape) for p in network.projections
        ]
        learns_bias = "bias_e" in plasticity.variables("neuron")
        self._bias_e = view(network.neurons, "bias_e") if learns_bias else np.zeros(network.n_neurons)
        self._gate = [view(network.neurons, name) for name in ("t_first", "t_last", "t_end")]

    def _view_history(self, recorder: HistoryRecorder) -> None:
        view, groups, rows = self._engine.view, recorder.groups, recorder.steps
        self._row = view(groups["neurons"], "row")
        for name in ("spikes", "q"):
            self._history[name] = view(groups["neurons"], name).reshape(rows, -1)
        self._kappa = None
        if recorder.traces:
            self._history["trace"] = view(groups["neurons"], "x_seen").reshape(rows, -1)
        else:
            spec = self.network.spec
            kappa = spec.kernel.values(rows, spec.dt, spec.circuit_rate)
            self._kappa = np.concatenate([np.zeros(spec.delay_steps[0]), kappa])[:rows]
        if "inputs" in groups:
            self._fired, self._ends = view(groups["inputs"], "fired"), view(groups["ends"], "end")
            if recorder.traces:
                self._history["input_trace"] = view(groups["inputs"], "x_seen").reshape(rows, -1)

    # -- a decision ----------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget every spike: no traces, no currents, and nothing more to come of it; and draw the noise anew."""
        for state in self._felt:
            state.fill(0.0)
        if self._refractory:
            self._t_spike.fill(self.network.long_ago)
        if self._t_clear:
            now = self._engine.steps_done * self._dt
            for t_clear in self._t_clear:
                t_clear[...] = now

    def set_faults(self, faults: Faults) -> None:
        """What becomes of spikes from now on.

        Raises
        ------
        ValueError
            If the network was not made for faults, or its spikes cannot be late.
        """
        if not self.network.faults:
            raise ValueError("this network has no faults: make it with faults = True")
        if faults.late and not self.network.may_be_late:
            raise ValueError(f"late = {faults.late}: not with a kernel that ends by itself, or a delay")
        for views in self._faults:
            for view, value in zip(views, faults, strict=True):
                view[...] = value

    def drive_inputs(self, drive: np.ndarray) -> None:
        """Drive the inputs, shape (n_inputs,), in [0, 1]: what they spike with, or send as a current, from now on."""
        if self.p is not None:
            self.p[:] = self.network.spec.input_probability(drive)
            return
        self._drive = drive
        self._input_current.fill(0.0)
        lit = np.flatnonzero(drive)
        dark = lit.size < 0.25 * drive.size  # then to gather the rows that count takes less than to read all
        for p in self.network.projections:
            if p.origin == "inputs":
                w = self.weights[p.name]
                s = drive.astype(w.dtype, copy=False)
                few = dark and p.packing is None
                self._input_current[p.target] += s[lit] @ w[lit] if few else p.forwards(s, w)

    def sharpen(self, gain: float) -> None:
        """Multiply the potentials of the action circuit by this gain from now on.

        Raises
        ------
        ValueError
            For another gain than 1, if the network was made without.
        """
        if self._gain is not None:
            self._gain[self.network.action] = gain
        elif gain != 1:
            raise ValueError(f"gain = {gain}: this network has none; make it with gained = True")

    def begin_decision(self, steps: int = 0) -> None:
        """Start counting spikes, with no eligibility; the go signal comes in the last of so many steps."""
        self._start = self._engine.steps_done
        if self._t_go is not None:
            self._t_go[...] = (self._start + steps - 1) * self._dt
        self._n_spikes.fill(0.0)
        for state in self._plastic:
            state.fill(0.0)
        if self._steps is not None:
            for gate, step in zip(self._gate, self._steps, strict=True):
                gate[:] = (self._start + step) * self._dt
        if self._history:
            self._row[...] = 0

    def gate(self, first: np.ndarray, last: np.ndarray, steps: int) -> None:
        """From the next decision on, what neurons do in steps `first` to `last` counts for the plasticity.

        Parameters
        ----------
        first, last : ndarray of int, shape (n_neurons,)
            Steps of a decision, from 0; a neuron whose `last` is before its `first` counts in none.
        steps : int
            In a decision; its last one settles all eligibilities.

        Raises
        ------
        ValueError
            If the network has no plasticity.
        """
        if self.network.plasticity is None:
            raise ValueError("this network has no plasticity: make it with the equations of a rule")
        self._steps = [first, last, np.array([steps - 1])]

    def eligibility(self) -> Eligibility | None:
        """Copies of the eligibilities at the end of a decision, or None where synapses have none."""
        if self.network.plasticity is None:
            return None
        return Eligibility(
            weights=[balance.copy() for balance in self._balances],
            bias=self._bias_e.copy(),
            counts=self.spike_counts(),
            fired=self.fired(),
        )

    def history(self) -> History | None:
        """Copies of what was recorded in this decision, or None where nothing is (see `RWTANetwork`)."""
        if not self._history:
            return None
        steps = min(self._engine.steps_done - self._start, len(self._history["q"]))
        rows: dict[str, np.ndarray | SpikeRows] = {name: rows[:steps].copy() for name, rows in self._history.items()}
        fired, q = rows["spikes"], rows["q"]
        assert isinstance(fired, np.ndarray) and isinstance(q, np.ndarray)
        kappa = None
        if self._kappa is not None:
            kappa = self._kappa if steps == self._kappa.size else self._kappa[:steps]
            rows["trace"] = SpikeRows.of(fired).traces(kappa)
        if self.p is None:
            return History(self._drive[None], None, rows["trace"], fired, q)
        ends = self._ends[:steps]
        counts = ends.copy()
        np.subtract(ends[1:], ends[:-1], out=counts[1:])
        spikes = SpikeRows(self._fired[: ends[-1]].copy(), counts, self.network.n_inputs)
        traces = rows["input_trace"] if kappa is None else spikes.traces(kappa)
        return History(traces, spikes, rows["trace"], fired, q)

    @property
    def recalled(self) -> np.ndarray:
        """q in the steps of this decision, of a network that has a history: a view, shape (steps, n_neurons)."""
        return self._history["q"]

    def read(self, steps: int) -> Readout:
        """What the decision came to, of so many steps; its q are those of `last_probabilities`."""
        if self._reader is None:
            counts, v = self.spike_counts(), self.last_spikes()
            rates, inputs, q = (counts - v) / max(steps - 1, 1), self._input_seen.copy(), self.last_probabilities(v)
            return Readout(counts, v, rates, self.spoke(v), q, self.trace(), inputs, self._told(counts, v, q))
        result = self._reader.read((self._start - 0.5) * self._dt, steps)
        if self._refractory and self._poisson:
            q = self.last_probabilities(result.v)
            return result._replace(q=q, told=self._told(result.counts, result.v, q))
        return result

    def _told(self, counts: np.ndarray, v: np.ndarray, q: np.ndarray) -> Told:
        return Told.of(counts, v[self.network.action], q[self.network.action])

    def fired(self) -> np.ndarray:
        """1.0 for the neurons that spiked in the last step; shape (n_neurons,)."""
        fired = np.zeros(self.network.n_neurons)
        fired[self._spikes[: self._spikes[-1]]] = 1.0
        return fired

    def won(self, race: int) -> bool:
        """Whether an action neuron has had so many spikes in this decision."""
        return bool(self._n_spikes[self.network.action].max() >= race)

    def spike_counts(self) -> np.ndarray:
        """Spikes of each neuron in this decision; shape (n_neurons,)."""
        return self._n_spikes.copy()

    def last_spikes(self) -> np.ndarray:
        """Who fired last in each circuit during this decision; shape (n_neurons,).

        One-hot per circuit. Neurons that share the last step share the one; a circuit that stayed silent
        has zeros.
        """
        if self._each_step:
            return self.fired()
        latest = np.maximum.reduceat(self._t_spike, self.network.starts[:-1])[self.network.circuit]
        last = ((self._t_spike == latest) & (latest > (self._start - 0.5) * self._dt)).astype(float)
        ties = self.network.circuit_sum(last)
        return np.divide(last, ties, out=last, where=ties > 0)

    def spoke(self, last: np.ndarray) -> np.ndarray:
        """1.0 for the neurons of circuits with a spike in `last`; shape (n_neurons,), not to be changed."""
        if self._each_step:
            return self._everyone
        return (self.network.circuit_sum(last) > 0).astype(float)

    def last_probabilities(self, last: np.ndarray) -> np.ndarray:
        """Firing probabilities with which each circuit drew the spikes `last`; shape (n_neurons,).

        Those of the last step, and with refractory neurons in poisson firing those of the circuit's last spike: since
        then its neuron has q = 0. An action circuit without a spike whose neurons are all refractory has the
        probabilities that it would have if none were.
        """
        q: np.ndarray = self.q.copy()
        if self._refractory and self._poisson:
            q = np.where(self.spoke(last) > 0, self._q_spike, q)
            action = self.network.action
            if not q[action].any():
                u = self.preference[action]  # with its gain
                q[action] = np.exp(u - u.max())
                q[action] /= q[action].sum()
        return q

    def input_trace(self) -> np.ndarray:
        """kappa*S of the inputs as the last step's potentials saw it, or their current; shape (n_inputs,)."""
        return self._drive if self.p is None else self._input_seen.copy()

    def trace(self) -> np.ndarray:
        """kappa*S of the neurons as the last step's potentials saw it; shape (n_neurons,)."""
        return self._seen.copy()

    # -- weights -------------------------------------------------------------------------------------

    def set_weights(self, new: Mapping[str, np.ndarray]) -> None:
        super().set_weights(new)
        self.refresh_currents()

    def gain(self, projection: Projection) -> float:
        return self.network.gain(projection)

    def refresh_currents(self) -> None:
        """Make every potential u = b + sum w (kappa*S) again, with the weights as they are now.

        A synaptic current that decays in the postsynaptic neuron would go on with the weights of the past.
        Here a changed weight counts at once for spikes already sent (tested in tests/test_arrays.py); one still under
        way, where there is a delay, arrives with the weight of that moment anyway.
        """
        if self._summed:
            return
        for i, current in enumerate(self._currents):
            current.fill(0.0)
            for p in self.network.spiking_projections:
                traces = self._input_traces if p.origin == "inputs" else self._traces
                current[p.target] += self.gain(p) * p.forwards(traces[i][p.source], self.weights[p.name])
