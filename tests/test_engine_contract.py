"""What both engines promise about any network: views, draining, closing, and errors instead of nonsense."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import (
    BrianObject,
    EventMonitor,
    Function,
    Network,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
    check_units,
    linked_var,
    ms,
    prefs,
)

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import EngineError

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}


class Loop:
    """One network on either engine; its names are always the same, so that one library in the cache serves all."""

    def __init__(self, kind, seed=3):
        self.engine = ENGINES[kind]()
        with self.engine.building():
            self._build()
            self.network = Network(
                self.noise, self.group, self.follower, self.synapses, self.part, *self.monitors, name="contract"
            )
        self.engine.prepare(self.network)
        self.engine.seed(np.random.SeedSequence(seed))

    def _build(self):
        self.noise = PoissonGroup(4, "(200 + 50*i)*Hz", name="noise")
        self.group = NeuronGroup(
            5,
            """dv/dt = (1.3 - v)/(5*ms) : 1
               twice = 2*v : 1
               gain : 1 (shared)""",
            threshold="v > 1",
            reset="v = 0",
            events={"low": "v < 0.1"},
            method="exact",
            name="group",
        )
        self.group.v = "0.1*i"
        self.group.gain = 3
        self.follower = NeuronGroup(3, "seen : 1 (linked)", name="follower")
        self.follower.seen = linked_var(self.group, "v", index=np.array([4, 0, 4]))
        self.synapses = Synapses(
            self.noise,
            self.group,
            """w : 1
               strength = w*gain_post*(1 + v_post) + rates_pre*second : 1""",
            on_pre="v_post += w",
            name="synapses",
        )
        self.synapses.connect(i=[0, 1, 1, 3], j=[2, 0, 4, 4])
        self.synapses.w = [0.1, 0.2, 0.3, 0.4]
        self.synapses.delay = [1, 9, 14, 3] * ms
        some = Subgroup(self.noise, 1, 3, name="some"), Subgroup(self.group, 2, 5, name="others")
        self.part = Synapses(*some, "u : 1\ndistance = i + 10*j : 1", name="part")
        self.part.connect(i=[0, 1, 1], j=[2, 0, 1])
        self.spikes = SpikeMonitor(self.group, variables="gain", name="spikes")
        self.lows = EventMonitor(self.group, "low", name="lows")
        self.states = StateMonitor(self.group, ["v", "twice"], record=[0, 3], name="states")
        self.rate = PopulationRateMonitor(self.group, name="rate")
        self.monitors = [self.spikes, self.lows, self.states, self.rate]


@pytest.fixture(params=ENGINES)
def loop(request):
    return Loop(request.param)


# -- views --------------------------------------------------------------------------------------------


def test_views_of_everything(loop):
    """Against the same expression in NumPy."""
    loop.engine.advance(50)
    view, synapses = loop.engine.view, loop.synapses
    v, w = view(loop.group, "v"), view(synapses, "w")
    i, j = view(synapses, "i"), view(synapses, "j")
    np.testing.assert_array_equal(i, [0, 1, 1, 3])
    np.testing.assert_array_equal(j, [2, 0, 4, 4])
    np.testing.assert_allclose(view(loop.group, "twice"), 2 * v, rtol=1e-15)
    np.testing.assert_allclose(view(synapses, "strength"), w * 3 * (1 + v[j]) + 200 + 50 * i, rtol=1e-12)
    np.testing.assert_array_equal(view(synapses, "v_post"), v[j])
    np.testing.assert_array_equal(view(loop.follower, "seen"), v[[4, 0, 4]])
    np.testing.assert_array_equal(view(loop.part, "i"), [0, 1, 1])
    np.testing.assert_array_equal(view(loop.part, "j"), [2, 0, 1])
    np.testing.assert_array_equal(view(loop.part, "distance"), [20, 1, 11])
    np.testing.assert_allclose(view(synapses, "delay"), [1e-3, 9e-3, 14e-3, 3e-3])
    np.testing.assert_array_equal(view(synapses.pre, "delay"), view(synapses, "delay"))
    assert view(loop.group.clock, "timestep")[0] == 50
    assert view(loop.states, "v").shape == (50, 2)
    np.testing.assert_allclose(view(loop.states, "t"), np.arange(50) * 1e-4, atol=1e-12)
    np.testing.assert_array_equal(view(loop.spikes, "i"), loop.spikes.i)
    for name in ("twice",):
        with pytest.raises(ValueError, match="read-only"):
            view(loop.group, name)[0] = 1
    part = view(loop.group[1:3], "v")
    part[:] = 0.25
    np.testing.assert_array_equal(v[1:3], 0.25)


def test_views_that_do_not_exist(loop):
    view = loop.engine.view
    with pytest.raises(EngineError, match=r"group has no variable 'twic': did you mean 'twice'\?"):
        view(loop.group, "twic")
    with pytest.raises(EngineError, match=r"synapses has no variable 'dellay': did you mean 'delay'"):
        view(loop.synapses, "dellay")
    for owner in (None, 3, "group", np.zeros(2), loop.network):
        with pytest.raises(EngineError, match="has no variables: expected a group"):
            view(owner, "v")
    for name in (None, 3, ["v"]):
        with pytest.raises(EngineError, match="is not the name of a variable of group"):
            view(loop.group, name)
    with pytest.raises(EngineError, match="_to_record_v of states has no values"):
        view(loop.states, "_to_record_v")


def test_recordings_stay_as_they_were_when_the_network_advances():
    """A recording moves in memory while it grows: what was read before must not move with it."""
    loop = Loop("compiled")
    loop.engine.advance(100)
    before = [loop.engine.view(loop.spikes, "t"), loop.spikes.i[:], loop.rate.t_[:], loop.states.v_]
    copies = [np.array(values) for values in before]
    loop.engine.advance(5000)
    for values, copy in zip(before, copies, strict=True):
        np.testing.assert_array_equal(values, copy)


# -- draining -----------------------------------------------------------------------------------------


def test_drained_pieces_equal_one_recording(loop):
    whole = Loop("runtime" if isinstance(loop.engine, RuntimeEngine) else "compiled")
    whole.engine.advance(600)
    expected = [whole.engine.drain(monitor) for monitor in whole.monitors]
    pieces = []
    for steps in (1, 250, 0, 349):
        loop.engine.advance(steps)
        state = loop.engine.state()
        pieces.append([loop.engine.drain(monitor) for monitor in loop.monitors])
        for name, values in loop.engine.state().items():
            np.testing.assert_array_equal(values, state[name])
    for number, one in enumerate(expected):
        assert set(one) == [{"i", "t", "gain"}, {"i", "t"}, {"v", "twice", "t"}, {"rate", "t"}][number]
        for name, values in one.items():
            assert len(values) > 5
            joined = np.concatenate([piece[number][name] for piece in pieces])
            np.testing.assert_array_equal(joined, values, err_msg=name)
            assert joined.dtype == values.dtype
    assert expected[2]["v"].shape == (600, 2)
    # Since the drain nothing; since the start all of them.
    assert loop.spikes.num_spikes == loop.spikes.N == len(loop.spikes.t) == len(loop.states.t) == 0
    np.testing.assert_array_equal(loop.spikes.count, np.bincount(expected[0]["i"], minlength=5))
    loop.engine.advance(100)
    assert loop.states.v.shape == (2, 100)
    assert loop.spikes.num_spikes == len(loop.spikes.i) > 0


def test_draining_keeps_memory_flat(loop):
    def record(rounds):
        for _ in range(rounds):
            loop.engine.advance(steps)
            for monitor in loop.monitors:
                loop.engine.drain(monitor)
        gc.collect()
        return resident()

    steps = 20_000 if isinstance(loop.engine, CompiledEngine) else 50
    rounds = 40 if isinstance(loop.engine, CompiledEngine) else 10
    first = record(5)
    # Undrained, the compiled engine's further rounds would take 40 * 20,000 * 48 bytes = 38 MB.
    assert record(rounds) - first < 4e6


def test_draining_what_is_no_monitor_of_the_network(loop):
    for thing in (loop.group, None, "spikes"):
        with pytest.raises(EngineError, match="is not a monitor: nothing to drain"):
            loop.engine.drain(thing)
    with pytest.raises(EngineError, match="spikes is not a monitor of this network"):
        loop.engine.drain(Loop("runtime").spikes)


def resident():
    """Resident memory of this process in bytes."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("reads the resident memory from /proc")
    return int(statm.read_text().split()[1]) * 4096


