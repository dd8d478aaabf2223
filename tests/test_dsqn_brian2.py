"""Deep spiking Q-learning as a Brian2 network, held against the same network in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rwta_sim
from rwta_sim.agents.dsqn.convolution import correlated
from rwta_sim.errors import ConfigError, NotEnoughMemory
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder

pytest.importorskip("torch")

from test_dsqn import pictures, randomised, short

ON_NUMPY = {"engine.target": "numpy"}


def decisions(agent, drives):
    """Spikes of every step and neuron, membranes, Q and actions of these drives."""
    system, rng, found = agent.system, np.random.default_rng(0), []

    def session():
        for drive in drives:
            choice = yield from system.decide(drive, True, rng)
            spikes = np.concatenate([layer.reshape(len(layer), -1) for layer in system._told[:-1]], axis=1)
            assert np.array_equal(system.read("spikes"), spikes.sum(axis=0)) and choice.numbers[1] == spikes.sum()
            found.append((spikes, system.read("membranes"), system.read("q"), choice.action))

    system.run(session())
    return [np.array(each) for each in zip(*found, strict=True)]


def same(ours, theirs):
    spikes, membranes, q, actions = zip(ours, theirs, strict=True)
    assert 0.05 < spikes[0].mean() < 0.95
    assert np.array_equal(*spikes) and np.array_equal(*actions)
    np.testing.assert_allclose(*membranes, rtol=0, atol=1e-5)
    np.testing.assert_allclose(*q, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("settings", "engine"), [(ON_NUMPY, None), ({}, "compiled")], ids=["numpy", "compiled"])
def test_maps_and_layers_are_those_of_pytorch(settings, engine):
    """Two layers of maps, the second from spikes, and dense actions; whole, and with neurons destroyed and silenced."""
    drives = np.random.default_rng(1).integers(0, 2, (30, 60)).astype(float)
    how = {"neurons.steps": 5, "neurons.tau": 3.0, "hidden": []}
    experiment = pictures("dsqn", **how)
    with rwta_sim.Agent(experiment) as theirs, rwta_sim.Agent(experiment.changed(settings), engine=engine) as ours:
        assert (ours.engine_name, theirs.engine_name) == (engine or "runtime", "none")
        for agent in (ours, theirs):
            randomised(agent, 3)
            agent.system.parameters_changed()
        same(decisions(ours, drives), decisions(theirs, drives))
        for name, target in (("lesion", "neurons:0.3"), ("silence", "layer:1")):
            ours.perturb(name, target, seed=2)
            theirs.perturb(name, target, seed=2)
            same(decisions(ours, drives[:10]), decisions(theirs, drives[:10]))


@pytest.mark.parametrize("decoder", ["last", "mean"])
def test_training_is_that_of_pytorch(decoder, tmp_path):
    """The same actions follow from the same spikes: weights end the same to the last bit."""
    ends = []
    for name, engine in (("torch", {}), ("brian2", ON_NUMPY)):
        experiment = short("dsqn", **engine, **{"neurons.decoder": decoder, "training.episodes": 8})
        rwta_sim.train(experiment, tmp_path / name)
        run = RunFolder.open(tmp_path / name)
        assert run.read_json("summary.json")["engine"] == ("none" if name == "torch" else "runtime")
        ends.append((run, record_episode(run)))
    (theirs, their_record), (ours, our_record) = ends
    arrays = theirs.last().arrays
    assert arrays["replay.action"].size > 90 and arrays["adam.layers.0.weight.step"] > 20
    assert all(np.array_equal(a, ours.last().arrays[name]) for name, a in arrays.items())
    assert np.array_equal(theirs.metrics()["spikes"], ours.metrics()["spikes"]) and theirs.metrics()["spikes"].any()
    assert all(np.array_equal(a, our_record[name]) for name, a in their_record.items())


def test_correlation_is_a_sum_over_the_filter():
    rng, stride = np.random.default_rng(0), 2
    picture, kernel = rng.normal(size=(6, 7, 2)), rng.normal(size=(3, 3, 2, 4))
    found = correlated(picture, kernel, stride)
    assert found.shape == (2, 3, 4)
    for y, x, m in np.ndindex(found.shape):
        terms = (
            picture[y * stride + i, x * stride + j, c] * kernel[i, j, c, m]
            for c in range(2)
            for i in range(3)
            for j in range(3)
        )
        assert found[y, x, m] == pytest.approx(sum(terms), abs=1e-12)


def test_engines_that_it_cannot_have():
    with pytest.raises(ConfigError, match=r"engine\.name = 'events' simulates circuits that it knows"):
        short("dsqn", **{"engine.name": "events"})
    with pytest.raises(ConfigError, match=r"unknown setting 'engine\.name'"):
        short("dqn", **{"engine.name": "runtime"})


def test_synapses_that_do_not_fit_into_memory(monkeypatch):
    """Two layers of 1,000 neurons: a million synapses are 20 MiB; in PyTorch they are 8 bytes each."""
    monkeypatch.setattr("rwta_sim.memory.available", lambda: 18 * 2**20)
    wide = {"hidden": [1000, 1000]}
    rwta_sim.Agent(short("dsqn", **wide)).close()
    with pytest.raises(NotEnoughMemory, match=r"1,002,000 synapses .* in Brian2.*leave engine out"):
        rwta_sim.Agent(short("dsqn", **wide, **ON_NUMPY))
