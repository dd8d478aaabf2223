"""The mean field: fixed points by hand, gradients against finite differences, honest convergence."""

from __future__ import annotations

import numpy as np
import pytest

from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec
from rwta_sim.circuit.wiring import Wiring

EXACT = MeanFieldSpec(iterations=5000, tolerance=1e-14)
SUBSETS = [BLOCKS, ("sh", "sa"), ("sh", "hh"), ("sh", "ha", "ah"), ("sa", "hh", "ha", "ah"), ("sh", "sa", "ha", "ah")]


def wired(blocks=BLOCKS, symmetric=True, sd=0.7, circuits=3, size=3, inputs=4, actions=3, seed=0):
    spec = NetworkSpec(hidden_circuits=circuits, hidden_size=size, blocks=blocks, symmetric=symmetric, weight_sd=sd)
    wiring, rng = Wiring(spec, inputs, actions), np.random.default_rng(seed)
    return wiring, wiring.initial_weights(rng), rng.normal(0, 0.5, wiring.n_neurons), rng.random((5, inputs))


def plain_softmax(wiring, u):
    q = np.empty_like(u)
    for low, high in zip(wiring.starts[:-1], wiring.starts[1:], strict=True):
        e = np.exp(u[low:high] - u[low:high].max())
        q[low:high] = e / e.sum()
    return q


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_inferred_solves_the_equations(dtype, symmetric):
    """q = softmax(b + W_s^T s + W_r^T q), neuron by neuron, to the precision of the type."""
    wiring, weights, b, drive = wired(symmetric=symmetric)
    field = MeanField(wiring, MeanFieldSpec(iterations=500, tolerance=1e-7 if dtype is np.float32 else 1e-15), dtype)
    found = field.infer(drive, weights, b)
    assert found.converged.all() and found.q.dtype == dtype
    for s, q in zip(drive, found.q.astype(float), strict=True):
        u = b.copy()
        for i in range(wiring.n_neurons):
            u[i] += s @ weights["s"][:, i] + q @ weights["r"][:, i]
        np.testing.assert_allclose(q, plain_softmax(wiring, u), atol=50 * np.finfo(dtype).eps)


def test_a_fixed_point_by_hand():
    """Two circuits of two with one weight w both ways, h_0 - a_0: with x = q(h_0) and y = q(a_0), both are
    sigmoids of each other, x = 1/(1 + exp(-(w y + s))), y = 1/(1 + exp(-w x)); solved here by bisection."""
    spec = NetworkSpec(hidden_circuits=1, hidden_size=2, blocks=("sh", "ha", "ah"))
    wiring = Wiring(spec, 1, 2)
    w, s = 1.5, 0.4
    weights = {"sh": np.array([[1.0, 0.0]]), "ha": np.array([[w, 0.0], [0.0, 0.0]])}
    weights["ah"] = weights["ha"].T

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    low, high = 0.0, 1.0
    for _ in range(60):
        x = (low + high) / 2
        low, high = (x, high) if sigmoid(w * sigmoid(w * x) + s) > x else (low, x)
    y = sigmoid(w * x)
    q = MeanField(wiring, EXACT, np.float64).infer(np.array([[s]]), weights, np.zeros(4)).q[0]
    np.testing.assert_allclose(q, [x, 1 - x, y, 1 - y], rtol=1e-12)


def test_the_mean_field_is_that_of_the_energy():
    """At a symmetric network's fixed point the variational free energy -q.w.q/2 - s.w_s.q - b.q + sum q ln q is
    stationary in every circuit: this is what makes w here the 2W of the paper."""
    wiring, weights, b, drive = wired()
    q = MeanField(wiring, EXACT, np.float64).infer(drive, weights, b).q[0]
    slope = -(weights["r"] @ q) - drive[0] @ weights["s"] - b + np.log(q) + 1
    for low, high in zip(wiring.starts[:-1], wiring.starts[1:], strict=True):
        np.testing.assert_allclose(slope[low:high], slope[low], atol=1e-12)  # equal: no way along the simplex


