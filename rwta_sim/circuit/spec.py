"""`NetworkSpec`: everything that defines a network except what the task gives."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, islice
from typing import Annotated, Any, Literal

import numpy as np
from brian2 import Quantity, ms
from pydantic import Discriminator, Field, Tag, model_validator

from rwta_sim.circuit.equations import MAX_CIRCUIT_SIZE, Firing, Inhibition
from rwta_sim.circuit.kernels import Exponential, Kernel, Rectangular
from rwta_sim.settings import Fraction, Rate, Settings, Time, format_quantity, whole_steps

__all__ = ["ABLATIONS", "BLOCKS", "Ablation", "Block", "NetworkSpec"]

#: Connection blocks: s inputs, h hidden, a action neurons; "ha" reads "from hidden to action".
Block = Literal["sh", "sa", "hh", "ha", "ah"]
BLOCKS: tuple[Block, ...] = ("sh", "sa", "hh", "ha", "ah")

#: The ablations of Yang et al. 2022 (arXiv 2210.13225) and what each takes away.
Ablation = Literal["none", "hh", "sa", "hhsa", "ha", "sh"]
ABLATIONS: dict[Ablation, tuple[Block, ...]] = {
    "none": (),
    "hh": ("hh",),
    "sa": ("sa",),
    "hhsa": ("hh", "sa"),
    "ha": ("ha", "ah"),
    "sh": ("sh",),
}

_Size = Annotated[int, Field(gt=0, le=MAX_CIRCUIT_SIZE)]


def _one_or_several(value: Any) -> str:
    return "(several)" if isinstance(value, list | tuple) else "(one)"


#: Tagged, so that an error speaks of what was given and not of what might have been.
_Sizes = Annotated[
    Annotated[_Size, Tag("(one)")] | Annotated[tuple[_Size, ...], Field(min_length=1), Tag("(several)")],
    Discriminator(_one_or_several),
]

#: Whose axons the delays are, in the order of `NetworkSpec.delays`; the first letters of blocks.
_SENDERS = "sha"


def _one_or_by_block(value: Any) -> str:
    return "(by block)" if isinstance(value, Mapping) else "(one)"


_Delay = Annotated[
    Annotated[Time, Tag("(one)")] | Annotated[dict[Block, Time], Field(min_length=1), Tag("(by block)")],
    Discriminator(_one_or_by_block),
]

#: Jump of a trace at a spike that leaves room for weights, where dt is many times longer than the kernel.
_MOST = {"double": 1e100, "single": 1e30}


class NetworkSpec(Settings):
    """Everything that defines a network except its numbers of inputs and actions, which the task gives.

    Ablations, sparsity and biological detail are off unless asked for; then nothing of them is simulated.

    * **ablation**: takes blocks away from `blocks`; what is left are the `present_blocks`.
    * **sparsity**: each pair of circuits is left unconnected with this probability, both ways if the weights are
      symmetric, each way on its own if not. **input_sparsity**: the same for each input and circuit. Memory and time
      follow the connections that there are.
    * **inhibitory**: Dale's law. All neurons of the last so many hidden circuits inhibit, wherever they project to, and
      all other neurons, inputs too, excite: weights have their sign from the start, and learning stops at 0.
    * **refractory**: in the steps within this time after its spike a neuron takes no part in the competition: q = 0,
      and the others share. A spike of step t bars the steps t + 1 ... t + refractory/dt. A circuit whose neurons are
      all barred stays silent.
    * **delay**: a spike of step t acts from step t + 1 + delay/dt on. The presynaptic trace that a learning rule sees
      is what the synapse delivered, so it is delayed too, and u = b + W (kappa*S) holds in each step. By block, such as
      ``{"sh": 2*ms, "hh": 5*ms, "ha": 5*ms}``: a block that is not named has none. Blocks with the same senders (sh and
      sa; hh and ha) have the same: the delay is the axon's, because only then has a neuron one trace for all its
      synapses, as three-factor rules need.
    * **noise**: u is b + W (kappa*S) + eta with eta normal, of mean 0 and this standard deviation (nats) in each step,
      independent across neurons; white, or with correlation exp(-t/noise_tau) in time (an Ornstein-Uhlenbeck process
      on the grid, exact for every dt). Stationary from the first step; clearing the traces draws it anew.
    * **inputs**: "spikes": input i spikes with a probability that follows its drive s_i, and its trace kappa*S
      estimates s_i. "current": it sends s_i itself, a constant current through the same weights for all of a decision,
      felt from its first step on (no kernel, no delay): the mean of the other, without its noise, at the price of one
      product of a vector and a matrix per decision. Its presynaptic factor is s_i. For images, whose pixels are many.
    * **warm_up**: for this time after traces were cleared potentials are 0, so that every circuit fires evenly,
      whatever its inputs, weights and biases. With a kernel that is as long, potentials begin from traces of even
      firing, as the mean field begins from an even q, and not from none: in SVPG's own spiking version (T = 42, L = 40
      on the pendulum) only the last few steps of a decision ask for q.
    * **published_code**: the published code's spiking network forgets to double the drive among hidden and action
      neurons that its version without spikes doubles, so the two have different fixed points. With it, these weights
      count half here: u = b + W_s x_s + W x / 2.
    * **tau_spread**: each neuron's kernel, as a sender, is stretched by a factor exp(tau_spread*z), z standard normal,
      all its time constants alike, and normalised on its own. The heterogeneity is the sender's because only then has
      a neuron one trace for all its synapses, as three-factor rules need; targets can then no longer keep one current
      each, so potentials are sums over all weights in every step, at a cost that grows with their number.

    Sparsity and stretches are drawn from the generator of the initial weights, without changing these.
    """

    hidden_circuits: int = Field(8, ge=0, le=100_000, description="number of hidden circuits")
    hidden_size: _Sizes = Field(
        8, description="neurons in a hidden circuit; several numbers: of the circuits in turn, over and over"
    )
    blocks: tuple[Block, ...] = Field(
        BLOCKS, description="connections that exist: sh, sa, hh, ha, ah (s inputs, h hidden, a action)"
    )
    inputs: Literal["spikes", "current"] = Field(
        "spikes", description="spikes: inputs fire; current: each is a constant current for a decision, for images"
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
    random_blocks: tuple[Block, ...] = Field(
        BLOCKS, description="blocks whose initial weights have weight_sd; the others start at zero"
    )
    ablation: Ablation = Field("none", description="connections taken away: none, hh, sa, hhsa, ha (both ways), sh")
    sparsity: Fraction = Field(0.0, description="probability that two circuits are not connected")
    input_sparsity: Fraction = Field(0.0, description="probability that an input and a circuit are not connected")
    inhibitory: int | None = Field(
        None, ge=0, description="Dale's law: so many hidden circuits inhibit, all other neurons excite; off without it"
    )
    refractory: Time | None = Field(None, description="time after its spike in which a neuron cannot fire")
    delay: _Delay | None = Field(
        None, description="delay of all connections but inhibition, a multiple of dt; or of blocks: {hh = '5 ms', ...}"
    )
    noise: float = Field(0.0, ge=0, le=1e4, description="standard deviation of the noise in potentials (nats)")
    noise_tau: Time | None = Field(None, description="correlation time of the noise; white without it")
    warm_up: Time | None = Field(
        None, description="time after traces are cleared in which circuits fire evenly, a multiple of dt"
    )
    published_code: bool = Field(
        False,
        description="with the slip of SVPG's spiking code: half the drive among hidden and action neurons",
    )
    tau_spread: float = Field(
        0.0, ge=0, le=1, description="standard deviation of ln tau across neurons; makes each step dearer"
    )

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSpec:
        if len(set(self.blocks)) != len(self.blocks):
            raise ValueError(f"blocks = {self.blocks} names a block twice")
        if self.ablation != "none" and not set(self.blocks) & set(ABLATIONS[self.ablation]):
            raise ValueError(f"ablation = {self.ablation!r} takes nothing away: blocks = {self.blocks} has none of it")
        if self.hidden_circuits == 0 and set(self.blocks) - {"sa"}:
            raise ValueError("hidden_circuits = 0 leaves only the block 'sa': set blocks = ['sa']")
        if not self.blocks:
            raise ValueError("blocks is empty: name at least one of " + ", ".join(BLOCKS))
        if self.symmetric and ("ha" in self.blocks) != ("ah" in self.blocks):
            raise ValueError(
                "symmetric weights need both 'ha' and 'ah' in blocks, or neither; "
                "set symmetric = false for a feed-forward connection"
            )
        if self.symmetric and ("ha" in self.random_blocks) != ("ah" in self.random_blocks):
            raise ValueError("symmetric weights need both 'ha' and 'ah' in random_blocks, or neither")
        if self.firing == "one_hot" and self.rho_hat is not None:
            if not np.isclose(float(self.rho_hat * self.dt), 1.0):
                raise ValueError(
                    f"one_hot firing means rho_hat = 1/dt = {format_quantity(1 / self.dt)}, "
                    f"got {format_quantity(self.rho_hat)}: leave rho_hat out, or set firing = 'poisson'"
                )
        if self.firing == "poisson" and self.rho_hat is None:
            raise ValueError("poisson firing needs rho_hat, the rate of a circuit, for example '100 Hz'")
        self._check_kernel()
        self._check_details()
        return self

    def _check_kernel(self) -> None:
        self.kernel.check_grid(self.dt)
        with np.errstate(over="ignore", divide="ignore"):
            jump = self.kernel.amplitude(self.dt, self.circuit_rate)
        if not jump < _MOST[self.precision]:
            raise ValueError(
                f"kernel ({format_quantity(self.kernel.length)}) is far too short for dt = {format_quantity(self.dt)}: "
                "a spike is first felt after one dt, when the kernel is over; make it longer, or dt shorter"
            )

    def _check_details(self) -> None:
        if not self.present_blocks:
            raise ValueError(f"ablation = {self.ablation!r} leaves no connection: blocks = {self.blocks}")
        for size in self.hidden_sizes:
            self.check_refractory("hidden_size", size)
        self._check_signs()
        for name in ("refractory", "warm_up"):
            if (time := getattr(self, name)) is not None:
                whole_steps(name, time, self.dt)
        self._check_delays()
        if self.noise_tau is not None and self.noise == 0:
            raise ValueError("noise_tau is the correlation time of the noise: set noise too, or leave noise_tau out")
        if self.published_code and self.tau_spread > 0:
            raise ValueError("network.published_code does not go with tau_spread, which that code has not")
        if self.tau_spread > 0 and isinstance(self.kernel, Rectangular):
            raise ValueError(
                f"tau_spread = {self.tau_spread} needs a kernel with a time constant, exponential or "
                "double_exponential: a rectangle must cover whole steps"
            )

    def _check_delays(self) -> None:
        if self.delay is None or isinstance(self.delay, Quantity):
            if self.delay is not None:
                whole_steps("delay", self.delay, self.dt)
            return
        for block, time in self.delay.items():
            if block not in self.blocks:
                raise ValueError(f"delay names the block {block!r}, which is not in blocks = {self.blocks}")
            whole_steps(f"delay of {block!r}", time, self.dt)
        for sender in _SENDERS:
            mine = [block for block in self.blocks if block[0] == sender]
            if len({None if (time := self.delay.get(block)) is None else float(time) for block in mine}) > 1:
                raise ValueError(
                    f"delay: the blocks {' and '.join(mine)} come from the same neurons, which have one axon and one "
                    "trace each: give both blocks the same delay"
                )

    def _check_signs(self) -> None:
        if self.inhibitory is None:
            return
        if self.inhibitory > self.hidden_circuits:
            raise ValueError(f"inhibitory = {self.inhibitory}: there are hidden_circuits = {self.hidden_circuits}")
        if self.symmetric and self.inhibitory > 0:
            raise ValueError(
                f"inhibitory = {self.inhibitory}: with symmetric weights a circuit that inhibits would be inhibited by "
                "those that excite; set symmetric = false"
            )

    def check_refractory(self, name: str, size: int) -> None:
        """Raise ValueError if a circuit of `size` neurons could run out of neurons that may fire in one_hot firing."""
        if self.firing != "one_hot" or self.refractory is None:
            return
        steps = whole_steps("refractory", self.refractory, self.dt)
        if size <= steps:
            raise ValueError(
                f"{name} = {size} is too small for refractory = {format_quantity(self.refractory)}: in one_hot firing "
                f"{steps} neurons of a circuit are refractory at a time, so it needs {steps + 1}; "
                "shorten refractory, enlarge the circuit, or set firing = 'poisson'"
            )

    @property
    def present_blocks(self) -> tuple[Block, ...]:
        """The blocks that exist: `blocks` without what `ablation` takes away."""
        return tuple(block for block in self.blocks if block not in ABLATIONS[self.ablation])

    @property
    def random_structure(self) -> bool:
        """Whether not only the weights but the network itself is drawn at random."""
        return max(self.sparsity, self.input_sparsity, self.tau_spread) > 0

    @property
    def sparse_origins(self) -> tuple[str, ...]:
        """Where the projections come from that are sparse: "inputs", "neurons"."""
        found = {"inputs": self.input_sparsity, "neurons": self.sparsity}
        return tuple(origin for origin, sparsity in found.items() if sparsity > 0)

    def delay_of(self, block: str) -> Quantity | None:
        """Delay of the connections of a block, or of a projection of several that share it; None without one."""
        if self.delay is None or isinstance(self.delay, Quantity):
            return self.delay
        senders = "ha" if block[0] == "r" else block[0]  # of "r", whose blocks share theirs
        return next((time for name, time in self.delay.items() if name[0] in senders), None)

    @property
    def delays(self) -> tuple[float, float, float]:
        """Delay (s) of what inputs, hidden and action neurons send; 0 without one."""
        inputs, hidden, action = (self.delay_of(sender) for sender in _SENDERS)
        return tuple(0.0 if time is None else float(time) for time in (inputs, hidden, action))  # type: ignore[return-value]

    @property
    def delay_steps(self) -> tuple[int, int, int]:
        """The same in time steps."""
        inputs, hidden, action = (round(delay / float(self.dt)) for delay in self.delays)
        return inputs, hidden, action

    @property
    def one_trace(self) -> bool:
        """Whether all neurons' traces follow from their spikes alike, by one kernel and after one delay."""
        return self.tau_spread == 0 and len(set(self.delays)) == 1

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Neurons in each hidden circuit."""
        sizes = self.hidden_size if isinstance(self.hidden_size, tuple) else (self.hidden_size,)
        return tuple(islice(cycle(sizes), self.hidden_circuits))

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return sum(self.hidden_sizes)

    def split_blocks(self, whole: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Views of the blocks ("sh", "hh", ...) inside the matrices of the projections; those that are packed as they
        are."""
        h, a = slice(0, self.n_hidden), slice(self.n_hidden, None)
        inside: dict[str, dict[str, Any]] = {
            "s": {"sh": (slice(None), h), "sa": (slice(None), a)},
            "r": {"hh": (h, h), "ha": (h, a), "ah": (a, h)},
        }
        blocks = {}
        for name, matrix in whole.items():
            for block, where in inside.get(name, {name: ...}).items():
                blocks[block] = matrix[where]
        return {block: blocks[block] for block in BLOCKS if block in blocks}

    @property
    def circuit_rate(self) -> Quantity:
        """rho_hat, also where it follows from dt."""
        return 1 / self.dt if self.rho_hat is None else self.rho_hat

    @property
    def spikes_per_step(self) -> float:
        """Mean spikes of a circuit in a step, ``rho_hat dt``."""
        dt = float(self.dt)  # asked for at every decision: products of quantities would take longer than the rest
        return (1 / dt if self.rho_hat is None else float(self.rho_hat)) * dt

    def input_probability(self, drive: np.ndarray) -> np.ndarray:
        """Spike probability per step of inputs driven by `drive` in [0, 1]: the drive itself in one_hot
        firing, ``1 - exp(-drive rho_hat dt)`` in poisson firing, so that kappa*S estimates the drive."""
        if self.firing == "one_hot":
            return drive
        return -np.expm1(-drive * self.spikes_per_step)
