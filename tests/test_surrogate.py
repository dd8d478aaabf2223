"""The surrogate of an agent and the fast gradient sign method, against finite differences and a known agent."""

from __future__ import annotations

from functools import cache

import gymnasium as gym
import numpy as np
import pytest

import rwta_sim
from rwta_sim.errors import ConfigError
from rwta_sim.lab.robustness import Suite, families, families_of
from rwta_sim.lab.robustness import surrogate as surrogate_module
from rwta_sim.lab.robustness.surrogate import Surrogate
from rwta_sim.loop.encoders import Scaled

pytest.importorskip("sklearn")
pytest.importorskip("torch")


class Plane(gym.Env):
    """Ten decisions on numbers in [-1, 1]; with three actions or two."""

    observation_unit = np.array([1.0, 2.0, 0.5])

    def __init__(self, actions: int = 3) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float64)
        self.action_space = gym.spaces.Discrete(actions)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.np_random.uniform(-1, 1, 3), {}

    def step(self, action):
        self.count += 1
        return self.np_random.uniform(-1, 1, 3), 0.0, self.count >= 10, False, {}


def linear_agent(w: np.ndarray) -> rwta_sim.Agent:
    """Takes the action with the highest of ``observation @ w``, for observations in [-1, 1]."""
    encoder = Scaled(copies=1, low=(-1, -1, -1), high=(1, 1, 1), complementary=False)
    experiment = rwta_sim.preset("cartpole", "linear").changed({"encoder": encoder.model_dump()})
    agent = rwta_sim.Agent(experiment, env=Plane(w.shape[1]))
    weights = {array.shape: array for array in agent.weights().values()}
    weights[w.T.shape][...] = 2 * w.T  # inputs are (1 + observation)/2
    weights[w.shape[1:]][...] = -w.sum(axis=0)
    return agent


TWO = np.array([[1.0, -1.0], [-2.0, 2.0], [0.5, -0.5]])
THREE = np.array([[1.0, -1.0, 0.0], [-2.0, 2.0, 1.0], [0.5, -0.5, 1.0]])


@cache
def surrogate_of(answers: int) -> Surrogate:
    with linear_agent({2: TWO, 3: THREE}[answers]) as agent:
        return Surrogate(agent)


@pytest.fixture
def soon_fitted(monkeypatch):
    """A surrogate of few decisions, where it does not matter how good it is."""
    monkeypatch.setattr(surrogate_module, "_DECISIONS", 100)


@pytest.mark.parametrize("answers", [2, 3])
def test_the_direction_is_that_of_the_loss(answers):
    """Against differences of -ln p of the answer in units of the environment, as scikit-learn computes p."""
    surrogate = surrogate_of(answers)
    assert surrogate.agreement > 0.97
    rng = np.random.default_rng(0)

    def loss(x, answer):
        return -surrogate._network.predict_log_proba(surrogate._scaled(x[None]))[0, answer]

    compared = 0
    for x in rng.uniform(-1, 1, (50, 3)):
        answer = int(surrogate._network.predict_proba(surrogate._scaled(x[None]))[0].argmax())
        steps = 1e-5 * np.eye(3)
        slope = np.array([(loss(x + step, answer) - loss(x - step, answer)) / 2e-5 for step in steps])
        told = np.abs(slope) > 1e-6  # where p is next to 1 differences tell nothing
        np.testing.assert_array_equal(surrogate.direction(x)[told], np.sign(slope[told]))
        compared += told.sum()
    assert compared > 60


def test_the_step_misleads_a_linear_agent_as_its_own_gradient_would():
    """A step of .3 units from where the margin is ``x @ (w_0 - w_1)`` takes ``.3 |unit * (w_0 - w_1)|_1`` from it; the
    surrogate finds the signs of w in nearly all places."""
    surrogate = surrogate_of(2)
    margin = TWO[:, 0] - TWO[:, 1]
    x = np.random.default_rng(1).uniform(-1, 1, (200, 3))
    best = -np.sign(x @ margin)[:, None] * np.sign(margin)
    agrees = np.mean([surrogate.direction(row) for row in x] == best)
    assert agrees > 0.9
    moved = x + 0.3 * Plane.observation_unit * np.array([surrogate.direction(row) for row in x])
    flipped = np.mean(np.sign(moved @ margin) != np.sign(x @ margin))
    reach = 0.3 * np.abs(Plane.observation_unit * margin).sum()
    assert flipped > 0.9 * np.mean(np.abs(x @ margin) < reach)


def test_the_family_changes_what_is_seen_and_nothing_else(soon_fitted):
    with linear_agent(TWO) as agent:
        before = agent.play(3, observations=True)
        family = families_of(agent)["input-fgsm"]
        assert len(family.levels) == 20 and family.levels[-1] == 0.19
        with family.applied(agent, 0.0, 1):
            for one, other in zip(before, agent.play(3, observations=True), strict=True):
                assert one.actions == other.actions
                np.testing.assert_array_equal(one.observations, other.observations)
        with family.applied(agent, 0.1, 1):
            moved = agent.play(3, observations=True)
        step = np.array(moved[0].observations) - np.array(before[0].observations)
        inside = np.abs(np.array(before[0].observations)) < 1 - 0.1 * Plane.observation_unit  # not cut off
        steps = np.broadcast_to(0.1 * Plane.observation_unit, step.shape)
        np.testing.assert_allclose(np.abs(step)[inside], steps[inside])
        assert inside.sum() > 15 and np.abs(np.array(moved[0].observations)).max() <= 1
        assert [e.actions for e in agent.play(3)] == [e.actions for e in before]


def test_the_same_run_has_the_same_surrogate_and_one_answer_has_no_direction(soon_fitted):
    found = []
    for _ in range(2):
        with linear_agent(THREE) as agent:
            found.append(Surrogate(agent)._network.coefs_[0])
    np.testing.assert_array_equal(*found)
    with linear_agent(np.zeros((3, 2))) as agent:
        surrogate = Surrogate(agent)
    assert surrogate.agreement == 1.0
    np.testing.assert_array_equal(surrogate.direction(np.ones(3)), np.zeros(3))


def test_without_its_library_it_is_left_out_unless_asked_for(monkeypatch):
    with linear_agent(TWO) as agent:
        known = families_of(agent)
    monkeypatch.setattr(families, "find_spec", lambda name: None)
    assert "input-fgsm" not in Suite().chosen(known) and "input-gaussian" in Suite().chosen(known)
    with pytest.raises(ConfigError, match="input-fgsm needs sklearn, which is not installed: pip install scikit-learn"):
        Suite(families=("input-fgsm",)).chosen(known)
