"""Binary Concrete units and straight-through spikes: their gradients against exact ones, by enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rwta_sim.agents.reparameterised.policy import ReparameterisedPolicy  # noqa: E402
from rwta_sim.agents.reparameterised.units import concrete, spike, straight_through  # noqa: E402


def random_policy(sizes, seed, hard=True):
    """A policy in double precision with normal weights and biases."""
    rng, (n_inputs, *hidden, n_actions) = np.random.default_rng(seed), sizes
    policy = ReparameterisedPolicy(n_inputs, hidden, n_actions, hard).double()
    with torch.no_grad():
        for p in policy.parameters():
            p.copy_(torch.tensor(rng.normal(size=p.shape)))
    return policy


def exact_objective(policy, drive, worth):
    """``sum_y P(y) sum_a pi(a | y) worth_a`` over all hidden states of one layer; differentiable."""
    z, total = policy.layers[0](drive), 0.0
    for signs in itertools.product((1.0, -1.0), repeat=len(z)):
        y = torch.tensor(signs, dtype=torch.float64)
        total = total + torch.sigmoid(2 * z * y).prod() * (torch.softmax(policy.layers[1](y), 0) @ worth)
    return total


def exact_gradient(policy, drive, worth):
    return torch.autograd.grad(exact_objective(policy, drive, worth), tuple(policy.parameters()))


def expected_gradients(policy, drive, worth, temperature, points=200):
    """Expectation over the noise of the gradients of ``sum_a pi(a | u) worth_a``: in the hidden units' potentials z,
    and in weights and biases of the actions."""
    z = policy.layers[0](drive).detach()
    u, chance = quadrature(torch.sigmoid(2 * z), points)
    potentials = z.expand(len(u), -1).clone().requires_grad_()
    y = policy._unit(potentials, u, temperature)
    objective = chance @ (torch.softmax(policy.layers[1](y), 1) @ worth)
    in_z, *rest = torch.autograd.grad(objective, (potentials, *policy.layers[1].parameters()))
    return in_z.sum(0), rest


def quadrature(p, points):
    """Uniform numbers of two units, shape (n, 2), and their chances: midpoints of `points` parts of what makes each
    fire, u < p, and as many of what keeps it silent."""
    middle = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    u = [torch.cat([p_i * middle, p_i + (1 - p_i) * middle]) for p_i in p]
    chance = [torch.cat([p_i.expand(points), (1 - p_i).expand(points)]) / points for p_i in p]
    return torch.cartesian_prod(*u), torch.cartesian_prod(*chance).prod(1)


CASE = (3, 2, 3)


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    return torch.tensor(rng.random(CASE[0])), torch.tensor(rng.normal(size=CASE[-1]))


def in_z(policy, drive, worth):
    """The exact gradient in z, from that of the first layer's bias."""
    return exact_gradient(policy, drive, worth)[1]


def test_units_are_the_neurons_of_the_same_noise():
    """The sign of a Concrete unit is the spike, and as the temperature falls its value is."""
    rng = np.random.default_rng(0)
    z, u = torch.tensor(rng.normal(size=2000)), torch.tensor(rng.random(2000))
    y = spike(z, u)
    assert np.array_equal(y.numpy(), np.where(u.numpy() < 1 / (1 + np.exp(-2 * z.numpy())), 1.0, -1.0))
    for temperature in (5.0, 0.5):
        assert torch.equal(concrete(z, u, temperature).sign(), y)
    away = (z - torch.logit(u) / 2).abs() > 0.01
    assert away.sum() > 1900
    torch.testing.assert_close(concrete(z, u, 1e-4)[away], y[away], rtol=0, atol=1e-12)
    assert torch.equal(straight_through(z, u, 0.5), y)


def test_straight_through_keeps_the_gradient_of_the_actions_exact(problem):
    """Behind the spikes nothing is relaxed: the expected gradient in the weights onto the actions is that of
    enumeration."""
    policy, (drive, worth) = random_policy(CASE, 2), problem
    for found, exact in zip(
        expected_gradients(policy, drive, worth, 1.0)[1], exact_gradient(policy, drive, worth)[2:], strict=True
    ):
        torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-12)


def test_concrete_units_have_the_gradient_of_their_own_objective(problem):
    """Against central differences of the expected objective of the relaxed network, at temperature .7."""
    policy, (drive, worth) = random_policy(CASE, 2, hard=False), problem
    found, step = expected_gradients(policy, drive, worth, 0.7)[0], 1e-4
    z = policy.layers[0](drive).detach()
    u, chance = quadrature(torch.sigmoid(2 * z), 200)

    def objective(potentials):
        return chance @ (torch.softmax(policy.layers[1](concrete(potentials.expand(len(u), -1), u, 0.7)), 1) @ worth)

    with torch.no_grad():
        sides = [[objective(z + s * step * torch.eye(2)[i]) for s in (1, -1)] for i in range(2)]
    differences = torch.stack([(up - down) / (2 * step) for up, down in sides])
    torch.testing.assert_close(found, differences, rtol=1e-6, atol=1e-9)


def test_concrete_gradients_become_exact_as_the_temperature_falls(problem):
    """Their bias against enumeration falls in proportion to the temperature: a line through two of them meets the exact
    gradient at 0, within .5 %."""
    policy, (drive, worth) = random_policy(CASE, 2, hard=False), problem
    exact = in_z(policy, drive, worth)
    far, near = (expected_gradients(policy, drive, worth, t, 600)[0] for t in (0.05, 0.025))
    assert (2 * near - far - exact).norm() < 0.005 * exact.norm()
    assert 0.03 * exact.norm() < (near - exact).norm() < 0.04 * exact.norm()


def trapezoids(policy, drive, worth):
    """What straight-through gradients become as the temperature falls: the slope of the objective in y_i at its two
    spikes, half each, in place of its difference; by enumeration."""
    z = policy.layers[0](drive).detach()
    total = torch.zeros_like(z)
    for i in range(len(z)):
        for signs in itertools.product((1.0, -1.0), repeat=len(z)):
            y = torch.tensor(signs, dtype=torch.float64, requires_grad=True)
            objective = torch.softmax(policy.layers[1](y), 0) @ worth
            slope = torch.autograd.grad(objective, y)[0][i]
            others = torch.sigmoid(2 * z * y.detach())
            others[i] = 0.5
            total[i] += others.prod() * slope / torch.cosh(z[i]) ** 2
    return total


def test_straight_through_gradients_have_the_limit_that_theory_says(problem):
    """As the temperature falls: a line through two meets the closed form at 0 within .5 %. It is not the exact
    gradient."""
    policy, (drive, worth) = random_policy(CASE, 2), problem
    limit, exact = trapezoids(policy, drive, worth), in_z(policy, drive, worth)
    far, near = (expected_gradients(policy, drive, worth, t, 600)[0] for t in (0.05, 0.025))
    assert (2 * near - far - limit).norm() < 0.005 * limit.norm()
    assert (limit - exact).norm() > 0.02 * exact.norm()
