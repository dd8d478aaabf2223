"""Networks small enough to enumerate: the enumerations themselves, and rules and approximations against them.

`ExactNetwork` is checked against loops written out and finite differences, `ExactProcess` against finite differences
and the spikes of Brian2's network. Rules are then checked against both.
"""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from brian2 import Hz, ms
from conftest import Loop
from scipy import stats

from rwta_sim.circuit.decision import choose_action
from rwta_sim.circuit.evidence import History
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.exact import ExactNetwork, ExactProcess, cosines, update_moments
from rwta_sim.learning import Decision
from rwta_sim.learning.critics import Fourier
from rwta_sim.learning.critics.linear import LinearTD
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.rules import RSTDP, LastStep, RMax, ScoreFunction, TraceSTDP

FEED_FORWARD = {"blocks": ("sh", "ha"), "symmetric": False}
SETTLED = MeanFieldSpec(iterations=10_000, tolerance=1e-14, damping=0.5)
POISSON = {"firing": "poisson", "rho_hat": 500 * Hz}


def small(seed=0, sd=1.0, inputs=3, actions=2, **changes):
    """A wiring of a few neurons, random weights and biases."""
    kernel = Exponential(tau=3 * ms)
    spec = NetworkSpec(**{"hidden_circuits": 2, "hidden_size": 2, "kernel": kernel, "weight_sd": sd, **changes})
    wiring = Wiring(spec, inputs, actions)
    rng = np.random.default_rng(seed)
    return wiring, wiring.initial_weights(rng), rng.normal(0, 0.3, wiring.n_neurons)


def differences(wiring, weights, b, value, every=1, step=1e-5):
    """Central differences of value(weights, b); a mirrored weight moves with its image.

    NaN for all but each `every`-th weight, and below the diagonal of mirrored weights.
    """
    found = {name: np.zeros_like(w) for name, w in weights.items()} | {"b": np.zeros_like(b)}
    number = itertools.count()
    for p in [*wiring.projections, None]:
        name = p.name if p else "b"
        mirrored = p is not None and wiring.spec.symmetric and p.mirrors(p)
        for index in np.ndindex(found[name].shape):
            if p is not None and p.mask is not None and not p.mask[index]:
                continue
            if (mirrored and index[0] > index[1]) or next(number) % every:
                found[name][index] = np.nan
                continue
            values = []
            for change in (step, -step):
                moved = {key: w.copy() for key, w in {**weights, "b": b}.items()}
                moved[name][index] += change
                if mirrored:
                    moved[name].T[index] = moved[name][index]
                values.append(value({key: moved[key] for key in weights}, moved["b"]))
            found[name][index] = (values[0] - values[1]) / (2 * step)
    return found


def close(found, expected, atol):
    """Where `expected` is known."""
    for name, values in expected.items():
        known = ~np.isnan(values)
        assert known.any()
        np.testing.assert_allclose(found[name][known], values[known], atol=atol, err_msg=name)


# -- the energy model ------------------------------------------------------------------------------


def test_probabilities_written_out():
    """Three circuits of three, by loops over winners and pairs."""
    wiring, weights, b = small(hidden_size=3, actions=3)
    exact, s = ExactNetwork(wiring, weights, b), np.array([0.3, 1.0, 0.0])
    ways = list(itertools.product(range(3), range(3, 6), range(6, 9)))
    energies = []
    for way in ways:
        energy = sum(b[i] + s @ weights["s"][:, i] for i in way)
        energies.append(energy + sum(weights["r"][i, j] for i, j in itertools.combinations(way, 2)))
    p = np.exp(energies) / np.exp(energies).sum()
    assert len(exact.states) == 27
    for state, probability in zip(exact.states, exact.distribution(s), strict=True):
        assert probability == pytest.approx(p[ways.index(tuple(np.flatnonzero(state)))], rel=1e-12)
    expected = [sum(x for x, way in zip(p, ways, strict=True) if way[2] == a) for a in (6, 7, 8)]
    np.testing.assert_allclose(exact.policy(s), expected, rtol=1e-12)
    assert exact.log_z(s) == pytest.approx(math.log(np.exp(energies).sum()), rel=1e-12)


