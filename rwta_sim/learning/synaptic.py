"""A rule whose eligibilities the synapses have kept themselves, as Brian2 variables."""

from __future__ import annotations

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.rules import Rule

__all__ = ["synaptic_eligibility"]


def synaptic_eligibility(rule: Rule, network: Wiring, decision: Decision) -> Eligibilities:
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
    return eligibility if post is None else eligibility.with_choice(network, decision.input_trace, decision.trace, post)
