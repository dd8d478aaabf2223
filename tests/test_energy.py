"""What decisions cost, and weights of blocks over time: functions of recordings."""

from __future__ import annotations

import numpy as np
import pytest
from known_recordings import DECISION, known_recording
from matplotlib.figure import Figure

import rwta_sim
from rwta_sim import analysis
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Learning that goes on, in the smallest task, event by event."""
    folder = tmp_path_factory.mktemp("energy") / "run"
    changes = {"training.episodes": 1, "training.validation_episodes": 1, "learning.rate": 0.05}
    rwta_sim.train(rwta_sim.preset("cue").changed({"engine": {"name": "events"}, **changes}), folder)
    return rwta_sim.record(folder, 3, ["spikes", "sh.w@decision", "b.w@episode"], learning=True)


def test_energy_by_hand(tmp_path):
    """Three neurons with 2, 0 and 5 synapses: decisions of two, no and three spikes."""
    spikes = np.array([0, 2, 2, 2, 0]), np.array([0.01, 0.02, 0.21, 0.22, 0.23])
    known = known_recording(tmp_path / "known", spikes, 3, {}, [3])
    assert analysis.energy(known)["synaptic_events"].isna().all()
    told = analysis.energy(Recording(known.path, {**known.meta, "fan_out": {"hidden": [2, 0, 5]}}, 0, 3))
    assert told["decision"].tolist() == [0, 1, 2] and set(told["population"]) == {"hidden"}
    assert told["spikes"].tolist() == [2, 0, 3] and told["synaptic_events"].tolist() == [7, 0, 12]
    assert float(known.decision_time) == DECISION


def test_energy_of_a_network(recording):
    """Each spike goes to all neurons of the blocks that its own sends to: counted one by one."""
    network = NetworkSpec.model_validate(recording.meta["experiment"]["network"])
    sizes = {name: p.stop - p.start for name, p in recording.populations.items()}
    names = {"s": "inputs", "h": "hidden", "a": "action"}
    blocks = rwta_sim.Agent.load(recording.path.parent.parent).weights()
    targets = {
        name: sum(w.shape[1] for block, w in blocks.items() if block != "b" and names[block[0]] == name)
        for name in sizes
    }
    assert targets["inputs"] == network.n_hidden and targets["hidden"] > 0
    told = analysis.energy(recording)
    for name in sizes:
        counts = recording.spike_counts(name).sum(axis=1)
        mine = told[told["population"] == name]
        np.testing.assert_array_equal(mine["spikes"], counts)
        np.testing.assert_array_equal(mine["synaptic_events"], counts * targets[name])
    part = analysis.energy(recording.decisions(3, 5))
    assert sorted(set(part["decision"])) == [3, 4]
    ax = Figure().add_subplot()
    analysis.plot_energy(ax, told)
    assert len(ax.lines) == len(sizes)
    np.testing.assert_allclose(
        ax.lines[0].get_ydata(), told[told["population"] == next(iter(sizes))]["synaptic_events"]
    )


def test_sparse_networks_have_fewer_synapses():
    """What leaves all neurons is what there are weights of."""
    changes = {"network.sparsity": 0.5, "engine": {"name": "events"}}
    experiment = rwta_sim.preset("delayed-cue").changed(changes)
    with rwta_sim.Agent(experiment) as agent:
        out, weights = agent.system.fan_out(), agent.system.actor.weights.weights
        assert len(set(out["hidden"].tolist())) > 1
        assert sum(counts.sum() for counts in out.values()) == sum(w.size for w in weights.values())


def test_weights_over_time(recording):
    """Mean, spread and size of each block, at each moment at which it was read."""
    told = analysis.weight_evolution(recording)
    w, b = recording.readings("sh.w"), recording.at_episodes("b.w")
    mine = told[told["block"] == "sh"]
    assert mine["decision"].tolist() == list(range(len(recording))) and set(mine["moment"]) == {"decision"}
    for k in (0, len(w) - 1):
        row = mine.iloc[k]
        np.testing.assert_allclose(row[["mean", "sd"]].astype(float), [w[k].mean(), w[k].std()])
        np.testing.assert_allclose(
            row[["rms", "largest"]].astype(float), [np.sqrt((w[k] ** 2).mean()), abs(w[k]).max()]
        )
    biases = told[told["block"] == "b"]
    assert biases["decision"].tolist() == [row.end - 1 for row in recording.episodes]
    np.testing.assert_allclose(biases["mean"], b.mean(axis=1))
    assert mine["rms"].iloc[-1] != mine["rms"].iloc[0]
    ax = Figure().add_subplot()
    analysis.plot_weight_evolution(ax, told)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), mine["rms"])


def test_what_was_not_recorded(tmp_path, recording):
    silent = Recording(recording.path, {**recording.meta, "populations": {}, "probes": []}, 0, 1)
    with pytest.raises(ConfigError, match="no spikes to count: record them with the probe 'spikes'"):
        analysis.energy(silent)
    with pytest.raises(ConfigError, match="no weights: record them with the probe 'w'"):
        analysis.weight_evolution(silent)