@pytest.mark.parametrize("blocks", [("sh", "sa", "hh", "ha", "ah"), ("sh", "ha", "ah")])
def test_policy_gradient_by_differences(blocks):
    """To 1e-8, between the rounding and the truncation error of a difference with steps of 1e-5 (both ~1e-10)."""
    wiring, weights, b = small(hidden_size=3, actions=3, blocks=blocks)
    s, a = np.array([0.3, 1.0, 0.0]), np.array([1.0, -0.5, 0.2])
    if "hh" in blocks:
        expected = differences(wiring, weights, b, lambda w, c: ExactNetwork(wiring, w, c).policy(s) @ a)
        close(ExactNetwork(wiring, weights, b).policy_gradient(s, a), expected, 1e-8)
        return
    # "ha" and "ah" are two projections of the same weights.
    weights["ah"] = weights["ha"].T.copy()

    def shared(w, c):
        return ExactNetwork(wiring, {**w, "ah": w["ha"].T}, c).policy(s) @ a

    found = ExactNetwork(wiring, weights, b).policy_gradient(s, a)
    assert np.array_equal(found["ah"], found["ha"].T)
    expected = differences(wiring, weights, b, shared)
    del expected["ah"]
    close(found, expected, 1e-8)


def fixed_point(wiring, weights, b, s):
    """Mean field in double precision, shape (n_neurons,)."""
    found = MeanField(wiring, SETTLED, np.float64).infer(s[None], weights, b)
    assert found.converged.all()
    return found.q[0]


def elbo(wiring, weights, b, s, q):
    """E_q[E] + H(q): there are no weights within a circuit, so E_q[v_i v_j] = q_i q_j."""
    return 0.5 * q @ weights["r"] @ q + s @ weights["s"] @ q + b @ q - q @ np.log(q)


def test_kl_is_what_the_evidence_bound_lacks():
    wiring, weights, b = small(hidden_size=3, actions=3)
    exact, s, rng = ExactNetwork(wiring, weights, b), np.array([0.3, 1.0, 0.0]), np.random.default_rng(1)
    best = fixed_point(wiring, weights, b, s)
    for q in [best, *rng.dirichlet(np.ones(3), (20, 3)).reshape(20, 9)]:
        kl = exact.kl(q, s)
        assert kl == pytest.approx(exact.log_z(s) - elbo(wiring, weights, b, s, q), abs=1e-12)
        assert kl >= exact.kl(best, s) > 0


def test_kl_of_independent_circuits():
    """Without weights among neurons p is factorised, the mean field is it, and a sure q is sure to be worse."""
    wiring, weights, b = small(blocks=("sh", "sa"))
    exact, s = ExactNetwork(wiring, weights, b), np.ones(3)
    assert exact.kl(exact.marginals(s), s) == pytest.approx(0, abs=1e-12)
    sure = exact.states[3]
    assert exact.kl(sure, s) == pytest.approx(-math.log(exact.distribution(s)[3]))


def test_mean_field_error_is_of_second_order():
    """In the weights w among neurons: naive mean field leaves out terms of order w^2 (Plefka 1982).

    Powers of w between scales 0.02 and 0.04 (biases and inputs kept), mean over five networks: 2 for KL and for the
    marginals, to 0.1, since terms of third order are a few per cent of those of the second at such weights. At
    0.02 the marginals agree to 1e-4.
    """
    s, powers = np.array([0.3, 1.0, 0.0]), []
    for seed in range(5):
        wiring, weights, b = small(seed, hidden_size=3, actions=3)
        gaps = []
        for scale in (0.02, 0.04):
            scaled = {"s": weights["s"], "r": scale * weights["r"]}
            exact = ExactNetwork(wiring, scaled, b)
            q = fixed_point(wiring, scaled, b, s)
            gaps.append((exact.kl(q, s), np.abs(q - exact.marginals(s)).max()))
        assert gaps[0][1] < 1e-4
        powers.append(np.log2(gaps[1]) - np.log2(gaps[0]))
    np.testing.assert_allclose(np.mean(powers, axis=0), 2, atol=0.1)