def shared(wiring, s, q, post):
    """The gradient of every free parameter from the factors, by block, one pair of neurons at a time."""
    symmetric, gradients = wiring.spec.symmetric, {}
    for p in wiring.projections:
        pre = s if p.origin == "inputs" else q
        g = np.outer(pre[p.source], post[p.target])
        if symmetric and p.origin == "neurons":
            g += np.outer(post[p.source], pre[p.target])
        gradients[p.name] = g if p.mask is None else g * p.mask
    return {**gradients, "b": post}


def nudged(wiring, weights, b, name, index, step):
    """Weights with one free parameter moved: both directions of a symmetric one."""
    weights, b = {n: w.copy() for n, w in weights.items()}, b.copy()
    if name == "b":
        b[index] += step
        return weights, b
    weights[name][index] += step
    moved = next(p for p in wiring.projections if p.name == name)
    for other in wiring.projections if wiring.spec.symmetric else ():
        if moved.mirrors(other):
            weights[other.name][index[::-1]] += step
    return weights, b


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("blocks", "damping"), [*((blocks, 0.0) for blocks in SUBSETS), (BLOCKS, 0.3)])
def test_gradients_are_those_of_finite_differences(blocks, symmetric, damping):
    """d ln pi(a) and dH through the whole fixed point, central differences in double precision."""
    wiring, weights, b, drive = wired(blocks, symmetric, circuits=2, inputs=2)
    spec = MeanFieldSpec(iterations=5000, tolerance=1e-14, damping=damping)
    field = MeanField(wiring, spec, np.float64)
    drive, action, step = drive[:1, :2], np.array([1]), 1e-5
    q = field.infer(drive, weights, b).q
    where = wiring.action

    def values(w, bias):
        policy = field.infer(drive, w, bias).q[0, where]
        return np.array([np.log(policy[action[0]]), -(policy * np.log(policy)).sum()])

    scores = field.policy_score(q, action), field.entropy_score(q)
    posts = [field.adjoint(q, score, weights, depth=2000)[0] for score in scores]
    gradients = [shared(wiring, drive[0], q[0], post) for post in posts]
    for name, g in gradients[0].items():
        mask = next((p.mask for p in wiring.projections if p.name == name), None)
        for index in np.ndindex(g.shape):
            if mask is not None and not mask[index]:
                continue
            high, low = (values(*nudged(wiring, weights, b, name, index, sign * step)) for sign in (1, -1))
            expected = (high - low) / (2 * step)
            np.testing.assert_allclose([g[name][index] for g in gradients], expected, atol=2e-9)


def test_depth_one_is_the_last_step_and_deeper_is_nearer():
    wiring, weights, b, drive = wired()
    field = MeanField(wiring, EXACT, np.float64)
    q = field.infer(drive, weights, b).q
    score = field.policy_score(q, np.array([0, 1, 2, 0, 1]))
    np.testing.assert_array_equal(field.adjoint(q, score, weights, 1), score)
    # The series against the inverse that it approximates, row by row.
    errors = []
    for depth in (1, 2, 4, 8, 16, 200):
        posts, worst = field.adjoint(q, score, weights, depth), 0.0
        for row in range(len(q)):
            same = wiring.circuit[:, None] == wiring.circuit[None, :]
            jacobian = np.diag(q[row]) - same * np.outer(q[row], q[row])
            exact = np.linalg.solve(np.eye(wiring.n_neurons) - jacobian @ weights["r"], score[row])
            worst = max(worst, np.abs(posts[row] - exact).max())
        errors.append(worst)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05 and errors[-1] < 1e-13


def test_single_precision_gives_the_same_gradient():
    wiring, weights, b, drive = wired(circuits=20, size=10, sd=0.1, inputs=50, actions=10)
    actions, posts = np.arange(5), []
    for dtype, tolerance in ((np.float32, 1e-7), (np.float64, 1e-15)):
        field = MeanField(wiring, MeanFieldSpec(iterations=500, tolerance=tolerance), dtype)
        q = field.infer(drive, weights, b).q
        score = field.policy_score(q, actions) + field.entropy_score(q)
        posts.append(field.adjoint(q, score, weights, 500))
    assert posts[0].dtype == np.float32
    np.testing.assert_allclose(posts[0], posts[1], atol=1e-5)