# -- closing ------------------------------------------------------------------------------------------


def test_a_closed_engine_says_so(loop):
    engine, state = loop.engine, loop.engine.state()
    view = engine.view(loop.group, "v")
    engine.close()
    engine.close()
    for use in (
        lambda: engine.advance(1),
        lambda: engine.run(1, lambda: True, 1),
        lambda: engine.view(loop.group, "v"),
        lambda: engine.state(),
        lambda: engine.set_state(state),
        lambda: engine.seed(np.random.SeedSequence(1)),
        lambda: engine.drain(loop.spikes),
        lambda: engine.steps_done,
        lambda: engine.prepare(loop.network),
    ):
        with pytest.raises(EngineError, match="this engine is closed"):
            use()
    view += 1
    assert view.shape == (5,)
    if isinstance(engine, CompiledEngine):
        with pytest.raises(EngineError, match="the engine of v is closed"):
            loop.group.v[0]


def libraries():
    """The loaded libraries of engines, by their addresses."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("reads the loaded libraries from /proc")
    return set(re.findall(r"/rwta_sim-\S+/[0-9a-f]{64}\.so", maps.read_text()))


@pytest.mark.parametrize("close", [True, False])
def test_arrays_keep_the_library_alive(close):
    gc.collect()
    before = libraries()
    loop = Loop("compiled")
    loop.engine.advance(7)
    views = [loop.engine.view(loop.group, "v"), loop.engine.view(loop.synapses, "w")[1:]]
    values = [view.copy() for view in views]
    if close:
        loop.engine.close()
    del loop
    gc.collect()
    mine = libraries() - before
    assert len(mine) == 1
    litter = [np.full(n, np.nan) for n in range(1, 3000)]  # would be written over freed memory
    for view, copy in zip(views, values, strict=True):
        np.testing.assert_array_equal(view, copy)
        view[:] = 4.0
    del litter, view, views[0]
    gc.collect()
    assert libraries() - before == mine
    views.clear()
    gc.collect()
    assert not libraries() & mine


@pytest.mark.nightly
def test_fifty_engines_in_one_process():
    """Each is unloaded when it is gone, and its memory given back."""
    resident()  # skips where there is no /proc
    code = f"""