def mean_field_gradient(wiring, weights, b, s, a, depth):
    """Of sum_a q_a A(a), through the last `depth` mean-field steps."""
    q = fixed_point(wiring, weights, b, s)
    score, policy = np.zeros((1, len(q))), q[wiring.action]
    score[0, wiring.action] = policy * (a - policy @ a)
    post = MeanField(wiring, None, np.float64).adjoint(q[None], score, weights, depth)[0]
    among = np.outer(q, post) * (wiring.circuit[:, None] != wiring.circuit)
    return {"s": np.outer(s, post), "r": among + among.T, "b": post}


def test_two_mean_field_steps_reach_the_hidden_neurons():
    """Mean cosines to the exact policy gradient over ten networks of weak weights (standard deviation 0.1).

    Depth 1, the last-step approximation, says nothing to hidden neurons. Depth 2 does, and what is left is the
    error of the mean field itself, of first order in the weights (cosines 0.998 and more; measured here 0.9993), so
    that going deeper makes no difference above 1e-3.
    """
    s, a, found = np.array([0.3, 1.0, 0.0]), np.array([1.0, -0.5, 0.2]), []
    for seed in range(10):
        wiring, weights, b = small(seed, sd=0.1, hidden_size=3, actions=3)
        exact = ExactNetwork(wiring, weights, b).policy_gradient(s, a)
        gradients = [mean_field_gradient(wiring, weights, b, s, a, depth) for depth in (1, 2, 5, 1000)]
        assert not gradients[0]["s"][:, wiring.hidden].any() and exact["s"][:, wiring.hidden].any()
        angles = [cosines(wiring.spec, g, exact) for g in gradients]
        assert math.isnan(angles[0]["sh"]) and math.isnan(angles[0]["hh"])
        found.append([(angle["sh"], angle["all"]) for angle in angles])
    (_, one), *deeper = np.mean(found, axis=0)
    assert one < 0.999 < min(whole for _, whole in deeper)
    assert min(hidden for hidden, _ in deeper) > 0.998
    assert np.ptp(deeper, axis=0).max() < 1e-3


def test_what_cannot_be_enumerated():
    wiring, weights, b = small(hidden_circuits=12, hidden_size=3)
    with pytest.raises(ValueError, match=r"1.06e\+06 states are too many to enumerate, at most 262144"):
        ExactNetwork(wiring, weights, b)
    wiring, weights, b = small()
    with pytest.raises(ValueError, match=r"1.07e\+09 histories are too many .* fewer steps"):
        ExactProcess(wiring, weights, b, np.ones(3), 10)
    wiring, weights, b = small(**FEED_FORWARD)
    with pytest.raises(ValueError, match="not symmetric, so there is no energy"):
        ExactNetwork(wiring, weights, b)


def test_bad_input():
    wiring, weights, b = small()
    exact = ExactNetwork(wiring, weights, b)
    with pytest.raises(ValueError, match=r"drive of shape \(2,\), expected 3"):
        exact.policy(np.ones(2))
    with pytest.raises(ValueError, match="must be probabilities that sum to 1"):
        exact.kl(np.ones(6), np.ones(3))
    with pytest.raises(ValueError, match="this wiring needs"):
        ExactNetwork(wiring, {"s": weights["s"]}, b)
    with pytest.raises(ValueError, match=r"biases of shape \(5,\)"):
        ExactNetwork(wiring, weights, b[:5])
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        ExactProcess(wiring, weights, b, np.array([0, 2, 0]), 2)
    with pytest.raises(ValueError, match="steps = 0"):
        ExactProcess(wiring, weights, b, np.ones(3), 0)


# -- the spiking process ---------------------------------------------------------------------------

CASES = {
    "symmetric": ({}, [1, 0, 1], 4, "last_spike"),
    "three_by_three": ({"hidden_size": 3, "actions": 3}, [1, 0, 1], 3, "last_spike"),
    "feed_forward": (FEED_FORWARD, [1, 0.5, 0], 3, "last_spike"),
    "rectangular": ({"kernel": Rectangular(duration=2 * ms)}, [1, 0, 1], 4, "most_spikes"),
    "rise": ({"kernel": DoubleExponential(tau=3 * ms, tau_rise=1 * ms)}, [1, 0, 1], 4, "last_spike"),
    "poisson": ({**POISSON, "hidden_circuits": 1, "inputs": 1}, [1], 2, "last_spike"),
    "poisson_counts": ({**POISSON, "hidden_circuits": 1, "inputs": 1}, [1], 2, "most_spikes"),
}


