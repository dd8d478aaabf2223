"""Compiled code that learns from a decision, beside the same in NumPy: one call for all of it, and each piece."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz
from test_learning import decision_for

from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.rules import Feedback, LastStep
from rwta_sim.learning.rules import post as post_module

#: Networks by what is different about them.
NETWORKS = {
    "one way": {"blocks": ("sh", "ha"), "symmetric": False},
    "all blocks": {},
    "single precision": {"precision": "single"},
    "sparse": {"sparsity": 0.4, "input_sparsity": 0.3},
    "currents": {"inputs": "current"},
    "Dale": {"inhibitory": 1, "symmetric": False},
}


def network_for(changes, seed=0, credit=None):
    """A small network in continuous time: nothing to compile."""
    rng = np.random.default_rng(seed)
    sizes = {"hidden_circuits": 3, "hidden_size": 4, "firing": "poisson", "rho_hat": 100 * Hz, "weight_sd": 0.5}
    return EventNetwork(Wiring(NetworkSpec(**{**sizes, **changes}), 5, 3, rng), rng, credit)


@pytest.mark.parametrize("rule", [LastStep(), Feedback(), Feedback(depth=3), Feedback(depth=50)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_postsynaptic_factors(name, rule, monkeypatch):
    """Of ten decisions each; sums in another order, so the same to 1e-13."""
    network, rng = network_for(NETWORKS[name]), np.random.default_rng(1)
    rule = rule.make(network.network, 10, "last_spike")
    rule.attach(network)
    decisions = [decision_for(network.network, rng) for _ in range(10)]
    decisions[3].spoke[:4] = 0.0
    found = [rule.factors(decision).post for decision in decisions]
    monkeypatch.setattr(post_module, "_native", lambda rule: None)
    rule.attach(network)
    for post, decision in zip(found, decisions, strict=True):
        expected = rule.factors(decision).post
        assert np.abs(expected[0, network.network.action]).min() > 0
        np.testing.assert_allclose(post, expected, rtol=0, atol=1e-13)