import gc, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import brian2
from test_engine_contract import Loop, libraries, resident
brian2.prefs.codegen.target = "numpy"
for number in range(50):
    loop = Loop("compiled")
    loop.engine.advance(2000)
    seen = loop.engine.view(loop.group, "v").copy()
    del loop
    if number in (9, 49):
        gc.collect()
        print(len(libraries()), resident(), *seen)
"""
    # In a process of its own: pytest keeps Brian2's log, some megabytes for each network.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (none, before, *first), (left, after, *last) = (line.split() for line in done.stdout.splitlines())
    assert none == left == "0"
    assert first == last
    assert int(after) - int(before) < 12e6  # of 40 engines


def test_closing_inside_a_run():
    loop = Loop("compiled")
    with pytest.raises(EngineError, match="this engine is closed"):
        loop.engine.run(None, lambda: loop.engine.close() is None, 3)
    loop = Loop("runtime")
    with pytest.raises(EngineError, match="close inside on_decision"):
        loop.engine.run(None, lambda: loop.engine.close() is None, 3)


# -- bad input ----------------------------------------------------------------------------------------


def test_steps_are_whole_numbers(loop):
    for bad in (2.5, 2.0, np.float64(3), True, np.True_, "3", None, [1]):
        with pytest.raises(ValueError, match=r"steps = .*: expected a whole number"):
            loop.engine.advance(bad)
        with pytest.raises(ValueError, match=r"every = .*: expected a whole number"):
            loop.engine.run(1, lambda: True, bad)
    with pytest.raises(ValueError, match="steps = -1: expected 0 or more"):
        loop.engine.advance(np.int32(-1))
    with pytest.raises(ValueError, match=r"decisions = 1\.5: expected a whole number"):
        loop.engine.run(1.5, lambda: True, 1)
    with pytest.raises(ValueError, match=r"steps = \d+: too large"):
        loop.engine.advance(2**64)
    loop.engine.advance(np.int64(3))
    loop.engine.run(np.int16(2), lambda: True, np.uint8(4))
    assert loop.engine.steps_done == 11


def damaged(state):
    """Copies of a state, each with one thing wrong."""
    for name in sorted(state):
        yield f"no {name}", {key: values for key, values in state.items() if key != name}
        if state[name].ndim and state[name].size > 1:
            yield f"truncated {name}", {**state, name: state[name][:-1]}
        yield f"text in {name}", {**state, name: np.full(state[name].shape, "x")}
    for name in state:
        if name.endswith(("queue.events", "queue.lengths", "queue.offset", "random.pos", "timestep")):
            for value in (-1, 10**9):
                if state[name].size and not (name.endswith("timestep") and value > 0):
                    yield f"{value} in {name}", {**state, name: np.full_like(state[name], value)}
    yield "another part", {**state, "random.more": np.zeros(1)}
    yield "another queue", {**state, "synapses_pre.queue.more": np.zeros(1)}
    yield "nothing", {}


def test_damaged_states_are_refused_before_anything_changes(loop):
    loop.engine.advance(120)
    state = loop.engine.state()
    assert state["synapses_pre.queue.events"].size
    for what, wrong in damaged(state):
        with pytest.raises(EngineError, match=r"this state is"):
            loop.engine.set_state(wrong)
            pytest.fail(what)
    for name, values in loop.engine.state().items():
        np.testing.assert_array_equal(values, state[name], err_msg=name)
    other = Loop("compiled" if isinstance(loop.engine, RuntimeEngine) else "runtime")
    with pytest.raises(EngineError, match="this state is"):
        other.engine.set_state(state)
    loop.engine.advance(5)
    loop.engine.set_state(state)
    assert loop.engine.steps_done == 120


def test_a_network_that_changed(loop):
    extra = BrianObject(name="extra", clock=loop.group.clock)
    loop.network.add(extra)
    for use in (lambda: loop.engine.advance(1), lambda: loop.engine.run(1, lambda: True, 1)):
        with pytest.raises(EngineError, match=r"has changed since it was prepared \(extra added or removed\)"):
            use()
    loop.network.remove(extra)
    loop.engine.advance(1)
    with loop.engine.building():
        loop.group.run_regularly("v = 0", clock=loop.group.clock)
    with pytest.raises(EngineError, match="something like run_regularly was added"):
        loop.engine.advance(1)
    loop.group.contained_objects.pop()
    loop.engine.advance(1)
    loop.network.remove(loop.rate)
    with pytest.raises(EngineError, match="rate added or removed"):
        loop.engine.advance(1)


def test_changes_that_compiled_code_cannot_follow():
    loop = Loop("compiled")
    loop.spikes.active = False
    with pytest.raises(EngineError, match="active, when or order of spikes"):
        loop.engine.advance(1)
    loop.spikes.active = True
    loop.group.clock.dt = 1 * ms
    with pytest.raises(EngineError, match="dt of a clock"):
        loop.engine.run(1, lambda: True, 1)
    loop.group.clock.dt = 0.1 * ms
    for call in (
        lambda: loop.network.run(1 * ms),
        lambda: loop.network.store(),
        lambda: loop.network.restore(),
        lambda: loop.states.record_single_timestep(),
    ):
        with pytest.raises(EngineError, match="is not possible on the compiled engine: "):
            call()
    with pytest.raises(ValueError, match="read-only"):
        loop.synapses.delay = 1 * ms
    with pytest.raises(ValueError, match="read-only"):
        loop.engine.view(loop.synapses, "delay")[:] = 0
    state = loop.engine.state()
    with pytest.raises(EngineError, match=r"differs in synapses_pre\.delay, which is fixed"):
        loop.engine.set_state({**state, "synapses_pre.delay": state["synapses_pre.delay"] + 1e-4})
    with pytest.raises(EngineError, match="connect synapses before preparing"):
        loop.synapses.connect(i=[2], j=[2])
    with pytest.raises(EngineError, match="group was not built inside"):
        loop.engine.view(Loop("runtime").group, "v")
    loop.engine.advance(1)
    assert loop.engine.steps_done == 1
    loop.group.v = "0.1*i"  # Brian2's own ways to write still work
    loop.group.v["i > 3"] = 7
    np.testing.assert_allclose(loop.engine.view(loop.group, "v"), [0, 0.1, 0.2, 0.3, 7])
    loop.synapses.w = "w + 1"
    np.testing.assert_allclose(loop.engine.view(loop.synapses, "w"), [1.1, 1.2, 1.3, 1.4])


def test_what_standalone_code_cannot_do():
    @check_units(x=1, result=1)
    def python_only(x):
        return x

    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(
            1, "dv/dt = f(v)/ms : 1", method="euler", namespace={"f": Function(python_only)}, name="cells"
        )
        network = Network(group)
    with pytest.raises(EngineError, match=r"cells.*No implementation available.*runtime engine"):
        engine.prepare(network)

    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(2, "v : 1", threshold="v > 1", name="cells")
        synapses = Synapses(group, group, "w : 1", name="wires")
        synapses.connect(p=0.5)
        with pytest.raises(NotImplementedError):
            StateMonitor(synapses, "w", record=True)
    with pytest.raises(EngineError, match=r"Cannot determine the actual indices.*runtime engine"), engine.building():
        StateMonitor(synapses, "w", record=True)
    with pytest.raises(EngineError, match="store/restore mechanism is not supported"), engine.building():
        Network(group).store()
    with pytest.raises(NotImplementedError, match="mine"), engine.building():
        raise NotImplementedError("mine")  # the caller's own errors stay what they are

    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(1, "v : 1", name="cells")
        network = Network(group)
        network.run(0 * ms)
    with pytest.raises(EngineError, match="only build there, then prepare it and advance"):
        engine.prepare(network)


def test_mistakes_in_equations_are_brian2s_own_errors():
    engine = CompiledEngine()
    with engine.building():
        network = Network(NeuronGroup(1, "dv/dt = unheard_of*v/ms : 1", method="euler", name="cells"))
    with pytest.raises(Exception, match="cells") as caught:
        engine.prepare(network)
    assert not isinstance(caught.value, EngineError)
    assert "unheard_of" in str(caught.value.__cause__)


def test_a_connection_that_cannot_be():
    """Brian2's standalone program ends itself there; an interpreter must not. The engine cannot be used again."""
    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(3, "v : 1", name="cells")
        synapses = Synapses(group, group, "w : 1", name="wires")
        synapses.connect(j="i + 1")
        network = Network(group, synapses, name="beyond")
    with pytest.raises(EngineError, match="could not be set up: synapses could not be created"):
        engine.prepare(network)
    with pytest.raises(EngineError, match="this engine is closed"):
        engine.steps_done  # noqa: B018