@pytest.mark.parametrize("case", CASES)
def test_process_gradient_by_differences(case):
    """The score-function sum over histories is the derivative of the enumerated E[A]; tolerance as above."""
    changes, drive, steps, decoder = CASES[case]
    wiring, weights, b = small(**changes)
    a = np.array([1.0, -0.5, 0.2])[: wiring.n_actions]

    def process(w, c):
        return ExactProcess(wiring, w, c, np.array(drive, float), steps, decoder)

    whole = process(weights, b)
    assert whole.probability.sum() == pytest.approx(1, abs=1e-12)
    found = whole.gradient(a)
    assert min(np.abs(g).max() for g in found.values()) > 1e-3
    every = 1 if len(whole.probability) < 10_000 else 4
    close(found, differences(wiring, weights, b, lambda w, c: process(w, c).policy() @ a, every), 1e-8)


def test_long_kernels_make_the_process_a_mean_field():
    """A trace of one spike per step that forgets nothing tends to q: here from below, as traces start at zero.

    With as many steps as the rectangle is long, the action's inputs are means over all earlier steps, so without
    weights among neurons every step has the q of the mean field.
    """
    wiring, weights, b = small(blocks=("sh", "sa"), kernel=Rectangular(duration=1 * ms))
    s = np.array([1.0, 0.0, 1.0])
    q = ExactProcess(wiring, weights, b, s, 3).marginals()
    np.testing.assert_allclose(q, ExactNetwork(wiring, weights, b).marginals(s), atol=1e-12)


# -- rules, by enumeration -------------------------------------------------------------------------


def rule_moments(wiring, weights, b, drive, steps, rules, a):
    """The process, its exact gradient, and the moments of each rule; modulation A - E[A]."""
    process = ExactProcess(wiring, weights, b, np.array(drive, float), steps)
    centred = a - process.policy() @ a
    made = [rule.make(wiring, steps, "last_spike") for rule in rules]
    return process.gradient(a), update_moments(process, made, centred)


@pytest.mark.parametrize("case", ["symmetric", "feed_forward", "rise", "poisson"])
def test_score_function_is_unbiased_and_causality_lowers_its_variance(case):
    """Over all histories, to rounding: mean exact with and without `causal`, variance of no weight higher with it."""
    changes, drive, steps, _ = CASES[case]
    wiring, weights, b = small(**changes)
    rules = [ScoreFunction(causal=True), ScoreFunction(causal=False)]
    exact, (causal, whole) = rule_moments(wiring, weights, b, drive, steps, rules, np.array([1.0, -0.5]))
    close(causal.mean, exact, 1e-12)
    close(whole.mean, exact, 1e-12)
    for name in exact:
        assert (causal.variance[name] <= whole.variance[name] + 1e-12).all()
    totals = [sum(v.sum() for v in moments.variance.values()) for moments in (causal, whole)]
    assert totals[0] < 0.9 * totals[1]


@pytest.mark.parametrize("case", ["symmetric", "feed_forward"])
def test_last_step_says_nothing_to_hidden_neurons(case):
    """E[A(a) (v_h - q_h)] = 0 given q, so over all histories too (to rounding), where the exact gradient is not zero.

    The same for weights among hidden neurons, and for what their biases learn. In a feed-forward network the rule is
    exact for hidden to action: what action neurons fired before has no effect.
    """
    changes, drive, steps, _ = CASES[case]
    wiring, weights, b = small(**changes)
    exact, (last,) = rule_moments(wiring, weights, b, drive, steps, [LastStep()], np.array([1.0, -0.5]))
    blocks = {**wiring.spec.split_blocks({n: last.mean[n] for n in weights}), "b": last.mean["b"][wiring.hidden]}
    truth = {**wiring.spec.split_blocks({n: exact[n] for n in weights}), "b": exact["b"][wiring.hidden]}
    for block in blocks.keys() & {"sh", "hh", "b"}:
        assert np.abs(blocks[block]).max() < 1e-14 and np.abs(truth[block]).max() > 3e-3
    if case == "feed_forward":
        np.testing.assert_allclose(blocks["ha"], truth["ha"], atol=1e-14)
    else:
        assert 0.5 < cosines(wiring.spec, last.mean, exact)["ha"] < 0.999


