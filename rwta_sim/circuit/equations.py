"""The winner-take-all circuit as Brian2 equations.

A circuit is a group of neurons that inhibit each other through one inhibitory unit. Neuron i has the
potential ``u_i = b_i + sum_j w_ji (kappa * S_j)`` and fires with the escape rate
``rho_i = rho_hat * q_i``, ``q_i = exp(u_i) / sum_{j in circuit} exp(u_j)``: whatever the weights, the
circuit as a whole fires at `rho_hat` (Yang et al. 2022, arXiv 2210.13225, spiking RWTA network).

The inhibitory unit must never overflow, so it reads its circuit twice. First through a compressed
exponential, ``coarse = sum exp(u/COMPRESSION)``, which sets its level to
``COMPRESSION*log(coarse)``: at or above the largest potential, but by no more than
``COMPRESSION*log(size)``. Then relative to that level, ``Z = sum exp(u - level)``, which can neither
overflow nor vanish. Potentials saturate at +-U_MAX, far beyond where a softmax is all or nothing.

Order within one step, which is Brian2's own: state updates (decay) -> inhibition and q -> thresholds ->
synapses and traces. A spike of step t therefore acts from step t + 1 on. At the end of a step `q` and `x_seen`
are what the network had when it fired; `x`, `I` and `u` already hold that step's spikes.

Details that are off by default (`Details`; `NetworkSpec` says what they mean) change these equations only where they
are asked for. A refractory neuron competes with the potential BARRED, so far below the others that its q is exactly 0.

With ``inhibition = "equations"`` all of this is sums over Synapses, as written below. With ``"fused"`` (the default)
one `Function` does the same in one pass over each circuit (`rwta_sim.circuit.competition`): the same numbers, in a
fraction of the time.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal

from rwta_sim.circuit.faults import EQUATIONS as FAULTS
from rwta_sim.circuit.kernels import Kernel

__all__ = [
    "BARRED",
    "COMPRESSION",
    "MAX_CIRCUIT_SIZE",
    "U_MAX",
    "WHEN_ACCOUNT",
    "WHEN_INHIBIT",
    "WHEN_SETTLE",
    "Details",
    "Firing",
    "Inhibition",
]

Firing = Literal["one_hot", "poisson"]
Inhibition = Literal["fused", "equations"]

#: Potentials saturate here: exp(U_MAX/COMPRESSION) times the largest circuit is still a finite double.
U_MAX = 70_000.0
COMPRESSION = 100.0
#: COMPRESSION*log(size) stays below 700, so that exp(max(u) - level) is a normal double.
MAX_CIRCUIT_SIZE = 1000

#: Potential of a neuron that may not fire: exp of its distance to any other is 0.
BARRED = -300_000.0

#: Slot of the inhibition. Brian2 would sum before the state update, so for the potentials of a step ago.
WHEN_INHIBIT = "before_thresholds"

#: Slots of what a learning rule does at the level of neurons: before synapses change, and when traces have jumped.
WHEN_ACCOUNT = "before_synapses"
WHEN_SETTLE = "after_resets"

#: Namespace constants of the equations below.
CONSTANTS = {"U_MAX": U_MAX, "COMPRESSION": COMPRESSION}
#: And of those with refractory neurons.
BARRED_CONSTANTS = {"BARRED": BARRED, "COARSE_MIN": math.exp(-U_MAX / COMPRESSION), "Z_MIN": sys.float_info.min}


@dataclass(frozen=True)
class Details:
    """Which of the details that a network may have are in its equations.

    Attributes
    ----------
    refractory, noise, warm_up, faults : bool
    input_current : bool
        Inputs are the current I_in.
    gain : bool
        Potentials are multiplied by a gain.
    go : bool
        The action circuit fires on a go signal alone.
    own_kernels : tuple of str
        Constants of the kernel that each neuron has for itself; then its potential is made of its currents from each
        of the projections `currents`. Empty: constants of the namespace, one current.
    currents : tuple of str
    """

    refractory: bool = False
    noise: bool = False
    warm_up: bool = False
    faults: bool = False
    input_current: bool = False
    gain: bool = False
    go: bool = False
    own_kernels: tuple[str, ...] = ()
    currents: tuple[str, ...] = ()

    @property
    def clears(self) -> bool:
        """Whether neurons have to know when traces were cleared."""
        return self.noise or self.warm_up

    def constants(self) -> str:
        """Equations of the kernel's constants."""
        if not self.own_kernels:
            return ""
        return "\n".join(["kappa_0 : 1 (constant)", *(f"{name} : second (constant)" for name in self.own_kernels)])

    def current(self, kernel: Kernel) -> str:
        """Equations of the synaptic current I."""
        if not self.own_kernels:
            return kernel.equations("I")
        parts = [f"I_{name}" for name in self.currents]
        return "\n".join([*(f"{part} : 1" for part in parts), f"I = {' + '.join(parts)} : 1"])


