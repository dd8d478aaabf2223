"""Several threads: each with engines of its own, or refused; and one thread for what BLAS adds up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, ms
from threadpoolctl import threadpool_info, threadpool_limits

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.engines._turns import Turn
from rwta_sim.errors import EngineError
from rwta_sim.lab import blas

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}


class Noisy:
    """Neurons with noise and delays on an engine, recorded; the names are always the same, for one library."""

    def __init__(self, engine):
        self.engine = engine
        with engine.building():
            self.group = NeuronGroup(
                50,
                "dv/dt = (1.1 - v)/(10*ms) + 0.3*xi*(10*ms)**-0.5 : 1",
                threshold="v > 1",
                reset="v = 0",
                method="euler",
                name="noisy",
            )
            synapses = Synapses(self.group, self.group, on_pre="v_post += 0.001", delay=2 * ms, name="noisy_synapses")
            synapses.connect()
            self.spikes = SpikeMonitor(self.group, name="noisy_spikes")
            self.network = Network(self.group, synapses, self.spikes, name="noisy_network")
        engine.prepare(self.network)
        engine.seed(np.random.SeedSequence(1))


def elsewhere(work):
    """What `work` does in another thread: its value, or what it raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.fixture(params=ENGINES)
def noisy(request):
    return Noisy(ENGINES[request.param]())


def test_another_thread_is_refused_at_once(noisy):
    """While one thread is in a run, whatever another one does to the engine is an error; then it may."""
    engine, group = noisy.engine, noisy.group
    state = engine.state()
    uses = {
        "advance": lambda: engine.advance(1),
        "run": lambda: engine.run(1, lambda: True, 1),
        "drain": lambda: engine.drain(noisy.spikes),
        "state": engine.state,
        "set_state": lambda: engine.set_state(state),
        "seed": lambda: engine.seed(np.random.SeedSequence(2)),
        "view": lambda: engine.view(group, "v"),
        "prepare": lambda: engine.prepare(noisy.network),
        "close": engine.close,
    }

    def on_decision():
        for name, use in uses.items():
            with pytest.raises(EngineError, match="in use by another thread"):
                elsewhere(use)
                pytest.fail(name)
        return True

    engine.run(2, on_decision, 10)
    assert engine.steps_done == 20
    elsewhere(lambda: engine.advance(5))
    assert engine.steps_done == 25


def test_the_callback_may_use_its_engine(noisy):
    """In the same thread, what the contract allows: it changes nothing that it does not say."""
    engine, seen = noisy.engine, []

    def on_decision():
        seen.append(
            (engine.steps_done, len(engine.drain(noisy.spikes)["t"]), engine.state(), engine.view(noisy.group, "v"))
        )
        if isinstance(engine, CompiledEngine):
            engine.set_state(engine.state())
        return True

    engine.run(3, on_decision, 100)
    assert [steps for steps, *_ in seen] == [100, 200, 300]
    other = Noisy(type(engine)("numpy") if isinstance(engine, RuntimeEngine) else CompiledEngine())
    other.engine.advance(300)
    assert other.spikes.num_spikes == sum(spikes for _, spikes, *_ in seen) > 20
    np.testing.assert_array_equal(other.engine.view(other.group, "v"), engine.view(noisy.group, "v"))


def test_two_threads_lose_nothing():
    """Both advance, drain and look as often as they can; every call is done in full or refused."""
    noisy, alone = Noisy(CompiledEngine()), Noisy(CompiledEngine())
    engine, done, refused, drained, start = noisy.engine, [], [], [], threading.Barrier(4)

    def work(number):
        start.wait()
        for n in range(300):
            try:
                if n % 4 == number:
                    drained.append(engine.drain(noisy.spikes))
                elif n % 7 == number:
                    engine.set_state(engine.state())
                else:
                    engine.advance(40)
                    done.append(40)
            except EngineError as error:
                refused.append(str(error))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert refused and all("another thread" in text for text in refused)
    assert engine.steps_done == sum(done)
    drained.append(engine.drain(noisy.spikes))
    alone.engine.advance(sum(done))
    np.testing.assert_array_equal(np.concatenate([part["i"] for part in drained]), alone.spikes.i)


def test_engines_in_threads_of_their_own():
    """As replicas do: each gives what it gives alone."""

    def play(_=None):
        noisy = Noisy(CompiledEngine())
        for _ in range(20):
            noisy.engine.advance(50)
        return noisy.engine.drain(noisy.spikes)["i"]

    expected = play()
    assert len(expected) > 50
    with ThreadPoolExecutor(8) as pool:
        for spikes in pool.map(play, range(8)):
            np.testing.assert_array_equal(spikes, expected)


def test_brian2_runs_one_network_at_a_time():
    """Two runtime engines in two threads would share Brian2's clocks, preferences and random numbers."""
    one, other = (Noisy(RuntimeEngine("numpy")) for _ in range(2))

    def on_decision():
        with pytest.raises(EngineError, match="another network in another thread"):
            elsewhere(lambda: other.engine.advance(1))
        return True

    one.engine.run(1, on_decision, 5)
    elsewhere(lambda: other.engine.advance(1))
    assert (one.engine.steps_done, other.engine.steps_done) == (5, 1)


def test_a_turn_ends_with_an_error():
    turn = Turn()
    with pytest.raises(ZeroDivisionError), turn, turn:
        _ = 1 / 0
    elsewhere(turn.__enter__)
    with pytest.raises(EngineError, match="another thread"), turn:
        pass


# -- BLAS ---------------------------------------------------------------------------------------------


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.skipif(not blas_threads(), reason="NumPy has a BLAS whose threads nobody can count")
def test_one_thread_until_the_last_leaves():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = blas.one_thread(), blas.one_thread()
        first.__enter__()
        elsewhere(second.__enter__)
        assert blas_threads() == {1}
        elsewhere(lambda: second.__exit__(None, None, None))
        assert blas_threads() == {1}
        first.__exit__(None, None, None)
        assert blas_threads() == before


def test_where_blas_does_not_listen_it_is_said(monkeypatch):
    monkeypatch.setattr(blas, "threadpool_info", lambda: [{"user_api": "blas", "num_threads": 4}])
    with (
        pytest.warns(RuntimeWarning, match="BLAS goes on in several threads.*OPENBLAS_NUM_THREADS=1"),
        blas.one_thread(),
    ):
        pass


TRAINING = """
import sys, rwta_sim
from rwta_sim.lab import evaluation
evaluation._DECISIONS = evaluation._EACH = 1  # every pattern is shown once in a validation
experiment = rwta_sim.preset("digits", "svpg-lockstep").changed({
    "dynamics": "rate", "learning.rule.kind": "mean_field", "training.episodes": 60, "training.validate_every": 30})
rwta_sim.train(experiment, sys.argv[1])
"""


@pytest.mark.slow
def test_rate_dynamics_do_not_depend_on_the_number_of_threads(tmp_path):
    pytest.importorskip("sklearn")
    for count in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        line = [sys.executable, "-c", TRAINING, str(tmp_path / count)]
        subprocess.run(line, env=environment, check=True, capture_output=True)
    one, two = ((tmp_path / count / "metrics.csv").read_bytes() for count in ("1", "2"))
    assert one == two and one.count(b"\n") == 61
