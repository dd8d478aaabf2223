"""Recordings: what an environment may give as a picture, and how much of an episode is kept."""

from __future__ import annotations

import tracemalloc
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from conftest import Scripted
from matplotlib import animation
from PIL import Image

import rwta_sim
from rwta_sim.analysis import save_film
from rwta_sim.errors import ConfigError, EnvironmentFailure, RwtaSimError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder


class Pictures(Scripted):
    """Renders what it is told to."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, render, length=5):
        super().__init__(length)
        self.render_mode, self._render = "rgb_array", render

    def render(self):
        return self._render(self._step)


@pytest.fixture
def scripted_run(cue, tmp_path):
    changes = {"critic.kind": "fourier", "training.episodes": 1, "training.validation_episodes": 1}
    rwta_sim.train(cue.changed(changes), tmp_path / "scripted", env=Scripted())
    return RunFolder.open(tmp_path / "scripted")


RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


@pytest.mark.parametrize(
    "picture, expected",
    [
        (RAMP, np.dstack([RAMP] * 3)),
        (RAMP[..., None], np.dstack([RAMP] * 3)),
        (np.dstack([RAMP, RAMP, 255 - RAMP, RAMP]), np.dstack([RAMP, RAMP, 255 - RAMP])),
        (np.dstack([RAMP] * 3) / 255, np.dstack([RAMP] * 3)),
        (np.dstack([RAMP] * 3).astype(np.int64).tolist(), np.dstack([RAMP] * 3)),
        (RAMP > 100, np.dstack([RAMP > 100] * 3) * 255),
    ],
    ids=["grey", "one channel", "transparent", "floats", "list", "booleans"],
)
def test_frames_of_every_kind(scripted_run, picture, expected):
    frames = record_episode(scripted_run, frames=True, env=Pictures(lambda step: picture))["frames"]
    assert frames.dtype == np.uint8 and frames.shape == (6, 3, 4, 3)
    np.testing.assert_array_equal(frames[2], expected)


@pytest.mark.parametrize(
    "render, message",
    [
        (lambda step: None, r"Pictures: render\(\) after 0 steps gave None: expected a picture"),
        (lambda step: np.zeros((3, 4, 2)), "expected a picture"),
        (lambda step: np.zeros((0, 4, 3)), "expected a picture"),
        (lambda step: [np.zeros((3, 4, 3))], "expected a picture"),
        (lambda step: np.full((3, 4, 3), "a"), "expected a picture"),
        (lambda step: np.full((3, 4, 3), np.nan), "numbers from nan to nan, expected from 0 to 1"),
        (lambda step: np.full((3, 4, 3), 2.0), "numbers from 2.0 to 2.0, expected from 0 to 1"),
        (lambda step: np.full((3, 4, 3), 256), "numbers from 256 to 256, expected from 0 to 255"),
        (
            lambda step: np.zeros((3 + step, 4)),
            r"after 1 steps gave .*pictures of \(3, 4, 3\) before, expected the same",
        ),
        (lambda step: 1 // (1 - step) and RAMP, r"Pictures: render\(\) after 1 steps raised ZeroDivisionError"),
    ],
)
def test_frames_that_are_no_pictures(scripted_run, render, message):
    with pytest.raises(EnvironmentFailure, match=message) as caught:
        record_episode(scripted_run, frames=True, env=Pictures(render))
    assert "\n" not in str(caught.value)


def test_a_film_needs_no_more_than_it_shows(scripted_run):
    """The first decisions of the episode, rendered once each, in pictures of the film's size; never twice in memory."""
    rendered = []

    def render(step):
        rendered.append(step)
        return np.full((60, 90, 3), step, np.uint8)

    env = Pictures(render, length=200)
    whole = record_episode(scripted_run, env=env)
    assert len(whole["actions"]) == 200 and "frames" not in whole and not rendered
    part = record_episode(scripted_run, env=env, frames=True, decisions=7, size=(20, 40))
    assert rendered == list(range(8))
    assert part["frames"].shape == (8, 20, 30, 3)  # a third: one half would have fitted into the width alone
    np.testing.assert_array_equal(part["frames"][:, 0, 0, 0], range(8))
    end = 7 * part["decision_time"]
    for name in ("input", "neuron"):
        before = whole[f"{name}_t"] < end - part["dt"] / 2
        np.testing.assert_array_equal(part[f"{name}_t"], whole[f"{name}_t"][before])
        np.testing.assert_array_equal(part[f"{name}_i"], whole[f"{name}_i"][before])
    np.testing.assert_array_equal(part["actions"], whole["actions"][:7])
    checker = np.kron([[0, 100], [100, 200]], np.ones((10, 10)))[..., None].repeat(3, 2).astype(np.uint8)
    small = record_episode(scripted_run, env=Pictures(lambda step: checker), frames=True, decisions=1, size=(2, 2))
    np.testing.assert_array_equal(small["frames"][0, ..., 0], [[0, 100], [100, 200]])


def test_large_pictures_are_kept_small(scripted_run):
    """Half a megabyte each, of which a film shows a sixteenth: at no time are there as many as are shown."""
    env = Pictures(lambda step: np.full((400, 400, 3), step, np.uint8), length=50)
    tracemalloc.start()
    try:
        record_episode(scripted_run, env=env, frames=True, decisions=1, size=(100, 100))
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        record_episode(scripted_run, env=env, frames=True, decisions=20, size=(100, 100))
        assert tracemalloc.get_traced_memory()[1] - before < 20 * 400 * 400 * 3
    finally:
        tracemalloc.stop()


# -- several episodes, and lesions --------------------------------------------------------------------------------


