"""The state of any Brian2 network: exact, of this network only, and the same for every copy of it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from brian2 import (
    Clock,
    Cylinder,
    Network,
    NeuronGroup,
    PoissonGroup,
    Soma,
    SpatialNeuron,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    cm,
    linked_var,
    ms,
    ohm,
    second,
    uF,
    um,
)
from brian2.synapses.spikequeue import SpikeQueue

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import EngineError

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}
STEPS = 300


@pytest.fixture(params=ENGINES)
def make(request):
    return ENGINES[request.param]


class Everything:
    """What keeps a place of its own in Brian2: generators, linked variables, compartments, clocks, spikes under way."""

    def __init__(self, spikes=60, table=(0.2, 1.5, 0.4)):
        every, half = Clock(0.1 * ms, name="every"), Clock(0.25 * ms, name="half")
        number = np.arange(spikes)
        once = SpikeGeneratorGroup(3, number % 3, number * 0.45 * ms, clock=every, name="once")
        again = SpikeGeneratorGroup(2, [0, 1, 0], [0.3, 1.1, 2.0] * ms, period=2.5 * ms, clock=every, name="again")
        self.drive = TimedArray(np.array(table), dt=4 * ms, name="drive")
        cells = NeuronGroup(
            4,
            """dv/dt = (drive(t) + 0.2*i - v)/(5*ms) : 1 (unless refractory)
               n : 1
               total : 1""",
            threshold="v > 0.6",
            reset="v = 0",
            refractory=2 * ms,
            events={"low": "v < 0.1"},
            method="exact",
            namespace={"drive": self.drive},
            clock=every,
            name="cells",
        )
        cells.run_on_event("low", "n += 0.001")
        slow = NeuronGroup(2, "dz/dt = (y - z)/(3*ms) : 1\ny : 1 (linked)", method="euler", clock=half, name="slow")
        slow.y = linked_var(cells, "v", index=np.array([2, 0]))
        plastic = Synapses(
            once,
            cells,
            """w : 1
               dx/dt = -x/(4*ms) : 1 (event-driven)
               total_post = w : 1 (summed)""",
            on_pre="n_post += w; x += 1",
            on_post="w += 0.1*x",
            method="exact",
            clock=every,
            name="plastic",
        )
        plastic.connect()
        plastic.pre.delay = "(0.3 + 0.4*i + 0.2*j)*ms"
        plastic.post.delay = 0.2 * ms
        pulses = Synapses(again, cells, on_pre="v_post += 0.3", clock=every, name="pulses")
        pulses.connect(i=[0, 1, 1], j=[3, 0, 2])
        pulses.delay = [0.2, 1.5, 0.7] * ms
        body = Soma(diameter=20 * um)
        body.axon = Cylinder(n=3, length=60 * um, diameter=2 * um)
        cable = SpatialNeuron(
            body,
            "Im = 1e-4*siemens/cm**2*(-60*mV - v) : amp/meter**2",
            Cm=1 * uF / cm**2,
            Ri=100 * ohm * cm,
            method="exponential_euler",
            clock=every,
            name="cable",
        )
        cable.v = "-60*mV + 5*mV*i"
        self.monitor = SpikeMonitor(cells, name="monitor")
        self.seen = {"v": cells, "n": cells, "total": cells, "z": slow, "w": plastic, "x": plastic, "cable": cable}
        objects = (once, again, cells, slow, plastic, pulses, cable, self.monitor)
        self.network, self.cells = Network(*objects, name="everything"), cells

    def look(self):
        return np.concatenate([getattr(g, f"{'v' if n == 'cable' else n}_")[:] for n, g in self.seen.items()])


def prepared(make, **changes):
    engine = make()
    with engine.building():
        one = Everything(**changes)
    engine.prepare(one.network, namespace={})
    return engine, one


@pytest.fixture
def plain():
    """What plain Brian2 comes to in one run, in the middle and at the end."""
    one, seen = Everything(), []
    for _ in range(2):
        one.network.run(STEPS * 0.1 * ms, namespace={})
        seen.append(one.look())
    assert one.monitor.num_spikes > 10
    return seen


def test_state_is_all_that_the_future_depends_on(make, plain):
    """Set in the same engine and in a fresh one, taken in the middle and before the first step."""
    engine, one = prepared(make)
    start = engine.state()
    engine.advance(STEPS)
    middle = engine.state()
    np.testing.assert_allclose(one.look(), plain[0], rtol=1e-9, atol=2e-9)
    engine.advance(STEPS)
    end = one.look()
    np.testing.assert_allclose(end, plain[1], rtol=1e-9, atol=2e-9)
    engine.set_state(middle)
    engine.advance(STEPS)
    np.testing.assert_array_equal(one.look(), end)
    engine.set_state(start)
    engine.advance(2 * STEPS)
    np.testing.assert_array_equal(one.look(), end)
    del engine, one
    gc.collect()  # so that the copy has the same names, and the same library
    fresh, copy = prepared(make)
    fresh.set_state(middle)
    np.testing.assert_allclose(copy.look(), plain[0], rtol=1e-9, atol=2e-9)
    fresh.advance(STEPS)
    np.testing.assert_array_equal(copy.look(), end)


def test_places_in_memory_are_checked(make):
    engine, _ = prepared(make)
    engine.advance(20)
    state = engine.state()
    wrong = {
        "once._lastindex": [[-1], [61]],
        "cells._spikespace": [[0, 0, 0, 0, 5], [0, 0, 0, 0, -1], [4, 0, 0, 0, 1], [-1, 0, 0, 0, 0], [1, 0, 0, 0, 2]],
        "cells._lowspace": [[0, 0, 0, 0, 5]],
        "again._spikespace": [[2, 0, 1], [0, 0, 3]],
    }
    for name, cases in wrong.items():
        for values in cases:
            with pytest.raises(EngineError, match=f"this state is damaged: {name} names what does not exist"):
                engine.set_state({**state, name: np.array(values, state[name].dtype)})
    with pytest.raises(EngineError, match="this state is "):
        engine.set_state({**state, "pulses_pre.delay": state["pulses_pre.delay"] - 1})
    for name, values in engine.state().items():
        np.testing.assert_array_equal(values, state[name], err_msg=name)


def test_views_of_places_in_memory_are_read_only(make):
    engine, one = prepared(make)
    objects = {obj.name: obj for obj in one.network.objects}
    for owner, names in {
        "plastic": ["_synaptic_pre", "_synaptic_post", "i", "j", "N", "N_incoming"],
        "once": ["neuron_index", "_lastindex", "_timebins", "_spikespace"],
        "cells": ["_spikespace", "_lowspace", "i", "t", "dt"],
        "slow": ["_y_indices"],
    }.items():
        for name in names:
            view = engine.view(objects[owner], name)
            with pytest.raises(ValueError, match="read-only"):
                view[...] = 1
    engine.view(one.cells, "v")[:] = 0.3
    engine.advance(30)  # Brian2 itself still writes what the views show
    assert engine.view(objects["once"], "_lastindex")[0] == 7
    np.testing.assert_array_equal(engine.view(one.cells, "t"), one.cells.t_)


# -- another network ----------------------------------------------------------------------------------


class Small:
    """A network that can differ in one thing from another with the same shapes."""

    def __init__(self, targets=(1, 2, 0), delay=1, spikes=(1, 2, 3), links=(2, 0), table=(1.0, 2.0), step=1):
        clock = Clock(0.1 * step * ms, name="clock_of_all")
        source = SpikeGeneratorGroup(3, [0, 1, 2], np.array(spikes) * ms, clock=clock, name="source")
        tables = {"table": TimedArray(np.array(table), dt=1 * ms, name="table")}
        cells = NeuronGroup(
            3, "dv/dt = table(t)/second : 1", method="euler", namespace=tables, clock=clock, name="cells"
        )
        mirror = NeuronGroup(2, "v : 1 (linked)", clock=clock, name="mirror")
        mirror.v = linked_var(cells, "v", index=np.array(links))
        wires = Synapses(source, cells, on_pre="v_post += 1", clock=clock, name="wires")
        wires.connect(i=[0, 1, 2], j=list(targets))
        wires.delay = np.array([delay, 3, 3]) * ms
        self.network = Network(source, cells, mirror, wires, name="small")


DIFFERENCES = {
    "wires has other connections": {"targets": (1, 2, 1)},
    "source has other spikes": {"spikes": (1, 2, 2)},
    "mirror has other indices": {"links": (1, 0)},
    "cells.table has other values": {"table": (1.0, 2.5)},
    "clock_of_all has other dt": {"step": 2},
    "wires_pre.delay, which is fixed": {"delay": 2},
}


def small(make, **changes):
    engine = make()
    with engine.building():
        one = Small(**changes)
    engine.prepare(one.network, namespace={})
    return engine, one


def test_state_of_another_network_is_refused(make):
    engine, _ = small(make)
    engine.advance(25)
    state = engine.state()
    for message, changes in DIFFERENCES.items():
        other, _ = small(make, **changes)
        if "delay" in changes and isinstance(engine, RuntimeEngine):
            other.set_state(state)  # delays come with the state, as Brian2's own do
            other.advance(5)
            engine.advance(5)
            for name, values in engine.state().items():
                np.testing.assert_array_equal(other.state()[name], values, err_msg=name)
        else:
            with pytest.raises(EngineError, match=f"this state is of another network: .*{message}"):
                other.set_state(state)
        assert other.steps_done in (0, 30)
    again, _ = small(make)
    again.set_state(state)


class Unnamed:
    """Nothing has a name; two groups of the same shape, and clocks that Brian2 makes of `dt`."""

    def __init__(self):
        first, second_ = (
            NeuronGroup(2, f"dv/dt = {rate}/second : 1", method="euler", dt=step * ms)
            for rate, step in ((1, 1), (2, 2))
        )
        body = Soma(diameter=20 * um)
        cable = SpatialNeuron(body, "Im = 0*amp/meter**2 : amp/meter**2", Cm=1 * uF / cm**2, method="euler", dt=1 * ms)
        synapses = Synapses(first, second_, "w : 1", dt=1 * ms)
        synapses.connect(j="i")
        first.run_regularly("v += 0.5", dt=3 * ms)
        self.groups, self.all = (first, second_), [first, second_, cable, synapses]
        self.network = Network(*self.all)


def test_copies_in_one_process_take_each_others_state(make):
    """Though Brian2 gives the objects of the second copy other names."""
    engines, copies = [], []
    for _ in range(2):
        engines.append(make())
        with engines[-1].building():
            copies.append(Unnamed())
        engines[-1].prepare(copies[-1].network, namespace={})
    assert copies[0].groups[0].name != copies[1].groups[0].name
    engines[0].advance(8)
    state = engines[0].state()
    engines[1].set_state(state)
    for engine in engines:
        engine.advance(5)
    # Rates times 13 steps; v += 0.5 at 0, 3, 6, 9, 12 ms.
    for one in copies:
        np.testing.assert_allclose([group.v_[0] for group in one.groups], [0.013 + 2.5, 0.028], rtol=1e-12)
    assert engines[0].state().keys() == engines[1].state().keys()
    assert not [name for name in state if "_1." in name.replace("neurongroup_1", "")]


def test_names_of_their_own_are_kept(make):
    """Objects with given names are matched by these, whatever the order in which they are made."""

    def build(names):
        groups = {name: NeuronGroup(1, "v : 1", threshold="v > 5", name=name) for name in names}
        return Network(*groups.values(), name="pair"), groups

    states = []
    for names in (("exc", "inh"), ("inh", "exc")):
        engine = RuntimeEngine("numpy")
        network, groups = build(names)
        engine.prepare(network, namespace={})
        if states:
            engine.set_state(states[0])
            assert (groups["exc"].v_[0], groups["inh"].v_[0]) == (1, 2)
        groups["exc"].v, groups["inh"].v = 1, 2
        states.append(engine.state())


def test_a_python_queue_that_had_more_rows(monkeypatch):
    """Where Brian2's C++ queue is missing: back to the state before the first run, when there was one row."""
    monkeypatch.setattr("brian2.devices.device.RuntimeDevice.spike_queue", lambda self, a, b: SpikeQueue(a, b))
    engine, one = small(ENGINES["runtime"])
    start = engine.state()
    engine.advance(70)
    end = engine.view(one.network["cells"], "v").copy()
    engine.set_state(start)
    engine.advance(70)
    np.testing.assert_array_equal(engine.view(one.network["cells"], "v"), end)


