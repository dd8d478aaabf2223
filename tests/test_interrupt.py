"""Ctrl-C in a long advance or run: it acts soon, the network is consistent, and goes on bit for bit."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from brian2 import Clock, Network, NeuronGroup, ms, network_operation

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.engines.compiled import library as library_module

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}
FOREVER = 10**9


class Walk:
    """Random walks on an engine, with a slow clock whose steps fall between those of the fast one."""

    def __init__(self, kind):
        self.engine = ENGINES[kind]()
        with self.engine.building():
            equations, clock = "dv/dt = -v/(10*ms) + xi/sqrt(ms) : 1", Clock(0.25 * ms, name="walk_clock")
            self.fast = NeuronGroup(200, equations, method="euler", name="walk_fast")
            self.slow = NeuronGroup(2, equations, method="euler", clock=clock, name="walk_slow")
            network = Network(self.fast, self.slow, name="walk_network")
        self.engine.prepare(network)
        self.network = network
        self.engine.seed(np.random.SeedSequence(4))

    def values(self):
        return np.concatenate([self.engine.view(self.fast, "v"), self.engine.view(self.slow, "v")])


@contextmanager
def interrupted(engine):
    """SIGINT a little after steps have begun; what it ends must end long before its steps are done."""
    sent, before, ended = [], engine.steps_done, threading.Event()

    def send():
        while engine.steps_done == before and not ended.wait(0.01):
            pass
        ended.wait(0.2)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.perf_counter() - sent[0] < 60.0  # 0.02 s where nobody else computes; to the end are hours
    finally:
        ended.set()
        sender.join()


@pytest.mark.parametrize("kind", ENGINES)
def test_an_advance_ends_and_goes_on(kind):
    """Several times over; then state and time are those of a network that was never interrupted."""
    walk = Walk(kind)
    for _ in range(3):
        before = walk.engine.steps_done
        with interrupted(walk.engine):
            walk.engine.advance(FOREVER)
        done = walk.engine.steps_done
        assert done > before
        if kind == "runtime":
            assert walk.network.t / ms == pytest.approx(0.1 * done, abs=1e-9)
        walk.engine.advance(7)
        assert walk.engine.steps_done == done + 7
    other = Walk(kind)
    other.engine.advance(done + 7)
    np.testing.assert_array_equal(walk.values(), other.values())


@pytest.mark.parametrize("kind", ENGINES)
def test_a_decision_ends(kind):
    """In a run too, in mid-decision; the next run counts its decisions from where it begins."""
    walk, calls = Walk(kind), []
    with interrupted(walk.engine):
        walk.engine.run(None, lambda: calls.append(1) is None, FOREVER)
    assert not calls
    done = walk.engine.steps_done
    walk.engine.run(2, lambda: calls.append(walk.engine.steps_done) is None, 5)
    assert calls == [done + 5, done + 10]


def test_in_the_last_step_it_is_heard_too():
    """Brian2 only stops, and there is nothing left to stop."""
    engine = RuntimeEngine("numpy")
    group = NeuronGroup(1, "v : 1", name="last_step")

    @network_operation(clock=group.clock)
    def interrupt():
        if engine.steps_done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    engine.prepare(Network(group, interrupt))
    with pytest.raises(KeyboardInterrupt):
        engine.advance(3)
    assert engine.steps_done == 3


def test_short_advances_are_one_call(monkeypatch):
    """Once a network's pace is known; and a thread that gets no signals never looks for them."""
    walk = Walk("compiled")
    walk.engine.advance(200)
    calls = []
    real = walk.engine._library._dll.rwta_sim_advance
    monkeypatch.setattr(walk.engine._library._dll, "rwta_sim_advance", lambda n: calls.append(n) or real(n))
    walk.engine.advance(walk.engine._library._chunk)
    assert len(calls) == 1
    calls.clear()
    walk.engine._library._chunk = 1
    thread = threading.Thread(target=walk.engine.advance, args=(50,))
    thread.start()
    thread.join()
    assert calls == [50]
    calls.clear()
    monkeypatch.setattr(library_module, "_PATIENCE", 0.0)
    walk.engine.advance(5)
    assert calls == [1] * 5