PLAIN = Details()


def input_equations(kernel: Kernel, details: Details = PLAIN) -> str:
    """Input neurons: spike with probability `p` in a step; `x` is their trace kappa*S."""
    return f"""
    p : 1  # probability of a spike in one step
    {kernel.equations("x")}
    x_seen : 1  # trace before this step's spike
    {details.constants()}
    {FAULTS if details.faults else ""}
    """


INPUT_THRESHOLD = "rand() < p"
#: Run in slot WHEN_INHIBIT.
INPUT_SEEN = "x_seen = x"


def neuron_equations(kernel: Kernel, firing: Firing, inhibition: Inhibition, details: Details = PLAIN) -> str:
    """Hidden and action neurons: current I = sum w (kappa*S), trace x = kappa*S, probability q."""
    parts = ["I", "b", *(["I_in"] if details.input_current else []), *(["eta"] if details.noise else [])]
    potential = " + ".join(parts)
    for factor, there in (("action_gain", details.gain), ("warm", details.warm_up)):
        if there:
            potential = f"{factor}*({potential})"
    return f"""
    {details.current(kernel)}
    {kernel.equations("x")}
    x_seen : 1  # trace before this step's spike
    b : 1  # bias
    {_INPUT_CURRENT if details.input_current else ""}
    {_GAIN if details.gain else ""}
    {_GO if details.go else ""}
    u = clip({potential}, -U_MAX, U_MAX) : 1
    q : 1  # firing probability within the circuit
    n_spikes : 1  # spikes since the counter was cleared
    t_spike : second  # time of the last spike
    circuit : integer (constant)
    {_SHARED[inhibition, "one_hot" if details.go else firing]}
    {details.constants()}
    {_FRESH if details.clears else ""}
    {_NOISE if details.noise else ""}
    {_WARM if details.warm_up else ""}
    {FAULTS if details.faults else ""}
    {_REFRACTORY if details.refractory else ""}
    """


_INPUT_CURRENT = "I_in : 1  # sum w s of the inputs, constant in a decision"

_GAIN = "action_gain : 1  # inverse temperature"

#: Time of the go signal, and whether it is here.
_GO = """
t_go : second (shared)
go = int(abs(t - t_go) < 0.5*dt) : 1 (shared)
"""

_FRESH = "t_fresh : second (shared)  # first step after the last clearing"

_NOISE = """
eta : 1  # noise of this step
uniform : 1
"""

_WARM = "warm = int(t - t_fresh > warm_up) : 1 (shared)  # whether potentials count"

#: The two uniform random numbers of a normal one (Box and Muller 1958) are drawn in two passes: then every code
#: generation target gives the same numbers to the same neurons.
NOISE_FIRST = "uniform = rand()"
NOISE_SECOND = """
kept = noise_kept*int(t > t_fresh + 0.5*dt)
eta = kept*eta + noise_sd*sqrt(1 - kept**2)*sqrt(-2*log(1 - uniform))*cos(2*pi*rand())
"""

_REFRACTORY = """
may_fire = int(t - t_spike > refractory_time) : 1
v = may_fire*u + (1 - may_fire)*BARRED : 1  # potential with which the neuron competes
u_seen : 1  # potential before this step's spikes
q_spike : 1  # q when the neuron's circuit last fired
"""

#: Synapses between the neurons of a circuit; run at a spike.
REMEMBER_Q = "q_spike_post = q_post"


#: What a neuron reads from its circuit's inhibitory unit.
_SHARED = {
    ("equations", "poisson"): """
    coarse : 1 (linked)
    Z : 1 (linked)
    """,
    ("equations", "one_hot"): """
    coarse : 1 (linked)
    Z : 1 (linked)
    draw : 1 (linked)  # the circuit's uniform random number of this step
    below : 1  # summed q of the circuit's neurons before this one
    last : boolean (constant)  # last neuron of its circuit
    """,
    ("fused", "poisson"): "",
    ("fused", "one_hot"): "winner : integer (linked)  # who fires in this step",
}


