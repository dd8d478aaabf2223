"""One training whose episodes are played by workers: the same bits as in one process, whatever becomes of workers."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from interruptions import SPIKING, TINY, end_of

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, DivergenceError, EnvironmentFailure, RwtaSimError, WorkersFailed
from rwta_sim.lab import training
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.sweep import Sweep, SweepFolder, points_of, sweep
from rwta_sim.lab.workers import Cluster, process
from rwta_sim.lab.workers.players import check_workers
from rwta_sim.loop.activity import ActivityLog
from rwta_sim.seeding import Purpose, episode_seeds

distributed = pytest.importorskip("distributed")

#: Batches that validations cut in two.
BATCHES = {
    "learning.modulation.kind": "episode_advantage",
    "learning.batch": 6,
    "training.episodes": 15,
    "training.validate_every": 9,
    "training.validation_episodes": 3,
    "training.checkpoint_every": 4,
    "environment.kwargs.trials": 5,
}


@contextmanager
def started(**options):
    config = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50, **options}
    with distributed.LocalCluster(**config) as local, distributed.Client(local) as client:
        yield local, Cluster(client)


@pytest.fixture(scope="module")
def two():
    """Two workers, threads of this process."""
    with started(processes=False, n_workers=2) as (_, cluster):
        yield cluster


@pytest.fixture(scope="module")
def one():
    """One worker, a process of its own; and Dask's cluster."""
    with started(n_workers=1) as (local, cluster):
        yield cluster, local


@pytest.fixture
def faulty(tmp_path):
    """An experiment that dies in the eighth episode, as often as it is told to, and fails in the eleventh."""
    (tmp_path / "deaths").write_bytes(b"")
    plain = TINY.changed({**BATCHES, "critic.kind": "fourier", "critic.order": 1, "encoder.low": [-1.0] * 2})
    deadly, fails = (episode_seeds(plain.seed, Purpose.TRAINING, n).environment for n in (7, 10))
    kwargs = {"mark": str(tmp_path), "deadly": deadly, "fails": fails}
    return plain.changed({"encoder.high": [1.0] * 2, "environment": {"id": "faulty_env:Faulty-v0", "kwargs": kwargs}})


def trained(experiment, folder, **kwargs):
    rwta_sim.train(experiment, folder, **kwargs)
    return end_of(folder)


def test_the_same_bits_for_any_number_of_workers(tmp_path, one, two):
    """Of the mean field, whose transcripts hold what PPO and others go through again."""
    experiment = TINY.changed(BATCHES)
    alone = trained(experiment, tmp_path / "alone")
    assert trained(experiment, tmp_path / "one", cluster=one[0]) == alone
    assert trained(experiment, tmp_path / "two", cluster=two) == alone
    assert alone["last"] != alone["first"]


def test_the_same_bits_from_spikes(tmp_path, one):
    """Whose transcripts hold factors of the learning rule; on Brian2's own runtime, which threads could not share."""
    few = {"learning.batch": 2, "training.episodes": 4, "training.validation_episodes": 1}
    experiment = SPIKING.changed({**BATCHES, **few})
    alone = trained(experiment, tmp_path / "alone")
    assert trained(experiment, tmp_path / "one", cluster=one[0]) == alone
    assert alone["last"] != alone["first"]


def test_resumed_here_and_there(tmp_path, two):
    experiment = TINY.changed(BATCHES)
    alone = trained(experiment, tmp_path / "alone")
    for name, first, then in (("there", two, None), ("here", None, two)):
        stop = threading.Event()
        halt = {"report": lambda progress, stop=stop: stop.set() if progress.episode == 7 else None, "stop": stop}
        summary = rwta_sim.train(experiment, tmp_path / name, cluster=first, **halt)
        assert not summary.finished and 7 <= summary.episodes < 15
        assert rwta_sim.resume(tmp_path / name, cluster=then).finished
        assert end_of(tmp_path / name) == alone


def test_ctrl_c_loses_nothing(tmp_path, one):
    experiment = TINY.changed(BATCHES)

    def interrupt(progress):
        if progress.episode == 8:
            os.kill(os.getpid(), signal.SIGINT)

    summary = rwta_sim.train(experiment, tmp_path / "run", cluster=one[0], report=interrupt)
    assert not summary.finished and 8 <= summary.episodes < 15
    assert RunFolder.open(tmp_path / "run").last().meta["episode"] == summary.episodes
    rwta_sim.resume(tmp_path / "run", cluster=one[0])
    assert end_of(tmp_path / "run") == trained(experiment, tmp_path / "alone")


