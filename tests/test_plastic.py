"""Rules as Brian2 equations of synapses, against the same rules by factors, from the same spikes."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, StateMonitor, ms
from conftest import poisson_spec

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.config import from_toml, to_toml
from rwta_sim.learning import Decision, Learner, LearningSpec, PlasticSynapse
from rwta_sim.learning.rules import RSTDP, LastStep, RMax, ScoreFunction, TraceSTDP

STEPS = 12
ONE_HOT = NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=3 * ms), weight_sd=0.8)
POISSON = poisson_spec(hidden_circuits=2, hidden_size=3, weight_sd=0.8, rho_hat=300 * Hz)
DOUBLE = DoubleExponential(tau=4 * ms, tau_rise=1.5 * ms)
RECTANGLE = Rectangular(duration=3 * ms)


def with_(spec, **changes):
    return NetworkSpec(**{**spec.model_dump(), **changes})


class Plastic:
    """A network whose synapses keep eligibilities, and which records the history that factors need."""

    def __init__(self, spec, rule, steps=STEPS, engine=None, each_decision=True, changes=None, decoder="last_spike"):
        self.engine = RuntimeEngine("numpy") if engine is None else engine
        self.spec, self.steps, self.each_decision = spec, steps, each_decision
        self.plasticity = rule.equations(spec).changed(changes or PlasticSynapse())
        with self.engine.building():
            rng = np.random.default_rng(3)
            self.network = RWTANetwork(spec, 3, 2, rng=rng, history=steps, plasticity=self.plasticity)
        self.rule = rule.make(self.network, steps, decoder)

    def start(self):
        self.engine.prepare(self.network.network)
        self.engine.seed(np.random.SeedSequence(5))
        self.arrays = NetworkArrays(self.network, self.engine)
        self.arrays.gate(self.rule.first, self.rule.last, self.steps)
        self.rng = np.random.default_rng(7)
        return self

    def begin(self):
        self.arrays.p[:] = self.spec.input_probability(self.rng.random(3))
        if self.each_decision:
            self.arrays.clear()
        self.arrays.begin_decision()

    def end(self):
        """The decision; its action is drawn anew, so that it need not be the neuron that spiked."""
        arrays, where = self.arrays, self.network.action
        v, action = arrays.last_spikes(), int(self.rng.integers(2))
        v[where] = np.arange(2) == action
        return Decision(
            drive=arrays.p.copy(),
            input_trace=arrays.input_trace(),
            trace=arrays.trace(),
            q=arrays.q.copy(),
            v=v,
            spoke=arrays.spoke(v),
            action=action,
            policy=arrays.q[where].copy(),
            policy_entropy=0.5,
            history=arrays.history(),
            eligibility=arrays.eligibility(),
        )

    def decisions(self, count):
        made = []

        def on_decision():
            made.append(self.end())
            self.begin()
            return True

        self.begin()
        self.engine.run(count, on_decision, self.steps)
        return made

    def gradients(self, decision):
        """By factors and by synapses."""
        both = []
        for apply in ("factors", "synapses"):
            spec = LearningSpec.model_construct(apply=apply)
            learner = Learner(spec, None, self.arrays, self.rule)
            both.append([g.copy() for g in learner.gradient(learner.factors(decision).times(0.7))])
        return both


def check(plastic, count=4, rtol=1e-9):
    """Every gradient of every decision by factors is that by synapses.

    In single precision sums of a dozen terms differ by so many units in the last place.
    """
    largest = 0.0
    rtol = max(rtol, 12 * np.finfo(np.float32).eps) if plastic.spec.precision == "single" else rtol
    for decision in plastic.start().decisions(count):
        for factors, synapses in zip(*plastic.gradients(decision), strict=True):
            np.testing.assert_allclose(synapses, factors, rtol=rtol, atol=rtol)
            largest = max(largest, np.abs(factors).max())
    assert largest > 0.1  # there was something to compare


RULES = [TraceSTDP(), ScoreFunction(), RMax(), RSTDP(a_plus=0.7, a_minus=0.4)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@pytest.mark.parametrize("spec", [ONE_HOT, POISSON], ids=["one_hot", "poisson"])
def test_synapses_give_what_factors_give(rule, spec):
    check(Plastic(spec, rule.model_copy(update={"window": 5, "tau_e": 15 * ms})))


@pytest.mark.parametrize(
    "plastic",
    [
        lambda: Plastic(with_(ONE_HOT, symmetric=False), ScoreFunction(causal=False)),
        lambda: Plastic(with_(ONE_HOT, symmetric=False, blocks=("sh", "ha")), ScoreFunction()),
        lambda: Plastic(with_(POISSON, blocks=("sh", "ha", "ah")), ScoreFunction()),
        lambda: Plastic(with_(ONE_HOT, blocks=("sa",), hidden_circuits=0), RMax()),
        lambda: Plastic(with_(ONE_HOT, inhibition="equations", precision="single"), TraceSTDP()),
        lambda: Plastic(ONE_HOT, LastStep()),
    ],
    ids=["asymmetric", "feed_forward", "two_matrices", "no_hidden", "equations", "last_step"],
)
def test_in_other_networks(plastic):
    check(plastic())


@pytest.mark.parametrize("kernel", [Exponential(tau=3 * ms), DOUBLE, RECTANGLE], ids=lambda kernel: kernel.kind)
@pytest.mark.parametrize("each_decision", [True, False], ids=["cleared", "alive"])
def test_with_every_kernel_and_with_traces_alive_at_the_start(kernel, each_decision):
    rule = TraceSTDP(tau_e=10 * ms) if each_decision else RMax()
    check(Plastic(with_(POISSON, kernel=kernel, blocks=("sh", "ha", "ah")), rule, each_decision=each_decision))


def test_decisions_of_two_hundred_time_constants():
    """Without settling in mid-decision the accounts would grow to exp(200) and nothing be left of the eligibility."""
    check(Plastic(with_(ONE_HOT, kernel=DOUBLE), RMax(tau_e=50 * ms), steps=300), count=1)


def test_eligibility_can_be_watched_while_it_grows():
    """At the end of each step it is the sum so far, also between the events that update its synapse."""
    plastic = Plastic(POISSON, TraceSTDP(tau_e=10 * ms)).start()
    synapses, seen = plastic.network.synapses["s"], []
    plastic.begin()
    plastic.engine.run(STEPS, lambda: seen.append(plastic.engine.view(synapses, "eligibility")) is None, 1)

    settling = Plastic(POISSON, TraceSTDP(tau_e=10 * ms), changes=PlasticSynapse(large="True"))
    network = settling.network
    monitor = StateMonitor(network.synapses["s"], "balance", record=True, clock=network.clock, when="end")
    network.network.add(monitor)
    history = settling.start().decisions(1)[0].history

    np.testing.assert_array_equal(plastic.arrays.history().spikes, history.spikes)
    post = history.spikes - history.q * plastic.network.circuit_sum(history.spikes)
    e = np.zeros((3, 8))
    for t in range(STEPS):
        e = e * np.exp(-1 / 10) + np.outer(history.input_trace[t], post[t])
        np.testing.assert_allclose(seen[t].reshape(3, 8), e, atol=1e-11)
        np.testing.assert_allclose(monitor.balance[:, t].reshape(3, 8), e, atol=1e-11)
    paused = np.array(synapses.eligibility[:])  # when the clock has ticked
    np.testing.assert_allclose(paused.reshape(3, 8), e, atol=1e-11)
    assert np.abs(e).max() > 0.1


def test_nothing_is_done_per_synapse_and_step():
    """The only code that runs over synapses is that of pathways, which wait for events."""
    network = Plastic(ONE_HOT, TraceSTDP(tau_e=15 * ms)).network
    for synapses in network.synapses.values():
        assert synapses.state_updater is None and not synapses.summed_updaters
        assert {pathway.event for pathway in synapses._pathways} == {"spike", "settle"}


def test_the_compiled_engine_gives_the_same():
    """Spikes of two decisions are those of the runtime engine, and eligibilities agree."""
    spec = with_(POISSON, hidden_circuits=1)
    both = [
        Plastic(spec, ScoreFunction(tau_e=10 * ms), engine=engine, each_decision=False).start()
        for engine in (RuntimeEngine("numpy"), CompiledEngine())
    ]
    for runtime, compiled in zip(*(plastic.decisions(2) for plastic in both), strict=True):
        np.testing.assert_array_equal(compiled.history.spikes, runtime.history.spikes)
        for mine, theirs in zip(compiled.eligibility.weights, runtime.eligibility.weights, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)
            assert np.abs(theirs).max() > 0.1
    for plastic in both:
        plastic.engine.advance(5)  # into the third decision
    runtime, compiled = (p.engine.view(p.network.synapses["s"], "eligibility") for p in both)
    np.testing.assert_allclose(compiled, runtime, rtol=1e-9, atol=1e-10)
    assert np.abs(runtime).max() > 0.1


# -- training ----------------------------------------------------------------------------------------------

ADVANTAGE = {"learning.modulation.kind": "episode_advantage", "learning.batch": 2, "decision.clear": "episode"}


def trained(experiment, folder):
    rwta_sim.train(experiment.changed({"seed": 1, "training.episodes": 5, "training.validation_episodes": 1}), folder)
    arrays = rwta_sim.RunFolder.open(folder).last().arrays
    return {name: a for name, a in arrays.items() if name.startswith("weight") or name == "bias"}


@pytest.mark.parametrize(
    "changes",
    [
        {"learning.rule.kind": "trace_stdp", "learning.rule.tau_e": "20 ms"},
        {"learning.rule.kind": "last_step", **ADVANTAGE},
    ],
    ids=["td_error", "episode_advantage"],
)
def test_a_training_ends_with_the_same_weights(cue, tmp_path, changes):
    """To 1e-9 after 100 decisions, where they are about 0.1 to 0.6."""
    cue = cue.changed(changes)
    by = {apply: trained(cue.changed({"learning.apply": apply}), tmp_path / apply) for apply in ("factors", "synapses")}
    for name, weights in by["factors"].items():
        assert np.abs(weights).max() > 0.05
        np.testing.assert_allclose(by["synapses"][name], weights, rtol=0, atol=1e-9)


def test_changed_equations_change_what_is_learned():
    half = PlasticSynapse(on_post="balance += 0.5*gate_post*x_seen_pre")
    twice = PlasticSynapse(on_circuit="B_post += 2*gate_post*q_post", neuron="B : 1")
    plain, less, more = (
        Plastic(ONE_HOT, TraceSTDP(), changes=changes).start().decisions(1)[0] for changes in (None, half, twice)
    )
    history = plain.history
    up, down = history.input_trace.T @ history.spikes, history.input_trace.T @ history.q
    for decision, expected in ((plain, up - down), (less, 0.5 * up - down), (more, up - 2 * down)):
        np.testing.assert_array_equal(decision.history.spikes, history.spikes)
        np.testing.assert_allclose(decision.eligibility.weights[0], expected, atol=1e-9)
    assert plain.eligibility.bias.any() and not more.eligibility.bias.any()  # its equations have none


def test_variables_of_ones_own_start_from_zero():
    own = PlasticSynapse(
        synapse="balance : 1\nspikes : 1", on_pre="spikes += 1", on_post="balance += spikes", settle="", neuron="n : 1"
    ).model_copy(update={"on_circuit": "", "each_step": "n += 1", "large": "", "settled": ""})
    plastic = Plastic(with_(ONE_HOT, blocks=("sa",), hidden_circuits=0), TraceSTDP(), changes=own).start()
    for decision in plastic.decisions(3):
        so_far = np.cumsum(decision.history.input_spikes, axis=0)
        expected = so_far.T @ decision.history.spikes
        np.testing.assert_array_equal(decision.eligibility.weights[0], expected)
    assert expected.any()


def test_equations_of_an_experiment(cue, tmp_path):
    changed = cue.changed(
        {"learning.rule.kind": "r_max", "learning.apply": "synapses", "learning.equations.on_post": "balance += 1"}
    )
    path = tmp_path / "config.toml"
    path.write_text(to_toml(changed))
    assert from_toml(path) == changed
    equations = changed.learning.plasticity(changed.network)
    assert equations.on_post == "balance += 1"
    assert equations.on_pre == RMax().equations(changed.network).on_pre == "balance += kappa_0 * B_post"
    assert "on_post:\n    balance += 1\n" in str(equations)
    assert rwta_sim.Agent(changed).system.network.plasticity == equations
    assert rwta_sim.Agent(cue).system.network.plasticity is None


# -- errors ------------------------------------------------------------------------------------------------

SYNAPSES = {"learning.apply": "synapses"}


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {**SYNAPSES, "learning.rule.presynaptic": "probabilities"},
            "presynaptic = 'probabilities' cannot be had from synapses.*learning.apply = 'factors'",
        ),
        (
            {**SYNAPSES, "network.firing": "poisson", "network.rho_hat": "100 Hz"},
            "last_step' in poisson firing.*trace_stdp.*learning.apply = 'factors'",
        ),
        ({"learning.equations.on_post": "balance += 1"}, "learning.equations.on_post .*only with learning.apply"),
        ({**SYNAPSES, "learning.equations.synapse": "c : 1"}, "need a variable balance.*'c : 1' has none"),
        ({**SYNAPSES, "learning.equations.neuron": "c = = 1"}, "learning.equations.neuron = 'c = = 1': not Brian2"),
        ({**SYNAPSES, "learning.equations.on_pst": "1"}, "did you mean 'on_post'"),
    ],
)
def test_what_synapses_cannot_do(cue, changes, message):
    with pytest.raises(ConfigError, match=message):
        cue.changed({"learning.rule.kind": "last_step", **changes})


def test_a_network_without_plasticity(cue):
    agent = rwta_sim.Agent(cue)
    with pytest.raises(ValueError, match="has no plasticity"):
        agent.system.actor.arrays.gate(np.zeros(4, int), np.zeros(4, int), 3)
    spec = LearningSpec.model_construct(apply="synapses")
    decision = Plastic(ONE_HOT, TraceSTDP()).start().decisions(1)[0]._replace(eligibility=None)
    learner = Learner(
        spec, None, agent.system.actor.arrays, TraceSTDP().make(agent.system.network, STEPS, "last_spike")
    )
    with pytest.raises(ValueError, match="needs a network with plasticity"):
        learner.factors(decision)
