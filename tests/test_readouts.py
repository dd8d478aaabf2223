"""What evaluations and validations act on: the spikes of the action circuit, or argmax of its q."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import rwta_sim
from rwta_sim import cli
from rwta_sim.lab.evaluation import draws, result
from rwta_sim.lab.lesions import lesion_curve
from rwta_sim.lab.vitals import vital_signs
from rwta_sim.loop.player import Episode


def watched(agent, decoder, **how):
    """Actions of two episodes, and what the action circuit's spikes said in each decision."""
    system, said, actions = agent.system, [], []
    decide = system.decide

    def noting(features, greedy, rng):
        choice = yield from decide(features, greedy, rng)
        where = system.network.action
        counts = system.read("spike_counts")[where]
        last = system.actor.engine.view(system.network.neurons, "t_spike")[where]
        said.append((counts if decoder == "most_spikes" else last).copy())
        return choice

    system.decide = noting
    for episode in agent.play(2, **how):
        actions += episode.actions
    return np.array(actions), np.array(said)


@pytest.mark.parametrize("decoder", ["last_spike", "most_spikes"])
def test_the_action_is_what_the_spikes_say(cue, decoder):
    """In every decision of an evaluation, of a network that is undecided, where argmax of q often says otherwise."""
    experiment = cue.changed({"decision.decoder": decoder, "decision.readout": "spikes"})
    actions, said = watched(rwta_sim.Agent(experiment), decoder)
    clear = (said == said.max(axis=1, keepdims=True)).sum(axis=1) == 1  # the rest is drawn among the first
    assert clear.sum() > 15
    np.testing.assert_array_equal(actions[clear], said[clear].argmax(axis=1))
    assert all(row[action] == row.max() for row, action in zip(said, actions, strict=True))
    greedy, said = watched(rwta_sim.Agent(experiment), decoder, greedy=True)
    assert (greedy[clear] != said[clear].argmax(axis=1)).mean() > 0.3


def test_validations_read_out_as_evaluations_do(cue, tmp_path, monkeypatch):
    """The best checkpoint is chosen by what is evaluated."""
    asked = []
    decide = rwta_sim.agents.rwta.system.RWTASystem.decide

    def noting(self, features, greedy, rng):
        asked.append(greedy)
        return decide(self, features, greedy, rng)

    monkeypatch.setattr(rwta_sim.agents.rwta.system.RWTASystem, "decide", noting)
    short = cue.changed({"training.episodes": 2, "training.validate_every": 2, "training.validation_episodes": 1})
    for readout, expected in (("spikes", False), ("argmax", True)):
        asked.clear()
        rwta_sim.train(short.changed({"decision.readout": readout}), tmp_path / readout)
        assert asked == [False] * 40 + [expected] * 20


def test_evaluate_shows_both(cue, tmp_path):
    rwta_sim.train(cue.changed({"training.episodes": 20, "decision.readout": "spikes"}), tmp_path / "run")
    line = ["evaluate", str(tmp_path / "run"), "--episodes", "5"]
    found = json.loads(CliRunner().invoke(cli.cli, [*line, "--json"]).stdout)
    assert (found["readout"], list(found["other_readouts"])) == ("last_spike", ["argmax"])
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        for greedy, there in ((False, found), (True, found["other_readouts"]["argmax"])):
            assert there["mean_return"] == np.mean([episode.total for episode in agent.play(5, greedy=greedy)])
    text = CliRunner().invoke(cli.cli, line).stdout
    assert "read out by last_spike" in text and "\n  read out by argmax: " in text
    rate = json.loads(CliRunner().invoke(cli.cli, [*line, "--json", "--dynamics", "rate"]).stdout)
    assert (rate["readout"], list(rate["other_readouts"])) == ("argmax", ["drawn"])


def test_patterns_are_shown_often():
    """30 times each and 400 in all at the least; in a validation at most as often as said, but once."""
    assert [draws(n) for n in (4, 8, 360)] == [400, 400, 10_800]
    assert [draws(n, 2000) for n in (4, 8, 180, 5000)] == [400, 400, 1980, 5000]


