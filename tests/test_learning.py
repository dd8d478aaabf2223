"""Learning: factors by hand, the exact policy gradient, symmetry to the bit, optimisers against textbooks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from brian2 import ms
from conftest import Loop, poisson_spec

from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.learning import Decision, Factors, Learner, LearningSpec
from rwta_sim.learning.critics import Constant, CriticInputs, Fourier, Tabular
from rwta_sim.learning.critics.base import advantages
from rwta_sim.learning.modulation import EpisodeAdvantage, Shuffle
from rwta_sim.learning.optimisers import SGD, Adam, RMSNormalised
from rwta_sim.learning.outer_update import available
from rwta_sim.learning.rules import Feedback, LastStep

SPEC = NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=5 * ms))


def decision_for(network, rng, **changes):
    """A decision with random, consistent numbers."""
    starts = network.starts
    q = np.concatenate([rng.dirichlet(np.ones(n)) for n in np.diff(starts)])
    v = np.zeros(q.size)
    v[[rng.integers(low, high) for low, high in pairwise(starts)]] = 1
    policy = q[network.action]
    values = {
        "drive": rng.random(network.n_inputs),
        "input_trace": rng.random(network.n_inputs),
        "trace": rng.random(q.size),
        "q": q,
        "v": v,
        "spoke": np.ones(q.size),
        "action": int(v[network.action].argmax()),
        "policy": policy,
        "policy_entropy": float(-(policy * np.log(policy)).sum()),
    }
    return Decision(**{**values, **changes})


def learner_for(loop, critic=None, **spec):
    spec = {"optimiser": SGD(), "rate": 1.0, "final_rate": 1.0, "entropy": 0.0, **spec}
    spec = LearningSpec(**spec)
    rule = spec.rule.make(loop.network, 10, "last_spike")
    return Learner(spec, (critic or Tabular(gamma=0.5, rate=0.1)).make(CriticInputs(2, True)), loop.arrays, rule)


def test_factors():
    loop = Loop(SPEC)
    decision = decision_for(loop.network, np.random.default_rng(0))
    traces, probabilities = LastStep(), LastStep(presynaptic="probabilities")
    for rule, pre_inputs, pre in (
        (traces, decision.input_trace, decision.trace),
        (probabilities, decision.drive, decision.q),
    ):
        factors = rule.make(loop.network, 10, "last_spike").factors(decision)
        np.testing.assert_array_equal(factors.pre_inputs, [pre_inputs])
        np.testing.assert_array_equal(factors.pre_neurons, [pre])
        np.testing.assert_array_equal(factors.post, [decision.v - decision.q])
    silent = decision_for(loop.network, np.random.default_rng(0), spoke=np.r_[np.zeros(3), np.ones(5)])
    assert not traces.make(loop.network, 10, "last_spike").factors(silent).post[0, :3].any()


@pytest.mark.parametrize("blocks", [("sh", "sa", "hh", "ha", "ah"), ("sh", "hh"), ("ha", "ah", "sa"), ("sh", "ha")])
@pytest.mark.parametrize("n", [1, 7])
def test_gradient_is_the_rule_written_out(blocks, n):
    """dw_jk = sum A (x_j (v_k - q_k) + x_k (v_j - q_j)), one synapse at a time; symmetric to the last bit."""
    symmetric = "ah" in blocks or "ha" not in blocks
    loop = Loop(NetworkSpec(hidden_circuits=2, hidden_size=3, blocks=blocks, symmetric=symmetric))
    learner, network, rng = learner_for(loop), loop.network, np.random.default_rng(1)
    pre_inputs, pre, post = rng.normal(size=(n, 3)), rng.normal(size=(n, 8)), rng.normal(size=(n, 8))
    *gradients, bias = learner.gradient(Factors(pre_inputs, pre, post))
    whole = {p.name: g for p, g in zip(network.projections, gradients, strict=True)}
    where = {"s": slice(0, 3), "h": network.hidden, "a": network.action}
    for name, block in network.spec.split_blocks(whole).items():
        x = (pre_inputs if name[0] == "s" else pre)[:, where[name[0]]]
        expected = np.einsum("tj,tk->jk", x, post[:, where[name[1]]])
        if name[0] != "s" and symmetric:
            expected += np.einsum("tj,tk->jk", post[:, where[name[0]]], pre[:, where[name[1]]])
        if name == "hh":
            expected[network.circuit[:6, None] == network.circuit[:6]] = 0
        np.testing.assert_allclose(block, expected, atol=1e-12)
    np.testing.assert_allclose(bias, post.sum(0))
    network.check_structure(whole) if symmetric else None


@pytest.mark.parametrize("optimiser", [SGD(), RMSNormalised(), Adam()], ids=lambda o: o.kind)
@pytest.mark.parametrize("blocks", [("sh", "sa", "hh", "ha", "ah"), ("ha", "ah", "sa")])
def test_weights_stay_exactly_symmetric(optimiser, blocks):
    loop = Loop(NetworkSpec(hidden_circuits=3, hidden_size=5, blocks=blocks))
    learner, rng = learner_for(loop, optimiser=optimiser, rate=0.01), np.random.default_rng(2)
    learner.begin_episode(np.eye(2)[0])
    for _ in range(100):
        learner.observe(decision_for(loop.network, rng), rng.normal(), np.eye(2)[rng.integers(2)], False, rng)
    loop.network.check_structure(loop.arrays.weights)
    assert np.abs(loop.arrays.blocks()["ha"]).min() > 0


def test_last_step_is_the_policy_gradient_without_hidden_neurons():
    """No hidden layer: E[A(a) x (v - q)] over actions is d E[A]/dw exactly; compared with finite differences."""
    rng = np.random.default_rng(3)
    x, w, advantage = rng.random(3), rng.normal(size=(3, 4)), rng.normal(size=4)

    def softmax(u):
        return np.exp(u) / np.exp(u).sum()

    q = softmax(x @ w)
    loop = Loop(NetworkSpec(hidden_circuits=0, blocks=("sa",)), n_inputs=3, n_actions=4)
    learner = learner_for(loop)
    expected = np.zeros((3, 4))
    for action in range(4):
        decision = decision_for(loop.network, rng, drive=x, q=q, v=np.eye(4)[action], action=action, policy=q)
        rule = LastStep(presynaptic="probabilities").make(loop.network, 10, "last_spike")
        gradient = learner.gradient(rule.factors(decision).times(advantage[action]))
        expected += q[action] * gradient[0]
    eps = 1e-6
    numeric = np.zeros((3, 4))
    for index in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[index] = eps
        numeric[index] = (softmax(x @ (w + step)) - softmax(x @ (w - step))) @ advantage / (2 * eps)
    np.testing.assert_allclose(expected, numeric, atol=1e-8)


def test_entropy_bonus_is_the_gradient_of_the_entropy():
    """E[(-ln pi(a) - H) (v - q)] = dH/du: the bonus as one broadcast number, by finite differences."""
    u = np.array([0.3, -0.5, 1.0])

    def entropy(u):
        p = np.exp(u) / np.exp(u).sum()
        return -(p * np.log(p)).sum()

    p = np.exp(u) / np.exp(u).sum()
    estimate = sum(p[a] * (-np.log(p[a]) - entropy(u)) * (np.eye(3)[a] - p) for a in range(3))
    numeric = [(entropy(u + d) - entropy(u - d)) / 2e-6 for d in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(estimate, numeric, atol=1e-8)


def test_modulation_per_decision():
    """SGD at rate 1: the bias changes by (delta + entropy bonus) (v - q), the TD error worked out by hand."""
    loop, rng = Loop(SPEC), np.random.default_rng(4)
    learner = learner_for(loop, Tabular(gamma=0.5, lam=0.0, rate=0.1), entropy=0.3)
    decision = decision_for(loop.network, rng)
    learner.begin_episode(np.eye(2)[0])
    assert learner.observe(decision, 2.0, np.eye(2)[1], False, rng)
    bonus = 0.3 * (decision.surprise - decision.policy_entropy)
    np.testing.assert_allclose(loop.arrays.b, (2.0 + bonus) * (decision.v - decision.q))
    before = loop.arrays.b.copy()
    learner.observe(decision, 1.0, np.eye(2)[0], False, rng)  # V(0) is 0.2 by now
    delta = 1.0 + 0.5 * 0.2 - 0.0
    np.testing.assert_allclose(loop.arrays.b - before, (delta + bonus) * (decision.v - decision.q))


def test_modulation_at_the_end_of_the_episode():
    """The sum over decisions of A_t x post_t, with A from the TD errors; nothing changes before."""
    loop, rng = Loop(SPEC), np.random.default_rng(5)
    learner = learner_for(loop, Tabular(gamma=0.5, lam=0.0, rate=1e-12), modulation=EpisodeAdvantage(lam=0.8))
    decisions = [decision_for(loop.network, rng) for _ in range(4)]
    rewards = [1.0, 0.0, -2.0, 3.0]
    learner.begin_episode(np.eye(2)[0])
    for decision, reward in zip(decisions, rewards, strict=True):
        assert not learner.observe(decision, reward, np.eye(2)[0], False, rng)
    assert not loop.arrays.b.any()
    assert learner.end_episode(rng)
    discounted = [sum(0.4**k * rewards[t + k] for k in range(4 - t)) for t in range(4)]  # the values are ~0
    expected = sum(a * (d.v - d.q) for a, d in zip(discounted, decisions, strict=True))
    np.testing.assert_allclose(loop.arrays.b, expected, rtol=1e-9)
    assert not learner.end_episode(rng)


def test_controls():
    loop, rng = Loop(SPEC), np.random.default_rng(6)
    learner = learner_for(loop, control="off")
    learner.begin_episode(np.eye(2)[0])
    learner.observe(decision_for(loop.network, rng), 5.0, np.eye(2)[1], True, rng)
    assert not loop.arrays.b.any()
    shuffle = Shuffle(size=100)
    values = rng.normal(size=3000)
    out = np.array([shuffle.exchange(v, rng) for v in values])
    assert set(out) <= set(values)
    assert abs(np.corrcoef(values[100:], out[100:])[0, 1]) < 3.9 / np.sqrt(2900)  # out of time
    assert out.std() == pytest.approx(values.std(), rel=0.1)  # same distribution


def test_learning_rate_and_entropy_fall_linearly():
    learner = learner_for(Loop(SPEC), rate=0.5, final_rate=0.1, entropy=0.4, final_entropy=0.25)
    for progress, expected in ((0, (0.5, 0.4)), (0.5, (0.275, 0.25)), (1, (0.05, 0.1)), (2, (0.05, 0.1))):
        learner.anneal(progress)
        assert (learner.rate, learner.entropy) == pytest.approx(expected)


def test_advantages():
    deltas = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(advantages(deltas, 0.9), [1 - 1.8 + 0.405, -2 + 0.45, 0.5])


def test_optimisers_against_their_definitions():
    rng = np.random.default_rng(7)
    gradients = rng.normal(size=(6, 3, 2))
    start = rng.normal(size=(3, 2))
    for spec in (SGD(), RMSNormalised(decay=0.9, epsilon=1e-6), Adam(beta1=0.8, beta2=0.95, epsilon=1e-6)):
        w, expected = start.copy(), start.copy()
        optimiser = spec.make([w])
        m = s = np.zeros((3, 2))
        for t, g in enumerate(gradients, 1):
            optimiser.step([g.copy()], 0.1)
            if spec.kind == "sgd":
                expected = expected + 0.1 * g
            elif spec.kind == "rms":
                s = 0.9 * s + 0.1 * g**2
                expected = expected + 0.1 * g / (np.sqrt(s) + 1e-6)
            else:
                m, s = 0.8 * m + 0.2 * g, 0.95 * s + 0.05 * g**2
                expected = expected + 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(s / (1 - 0.95**t)) + 1e-6)
        np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize("optimiser", [SGD(), RMSNormalised(), Adam()])
def test_biases_of_action_neurons_stay_where_they_are(optimiser):
    """All else learns as if they did."""
    learned = {}
    for biases in ("all", "hidden"):
        loop, rng = Loop(SPEC), np.random.default_rng(3)
        learner = learner_for(loop, optimiser=optimiser, biases=biases)
        learner.begin_episode(np.array([1.0, 0.0]))
        for _ in range(3):
            learner.observe(decision_for(loop.network, rng), 1.0, np.array([0.0, 1.0]), False, rng)
        learned[biases] = {name: w.copy() for name, w in loop.arrays.blocks().items()}
    (b, everything), (kept, hidden) = ((w.pop("b"), w) for w in learned.values())
    action = loop.network.action
    assert b[action].all() and not kept[action].any()
    np.testing.assert_allclose(b[loop.network.hidden], kept[loop.network.hidden], rtol=1e-12)
    for name, weights in everything.items():
        np.testing.assert_allclose(weights, hidden[name], rtol=1e-12, err_msg=name)


def test_td_lambda_finds_the_values_of_a_random_walk():
    """Five states, exit right pays 1: the values are 1/6 ... 5/6 (Sutton and Barto, example 6.2)."""
    critic = Tabular(gamma=1.0, lam=0.8, rate=0.01).make(CriticInputs(5, True))
    rng, eye = np.random.default_rng(8), np.eye(5)
    estimates = []
    for episode in range(4000):
        state = 2
        critic.begin_episode(eye[state])
        while 0 <= state < 5:
            state += rng.choice([-1, 1])
            ended = not 0 <= state < 5
            critic.td_error(float(state == 5), eye[0 if ended else state], ended)
        if episode >= 1000:
            estimates.append(critic.theta.copy())
    np.testing.assert_allclose(np.mean(estimates, axis=0), np.arange(1, 6) / 6, atol=0.03)


def test_constant_critic_is_the_running_mean():
    """Of rewards 1 and 0 in turn, whatever is seen: (1 - rate) times the old mean, plus rate times the reward."""
    critic, mean = Constant(gamma=1.0, rate=0.1).make(CriticInputs(3, False)), 0.0
    for trial in range(20):
        critic.begin_episode(np.full(3, trial))
        assert critic.td_error(float(trial % 2), np.zeros(3), True) == pytest.approx(trial % 2 - mean)
        mean += 0.1 * (trial % 2 - mean)
    assert critic.value(np.ones(3)) == pytest.approx(mean)


def test_fourier_critic():
    critic = Fourier(order=2, gamma=0.9, lam=0.0, rate=0.1).make(CriticInputs(2, False))
    assert critic.theta.size == 9
    # An update at s with TD error d raises V(s) by d * sum rate/|c| cos^2: by hand for s = (0, 1).
    s = np.array([0.0, 1.0])
    critic.begin_episode(s)
    delta = critic.td_error(1.0, np.array([0.5, 0.5]), True)
    assert delta == 1.0
    norms = [max(np.hypot(i, j), 1.0) if (i, j) == (0, 0) else np.hypot(i, j) for i in range(3) for j in range(3)]
    assert critic.value(s) == pytest.approx(sum(0.1 / n for n in norms))
    assert critic.value(np.array([1.0, 1.0])) == pytest.approx(
        sum(0.1 / n * (-1) ** i for n, i in zip(norms, [0, 0, 0, 1, 1, 1, 2, 2, 2], strict=True))
    )
    # Truncation bootstraps, termination does not.
    critic.begin_episode(s)
    value = critic.value(s)
    assert critic.td_error(0.0, s, False, learn=False) == pytest.approx(0.9 * value - value)
    assert critic.td_error(0.0, s, True, learn=False) == pytest.approx(-value)
    with pytest.raises(EnvironmentFailure, match="features, more than"):
        Fourier(order=3).make(CriticInputs(64, False))
    with pytest.raises(EnvironmentFailure, match=r"critic.coupled = false"):
        Fourier(order=3).make(CriticInputs(32 * 32 * 3, False))  # an image
    image = Fourier(order=2, coupled=False).make(CriticInputs(3072, False))
    assert image.theta.size == 2 * 3072 + 1
    x = np.zeros(3072)
    x[5] = 0.25  # the basis: 1, then cos(pi x_i), cos(2 pi x_i) for each dimension
    basis = image._basis(x)
    np.testing.assert_allclose(basis[[0, 11, 12, 13]], [1, np.cos(np.pi / 4), np.cos(np.pi / 2), 1], atol=1e-12)
    with pytest.raises(EnvironmentFailure, match="needs a Discrete observation space"):
        Tabular().make(CriticInputs(4, False))


def test_poisson_decisions_can_be_learned_from():
    """A silent circuit changes nothing, the others do."""
    loop = Loop(poisson_spec(hidden_circuits=2, hidden_size=3))
    learner, rng = learner_for(loop), np.random.default_rng(9)
    spoke = np.r_[np.zeros(3), np.ones(5)]
    learner.begin_episode(np.eye(2)[0])
    learner.observe(decision_for(loop.network, rng, spoke=spoke), 1.0, np.eye(2)[0], True, rng)
    assert not loop.arrays.b[:3].any() and loop.arrays.b[3:].all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symmetric": False},
        {"precision": "single"},
        {"blocks": ("sa", "ha", "ah")},
        {"blocks": ("sh", "hh"), "symmetric": True},
        {"blocks": ("sh", "ha"), "symmetric": False, "precision": "single"},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimiser", [RMSNormalised(decay=0.9), Adam(beta1=0.8, beta2=0.95)], ids=lambda o: o.kind)
def test_an_update_in_one_pass_is_the_one_in_numpy(optimiser, changes, monkeypatch):
    """Weights and running means, bit for bit, over 50 decisions."""
    available.cache_clear()  # a test without a compiler may have been here before
    results = []
    for native in (True, False):
        loop = Loop(NetworkSpec(**{**SPEC.model_dump(), "weight_sd": 0.5, **changes}), n_inputs=4)
        if not native:
            monkeypatch.setattr("rwta_sim.learning.outer_update.available", lambda: None)
        learner = learner_for(loop, optimiser=optimiser, rate=0.05, entropy=0.1)
        rng = np.random.default_rng(2)
        learner.begin_episode(np.eye(2)[0])
        for _ in range(50):
            learner.observe(decision_for(loop.network, rng), rng.normal(), np.eye(2)[0], False, rng)
        assert (learner.updater.shortcut is not None) is native
        results.append({**loop.arrays.weights, "b": loop.arrays.b, **learner.state()})
    for name, expected in results[1].items():
        assert expected.any() or "shuffle" in name, name
        np.testing.assert_array_equal(results[0][name], expected, err_msg=name)


def test_a_batch_is_the_mean_of_its_episodes():
    """Three episodes in one step of SGD against the mean of the changes that each makes by itself."""
    changes, rng = [], np.random.default_rng(5)
    loop = Loop(SPEC)
    episodes = [[decision_for(loop.network, rng) for _ in range(2)] for _ in range(3)]

    def learn(batch, chosen):
        for array in (*loop.arrays.weights.values(), loop.arrays.b):
            array[...] = 0.0
        critic = Constant(gamma=0.9, rate=1e-300)
        learner = learner_for(loop, critic, modulation=EpisodeAdvantage(), batch=batch)
        for episode in chosen:
            learner.begin_episode(np.eye(2)[0])
            for i, decision in enumerate(episode):
                assert not learner.observe(decision, 1.0 + i, np.eye(2)[0], i == 1, rng)
            changed = learner.end_episode(rng)
        assert changed
        return np.concatenate([a.ravel() for a in (*loop.arrays.weights.values(), loop.arrays.b)])

    changes = [learn(1, [episode]) for episode in episodes]
    np.testing.assert_allclose(learn(3, episodes), np.mean(changes, axis=0), atol=1e-12)


def test_feedback_is_the_gradient_of_the_policy():
    """Feed-forward: d ln pi(a) / dw through hidden probabilities, by central differences; x_h is q_h itself."""
    spec = NetworkSpec(hidden_circuits=2, hidden_size=3, blocks=("sh", "sa", "ha"), symmetric=False, weight_sd=1.0)
    loop, rng = Loop(spec), np.random.default_rng(4)
    weights, network, drive, action = loop.arrays.weights, loop.network, rng.random(3), 1

    def probabilities():
        q = np.zeros(8)
        for c in range(2):
            u = drive @ weights["s"][:, 3 * c : 3 * c + 3]
            q[3 * c : 3 * c + 3] = np.exp(u) / np.exp(u).sum()
        u = drive @ weights["s"][:, 6:] + q[:6] @ weights["ha"]
        q[6:] = np.exp(u) / np.exp(u).sum()
        return q

    learner, q = learner_for(loop, rule=Feedback()), probabilities()
    v = np.r_[q[:6], np.eye(2)[action]]
    decision = decision_for(
        network, rng, drive=drive, input_trace=drive, trace=q, q=q, v=v, action=action, policy=q[6:]
    )
    found = dict(
        zip([p.name for p in network.projections], learner.gradient(learner.rule.factors(decision)), strict=False)
    )
    for name, w in weights.items():
        for index in np.ndindex(w.shape):
            keep, values = w[index], []
            for step in (1e-6, -1e-6):
                w[index] = keep + step
                values.append(np.log(probabilities()[6 + action]))
            w[index] = keep
            assert found[name][index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)