def test_rows_do_not_depend_on_each_other():
    wiring, weights, b, drive = wired()
    field = MeanField(wiring)
    together = field.infer(drive, weights, b)
    assert len(set(together.iterations.tolist())) > 1  # they converge at different times
    for row, s in enumerate(drive):
        alone = field.infer(s[None], weights, b)
        np.testing.assert_allclose(alone.q[0], together.q[row], atol=1e-6)
        assert alone.iterations[0] == together.iterations[row]


def oscillating():
    """One hidden circuit and an action circuit that each do the opposite of the other, too strongly to settle."""
    wiring = Wiring(NetworkSpec(hidden_circuits=1, hidden_size=2, blocks=("sh", "ha", "ah")), 1, 2)
    w = -12.0 * np.eye(2)
    # Both prefer neuron 0 of their own circuit a little: in step they flip together for ever.
    return wiring, {"sh": np.zeros((1, 2)), "ha": w, "ah": w.T}, np.array([0.1, 0.0, 0.1, 0.0])


def test_oscillation_is_reported_and_damping_ends_it():
    wiring, weights, b = oscillating()
    drive = np.zeros((3, 1))
    found = MeanField(wiring, MeanFieldSpec(iterations=200)).infer(drive, weights, b)
    assert not found.converged.any()
    assert (found.iterations == 200).all() and (found.residual > 0.5).all()  # every neuron flips at each iteration
    damped = MeanField(wiring, MeanFieldSpec(iterations=2000, tolerance=1e-6, damping=0.9)).infer(drive, weights, b)
    assert damped.converged.all() and (damped.residual < 1e-6).all()
    u = b + np.r_[weights["ah"].T @ damped.q[0, 2:], weights["ha"].T @ damped.q[0, :2]]
    np.testing.assert_allclose(damped.q[0], plain_softmax(wiring, u), atol=1e-5)


def test_noise_is_that_of_the_generator():
    wiring, weights, b, drive = wired()
    field = MeanField(wiring, MeanFieldSpec(published_code=True))
    assert field.spec == MeanFieldSpec(noise=0.02, tolerance=0.005, iterations=50, start="noise")
    same = [field.infer(drive, weights, b, np.random.default_rng(1)).q for _ in range(2)]
    np.testing.assert_array_equal(*same)
    other = field.infer(drive, weights, b, np.random.default_rng(2)).q
    exact = MeanField(wiring).infer(drive, weights, b).q
    # Noise of 0.02 on what goes in moves q by about as much, and no more.
    for noisy in (same[0], other):
        assert 1e-4 < np.abs(noisy - exact).mean() < 0.05
    assert not np.array_equal(same[0], other)
    np.testing.assert_allclose(same[0][:, wiring.action].sum(axis=1), 1.0, rtol=1e-6)
    with pytest.raises(ValueError, match="pass rng"):
        field.infer(drive, weights, b)


def test_extremes():
    """No hidden circuits; weights that saturate every circuit; a drive of the wrong shape."""
    wiring = Wiring(NetworkSpec(hidden_circuits=0, blocks=("sa",)), 2, 3)
    weights = {"sa": np.array([[0.0, 1e30, 0.0], [0.0, 0.0, 0.0]])}
    field = MeanField(wiring)
    found = field.infer(np.array([[1.0, 0.0], [0.0, 1.0]]), weights, np.zeros(3))
    np.testing.assert_allclose(found.q, [[0, 1, 0], [1 / 3] * 3], rtol=1e-6)
    assert field.entropy(found.q)[0] == 0.0 and field.entropy(found.q)[1] == pytest.approx(np.log(3), rel=1e-6)
    assert not field.entropy_score(found.q)[0].any()
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(rows, 2\)"):
        field.infer(np.zeros(3), weights, np.zeros(3))