class Setup:
    """A network of which each test sets something while it is built."""

    def __init__(self, engine, change=lambda one: None):
        with engine.building():
            self.cells = NeuronGroup(6, "v : 1\nk : 1", threshold="v > 9", name="cells")
            self.part = self.cells[2:5]
            self.others = NeuronGroup(3, "v : 1", name="others")
            self.wires = Synapses(self.cells, self.others, "w : 1", on_pre="v_post += w", name="wires")
            self.wires.connect(p=1.0)
            self.extra = []
            change(self)
            self.network = Network(self.cells, self.others, self.wires, *self.extra, name="setup")


#: Brian2's standalone programs would read or write beyond their arrays.
BEYOND = {
    "too many": (lambda one: setattr(one.wires, "w", np.arange(30.0)), r"wires\.w was given 30 values, but .* is 18"),
    "delays": (
        lambda one: setattr(one.wires, "delay", np.arange(5) * ms),
        r"wires\w*\.delay was given 5 values, but .* is 18",
    ),
    "an index": (lambda one: one.wires.w.__setitem__(18, 3.0), r"wires\.w\[18\] does not exist: .* is 18"),
    "a recording": (
        lambda one: one.extra.append(StateMonitor(one.wires, "w", record=[3, 18], name="m")),
        "m records synapse 18, but the number of synapses is 18",
    ),
}


