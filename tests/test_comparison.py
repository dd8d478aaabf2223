"""The comparison of systems: areas, intervals, counts of spikes and what the tables make of them."""

from __future__ import annotations

from itertools import product

import comparison
import numpy as np
import pytest
import spikes
from matplotlib.figure import Figure

import rwta_sim
from rwta_sim.analysis import bootstrap_interval, plot_comparison, plot_costs, plot_scores, returns_by_step
from rwta_sim.cli import cli


def test_returns_by_step_are_means_over_steps():
    """Against the return of every single step; 37 episodes, 13 parts that begin and end within episodes."""
    rng = np.random.default_rng(0)
    decisions, returns = rng.integers(1, 60, 37), rng.normal(size=37)
    of_steps, budget = np.repeat(returns, decisions), int(decisions[:-1].sum()) - 1
    budget -= budget % 13
    expected = of_steps[:budget].reshape(13, -1).mean(axis=1)
    np.testing.assert_allclose(returns_by_step(decisions, returns, budget, 13), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"episodes of \d+ steps: expected the budget of 99999"):
        returns_by_step(decisions, returns, 99_999, 3)


def test_the_bootstrap_is_that_of_all_resamples():
    """Five values: all 3,125 resamples. Ranks of 10,000 drawn means are off by .0016 (sd); six of it are allowed."""
    values = np.random.default_rng(1).normal(size=5)
    means = np.sort([np.mean(drawn) for drawn in product(values, repeat=5)])
    for limit, share in zip(bootstrap_interval(values), (0.025, 0.975), strict=True):
        low, high = np.quantile(means, [share - 0.0094, share + 0.0094])
        assert low <= limit <= high
    both = bootstrap_interval(np.stack([values, -2 * values], axis=1))
    np.testing.assert_allclose(both[0][1], -2 * both[1][0], rtol=1e-12)
    np.testing.assert_array_equal(bootstrap_interval(values[:1]), (values[0], values[0]))


def test_curves_and_scores_are_drawn_where_they_are():
    """A straight line stays one under the running mean, its band is that of the bootstrap, and scores are in order."""
    ax, other = Figure().subplots(2)
    values = np.array([[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]])
    plot_comparison(ax, 400, {"a": values}, {"a": "C0"}, window=3)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x, [50, 150, 250, 350])
    np.testing.assert_allclose(y, [1.5, 2.0, 3.0, 3.5])
    corners = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [0.5, 4.5])
    plot_scores(other, {"a": [1.0, 2.0], "b": [5.0]}, {"a": "C0", "b": "C1"})
    assert [label.get_text() for label in other.get_yticklabels()] == ["a", "b"]
    assert other.get_ylim()[0] > other.get_ylim()[1]  # the first is at the top


