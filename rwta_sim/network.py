"""`RWTANetwork`: inputs, hidden circuits and one action circuit, wired from a validated spec.

All neurons that compete live in one NeuronGroup (hidden circuits first, the action circuit last), because in
Brian2 every object costs time in every step. A projection is one all-to-all Synapses object whose weights
are seen as a matrix; a connection that must not exist inside it (within a circuit) is held at zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from brian2 import Clock, Network, NeuronGroup, Quantity, SpikeMonitor, Synapses, linked_var, ms, prefs, second
from brian2.core.base import BrianObject

from rwta_sim import circuits
from rwta_sim.competition import competition, fires
from rwta_sim.history import HistoryRecorder
from rwta_sim.learning.equations import GATE, LAST_STEP, PlasticSynapse
from rwta_sim.spec import NetworkSpec
from rwta_sim.wiring import Projection, Wiring

__all__ = ["RWTANetwork"]


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
        Draws the initial weights; needed only if ``spec.weight_sd > 0``.
    record : bool
        Add SpikeMonitors `input_spikes` and `neuron_spikes` (they keep 12 bytes per spike).
    history : int
        Steps of a decision of which a `HistoryRecorder` keeps traces, spikes and probabilities; 0: none.
    plasticity : PlasticSynapse, optional
        Equations of a learning rule, whose eligibility the synapses then keep: ``synapses["s"].eligibility``.

    Attributes
    ----------
    history : HistoryRecorder or None
    inputs, neurons, inhibition : NeuronGroup
        Inputs, all competing neurons (hidden circuits, then the action circuit), inhibitory units.
    synapses : dict of Synapses
        Of each projection, by name: ``synapses["s"].w`` are its weights, see `Projection`.
    network : brian2.Network
        Everything together: ``net.network.run(100*ms)`` works, as does any Brian2 monitor added to it.

    Raises
    ------
    ValueError
        For sizes that are not positive, a circuit too large for the inhibition, or random weights without `rng`.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        n_inputs: int,
        n_actions: int,
        rng: np.random.Generator | None = None,
        record: bool = False,
        history: int = 0,
        plasticity: PlasticSynapse | None = None,
    ) -> None:
        super().__init__(spec, n_inputs, n_actions)
        weights = self.initial_weights(rng)
        self.plasticity = plasticity
        self.kappa_0 = spec.kernel.amplitude(spec.dt, spec.circuit_rate)

        self._namespace = {
            **circuits.CONSTANTS,
            **spec.kernel.namespace(),
            "kappa_0": self.kappa_0,
            "rho_hat": spec.circuit_rate,
            "fires": fires,
        }
        self._float = np.float32 if spec.precision == "single" else np.float64
        self.clock = Clock(dt=spec.dt, name="rwta_clock")
        with _quick_setup():
            self._build_neurons()
            self._build_inhibition()
            self.synapses = {p.name: self._project(p, weights[p.name]) for p in self.projections}
            self._build_traces_off()
            self.circuit_plasticity = self._depress() if plasticity is not None and plasticity.on_circuit else None
        objects: list[BrianObject] = [
            self.inputs,
            self.neurons,
            self.inhibition,
            *self._circuit_synapses,
            *self.synapses.values(),
            *self.trace_synapses,
        ]
        self.history = HistoryRecorder(self.inputs, self.neurons, history, self.clock) if history else None
        if self.circuit_plasticity is not None:
            objects.append(self.circuit_plasticity)
        if self.history is not None:
            objects += self.history.groups.values()
        if record:
            self.input_spikes = SpikeMonitor(self.inputs, name="rwta_input_spikes")
            self.neuron_spikes = SpikeMonitor(self.neurons, name="rwta_neuron_spikes")
            objects += [self.input_spikes, self.neuron_spikes]
        self.network = Network(*objects, name="rwta_network")

    # -- building ------------------------------------------------------------------------------------

    def _group(self, n: int, model: str, name: str, **kwargs: object) -> NeuronGroup:
        return NeuronGroup(n, model, method="exact", clock=self.clock, namespace=self._namespace, name=name, **kwargs)

    def _synapses(self, source: object, target: object, model: str, name: str, **kwargs: object) -> Synapses:
        return Synapses(source, target, model, clock=self.clock, namespace=self._namespace, name=name, **kwargs)

    def _build_neurons(self) -> None:
        kernel, firing = self.spec.kernel, self.spec.firing
        trace = kernel.jump("x", "kappa_0")
        model, reset = circuits.neuron_equations(kernel, firing, self.spec.inhibition), trace + circuits.COUNT_SPIKES
        plasticity, settling = self.plasticity, {}
        if plasticity is not None:
            model += f"{GATE}\n{plasticity.neuron or ''}"
            reset += plasticity.on_spike or ""
            if plasticity.settle:
                settling["events"] = {"settle": " or ".join(filter(None, [LAST_STEP, plasticity.large]))}
        self.inputs = self._group(
            self.n_inputs,
            circuits.input_equations(kernel),
            "rwta_inputs",
            threshold=circuits.INPUT_THRESHOLD,
            reset=trace,
        )
        self.neurons = self._group(
            self.n_neurons,
            model,
            "rwta_neurons",
            threshold=circuits.NEURON_THRESHOLD[self.spec.inhibition, firing],
            reset=reset,
            dtype={**dict.fromkeys(kernel.variables("I"), self._float), "q": np.float64},
            **settling,
        )
        fused = self.spec.inhibition == "fused"
        probability = circuits.NEURON_POTENTIAL if fused else circuits.NEURON_PROBABILITY
        if plasticity is not None:
            probability += "t_seen = t\n"
        for group, code, name in (
            (self.inputs, circuits.INPUT_SEEN, "rwta_seen"),
            (self.neurons, probability, "rwta_probability"),
        ):
            group.run_regularly(code, clock=self.clock, when=circuits.WHEN_INHIBIT, order=2, name=name)
        self.neurons.circuit = self.circuit
        self.neurons.t_spike = -1 * second
        if plasticity is not None:
            self._account(plasticity)

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
        """From each neuron to all of its circuit, itself too: what a spike means for their plasticity."""
        assert self.plasticity is not None
        synapses = self._synapses(
            self.neurons, self.neurons, "", "rwta_circuit_plasticity", on_pre=self.plasticity.on_circuit
        )
        i, j = np.nonzero(self.circuit[:, None] == self.circuit[None, :])
        synapses.connect(i=i, j=j)
        synapses.pre.when = circuits.WHEN_ACCOUNT
        return synapses

    def _build_inhibition(self) -> None:
        spec = self.spec
        self.inhibition = self._group(
            len(self.starts) - 1,
            circuits.inhibition_equations(spec.firing, spec.inhibition),
            "rwta_inhibition",
            dtype={"draw": np.float64} if spec.firing == "one_hot" else {},
        )
        self._circuit_synapses: list[Synapses] = []
        if spec.inhibition == "fused":
            self._fuse()
        else:
            self._sum()

    def _fuse(self) -> None:
        draws = self.spec.firing == "one_hot"
        if draws:
            self.neurons.winner = linked_var(self.inhibition, "winner", index=self.circuit)
        self._namespace["compete"] = competition(self.starts, self.neurons, self.inhibition, draws)
        self.inhibition.run_regularly(
            circuits.COMPETE, clock=self.clock, when=circuits.WHEN_INHIBIT, order=3, name="rwta_compete"
        )

    def _sum(self) -> None:
        firing = self.spec.firing
        for name in ("coarse", "Z", *(["draw"] if firing == "one_hot" else [])):
            setattr(self.neurons, name, linked_var(self.inhibition, name, index=self.circuit))
        # Until the first step has summed the circuits, a plain state is a uniform one.
        self.inhibition.coarse = self.inhibition.Z = np.diff(self.starts).astype(float)

        pool = self._synapses(self.neurons, self.inhibition, circuits.POOL_EQUATIONS, "rwta_pool")
        pool.connect(i=np.arange(self.n_neurons), j=self.circuit)
        self._circuit_synapses.append(pool)
        order = {"coarse_post": 0, "Z_post": 1, "below_post": 3}
        if firing == "one_hot":
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

    def _project(self, projection: Projection, weights: np.ndarray) -> Synapses:
        pre = self.inputs if projection.origin == "inputs" else self.neurons
        source, target = projection.source, projection.target
        kernel = self.spec.kernel
        on_pre = {"pre": kernel.jump("I", "jump*w", post=True)}
        delay = {"pre": 0 * ms}
        model = "w : 1\njump : 1 (shared)  # kappa_0, in the precision of w"
        if kernel.off_delay is not None:
            # A spike from before the last clearing has nothing left to take back.
            on_pre["off"] = kernel.jump("I", f"jump*w*{_SINCE_CLEARED}", "-", post=True)
            delay["off"] = kernel.off_delay
            model += "\nt_clear : second (shared)"
        dtype = {"w": self._float, "jump": self._float}
        name = f"rwta_{projection.name}"
        learns: dict[str, object] = {}
        if self.plasticity is not None:
            model += f"\n{self.plasticity.synapse}"
            if kernel.off_delay is not None:
                model += f"\nfelt = {_SINCE_CLEARED} : 1"
            learns = self._learning_pathways(self.plasticity, on_pre, delay)
        synapses = self._synapses(pre, self.neurons, model, name, on_pre=on_pre, delay=delay, dtype=dtype, **learns)
        if "settle" in synapses._synaptic_updaters:
            synapses.settle.when = circuits.WHEN_SETTLE
        if kernel.off_delay is not None:
            synapses.namespace["off_delay"] = kernel.off_delay
        if (source, target) == (slice(0, len(pre)), slice(0, self.n_neurons)):
            synapses.connect()
        else:  # Brian2 has no subgroups of groups with linked variables
            i, j = np.arange(source.start, source.stop), np.arange(target.start, target.stop)
            synapses.connect(i=np.repeat(i, j.size), j=np.tile(j, i.size))
        synapses.jump = self.kappa_0
        if weights.any():
            synapses.w = weights.ravel()
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

    def _build_traces_off(self) -> None:
        """For a kernel that ends, each neuron takes back its own trace by a delayed self-connection."""
        kernel = self.spec.kernel
        self.trace_synapses: list[Synapses] = []
        if kernel.off_delay is None:
            return
        for group, name in ((self.inputs, "rwta_inputs_off"), (self.neurons, "rwta_neurons_off")):
            off = self._synapses(
                group,
                group,
                "t_clear : second (shared)",
                name,
                on_pre=kernel.jump("x", f"kappa_0*{_SINCE_CLEARED}", "-", post=True),
                delay=kernel.off_delay,
            )
            off.namespace["off_delay"] = kernel.off_delay
            off.connect(j="i")
            self.trace_synapses.append(off)

    # -- weights -------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the weight blocks, ``{"sh": (n_inputs, n_hidden), ...}``, and of the biases ``"b"``."""
        return {**self.spec.split_blocks(self._whole()), "b": np.array(self.neurons.b[:])}

    def _whole(self) -> dict[str, np.ndarray]:
        return {p.name: np.array(self.synapses[p.name].w[:]).reshape(p.shape) for p in self.projections}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set weight blocks (and ``"b"``) before the network runs; blocks not named keep their values.

        Raises
        ------
        ValueError
            For an unknown block, a wrong shape, NaN or infinite or overflowing values, a connection within a
            circuit, or blocks that break the symmetry asked for.
        """
        whole = self._whole()
        bias = np.array(self.neurons.b[:])
        self.assign(whole, bias, weights)
        for p in self.projections:
            self.synapses[p.name].w = whole[p.name].ravel()
        self.neurons.b = bias


#: A time that does not come.
_NEVER = 1e12 * second

#: 1 for a delayed event whose spike came after the last clearing of the traces, else 0.
_SINCE_CLEARED = "int(t - off_delay > t_clear - 0.5*dt)"