def test_numbers_of_an_evaluation():
    """The interval is that of the mean: 1.96 standard errors."""
    episodes = [Episode(t, t / 2, 3, {}, [], [], t > 1, None) for t in (1.0, 2.0, 3.0, 6.0)]
    found = result(episodes)
    assert found["mean_return"] == 3 and found["sd_return"] == pytest.approx(np.sqrt(14 / 3))
    assert found["interval"] == pytest.approx(1.96 * np.sqrt(14 / 3) / 2)
    assert found["accuracy"] == 0.75 and "success" not in found and "mean_score" not in found
    assert result([replace(episode, score=t) for t, episode in enumerate(episodes, 1)])["mean_score"] == 2.5
    assert result(episodes[:1])["interval"] == 0


def test_what_circuits_tell_is_logged(cue, tmp_path, monkeypatch):
    """Where there was a validation; with one warning at the end."""
    short = cue.changed({"training.episodes": 4, "training.validate_every": 2, "training.target": None})
    monkeypatch.setattr("rwta_sim.lab.training.COLLAPSED", 0.2)
    with pytest.warns(RuntimeWarning, match="2 of 2 hidden circuits have collapsed") as heard:
        seen = []
        rwta_sim.train(short.changed({"learning.control": "off"}), tmp_path / "run", report=seen.append)
    assert sum("collapsed" in str(warning.message) for warning in heard) == 1
    metrics = rwta_sim.RunFolder.open(tmp_path / "run").metrics()
    for name in ("winner_bits", "action_bits", "state_bits", "top_share"):
        np.testing.assert_array_equal(np.isnan(metrics[name]), [True, False, True, False])
        assert seen[1].vitals[name] == metrics[name][1] and seen[0].vitals == {}


def test_lesions_of_more_and_more(cue, tmp_path):
    """Nothing lost is an evaluation; a share is drawn several times; weights are whole again in between."""
    rwta_sim.train(cue.changed({"training.episodes": 30}), tmp_path / "run")
    scores = lesion_curve(tmp_path / "run", "neurons", shares=(0.0, 0.5, 1.0, 0.0), seeds=2, episodes=3)
    assert [(s.share, s.seed) for s in scores] == [(0.0, 0), (0.5, 0), (0.5, 1), (1.0, 0), (0.0, 0)]
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        whole = np.mean([episode.total for episode in agent.play(3)])
    assert scores[0].mean_return == scores[-1].mean_return == whole
    done = CliRunner().invoke(cli.cli, ["lesions", str(tmp_path / "run"), "--episodes", "2", "--share", "0", "--json"])
    found = json.loads(done.stdout)
    assert [s["share"] for s in found["scores"]] == [0.0] and (tmp_path / "run/figures/lesions-circuits.png").is_file()
    done = CliRunner().invoke(cli.cli, ["lesions", str(tmp_path / "run"), "--share", "1.5"])
    assert "share = 1.5: expected a number from 0 to 1" in str(done.exception or done.output)


def test_rates_of_neurons_are_those_of_their_spikes(cue, tmp_path):
    """The mean over neurons is what episodes log; each one's is its spikes over the time, counted in a recording."""
    with rwta_sim.Agent(cue.changed({"network.weight_sd": 1.0}), record=True) as agent:
        with agent.noting() as notes:
            played = agent.play(3, greedy=False)
        found = notes.read().rates
        recorded = agent.system.recorded()
    neurons = recorded["starts"][-1]
    decisions = sum(episode.decisions for episode in played)
    seconds = decisions * float(recorded["decision_time"])
    np.testing.assert_allclose(found, np.bincount(recorded["neuron_i"], minlength=neurons) / seconds)
    logged = sum(episode.numbers["rate_hz"] * episode.decisions for episode in played) / decisions
    assert found.mean() == pytest.approx(logged)
    signs = vital_signs(notes.read())
    assert signs["firing_rates"] == {"mean": pytest.approx(logged), "highest": found.max()}


def test_a_system_without_circuits_has_no_vital_signs():
    with rwta_sim.Agent(rwta_sim.preset("cue", "random")) as agent, agent.noting() as notes:
        agent.play(2)
    assert vital_signs(notes.read()) == {"firing_rates": None, "circuits": None}
