"""The compiled engine: the runtime engine's numbers, exactly, for circuits and for any Brian2 network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2 import (
    Clock,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    PopulationRateMonitor,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    ms,
)
from conftest import poisson_spec

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.engines.compiled import engine as engine_module
from rwta_sim.errors import EngineError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.native import build as build_module

SPECS = {
    "one_hot": NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=5 * ms), weight_sd=1.0),
    "poisson": poisson_spec(hidden_circuits=2, hidden_size=3, kernel=Rectangular(duration=6 * ms), weight_sd=1.0),
}


class Circuits:
    def __init__(self, firing, engine=None, seed=1):
        self.engine = engine or CompiledEngine()
        with self.engine.building():
            self.network = RWTANetwork(SPECS[firing], 3, 2, rng=np.random.default_rng(0), record=True, history=60)
        self.engine.prepare(self.network.network)
        self.engine.seed(np.random.SeedSequence(seed))
        self.arrays = NetworkArrays(self.network, self.engine)
        self.arrays.p[:] = 0.4

    def look(self):
        return np.concatenate([self.arrays.q, self.arrays.trace(), self.arrays.input_trace(), self.arrays.fired()])

    def each_step(self, steps):
        seen = []
        self.engine.run(steps, lambda: seen.append(self.look()) is None, 1)
        return np.array(seen)


# Cython compiles for a minute; by day test_engines.py compares it with NumPy, and test_competition.py the other kind.
@pytest.mark.parametrize(
    ("firing", "target"),
    [("one_hot", "numpy"), *(pytest.param(firing, "cython", marks=pytest.mark.nightly) for firing in SPECS)],
)
def test_same_numbers_as_the_runtime_engine(firing, target):
    """The same seed gives the same spikes, and values that agree to rounding."""
    compiled, runtime = Circuits(firing), Circuits(firing, RuntimeEngine(target))
    one, other = compiled.each_step(60), runtime.each_step(60)
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    for name in ("input_spikes", "neuron_spikes"):
        mine, theirs = getattr(compiled.network, name), getattr(runtime.network, name)
        np.testing.assert_array_equal(mine.i, theirs.i)
        np.testing.assert_array_equal(mine.t / ms, theirs.t / ms)
    np.testing.assert_allclose(
        compiled.engine.view(compiled.network.neurons, "u"),
        runtime.engine.view(runtime.network.neurons, "u"),
        rtol=1e-12,
    )
    assert compiled.engine.steps_done == runtime.engine.steps_done == 60
    for mine, theirs in zip(compiled.arrays.history(), runtime.arrays.history(), strict=True):
        assert np.asarray(theirs).any()
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("firing", SPECS)
def test_state_restores_bit_for_bit(firing):
    loop, states = Circuits(firing), []
    before = loop.each_step(11)
    states.append(loop.engine.state())
    after = loop.each_step(14)
    assert before.shape == (11, after.shape[1])
    other = Circuits(firing, seed=9)
    other.engine.advance(3)
    other.engine.set_state(states[0])
    np.testing.assert_array_equal(other.each_step(14), after)
    with pytest.raises(EngineError, match="another network"):
        loop.engine.set_state({"a": np.zeros(1)})


def test_chunks_equal_one_run():
    one, chunks = Circuits("poisson"), Circuits("poisson")
    one.engine.advance(20)
    for steps in (1, 7, 0, 12):
        chunks.engine.advance(steps)
    np.testing.assert_array_equal(one.look(), chunks.look())


def test_networks_in_threads_have_memories_of_their_own():
    alone = Circuits("one_hot")
    expected = alone.each_step(400)
    loops = [Circuits("one_hot") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda loop: loop.each_step(400), loops))
    for result in results:
        np.testing.assert_array_equal(result, expected)
    loops[0].arrays.weights["s"][:] = 7.0
    assert (loops[1].arrays.weights["s"] != 7.0).all()


def any_network():
    """Nothing to do with circuits: delays, refractoriness, a TimedArray, run_regularly, two clocks, monitors."""
    stimulus = TimedArray([1.0, 1.6, 0.7], dt=5 * ms, name="stimulus")
    group = NeuronGroup(
        3,
        "dv/dt = (stimulus(t) - v + 0.1*i)/(5*ms) : 1 (unless refractory)",
        threshold="v > 0.8",
        reset="v = 0",
        refractory=1 * ms,
        method="exact",
        namespace={"stimulus": stimulus},
        name="lif",
    )
    group.run_regularly("v += 0.01*rand()", clock=group.clock, name="kick")
    kicks = PoissonInput(group, "v", N=30, rate=100 * brian2.Hz, weight=0.01)
    noise = PoissonGroup(5, 200 * brian2.Hz, name="noise")
    synapses = Synapses(noise, group, "w : 1", on_pre="v += w", name="delayed")
    synapses.connect()
    synapses.w = "0.02*(i + 1)"
    synapses.delay = "(0.5 + j)*ms"
    slow = NeuronGroup(1, "dz/dt = 1/second : 1", dt=1 * ms, method="euler", name="slow")
    monitors = [
        SpikeMonitor(group, name="spikes"),
        StateMonitor(group, "v", record=True, name="states"),
        PopulationRateMonitor(group, name="rate"),
    ]
    return Network(group, kicks, noise, synapses, slow, *monitors, name="any_network"), group, slow, monitors


@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.nightly)])
def test_any_brian2_network(target):
    """Spikes, states and rates of the runtime engine, also when advanced in uneven chunks."""
    results = []
    for engine, chunks in (
        (RuntimeEngine(target), [300]),
        (CompiledEngine(), [300]),
        (CompiledEngine(), [1, 7, 292]),
    ):
        with engine.building():
            network, group, slow, (spikes, states, rate) = any_network()
        engine.prepare(network)
        engine.seed(np.random.SeedSequence(5))
        for steps in chunks:
            engine.advance(steps)
        results.append([np.array(x) for x in (spikes.i, spikes.t, states.v, states.t, rate.rate, group.v, slow.z)])
        assert spikes.num_spikes > 10
        assert engine.view(slow, "z")[0] == pytest.approx(0.03)
    for mine in results[1:]:
        for one, other in zip(mine, results[0], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    for one, other in zip(*results[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.nightly)])
def test_training_is_the_same_on_both_engines(tmp_path, target):
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed({"training.episodes": 6, "training.validate_every": 3})
    for name, changes in (("runtime", {"engine.target": target}), ("compiled", {})):
        rwta_sim.train(experiment.changed({"engine.name": name, **changes}), tmp_path / name)
    runtime, compiled = (RunFolder.open(tmp_path / name).metrics() for name in ("runtime", "compiled"))
    for name, column in runtime.items():
        np.testing.assert_allclose(compiled[name], column, rtol=1e-9, err_msg=name)


def coin(name="coin"):
    engine = CompiledEngine()
    with engine.building():
        clock = Clock(1 * ms, name="coin_clock")  # a name of its own, so that the code is always the same
        group = NeuronGroup(2, "p : 1", threshold="rand() < p", clock=clock, name=name)
        network = Network(group, name="coin_network")
    return engine, network, group


def test_the_cache_is_used_and_mended(monkeypatch, tmp_path):
    monkeypatch.setenv("RWTA_SIM_CACHE", str(tmp_path))
    built = []
    real = build_module._compile
    monkeypatch.setattr(build_module, "_compile", lambda *a: built.append(1) or real(*a))
    for damage in (None, None, b"", b"half a library"):
        if damage is not None:
            next((tmp_path / "compiled").glob("*.so")).write_bytes(damage)
        engine, network, group = coin()
        engine.prepare(network)
        engine.view(group, "p")[:] = 1.0
        engine.advance(3)
        assert list(engine.view(group, "_spikespace")) == [0, 1, 2]
    assert len(built) == 3  # the first, and the two that were damaged
    left = sorted(path.suffix for path in (tmp_path / "compiled").iterdir())
    assert left == [".lock", ".sha256", ".so"]


def test_a_network_of_several_clocks_has_the_same_code_each_time(monkeypatch):
    """Brian2 keeps clocks in a set: the lines that set them came in the order of their addresses in memory."""
    codes = []

    def build(sources, **_):
        codes.append(sources)
        raise EngineError("not compiled")

    monkeypatch.setattr(engine_module, "build", build)
    kept = []
    for spread in range(4):
        engine = CompiledEngine()
        with engine.building():
            clocks = []
            for k in range(8):
                kept += [[k] * 10 for _ in range(spread * k % 7)]  # so that addresses lie elsewhere
                clocks.append(Clock(1 * ms, name=f"own_clock{k}"))
            groups = [NeuronGroup(2, "p : 1", clock=clock, name=f"of_{clock.name}") for clock in clocks]
            network = Network(*groups, name="clocks_network")
        with pytest.raises(EngineError, match="not compiled"):
            engine.prepare(network, {})
    assert codes[0] == codes[1] == codes[2] == codes[3]
    for unused in ("_write_arrays()\n{\n}", "set_variable_by_name(std::string name, std::string s_value) {\n}"):
        assert f"void {unused}\n" in codes[0]["objects.cpp"]  # a fifth of what there was to compile


#: A compiler that notes each library it links; the first call that compiles a network (Brian2 tries flags with it too)
#: hangs if there is a file `hang`.
COMPILER = """#!/bin/sh
case "$*" in
    *-shared*) echo >> "$NOTES/linked" ;;
    *building-*) if [ -e "$NOTES/hang" ] && mkdir "$NOTES/hanging" 2> /dev/null; then sleep 300; fi ;;
