"""The robustness suite: what it plays, that no kill loses or repeats a cell, and areas under curves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.integrate import trapezoid
from scipy.stats import bootstrap

import rwta_sim
from rwta_sim import cli
from rwta_sim.analysis.robustness import Curve, area, curve_of
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.robustness import Family, Row, Suite, Table, families_of, read_rows, robustness, surrogate
from rwta_sim.lab.robustness.table import UNPERTURBED, locked

NUMPY = {"engine.name": "runtime", "engine.target": "numpy"}
SHORT = {**NUMPY, "training.episodes": 2, "training.validate_every": 2, "training.validation_episodes": 1}
SETTINGS = {"task": "cue", "episodes": 2}


def trained(tmp_path, task="cue", model="svpg-lockstep", **changes):
    experiment = rwta_sim.preset(task, model).changed({**SHORT, **changes})
    rwta_sim.train(experiment, tmp_path / task)
    return tmp_path / task


def command(*arguments):
    result = CliRunner().invoke(cli.cli, ["robustness", *map(str, arguments)])
    return result


# -- what is played ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("task", "least"), [("cartpole", 25), ("digits", 22), ("cue", 15)])
def test_the_normal_level_of_every_family_is_the_unperturbed_agent(task, least, monkeypatch):
    """The same episodes, choice by choice, and parameters to the last bit; at the last level of the grid something else
    happens in most families, after which the agent is as it was. A surrogate is of few decisions, and episodes are
    short, as what they are made of does not matter here."""
    if task == "digits":
        pytest.importorskip("sklearn")
    monkeypatch.setattr(surrogate, "_DECISIONS", 20)
    kwargs = {"cartpole": {"max_episode_steps": 6}, "cue": {"trials": 6}, "digits": {}}[task]
    experiment = rwta_sim.preset(task, "svpg-lockstep").changed({**NUMPY, "environment.kwargs": kwargs})
    with rwta_sim.Agent(experiment) as agent:
        agent.perturb("gaussian-noise", "weights:1", seed=5)
        start = {name: array.copy() for name, array in agent.system.state().items()}
        expected, other = agent.play(2, greedy=False), 0
        families = families_of(agent)
        assert len(families) >= least
        for family in families.values():
            with family.applied(agent, family.normal, 1):
                assert agent.play(2, greedy=False) == expected, family.name
            with family.applied(agent, family.levels[-1], 1):
                other += agent.play(2, greedy=False) != expected
            for name, array in agent.system.state().items():
                np.testing.assert_array_equal(array, start[name])
        assert agent.play(2, greedy=False) == expected
        assert other > len(families) / 2


def test_families_are_what_system_and_environment_declare():
    def names(task, model):
        changes = NUMPY if model != "random" else {}
        with rwta_sim.Agent(rwta_sim.preset(task, model).changed(changes)) as agent:
            return set(families_of(agent))

    full, cue, chance = names("cartpole", "svpg-lockstep"), names("cue", "svpg-lockstep"), names("cartpole", "random")
    assert {"connections-hh", "connections-sa", "circuits-lost", "environment-gravity", "input-gaussian"} <= full
    assert "connections-hh" not in names("cartpole", "svpg") and "input-salt" not in full
    assert cue & {"input-gaussian", "input-repeated", "environment-gravity", "weights-bits"} == {
        "input-repeated",
        "weights-bits",
    }
    assert all(name.startswith(("input", "action", "environment")) for name in chance) and chance < full


def test_published_grids():
    """Numbers of levels and ends, from the authors' scripts."""
    with rwta_sim.Agent(rwta_sim.preset("cartpole", "svpg-lockstep").changed(NUMPY)) as agent:
        families = families_of(agent)
    for name, count, last in (
        ("input-gaussian", 32, 1.55),
        ("weights-gaussian", 50, 0.98),
        ("weights-uniform", 80, 3.95),
        ("biases-relative-gaussian", 50, 4.9),
        ("connections-all", 50, 0.49),
    ):
        levels = families[name].levels
        assert len(levels) == count and levels[0] == 0 and levels[-1] == last, name