def test_costs_are_drawn_with_a_colour_for_a_system_and_a_marker_for_a_task():
    ax = Figure().add_subplot()
    plot_costs(ax, {"a": {"x": (10.0, 0.5)}, "b": {"y": (100.0, 0.7), "x": (20.0, 0.6)}}, {"a": "C0", "b": "C1"})
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    seen = {(line.get_color(), float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in drawn}
    assert seen == {("C0", 10.0, 0.5), ("C1", 100.0, 0.7), ("C1", 20.0, 0.6)}
    by_place = {float(line.get_xdata()[0]): line.get_marker() for line in drawn}
    assert by_place[10.0] == by_place[20.0] != by_place[100.0]
    assert ax.get_legend_handles_labels()[1] == ["a", "b", "x", "y"]


def played(tmp_path, task, model, **changes):
    """A run of a few episodes, and the episodes that are recorded."""
    length = {"training.episodes": 3, "training.validate_every": 3, "training.validation_episodes": 1}
    rwta_sim.train(
        rwta_sim.preset(task, model).changed({**length, "engine.target": "numpy", **changes}), tmp_path / "r"
    )
    run = rwta_sim.RunFolder.open(tmp_path / "r")
    with rwta_sim.Agent.load(run) as agent:
        return run, agent.play(3)


def test_spikes_of_circuits(tmp_path):
    """Each input spike reaches all 12 hidden neurons, each hidden one the 4 actions, an action neuron nobody."""
    run, _ = played(tmp_path, "cue", "svpg", **{"network.hidden_circuits": 3, "network.hidden_size": 4})
    with rwta_sim.Agent.load(run, record=True) as agent:
        agent.play(3)
        seen = agent.system.recorded()
    found = spikes.activity(run, 60)
    hidden = (seen["neuron_i"] < 12).sum()
    assert found.spikes == len(seen["neuron_i"]) / 60
    assert found.events == (12 * len(seen["input_i"]) + 4 * hidden) / 60
    assert (found.input_spikes, found.products) == (len(seen["input_i"]) / 60, 0)
    assert comparison.parameters(run) == (seen["n_inputs"] + 4) * 12 + 16


def test_spikes_of_symmetric_circuits(tmp_path):
    """2 circuits of 3, and 4 actions: a hidden neuron reaches the other circuit and the actions, and is reached."""
    run, _ = played(tmp_path, "cue", "svpg-lockstep", **{"network.hidden_circuits": 2, "network.hidden_size": 3})
    with rwta_sim.Agent.load(run) as agent:
        fan_out, n = spikes.of_circuits(agent.system), agent.system.network.n_inputs
    assert fan_out.neurons.tolist() == [3 + 4] * 6 + [6] * 4
    assert fan_out.inputs.tolist() == [6 + 4] * n
    assert comparison.parameters(run) == 10 * n + 9 + 24 + 10


def test_spikes_of_layers(tmp_path):
    """What the system logs; of two hidden layers each spike reaches the next one, and the action's nobody."""
    pytest.importorskip("torch")
    run, episodes = played(tmp_path, "cartpole", "reparameterised", hidden=(6, 5))
    total = sum(episode.decisions for episode in episodes)
    found = spikes.activity(run, total)
    logged = sum(episode.numbers["spikes"] * episode.decisions for episode in episodes) / total
    assert found.spikes == pytest.approx(logged, rel=1e-12)
    with rwta_sim.Agent.load(run) as agent:
        assert spikes.of_layers(agent.system).neurons.tolist() == [5] * 6 + [2] * 5 + [0] * 2
        n = agent.system.encoder.n_inputs
    assert (found.input_spikes, found.products) == (0, 6 * n)
    assert comparison.parameters(run) == 6 * n + 6 * 5 + 5 * 2 + 6 + 5 + 2


def test_spikes_of_actors(tmp_path):
    """A vote of 2 actors for 4 actions in each of 3 steps: 24 hidden neurons, each with one synapse."""
    small = {"network.actors": 2, "network.hidden": 3, "network.greedy_votes": 3, "learning.epsilon": 0.0}
    run, episodes = played(tmp_path, "gridworld", "coagents", **small)
    total = sum(episode.decisions for episode in episodes)
    with rwta_sim.Agent.load(run, record=True) as agent:
        agent.play(3)
        neurons, n = agent.system.recorded()["neuron_i"], agent.system.encoder.n_inputs
    found = spikes.activity(run, total)
    assert found.spikes == len(neurons) / total
    assert found.events == (neurons < 24).sum() / total
    assert (found.products, comparison.parameters(run)) == (24 * n, 24 * n + 24 + 24 + 8)


class Begun(Exception):
    """Training would begin."""


@pytest.mark.parametrize("name", comparison.ROWS)
def test_rows_are_commands_with_the_budget_of_their_task(name, monkeypatch, tmp_path):
    def begin(experiment, *args, **kwargs):
        task = comparison.TASKS[comparison.ROWS[name][0]]
        assert experiment.training.decisions == task.budget
        assert experiment.environment == rwta_sim.preset(comparison.ROWS[name][0]).environment
        raise Begun

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rwta_sim.cli.train", begin)
    context = cli.commands["train"].make_context("train", [comparison.ROWS[name][0], *comparison.options(name)])
    with pytest.raises(Begun):
        context.command.invoke(context)


def test_runs_with_other_options_are_made_again(monkeypatch, tmp_path):
    monkeypatch.setattr(comparison, "TABLE", tmp_path / "comparison.json")
    now, before = " ".join(comparison.options("cartpole/svpg")), "--model svpg"
    runs = [{"row": "cartpole/svpg", "seed": seed, "options": of} for seed, of in enumerate((now, before))]
    comparison.TABLE.write_text(comparison.written({"runs": [*runs, {**runs[0], "row": "gone"}], "load": "idle"}))
    assert comparison.load() == {"runs": runs[:1], "load": "idle"}


def test_tables():
    """Two seeds beside a random policy: mean and interval, the lowest, what is normalised, and medians of the costs."""
    rest = {"parameters": 10, "episodes": 9, "decisions": 90, "seconds": 3.0}
    counts = {"spikes": 7.0, "input_spikes": 0.0, "events": 1234.5, "products": 50.0}
    runs = [
        {"row": "cartpole/svpg", "seed": seed, "area": 230.0 + 50 * seed, "final": 400.0 + 100 * seed, "cpu_seconds": 4}
        for seed in (1, 0)
    ]
    runs = [{**run, **counts} for run in runs]
    runs.append({"row": "cartpole/random", "seed": 0, "area": 20.0, "final": 22.0, "cpu_seconds": 1})
    table = {"runs": [{**run, **rest} for run in runs], "machine": "m", "load": "idle", "versions": {"python": "3"}}
    lines = comparison.text(table).splitlines()
    final, area, scaled = "450.0 [400.0, 500.0]", "255.0 [230.0, 280.0]", "0.49 [0.44, 0.54]"
    assert f"| svpg | 2 | {final} | 400.0 | {area} | {scaled} | 10 | 7 | 0 | 1,234 | 50 | 4 |" in lines
    assert "| random | 1 | 22.0 | 22.0 | 20.0 | 0.00 | 10 | – | – | – | – | 1 |" in lines
    assert "## mountaincar" not in lines