esac
exec {compiler} "$@"
"""


class Processes:
    """Processes that each build and run the network `coin` with a cache and a compiler of the test."""

    CODE = "import test_compiled as t; e, n, g = t.coin(); e.prepare(n); e.advance(5); print(e.steps_done)"

    def __init__(self, folder):
        self.folder = folder
        compiler = folder / "compiler"
        compiler.write_text(COMPILER.format(compiler=build_module.require_compiler()))
        compiler.chmod(0o755)
        self.cache = folder / "cache" / "compiled"
        here = str(Path(__file__).parent)
        self.environment = {
            **os.environ,
            "RWTA_SIM_CACHE": str(folder / "cache"),
            "CXX": str(compiler),
            "NOTES": str(folder),
            "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]),
        }

    def start(self):
        line = [sys.executable, "-c", self.CODE]
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=self.environment, start_new_session=True)

    def linked(self):
        return len((self.folder / "linked").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.nightly
def test_eight_processes_start_on_a_cold_cache(tmp_path):
    """All run; one has built."""
    processes = Processes(tmp_path)
    started = [processes.start() for _ in range(8)]
    assert [process.communicate()[0].strip() for process in started] == ["5"] * 8
    assert processes.linked() == 1
    assert sorted(path.suffix for path in processes.cache.iterdir()) == [".lock", ".sha256", ".so"]


@pytest.mark.slow
def test_a_process_killed_while_it_builds_does_not_hold_up_the_others(tmp_path):
    """SIGKILL in the middle of the compiler: the system frees the lock, the next one builds; `clear` tidies up."""
    processes = Processes(tmp_path)
    (tmp_path / "hang").touch()
    first = processes.start()
    try:
        wait_for(lambda: (tmp_path / "hanging").exists())
        others = [processes.start() for _ in range(2)]
        time.sleep(1)
        first.kill()  # the process only: its compiler lives on, as it would
        assert [process.communicate()[0].strip() for process in others] == ["5", "5"]
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert processes.linked() == 1
    assert len(list(processes.cache.glob("building-*"))) == 1


@pytest.mark.slow
def test_a_lock_that_is_never_freed_is_not_waited_for_for_ever(monkeypatch, tmp_path):
    """A process that was stopped in mid-build, or a lock left behind on a file system with locks of its own kind."""
    monkeypatch.setenv("RWTA_SIM_CACHE", str(tmp_path))
    monkeypatch.setattr(build_module, "PATIENCE", 0.2)
    engine, network, _ = coin()
    engine.prepare(network)
    (library,) = (tmp_path / "compiled").glob("*.so")
    library.write_bytes(b"half a library")
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(1, flush=True); input()"
    line = [sys.executable, "-c", code, str(library.with_suffix(".lock"))]
    holder = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "1\n"
    engine, network, _ = coin()
    engine.prepare(network)
    holder.communicate("\n")
    engine.advance(2)
    assert engine.steps_done == 2


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_refusals(monkeypatch):
    engine = CompiledEngine()
    with engine.building():
        network = Network(NetworkOperation(lambda: None, name="python_code"))
    with pytest.raises(EngineError, match="python_code is a NetworkOperation"):
        engine.prepare(network)
    outside = Network(NeuronGroup(1, "v : 1", name="outside"))
    with pytest.raises(EngineError, match="outside was not built inside"):
        CompiledEngine().prepare(outside)
    with pytest.raises(EngineError, match="call prepare"):
        CompiledEngine().advance(1)
    with pytest.raises(EngineError, match="call prepare"):
        CompiledEngine().seed(np.random.SeedSequence(0))
    assert type(brian2.get_device()).__name__ == "RuntimeDevice"
    monkeypatch.setattr(build_module, "compiler", lambda: None)
    with pytest.raises(EngineError, match=r"needs a C\+\+ compiler .* use --engine runtime"):
        CompiledEngine()


def test_a_compiler_that_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("RWTA_SIM_CACHE", str(tmp_path))
    engine, network, _ = coin()
    monkeypatch.setattr(build_module, "get_compiler_and_args", lambda: ("unix", ["--no-such-flag"]))
    with pytest.raises(EngineError, match=r"the C\+\+ compiler failed .*\n.*no-such-flag"):
        engine.prepare(network)


def test_negative_steps():
    engine, network, _ = coin()
    engine.prepare(network)
    with pytest.raises(ValueError, match="steps = -1"):
        engine.advance(-1)
    engine.run(0, lambda: pytest.fail("called"), 1)
    calls = []
    engine.run(3, lambda: calls.append(engine.steps_done) is None, 4)
    assert calls == [4, 8, 12]
