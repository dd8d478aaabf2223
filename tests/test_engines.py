"""Engines: the interface, exact state, private random numbers, and what a machine may lack."""

from __future__ import annotations

import json
import os
import signal

import brian2
import numpy as np
import pytest
from brian2 import Hz, Network, NeuronGroup, SpikeMonitor, Synapses, ms
from conftest import Loop, poisson_spec

import rwta_sim
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, EngineSpec, RuntimeEngine, make_engine
from rwta_sim.engines import runtime as runtime_module
from rwta_sim.errors import EngineError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.native import build as build_module

SPECS = [
    NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=5 * ms), weight_sd=1.0),
    poisson_spec(hidden_circuits=2, hidden_size=3, kernel=Rectangular(duration=6 * ms), weight_sd=1.0),
    poisson_spec(
        hidden_circuits=2, hidden_size=3, kernel=DoubleExponential(tau=5 * ms, tau_rise=1 * ms), weight_sd=1.0
    ),
]


def make_loop(spec, target="numpy"):
    loop = Loop(spec, seed=1) if target == "numpy" else None
    if loop is None:
        loop = CythonLoop(spec, seed=1)
    loop.arrays.p[:] = 0.4
    return loop


class CythonLoop(Loop):
    def __init__(self, spec, seed):
        from rwta_sim.circuit.arrays import NetworkArrays
        from rwta_sim.circuit.network import RWTANetwork

        self.engine = RuntimeEngine("cython")
        self.network = RWTANetwork(spec, 3, 2, rng=np.random.default_rng(seed))
        self.engine.prepare(self.network.network)
        self.engine.seed(np.random.SeedSequence(seed))
        self.arrays = NetworkArrays(self.network, self.engine)


def look_at(loop):
    return lambda: np.concatenate([loop.arrays.q, loop.arrays.trace(), loop.arrays.input_trace()])


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.kernel.kind)
def test_state_restores_bit_for_bit(spec):
    """Taken in mid-run with spikes on their way, set in another network: the same future, exactly."""
    loop, states, steps = make_loop(spec), [], 25
    look = look_at(loop)

    def look_and_save():
        if loop.engine.steps_done == 11:
            states.append(loop.engine.state())
        return look()

    whole = loop.each_step(steps, look_and_save)
    other = make_loop(spec)
    other.engine.advance(3)
    other.engine.set_state(states[0])
    assert other.engine.steps_done == 11
    np.testing.assert_array_equal(other.each_step(steps - 11, look_at(other)), whole[11:])
    again = [other.engine.set_state(states[0]), other.each_step(steps - 11, look_at(other))][1]
    np.testing.assert_array_equal(again, whole[11:])


def test_cython_agrees_with_numpy_and_restores_its_buffers():
    """Same equations compiled: with frozen draws (q one-hot) the same q; and exact state with Brian2's buffers."""
    spec = SPECS[0]
    loop, states = make_loop(spec, "cython"), []
    look = look_at(loop)

    def look_and_save():
        if loop.engine.steps_done == 11:
            states.append(loop.engine.state())
        return look()

    whole = loop.each_step(25, look_and_save)
    assert "random.rand_rest" in states[0]
    other = make_loop(spec, "cython")
    other.engine.set_state(states[0])
    np.testing.assert_array_equal(other.each_step(14, look_at(other)), whole[11:])

    # No randomness left: inputs always fire, biases decide every circuit.
    bias = np.array([60.0, 0, 0, 0, 60.0, 0, 0, 60.0])
    results = []
    for target in ("numpy", "cython"):
        fixed = make_loop(spec, target)
        fixed.arrays.p[:] = 1.0
        fixed.arrays.set_weights({"b": bias})
        results.append(fixed.each_step(20, look_at(fixed)))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-300)


def test_chunks_equal_one_run():
    one, chunks = make_loop(SPECS[1]), make_loop(SPECS[1])
    one.engine.advance(20)
    for steps in (1, 7, 0, 12):
        chunks.engine.advance(steps)
    np.testing.assert_array_equal(look_at(one)(), look_at(chunks)())


def test_random_numbers_are_private():
    """Neither does the network move NumPy's global generator, nor does a callback move the network's."""
    runs = []
    for meddle in (False, True):
        loop = make_loop(SPECS[0])
        look = look_at(loop)
        np.random.seed(3)  # noqa: NPY002
        expected = np.random.RandomState(3)

        def meddling(look=look, meddle=meddle, expected=expected):
            if meddle:
                assert np.random.random() == expected.random_sample()  # noqa: NPY002
                np.random.seed(4)  # noqa: NPY002
                expected.seed(4)
            return look()

        runs.append(loop.each_step(20, meddling))
        assert np.random.random() == expected.random_sample()  # noqa: NPY002
    np.testing.assert_array_equal(*runs)


