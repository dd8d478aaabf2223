"""Sweep files: which points they have, what these are called, and whatever is wrong, told before anything starts."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from interruptions import TINY

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError
from rwta_sim.lab.sweep import Sweep, check, points_of
from rwta_sim.lab.sweep.distributions import distribution, generator
from rwta_sim.lab.workers.cluster import SlurmJobs


def points(**tree):
    return points_of(Sweep.of({"task": "cue", "model": "svpg-lockstep", **tree}))


def test_grid_list_and_seeds_in_every_combination():
    found = points(
        seeds=[3, 5],
        settings={"critic": {"gamma": 0.5}},
        grid={"learning": {"rate": [0.1, 0.2]}, "network.kernel.tau": ["5 ms"]},
        point=[{"name": "plain"}, {"name": "other", "critic.rate": 0.3, "learning.rate": 9.0}],
    )
    seen = [(p.label, p.seed, p.varied["learning.rate"], p.varied.get("critic.rate")) for p in found]
    assert seen == [(n, s, r, c) for s in (3, 5) for n, c in (("plain", None), ("other", 0.3)) for r in (0.1, 0.2)]
    assert {p.given["critic.gamma"] for p in found} == {0.5}
    assert len({p.name for p in found}) == len(found) == 8
    built = found[-1].experiment()
    assert (built.seed, built.learning.rate, built.critic.rate) == (5, 0.2, 0.3)


def test_a_kind_is_chosen_before_its_settings():
    kernel = {"network.kernel.duration": "4 ms", "network.kernel.kind": "rectangular"}
    (point,) = points(settings=kernel)
    assert point.experiment().network.kernel.kind == "rectangular"


def test_names_do_not_depend_on_what_else_is_swept():
    few = points(grid={"learning.rate": [0.1]}, seeds=[1])
    many = points(grid={"learning.rate": [0.3, 0.1]}, seeds=[0, 1])
    assert few[0].name in {p.name for p in many} and len({p.name for p in many}) == 4
    assert few[0].place.parent.name == few[0].name[-12:-10]
    # Another setting of all runs is another run.
    assert points(grid={"learning.rate": [0.1]}, seeds=[1], budget=100)[0].name != few[0].name


def test_names_are_names_of_files():
    (point,) = points(point=[{"name": "a/b ../\u00e4", "environment.kwargs.trials": 3}])
    assert "/" not in point.name and len(point.name.encode()) < 200 and point.name.startswith("a_b_..")
    long = points(point=[{"environment.kwargs.trials": "x" * 500}])[0]
    assert len(long.name) < 120


def test_places_are_spread_over_folders():
    """10,000 points: one of 256 folders would have 80 in two of 10^6 sweeps (binomial, 39 +- 6.2)."""
    found = points(seeds=10_000)
    _, counts = np.unique([p.place.parent.name for p in found], return_counts=True)
    assert len(counts) == 256 and counts.max() < 80


def test_what_is_drawn_depends_on_its_seed_and_name_only():
    random = {"learning": {"rate": {"log_uniform": [1e-4, 1e-1]}}, "critic.gamma": {"uniform": [0.0, 0.9]}}
    one = points(draws=5, random=random)
    more = points(draws=7, random={"learning.rate": {"log_uniform": [1e-4, 1e-1]}})
    rates = [p.varied["learning.rate"] for p in one]
    assert rates == [p.varied["learning.rate"] for p in more][:5] and len(set(rates)) == 5
    assert rates != [p.varied["learning.rate"] for p in points(draws=5, random=random, draws_seed=1)]
    # The same draws at each point of a grid, and for each seed.
    both = points(draws=2, random=random, grid={"critic.rate": [0.1, 0.2]}, seeds=2)
    assert {p.varied["learning.rate"] for p in both} == set(rates[:2]) and len(both) == 8


def test_distributions_are_what_they_say():
    """Means of 4,000 draws, each within 5 standard errors (a false alarm in 2 million runs, two-sided; seed fixed)."""
    expected = {
        "uniform": ([2.0, 4.0], 3.0, 2 / math.sqrt(12)),
        "log_uniform": ([1.0, math.e], math.e - 1, math.sqrt((math.e**2 - 1) / 2 - (math.e - 1) ** 2)),
        "normal": ([1.0, 0.5], 1.0, 0.5),
        "integers": ([1, 6], 3.5, math.sqrt(35 / 12)),
    }
    for word, (limits, mean, sd) in expected.items():
        table, rng = distribution("x", {word: limits}), generator(0, "x")
        values = np.array([table.draw(rng) for _ in range(4000)])
        assert abs(values.mean() - mean) < 5 * sd / math.sqrt(len(values)), word
        if word != "normal":
            assert values.min() >= limits[0] and values.max() <= limits[1]
    rng = generator(0, "x")
    assert {distribution("x", {"integers": [1, 3]}).draw(rng) for _ in range(100)} == {1, 2, 3}
    assert {distribution("x", {"choice": ["a", [1]]}).draw(rng).__repr__() for _ in range(100)} == {"'a'", "[1]"}
    text = distribution("x", {"uniform": [1, 2], "unit": "ms"}).draw(rng)
    assert text.endswith(" ms") and TINY.changed({"network.kernel.tau": text}).network.kernel.kind == "exponential"


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"tusk": 1}, "unknown setting 'tusk': did you mean 'task'"),
        ({"seeds": 0}, "expected how many seeds, 1 at least"),
        ({"seeds": [1, 1]}, "each of them once"),
        ({"seeds": [-1]}, "seeds = -1"),
        ({"seeds": [0.5]}, "seeds = 0.5"),
        ({"budget": 0}, "budget = 0"),
        ({"metric": "mean_retrun"}, "metric = 'mean_retrun'"),
        ({"evaluate": -1}, "evaluate = -1"),
        ({"grid": {"learning.rate": 0.1}}, "grid.learning.rate = 0.1"),
        ({"grid": {"learning.rate": []}}, "values that differ, one at least"),
        ({"grid": {"learning.rate": [1, 1]}}, "values that differ"),
        ({"grid": {"seed": [1]}}, "seeds stand in `seeds`"),
        ({"settings": {"task": "cue"}}, "settings.task: stands at the top"),
        ({"budget": 5, "grid": {"training.episodes": [1, 2]}}, "both say how long a run is"),
        ({"draws": 3}, "draws and [random] belong together"),
        ({"random": {"learning.rate": {"uniform": [0, 1]}}}, "draws and [random] belong together"),
        ({"draws": 1, "random": {"learning.rate": {"unifrom": [0, 1]}}}, "did you mean 'uniform'"),
        ({"draws": 1, "random": {"learning.rate": 3}}, "random.learning.rate = 3: expected one distribution"),
        ({"draws": 1, "random": {"learning.rate": {"uniform": [1, 0]}}}, "the lower limit, then the higher one"),
        ({"draws": 1, "random": {"learning.rate": {"log_uniform": [0, 1]}}}, "limits above 0"),
        ({"draws": 1, "random": {"learning.rate": {"normal": [0, 0]}}}, "a standard deviation above 0"),
        ({"draws": 1, "random": {"learning.rate": {"choice": []}}}, "at least 1 item"),
        ({"point": [{"a": 1}, 3]}, "point = 3"),
        ({"point": [{"learning.rate": 0.1}, {"learning.rate": 0.1}]}, "two points are the same run"),
        ({"point": [{"name": 3}]}, "name = 3: expected a name"),
        ({"task": None}, "task = None: expected a name: write it at the top"),
    ],
)
def test_files_that_are_none(tree, words):
    with pytest.raises(ConfigError) as raised:
        points(**tree)
    assert words in str(raised.value)


def test_all_that_is_wrong_in_some_points_is_told_at_once():
    rectangle = {"network.kernel.kind": "rectangular"}  # has a duration, and no tau
    wrong = points(
        seeds=3,
        grid={"critic.gamma": [0.5, 1.5]},
        point=[{"learning.rate": 0.1}, {"learning.rte": 1}, {**rectangle, "network.kernel.tau": "5 ms"}],
    )
    with pytest.raises(ConfigError) as raised:
        check(wrong)
    lines = str(raised.value).splitlines()
    assert len(lines) == 4
    assert any("critic" in line and "1.5" in line and "of 6 points" in line for line in lines)
    assert any("'learning.rte': did you mean 'rate'" in line for line in lines)
    assert any("'network.kernel.tau'" in line for line in lines)
    assert any("network.kernel.duration: field required" in line for line in lines)
    with pytest.raises(ConfigError, match=r"unknown task 'cu': did you mean 'cue'.*every point"):
        check(points(task="cu", model=None))


def test_the_command_starts_nothing_that_is_wrong(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text('task = "cue"\n[grid]\nlearning.rate = [0.1, -1.0]\n')
    done = CliRunner().invoke(cli, ["sweep", str(file), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, ConfigError) and "learning.rate = -1.0" in str(done.exception)
    file.write_text("task = 'cue'\nfrobs = 1\n")
    done = CliRunner().invoke(cli, ["sweep", str(file), "--out", str(tmp_path / "out")])
    assert str(file) in str(done.exception) and "unknown setting 'frobs'" in str(done.exception)
    done = CliRunner().invoke(cli, ["sweep", str(tmp_path / "none.toml")])
    assert "cannot read the configuration" in str(done.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.toml"]


def test_a_missing_library_is_told_before(tmp_path, monkeypatch):
    file = tmp_path / "fine.toml"
    file.write_text('task = "cue"\n')
    monkeypatch.setattr("rwta_sim.lab.workers.cluster.find_spec", lambda name: None)
    done = CliRunner().invoke(cli, ["sweep", str(file), "--out", str(tmp_path / "out")])
    assert str(done.exception) == "a sweep needs distributed: pip install 'rwta-sim[sweep]'"
    monkeypatch.setattr("rwta_sim.loop.experiment.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs PyTorch.*every point"):
        check(points(task="cartpole", model="dsqn"))


@pytest.mark.parametrize("where", ["lokal", "local:x", "local:0", "tcp:/a", "ftp://a", "slurm", "slurm:none.toml"])
def test_clusters_that_are_none(where, tmp_path):
    file = tmp_path / "fine.toml"
    file.write_text('task = "cue"\n')
    done = CliRunner().invoke(cli, ["sweep", str(file), "--out", str(tmp_path / "out"), "--cluster", where])
    assert isinstance(done.exception, ConfigError), done
    assert not (tmp_path / "out").exists()


def test_every_task_and_model_may_be_swept(tmp_path):
    assert [p.task for p in points(task=None, model=None, grid={"task": ["cue", "xor"]})] == ["cue", "xor"]
    found = points(model=None, grid={"model": ["linear", "random"]})
    assert [type(e) for e in check(found)] == [type(rwta_sim.preset("cue", m)) for m in ("linear", "random")]
    assert Path(found[0].place).parts[1].startswith("cue,linear,seed=0,")


def test_a_network_of_your_own(tmp_path, monkeypatch):
    """Whose model has no presets: all that has no default stands in the file."""
    (tmp_path / "own_network.py").write_text("def build(n_inputs, n_actions): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    network = {"build": "own_network:build", "inputs": "inputs.rates", "input_scale": 100.0, "actions": "actions"}
    own = {"environment.id": "rwta_sim/CueAction-v0", "encoder.copies": 10, "network": network, "decision_steps": 50}
    grid = {"network.input_scale": [50.0, 200.0]}
    found = points(task="two-cues", model="brian2", settings=own, grid=grid)
    assert [e.network.input_scale for e in check(found)] == [50.0, 200.0]
    with pytest.raises(ConfigError, match=r"network\.build: field required.*every point"):
        check(points(task="two-cues", model="brian2", settings={"network.inputs": "inputs.rates"}))


def test_the_files_of_the_page_are_some():
    text = (Path(__file__).parent.parent / "docs" / "sweeps.md").read_text()
    *files, jobs = map(tomllib.loads, re.findall(r"^```toml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    grid, drawn, searched = (points_of(Sweep.of(one)) for one in files)
    assert (len(grid), len(check(grid)), len(drawn), len(searched)) == (30, 6, 40, 60)
    check(drawn + searched)
    arguments = SlurmJobs.model_validate(jobs).arguments()
    assert arguments["cores"] == arguments["processes"] == 4 and "jobs" not in arguments