def test_further_episodes_follow(scripted_run):
    """Each as `Agent.play` plays it, their decisions one after the other, with what was seen before each."""
    recording = record_episode(scripted_run, env=Scripted(5), at_least=11, episode=2)
    played = rwta_sim.Agent.load(scripted_run, env=Scripted(5)).play(3, first=2, observations=True)
    assert recording["ends"].tolist() == [5, 10, 15]
    assert recording["actions"].tolist() == [action for episode in played for action in episode.actions]
    assert recording["rewards"].tolist() == [reward for episode in played for reward in episode.rewards]
    seen = np.concatenate([episode.observations[:-1] for episode in played])
    np.testing.assert_array_equal(recording["observations"], seen)
    decision = (recording["neuron_t"] + recording["dt"] / 2) // recording["decision_time"]
    circuits = len(recording["starts"]) - 1
    steps = round(float(recording["decision_time"] / recording["dt"]))
    assert np.bincount(decision.astype(int)).tolist() == [circuits * steps] * 15  # lockstep: a spike each step
    with pytest.raises(ValueError, match="at_least = 2: frames are of one episode"):
        record_episode(scripted_run, env=Pictures(lambda step: RAMP), frames=True, at_least=2)


def test_large_observations_are_not_kept(cue, tmp_path):
    env = Scripted(observe=lambda step: np.full((5, 13), 7, np.uint8))
    env.observation_space = gymnasium.spaces.Box(0, 255, (5, 13), np.uint8)
    changes = {"critic.kind": "constant", "critic.gamma": 0, "training.episodes": 1, "training.validation_episodes": 1}
    rwta_sim.train(cue.changed(changes), tmp_path / "run", env=env)
    assert "observations" not in record_episode(RunFolder.open(tmp_path / "run"), env=env)


def test_a_perturbation_in_mid_episode(scripted_run):
    """Before it the spikes are those of the whole network, after it those of one perturbed from the beginning."""
    drive = [("drive", "circuit:0=neuron:1")]
    whole = record_episode(scripted_run, env=Scripted(8))
    late = record_episode(scripted_run, env=Scripted(8), perturbations=drive, after=3)
    early = record_episode(scripted_run, env=Scripted(8), perturbations=drive)
    assert "perturbed" not in whole and (int(late["perturbed"]), int(early["perturbed"])) == (3, 0)

    def spikes(recording, first, last):
        t = (recording["neuron_t"] + recording["dt"] / 2) / recording["decision_time"]
        inside = (t >= first) & (t < last)
        return recording["neuron_t"][inside].tolist(), recording["neuron_i"][inside].tolist()

    assert spikes(late, 0, 3) == spikes(whole, 0, 3) != spikes(early, 0, 3)
    assert spikes(late, 3, 8) == spikes(early, 3, 8) != spikes(whole, 3, 8)  # each decision begins anew
    never = record_episode(scripted_run, env=Scripted(8), perturbations=drive, after=8)
    assert "perturbed" not in never and spikes(never, 0, 8) == spikes(whole, 0, 8)


@pytest.mark.parametrize("after", [0, 4])
def test_what_cannot_be_lesioned_is_said_before_anything_is_played(scripted_run, after):
    env = Scripted(8)
    env.reset = lambda **_: pytest.fail("played")
    with pytest.raises(ConfigError, match="lesion 'circuit:99': expected the number of a hidden circuit"):
        record_episode(scripted_run, env=env, perturbations=[("lesion", "circuit:99")], after=after)
    with pytest.raises(ValueError, match="after = -1: expected a number of decisions"):
        record_episode(scripted_run, env=env, perturbations=[("lesion", "sh")], after=-1)


# -- films -----------------------------------------------------------------------------------------------------


@pytest.fixture
def moving(scripted_run):
    """A recording of six pictures, each of another colour."""
    colours = [(40 * step, 0, 255 - 40 * step) for step in range(6)]
    env = Pictures(lambda step: np.full((8, 8, 3), colours[step], np.uint8))
    return record_episode(scripted_run, frames=True, env=env), colours


def test_a_gif_shows_what_matplotlib_drew(moving, tmp_path, monkeypatch):
    """Picture by picture as Matplotlib's own writer has it, which keeps all of them until the end."""
    recording, colours = moving
    drawn = []

    class Keeping(animation.PillowWriter):
        def finish(self):
            drawn.extend(self._frames)
            super().finish()

    save_film(recording, tmp_path / "film.gif", fps=10)
    monkeypatch.setattr("rwta_sim.analysis.films._GifWriter", Keeping)
    save_film(recording, tmp_path / "other.gif", fps=10)
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.info["duration"], film.info["loop"]) == (6, 100, 0)
        for index, expected in enumerate(drawn):
            film.seek(index)
            shown = np.asarray(film.convert("RGB"), float)
            assert np.abs(shown - np.asarray(expected, float)).mean() < 2
            np.testing.assert_allclose(shown[150, 150], colours[index], atol=8)  # within the picture of the environment


def test_films_that_cannot_be_written(moving, tmp_path, monkeypatch):
    recording, _ = moving
    path = save_film(recording, tmp_path / "film.gif", decisions=1)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rwta_sim.analysis.films._GifWriter.grab_frame", full)
    with pytest.raises(RwtaSimError, match=r"cannot write the film .*film.gif: No space left on device"):
        save_film(recording, path)
    assert path.read_bytes() == before and list(tmp_path.glob("*.gif")) == list(tmp_path.glob("film.gif"))
    with pytest.raises(RwtaSimError, match=r"cannot write the film .*a/b.gif: No such file"):
        save_film(recording, tmp_path / "none" / "a" / "b.gif")
    del recording["frames"]
    with pytest.raises(RwtaSimError, match="has no frames: make it with record_episode"):
        save_film(recording, path)
