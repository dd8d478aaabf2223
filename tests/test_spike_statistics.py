"""Statistics of spikes against what theory says of circuits that are known: Poisson, and one spike in each step."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Scripted
from known_recordings import DECISION, known_recording

import rwta_sim
from rwta_sim import analysis
from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.errors import ConfigError
from rwta_sim.lab.export import export, to_neo

needed = [pytest.importorskip(name) for name in ("neo", "elephant", "pandas", "sklearn")]

#: Neurons of a circuit, circuits, and seconds.
SIZE, CIRCUITS = 4, 2


def untrained(tmp_path, changes, decisions):
    """A recording of a network without weights, whose neurons have q = 1/SIZE whatever they see."""
    env = Scripted(decisions)
    network = {"hidden_circuits": CIRCUITS, "hidden_size": SIZE, "kernel": {"kind": "exponential", "tau": "5 ms"}}
    training = {"episodes": 1, "validation_episodes": 1}
    tree = rwta_sim.preset("cue", "svpg-lockstep").model_dump(mode="json")
    tree |= {"network": {**network, **changes.pop("network")}, "training": training, **changes}
    tree["learning"]["control"] = "off"
    tree["critic"] = {"kind": "constant"}
    rwta_sim.train(RWTAExperiment.of(tree), tmp_path / "run", env=env)
    return rwta_sim.record(tmp_path / "run", 1, env=env)


@pytest.fixture(scope="module")
def poisson(tmp_path_factory):
    """100 Hz circuits without a time step: 200 s in 2000 decisions."""
    network = {"firing": "poisson", "rho_hat": "100 Hz"}
    changes = {"network": network, "engine": {"name": "events"}}
    return untrained(tmp_path_factory.mktemp("poisson"), changes, 10_000)


def chain(recording, tmp_path):
    """The recording, as Neo objects, and out of the file that Neo reads."""
    import neo

    path = export(recording, "neo", tmp_path / "recording.mat")
    return [recording, to_neo(recording), neo.io.NeoMatlabIO(str(path)).read_block()]


def test_poisson_circuits(poisson, tmp_path):
    """Exact Poisson neurons of 25 Hz: rate, intervals, CV, CV2, Fano factor, through every door.

    Eight neurons in 200 s, some 5000 spikes each. Standard errors of the means over neurons: rate sqrt(25/1600) =
    0.125 Hz; CV 1/sqrt(40000) = 0.005 and CV2 about the same; Fano sqrt(2/16000) = 0.011 (windows of 100 ms). Bounds
    are five of them: a false alarm in a million for each; the seed is fixed.
    """
    seconds = float(poisson.duration)
    assert len(poisson) == 10_000 and seconds == pytest.approx(10_000 * float(poisson.decision_time))
    n = SIZE * CIRCUITS
    for data in chain(poisson, tmp_path):
        rates = analysis.firing_rates(data, population="hidden")
        assert len(rates) == n and set(rates["circuit"]) == {0, 1}
        assert abs(rates["rate_hz"].mean() - 25) < 5 * np.sqrt(25 / (n * seconds))
        spikes = rates["spikes"].sum()
        between = analysis.intervals(data, population="hidden")
        assert abs(between["mean_s"].mean() - 0.04) < 5 * 0.04 / np.sqrt(spikes) + 0.04 / 1000
        for name in ("cv", "cv2"):
            assert abs(between[name].mean() - 1) < 5 / np.sqrt(spikes) + 1 / 1000
        assert abs(between["lv"].mean() - 1) < 15 / np.sqrt(spikes)
        fano = analysis.fano_factors(data, 0.1, population="hidden")
        assert abs(fano["fano"].mean() - 1) < 5 * np.sqrt(2 / (n * fano["windows"].iloc[0]))
    pairs = analysis.correlations(poisson, 0.01, population="hidden")
    bins = seconds / 0.01
    assert abs(pairs["r"]).max() < 5 / np.sqrt(bins) and len(pairs) == n * (n - 1) / 2


def test_one_hot_circuits(tmp_path):
    """One spike of each circuit in each step: neurons are Bernoulli of p = 1/4, intervals geometric.

    CV = sqrt(1 - p), Fano = 1 - p, correlation within a circuit -1/3 (of a multinomial), between circuits 0. Eight
    neurons, 20,000 steps: standard errors below 0.01; bounds are five of them.
    """
    changes = {"network": {"firing": "one_hot"}, "engine": {"name": "runtime", "target": "numpy"}}
    recording = untrained(tmp_path, changes, 600)
    steps = round(float(recording.duration / recording.dt))
    p, n = 1 / SIZE, SIZE * CIRCUITS
    step = float(recording.dt)
    for data in chain(recording, tmp_path):
        rates = analysis.firing_rates(data, population="hidden")
        np.testing.assert_allclose(rates.groupby("circuit")["rate_hz"].sum(), 1 / step)  # whatever the weights
        assert abs(rates["rate_hz"].to_numpy() * step - p).max() < 5 * np.sqrt(p * (1 - p) / steps)
        between = analysis.intervals(data, population="hidden")
        assert abs(between["cv"].mean() - np.sqrt(1 - p)) < 5 / np.sqrt(n * steps * p)
        fano = analysis.fano_factors(data, 20 * step, population="hidden")
        assert abs(fano["fano"].mean() - (1 - p)) < 5 * np.sqrt(2 / (n * fano["windows"].iloc[0]))
    pairs = analysis.correlations(recording, step, population="hidden")
    same = pairs["first"] // SIZE == pairs["second"] // SIZE
    np.testing.assert_allclose(pairs["r"][same], -1 / (SIZE - 1), atol=5 / np.sqrt(steps))
    np.testing.assert_allclose(pairs["r"][~same], 0, atol=5 / np.sqrt(steps))


def known(tmp_path, rng, decisions=400):
    """Four neurons: the first fires with action 1, the second with the first variable seen, the others by chance."""
    action = rng.integers(0, 2, decisions)
    seen = rng.uniform(-1, 1, (decisions, 2))
    means = np.stack([1 + 5 * action, 3 + 3 * seen[:, 0], *np.full((2, decisions), 3.0)], axis=1)
    counts = rng.poisson(means)
    spikes = [
        np.stack([np.full(count, neuron), k * DECISION + rng.uniform(0.001, DECISION, count)])
        for k, row in enumerate(counts)
        for neuron, count in enumerate(row)
    ]
    i, t = np.concatenate(spikes, axis=1)
    order = np.argsort(t)
    columns = {"action": action, "observation": seen}
    folder = tmp_path / "known"
    return known_recording(folder, (i[order].astype(int), t[order]), 4, columns, [decisions // 4] * 4, dt=0.0), counts


def test_tuning_information_and_decoding(tmp_path):
    """Who carries what is found, who carries nothing is not; labels in random order are at chance. Seeds are fixed."""
    recording, expected = known(tmp_path, np.random.default_rng(0))
    counts, action, seen = recording.spike_counts("hidden"), recording["action"], recording["observation"][:, 0]
    np.testing.assert_array_equal(counts, expected)
    by_action = analysis.tuning_curves(counts, action, DECISION)
    first = by_action[by_action["neuron"] == 0].set_index("label")["rate_hz"]
    assert abs(first[0] - 10) < 5 * np.sqrt(1 / 190) / DECISION and abs(first[1] - 60) < 5 * np.sqrt(6 / 190) / DECISION
    p = by_action.groupby("neuron")["p"].first()
    assert p[0] < 1e-20 and (p[1:] > 1e-3).all()
    by_state = analysis.tuning_curves(counts, seen, DECISION, bins=5)
    curve = by_state[by_state["neuron"] == 1]
    np.testing.assert_allclose(curve["rate_hz"], 30 + 30 * curve["label"], atol=5 * np.sqrt(6 / 80) / DECISION)
    assert by_state["decisions"].eq(80).all()
    told = analysis.mutual_information(counts, action)
    assert told["bits"][0] > 0.5 and (told["bits"][1:] < told["shuffled_bits"][1:] + 0.05).all()
    found = analysis.decode(counts, action, shuffles=5)
    assert found["score"][0] > 0.85 and abs(found["shuffled"][0] - 0.5) < 0.07 and found["p"][0] == pytest.approx(1 / 6)
    episodes = np.repeat(np.arange(4), 100)
    state = analysis.decode(counts, seen, groups=episodes, folds=4, shuffles=5)
    assert state["kind"][0] == "r2" and 0.3 < state["score"][0] < 0.7 and state["shuffled"][0] < 0.02
    nothing = analysis.decode(counts[:, 2:], action, shuffles=5)
    assert abs(nothing["score"][0] - 0.5) < 0.1
    way = analysis.trajectories(counts)
    assert len(way) == 400 and way.attrs["explained"][0] > 0.3
    for wrong, message in [
        (lambda: analysis.decode(counts, np.zeros(400, int)), "nothing to decode"),
        (lambda: analysis.decode(counts[:, 0], action), r"expected \(decisions, neurons\)"),
        (lambda: analysis.decode(counts, np.arange(400)), "comes 1 times, fewer than folds = 5"),
        (lambda: analysis.decode(counts, action, groups=np.zeros(400)), "1 groups cannot be split"),
    ]:
        with pytest.raises(ConfigError, match=message):
            wrong()


def test_psth(tmp_path):
    """A neuron that fires 30 ms after each of its actions, and one that does not care."""
    rng = np.random.default_rng(1)
    action = rng.integers(0, 2, 200)
    locked = np.flatnonzero(action == 1) * DECISION + 0.03
    other = np.sort(rng.uniform(0, 20, 400))
    t, i = np.concatenate([locked, other]), np.repeat([0, 1], [len(locked), 400])
    order = np.argsort(t, kind="stable")
    recording = known_recording(tmp_path / "x", (i[order], t[order]), 2, {"action": action}, [200])
    trains = analysis.spike_trains(recording)
    events = analysis.decision_times(recording, action == 1)
    histogram = analysis.psth(trains[:1], events, before=0.0, after=0.1, bin=0.01)
    np.testing.assert_allclose(histogram["rate_hz"], np.where(np.arange(10) == 3, 100.0, 0.0), atol=1e-9)
    flat = analysis.psth(trains[1:], events, before=0.05, after=0.05, bin=0.02)
    assert abs(flat["rate_hz"].mean() - 20) < 5 * np.sqrt(20 / (0.1 * flat.attrs["events"]))
    with pytest.raises(ConfigError, match="does not go into"):
        analysis.psth(trains, events, 0.0, 0.1, 0.03)
    with pytest.raises(ConfigError, match="none of 1 events"):
        analysis.psth(trains, [19.99], 0.0, 0.1, 0.01)


def test_trains_of_arrays():
    """Lags and distances of two trains that are 5 ms apart; arrays say nothing of how long was looked."""
    first = np.arange(0.05, 10, 0.1)
    with pytest.raises(ConfigError, match="give stop"):
        analysis.firing_rates([first])
    trains = analysis.spike_trains([first, first + 0.005], stop=10.0)
    histogram = analysis.cross_correlogram(*trains, bin=0.001, window=0.02)
    assert histogram["lag_s"][histogram["count"].argmax()] == pytest.approx(0.005) and histogram["count"].sum() == 100
    # Each spike is shifted by 5 ms, at a cost of 1 for each 10 ms.
    assert analysis.distances(trains, 0.01)["distance"][0] == pytest.approx(50)
    far = analysis.distances(trains, 0.0001, kind="van_rossum")["distance"][0]
    assert far == pytest.approx(np.sqrt(200), rel=1e-3)  # of trains that share no spike, sqrt(n + m)
    with pytest.raises(ConfigError, match="did you mean 'van_rossum'"):
        analysis.distances(trains, 0.01, kind="van_rosum")
    with pytest.raises(ConfigError, match="no spike trains"):
        analysis.spike_trains([])
