"""Searches: what Optuna is told and what follows from it, on workers in this process."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from contextlib import contextmanager
from statistics import median

import numpy as np
import pytest
from click.testing import CliRunner
from interruptions import TINY

import rwta_sim
from rwta_sim import cli
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.sweep import Sweep, SweepFolder, check, job, points_of, search, study_of
from rwta_sim.lab.workers import Cluster

distributed = pytest.importorskip("distributed")
pytest.importorskip("optuna")
from rwta_sim.lab.sweep.study import SweepStudy  # noqa: E402

SETTINGS = {
    "dynamics": "rate",
    "learning.rule.kind": "mean_field",
    "environment.kwargs.trials": 4,
    "training.episodes": 6,
    "training.validate_every": 2,
    "training.validation_episodes": 2,
}
RANDOM = {"learning.rate": {"log_uniform": [1e-3, 1.0]}, "network.kernel.tau": {"uniform": [1.0, 5.0], "unit": "ms"}}


def asked(trials=4, random=RANDOM, seeds=1, evaluate=0, settings=SETTINGS, **how):
    who = {"task": "cue", "model": "svpg-lockstep", "evaluate": evaluate, "settings": settings, "seeds": seeds}
    return Sweep.of({**who, "random": random, "search": {"trials": trials, "startup": 1, **how}})


@pytest.fixture(scope="module")
def cluster():
    """One worker, a thread of this process."""
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as started, distributed.Client(started) as client:
        yield Cluster(client)


def rows(sweep, folder):
    return list(study_of(sweep, SweepFolder(folder)).rows())


def validations(folder, point):
    column = rwta_sim.RunFolder.open(SweepFolder(folder).run(point)).metrics()["validation_return"]
    return column[np.isfinite(column)].tolist()


def pruned_by_hand(seen, before):
    """After how many validations the best of `seen` is below the median of complete trials; None if it never is."""
    for step in range(1, len(seen) + 1):
        others = [values[step - 1] for values in before]
        if others and max(seen[:step]) < median(others):
            return step
    return None


def test_one_worker_searches_the_same_each_time_also_when_interrupted(tmp_path, cluster):
    """Values are the best validations of the runs; who is pruned follows from the rule, computed here by hand."""
    sweep = asked(trials=6, seed=3, settings={**SETTINGS, "training.validation_episodes": 5})
    count = search(sweep, SweepFolder(tmp_path / "a"), cluster)
    found = rows(sweep, tmp_path / "a")
    assert count.of == len({row["learning.rate"] for row in found}) == 6 and count.left == 0
    complete = []
    for row, point in zip(found, study_of(sweep, SweepFolder(tmp_path / "a")).points(), strict=True):
        assert point.varied["network.kernel.tau"].endswith(" ms") and 1e-3 <= point.varied["learning.rate"] <= 1.0
        seen = validations(tmp_path / "a", point)
        step = pruned_by_hand(seen, complete)
        assert row["state"] == ("complete" if step is None else "pruned")
        assert row["validations"] == (len(seen) if step is None else step)
        if step is None:
            complete.append(seen)
            assert row["value"] == max(seen)
    assert 1 < len(complete) < 6  # seeds for which both happens
    value, point = study_of(sweep, SweepFolder(tmp_path / "a")).best()
    assert value == max(max(seen) for seen in complete) == max(validations(tmp_path / "a", point))

    def interrupt(count):
        if count.finished in (2, 3) and not stopped:
            stopped.append(count.finished)
            os.kill(os.getpid(), signal.SIGINT)

    stopped: list[int] = []
    first = search(sweep, SweepFolder(tmp_path / "b"), cluster, report=interrupt)
    assert stopped and 0 < first.interrupted <= 4
    again = search(sweep, SweepFolder(tmp_path / "b"), cluster)
    assert again.left == 0 < again.skipped
    assert rows(sweep, tmp_path / "b") == found
    # More trials go on from there; nothing is done again.
    more = sweep.model_copy(update={"search": sweep.search.model_copy(update={"trials": 7})})
    count = search(more, SweepFolder(tmp_path / "b"), cluster)
    assert (count.skipped, count.left) == (6, 0) and rows(more, tmp_path / "b")[:6] == found


def test_what_is_suggested_depends_on_the_seed(tmp_path):
    def suggested(folder, **how):
        sweep, one = asked(trials=2, **how), SweepFolder(tmp_path / folder)
        one.path.mkdir()
        study = SweepStudy(sweep, one)
        return [study.ask().points[0].varied for _ in range(2)]

    assert suggested("a") == suggested("b") != suggested("c", seed=1)
    assert suggested("d", sampler="random") != suggested("e", sampler="random", seed=1)


def test_a_trial_is_the_mean_of_its_seeds(tmp_path, cluster):
    choice = {"critic.gamma": {"choice": [0.0, 0.5]}, "network.blocks": {"choice": [["sh", "sa"], ["sa"]]}}
    sweep = asked(trials=2, seeds=2, evaluate=3, metric="mean_return", prune="none", random=choice)
    folder = SweepFolder(tmp_path)
    search(sweep, folder, cluster)
    points = study_of(sweep, folder).points()
    assert len(points) in (2, 4) and {p.seed for p in points} == {0, 1}
    for row in rows(sweep, tmp_path):
        ours = [p for p in points if all(p.varied[key] == row[key] for key in choice)]
        assert isinstance(row["network.blocks"], list) and len(ours) == 2
        assert row["value"] == np.mean([folder.standing(p)[1]["numbers"]["mean_return"] for p in ours])


def test_a_pruned_run_ends(tmp_path, cluster, monkeypatch):
    """In the middle of what would be a long time, and its worker goes on with the next trial."""
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.LOOK", 0.05)
    hear = SweepStudy.hear

    def heard(study, one):
        if len(study._validations(one.points)) >= 2:
            monkeypatch.setattr(one.trial, "should_prune", lambda: one.trial.number == 0)
        return hear(study, one)

    monkeypatch.setattr(SweepStudy, "hear", heard)
    sweep = asked(trials=2, settings={**SETTINGS, "training.episodes": 2000, "training.target": 2.0})
    count = search(sweep, SweepFolder(tmp_path), cluster)
    assert [row["state"] for row in rows(sweep, tmp_path)] == ["pruned", "complete"]
    assert (count.pruned, count.finished, count.left) == (1, 1, 0)
    long = study_of(sweep, SweepFolder(tmp_path)).points()[0]
    assert 4 <= len(rwta_sim.RunFolder.open(SweepFolder(tmp_path).run(long)).metrics()["episode"]) < 2000


def test_what_comes_to_nothing(tmp_path, cluster, monkeypatch):
    """Settings that are impossible together, runs that fail, and a metric that no run tells; the search goes on."""
    impossible = asked(trials=3, random={"critic.gamma": {"choice": [2.0]}})
    count = search(impossible, SweepFolder(tmp_path / "a"), cluster)
    assert count.failed == 3 and all("critic" in row["error"] for row in rows(impossible, tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"critic.*every point"):
        check(points_of(impossible))

    def train(experiment, *args, **kwargs):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(job, "train", train)
    count = search(asked(trials=2), SweepFolder(tmp_path / "b"), cluster, retries=0)
    assert count.failed == 2 and {row["state"] for row in rows(asked(trials=2), tmp_path / "b")} == {"fail"}
    monkeypatch.undo()
    silent = asked(trials=1, metric="success", evaluate=1)
    search(silent, SweepFolder(tmp_path / "c"), cluster)
    assert "its runs tell no success: they tell" in rows(silent, tmp_path / "c")[0]["error"]
    assert study_of(silent, SweepFolder(tmp_path / "c")).best() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 0}, "trials = 0"),
        ({"sampler": "tpee"}, "sampler = 'tpee'"),
        ({"direction": "minimize"}, "set prune = 'none'"),
        ({"random": {}}, "[search] tries what it finds in [random]"),
        ({"random": {"learning.rate": {"normal": [0, 1]}}}, "normal has no limits to search between"),
    ],
)
def test_searches_that_are_none(changes, words):
    with pytest.raises(ConfigError) as raised:
        asked(**changes)
    assert words in str(raised.value)
    with pytest.raises(ConfigError, match="leave grid, point and draws out"):
        Sweep.of({"task": "cue", "random": RANDOM, "search": {"trials": 1}, "grid": {"critic.gamma": [0.5]}})


def test_studies_on_disk(tmp_path):
    """A torn line did not happen; a damaged one is told; a study is of one search."""
    sweep, folder = asked(), SweepFolder(tmp_path)
    study = SweepStudy(sweep, folder)
    first = study.ask()
    path = tmp_path / "study.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert len(SweepStudy(sweep, folder, write=False).trials) == 1 and path.read_bytes() != whole
    (again,) = SweepStudy(sweep, folder).begun()
    assert again.points == first.points and path.read_bytes() == whole
    # Killed between the trial and its settings: the same are suggested.
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    (again,) = SweepStudy(sweep, folder).begun()
    assert again.points == first.points and not any(b"learning.rate" in line for line in lines[2:3])
    with pytest.raises(RunError, match=r"study of another search \(.*sampler is 'tpe' there"):
        SweepStudy(asked(sampler="random"), folder)
    path.write_bytes(lines[0] + b"{]\n" + b"".join(lines[1:]))
    with pytest.raises(RunError, match=r"study\.jsonl is damaged in line 2: put it back"):
        SweepStudy(sweep, folder)
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=r"study\.jsonl cannot be read"):
        SweepStudy(sweep, folder)


def test_two_searches_on_one_folder_and_a_full_disk(tmp_path, cluster, monkeypatch):
    folder = SweepFolder(tmp_path)
    with folder.lock(), pytest.raises(RunError, match="is being filled by another sweep"):
        search(asked(), folder, cluster)

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(
            RunError, match=r"cannot write .*study\.jsonl \(No space left on device\): make room, then the"
        ):
            search(asked(), folder, cluster)
    assert search(asked(trials=1), folder, cluster).finished == 1


def test_the_command(tmp_path, cluster, monkeypatch):
    @contextmanager
    def opened(name):
        yield cluster

    monkeypatch.setattr(cli, "opened", opened)
    file = tmp_path / "find.toml"
    lines = ['task = "cue"', 'model = "svpg-lockstep"', "evaluate = 1", "[search]", "trials = 2", "[settings]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in SETTINGS.items()]
    file.write_text("\n".join([*lines, "[random]", "learning.rate = {log_uniform = [0.1, 1.0]}", ""]))

    def run(*options):
        return CliRunner().invoke(cli.cli, ["sweep", str(file), "--out", str(tmp_path / "out"), *options])

    assert run("--table").exit_code == 0 and (tmp_path / "out" / "runs.csv").read_text().count("\n") == 1
    done = run("--dry-run")
    assert done.exit_code == 0 and "2 points, all of them can be built" in done.output
    done = run("--cluster", "local:1")
    assert done.exit_code == 0, done.output
    assert "best " in done.output and "learning.rate = 0." in done.output
    with open(tmp_path / "out" / "trials.csv") as table:
        assert [row["trial"] for row in csv.DictReader(table)] == ["0", "1"]
    told = json.loads(run("--table", "--json").stdout)
    assert set(told["best"]["settings"]) == {"learning.rate"} and len(told["files"]) == 4
    monkeypatch.setattr("rwta_sim.lab.sweep.searching.find_spec", lambda name: None)
    assert str(run().exception) == "a search needs optuna: pip install 'rwta-sim[sweep]'"


def test_the_experiment_is_the_presets():
    """What `drawn` stands for: as many points as trials, all of them possible."""
    assert len(check(points_of(asked(trials=5)))) == 5 and TINY.task == "cue"
