"""What is changed after `prepare`, and where the names in equations come from: as in Brian2's own `run`."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Clock, Function, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, TimedArray, ms

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import EngineError

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}


@pytest.fixture(params=ENGINES)
def make(request):
    return ENGINES[request.param]


class Changing:
    """One group whose code has all kinds of sources."""

    def __init__(self):
        clock = Clock(0.1 * ms, name="changing_clock")
        strided = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])[:, 0]
        self.tables = {
            "table": TimedArray([1.0, 2.0, 3.0], dt=1 * ms, name="table"),
            "grid": TimedArray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dt=1 * ms, name="grid"),
            "strided": TimedArray(strided, dt=1 * ms, name="strided"),
        }
        self.group = NeuronGroup(
            2,
            "dv/dt = (J*table(t) + grid(t, i) + strided(t))/second : 1",
            threshold="v > 10",
            reset="v = 0",
            method="euler",
            namespace={**self.tables, "J": 1.0},
            clock=clock,
            name="changing",
        )
        self.kick = self.group.run_regularly("v += 0", clock=clock, name="kick")
        self.source = SpikeGeneratorGroup(2, [0, 1], [1, 2] * ms, clock=clock, name="generator")
        self.wires = Synapses(self.source, self.group, on_pre="v_post += outside", clock=clock, name="wires")
        self.wires.connect(j="i")
        self.network = Network(self.group, self.source, self.wires, name="changing_network")


def prepared(make):
    engine = make()
    with engine.building():
        one = Changing()
    engine.prepare(one.network, namespace={"outside": 0.001})
    return engine, one


def test_tables_may_be_changed_where_they_are(make):
    """Against plain Brian2, which follows; another engine with a copy of the table does not see it."""
    engine, one = prepared(make)
    other, untouched = prepared(make)
    plain = Changing()
    for value in (None, 50.0, 7.0):
        for each in (one, plain):
            if value is not None:
                each.tables["table"].values[:] = value
                each.tables["grid"].values[1:] += value
        engine.advance(10)
        other.advance(10)
        plain.network.run(1 * ms, namespace={"outside": 0.001})
        np.testing.assert_allclose(one.group.v_[:], plain.group.v_[:], rtol=1e-12)
    expected = np.array([1 + 2 + 3 + 1 + 3 + 5 + 6, 1 + 2 + 3 + 2 + 4 + 6 + 6]) * 1e-3 + 0.001
    np.testing.assert_allclose(untouched.group.v_[:], expected, rtol=1e-12)


#: What to change, how, and what the error names.
CHANGES = {
    "constant": (lambda one: one.group.namespace.update(J=2.0), "'J' in the namespace of changing"),
    "gone": (lambda one: one.group.namespace.pop("J"), "'J' in the namespace of changing"),
    "function": (
        lambda one: one.group.namespace.update(table=TimedArray([1.0, 2.0, 3.0], dt=1 * ms)),
        "'table' in the namespace of changing",
    ),
    "namespace": (lambda one: setattr(one.group, "namespace", {"J": 5.0}), "namespace of changing"),
    "threshold": (lambda one: one.group.events.update(spike="v > 20"), "events of changing"),
    "reset": (lambda one: one.group.event_codes.update(spike="v = 1"), "event_codes of changing"),
    "operation": (lambda one: setattr(one.kick, "abstract_code", "v += 1"), "abstract_code of kick"),
    "pathway": (lambda one: setattr(one.wires.pre, "code", "v_post += 2"), "code of wires_pre"),
    "method": (lambda one: setattr(one.group.state_updater, "method_choice", "rk4"), "method_choice of changing_state"),
    "active": (lambda one: setattr(one.kick, "active", False), "active, when or order of kick"),
    "another array": (
        lambda one: setattr(one.tables["table"], "values", np.ones(3)),
        r"table has another array of values, .*: write into table\.values instead",
    ),
    "strided": (lambda one: one.tables["strided"].values.fill(9.0), "values of strided: make them contiguous"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_that_compiled_code_cannot_follow_are_refused_by_name(change):
    engine, one = prepared(CompiledEngine)
    engine.advance(3)
    act, message = CHANGES[change]
    act(one)
    for use in (lambda: engine.advance(1), lambda: engine.run(1, lambda: True, 1)):
        with pytest.raises(EngineError, match=rf"has changed since it was prepared \(.*{message}.*change it back"):
            use()
    assert engine.steps_done == 3


def test_changes_back_and_changes_to_the_same_are_no_changes():
    engine, one = prepared(CompiledEngine)
    one.group.namespace["J"] = 2.0
    with pytest.raises(EngineError, match="'J'"):
        engine.advance(1)
    one.group.namespace["J"] = 1.0
    engine.advance(1)
    with pytest.raises(EngineError, match=r"generator\.set_spikes is not possible on the compiled engine: set spikes"):
        one.source.set_spikes([0], [3] * ms)
    with pytest.raises(ValueError, match="read-only"):
        one.wires.delay = 1 * ms
    engine.advance(1)


def test_generators_can_be_given_other_spikes_on_the_runtime_engine():
    """As in plain Brian2; a state from before is of another network then."""
    engine, one = prepared(ENGINES["runtime"])
    engine.advance(15)
    state = engine.state()
    one.source.set_spikes([0, 0, 1], [0.2, 2.5, 2.6] * ms)
    engine.advance(15)
    with pytest.raises(EngineError, match="generator has other spikes"):
        engine.set_state(state)
    end = one.group.v_[:].copy()
    one.source.set_spikes([0, 0, 0, 1, 1], [0.2, 0.3, 2.9, 3.5, 3.7] * ms)
    state = engine.state()  # before these have been looked at
    engine.advance(10)
    ahead = one.group.v_[:].copy()
    engine.set_state(state)
    engine.advance(10)
    np.testing.assert_array_equal(one.group.v_[:], ahead)
    assert (ahead > end + 0.001).all()
    plain = Changing()
    plain.network.run(1.5 * ms, namespace={"outside": 0.001})
    plain.source.set_spikes([0, 0, 1], [0.2, 2.5, 2.6] * ms)
    plain.network.run(1.5 * ms, namespace={"outside": 0.001})
    np.testing.assert_allclose(end, plain.group.v_[:], rtol=1e-12)


# -- names from outside -------------------------------------------------------------------------------

global_rate = 3.0 / ms


def named(engine):
    with engine.building():
        group = NeuronGroup(2, "dv/dt = (target - v)/tau + global_rate*wave(t)*0 : 1", method="euler", name="named")
        return Network(group, name="named_network"), group


def test_names_of_the_caller_are_found(make):
    """Local and global ones, with the values at `prepare`; TimedArrays among them belong to the state."""
    engine = make()
    network, group = named(engine)
    tau, target = 10 * ms, 1.0
    wave = TimedArray([0.0, 1.0], dt=1 * ms, name="wave")
    engine.prepare(network)
    engine.advance(100)
    tau = 1 * ms  # of this function, which no engine can see changing
    assert tau == 1 * ms
    engine.advance(100)
    expected = target * (1 - (1 - 0.1 / 10) ** 200)
    np.testing.assert_allclose(group.v_[:], expected, rtol=1e-12)
    assert "structure.named.wave.values" in engine.state()
    assert wave.values[1] == 1


def test_a_namespace_is_taken_instead(make):
    engine = make()
    network, group = named(engine)
    given = {"tau": 5 * ms, "target": 2.0, "global_rate": 1 / ms, "wave": TimedArray([0.0], dt=1 * ms, name="wave")}
    engine.prepare(network, namespace=given)
    engine.advance(10)
    np.testing.assert_allclose(group.v_[:], 2 * (1 - (1 - 0.1 / 5) ** 10), rtol=1e-12)
    given["target"] = 3.0
    if isinstance(engine, CompiledEngine):
        with pytest.raises(EngineError, match="'target' in the namespace it was prepared with"):
            engine.advance(1)
    else:  # as Network.run(namespace=given) would
        engine.advance(1)
        np.testing.assert_allclose(group.v_[:], 0.98 * 2 * (1 - (1 - 0.1 / 5) ** 10) + 0.02 * 3, rtol=1e-12)


def test_a_namespace_that_is_none():
    engine = RuntimeEngine("numpy")
    network, _ = named(engine)
    with pytest.raises(EngineError, match="namespace = 3: expected a dict"):
        engine.prepare(network, namespace=3)


def test_nothing_else_of_the_caller_is_kept_alive():
    engine = RuntimeEngine("numpy")
    network, _ = named(engine)
    tau, target, wave = 10 * ms, 1.0, Function(lambda t: t, arg_units=[ms], return_unit=1)
    unrelated = np.zeros(10)
    engine.prepare(network)
    assert {"tau", "target", "wave", "global_rate"} <= engine._namespace.keys()
    assert "unrelated" not in engine._namespace
    del unrelated, tau, target, wave