def test_who_follows_the_gradient_in_one_hot_firing():
    """Cosines of expected updates to the exact gradient, both summed over two patterns of the inputs.

    Trace STDP and R-max over the whole decision are the score function then; a last step alone is no gradient, and
    neither is pair-based R-STDP, which in a symmetric network has nothing to say but to weights from inputs.
    """
    wiring, weights, b = small(hidden_circuits=1, hidden_size=3, inputs=2, blocks=("sh", "hh", "ha", "ah"))
    rules = [ScoreFunction(), TraceSTDP(), RMax(), LastStep(), RSTDP()]
    sums = [dict.fromkeys(("sh", "r", "b"), 0.0) for _ in range(len(rules) + 1)]
    for drive, a in zip(np.eye(2), np.array([[1.0, -1.0], [-1.0, 1.0]]), strict=True):
        exact, moments = rule_moments(wiring, weights, b, drive, 3, rules, a)
        for total, part in zip(sums, [exact, *(m.mean for m in moments)], strict=True):
            for name in total:
                total[name] = total[name] + part[name]
    found = [cosines(wiring.spec, update, sums[0]) for update in sums[1:]]
    for exact_rule in found[:3]:
        assert min(exact_rule.values()) > 1 - 1e-12
    assert math.isnan(found[3]["sh"]) and 0.5 < found[3]["all"] < 0.995
    assert found[4]["sh"] < 0.9 and math.isnan(found[4]["ha"]) and math.isnan(found[4]["b"])


def test_who_follows_the_gradient_in_poisson_firing():
    """Half a spike per circuit and step: only the score function is exact. R-max, for which neurons are independent,
    is off in direction; trace STDP, exact as dt -> 0, is too short here, by about a third (0.69 of it)."""
    wiring, weights, b = small(hidden_circuits=1, inputs=1, **POISSON)
    rules = [ScoreFunction(), TraceSTDP(), RMax(), RSTDP()]
    exact, moments = rule_moments(wiring, weights, b, [0], 3, rules, np.array([1.0, -0.5]))
    score, trace, r_max, r_stdp = (m.mean for m in moments)
    close(score, exact, 1e-12)
    assert 0.6 < np.linalg.norm(flat(trace)) / np.linalg.norm(flat(exact)) < 0.75
    assert cosines(wiring.spec, trace, exact)["all"] > 0.999 > cosines(wiring.spec, r_max, exact)["all"]
    assert cosines(wiring.spec, r_stdp, exact)["all"] < 0.5


# -- rules, from the spikes of Brian2's network ----------------------------------------------------


def updater(wiring, rule):
    """A learner for its `gradient`, which lays out factors as weights; its critic and weights do not matter."""
    critic = LinearTD(Fourier(), lambda features: features, np.zeros(1), np.ones(1))
    weights = Weights(wiring, {p.name: np.zeros(p.shape) for p in wiring.projections}, np.zeros(wiring.n_neurons))
    return Learner(LearningSpec(), critic, weights, rule)


