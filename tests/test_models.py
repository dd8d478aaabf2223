"""Presets: all of them are sound, and the short versions of what they are for still learn."""

from __future__ import annotations

import numpy as np
import pytest

import rwta_sim
from rwta_sim.lab.config import from_toml, to_toml
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.experiment import Experiment
from rwta_sim.models import MODELS, tasks


@pytest.mark.parametrize("preset", tasks(), ids=lambda p: f"{p.task}-{p.model}")
def test_presets_know_their_names_and_survive_toml(preset, tmp_path):
    experiment = preset.make()
    assert (experiment.task, experiment.model) == (preset.task, preset.model)
    path = tmp_path / "config.toml"
    path.write_text(to_toml(experiment))
    assert from_toml(path) == experiment
    assert rwta_sim.preset(preset.task, preset.model) == experiment


def test_the_same_weights_run_as_spikes_and_without():
    """Presets of one task that differ in their dynamics have networks of the same shape."""
    for task in MODELS["svpg-rate"][1]:
        spiking, rate = rwta_sim.preset(task), rwta_sim.preset(task, "svpg-rate")
        assert (spiking.network, spiking.encoder, spiking.environment) == (rate.network, rate.encoder, rate.environment)
        assert (spiking.dynamics, rate.dynamics) == ("spiking", "rate")


def answers(experiment: Experiment, folder, episodes: int) -> float:
    """Accuracy over greedy episodes after training."""
    rwta_sim.train(experiment, folder)
    played = rwta_sim.Agent.load(RunFolder.open(folder)).play(episodes)
    return float(np.mean([episode.correct for episode in played]))


@pytest.mark.slow
def test_xor_needs_the_score_function(tmp_path):
    """An eighth of the preset's schedule, twice its rate: by chance 0.5; the last-step rule has no signal.

    400 greedy answers, standard error 0.025 at 0.5; bounds eight and four of those away.
    """
    short = {"training.episodes": 6000, "training.validate_every": 3000, "learning.rate": 0.06}
    xor = rwta_sim.preset("xor").changed(short)
    assert answers(xor, tmp_path / "score", 400) > 0.9
    assert answers(xor.changed({"learning.rule.kind": "last_step"}), tmp_path / "last", 400) < 0.85


@pytest.mark.slow
def test_digits_are_learned_from_rewards(tmp_path):
    """4,000 digits, a chance of 0.1: 398 answers, standard error 0.02 at 0.8."""
    pytest.importorskip("sklearn")
    short = {"training.episodes": 4000, "training.validate_every": 4000, "network.hidden_circuits": 10}
    assert answers(rwta_sim.preset("digits").changed(short), tmp_path / "run", 398) > 0.6
