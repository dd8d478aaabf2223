"""Analysis and recordings: numbers against what they must be, figures and films that exist."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import rwta_sim
from rwta_sim.analysis import (
    action_tuning,
    circuit_rates,
    draw_figures,
    neuron_rates,
    plot_episode,
    plot_raster,
    save_film,
    state_tuning,
)
from rwta_sim.analysis.tuning import tuning_order
from rwta_sim.analysis.weights import full_matrix
from rwta_sim.errors import EnvironmentFailure, RunError, RwtaSimError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis") / "run"
    rwta_sim.train(
        rwta_sim.preset("cue", "svpg-lockstep").changed({"engine.target": "numpy", "training.episodes": 20}), folder
    )
    return RunFolder.open(folder)


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """CartPole hardly trained: something to film."""
    folder = tmp_path_factory.mktemp("film") / "run"
    changes = {"engine.target": "numpy", "training.episodes": 2, "training.validation_episodes": 1}
    rwta_sim.train(rwta_sim.preset("cartpole", "svpg-lockstep").changed(changes), folder)
    return RunFolder.open(folder)


def test_a_recording_is_the_episode_that_is_evaluated(run):
    recording = record_episode(run, episode=3)
    episode = rwta_sim.Agent.load(run).play(1, first=3)[0]
    assert list(recording["actions"]) == episode.actions
    assert recording["rewards"].sum() == episode.total
    # One spike per circuit and step, and the greedy action is q's, not the spikes'.
    starts, steps = recording["starts"], 20 * 5
    np.testing.assert_allclose(circuit_rates(recording), 1000.0)
    assert recording["neuron_i"].size == (len(starts) - 1) * steps
    assert neuron_rates(recording).shape == (starts[-1],)
    # Inputs: the cue's neuron fires in every step of its decision, the others never.
    cue = recording["input_i"].reshape(20, 5)
    assert (cue == cue[:, :1]).all()
    assert np.mean(cue[:, 0] == recording["actions"]) == episode.total / 20


def test_figures(run):
    run.save_recording(record_episode(run))
    for path in draw_figures(run):
        image = np.asarray(Image.open(path).convert("L"))
        assert image.shape[0] > 400 and image.std() > 10  # not blank


def test_figures_without_hidden_circuits(tmp_path):
    """There is nothing to be tuned, and everything else is drawn."""
    changes = {"network.hidden_circuits": 0, "network.blocks": ["sa"], "engine.target": "numpy", "training.episodes": 1}
    rwta_sim.train(rwta_sim.preset("cue", "svpg-lockstep").changed(changes), tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    run.save_recording(record_episode(run))
    assert {path.stem for path in draw_figures(run)} == {"learning_curve", "weights", "raster", "rates"}


def test_raster_marks_what_happened(run):
    recording = record_episode(run)
    ax = Figure().add_subplot()
    plot_raster(ax, recording, 0.0, 0.05, order="circuits")
    lines = {line.get_label(): line for line in ax.lines}
    n_inputs, hidden = int(recording["n_inputs"]), int(recording["starts"][-2])
    # Rows of height one, but for the inputs, which have a quarter of the height.
    assert (n_inputs, hidden) == (4, 8)
    floor = (hidden / 0.85) / 3
    np.testing.assert_allclose(lines["chosen action"].get_ydata(), floor + hidden + recording["actions"][:10] + 0.5)
    within = (recording["neuron_t"] < 0.05) & (recording["neuron_i"] < hidden)
    drawn = [line for name, line in lines.items() if name.startswith("prefer")]
    points = sorted((t, y) for line in drawn for t, y in zip(*line.get_data(), strict=True))
    t = (recording["neuron_t"][within] + float(recording["dt"]) / 2) * 1e3  # the middle of a step
    i = recording["neuron_i"][within]
    np.testing.assert_allclose(points, sorted(zip(t, floor + i + 0.5, strict=True)))


def made_up():
    """Two hidden circuits of two, two actions, four decisions of 10 ms: 0, 1, 0, 1; three spikes of each neuron's own.

    Neuron 2 fires before action 0, neuron 0 before action 1, neuron 3 in two of three cases before action 1, neuron 1
    never.
    """
    spikes = [(0.001, 2), (0.021, 2), (0.0299, 2), (0.010, 0), (0.0199, 0), (0.035, 0), (0.005, 3), (0.015, 3)]
    spikes += [(0.039, 3), (0.009, 4), (0.019, 5)]
    t, i = (np.array(values) for values in zip(*spikes, strict=True))
    return {
        "neuron_t": t,
        "neuron_i": i,
        "input_t": np.zeros(0),
        "input_i": np.zeros(0, int),
        "n_inputs": np.array(100),
        "starts": np.array([0, 2, 4, 6]),
        "actions": np.array([0, 1, 0, 1]),
        "rewards": np.array([0.0, 1.0, -1.0, 1.0]),
        "observations": np.array([[0.5, 3], [0.1, 3], [0.4, 7], [0.2, 7]]),
        "decision_time": np.array(0.01),
        "dt": np.array(0.0001),
    }


def test_tuning_by_hand():
    recording = made_up()
    expected = [[0, 150], [0, 0], [150, 0], [50, 100]]  # spikes in 20 ms
    np.testing.assert_allclose(action_tuning(recording), expected)
    # Neuron 2 prefers action 0, of the others 0 is more selective than 3, and the silent one comes last.
    assert tuning_order(action_tuning(recording)).tolist() == [2, 0, 3, 1]
    first, second = state_tuning(recording, bins=2)
    np.testing.assert_allclose(first, np.array(expected)[:, ::-1])  # below the median in the decisions for action 1
    np.testing.assert_allclose(second, [[100, 50], [0, 0], [50, 100], [100, 50]])
    recording["actions"] = np.zeros(4, int)
    assert np.isnan(action_tuning(recording)[:, 1]).all() and tuning_order(action_tuning(recording)).size == 4
    del recording["observations"]
    assert state_tuning(recording) == []


def test_tuning_of_a_run_against_its_counts(run):
    """Rates by action, averaged over actions as often as they were taken, are the mean rates."""
    recording = record_episode(run)
    share = np.bincount(recording["actions"], minlength=4) / len(recording["actions"])
    hidden = int(recording["starts"][-2])
    mean = np.nan_to_num(action_tuning(recording)) @ share
    np.testing.assert_allclose(mean, neuron_rates(recording)[:hidden])
    (by_cue,) = state_tuning(recording)
    cues = np.unique(recording["observations"], return_counts=True)[1] / len(recording["actions"])
    np.testing.assert_allclose(by_cue @ cues, neuron_rates(recording)[:hidden])


def test_inputs_take_a_quarter_of_a_raster_at_most():
    ax = Figure().add_subplot()
    plot_raster(ax, made_up())  # 100 inputs, 4 hidden neurons
    hidden = np.concatenate([line.get_ydata() for line in ax.lines if line.get_label().startswith("prefer")])
    height = ax.get_ylim()[1]
    assert 0.2 * height < hidden.min() < 0.5 * height
    with pytest.raises(ValueError, match=r"order = 'tunnig': .*tuning"):
        plot_raster(ax, made_up(), order="tunnig")


def test_neurons_that_speak_for_one_action_stand_together():
    """Four of them, for actions 0, 1, 0 and 1: rows 0, 2, 1 and 3, the colours of their actions; and no inputs."""
    recording = {**made_up(), "starts": np.array([0, 2, 4, 8]), "action_of": np.array([0, 1, 0, 1])}
    recording |= {"neuron_i": np.append(recording["neuron_i"], [6, 7]), "n_inputs": np.array(0)}
    recording["neuron_t"] = np.append(recording["neuron_t"], [0.009, 0.019])
    assert action_tuning(recording).shape == (4, 2)
    ax = Figure().add_subplot()
    plot_raster(ax, recording)
    spoken = [line for line in ax.lines if line.get_markersize() == 3 and line.get_marker() == "|"]
    assert [line.get_ydata().tolist() for line in spoken] == [[4.5, 5.5], [6.5, 7.5]]
    assert [line.get_color() for line in spoken] == ["C0", "C1"]
    (chosen,) = [line for line in ax.lines if line.get_label() == "chosen action"]
    assert chosen.get_ydata().tolist() == [5, 7, 5, 7]
    assert "inputs" not in {line.get_label() for line in ax.lines}


def test_an_episode_is_drawn_on_one_time(run):
    recording = record_episode(run, at_least=30, perturbations=[("lesion", "ha")], after=5)
    assert (len(recording["actions"]), recording["ends"].tolist(), int(recording["perturbed"])) == (40, [20, 40], 5)
    axes = plot_episode(Figure(), recording, 0.0, 0.1)
    assert len(axes) == 3 and {ax.get_xlim() for ax in axes} == {(0.0, 100.0)}
    marks = [float(line.get_xdata()[0]) for line in axes[0].lines]
    assert marks == [100.0, 25.0]  # the end of an episode and the lesion, at 5 ms a decision


@pytest.mark.parametrize(
    "name, value",
    [
        ("observations", np.zeros((3, 2))),
        ("observations", np.array(1.0)),
        ("ends", np.array([1.5])),
        ("ends", np.array([-1])),
        ("rewards", np.array([np.nan] * 20)),
        ("rewards", np.zeros(3)),
        ("dt", np.array(0.0)),
        ("perturbed", np.array([1, 2])),
    ],
)
def test_a_recording_whose_other_rows_cannot_be_is_named(run, name, value):
    run.save_recording({**record_episode(run), name: value})
    with pytest.raises(RunError, match=rf"is damaged \({name}\)"):
        draw_figures(run)


@pytest.mark.parametrize("n_inputs", [-1, 2**31, 2**62])
def test_a_recording_that_cannot_be_is_named(run, n_inputs):
    run.save_recording({**record_episode(run), "n_inputs": np.array(n_inputs)})
    with pytest.raises(RunError, match=r"is damaged \(n_inputs\)"):
        draw_figures(run)


def test_as_many_inputs_as_can_be(run):
    most = 2**31 - 1
    recording = {**record_episode(run), "n_inputs": np.array(most)}
    ax = Figure().add_subplot()
    plot_raster(ax, recording, 0.0, 0.05)
    assert ax.get_ylim()[1] < 100  # they are drawn lower


def test_full_matrix():
    blocks = {"sh": np.full((2, 3), 1.0), "ha": np.full((3, 2), 4.0), "b": np.zeros(5)}
    matrix = full_matrix(blocks, 2, 3, 2)
    assert matrix.shape == (7, 5)
    assert (matrix[:2, :3] == 1).all() and (matrix[2:5, 3:] == 4).all()
    assert np.isnan(matrix).sum() == 35 - 12


def test_film(cartpole, tmp_path):
    recording = record_episode(cartpole, frames=True)
    count = len(recording["actions"])
    assert recording["frames"].shape[0] == count + 1
    path = save_film(recording, tmp_path / "film.gif", decisions=4)
    with Image.open(path) as film:
        assert film.n_frames == 5
    with pytest.raises(RwtaSimError, match=r"ends in .gif or .mp4, not '.avi'"):
        save_film(recording, tmp_path / "film.avi")


def test_film_as_mp4(cartpole, tmp_path, monkeypatch):
    recording = record_episode(cartpole, frames=True)
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(RwtaSimError, match=r"MP4 needs ffmpeg: .*rwta-sim\[video\]"):
        save_film(recording, tmp_path / "film.mp4", decisions=3)
    assert not (tmp_path / "film.mp4").exists()


def test_environments_without_pictures(run):
    with pytest.raises(EnvironmentFailure):
        record_episode(run, frames=True)