#: Run in slot WHEN_INHIBIT, after the inhibitory sums.
NEURON_PROBABILITY = """
q = exp(u - COMPRESSION*log(coarse))/Z
x_seen = x
"""

#: Run in slot WHEN_INHIBIT, before COMPETE, which turns potentials into probabilities.
NEURON_POTENTIAL = """
q = u
x_seen = x
"""

#: The same with refractory neurons. Where all of a circuit are, the sums are 0: no potential is below -U_MAX, no sum of
#: any other circuit below these bounds.
NEURON_PROBABILITY_REFRACTORY = """
q = exp(v - COMPRESSION*log(clip(coarse, COARSE_MIN, inf)))/clip(Z, Z_MIN, inf)
u_seen = u
x_seen = x
"""
NEURON_POTENTIAL_REFRACTORY = """
q = v
u_seen = u
x_seen = x
"""


def probability_code(fused: bool, refractory: bool) -> str:
    """Code for slot WHEN_INHIBIT that makes q, or what COMPETE makes q of."""
    if fused:
        return NEURON_POTENTIAL_REFRACTORY if refractory else NEURON_POTENTIAL
    return NEURON_PROBABILITY_REFRACTORY if refractory else NEURON_PROBABILITY


#: Run by the inhibitory units; a scalar statement, so once per step for all of them.
COMPETE = "competed = compete(N)"

#: Run at a spike, with the jump of the trace.
COUNT_SPIKES = """
n_spikes += {spikes}
t_spike = t
"""

NEURON_THRESHOLD = {
    # Exactly one neuron satisfies this: `below` of the next neuron is bit for bit below + q of this one.
    ("equations", "one_hot"): "draw >= below and (draw < below + q or last)",
    ("fused", "one_hot"): "i == winner",
    # Escape rate rho = rho_hat*q, held for a step: P(spike in dt) = 1 - exp(-rho*dt) for every dt.
    ("equations", "poisson"): "rand() < -expm1(-q*rho_hat*dt)",
    ("fused", "poisson"): "fires(rand(), q*rho_hat*dt)",
}

#: In poisson firing, of hidden neurons, and of action neurons on the go signal. The random number comes first: where
#: the other side is not evaluated, it is drawn all the same.
NEURON_THRESHOLD_GO = {
    inhibition: f"(({NEURON_THRESHOLD[inhibition, 'poisson']}) and i < first_action) or "
    f"(({NEURON_THRESHOLD[inhibition, 'one_hot']}) and i >= first_action and go > 0.5)"
    for inhibition in ("equations", "fused")
}

#: As the first above. The last neuron may be refractory, so the draw is scaled to stay below any rounded sum of q.
NEURON_THRESHOLD_REFRACTORY = "draw*(1 - 1e-12) >= below and draw*(1 - 1e-12) < below + q"


def inhibition_equations(draws: bool, inhibition: Inhibition) -> str:
    """One inhibitory unit per circuit; `coarse` and `Z` are summed over the circuit; `draws`: it decides who fires."""
    sums = """
    coarse : 1
    Z : 1
    """
    draw = "draw = rand() : 1 (constant over dt)  # uniform random number of this step"
    winner = "winner : integer  # index of the neuron that fires in this step"
    return f"""
    {sums if inhibition == "equations" else "competed : integer (shared)"}
    {draw if draws else ""}
    {winner if draws and inhibition == "fused" else ""}
    """


#: Synapses from the neurons of a circuit to its inhibitory unit, summed in this order.
POOL_EQUATIONS = """
coarse_post = exp(u_pre/COMPRESSION) : 1 (summed)
Z_post = exp(u_pre - COMPRESSION*log(coarse_post)) : 1 (summed)
"""

POOL_EQUATIONS_REFRACTORY = """
coarse_post = exp(v_pre/COMPRESSION) : 1 (summed)
Z_post = exp(v_pre - COMPRESSION*log(clip(coarse_post, COARSE_MIN, inf))) : 1 (summed)
"""

#: Synapses from each neuron to the later ones of its circuit: the cumulative sum for the categorical draw.
LADDER_EQUATIONS = "below_post = q_pre : 1 (summed)"
