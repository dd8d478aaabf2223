"""The gain of the action circuit: a sharper competition where nothing is learned."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import poisson_spec

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.engines import RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.runs import RunFolder
from rwta_sim.seeding import Purpose, episode_seeds

GAIN = 3.0
WAYS = {
    "runtime": {"engine.name": "runtime", "engine.target": "numpy"},
    "synapses that learn": {
        **{"engine.name": "runtime", "engine.target": "numpy", "learning.apply": "synapses"},
        "learning.rule.kind": "score_function",  # whose equations have a gain, too
    },
    "events": {"engine.name": "events"},
    "rate": {"dynamics": "rate", "learning.rule.kind": "mean_field"},
}


def policies(system, purpose, drive):
    """Policy of a decision, and the potentials of the action circuit by hand from the traces that it saw."""
    seeds = episode_seeds(0, purpose, 0)

    def session():
        system.begin(seeds)
        return (yield from system.actor.decide(drive, False, seeds.choices))

    decision, weights, where = system.run(session()), system.actor.weights, system.actor.network.action
    u = weights.b[where] + decision.trace[system.actor.network.hidden] @ weights.weights["ha"]
    return decision.policy, u


def softmax(u):
    e = np.exp(u - u.max())
    return e / e.sum()


@pytest.mark.parametrize("way", WAYS)
def test_potentials_are_multiplied_where_nothing_is_learned(way):
    """q of the action circuit is softmax(gain u) in evaluations and validations, softmax(u) in training."""
    preset = rwta_sim.preset("cue").changed(WAYS[way])
    with Agent(preset.changed({"decision.gain": GAIN})) as agent:
        system = agent.system
        rng, weights = np.random.default_rng(0), system.actor.weights
        blocks = {"ha": rng.normal(size=weights.weights["ha"].shape), "b": rng.normal(size=weights.b.size)}
        weights.set_weights(blocks)
        drive = rng.random(system.encoder.n_inputs)
        for purpose, gain in (
            *((Purpose.TRAINING, 1.0), (Purpose.EVALUATION, GAIN)),
            *((Purpose.VALIDATION, GAIN), (Purpose.TRAINING, 1.0)),
        ):
            q, u = policies(system, purpose, drive)
            np.testing.assert_allclose(q, softmax(gain * u), rtol=1e-4 if way == "rate" else 1e-9)
            assert np.abs(q - softmax((1 + GAIN - gain) * u)).max() > 0.05


def test_learning_goes_on_without_it(tmp_path):
    """The same weights bit for bit with and without; validations differ, as their policy is another."""
    short = {"training.episodes": 12, "training.validate_every": 6, "engine.name": "events"}
    runs = []
    for gain in (1.0, 5.0):
        where = tmp_path / str(gain)
        rwta_sim.train(rwta_sim.preset("cue").changed({**short, "decision.gain": gain}), where)
        runs.append(RunFolder.open(where))
    one, other = runs
    for name, array in one.last().arrays.items():
        np.testing.assert_array_equal(other.last().arrays[name], array)
    np.testing.assert_array_equal(one.metrics()["return"], other.metrics()["return"])
    validations = [run.metrics()["validation_return"] for run in runs]
    assert not np.array_equal(*validations, equal_nan=True)


def test_bad_gains():
    for gain in (0, -1, 1001, float("nan")):
        with pytest.raises(ConfigError, match="gain"):
            rwta_sim.preset("cue").changed({"decision.gain": gain})
    engine = RuntimeEngine("numpy")
    with engine.building():
        network = RWTANetwork(poisson_spec(hidden_circuits=1, hidden_size=2), 2, 2)
    engine.prepare(network.network)
    arrays = NetworkArrays(network, engine)
    arrays.sharpen(1.0)
    with pytest.raises(ValueError, match=r"gain = 2\.0: this network has none"):
        arrays.sharpen(2.0)
