"""`RWTANetwork`: inputs, hidden circuits and one action circuit, wired from a validated spec.

All neurons that compete live in one NeuronGroup (hidden circuits first, the action circuit last), because in
Brian2 every object costs time in every step. A projection is one all-to-all Synapses object whose weights
are seen as a matrix; a connection that must not exist inside it (within a circuit) is held at zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from brian2 import (
    Clock,
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    Synapses,
    linked_var,
    ms,
    prefs,
    second,
)
from brian2.core.base import BrianObject
from pydantic import Field, model_validator

from rwta_sim import circuits
from rwta_sim.circuits import MAX_CIRCUIT_SIZE, Firing, Inhibition
from rwta_sim.competition import competition, fires
from rwta_sim.kernels import Exponential, Kernel
from rwta_sim.settings import PositiveInt, Rate, Settings, Time, format_quantity

__all__ = ["BLOCKS", "WEIGHT_LIMIT", "Block", "NetworkSpec", "Projection", "RWTANetwork"]

#: Connection blocks: s inputs, h hidden, a action neurons; "ha" reads "from hidden to action".
Block = Literal["sh", "sa", "hh", "ha", "ah"]
BLOCKS: tuple[Block, ...] = ("sh", "sa", "hh", "ha", "ah")

#: A weight beyond this could make the sum of a potential overflow.
WEIGHT_LIMIT = 1e100


class NetworkSpec(Settings):
    """Everything that defines a network except its numbers of inputs and actions, which the task gives."""

    hidden_circuits: int = Field(8, ge=0, le=100_000, description="number of hidden circuits")
    hidden_size: PositiveInt = Field(8, le=MAX_CIRCUIT_SIZE, description="neurons in a hidden circuit")
    blocks: tuple[Block, ...] = Field(
        BLOCKS, description="connections that exist: sh, sa, hh, ha, ah (s inputs, h hidden, a action)"
    )
    symmetric: bool = Field(True, description="equal weights both ways among hidden and action neurons")
    firing: Firing = Field("one_hot", description="one_hot: one spike per circuit and step; poisson: escape rate")
    dt: Time = Field(1 * ms, description="time step")
    rho_hat: Rate | None = Field(None, description="rate of a circuit; 1/dt (the default) in one_hot firing")
    kernel: Kernel = Field(Exponential(tau=5 * ms), description="postsynaptic kernel")
    inhibition: Inhibition = Field(
        "fused", description="fused: one pass over each circuit; equations: the same as sums over Synapses, slower"
    )
    precision: Literal["double", "single"] = Field("double", description="precision of weights and synaptic currents")
    weight_sd: float = Field(0.0, ge=0, le=1e6, description="standard deviation of the initial weights")

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSpec:
        if len(set(self.blocks)) != len(self.blocks):
            raise ValueError(f"blocks = {self.blocks} names a block twice")
        if self.hidden_circuits == 0 and set(self.blocks) - {"sa"}:
            raise ValueError("hidden_circuits = 0 leaves only the block 'sa': set blocks = ['sa']")
        if not self.blocks:
            raise ValueError("blocks is empty: name at least one of " + ", ".join(BLOCKS))
        if self.symmetric and ("ha" in self.blocks) != ("ah" in self.blocks):
            raise ValueError(
                "symmetric weights need both 'ha' and 'ah' in blocks, or neither; "
                "set symmetric = false for a feed-forward connection"
            )
        if self.firing == "one_hot" and self.rho_hat is not None:
            if not np.isclose(float(self.rho_hat * self.dt), 1.0):
                raise ValueError(
                    f"one_hot firing means rho_hat = 1/dt = {format_quantity(1 / self.dt)}, "
                    f"got {format_quantity(self.rho_hat)}: leave rho_hat out, or set firing = 'poisson'"
                )
        if self.firing == "poisson" and self.rho_hat is None:
            raise ValueError("poisson firing needs rho_hat, the rate of a circuit, for example '100 Hz'")
        self.kernel.check_grid(self.dt)
        return self

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return self.hidden_circuits * self.hidden_size

    def split_blocks(self, whole: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Views of the blocks ("sh", "hh", ...) inside the matrices of the projections."""
        h, a = slice(0, self.n_hidden), slice(self.n_hidden, None)
        inside = {
            "s": {"sh": (slice(None), h), "sa": (slice(None), a)},
            "r": {"hh": (h, h), "ha": (h, a), "ah": (a, h)},
        }
        blocks = {}
        for name, matrix in whole.items():
            for block, where in inside.get(name, {name: (slice(None), slice(None))}).items():
                blocks[block] = matrix[where]
        return {block: blocks[block] for block in BLOCKS if block in blocks}

    @property
    def circuit_rate(self) -> Quantity:
        """rho_hat, also where it follows from dt."""
        return 1 / self.dt if self.rho_hat is None else self.rho_hat

    def input_probability(self, drive: np.ndarray) -> np.ndarray:
        """Spike probability per step of inputs driven by `drive` in [0, 1]: the drive itself in one_hot
        firing, ``1 - exp(-drive rho_hat dt)`` in poisson firing, so that kappa*S estimates the drive."""
        if self.firing == "one_hot":
            return drive
        return -np.expm1(-drive * float(self.circuit_rate * self.dt))


