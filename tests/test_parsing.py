"""Code of equations that a user gives: what is understood is passed on, and nothing else; names are checked."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from brian2 import Hz, ms
from conftest import poisson_spec

from rwta_sim import Agent
from rwta_sim.circuit import parsing
from rwta_sim.circuit.kernels import DoubleExponential, Rectangular
from rwta_sim.circuit.names import check_names, names_of
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import ConfigError, EngineError
from rwta_sim.learning import PlasticSynapse
from rwta_sim.learning.rules import RSTDP, RMax, ScoreFunction, TraceSTDP

RULES = [TraceSTDP(tau_e=20 * ms), ScoreFunction(), RMax(), RSTDP()]
SMALL = {"hidden_circuits": 1, "hidden_size": 4}
NETWORKS = {
    "plain": NetworkSpec(**SMALL),
    "rectangle": NetworkSpec(**SMALL, kernel=Rectangular(duration=3 * ms)),
    "some_blocks": NetworkSpec(
        **SMALL, kernel=DoubleExponential(tau=3 * ms, tau_rise=1 * ms), blocks=("sh", "ha", "ah")
    ),
    "details": poisson_spec(**SMALL, rho_hat=300 * Hz, refractory=2 * ms, noise=0.1, inhibition="equations"),
    "no_hidden": NetworkSpec(hidden_circuits=0, blocks=("sa",), inhibition="equations", refractory=1 * ms),
}


@pytest.mark.parametrize(
    "part, text, rendered",
    [
        ("on_post", "balance += gate_post*x_seen_pre", "balance += gate_post * x_seen_pre"),
        ("on_post", "\n\tw += 1;w=b  \n  n *= exp(- dt/(20*ms))", "w += 1\nw = b\nn *= exp(-dt / (20 * ms))"),
        ("on_post", "x = (a - (b - c))*d", "x = (a - (b - c)) * d"),
        ("on_post", "", ""),
        ("large", " abs(B) > 1e4 or\tTrue", "abs(B) > 10000.0 or True"),
        ("synapse", "\nx : 1\n\nr : hertz (constant, shared)", "x : 1\nr : second**-1 (constant, shared)"),
        ("synapse", "dx/dt = -x/(20*ms) : 1 (event-driven)", "dx/dt = -x / (20 * ms) : 1 (event-driven)"),
        (
            "neuron",
            "k = exp(\n  v) : volt\nb : boolean",
            "k = exp(v) : metre**2*kilogram*second**-3*amp**-1\nb : boolean",
        ),
    ],
)
def test_what_was_understood_is_passed_on(part, text, rendered):
    once = getattr(PlasticSynapse(**{part: text}), part)
    assert once == rendered
    assert getattr(PlasticSynapse(**{part: once}), part) == rendered


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_rules_mean_what_they_say(rule, network):
    """Rendered code has the syntax tree of the text that the rule gives."""
    texts = []

    class Recorded(PlasticSynapse):
        def __new__(cls, **given):
            texts.append(given)
            return super().__new__(cls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwta_sim.circuit.plasticity.PlasticSynapse", Recorded)
        rendered = rule.equations(network)
    for part, text in texts[0].items():
        if text and part not in ("synapse", "neuron"):
            assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(getattr(rendered, part)))


@pytest.mark.parametrize(
    "text, message",
    [
        ("balance += x_pre # more", "comments"),
        ("balance += x_pre\r", r"character '\\r'"),
        ("balance += x_pre\u2028y = 1", r"character '\\u2028'"),
        ("balance += \N{GREEK SMALL LETTER KAPPA}", r"character '\\u03ba'"),
        ("balance \\\n+= 1", "cannot be read"),
        ("balance += 'x'", "is not a number"),
        ("balance += [1][0]", "only arithmetic"),
        ("balance += x.real", "only arithmetic"),
        ("balance += {{ x }}", "only arithmetic"),
        ("balance += (lambda: 1)()", "is not a function"),
        ("balance += __import__('os').system('true')", "is not a function"),
        ("balance += clip(x_pre, 0, a_max=1)", "no keywords"),
        ("balance += 1 if x_pre > 0 else 2", "only arithmetic"),
        ("balance += 0 < x_pre < 1", "two things at a time"),
        ("balance += 9**9**9", "constant exponent"),
        ("balance += 2**101", "constant exponent"),
        ("balance += 1e999", "is not a number"),
        ("balance += 1j", "is not a number"),
        ("balance += 9999999999999999999", "64 bits"),
        ("balance += " + "-" * 60 + "x_pre", "nested"),
        ("balance += " + "(" * 400 + "x_pre" + ")" * 400, "cannot be read"),
        ("balance += 1" + " + 1" * 400, "shorten"),
        ("balance[0] = 1", "is not a statement"),
        ("a = b = 1", "is not a statement"),
        ("balance @= 1", "is not a statement"),
        ("import os", "is not a statement"),
        ("balance : 1", "is not a statement"),
        ("_x = 1", "no name"),
        ("balance += _x", "no name"),
        ("double = 1", "another meaning"),
        ("exp = 1", "another meaning"),
        ("ms = 1", "another meaning"),
    ],
)
def test_other_code_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsing.statements(text)


@pytest.mark.parametrize(
    "text, message",
    [
        ("balance : 9**9**9**9", "is not a unit"),
        ("balance : __import__('os')", "is not a unit"),
        ("balance : volts", "not Brian2 equations"),
        ("balance : 1 # more", "comments"),
        ("balance = system(1) : 1", "is not a function"),
        ("balance : 1 (linked)", "leave the flag out"),
        ("_balance : 1", "underscore"),
        ("float : 1", "another meaning"),
    ],
)
def test_other_equations_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsing.equations(text)


def test_a_condition_is_one_expression():
    for text in ("x = 1", "x > 1; y = 2", "x > 1\ny = 2"):
        with pytest.raises(ValueError, match="cannot be read"):
            parsing.condition(text)


# -- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_known_names_are_those_of_the_network(rule, network):
    equations = rule.equations(network)
    check_names(equations, network)
    made = RWTANetwork(network, 1, 2, rng=np.random.default_rng(0), plasticity=equations)

    def names(owner):
        return {n for n in [*owner.variables, *owner.namespace] if n[0] != "_"} - {"fires", "compete"}

    assert names_of(equations, network, "each_step").known == names(made.neurons)
    common = set.intersection(*(names(synapses) for synapses in made.synapses.values()))
    assert names_of(equations, network, "on_post").known == common
    if (circuit := made.circuit_plasticity) is not None:
        found = names_of(equations, network, "on_circuit")
        assert found.known == names(circuit)
        fixed = {"i_pre", "j", "N", "circuit_post", "t", "dt_post", "gate_post", "u_pre", "winner_post"}
        assert not found.writable & fixed
        assert not any(circuit.variables[name].read_only for name in found.writable)


SYNAPSES = {"learning.rule.kind": "trace_stdp", "learning.apply": "synapses"}


@pytest.mark.parametrize(
    "part, text, message",
    [
        ("on_post", "balance += nonsense*x_seen_pre", "equations.on_post .* names 'nonsense', .* Known: B, "),
        ("on_post", "balance += x_sen_pre", "did you mean 'x_seen_pre'"),
        ("on_post", "balance += q_pre", "names 'q_pre'"),  # inputs have no q
        ("on_post", "balnce += 1", "did you mean 'balance'"),
        ("synapse", "balance : 1\nk = nonsense : 1", "equations.synapse .* names 'nonsense'"),
        ("neuron", "B : 1", "equations.on_circuit .* names 'bias_e_post'"),
        ("large", "b > a", "equations.large .* names 'a'"),
        ("on_circuit", "i_post = 1000000", "changes 'i_post', which is not to be changed"),
        ("on_post", "j = 1000000", "changes 'j'"),
        ("each_step", "circuit = 7", "changes 'circuit'"),
        ("each_step", "winner = 7", "changes 'winner'"),
        ("each_step", "rho_hat = 7*Hz", "changes 'rho_hat'"),
    ],
)
def test_wrong_names_are_told_before_anything_is_built(cue, part, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        cue.changed({**SYNAPSES, f"learning.equations.{part}": text})
    assert "\n" not in str(caught.value)


def test_local_variables_are_welcome(cue):
    changed = cue.changed({**SYNAPSES, "learning.equations.on_post": "k = 2*x_seen_pre; balance += k"})
    Agent(changed).play(1)


@pytest.mark.parametrize(
    "engine", [{}, {"engine.target": "auto", "engine.name": "compiled"}], ids=["runtime", "compiled"]
)
@pytest.mark.parametrize(
    "part, text, message",
    [
        ("on_post", "balance += t_post", "learning.equations.on_post: .*inconsistent units"),
        ("neuron", "B : 1\nbias_e : 1\nq : 1", "learning.equations.neuron: Duplicate definition of variable 'q'"),
    ],
)  # fmt: skip
def test_what_brian2_refuses_is_one_line(cue, engine, part, text, message):
    changed = cue.changed({**SYNAPSES, f"learning.equations.{part}": text, **engine})
    with pytest.raises(EngineError, match=message) as caught:
        Agent(changed).play(1)
    assert "\n" not in str(caught.value) and caught.value.__cause__ is not None
