"""Misuse of engines: an error that says what to do, before anything else happens."""

from __future__ import annotations

import os
import warnings

import brian2
import numpy as np
import pytest
from brian2 import Clock, Network, NeuronGroup, PoissonGroup, StateMonitor, Synapses, ms, second

import rwta_sim
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError, EngineError

ENGINES = {"runtime": lambda: RuntimeEngine("numpy"), "compiled": CompiledEngine}


@pytest.fixture(params=ENGINES)
def make(request):
    return ENGINES[request.param]


def ramp(engine, **settings):
    """One network that all tests share the library of."""
    with engine.building():
        clock = Clock(0.1 * ms, name="ramp_clock")
        group = NeuronGroup(2, "dv/dt = 1/second : 1", method="euler", **{"clock": clock, **settings}, name="ramp")
        return Network(group, name="ramp_network"), group


def test_what_is_no_network(make):
    engine = make()
    _, group = ramp(engine)
    for thing, name in ((group, "ramp"), ([group], r"\[NeuronGroup"), ("net", "'net'"), (None, "None")):
        with pytest.raises(EngineError, match=f"{name}.* is not a brian2.Network: put the objects into one"):
            engine.prepare(thing)
    engine.prepare(Network(group, name="ramp_network"), namespace={})


def test_built_twice_on_one_engine():
    engine = CompiledEngine()
    kept = []
    for _ in range(2):
        network, group = ramp(engine)
        kept.append((network, group))
    with pytest.raises(EngineError, match=r"in a cell that ran twice.*make a new engine"):
        engine.prepare(network)
    gone = CompiledEngine()
    for _ in range(2):
        network, group = ramp(gone)
    with pytest.raises(EngineError, match=r"in a cell that ran twice.*make a new engine"):
        gone.prepare(network)


def test_building_in_several_pieces_and_subgroups_of_the_moment():
    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(6, "v : 1", name="pieces")
        group[1:3].v = 1
    with engine.building():
        group[4:].v = "2 + i"
        network = Network(group, name="pieces_network")
    engine.prepare(network, namespace={})
    np.testing.assert_array_equal(engine.view(group, "v"), [0, 1, 1, 0, 2, 3])


def test_a_clock_from_outside():
    engine = CompiledEngine()
    network, _ = ramp(engine, clock=Clock(1 * ms, name="outside"))
    with pytest.raises(EngineError, match="outside, the clock of ramp, was not made inside"):
        engine.prepare(network)


def test_seeds(make):
    """A whole number is the SeedSequence of it; nothing else is a seed."""
    engine = make()
    with engine.building():
        group = PoissonGroup(5, 500 / second, clock=Clock(0.1 * ms, name="coins_clock"), name="coins")
        network = Network(group, name="coins_network")
    engine.prepare(network, namespace={})
    seen = []
    for seed in (np.random.SeedSequence(42), 42, np.int32(42), 43):
        engine.seed(seed)
        seen.append([])
        engine.run(100, lambda: seen[-1].append(list(group.spikes)) is None, 1)
    assert seen[0] == seen[1] == seen[2] != seen[3]
    for bad in (-1, 1.5, "42", True, None, [1]):
        with pytest.raises(EngineError, match=r"seed = .*: expected a whole number from 0 on, or a numpy"):
            engine.seed(bad)


def test_random_connections_follow_brian2s_seed(make):
    def connections(seed):
        engine = make()
        with engine.building():
            group = NeuronGroup(20, "v : 1", threshold="v > 1", clock=Clock(0.1 * ms, name="drawn_clock"), name="drawn")
            synapses = Synapses(group, group, on_pre="v_post += 1", clock=group.clock, name="draws")
            brian2.seed(7)
            synapses.connect(p=0.3)
            network = Network(group, synapses, name="drawn_network")
        engine.prepare(network, namespace={})
        engine.seed(seed)
        return engine.view(synapses, "j").copy()

    first = connections(1)
    assert 60 < first.size < 180
    np.testing.assert_array_equal(first, connections(2))


def test_a_callback_that_forgets_its_answer(make):
    engine = make()
    network, _ = ramp(engine)
    engine.prepare(network, namespace={})
    with pytest.raises(EngineError, match="on_decision returned None: let it return True to go on"):
        engine.run(3, lambda: None, 2)
    assert engine.steps_done == 2
    engine.run(3, lambda: False, 2)
    assert engine.steps_done == 4


def test_networks_in_which_nothing_runs(make):
    """Time passes all the same."""
    engine = make()
    with engine.building():
        still = NeuronGroup(2, "v : 1", clock=Clock(0.1 * ms, name="still_clock"), name="still")
        network = Network(still, name="still_network")
    engine.prepare(network, namespace={})
    state = engine.state()
    engine.advance(5)
    assert (engine.steps_done, still.t_) == (5, pytest.approx(5e-4))
    engine.set_state(state)
    assert engine.steps_done == 0


def test_nothing_of_a_network_is_active(make):
    engine = make()
    network, group = ramp(engine)
    group.active = False
    engine.prepare(network, namespace={})
    engine.advance(5)
    assert engine.steps_done == 5
    np.testing.assert_array_equal(group.v_[:], 0)


def test_folders_with_any_names(monkeypatch, tmp_path):
    """Bytes that are no text, quotes, blanks and line ends, in the folders for temporary files and for libraries."""
    folder = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff 'q\" \n$HOME;*")
    os.mkdir(folder)
    monkeypatch.setattr("tempfile.tempdir", folder)
    monkeypatch.setenv("RWTA_SIM_CACHE", os.path.join(folder, "cache"))
    engine = CompiledEngine()
    network, group = ramp(engine)
    engine.prepare(network, namespace={})
    engine.advance(10)
    np.testing.assert_allclose(engine.view(group, "v"), 1e-3)


def test_a_step_can_be_looked_up(make):
    engine = make()
    with pytest.raises(EngineError, match="call prepare"):
        engine.dt  # noqa: B018
    network, _ = ramp(engine)
    engine.prepare(network, namespace={})
    assert engine.dt == 0.1 * ms


def test_a_forgotten_dt_is_warned_of():
    def prepare(**settings):
        engine = RuntimeEngine("numpy")
        slow = NeuronGroup(1, "v : 1", dt=1 * ms, name="slow")
        other = PoissonGroup(1, 10 / second, **settings, name="inputs")
        engine.prepare(Network(slow, other), namespace={})

    with pytest.warns(
        RuntimeWarning, match=r"a step of this network is 100\. us, Brian2's default, because inputs was"
    ):
        prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        prepare(dt=0.1 * ms)
        prepare(dt=1 * ms)
        group = NeuronGroup(1, "v : 1", name="usual")
        engine = RuntimeEngine("numpy")
        engine.prepare(Network(group, StateMonitor(group, "v", record=True, dt=1 * ms, name="seldom")), namespace={})


def test_an_environment_is_not_a_name(tmp_path, cue):
    with pytest.raises(ConfigError, match=r"env = 'CartPole-v1': expected a gymnasium.Env, .*environment\.id"):
        rwta_sim.train(cue, tmp_path / "run", env="CartPole-v1")
    assert not (tmp_path / "run").exists()