def test_rows_are_episodes_of_evaluation(tmp_path):
    """The unperturbed ones are those that `evaluate` plays, and each draw has its own."""
    run = trained(tmp_path)
    suite = Suite(families=("connections-sa",), levels=(0.5, 1.0), seeds=3, episodes=2)
    path, _ = robustness(run, suite)
    rows = read_rows(path)[0]
    assert len(rows) == 3 * 3 * 2 and len({row.cell for row in rows}) == 9
    with rwta_sim.Agent.load(run) as agent:
        expected = [episode.total for episode in agent.play(6)]
    assert [row.total for row in rows if row.family == UNPERTURBED] == expected
    seen = []
    again, _ = robustness(run, suite, report=lambda *told: seen.append(told))
    assert not seen and read_rows(again)[0] == rows
    meta = json.loads((run / "robustness/robustness.json").read_text())
    assert meta["settings"]["episodes"] == 2 and meta["units"]["decisions"] == "1"


def test_a_level_that_the_simulator_rejects_is_marked(tmp_path):
    pytest.importorskip("mujoco")
    run = trained(tmp_path, "inverted-pendulum")
    result = command(run, "--families", "environment-length", "--levels", "0.01,1.5,2", "--seeds", 1, "--jobs", 1)
    assert result.exit_code == 0, result.output
    rows = {row.level: row for row in read_rows(run / "robustness/robustness.csv")[0] if row.family != UNPERTURBED}
    assert "expected 0.1 to 10.0 metres" in rows[0.01].rejected and rows[0.01].total is None
    assert rows[2.0].total > 0 and not rows[2.0].rejected and 1.5 not in rows
    with rwta_sim.Agent.load(run) as agent:
        curve = curve_of(list(rows.values()), families_of(agent)["environment-length"]._replace(levels=(0.01, 2.0)))
    assert list(curve.levels) == [2.0] and list(curve.rejected) == [0.01]


# -- kills and locks ---------------------------------------------------------------------------------------


def test_a_table_that_was_cut_anywhere_has_its_finished_cells(tmp_path):
    table = Table(tmp_path, SETTINGS)
    cells = [[Row("a", 0.1, d, i, 1.5, 7, True, None, None) for i in range(2)] for d in range(2)] + [
        [Row("a", 0.2, 0, 0, None, None, rejected='too "long", it\'s said')],
        [Row("b", 0.5, 0, i, -1.0, 3) for i in range(2)],
    ]
    sizes = []
    for rows in cells:
        table.append(rows)
        sizes.append(table.path.stat().st_size)
    whole = table.path.read_bytes()
    first = len(whole.splitlines(keepends=True)[0])
    for size in range(first, len(whole) + 1):
        table.path.write_bytes(whole[:size])
        finished = sum(size >= end for end in sizes)
        opened = Table(tmp_path, SETTINGS)
        assert opened.rows == [row for rows in cells[:finished] for row in rows]
        assert table.path.read_bytes() == whole[: max([first, *sizes[:finished]])]


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [(2, [1]), pytest.param(1, [1, 9], marks=pytest.mark.nightly), pytest.param(2, [1, 9], marks=pytest.mark.nightly)],
)
def test_killed_at_any_moment_nothing_is_lost_or_repeated(jobs, kills, tmp_path):
    """By SIGKILL, once there are so many cells; then the table has what one that was never killed has, each cell once,
    and no process is left behind."""
    short = {"training.episodes": 2, "environment.kwargs": {"trials": 4}}
    rwta_sim.train(rwta_sim.preset("cue", "linear").changed(short), run := tmp_path / "run")
    families, levels = ("connections-sa", "weights-gaussian"), (0.1, 0.2, 0.3, 0.4)
    suite = Suite(families=families, levels=levels, seeds=6, episodes=25)
    line = [sys.executable, "-m", "rwta_sim", "robustness", str(run), "--families", ",".join(families), "--levels"]
    line += [",".join(map(str, levels)), "--seeds", "6", "--episodes", "25", "--jobs", str(jobs)]
    path, before = run / "robustness/robustness.csv", b""
    for number in kills:
        _killed(line, path, 25 * number)
        kept = path.read_bytes()
        assert kept.startswith(before) and kept.count(b"\n") < 25 * 54
        before = b"".join(kept.splitlines(keepends=True)[: 1 + 25 * number])
    robustness(run, suite)
    assert path.read_bytes().startswith(before)
    rows = read_rows(path)[0]
    undisturbed, _ = robustness(run, suite, tmp_path / "undisturbed")
    assert len(rows) == 25 * 54 and sorted(rows, key=str) == sorted(read_rows(undisturbed)[0], key=str)


