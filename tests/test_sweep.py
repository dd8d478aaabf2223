"""Sweeps on workers: what is done, what is not done twice, and what goes wrong. Mostly on workers in this process."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from filelock import FileLock
from interruptions import end_of
from matplotlib.figure import Figure
from PIL import Image

import rwta_sim
from rwta_sim.analysis import plot_sweep, save_sweep, sweep_table
from rwta_sim.cli import cli
from rwta_sim.errors import RunError
from rwta_sim.lab.files import write_file
from rwta_sim.lab.sweep import Count, Sweep, SweepFolder, estimate, job, points_of, sweep
from rwta_sim.lab.sweep.driver import outcome_of
from rwta_sim.lab.sweep.job import RESULT, Job, do, result_of
from rwta_sim.lab.workers import Cluster, opened, process
from rwta_sim.lab.workers.cluster import answer_of

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

#: Those of `interruptions.TINY` in fewer episodes: nothing spikes and nothing is compiled.
SETTINGS = {
    "dynamics": "rate",
    "learning.rule.kind": "mean_field",
    "training.episodes": 6,
    "training.checkpoint_every": 2,
    "training.validate_every": 3,
    "training.validation_episodes": 2,
}


def tree(**more):
    return {"task": "cue", "model": "svpg-lockstep", "evaluate": 2, "settings": SETTINGS, **more}


def points(**more):
    return points_of(Sweep.of(tree(**more)))


@pytest.fixture(scope="module")
def cluster():
    """Two workers, threads of this process."""
    options = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as started, distributed.Client(started) as client:
        yield Cluster(client)


def swept(found, folder, cluster, **more):
    return sweep(found, SweepFolder(folder), cluster, evaluate=2, **more)


def test_runs_end_as_when_run_alone_and_once(tmp_path, cluster):
    found = points(grid={"learning.rate": [0.1, 0.2]})
    count = swept(found, tmp_path / "swept", cluster)
    assert (count.finished, count.skipped, count.failed, count.interrupted) == (2, 0, 0, 0)
    for point in found:
        folder = SweepFolder(tmp_path / "swept").run(point)
        rwta_sim.train(point.experiment(), tmp_path / "alone" / point.name)
        assert end_of(folder) == end_of(tmp_path / "alone" / point.name)
        with rwta_sim.Agent.load(folder) as agent:
            mean = sum(episode.total for episode in agent.play(2)) / 2
        assert result_of(folder)["numbers"]["mean_return"] == mean
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "swept").rglob("*") if path.name != ".lock"}
    again = swept(found, tmp_path / "swept", cluster)
    assert (again.finished, again.skipped) == (0, 2)
    assert written == {p: p.stat().st_mtime_ns for p in (tmp_path / "swept").rglob("*") if p.name != ".lock"}


def test_interrupted_runs_go_on_from_their_checkpoints(tmp_path, cluster):
    """Whatever their clocks say."""
    (point,) = points()
    folder = SweepFolder(tmp_path)
    stop = threading.Event()
    stopping = {"report": lambda progress: stop.set() if progress.episode == 4 else None, "stop": stop}
    rwta_sim.train(point.experiment(), folder.run(point), **stopping)
    for path in folder.run(point).rglob("*"):
        os.utime(path, (2**33, 2**33))  # in the year 2242
    assert folder.standing(point)[0] == "interrupted"
    before = (folder.run(point) / "metrics.csv").read_bytes()
    assert swept([point], tmp_path, cluster).finished == 1
    assert (folder.run(point) / "metrics.csv").read_bytes().startswith(before)
    rwta_sim.train(point.experiment(), tmp_path / "alone")
    assert end_of(folder.run(point)) == end_of(tmp_path / "alone")


def test_trained_but_not_evaluated(tmp_path, cluster):
    (point,) = points()
    folder = SweepFolder(tmp_path)
    rwta_sim.train(point.experiment(), folder.run(point))
    assert folder.standing(point)[0] == "interrupted"
    assert swept([point], tmp_path, cluster).finished == 1
    assert folder.standing(point)[1]["numbers"]["mean_return"] > 0


def test_failures_are_tried_elsewhere_then_reported(tmp_path, cluster, monkeypatch):
    """One point fails once, on whichever worker has it; another always; the rest is done."""
    found = points(seeds=3)
    where: dict[int, list[str]] = {0: [], 1: [], 2: []}

    def train(experiment, *args, **kwargs):
        where[experiment.seed].append(distributed.get_worker().address)
        if experiment.seed == 1 or (experiment.seed == 0 and len(where[0]) == 1):
            raise ZeroDivisionError("by\nchance")
        return rwta_sim.train(experiment, *args, **kwargs)

    monkeypatch.setattr(job, "train", train)
    news = []
    count = swept(found, tmp_path, cluster, report=lambda count: news.append(count.news))
    assert (count.finished, count.failed, count.left) == (2, 1, 0)
    assert [len(set(w)) for w in where.values()] == [2, 2, 1] and len(where[1]) == 2
    assert any(
        "seed=1 failed 2 times: ZeroDivisionError: by chance" in text.replace("seed 1", "seed=1") for text in news
    )
    standing, failure = SweepFolder(tmp_path).standing(found[1])
    assert (
        standing == "failed" and failure["error"] == "ZeroDivisionError: by chance" and "Traceback" in failure["trace"]
    )
    table = sweep_table(found, SweepFolder(tmp_path))
    assert table.standings == {"failed": 1, "finished": 2}
    monkeypatch.undo()
    # The next session tries again, and forgets.
    assert swept(found, tmp_path, cluster).finished == 1
    assert sweep_table(found, SweepFolder(tmp_path)).standings == {"finished": 3}
    assert not list((tmp_path / "failures").rglob("*.json"))


def test_a_full_disk_ends_the_sweep(tmp_path, cluster, monkeypatch):
    found = points(seeds=2)

    def train(experiment, *args, **kwargs):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RunError("cannot write it") from error

    monkeypatch.setattr(job, "train", train)
    with pytest.raises(RunError, match=r"cannot write it \(the sweep ends here; the same command goes on\)"):
        swept(found, tmp_path, cluster)
    monkeypatch.undo()
    assert swept(found, tmp_path, cluster).finished == 2


def test_a_worker_with_other_versions_ends_the_sweep(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(
        process,
        "versions",
        lambda *libraries: (
            {"python": "2.7", "numpy": "1.0"} | dict.fromkeys(("rwta-sim", "brian2", "gymnasium", "cython"), "0")
        ),
    )
    with pytest.raises(RunError, match=r"other versions than the sweep \(there python 3.*here 2\.7.*install the same"):
        swept(points(), tmp_path, cluster)
    assert not (tmp_path / "runs").exists()


def test_runs_that_another_process_trains(tmp_path, cluster, monkeypatch):
    """Waited for; given up after a while, with what to do."""
    monkeypatch.setattr("rwta_sim.lab.sweep.driver._BUSY", 0.1)
    (point,) = points()
    folder = SweepFolder(tmp_path)
    run = rwta_sim.RunFolder.create(folder.run(point), point.experiment())
    with run.lock():
        count = swept([point], tmp_path, cluster, patience=0.5)
    assert count.failed == 1
    assert "being trained by another process" in folder.standing(point)[1]["error"]
    assert "delete .lock" in folder.standing(point)[1]["error"]
    lock = FileLock(run.path / ".lock", thread_local=False)
    lock.acquire()
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    assert swept([point], tmp_path, cluster).finished == 1
    timer.join()


def test_locks_that_dead_processes_left(tmp_path, cluster):
    """Are files that nobody holds, of whatever age: they keep nobody out."""
    (point,) = points()
    folder = SweepFolder(tmp_path)
    stop = threading.Event()
    rwta_sim.train(point.experiment(), folder.run(point), report=lambda progress: stop.set(), stop=stop)
    for lock, moment in ((folder.run(point) / ".lock", 2**33), (tmp_path / ".lock", 1)):
        lock.write_text("12345 elsewhere")
        os.utime(lock, (moment, moment))
    assert swept([point], tmp_path, cluster).finished == 1


def test_two_sweeps_on_one_folder(tmp_path, cluster):
    with SweepFolder(tmp_path).lock(), pytest.raises(RunError, match="is being filled by another sweep: wait for it"):
        swept(points(), tmp_path, cluster)


def test_a_run_of_other_settings_is_left_alone(tmp_path, cluster):
    (point,) = points()
    folder = SweepFolder(tmp_path)
    rwta_sim.train(point.experiment().changed({"training.episodes": 3}), folder.run(point))
    before = (folder.run(point) / "config.toml").read_bytes()
    assert swept([point], tmp_path, cluster).failed == 1
    assert "training.episodes is 3 there and 6 here" in folder.standing(point)[1]["error"]
    assert (folder.run(point) / "config.toml").read_bytes() == before


def test_damaged_results_are_told(tmp_path, cluster):
    (point,) = points()
    folder = SweepFolder(tmp_path)
    swept([point], tmp_path, cluster)
    for text in ("{", "[]", '{"numbers": 3}'):
        (folder.run(point) / RESULT).write_text(text)
        assert sweep_table([point], folder).standings == {"damaged": 1}
    count = swept([point], tmp_path, cluster)
    assert count.failed == 1 and "delete it, and the sweep evaluates" in folder.standing(point)[1]["error"]
    (folder.run(point) / RESULT).unlink()
    assert swept([point], tmp_path, cluster).finished == 1


def test_a_session_is_stopped_alone(tmp_path):
    """Whose job it is not goes on; a stopped one is not begun."""
    (point,) = points()
    experiment = point.experiment()
    mine = Job(point.name, str(tmp_path / "run"), experiment.model_dump(mode="json"), 0, {}, "mine")
    process.request_stop("other")
    process.request_stop("mine")
    assert do(mine).state == "interrupted" and not (tmp_path / "run").exists()
    assert do(Job(point.name, mine.folder, mine.settings, 0, {}, "third")).state == "finished"
    assert result_of(tmp_path / "run")["numbers"]["episodes"] == 6


class Silent:
    """A cluster whose scheduler was there a moment ago."""

    address, workers = "tcp://gone:1", ("tcp://gone:2",)

    def __init__(self):
        self.asked = []

    def look(self):
        return False

    def refill(self):
        pass

    def submit(self, function, job, key, avoid, done):
        return object()

    def request_stop(self, session):
        self.asked.append(session)

    def cancel(self, futures):
        self.asked.append(len(futures))


def test_a_scheduler_that_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.SILENCE", 0.1)
    monkeypatch.setattr("rwta_sim.lab.workers.tasks.LOOK", 0.05)
    cluster = Silent()
    with pytest.raises(RunError, match=r"scheduler at tcp://gone:1 does not answer any more.*start the same command"):
        swept(points(seeds=9), tmp_path, cluster)
    assert cluster.asked[1:] == [4]  # two for each worker and two more were handed out
    with SweepFolder(tmp_path).lock():
        pass


def test_what_dask_says_of_a_job():
    """A run whose workers die again and again has failed; of a lost one nobody knows; what cannot be done anywhere
    ends the sweep."""
    worker = SimpleNamespace(address="tcp://a:1")
    said = {
        "killed": distributed.KilledWorker("run", worker, 3),
        "other": ModuleNotFoundError("No module named 'rwta'"),
    }
    futures = {
        name: SimpleNamespace(status="error", exception=lambda error=error: error) for name, error in said.items()
    }
    answer = answer_of(futures["killed"])
    outcome = outcome_of(answer)
    assert (outcome.state, answer.worker) == ("failed", worker.address) and outcome.error.startswith("4 workers died")
    outcome = outcome_of(answer_of(futures["other"]))
    assert outcome.state == "fatal" and "No module named 'rwta'" in outcome.error
    for future in (SimpleNamespace(status="cancelled"), SimpleNamespace(status="finished", result=lambda: 1 / 0)):
        assert answer_of(future) == ("lost", None, "", "", None) and outcome_of(answer_of(future)) is None


def test_ctrl_c_ends_runs_after_their_episodes(tmp_path, cluster, monkeypatch):
    """With checkpoints, in the middle of what would be a long time; then the same goes on. A second one at once."""
    slow = {**SETTINGS, "training.episodes": 4000, "training.checkpoint_every": 4000, "training.target": None}
    found, before = points(settings=slow, seeds=5), signal.getsignal(signal.SIGINT)

    def interrupt(count: Count) -> None:
        runs = [SweepFolder(tmp_path).run(point) / "metrics.csv" for point in found]
        if any(run.exists() and len(run.read_bytes().splitlines()) > 2 for run in runs):
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.setattr("rwta_sim.lab.sweep.driver.Driver._tell", lambda driver: None)

    count = swept(found, tmp_path, cluster, report=interrupt)
    assert (count.finished, count.failed, count.interrupted) == (0, 0, 5)
    monkeypatch.undo()
    standings = [SweepFolder(tmp_path).standing(point)[0] for point in found]
    assert sorted(standings) == ["interrupted"] + ["new"] * 4  # in one process only one works
    for point, standing in zip(found, standings, strict=True):
        if standing == "interrupted":
            run = rwta_sim.RunFolder.open(SweepFolder(tmp_path).run(point))
            assert run.last().meta["episode"] == len(run.metrics()["episode"]) >= 2

    def insist(count: Count) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        swept(found, tmp_path, cluster, report=insist)
    assert signal.getsignal(signal.SIGINT) is before


# -- tables ----------------------------------------------------------------------------------------------


def made(found, folder, number):
    """Results that nobody trained for."""
    for point in found:
        run = SweepFolder(folder).run(point)
        run.mkdir(parents=True)
        numbers = {"mean_return": number(point), "episodes": 6, "engine": "none", "accuracy": None}
        (run / RESULT).write_text(json.dumps({"numbers": numbers}))


def test_tables_have_intervals_over_seeds(tmp_path):
    rates = [0.1, 0.2, 0.4]
    found = points(grid={"learning.rate": rates, "network.kernel.tau": ["5 ms", "10 ms"]}, seeds=4)
    made([p for p in found if p.seed < 3], tmp_path, lambda p: 10 * p.varied["learning.rate"] + p.seed)
    folder = SweepFolder(tmp_path)
    table = sweep_table(found, folder)
    files = save_sweep(table, folder)
    assert [file.name for file in files] == ["runs.csv", "scores.csv", "comparison.png"]
    with open(files[0]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and {row["standing"] for row in rows} == {"finished", "new"}
    assert all((tmp_path / row["run"] / RESULT).exists() == (row["standing"] == "finished") for row in rows)
    with open(files[1]) as file:
        scores = [row for row in csv.DictReader(file) if row["metric"] == "mean_return"]
    assert [float(row["learning.rate"]) for row in scores] == [rate for rate in rates for _ in range(2)]
    for row in scores:
        assert float(row["mean"]) == pytest.approx(10 * float(row["learning.rate"]) + 1) and row["seeds"] == "3"
        assert float(row["sd"]) == pytest.approx(1.0) and float(row["lowest"]) == pytest.approx(float(row["mean"]) - 1)
        # Of three values the mean of a resample is below all but 1/27 with none but the lowest.
        assert float(row["low"]) == pytest.approx(float(row["mean"]) - 1)
        assert float(row["high"]) == pytest.approx(float(row["mean"]) + 1)
    assert Image.open(files[2]).size[0] > 1000


def test_intervals_are_those_of_each_alone(tmp_path):
    """More points than are bootstrapped at once, of different numbers of seeds."""
    found = points(seeds=5, grid={"learning.rate": [i / 1000 for i in range(1, 161)]})
    made([p for p in found if p.seed < 2 + (p.varied["learning.rate"] < 0.05)], tmp_path, lambda p: hash(p.name) % 97)
    scores = [s for s in sweep_table(found, SweepFolder(tmp_path)).scores() if s.metric == "mean_return"]
    assert [s.seeds for s in scores] == [3] * 49 + [2] * 111
    for score in scores[::50]:
        ours = [p for p in found if p.group == score.point.group][: score.seeds]
        values = np.array([hash(p.name) % 97 for p in ours], float)
        low, high = rwta_sim.analysis.bootstrap_interval(values)
        assert (score.low, score.high) == pytest.approx((low, high))


@pytest.mark.parametrize("count", [2, 6])
def test_points_that_are_no_numbers_are_listed(tmp_path, monkeypatch, count):
    """The best of them."""
    monkeypatch.setattr("rwta_sim.analysis.sweeps._MOST", 4)
    found = points(point=[{"name": f"$way {i}", "learning.rate": "slow"} for i in range(count)])
    made(found, tmp_path, lambda p: int(p.label[-1]))
    table = sweep_table(found, SweepFolder(tmp_path))
    ax = Figure().subplots()
    plot_sweep(ax, [score for score in table.scores() if score.metric == "mean_return"], table.keys)
    drawn = [text.get_text() for text in ax.get_yticklabels()]
    ways = [0, 1] if count == 2 else [5, 4, 3, 2]
    assert drawn == [rf"\$way {i},learning.rate=slow" for i in ways]


def test_a_metric_that_no_run_tells(tmp_path):
    made(points(), tmp_path, lambda p: 1.0)
    with pytest.raises(rwta_sim.errors.ConfigError, match=r"metric = 'mean_retrun'.*did you mean 'mean_return'"):
        save_sweep(sweep_table(points(), SweepFolder(tmp_path)), SweepFolder(tmp_path), "mean_retrun")


def test_estimates(tmp_path):
    """Of a trial, which trains to its end here, and of runs that are finished: within a factor of what they measure."""
    found = points(seeds=3, budget=None)
    folder = SweepFolder(tmp_path)
    tried = estimate(found, folder, evaluate=2)
    made(found[:1], tmp_path, lambda p: 1.0)
    shutil.rmtree(folder.run(found[0]))
    rwta_sim.train(found[0].experiment(), folder.run(found[0]))
    real = [path for path in folder.run(found[0]).rglob("*") if path.is_file()]
    assert tried.files == 3 * len(real)
    assert tried.bytes == pytest.approx(3 * sum(path.stat().st_blocks * 512 for path in real), rel=0.1)
    numbers = {"seconds": 50.0}
    write_file(folder.run(found[0]) / RESULT, json.dumps({"numbers": numbers}).encode())
    rest = estimate(found, folder)
    assert rest.seconds == 100.0 and rest.files == 2 * (len(real) + 1)
    # Stopped early, and extrapolated: as many checkpoints as there will be.
    long = points(settings={**SETTINGS, "training.episodes": 6000})
    short = estimate(long, SweepFolder(tmp_path / "none"), evaluate=0, trial=0.0)
    assert short.files >= len(real) - 1 and short.seconds > 10 * tried.seconds / 3


# -- processes -------------------------------------------------------------------------------------------


def written(folder: Path, **more) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.toml").write_text(tomli_w.dumps(tree(**more)))
    return folder / "sweep.toml"


def test_dry_run_and_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, seeds=2)
    done = CliRunner().invoke(cli, ["sweep", str(file), "--dry-run", "--cluster", "local:2", "--json"])
    told = json.loads(done.stdout)
    assert told["points"] == {"new": 2} and told["workers"] == 2 and told["seconds"] > 0 and told["bytes"] > 10_000
    text = CliRunner().invoke(cli, ["sweep", str(file), "--dry-run"]).stdout
    assert "2 points, all of them can be built: 2 new" in text and "what is left takes about" in text
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]
    done = CliRunner().invoke(cli, ["sweep", str(file), "--table"])
    assert "2 new" in done.stdout and (tmp_path / "runs" / "sweep" / "runs.csv").exists()


def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("rwta_sim.lab.workers.cluster.ANSWER", 0.5)
    with pytest.raises(RunError, match=r"the scheduler at tcp://127.0.0.1:9 does not answer.*start one with"):
        with opened("tcp://127.0.0.1:9"):
            pass


def workers_of(command: Any) -> list[Any]:
    """Worker processes of a sweep on this machine."""
    found = []
    for child in command.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def wait_for(true: Callable[[], object], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_workers_and_a_killed_command(tmp_path, cluster):
    """One worker, then the command with its scheduler, by SIGKILL; benchmarks/sweep_kills.py does it 20 times."""
    settings = {**SETTINGS, "training.episodes": 15}
    file = written(tmp_path, settings=settings, seeds=3)
    found = points(settings=settings, seeds=3)
    folder = SweepFolder(tmp_path / "out")
    line = [sys.executable, "-m", "rwta_sim", "sweep", str(file), "--out", str(folder.path), "--cluster", "local:2"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, start_new_session=True) as command:
        process = psutil.Process(command.pid)
        wait_for(lambda: any((folder.run(point) / "config.toml").exists() for point in found))
        workers_of(process)[0].kill()
        wait_for(lambda: len(list(folder.path.rglob(RESULT))) >= 1)
        workers = workers_of(process)
        command.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    count = swept(found, folder.path, cluster)
    assert count.finished + count.skipped == 3 and count.skipped >= 1
    for point in found:
        rwta_sim.train(point.experiment(), tmp_path / "alone" / point.name)
        assert end_of(folder.run(point)) == end_of(tmp_path / "alone" / point.name)


SBATCH = """#!/bin/sh
grep -q "^#SBATCH --cpus-per-task=1" "$1" || exit 1
cp "$1" "$HERE/job.sh"
setsid sh "$HERE/job.sh" > "$HERE/job.log" 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_slurm_without_a_cluster(tmp_path, monkeypatch):
    """Jobs are run by a stand-in for sbatch, and one that ends is asked for again."""
    pytest.importorskip("dask_jobqueue")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {"sbatch": SBATCH, "scancel": '#!/bin/sh\nkill -- "-$1"\n'}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("HERE", str(tmp_path))
    file = tmp_path / "slurm.toml"
    file.write_text('jobs = 1\nwalltime = "00:10:00"\nqueue = "short"\ninterface = "lo"\n')
    (point,) = points()
    with opened(f"slurm:{file}") as cluster:
        assert swept([point], tmp_path / "out", cluster).finished == 1
    script = (tmp_path / "job.sh").read_text()
    assert "#SBATCH -p short" in script and "#SBATCH -t 00:10:00" in script and "--nthreads 1" in script
    rwta_sim.train(point.experiment(), tmp_path / "alone")
    assert end_of(SweepFolder(tmp_path / "out").run(point)) == end_of(tmp_path / "alone")


def test_slurm_files_that_are_none(tmp_path):
    file = tmp_path / "slurm.toml"
    for text, words in (("", "jobs: field required"), ("jobs = 1\nqueu = 'x'", "did you mean 'queue'")):
        file.write_text(text)
        with pytest.raises(rwta_sim.errors.ConfigError, match=words):
            with opened(f"slurm:{file}"):
                pass