@dataclass(frozen=True)
class Projection:
    """One Synapses object: all-to-all from `source` (neurons of `origin`) to `target`.

    The weights ``synapses.w`` have shape (n_source, n_target) in C order. `mask` is None, or a boolean
    array of that shape that is False where a weight is held at zero.
    """

    name: str
    origin: Literal["inputs", "neurons"]
    source: slice
    target: slice
    synapses: Synapses
    mask: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.stop - self.source.start, self.target.stop - self.target.start

    def mirrors(self, other: Projection) -> bool:
        """Whether symmetric weights make `other` the transpose of this projection."""
        return self.origin == other.origin == "neurons" and self.source == other.target and self.target == other.source


@contextmanager
def _quick_setup() -> Iterator[None]:
    """Run the code that Brian2 needs once, to create synapses, in NumPy instead of compiling it."""
    saved = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        yield
    finally:
        prefs.codegen.target = saved


class RWTANetwork:
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

    Attributes
    ----------
    inputs, neurons, inhibition : NeuronGroup
        Inputs, all competing neurons (hidden circuits, then the action circuit), inhibitory units.
    hidden, action : slice
        Where the hidden and the action neurons are in `neurons`.
    starts : ndarray of int, shape (n_circuits + 1,)
        Circuit c is ``neurons[starts[c]:starts[c + 1]]``; the last circuit is the action circuit.
    projections : list of Projection
    network : brian2.Network
        Everything together: ``net.network.run(100*ms)`` works, as does any Brian2 monitor added to it.

    Raises
    ------
    ValueError
        For sizes that are not positive or a circuit too large for the inhibition.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        n_inputs: int,
        n_actions: int,
        rng: np.random.Generator | None = None,
        record: bool = False,
    ) -> None:
        for name, size in (("n_inputs", n_inputs), ("n_actions", n_actions)):
            if size < 1:
                raise ValueError(f"{name} = {size}: expected a positive number of neurons")
        if n_actions > MAX_CIRCUIT_SIZE:
            raise ValueError(f"n_actions = {n_actions}: a circuit may have {MAX_CIRCUIT_SIZE} neurons at most")
        if spec.weight_sd > 0 and rng is None:
            raise ValueError(f"weight_sd = {spec.weight_sd} needs a random generator: pass rng")
        self.spec = spec
        self.n_inputs = n_inputs
        self.n_actions = n_actions
        n_hidden = spec.n_hidden
        self.hidden = slice(0, n_hidden)
        self.action = slice(n_hidden, n_hidden + n_actions)
        self.n_neurons = n_hidden + n_actions
        sizes = [spec.hidden_size] * spec.hidden_circuits + [n_actions]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.circuit = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
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
            self.projections = [self._project(*args) for args in self._layout()]
            self._build_traces_off()
            self._initial_weights(rng)
        objects: list[BrianObject] = [
            self.inputs,
            self.neurons,
            self.inhibition,
            *self._circuit_synapses,
            *(p.synapses for p in self.projections),
            *self.trace_synapses,
        ]
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
        self.inputs = self._group(
            self.n_inputs,
            circuits.input_equations(kernel),
            "rwta_inputs",
            threshold=circuits.INPUT_THRESHOLD,
            reset=trace,
        )
        self.neurons = self._group(
            self.n_neurons,
            circuits.neuron_equations(kernel, firing, self.spec.inhibition),
            "rwta_neurons",
            threshold=circuits.NEURON_THRESHOLD[self.spec.inhibition, firing],
            reset=trace + circuits.COUNT_SPIKES,
            dtype={**dict.fromkeys(kernel.variables("I"), self._float), "q": np.float64},
        )
        fused = self.spec.inhibition == "fused"
        probability = circuits.NEURON_POTENTIAL if fused else circuits.NEURON_PROBABILITY
        for group, code, name in (
            (self.inputs, circuits.INPUT_SEEN, "rwta_seen"),
            (self.neurons, probability, "rwta_probability"),
        ):
            group.run_regularly(code, clock=self.clock, when=circuits.WHEN_INHIBIT, order=2, name=name)
        self.neurons.circuit = self.circuit
        self.neurons.t_spike = -1 * second

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

    def _layout(self) -> list[tuple[str, Literal["inputs", "neurons"], slice, slice]]:
        """The fewest all-to-all rectangles that cover the wanted blocks."""
        blocks, everyone = set(self.spec.blocks), slice(0, self.n_neurons)
        place = {"s": slice(0, self.n_inputs), "h": self.hidden, "a": self.action}
        rectangles: list[tuple[str, Literal["inputs", "neurons"], slice, slice]] = []
        if {"sh", "sa"} <= blocks:
            rectangles.append(("s", "inputs", place["s"], everyone))
            blocks -= {"sh", "sa"}
        if {"hh", "ha", "ah"} <= blocks:
            rectangles.append(("r", "neurons", everyone, everyone))
            blocks -= {"hh", "ha", "ah"}
        for block in BLOCKS:
            if block in blocks:
                origin: Literal["inputs", "neurons"] = "inputs" if block[0] == "s" else "neurons"
                rectangles.append((block, origin, place[block[0]], place[block[1]]))
        return rectangles

    def _project(self, name: str, origin: Literal["inputs", "neurons"], source: slice, target: slice) -> Projection:
        pre = self.inputs if origin == "inputs" else self.neurons
        n_pre = self.n_inputs if origin == "inputs" else self.n_neurons
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
        synapses = self._synapses(pre, self.neurons, model, f"rwta_{name}", on_pre=on_pre, delay=delay, dtype=dtype)
        if kernel.off_delay is not None:
            synapses.namespace["off_delay"] = kernel.off_delay
        if (source, target) == (slice(0, n_pre), slice(0, self.n_neurons)):
            synapses.connect()
        else:  # Brian2 has no subgroups of groups with linked variables
            i, j = np.arange(source.start, source.stop), np.arange(target.start, target.stop)
            synapses.connect(i=np.repeat(i, j.size), j=np.tile(j, i.size))
        synapses.jump = self.kappa_0
        mask = None
        if origin == "neurons":
            mask = self.circuit[source][:, None] != self.circuit[target][None, :]
            mask = None if mask.all() else mask
        return Projection(name, origin, source, target, synapses, mask)

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

    def _initial_weights(self, rng: np.random.Generator | None) -> None:
        if rng is None or self.spec.weight_sd == 0:
            return
        n = self.n_neurons
        full = {
            "inputs": rng.normal(0, self.spec.weight_sd, (self.n_inputs, n)),
            "neurons": rng.normal(0, self.spec.weight_sd, (n, n)),
        }
        if self.spec.symmetric:
            upper = np.triu(full["neurons"], 1)
            full["neurons"] = upper + upper.T
        for p in self.projections:
            block = full[p.origin][p.source, p.target]
            p.synapses.w = (block if p.mask is None else block * p.mask).ravel()

    # -- weights -------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the weight blocks, ``{"sh": (n_inputs, n_hidden), ...}``, and of the biases ``"b"``."""
        whole = {p.name: np.array(p.synapses.w[:]).reshape(p.shape) for p in self.projections}
        return {**self.spec.split_blocks(whole), "b": np.array(self.neurons.b[:])}

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set weight blocks (and ``"b"``) before the network runs; blocks not named keep their values.

        Raises
        ------
        ValueError
            For an unknown block, a wrong shape, NaN or infinite or overflowing values, a connection within a
            circuit, or blocks that break the symmetry asked for.
        """
        whole = {p.name: np.array(p.synapses.w[:]).reshape(p.shape) for p in self.projections}
        bias = np.array(self.neurons.b[:])
        self.assign(whole, bias, weights)
        for p in self.projections:
            p.synapses.w = whole[p.name].ravel()
        self.neurons.b = bias

    def assign(self, whole: Mapping[str, np.ndarray], bias: np.ndarray, new: Mapping[str, np.ndarray]) -> None:
        """Check `new` and write it into the matrices `whole` (by projection) and `bias`, or change nothing."""
        checked = {name: matrix.copy() for name, matrix in whole.items()}
        blocks: dict[str, np.ndarray] = {**self.spec.split_blocks(checked), "b": bias.copy()}
        for name, values in new.items():
            if name not in blocks:
                raise ValueError(f"no weight block {name!r} in this network: it has {', '.join(blocks)}")
            values = np.asarray(values, dtype=float)
            if values.shape != blocks[name].shape:
                raise ValueError(f"weights {name!r} have shape {values.shape}, expected {blocks[name].shape}")
            if not (np.abs(values) <= WEIGHT_LIMIT).all():  # also False for NaN
                raise ValueError(f"weights {name!r} must be finite and within +-{WEIGHT_LIMIT:g}")
            blocks[name][...] = values
        self.check_structure(checked)
        for matrix_name, matrix in checked.items():
            whole[matrix_name][...] = matrix
        bias[...] = blocks["b"]

    def check_structure(self, whole: Mapping[str, np.ndarray]) -> None:
        """Raise ValueError for weights within a circuit, or that are not symmetric where they must be."""
        for p in self.projections:
            if p.mask is not None and whole[p.name][~p.mask].any():
                raise ValueError(
                    "neurons of one circuit are not connected: their weights must be 0, "
                    "the inhibitory unit makes them compete"
                )
            for other in self.projections if self.spec.symmetric else ():
                if p.mirrors(other) and not np.array_equal(whole[p.name], whole[other.name].T):
                    raise ValueError(
                        "weights among hidden and action neurons are not symmetric: give 'hh' symmetric and "
                        "'ah' as the transpose of 'ha', or set symmetric = false"
                    )


#: 1 for a delayed event whose spike came after the last clearing of the traces, else 0.
_SINCE_CLEARED = "int(t - off_delay > t_clear - 0.5*dt)"
