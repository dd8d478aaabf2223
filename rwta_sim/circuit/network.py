"""`RWTANetwork`: inputs, hidden circuits and one action circuit, wired from a validated spec.

All neurons that compete live in one NeuronGroup (hidden circuits first, the action circuit last), because in
Brian2 every object costs time in every step. A projection is one all-to-all Synapses object whose weights
are seen as a matrix; a connection that must not exist inside it (within a circuit) is held at zero. Where projections
are sparse, each block is a Synapses object of the connections that exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from brian2 import (
    Clock,
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    linked_var,
    ms,
    prefs,
    second,
)
from brian2.core.base import BrianObject

from rwta_sim.circuit import equations as circuits
from rwta_sim.circuit.competition import competition, fires
from rwta_sim.circuit.decay import decay
from rwta_sim.circuit.faults import ARRIVED, PASSES
from rwta_sim.circuit.history import HistoryRecorder
from rwta_sim.circuit.plasticity import GATE, LAST_STEP, PlasticSynapse
from rwta_sim.circuit.projection import Origin, Projection
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring

__all__ = ["RWTANetwork", "Sampled"]


class Sampled(NamedTuple):
    """A variable that is recorded in every so many steps, as it is when neurons fire.

    Attributes
    ----------
    origin : {"inputs", "neurons"}
    variables : tuple of str
        Of their equations; of several the sum.
    indices : ndarray of int
        Of the neurons, at equal distances.
    summed : bool
        Whether what is wanted is the sum over these neurons.
    """

    origin: Origin
    variables: tuple[str, ...]
    indices: np.ndarray
    summed: bool = False

    @property
    def columns(self) -> slice:
        """The indices, which are at equal distances."""
        step = int(self.indices[1] - self.indices[0]) if len(self.indices) > 1 else 1
        return slice(int(self.indices[0]), int(self.indices[-1]) + 1, step)

    @property
    def recalled(self) -> bool:
        """Whether a history has it."""
        return self.origin == "neurons" and self.variables == ("q",) and not self.summed

    def of(self, recorded: Mapping[str, np.ndarray]) -> np.ndarray:
        """What is wanted of the variables that a monitor recorded, each of shape (samples, neurons)."""
        first, *others = (recorded[variable] for variable in self.variables)
        values: np.ndarray = sum(others, first)
        return values.sum(axis=1) if self.summed else values


@contextmanager
def _quick_setup() -> Iterator[None]:
    """Run the code that Brian2 needs once, to create synapses, in NumPy instead of compiling it."""
    saved = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        yield
    finally:
        prefs.codegen.target = saved


class RWTANetwork(Wiring):
    """A recurrent winner-take-all network as Brian2 objects.

    Parameters
    ----------
    spec : NetworkSpec
        The validated description.
    n_inputs, n_actions : int
        Numbers of input neurons and of neurons in the action circuit.
    rng : numpy.random.Generator, optional
        Draws the initial weights and whatever else of the network is random; needed only if ``spec.weight_sd > 0`` or
        ``spec.random_structure``.
    record : bool
        Add SpikeMonitors `input_spikes` (None where inputs are currents) and `neuron_spikes`; they keep 12 bytes per
        spike.
    history : int
        Steps of a decision of which a `HistoryRecorder` keeps traces, spikes and probabilities; 0: none.
    record_traces : bool
        Whether the history holds traces as they were. If not, they are made from the spikes of each decision: right
        where decisions start without traces and all neurons have the kernel of the spec, and quicker.
    gained : bool
        Whether potentials have a gain, ``neurons.action_gain``, 1 at the start.
    go_signal : bool
        Whether action neurons fire on a go signal alone: one of them in the step at ``neurons.t_go``.
    sampled : mapping of Sampled, optional
        Variables to be recorded by any name; kept as ``sampled``. Each has a StateMonitor in ``state_monitors``, but
        for those that a history has.
    sample_steps : int
        Steps between two of their samples.
    plasticity : PlasticSynapse, optional
        Equations of a learning rule, whose eligibility the synapses then keep: ``synapses["s"].eligibility``.
    faults : bool
        Let spikes be lost, late and added, as `NetworkArrays.set_faults` says; see `rwta_sim.circuit.faults`.

    Attributes
    ----------
    history : HistoryRecorder or None
    inputs, neurons, inhibition : NeuronGroup
        Inputs, all competing neurons (hidden circuits, then the action circuit), inhibitory units. `inputs` is None
        where they are currents: then ``neurons.I_in`` holds what they send.
    faults : bool
    synapses : dict of Synapses
        Of each projection that carries spikes, by name: ``synapses["s"].w`` are its weights, see `Projection`.
    current_weights : dict of ndarray
        The weights of the projections that carry currents, by name.
    network : brian2.Network
        Everything together: ``net.network.run(100*ms)`` works, as does any Brian2 monitor added to it.

    Raises
    ------
    ValueError
        For sizes that are not positive, a circuit too large for the inhibition or too small for the refractory time,
        random weights or structure without `rng`, or a history without traces of neurons whose kernels differ.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        n_inputs: int,
        n_actions: int,
        rng: np.random.Generator | None = None,
        record: bool = False,
        history: int = 0,
        record_traces: bool = True,
        gained: bool = False,
        go_signal: bool = False,
        plasticity: PlasticSynapse | None = None,
        faults: bool = False,
        sampled: Mapping[str, Sampled] | None = None,
        sample_steps: int = 1,
    ) -> None:
        super().__init__(spec, n_inputs, n_actions, rng)
        if not record_traces and not spec.one_trace:
            raise ValueError(
                "record_traces = False needs one kernel and one delay for all neurons: leave tau_spread and delays by "
                "block out"
            )
        if go_signal and (spec.firing == "one_hot" or spec.refractory is not None):
            raise ValueError("go_signal needs firing = 'poisson', without refractory neurons")
        weights = self.initial_weights(rng)
        self.plasticity = plasticity
        self.kappa_0 = spec.kernel.amplitude(spec.dt, spec.circuit_rate)
        own_kernels = tuple(spec.kernel.namespace()) if spec.tau_spread > 0 else ()
        self._details = circuits.Details(
            refractory=spec.refractory is not None,
            noise=spec.noise > 0,
            warm_up=spec.warm_up is not None,
            faults=faults,
            input_current=spec.inputs == "current",
            gain=gained,
            go=go_signal,
            own_kernels=own_kernels,
            currents=tuple(p.name for p in self.spiking_projections) if own_kernels else (),
        )
        self.faults = faults
        self._namespace = self._constants()
        self._float = np.float32 if spec.precision == "single" else np.float64
        self.clock = Clock(dt=spec.dt, name="rwta_clock")
        with _quick_setup():
            self._build_neurons()
            self._build_inhibition()
            self.synapses = {p.name: self._project(p, weights[p.name]) for p in self.spiking_projections}
            self._put_in_order()
            self._build_traces()
            self._build_memory()
            self.circuit_plasticity = self._depress() if plasticity is not None and plasticity.on_circuit else None
        carried = self.synapses.keys()
        self.current_weights = {n: w.astype(self._float) for n, w in weights.items() if n not in carried}
        self.history = HistoryRecorder(self._populations, history, self.clock, record_traces) if history else None
        self.sampled = dict(sampled or {})
        self.sample_steps = sample_steps
        monitored = {n: one for n, one in self.sampled.items() if self.history is None or not one.recalled}
        self.state_monitors = self._state_monitors(monitored, sample_steps)
        monitors = [*(self._monitors() if record else ()), *self.state_monitors.values()]
        self.network = Network(*self._objects(), *monitors, name="rwta_network")

    def __repr__(self) -> str:
        size = ", ".join(map(str, np.unique(self.spec.hidden_sizes)))
        sizes = f"{self.n_inputs} inputs, {self.spec.hidden_circuits} circuits of {size}"
        return f"RWTANetwork({sizes}, {self.n_actions} actions, firing={self.spec.firing!r})"

    def _objects(self) -> list[BrianObject]:
        """All that was built, but for monitors."""
        return [
            *self._populations.values(),
            self.inhibition,
            *self._circuit_synapses,
            *self.synapses.values(),
            *self.trace_synapses,
            *([] if self.circuit_plasticity is None else [self.circuit_plasticity]),
            *([] if self.history is None else self.history.groups.values()),
        ]

    def _monitors(self) -> list[BrianObject]:
        self.neuron_spikes = SpikeMonitor(self.neurons, name="rwta_neuron_spikes")
        self.input_spikes: SpikeMonitor | None = None
        if self.inputs is None:
            return [self.neuron_spikes]
        self.input_spikes = SpikeMonitor(self.inputs, name="rwta_input_spikes")
        return [self.input_spikes, self.neuron_spikes]

    def _state_monitors(self, sampled: Mapping[str, Sampled], steps: int) -> dict[str, StateMonitor]:
        """Monitors of variables as they are after competition, before anybody fires."""
        if not sampled:
            return {}
        clock = self.clock if steps == 1 else Clock(dt=steps * self.spec.dt, name="rwta_sample_clock")
        return {
            name: StateMonitor(
                self._populations[one.origin],
                one.variables,
                record=one.indices,
                clock=clock,
                when=circuits.WHEN_INHIBIT,
                order=4,
                name=f"rwta_state{number}",
            )
            for number, (name, one) in enumerate(sampled.items())
        }

    # -- building ------------------------------------------------------------------------------------

    def _constants(self) -> dict[str, object]:
        """What the equations name and no group has."""
        spec, details = self.spec, self._details
        constants = {**circuits.CONSTANTS, "rho_hat": spec.circuit_rate, "fires": fires}
        if details.go:
            constants["first_action"] = self.action.start
        if not details.own_kernels:
            constants |= {**spec.kernel.namespace(), "kappa_0": self.kappa_0}
        if spec.kernel.off_delay is not None:
            constants["off_delay"] = spec.kernel.off_delay
        if spec.refractory is not None:
            # Half a step more, because times are multiples of dt only up to rounding.
            constants |= {**circuits.BARRED_CONSTANTS, "refractory_time": spec.refractory + 0.5 * spec.dt}
        if spec.warm_up is not None:
            constants["warm_up"] = spec.warm_up - 0.5 * spec.dt
        if details.noise:
            kept = 0.0 if spec.noise_tau is None else np.exp(-float(spec.dt) / float(spec.noise_tau))
            constants |= {"noise_sd": spec.noise, "noise_kept": kept}
        return constants

    def _group(self, n: int, model: str, name: str, **kwargs: Any) -> NeuronGroup:
        return NeuronGroup(n, model, method=decay, clock=self.clock, namespace=self._namespace, name=name, **kwargs)

    def _synapses(self, source: object, target: object, model: str, name: str, **kwargs: object) -> Synapses:
        own = dict(self._namespace)  # to which each may add the lag of its events
        return Synapses(source, target, model, clock=self.clock, namespace=own, name=name, **kwargs)

    def _build_neurons(self) -> None:
        kernel, details = self.spec.kernel, self._details
        trace = kernel.jump("x", "kappa_0*arrived" if self.may_be_late else "kappa_0")
        input_late, *late = (delay > 0 for delay in self.spec.delays)
        self.inputs: NeuronGroup | None = None
        if not details.input_current:
            self.inputs = self._group(
                self.n_inputs,
                circuits.input_equations(kernel, details),
                "rwta_inputs",
                threshold=ARRIVED if details.faults else circuits.INPUT_THRESHOLD,
                reset=None if input_late else trace,
            )
        currents = [] if details.own_kernels else kernel.variables("I")
        self.neurons = self._group(
            self.n_neurons,
            name="rwta_neurons",
            dtype={**dict.fromkeys(currents, self._float), "q": np.float64},
            **self._neuron_code("" if any(late) else trace),
        )
        self._build_probabilities()
        self.neurons.circuit = self.circuit
        if details.gain:
            self.neurons.action_gain = 1.0
        if details.go:
            self.neurons.t_go = self.long_ago * second
        self.neurons.t_spike = self.long_ago * second
        if details.noise:
            for code, order in ((circuits.NOISE_FIRST, -2), (circuits.NOISE_SECOND, -1)):
                self.neurons.run_regularly(
                    code, clock=self.clock, when=circuits.WHEN_INHIBIT, order=order, name=f"rwta_noise{order + 2}"
                )
        if details.own_kernels:
            self._stretch_kernels()
        if details.faults:
            self._spoil()
        if self.plasticity is not None:
            self._account(self.plasticity)

    def _neuron_code(self, trace: str) -> dict[str, Any]:
        """Equations, threshold, reset and events of the neurons; `trace` is the jump of a trace at a spike."""
        spec, details, plasticity = self.spec, self._details, self.plasticity
        threshold = ARRIVED if details.faults else self._fires()
        code: dict[str, Any] = {
            "model": circuits.neuron_equations(spec.kernel, spec.firing, spec.inhibition, details),
            "threshold": threshold,
            "reset": trace + circuits.COUNT_SPIKES.format(spikes="arrived" if self.may_be_late else "1"),
        }
        if plasticity is not None:
            code["model"] += f"{GATE}\n{plasticity.neuron or ''}"
            code["reset"] += plasticity.on_spike or ""
            if plasticity.settle:
                code["events"] = {"settle": " or ".join(filter(None, [LAST_STEP, plasticity.large]))}
        return code

    def _fires(self) -> str:
        """The condition on which a neuron fires."""
        firing, inhibition = self.spec.firing, self.spec.inhibition
        if self._details.refractory and (firing, inhibition) == ("one_hot", "equations"):
            return circuits.NEURON_THRESHOLD_REFRACTORY
        if self._details.go:
            return circuits.NEURON_THRESHOLD_GO[inhibition]
        return circuits.NEURON_THRESHOLD[inhibition, firing]

    @property
    def _draws(self) -> bool:
        """Whether circuits decide who of them fires next."""
        return self.spec.firing == "one_hot" or self._details.go

    @property
    def may_be_late(self) -> bool:
        """Whether spikes may be late, and several of a neuron come at once: where each is felt from its arrival on and
        nothing is taken back later, for which their number would have to be remembered."""
        return self.faults and self.spec.kernel.off_delay is None and self.spec.delay is None

    def _spoil(self) -> None:
        """Between the competition and the thresholds: what becomes of the spikes that are meant."""
        conditions = {"inputs": circuits.INPUT_THRESHOLD, "neurons": self._fires()}
        for population, group in self._populations.items():
            for order, code in enumerate(PASSES, 10):  # after the sums and draws of the competition
                group.run_regularly(
                    code.replace("{fires}", conditions[population]),
                    clock=self.clock,
                    when=circuits.WHEN_INHIBIT,
                    order=order,
                    name=f"{group.name}_faults{order - 10}",
                )

    def _build_probabilities(self) -> None:
        """In each step, before thresholds: q of the neurons, and the traces that were seen."""
        probability = circuits.probability_code(self.spec.inhibition == "fused", self._details.refractory)
        if self.plasticity is not None:
            probability += "t_seen = t\n"
        regular = {"inputs": (circuits.INPUT_SEEN, "rwta_seen"), "neurons": (probability, "rwta_probability")}
        for population, group in self._populations.items():
            code, name = regular[population]
            group.run_regularly(code, clock=self.clock, when=circuits.WHEN_INHIBIT, order=2, name=name)

    def _stretch_kernels(self) -> None:
        kernel = self.spec.kernel
        for population, group in self._populations.items():
            stretch = self.stretch[population]
            group.kappa_0 = kernel.amplitudes(stretch, self.spec.dt, self.spec.circuit_rate)
            for name, value in kernel.namespace().items():
                setattr(group, name, value * stretch)

    @property
    def spiking_projections(self) -> list[Projection]:
        """The projections that carry spikes: all but those of inputs that are currents."""
        return [p for p in self.projections if p.origin == "neurons" or self.spec.inputs == "spikes"]

    @property
    def _populations(self) -> dict[Origin, NeuronGroup]:
        """The groups that send spikes."""
        return {"neurons": self.neurons} if self.inputs is None else {"inputs": self.inputs, "neurons": self.neurons}

    @property
    def long_ago(self) -> float:
        """A time (s) before the start at which a spike has no more effect."""
        return -1.0 if self.spec.refractory is None else -1.0 - float(self.spec.refractory)

    def _account(self, plasticity: PlasticSynapse) -> None:
        """What neurons do for the plasticity of their synapses."""
        self.neurons.t_first, self.neurons.t_last = -1 * second, _NEVER
        self.neurons.t_end = _NEVER
        if plasticity.each_step:
            self.neurons.run_regularly(
                plasticity.each_step, clock=self.clock, when=circuits.WHEN_ACCOUNT, order=-2, name="rwta_each_step"
            )
        if plasticity.settle and plasticity.settled:
            self.neurons.run_on_event("settle", plasticity.settled, when=circuits.WHEN_SETTLE, order=2)

    def _depress(self) -> Synapses:
        """What a spike means for the plasticity of all its circuit."""
        assert self.plasticity is not None
        synapses = self._within_circuits("rwta_circuit_plasticity", self.plasticity.on_circuit)
        synapses.pre.when = circuits.WHEN_ACCOUNT
        return synapses

    def _within_circuits(self, name: str, on_pre: str | None) -> Synapses:
        """Synapses from each neuron to all of its circuit, itself too."""
        synapses = self._synapses(self.neurons, self.neurons, "", name, on_pre=on_pre)
        sizes = np.diff(self.starts)[self.circuit]
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        i = np.repeat(np.arange(self.n_neurons), sizes)
        synapses.connect(i=i, j=self.starts[self.circuit[i]] + np.arange(i.size) - first)
        return synapses

    def _build_inhibition(self) -> None:
        spec = self.spec
        self.inhibition = self._group(
            len(self.starts) - 1,
            circuits.inhibition_equations(self._draws, spec.inhibition),
            "rwta_inhibition",
            dtype={"draw": np.float64} if self._draws else {},
        )
        self._circuit_synapses: list[Synapses] = []
        if spec.inhibition == "fused":
            self._fuse()
        else:
            self._sum()

    def _fuse(self) -> None:
        if self._draws:
            self.neurons.winner = linked_var(self.inhibition, "winner", index=self.circuit)
        self._namespace["compete"] = competition(
            self.starts, self.neurons, self.inhibition, self._draws, self._details.refractory
        )
        self.inhibition.run_regularly(
            circuits.COMPETE, clock=self.clock, when=circuits.WHEN_INHIBIT, order=3, name="rwta_compete"
        )

    def _sum(self) -> None:
        for name in ("coarse", "Z", *(["draw"] if self._draws else [])):
            setattr(self.neurons, name, linked_var(self.inhibition, name, index=self.circuit))
        # Until the first step has summed the circuits, a plain state is a uniform one.
        self.inhibition.coarse = self.inhibition.Z = np.diff(self.starts).astype(float)

        pooled = circuits.POOL_EQUATIONS_REFRACTORY if self._details.refractory else circuits.POOL_EQUATIONS
        pool = self._synapses(self.neurons, self.inhibition, pooled, "rwta_pool")
        pool.connect(i=np.arange(self.n_neurons), j=self.circuit)
        self._circuit_synapses.append(pool)
        order = {"coarse_post": 0, "Z_post": 1, "below_post": 3}
        if self._draws:
            last = np.zeros(self.n_neurons, dtype=bool)
            last[self.starts[1:] - 1] = True
            self.neurons.last = last
            pairs = [
                (i, j) for low, high in pairwise(self.starts) for i in range(low, high) for j in range(i + 1, high)
            ]
            if pairs:
                ladder = self._synapses(self.neurons, self.neurons, circuits.LADDER_EQUATIONS, "rwta_ladder")
                i, j = np.array(pairs).T
                ladder.connect(i=i, j=j)
                self._circuit_synapses.append(ladder)
        for synapses in self._circuit_synapses:
            for variable, updater in synapses.summed_updaters.items():
                updater.when = circuits.WHEN_INHIBIT
                updater.order = order[variable]

    def gain(self, projection: Projection) -> float:
        """What the weights of a projection are multiplied by in potentials: 1, or as `published_code` of the spec."""
        return 0.5 if self.spec.published_code and projection.origin == "neurons" else 1.0

    def _project(self, projection: Projection, weights: np.ndarray) -> Synapses:
        pre = self.inputs if projection.origin == "inputs" else self.neurons
        source, target = projection.source, projection.target
        synapses = self._summing(projection, pre) if self._details.own_kernels else self._sending(projection, pre)
        assert pre is not None
        if projection.packing is None and (source, target) == (slice(0, len(pre)), slice(0, self.n_neurons)):
            synapses.connect()
        else:  # Brian2 has no subgroups of groups with linked variables
            i, j = projection.connections()
            synapses.connect(i=i, j=j)
        if not self._details.own_kernels:
            synapses.jump = self.gain(projection) * self.kappa_0
        if weights.any():
            synapses.w = weights.ravel()
        return synapses

    def _put_in_order(self) -> None:
        """Have sparse projections add to a target in the order in which the rows of one matrix would: the same sums,
        to the last bit."""
        if not any(p.packing for p in self.spiking_projections):
            return
        senders = ("hh", "ha", "ah", "r", "sh", "sa", "s")  # of a target: hidden, action, input neurons
        for name, synapses in self.synapses.items():
            for code, early in (("off", 0), ("pre", 1)):  # as in the order of their names
                if code in synapses._synaptic_updaters:
                    getattr(synapses, code).order = 1 + senders.index(name) + 10 * (2 * (name[0] == "s") + early)

    def _sending(self, projection: Projection, pre: NeuronGroup) -> Synapses:
        """Synapses that add to the current of their targets at a spike."""
        model = "w : 1\njump : 1 (shared)  # kappa_0, in the precision of w"
        dtype = {"w": self._float, "jump": self._float}
        if self.plasticity is not None:
            model += f"\n{self.plasticity.synapse}"
            if self.spec.kernel.off_delay is not None:
                model += f"\nfelt = 1{_since_cleared('off_delay')} : 1"
        name, lag = f"rwta_{projection.name}", self.spec.delay_of(projection.name)
        amount = "jump*w*arrived_pre" if self.may_be_late else "jump*w"
        return self._events(pre, self.neurons, model, name, "I", amount, lag, plasticity=self.plasticity, dtype=dtype)

    def _summing(self, projection: Projection, pre: NeuronGroup) -> Synapses:
        """Synapses whose targets sum up the traces, times the weights, in every step."""
        current = f"I_{projection.name}_post"
        model = f"w : 1\n{current} = w*x_pre : 1 (summed)"
        synapses = self._synapses(pre, self.neurons, model, f"rwta_{projection.name}", dtype={"w": self._float})
        updater = synapses.summed_updaters[current]
        updater.when, updater.order = circuits.WHEN_INHIBIT, -1  # before whatever reads the potential
        return synapses

    def _events(
        self,
        source: NeuronGroup,
        target: NeuronGroup,
        model: str,
        name: str,
        train: str,
        amount: str,
        lag: Quantity | None,
        plasticity: PlasticSynapse | None = None,
        **kwargs: object,
    ) -> Synapses:
        """Synapses at which a spike adds `amount` to `train`, and takes it back if the kernel ends by itself.

        A late event whose spike came before the last clearing has nothing left to do.
        """
        kernel = self.spec.kernel
        lags = {"pre": 0 * ms if lag is None else lag}
        code = {"pre": kernel.jump(train, amount if lag is None else amount + _since_cleared("lag"), post=True)}
        constants = {} if lag is None else {"lag": lag}
        if kernel.off_delay is not None:
            lags["off"] = constants["off_delay"] = kernel.off_delay + lags["pre"]
            code["off"] = kernel.jump(train, amount + _since_cleared("off_delay"), "-", post=True)
        if constants:
            model += "\nt_clear : second (shared)"
        learns = {} if plasticity is None else self._learning_pathways(plasticity, code, lags)
        synapses = self._synapses(source, target, model, name, on_pre=code, delay=lags, **learns, **kwargs)
        if "settle" in synapses._synaptic_updaters:
            synapses.settle.when = circuits.WHEN_SETTLE
        synapses.namespace.update(constants)
        return synapses

    def _learning_pathways(
        self, plasticity: PlasticSynapse, on_pre: dict[str, str], delay: dict[str, Quantity]
    ) -> dict[str, object]:
        """Add the rule's code at presynaptic spikes; returns the other arguments of Synapses."""
        if plasticity.on_pre:
            on_pre["learn"], delay["learn"] = plasticity.on_pre, 0 * ms
        if plasticity.on_off and "off" in delay:
            on_pre["learn_off"], delay["learn_off"] = plasticity.on_off, delay["off"]
        on_post = {"post": plasticity.on_post, "settle": plasticity.settle}
        return {"on_post": {name: code for name, code in on_post.items() if code}, "on_event": {"settle": "settle"}}

    def _build_traces(self) -> None:
        """What becomes of a trace later than at its spike, by each neuron's connection to itself.

        A kernel that ends takes the jump back; with a delay, the trace is what the synapses deliver.
        """
        kernel = self.spec.kernel
        self.trace_synapses: list[Synapses] = []
        amount = "kappa_0_pre" if self._details.own_kernels else "kappa_0"
        for origin, group in self._populations.items():
            name = group.name
            if any(delay > 0 for delay in self._delays_from(origin).values()):
                self.trace_synapses += self._late_traces(origin, group, amount)
            elif kernel.off_delay is not None:
                own = self._synapses(
                    group,
                    group,
                    "t_clear : second (shared)",
                    f"{name}_off",
                    on_pre=kernel.jump("x", "kappa_0" + _since_cleared("off_delay"), "-", post=True),
                    delay=kernel.off_delay,
                )
                own.namespace["off_delay"] = kernel.off_delay
                own.connect(j="i")
                self.trace_synapses.append(own)

    def _delays_from(self, origin: Origin) -> dict[str, float]:
        """Delays (s) of those who send from there, by the first letter of their blocks."""
        inputs, hidden, action = self.spec.delays
        return {"s": inputs} if origin == "inputs" else {"h": hidden, "a": action}

    def _late_traces(self, origin: Origin, group: NeuronGroup, amount: str) -> list[Synapses]:
        """Connections of neurons to themselves with the delay of their axons; one object where that is one."""
        delays = self._delays_from(origin)
        if len(set(delays.values())) == 1:
            own = self._events(group, group, "", f"{group.name}_late", "x", amount, self.spec.delay_of(min(delays)))
            own.connect(j="i")
            return [own]
        made = []
        for sender, who in (("h", self.hidden), ("a", self.action)):
            if who.start < who.stop:
                lag = self.spec.delay_of(sender)
                own = self._events(group, group, "", f"{group.name}_late_{sender}", "x", amount, lag)
                own.connect(i=(mine := np.arange(who.start, who.stop)), j=mine)
                made.append(own)
        return made

    def _build_memory(self) -> None:
        """Poisson firing: who fired last may be refractory in the last step, so its q is kept from when it fired."""
        if not self._details.refractory or self.spec.firing == "one_hot":
            return
        self._circuit_synapses.append(self._within_circuits("rwta_memory", circuits.REMEMBER_Q))

    # -- weights -------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the weight blocks, ``{"sh": (n_inputs, n_hidden), ...}``, and of the biases ``"b"``.

        A sparse block is packed, shape (connections,): see `Weights.blocks`.
        """
        blocks = self.spec.split_blocks({name: w.copy() for name, w in self._whole().items()})
        return {**blocks, "b": np.array(self.neurons.b[:])}

    def _whole(self) -> dict[str, np.ndarray]:
        carried = {
            p.name: np.array(self.synapses[p.name].w[:]).reshape(p.weights_shape) for p in self.spiking_projections
        }
        whole = {**carried, **self.current_weights}
        return {p.name: whole[p.name] for p in self.projections}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set weight blocks (and ``"b"``) before the network runs; blocks not named keep their values.

        A sparse block may be packed, or a matrix that is zero where nothing connects.

        Raises
        ------
        ValueError
            For an unknown block, a wrong shape, NaN or infinite or overflowing values, a connection within a
            circuit, or blocks that break the symmetry asked for.
        """
        whole = self._whole()
        bias = np.array(self.neurons.b[:])
        self.assign(whole, bias, weights)
        for p in self.spiking_projections:
            self.synapses[p.name].w = whole[p.name].ravel()
        self.neurons.b = bias


def _since_cleared(lag: str) -> str:
    """A factor: 1 for an event, `lag` after its spike, whose spike came after the last clearing, else 0."""
    return f"*int(t - {lag} > t_clear - 0.5*dt)"


#: A time that does not come.
_NEVER = 1e12 * second