@pytest.mark.parametrize("case", BEYOND)
def test_what_would_go_beyond_the_synapses_is_refused(case):
    change, message = BEYOND[case]
    engine = CompiledEngine()
    one = Setup(engine, change)
    with pytest.raises(EngineError, match=f"could not be set up: {message}"):
        engine.prepare(one.network)


def test_values_set_by_index_arrive_where_they_do_in_brian2():
    """Negative ones, those of subgroups and masks too."""

    def change(one):
        one.wires.w = np.arange(18.0)
        one.wires.w[17] = -1.0
        one.cells.v[-1] = 1
        one.cells.k = "i"
        one.cells.k[np.array([True, False, True])] = 9
        one.part.v[0] = 2
        one.part.v[-1] = 3
        one.part.k[np.array([1])] = 8

    engines = RuntimeEngine("numpy"), CompiledEngine()
    one, other = (Setup(engine, change) for engine in engines)
    for engine, network in zip(engines, (one.network, other.network), strict=True):
        engine.prepare(network)
    np.testing.assert_array_equal(one.cells.v, [0, 0, 2, 0, 3, 1])
    np.testing.assert_array_equal(one.cells.k, [9, 1, 9, 8, 4, 5])
    for mine, theirs in ((one.cells.v, other.cells.v), (one.cells.k, other.cells.k), (one.wires.w, other.wires.w)):
        np.testing.assert_array_equal(mine, theirs)
    for index in (6, -7, [0, 9]):
        with pytest.raises(IndexError, match="cells has indices 0 to 5"):
            Setup(CompiledEngine(), lambda one, index=index: one.cells.v.__setitem__(index, 1))


