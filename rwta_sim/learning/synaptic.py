"""A rule whose eligibilities the synapses have kept themselves, as Brian2 variables."""

from __future__ import annotations

import numpy as np

from rwta_sim.circuit.evidence import Eligibility
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.rules import Rule

__all__ = ["synaptic_eligibility"]


def synaptic_eligibility(rule: Rule, network: Wiring, decision: Decision) -> Eligibility:
    """The eligibilities of a decision, and in them what the choice of its action adds (`Rule.choice`).

    Raises
    ------
    ValueError
        If the synapses of the network have none.
    """
    eligibility = decision.eligibility
    if eligibility is None:
        raise ValueError("learning.apply = 'synapses' needs a network with plasticity: give it the rule's equations")
    post = rule.choice(decision)
    if post is not None:
        for p, e in zip(network.projections, eligibility.weights, strict=True):
            pre = decision.input_trace if p.origin == "inputs" else decision.trace
            p.add_outer(pre[p.source], post[p.target], e)
        np.add(eligibility.bias, post, out=eligibility.bias)
    return eligibility