def _killed(line, path, rows):
    """Start a suite, kill it once its table has so many rows, and wait until its processes have ended."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not path.exists() or len(read_rows(path)[0]) < rows:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(map(_alive, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_two_processes_on_one_table(tmp_path):
    run = trained(tmp_path)
    with locked(run / "robustness"):
        result = command(run)
    assert result.exit_code == 1 and "is being filled by another process" in str(result.exception)
    assert not (run / "robustness/robustness.csv").exists()


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "says"),
    [
        ({"families": ("connectons-sa",)}, "did you mean 'connections-sa'"),
        ({"families": ("environment-gravity",)}, "this agent has none of this name"),
        (
            {"families": ("connections-sa",), "levels": (1.5,)},
            "connections-sa: expected a number from 0 to 1",
        ),
        ({"families": ("weights-bits",), "levels": (2.5,)}, "expected a whole number from 1 to 32"),
        ({"families": ("weights-gaussian",), "levels": (-1.0,)}, "expected a number from 0 to 1e+06"),
    ],
)
def test_what_cannot_be_asked_for(suite, says, tmp_path):
    run = trained(tmp_path)
    with pytest.raises(ConfigError) as error:
        robustness(run, Suite(**suite))
    assert says in str(error.value) and not (run / "robustness").exists()


def test_a_table_of_other_settings_or_damaged_is_left_alone(tmp_path):
    table = Table(tmp_path, SETTINGS)
    table.append([Row("a", 0.1, 0, i, 1.0, 1) for i in range(2)])
    with pytest.raises(RunError, match=r"other settings \(episodes is 2 there and 3 here\): choose another --out"):
        Table(tmp_path, {**SETTINGS, "episodes": 3})
    whole = table.path.read_bytes()
    table.path.write_bytes(whole + b"a,x,0,0,1,1,,,,\n")
    with pytest.raises(RunError, match="damaged in row 4"):
        Table(tmp_path, SETTINGS)
    table.path.write_bytes(b"episode,return\n1,2\n")
    with pytest.raises(RunError, match="no table of a robustness suite"):
        Table(tmp_path, SETTINGS)


# -- curves and areas --------------------------------------------------------------------------------------


def test_the_area_is_the_mean_over_the_levels():
    """Of straight lines, by hand; the levels are not evenly spaced."""
    levels = np.array([0.0, 1.0, 4.0])
    found = area(Curve(levels, np.array([[8.0, 4.0], [6.0, 3.0], [0.0, 0.0]]), {}))
    assert found.value == pytest.approx((4 + 2) / 2) and found.low == 2 and found.high == 4
    assert np.isnan(area(Curve(levels, np.ones((3, 1)), {})).low)
    assert area(Curve(levels[:1], np.ones((1, 3)), {})) is None


def test_intervals_are_those_of_scipy():
    """Percentile bootstraps of 20 areas: ends within a tenth of the width (Monte Carlo error of 10,000 resamples:
    about a hundredth)."""
    rng = np.random.default_rng(2)
    curve = Curve(np.linspace(0, 1, 5), 100 + rng.normal(size=(5, 20)).cumsum(axis=0), {})
    found = area(curve)
    units = trapezoid(curve.returns, curve.levels, axis=0)
    theirs = bootstrap((units,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    width = theirs.high - theirs.low
    assert abs(found.low - theirs.low) < 0.1 * width and abs(found.high - theirs.high) < 0.1 * width


def test_a_curve_has_the_draws_that_are_complete():
    family = Family("f", "", "", (0.0, 1.0, 2.0))
    rows = [Row(UNPERTURBED, 0.0, d, 0, 10.0 + d, 1) for d in range(3)]
    rows += [Row("f", 1.0, d, 0, 5.0 + d, 1) for d in range(2)] + [Row("f", 2.0, 0, 0, None, None, rejected="no")]
    curve = curve_of(rows, family)
    np.testing.assert_array_equal(curve.returns, [[10, 11], [5, 6]])
    assert list(curve.levels) == [0, 1] and curve.rejected == {2.0: "no"}


def test_runs_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = trained(tmp_path)
    rwta_sim.train(rwta_sim.preset("cue", "random").changed({"training.episodes": 2}), tmp_path / "chance")
    result = command(run, "chance", "--quick", "--families", "input-repeated,weights-bits", "--jobs", 1, "--json")
    assert result.exit_code == 1  # a random policy has no weights
    assert "this agent has none of this name" in str(result.exception)
    result = command(run, "chance", "--quick", "--families", "input-repeated", "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [one["run"] for one in told["areas"]] == [str(run), "chance"] and told["folder"] == "robustness"
    assert (tmp_path / "robustness/input-repeated.png").stat().st_size > 5000
    lines = (tmp_path / "robustness/areas.csv").read_text().splitlines()
    assert lines[0] == "agent,family,area,low,high" and len(lines) == 3