def test_several_objects_that_draw_poisson_numbers():
    """Brian2's code for them has functions that are not static, in every file. Their means, within 5 standard errors of
    4000 draws each (false alarms: 1e-6)."""
    engine = CompiledEngine()
    with engine.building():
        groups = [NeuronGroup(4, "total : 1", name=f"cells_{n}") for n in range(3)]
        for n, group in enumerate(groups):
            group.run_regularly(f"total += poisson({n + 2})", clock=group.clock, name=f"draw_{n}")
        network = Network(*groups, name="poisson_network")
    engine.prepare(network)
    engine.seed(np.random.SeedSequence(0))
    engine.advance(1000)
    for n, group in enumerate(groups):
        mean = engine.view(group, "total").sum() / 4000
        assert abs(mean - (n + 2)) < 5 * np.sqrt((n + 2) / 4000)


def test_several_threads_in_one_network_are_refused():
    engine = CompiledEngine()
    with engine.building():
        network = Network(NeuronGroup(1, "v : 1", name="cells"))
    saved = prefs.devices.cpp_standalone.openmp_threads
    prefs.devices.cpp_standalone.openmp_threads = 2
    try:
        with pytest.raises(EngineError, match="openmp_threads = 0"):
            engine.prepare(network)
    finally:
        prefs.devices.cpp_standalone.openmp_threads = saved