# -- times and recordings -----------------------------------------------------------------------------


def clocks(one):
    return [clock.timestep[:] for clock in (one["fast"].clock, one["odd"].clock)]


def two_clocks():
    fast = NeuronGroup(1, "dv/dt = 1/second : 1", method="euler", clock=Clock(0.1 * ms, name="fast_clock"), name="fast")
    odd = NeuronGroup(1, "dv/dt = 1/second : 1", method="euler", clock=Clock(0.25 * ms, name="odd_clock"), name="odd")
    states = StateMonitor(odd, "v", record=[0], name="states")
    return Network(fast, odd, states, PoissonGroup(2, 0 * second**-1, clock=fast.clock, name="silent"), name="clocks")


def test_times_are_those_of_brian2(make):
    """After every advance, run and set_state; the second clock's dt is no multiple of the first's."""
    engine, plain = make(), two_clocks()
    with engine.building():
        network = two_clocks()
    engine.prepare(network, namespace={})
    assert engine.dt == 0.1 * ms

    def check(steps):
        plain.run(steps * 0.1 * ms, namespace={})
        assert engine.steps_done == round(plain.t_ / 1e-4)
        np.testing.assert_allclose(network.t_, plain.t_, rtol=1e-12)
        for name in ("fast", "odd"):
            mine, theirs = network[name], plain[name]
            assert mine.clock.timestep[:] == theirs.clock.timestep[:], name
            np.testing.assert_allclose(mine.t_, theirs.t_, rtol=1e-12)
            np.testing.assert_allclose(mine.v_[:], theirs.v_[:], rtol=1e-12)

    states = {}
    for steps in (0, 1, 2, 3, 7):
        engine.advance(steps)
        check(steps)
        states[engine.steps_done] = engine.state()
    calls = []
    engine.run(3, lambda: calls.append((engine.steps_done, float(network["odd"].v_[0]))) is None, 3)
    check(9)
    np.testing.assert_allclose(calls, [(16, 7 * 25e-5), (19, 8 * 25e-5), (22, 9 * 25e-5)], rtol=1e-12)
    engine.run(None, lambda: False, 3)
    check(3)
    engine.set_state(states[6])
    plain = two_clocks()
    check(6)


def test_shapes_before_the_first_record(make):
    engine = make()
    with engine.building():
        group = NeuronGroup(3, "v : 1", name="group")
        monitors = [StateMonitor(group, "v", record=record, name=f"m{k}") for k, record in enumerate(([0, 1], True, 2))]
        network = Network(group, *monitors, SpikeMonitor(PoissonGroup(1, 0 * second**-1, name="p"), name="s"), name="n")
        network.add(network["s"].source)
    engine.prepare(network, namespace={})
    for monitor, columns in zip(monitors, (2, 3, 1), strict=True):
        assert engine.view(monitor, "v").shape == (0, columns)
        assert monitor.v.shape == (columns, 0)
    pieces = []
    for steps in (0, 3, 0, 2):
        engine.advance(steps)
        pieces.append([engine.drain(monitor)["v"] for monitor in monitors])
    for number, columns in enumerate((2, 3, 1)):
        assert np.concatenate([piece[number] for piece in pieces]).shape == (5, columns)
    assert engine.drain(network["s"])["i"].shape == (0,)