def test_an_environment_that_fails_on_a_worker(tmp_path, faulty, two):
    """As in one process: saved with what the failed episode taught until then."""
    (tmp_path / "broken").touch()
    lasts = []
    for name, cluster, where in (("there", two, r" \(training episode 11\)$"), ("here", None, "$")):
        with pytest.raises(EnvironmentFailure, match=r"Faulty-v0: step 2 .*cable broke'\)" + where):
            rwta_sim.train(faulty, tmp_path / name, cluster=cluster)
        run = RunFolder.open(tmp_path / name)
        lasts.append({n: a.tobytes() for n, a in run.last().arrays.items()})
        assert run.last().meta["episode"] == 10
    assert lasts[0] == lasts[1]


def test_what_cannot_be_played_by_workers(tmp_path, two):
    for changes, words in (
        ({"learning.modulation.kind": "td_error", "learning.batch": 1}, "learning.modulation.kind = 'episode_adv"),
        ({"learning.batch": 1}, "raise learning.batch, which is 1, to 2"),
        ({"training.replicas": 2, "training.together": True}, "training.together = true has all replicas decide in"),
        ({"training.replicas": 2, "training.vector": "sync"}, "training.vector = 'sync' has all environments in one"),
    ):
        with pytest.raises(ConfigError) as raised:
            rwta_sim.train(TINY.changed({**BATCHES, **changes}), tmp_path / "run", cluster="local:2")
        assert words in str(raised.value) and "a training on a cluster" in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(ConfigError, match="the model 'coagents' has no batches"):
        check_workers(rwta_sim.preset("gridworld", "coagents"))
    experiment = TINY.changed(BATCHES)
    with pytest.raises(ConfigError, match="an environment that is given stays in this process"):
        rwta_sim.train(experiment, tmp_path / "run", cluster=two, env=lambda: None)
    with pytest.raises(ConfigError, match="recorded in this process"):
        rwta_sim.train(experiment, tmp_path / "run", cluster=two, record=rwta_sim.TrainingRecord(("spikes",)))
    with pytest.raises(ConfigError, match="--cluster lokal: expected local, local:4"):
        rwta_sim.train(experiment, tmp_path / "run", cluster="lokal")
    assert not (tmp_path / "run").exists()


def test_dask_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("rwta_sim.lab.workers.cluster.find_spec", lambda name: None)
    with pytest.raises(RwtaSimError, match=r"^a training on a cluster needs distributed: pip install 'rwta-sim\[sw"):
        rwta_sim.train(TINY.changed(BATCHES), tmp_path / "run", cluster="local:2")


def test_workers_with_other_versions(tmp_path, two, monkeypatch):
    monkeypatch.setattr(
        process, "versions", lambda *libraries: dict.fromkeys(rwta_sim.lab.runs.versions(*libraries), "0")
    )
    with pytest.raises(WorkersFailed, match=r"other versions than the training \(there .*install the same"):
        rwta_sim.train(TINY.changed(BATCHES), tmp_path / "run", cluster=two)
    monkeypatch.undo()
    rwta_sim.resume(tmp_path / "run", cluster=two)
    assert end_of(tmp_path / "run") == trained(TINY.changed(BATCHES), tmp_path / "alone")


@pytest.mark.nightly
def test_opened_twice():
    """In a process that has not imported Dask before: its settings are there the second time, too."""
    code = "from rwta_sim.lab.workers import opened\nif __name__ == '__main__':\n    for _ in range(2):\n"
    code += "        with opened('local:1') as cluster:\n            assert cluster.look()\n"
    subprocess.run([sys.executable, "-c", code], check=True)


class Deserted:
    """A cluster without workers; its scheduler answers, or does not. Somebody stops waiting after so many looks."""

    address, workers = "tcp://gone:1", ()

    def __init__(self, answers, stop=None, looks=0):
        self._answers, self._stop, self._looks = answers, stop, looks
        self.left = 0

    def look(self):
        self._looks -= 1
        if self._stop is not None and self._looks < 0:
            self._stop.set()
        return self._answers

    def refill(self):
        pass

    def submit(self, function, job, key, avoid, done):
        return object()

    def request_stop(self, session):
        pass

    def cancel(self, futures):
        self.left += len(futures)


def test_a_scheduler_that_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.SILENCE", 0.05)
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.LOOK", 0.02)
    cluster = Deserted(answers=False)
    with pytest.raises(WorkersFailed, match="the scheduler at tcp://gone:1 does not answer any more"):
        rwta_sim.train(TINY.changed(BATCHES), tmp_path / "run", cluster=cluster)
    assert cluster.left == 2 and RunFolder.open(tmp_path / "run").last().meta["episode"] == 0