def test_two_engines_take_turns():
    alone, a, b = make_loop(SPECS[0]), make_loop(SPECS[0]), make_loop(SPECS[1])
    expected = alone.each_step(12, look_at(alone))
    first = a.each_step(6, look_at(a))
    b.engine.advance(9)
    np.testing.assert_array_equal(np.concatenate([first, a.each_step(6, look_at(a))]), expected)


def test_run_counts_and_stops():
    loop = make_loop(SPECS[0])
    calls = []
    loop.engine.run(4, lambda: calls.append(loop.engine.steps_done) is None, 3)
    assert calls == [3, 6, 9, 12]
    loop.engine.run(None, lambda: calls.append(loop.engine.steps_done) or len(calls) < 6, 5)
    assert calls == [3, 6, 9, 12, 17, 22]
    loop.engine.run(0, lambda: pytest.fail("called"), 1)
    assert loop.engine.steps_done == 22


def test_an_error_in_the_callback_leaves_a_whole_step():
    loop, smooth = make_loop(SPECS[1]), make_loop(SPECS[1])
    with pytest.raises(ZeroDivisionError):
        loop.engine.run(None, lambda: 1 / 0, 4)
    loop.engine.advance(6)
    smooth.engine.advance(10)
    assert loop.engine.steps_done == 10
    np.testing.assert_array_equal(look_at(loop)(), look_at(smooth)())


def test_ctrl_c_is_not_lost():
    """Brian2 turns SIGINT into a quiet stop; a half-done decision must not look like an end."""
    loop = make_loop(SPECS[0])

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt):
        loop.engine.run(None, interrupted, 5)


def test_networks_on_the_default_clock():
    """Brian2's default clock belongs to all networks; each engine counts the steps of its own."""
    for steps in (7, 3):
        group = NeuronGroup(1, "dv/dt = 1/second : 1", method="euler", name="ramp")
        engine = RuntimeEngine("numpy")
        engine.prepare(Network(group))
        assert engine.steps_done == 0
        engine.advance(steps)
        assert engine.steps_done == steps
        assert group.v[0] == pytest.approx(steps * 1e-4)


def test_any_brian2_network():
    """A network that has nothing to do with circuits: delays, monitors, two clocks."""
    group = NeuronGroup(
        2, "dv/dt = (1.1 - v)/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact", name="lif"
    )
    target = NeuronGroup(1, "y : 1", name="counter")
    synapses = Synapses(group, target, on_pre="y += 1", delay=3 * ms, name="delayed")
    synapses.connect()
    slow = NeuronGroup(1, "dz/dt = 1/second : 1", dt=1 * ms, method="euler", name="slow")
    monitor = SpikeMonitor(group, name="spikes")
    engine = make_engine(EngineSpec(target="numpy"))
    engine.prepare(Network(group, target, synapses, slow, monitor))
    y = engine.view(target, "y")
    engine.advance(500)  # 50 ms of the fastest clock, 0.1 ms
    arrived = (np.array(monitor.t) < 47e-3 - 1e-9).sum()
    assert y[0] == arrived > 0
    state = engine.state()
    assert state["defaultclock.timestep"] == 500
    engine.advance(200)
    later = y[0], engine.view(slow, "z")[0]
    engine.set_state(state)
    engine.advance(200)
    assert (y[0], engine.view(slow, "z")[0]) == later
    engine.view(group, "v")[:] = 5.0
    assert group.v[0] == 5.0


def test_view_errors_and_subexpressions():
    loop = make_loop(SPECS[0])
    u = loop.engine.view(loop.network.neurons, "u")
    with pytest.raises(ValueError, match="read-only"):
        u[0] = 1
    with pytest.raises(EngineError, match="has no variable 'ww'"):
        loop.engine.view(loop.network.neurons, "ww")


