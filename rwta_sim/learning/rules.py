"""What a learning rule sees and gives: three factors, nothing else.

A change of the weight from neuron j to neuron k is ``modulation * pre_j * post_k``; among hidden and action
neurons, where weights are symmetric, ``modulation * (pre_j * post_k + pre_k * post_j)``. A rule provides
`pre` and `post`; the modulation is one broadcast scalar.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from rwta_sim.settings import Settings

__all__ = ["Decision", "Factors", "LastStep"]


class Decision(NamedTuple):
    """What happened in one decision. Arrays are not views of the simulation.

    Attributes
    ----------
    drive : shape (n_inputs,)
        Drive of the inputs in [0, 1].
    input_trace, trace : shapes (n_inputs,), (n_neurons,)
        kappa*S at the last step.
    q : shape (n_neurons,)
        Firing probabilities at the last step.
    v : shape (n_neurons,)
        One-hot per circuit: who fired last; in the action circuit, the chosen action. Zeros in a circuit
        that stayed silent.
    spoke : shape (n_neurons,)
        1.0 where the neuron's circuit has such a spike, else 0.0.
    action : int
    policy : shape (n_actions,)
        q of the action circuit.
    policy_entropy : float
        Entropy of the policy (nats).
    """

    drive: np.ndarray
    input_trace: np.ndarray
    trace: np.ndarray
    q: np.ndarray
    v: np.ndarray
    spoke: np.ndarray
    action: int
    policy: np.ndarray
    policy_entropy: float

    @property
    def surprise(self) -> float:
        """-ln pi(action)."""
        return -math.log(max(self.policy[self.action], 1e-300))


class Factors(NamedTuple):
    """Pre- and postsynaptic factors of one decision."""

    pre_inputs: np.ndarray
    pre_neurons: np.ndarray
    post: np.ndarray


class LastStep(Settings):
    """The SVPG rule: the policy gradient through the last mean-field step only.

    ``dw_jk ~ A (q_j (v_k - q_k) + q_k (v_j - q_j))`` among hidden and action neurons,
    ``dw_sk ~ A s (v_k - q_k)``, ``db_k ~ A (v_k - q_k)``: Yang et al. 2022 (arXiv 2210.13225), last-step
    approximation of the gradient. With ``presynaptic = "traces"`` the presynaptic q_j and s are what the
    synapse has of them, the spike traces kappa*S: potentiation by the presynaptic trace at a postsynaptic
    spike, depression by trace times rho/rho_hat, which is R-STDP.

    In poisson firing v is each circuit's last spike of the decision, q and the traces are those of its last
    step; a hidden circuit that stayed silent changes nothing.
    """

    kind: Literal["last_step"] = "last_step"
    presynaptic: Literal["traces", "probabilities"] = Field(
        "traces", description="presynaptic factor: spike traces kappa*S, or the firing probabilities themselves"
    )

    def factors(self, decision: Decision) -> Factors:
        """Factors of `decision`; arrays of shapes (n_inputs,), (n_neurons,), (n_neurons,)."""
        post = (decision.v - decision.q) * decision.spoke
        if self.presynaptic == "traces":
            return Factors(decision.input_trace, decision.trace, post)
        return Factors(decision.drive, decision.q, post)
