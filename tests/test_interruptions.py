"""Trainings that are killed, run out of disk, are damaged or used twice at once; long versions: `make nightly`."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path

import pytest
from interruptions import SPIKING, TINY, attempt, begin_or_resume, end_of, full, kill

import rwta_sim
from rwta_sim.errors import RunError
from rwta_sim.lab.files import is_leftover
from rwta_sim.lab.runs import RunFolder

sys.path.append(str(Path(__file__).parent.parent / "scripts"))
from fuzz_runs import fuzz
from run_together import COMMANDS, SLOW, prepared, together

SHORT = TINY.changed({"training.episodes": 5})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nobody interrupts, and the number of its file operations."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = attempt(lambda: rwta_sim.train(SHORT, folder), folder, lambda count: None)
    return end_of(folder), int(done.removeprefix("done and "))


@pytest.mark.parametrize("how", ["killed", "full for ever", "full once"])
def test_interrupted_at_file_operations(tmp_path, whole, how):
    """At every eighth one; the one beside it in the next test's run."""
    expected, count = whole
    for at in range(1, count + 1, 8):
        folder = tmp_path / str(at)
        act = {"killed": kill(at), "full for ever": full(at), "full once": full(at, at)}[how]
        said = attempt(lambda folder=folder: rwta_sim.train(SHORT, folder), folder, act)
        if how != "killed":  # pruning may fail without harm
            assert said == f"done and {count}" or ("No space left on device" in said and str(folder) in said), said
            assert "\n" not in said
        begin_or_resume(SHORT, folder)
        assert end_of(folder) == expected, (at, said)


def test_resumption_interrupted_again_and_again(tmp_path, whole):
    """A kill at a later operation of each, until one gets to its end."""
    expected, _ = whole
    folder = tmp_path / "run"
    for at in range(5, 100, 5):
        if attempt(lambda: begin_or_resume(SHORT, folder), folder, kill(at)) != "killed":
            break
    assert at > 20 and end_of(folder) == expected


def test_spiking_training_killed(tmp_path):
    experiment = SPIKING.changed({"training.episodes": 4})
    rwta_sim.train(experiment, tmp_path / "whole")
    folder = tmp_path / "run"
    assert attempt(lambda: rwta_sim.train(experiment, folder), folder, kill(45)) == "killed"
    rwta_sim.resume(folder)
    assert end_of(folder) == end_of(tmp_path / "whole")


def test_stopped_from_another_thread(tmp_path):
    """With a checkpoint after the episode in hand, which no checkpoint was due after."""
    rwta_sim.train(TINY, tmp_path / "whole")
    folder, stop = tmp_path / "run", threading.Event()
    experiment = TINY.changed({"training.checkpoint_every": 100})

    def report(progress: rwta_sim.lab.training.Progress) -> None:
        if progress.episode == 5:
            setter = threading.Thread(target=stop.set)
            setter.start()
            setter.join()

    summary = rwta_sim.train(experiment, folder, report=report, stop=stop)
    assert (summary.finished, summary.episodes) == (False, 5)
    assert RunFolder.open(folder).last().meta["episode"] == 5
    assert rwta_sim.resume(folder, stop=stop).episodes == 5  # it is still set
    assert rwta_sim.resume(folder).finished
    assert (folder / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_killed_between_a_best_checkpoint_and_best_json(tmp_path):
    """The checkpoint itself says that it is the best."""
    rwta_sim.train(TINY, tmp_path / "whole")
    expected = end_of(tmp_path / "whole")
    killed = tmp_path / "run"

    def train() -> None:
        replace, made = os.replace, []

        def replacing(source, target):
            made.extend([target] if Path(target).name == "best.json" else [])
            if len(made) == 2:
                os.kill(os.getpid(), 9)
            replace(source, target)

        os.replace = replacing
        rwta_sim.train(TINY, killed)

    assert attempt(train, killed, lambda count: None) == "killed"
    rwta_sim.resume(killed)
    assert end_of(killed) == expected
    assert (killed / "checkpoints" / "best.json").read_bytes() == (
        tmp_path / "whole" / "checkpoints" / "best.json"
    ).read_bytes()


def test_killed_before_config_toml(tmp_path):
    """`train` begins there, and `resume` says so."""
    for at in range(2, 20):
        folder = tmp_path / str(at)
        assert attempt(lambda folder=folder: rwta_sim.train(SHORT, folder), folder, kill(at)) == "killed"
        if (folder / "config.toml").exists():
            break
        with pytest.raises(RunError, match=r"is not a run: .*`rwta-sim train` can begin there"):
            rwta_sim.resume(folder)
        RunFolder.create(folder, SHORT)
        assert not [path for path in folder.rglob("*") if is_leftover(path)]
    assert at > 6


@pytest.mark.parametrize("pair", [("resume", other) for other in COMMANDS] + [("figures", "watch")], ids="-".join)
def test_two_processes_on_one_run(tmp_path_factory, pair):
    """Whatever two do at once, each answers in one line, and the run comes to its end as if it had been alone."""
    together(prepared(tmp_path_factory.mktemp("run") / "run"), pair)


def test_damaged_in_many_ways():
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts, wrong = fuzz(range(5), said.append)
    assert wrong == 0, "\n".join(said)
    assert counts["evaluate: refused"] and counts["evaluate: same"]


def test_reading_beside_a_training(tmp_path):
    """Checkpoints that are pruned between listing and reading are no damage."""
    folder = tmp_path / "run"
    experiment = SLOW.changed({"training.episodes": 60, "training.checkpoint_every": 1})
    child = os.fork()
    if child == 0:
        try:
            rwta_sim.train(experiment, folder)
        finally:
            os._exit(0)
    reads = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if (folder / "checkpoints" / "best.json").exists():
            run = RunFolder.open(folder)
            for read in (run.first, run.best, run.last, run.metrics):
                read()
                reads += 1
    assert reads > 20
