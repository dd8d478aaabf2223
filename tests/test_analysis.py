"""Analysis and recordings: numbers against what they must be, figures and films that exist."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import rwta_sim
from rwta_sim.analysis import circuit_rates, draw_figures, neuron_rates, plot_raster, save_film
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


def test_raster_marks_what_happened(run):
    recording = record_episode(run)
    ax = Figure().add_subplot()
    plot_raster(ax, recording, 0.0, 0.05)
    lines = {line.get_label(): line for line in ax.lines}
    n_inputs, hidden = int(recording["n_inputs"]), int(recording["starts"][-2])
    # Four actions above twelve neurons: rows of height one.
    np.testing.assert_allclose(lines["chosen action"].get_ydata(), n_inputs + hidden + recording["actions"][:10])
    shown = recording["neuron_i"][(recording["neuron_t"] < 0.05) & (recording["neuron_i"] < hidden)]
    np.testing.assert_array_equal(lines["hidden"].get_ydata(), shown + n_inputs)


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
    assert {line.get_label(): line for line in ax.lines}["hidden"].get_ydata().min() >= most


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