def test_without_workers_it_waits_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("rwta_sim.lab.workers.players.PATIENCE", 0.05)
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.LOOK", 0.02)
    stop = threading.Event()
    cluster = Deserted(answers=True, stop=stop, looks=20)  # a second look is 0.02 s after the first, or later
    with pytest.warns(RuntimeWarning, match="the cluster at tcp://gone:1 has no worker: waiting for one") as told:
        summary = rwta_sim.train(TINY.changed(BATCHES), tmp_path / "run", cluster=cluster, stop=stop)
    assert summary.episodes == 0 and len(told) == 1


def test_the_command(tmp_path, two, monkeypatch):
    asked = []

    @contextmanager
    def opened(name):
        asked.append(name)
        yield two

    monkeypatch.setattr(training, "opened", opened)
    settings = tmp_path / "settings.toml"
    settings.write_text(tomli_w.dumps(TINY.changed(BATCHES).model_dump(mode="json", exclude_none=True)))
    line = ["train", "cue", "--model", "svpg-lockstep", "--config", str(settings), "--no-figures"]
    for name, more in (("there", ["--cluster", "local:3"]), ("here", [])):
        done = CliRunner().invoke(cli, [*line, "--run", str(tmp_path / name), *more])
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(cli, ["resume", str(tmp_path / "there"), "--no-figures", "--cluster", "local"])
    assert done.exit_code == 0 and asked == ["local:3", "local"]
    assert end_of(tmp_path / "there") == end_of(tmp_path / "here")


def test_errors_that_travel_say_the_same():
    error = DivergenceError("q is not finite")
    assert str(copy.copy(error)) == str(error)


def test_notes_of_episodes_joined_are_those_of_one_log():
    """As many as one log keeps, in their order."""
    whole, joined = ActivityLog(5), ActivityLog(5)
    for episode in range(3):
        part = ActivityLog(5)
        for decision in range(2):
            for log in (whole, part):
                log.add(np.array([episode]), decision, [0.0])
        joined.join(part)
    assert joined.read().winners.tolist() == whole.read().winners.tolist() == [[0], [0], [1], [1], [2]]


def test_a_worker_that_dies_in_mid_batch(tmp_path, faulty, one):
    """Its episodes are played again; when it dies again and again, that is told, and the training goes on later."""
    alone = trained(faulty, tmp_path / "alone")
    (tmp_path / "deaths").write_bytes(b"x")
    assert trained(faulty, tmp_path / "killed", cluster=one[0]) == alone
    assert not (tmp_path / "deaths").read_bytes()

    (tmp_path / "deaths").write_bytes(b"x")
    one[1].scheduler.allowed_failures = 0
    with pytest.raises(WorkersFailed, match=r"1 workers died .*what was learned before is kept") as failure:
        rwta_sim.train(faulty, tmp_path / "given up", cluster=one[0])
    # Which one it was is not known if the worker had others: the eighth is among them, and none of the batch before.
    named = re.match(r"(?:training episode|one of training episodes) (\d+)(?: to (\d+))?: ", str(failure.value))
    first, last = int(named[1]), int(named[2] or named[1])
    assert 7 <= first <= 8 <= last <= first + 3
    assert 4 <= RunFolder.open(tmp_path / "given up").last().meta["episode"] <= 7
    rwta_sim.resume(tmp_path / "given up", trust=True)
    assert end_of(tmp_path / "given up") == alone


@pytest.mark.nightly
def test_a_run_of_a_sweep_that_kills_its_worker(tmp_path, faulty, one):
    """It has failed, and says so; the same command tries it again."""
    (tmp_path / "deaths").write_bytes(b"x")
    one[1].scheduler.allowed_failures = 0
    settings = faulty.model_dump(mode="json", exclude={"task", "model", "seed"}, exclude_none=True)
    sweep_of = {"task": "cue", "model": "svpg-lockstep", "evaluate": 0, "settings": settings}
    points, folder = points_of(Sweep.of(sweep_of)), SweepFolder(tmp_path / "swept")
    count = sweep(points, folder, one[0], evaluate=0, retries=0)
    assert (count.failed, count.finished) == (1, 0)
    assert folder.standing(points[0])[1]["error"].startswith("1 workers died while they ran it (memory? a crash?)")
    assert sweep(points, folder, one[0], evaluate=0).finished == 1
    rwta_sim.train(faulty, tmp_path / "alone")
    assert end_of(folder.run(points[0])) == end_of(tmp_path / "alone")