def test_misuse():
    engine = RuntimeEngine("numpy")
    with pytest.raises(EngineError, match="prepare"):
        engine.advance(1)
    with pytest.raises(EngineError, match="empty"):
        engine.prepare(Network())
    loop = make_loop(SPECS[0])
    with pytest.raises(EngineError, match="already serves"):
        loop.engine.prepare(Network())
    with pytest.raises(ValueError, match="steps = -1"):
        loop.engine.advance(-1)
    with pytest.raises(ValueError, match="every = 0"):
        loop.engine.run(1, lambda: True, 0)
    with pytest.raises(ValueError, match="decisions = -2"):
        loop.engine.run(-2, lambda: True, 1)
    with pytest.raises(EngineError, match="another network: it differs in rwta"):
        loop.engine.set_state(make_loop(SPECS[1]).engine.state())
    bigger = make_loop(NetworkSpec(hidden_circuits=3, hidden_size=3, kernel=Exponential(tau=5 * ms)))
    with pytest.raises(EngineError, match="shape"):
        loop.engine.set_state(bigger.engine.state())
    with pytest.raises(EngineError, match="inside on_decision"):
        loop.engine.run(1, lambda: loop.engine.set_state({}), 1)


def test_another_device_is_active(monkeypatch):
    monkeypatch.setattr(brian2, "get_device", lambda: brian2.all_devices["cpp_standalone"])
    with pytest.raises(EngineError, match=r"needs Brian2's runtime device"):
        RuntimeEngine("numpy")


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("RWTA_SIM_CACHE", str(tmp_path))
    monkeypatch.setattr(runtime_module.CythonCodeObject, "is_available", classmethod(lambda cls: False))
    with pytest.raises(EngineError, match="needs a working C\\+\\+ compiler"):
        RuntimeEngine("cython").prepare(poisson_network())
    with pytest.warns(RuntimeWarning, match="no working C\\+\\+ compiler") as caught:
        engine = RuntimeEngine("auto")
        engine.prepare(poisson_network())
    assert len([w for w in caught if w.category is RuntimeWarning]) == 1
    engine.advance(5)
    assert engine.steps_done == 5


@pytest.mark.parametrize(
    "settings, compiler, expected",
    [
        ({}, "/usr/bin/c++", "compiled"),
        ({}, None, "runtime"),
        ({"target": "numpy"}, "/usr/bin/c++", "runtime"),
        ({"target": "cython"}, "/usr/bin/c++", "runtime"),
        ({"name": "runtime"}, "/usr/bin/c++", "runtime"),
        ({"name": "compiled"}, None, "compiled"),  # asked for: an error later, not another engine
    ],
)
def test_which_engine(monkeypatch, settings, compiler, expected):
    monkeypatch.setattr(build_module, "compiler", lambda: compiler)
    spec = EngineSpec(**settings)
    assert spec.resolved() == EngineSpec(name=expected, target=spec.target)
    if compiler or expected == "runtime":
        assert isinstance(make_engine(spec), CompiledEngine if expected == "compiled" else RuntimeEngine)
    else:
        with pytest.raises(EngineError, match=r"needs a C\+\+ compiler .*below \[engine\] in its config.toml"):
            make_engine(spec)


def test_a_target_is_not_for_the_compiled_engine():
    with pytest.raises(ValueError, match=r"target = .cython. is for the runtime engine.*set engine.name = .runtime."):
        EngineSpec(name="compiled", target="cython")


def test_a_run_names_the_engine_it_uses(monkeypatch, tmp_path):
    """Never "auto": engines agree only to rounding, and a run is to go on exactly, also where a compiler came since."""
    monkeypatch.setattr(build_module, "compiler", lambda: None)
    monkeypatch.setattr(runtime_module.CythonCodeObject, "is_available", classmethod(lambda cls: False))
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed(
        {"training.episodes": 1, "training.validation_episodes": 1}
    )
    assert experiment.engine.name == "auto"
    with pytest.warns(RuntimeWarning, match="Brian2 runs in NumPy"):
        assert rwta_sim.train(experiment, tmp_path / "run").engine == "runtime"
    monkeypatch.undo()
    run = RunFolder.open(tmp_path / "run")
    assert run.experiment.engine == EngineSpec(name="runtime")
    assert json.loads((run.path / "summary.json").read_text())["engine"] == "runtime"


def test_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RWTA_SIM_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match=r"cannot be written .* set RWTA_SIM_CACHE"):
        RuntimeEngine("auto").prepare(poisson_network())


def test_preferences_are_given_back():
    before = brian2.prefs.codegen.target, brian2.prefs.codegen.runtime.cython.cache_dir
    make_loop(SPECS[0]).engine.advance(1)
    assert (brian2.prefs.codegen.target, brian2.prefs.codegen.runtime.cython.cache_dir) == before


def poisson_network():
    return Network(NeuronGroup(3, "p : 1", threshold="rand() < p", dt=1 * ms, name="coins"))


def test_rate_unit():
    assert poisson_spec().circuit_rate == 100 * Hz