class Played:
    """Many decisions of independent copies of a small network, side by side in one Brian2 network.

    The copies' circuits, action circuits too, are hidden circuits of the large network, joined by a block-diagonal
    matrix, so hidden and action circuits must be of one size. Each copy has inputs of its own.

    Attributes
    ----------
    decisions, counts : list
        What was played, without repetition, and how often. All randomness follows from `seed`.
    """

    def __init__(self, wiring, weights, b, drive, steps, rounds, copies=24, seed=0):
        self.wiring, self.steps = wiring, steps
        spec, circuits = wiring.spec, len(wiring.starts) - 1
        assert spec.hidden_size == wiring.n_actions
        changes = {"hidden_circuits": copies * circuits, "blocks": ("sh", "hh"), "weight_sd": 0.0}
        large = NetworkSpec(**{**dict(spec), **changes})
        loop = Loop(large, copies * wiring.n_inputs, 1, seed=seed, history=steps)
        among, from_inputs = np.zeros((wiring.n_neurons,) * 2), np.zeros((wiring.n_inputs, wiring.n_neurons))
        for p in wiring.projections:
            (from_inputs if p.origin == "inputs" else among)[p.source, p.target] = weights[p.name]
        each = np.eye(copies)
        loop.arrays.set_weights(
            {"sh": np.kron(each, from_inputs), "hh": np.kron(each, among), "b": np.append(np.tile(b, copies), 0.0)}
        )
        loop.arrays.p[:] = np.tile(large.input_probability(drive), copies)
        self.drive, self._copies, self._rng = drive, copies, np.random.default_rng(seed)
        self._found: dict[bytes, list] = {}

        def begin():
            loop.arrays.clear()
            loop.arrays.begin_decision()

        def end():
            self._keep(History(*map(np.asarray, loop.arrays.history())))
            begin()
            return True

        begin()
        loop.engine.run(rounds, end, steps)
        self.decisions, self.counts = zip(*self._found.values(), strict=True)

    def _keep(self, history):
        n, i = self.wiring.n_neurons, self.wiring.n_inputs
        for copy in range(self._copies):
            rows = {"input_trace": i, "input_spikes": i, "trace": n, "spikes": n, "q": n}
            one = History(**{k: getattr(history, k)[:, copy * m : (copy + 1) * m] for k, m in rows.items()})
            action = self._action(one)
            found = self._found.setdefault(key(one, action), [None, 0])
            if found[0] is None:
                found[0] = self._decision(History(*(r.copy() for r in one)), action)
            found[1] += 1

    def _action(self, history):
        fired = history.spikes[:, self.wiring.action]
        when = np.flatnonzero(fired.any(axis=1))
        last = fired[when[-1]] / fired[when[-1]].sum() if when.size else np.zeros(fired.shape[1])
        return choose_action("last_spike", last, fired.sum(axis=0), history.q[-1, self.wiring.action], self._rng)

    def _decision(self, history, action):
        wiring = self.wiring
        v = history.spikes[-1].copy()  # of one_hot firing; rules for poisson firing here read the history only
        v[wiring.action] = np.arange(wiring.n_actions) == action
        policy = history.q[-1, wiring.action]
        spoke = np.ones(wiring.n_neurons)
        trace = history.input_trace[-1], history.trace[-1]
        return Decision(self.drive, *trace, history.q[-1], v, spoke, action, policy, 0.5, history=history)

    def mean_update(self, rule, advantage):
        """Mean of A(action) e over all decisions played, and its standard error, of all weights in one array."""
        learner, total, squares = updater(self.wiring, rule), 0.0, 0.0
        for decision, count in zip(self.decisions, self.counts, strict=True):
            gradients = learner.gradient(rule.factors(decision).times(advantage[decision.action]))
            e = np.concatenate([g.ravel() for g in gradients])
            total, squares = total + count * e, squares + count * e**2
        n = sum(self.counts)
        return total / n, np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0) / n)


def key(history, action):
    return history.spikes.tobytes() + history.input_spikes.tobytes() + bytes([action])


def flat(by_name):
    return np.concatenate([np.ravel(by_name[name]) for name in by_name])


FAST = {"kernel": Exponential(tau=1 * ms)}
SAMPLED = {
    "symmetric": ({**FAST, "inputs": 2}, [1, 0.5], 3),
    "feed_forward": ({**FAST, **FEED_FORWARD, "inputs": 2}, [1, 0.5], 3),
    "poisson": ({**FAST, **POISSON, "hidden_circuits": 1, "inputs": 1}, [1], 3),
}
ROUNDS = 800
#: The false-alarm rate of each statistical statement below, over all weights (Bonferroni).
ALPHA = 1e-3


@pytest.fixture(scope="module", params=SAMPLED)
def sampled(request):
    """19,200 decisions of Brian2's network, the enumeration of the same network, and A - E[A]."""
    changes, drive, steps = SAMPLED[request.param]
    wiring, weights, b = small(seed=4, **changes)
    drive = np.array(drive, dtype=float)
    process = ExactProcess(wiring, weights, b, drive, steps)
    a = np.array([1.0, -0.5])
    return Played(wiring, weights, b, drive, steps, ROUNDS), process, a - process.policy() @ a


def test_brian_plays_what_is_enumerated(sampled):
    """Pearson's chi-square of the histories with their actions, cells expected less than five times put in one.

    Rejects a correct simulator with probability ALPHA. The traces and probabilities that Brian2 recorded are those of
    the enumeration, to rounding.
    """
    played, process, _ = sampled
    rows = process.history
    number = {
        key(History(None, rows.input_spikes[h], None, rows.spikes[h], None), a): (h, a)
        for h, a in zip(*np.nonzero(process.action_chances), strict=True)
    }
    n = sum(played.counts)
    expected, seen = n * process.probability[:, None] * process.action_chances, np.zeros(process.action_chances.shape)
    for decision, count in zip(played.decisions, played.counts, strict=True):
        h, a = number[key(decision.history, decision.action)]
        seen[h, a] = count
        for name in ("input_trace", "trace", "q"):
            np.testing.assert_allclose(getattr(decision.history, name), getattr(rows, name)[h], atol=1e-12)
    assert n == 24 * ROUNDS == seen.sum()
    rare = expected < 5
    cells = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    assert len(cells[0]) > 50
    chi_square = ((cells[0] - cells[1]) ** 2 / cells[1]).sum()
    assert chi_square < stats.chi2.isf(ALPHA, len(cells[0]) - 1)


def z_scores(distance, error):
    """distance / error where there is an error; where nothing varies there must be no distance."""
    varies = error > 1e-12
    assert np.abs(distance[~varies]).max(initial=0) < 1e-12
    return distance[varies] / error[varies]


@pytest.mark.parametrize("causal", [True, False])
def test_score_function_from_spikes_is_unbiased(sampled, causal):
    """The mean of A e over 19,200 decisions is the exact gradient, within confidence limits for all weights together.

    |z| < Phi^-1(1 - ALPHA/2m) for each of m weights, about 4: false-alarm rate ALPHA. And the test can tell: some
    weight's z to zero in place of its gradient is above 20, so a bias of a fifth of the gradient would be found there.
    """
    played, process, a = sampled
    rule = ScoreFunction(causal=causal).make(process.wiring, process.steps, "last_spike")
    mean, error = played.mean_update(rule, a)
    z = z_scores(mean - flat(process.gradient(a)), error)
    assert np.abs(z).max() < NormalDist().inv_cdf(1 - ALPHA / (2 * z.size))
    assert np.abs(z_scores(mean, error)).max() > 20


@pytest.mark.parametrize("sampled", [name for name in SAMPLED if name != "poisson"], indirect=True)
def test_last_step_from_spikes_says_nothing_to_hidden_neurons(sampled):
    """Weights from inputs to hidden neurons, 8 of them: mean of A e zero within limits, and not the gradient.

    Limits as above, false-alarm rate ALPHA. The exact gradient is more than 6 standard errors away. Not in poisson
    firing, where v is the last spike of the decision, which is not drawn from the last q.
    """
    played, process, a = sampled
    wiring = process.wiring
    mean, error = played.mean_update(LastStep().make(wiring, process.steps, "last_spike"), a)
    exact = process.gradient(a)
    where = {name: np.zeros(g.shape, bool) for name, g in exact.items()}
    where[next(p.name for p in wiring.projections if p.origin == "inputs")][:, wiring.hidden] = True
    hidden = flat(where)
    z = z_scores(mean[hidden], error[hidden])
    assert z.size == 8 and np.abs(z).max() < NormalDist().inv_cdf(1 - ALPHA / 16)
    away = z_scores(mean[hidden] - flat(exact)[hidden], error[hidden])
    assert np.abs(away).max() > 6
