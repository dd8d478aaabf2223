"""Run folders: atomic files, and every way a checkpoint can be unusable."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import rwta_sim
from rwta_sim.agent import Agent
from rwta_sim.config import ConfigError
from rwta_sim.errors import CheckpointError, RunError
from rwta_sim.runs import RunFolder, free_folder
from rwta_sim.training import Trainer

ARRAYS = {"weight.s": np.arange(6.0).reshape(2, 3), "bias": np.array([np.pi])}


@pytest.fixture
def run(tmp_path, cue):
    return RunFolder.create(tmp_path / "run", cue)


def trainer(experiment, run):
    agent = Agent(experiment)
    return Trainer(agent, agent.learner(), run)


def save(run, episode=1, best=False, arrays=ARRAYS):
    return run.save_checkpoint(arrays, {"episode": episode}, best)


def test_checkpoints_come_back_exactly(run):
    save(run)
    name, arrays, meta = run.last()
    assert (name, meta["episode"]) == ("checkpoint-000000", 1)
    assert {key: a.tobytes() for key, a in arrays.items()} == {key: a.tobytes() for key, a in ARRAYS.items()}
    assert RunFolder.open(run.path).experiment == run.experiment


def test_first_best_and_last_two_are_kept(run):
    for episode in range(8):
        save(run, episode, best=episode == 3)
    kept = sorted(p.name for p in (run.path / "checkpoints").glob("*.npz"))
    assert kept == [f"checkpoint-{n:06d}.npz" for n in (0, 3, 6, 7)]
    assert [c.meta["episode"] for c in (run.first(), run.best(), run.last())] == [0, 3, 7]


@pytest.mark.parametrize("what", ["npz", "json"])
@pytest.mark.parametrize("how", ["truncate", "alter", "delete", "empty"])
def test_damaged_checkpoints(run, what, how):
    save(run)
    save(run, 2)
    path = run.path / "checkpoints" / f"checkpoint-000001.{what}"
    data = bytearray(path.read_bytes())
    if how == "delete" and what == "json":
        path.unlink()
        assert run.last().meta["episode"] == 1  # without its JSON file it never was a checkpoint
        return
    if how == "delete":
        path.unlink()
    elif how == "alter" and what == "json":
        path.write_text(path.read_text().replace('"episode": 2', '"episode": 3'))
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"truncate": data[:-10], "alter": data, "empty": b""}[how])
    with pytest.raises(CheckpointError, match=r"cannot be read|truncated or was altered|damaged"):
        run.last()
    for suffix in ("json", "npz"):  # the advice of the message
        (run.path / "checkpoints" / f"checkpoint-000001.{suffix}").unlink(missing_ok=True)
    assert run.last().meta["episode"] == 1


def test_other_format(run):
    save(run)
    path = run.path / "checkpoints" / "checkpoint-000000.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match="has format 99, this version of rwta_sim reads format 1"):
        run.last()


def test_checkpoint_of_another_network(run, cue):
    trainer(cue.changed({"network.hidden_size": 3}), run).save()
    with pytest.raises(CheckpointError, match=r"another network: network.hidden_size is 3 there and 4 here"):
        trainer(cue, run).load()
    with pytest.raises(CheckpointError, match="another network"):
        Agent.load(run)


def test_checkpoint_of_another_configuration(run, cue):
    trainer(cue.changed({"critic.kind": "fourier", "critic.order": 1}), run).save()
    with pytest.raises(CheckpointError, match=r"was changed since .*: critic"):
        trainer(cue, run).load()


def test_no_checkpoint_yet(run):
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        run.last()


def test_folders_in_the_way(tmp_path, cue, run):
    with pytest.raises(RunError, match=r"exists already.*rwta-sim resume"):
        RunFolder.create(run.path, cue)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="exists already"):
        RunFolder.create(tmp_path / "file", cue)
    with pytest.raises(RunError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "below", cue)
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", cue)


def test_folders_that_are_no_runs(tmp_path, run):
    with pytest.raises(RunError, match="is not a run"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run"):
        RunFolder.open(tmp_path)
    (run.path / "config.toml").write_text("task = 3")
    with pytest.raises(RunError, match="damaged configuration"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_disk_full_leaves_the_checkpoint_before(run, monkeypatch, moment):
    save(run, 1)
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*args, **kwargs):
        raise full

    if moment == "write":
        real_open = open

        def open_full(path, mode="r", *args, **kwargs):
            file = real_open(path, mode, *args, **kwargs)
            if "b" in mode and "w" in mode:
                file.close()
                raise full
            return file

        monkeypatch.setattr("builtins.open", open_full)
    else:
        monkeypatch.setattr(os, moment, fail)
    with pytest.raises(RunError, match=r"No space left on device.*saved before is still valid"):
        save(run, 2)
    monkeypatch.undo()
    assert run.last().meta["episode"] == 1
    assert not list((run.path / "checkpoints").glob("*.tmp"))
    save(run, 2)
    assert run.last().meta["episode"] == 2


def test_best_checkpoint_that_is_gone(run):
    for episode in range(4):
        save(run, episode, best=episode == 3)
    for suffix in ("json", "npz"):
        (run.path / "checkpoints" / f"checkpoint-000003.{suffix}").unlink()
    with pytest.warns(RuntimeWarning, match="is gone; using the newest"):
        assert run.best().meta["episode"] == 2
    assert save(run, 4) == "checkpoint-000004"  # never a name that best.json knows for another
    (run.path / "checkpoints" / "best.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"best.json is damaged"):
        run.best()


def test_one_process_at_a_time(run):
    with run.lock():
        code = "import sys, rwta_sim; rwta_sim.resume(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
    assert "is being trained by another process" in done.stderr
    with run.lock():
        pass


def test_config_edited_in_mid_run(run, cue):
    trainer(cue, run).save()
    config = run.path / "config.toml"
    config.write_text(config.read_text().replace("seed = 0", "seed = 9"))
    again = RunFolder.open(run.path)
    with pytest.raises(CheckpointError, match=r"was changed since .*: seed is 0 there and 9 here"):
        trainer(again.experiment, again).load()
    longer = cue.changed({"training.episodes": 99})
    trainer(longer, RunFolder(run.path, longer)).load()


@pytest.mark.parametrize("text", [None, "foo,bar\n1,2\n", "episode,return\nx,y\n"])
def test_damaged_metrics(run, text):
    run.metrics_path.unlink() if text is None else run.metrics_path.write_text(text)
    with pytest.raises(RunError, match=r"metrics.csv cannot be read"):
        run.metrics()


def test_damaged_versions(run):
    config = run.path / "config.toml"
    config.write_text("versions = 3\n" + config.read_text().partition("[versions]")[0])
    with pytest.raises(RunError, match="versions = 3, expected a table"):
        run.saved_versions()


def test_what_toml_cannot_hold_makes_no_folder(tmp_path, cue):
    with pytest.raises(ConfigError, match=r"environment.kwargs"):
        RunFolder.create(tmp_path / "new", cue.changed({"environment.kwargs": {"a": [None]}}))
    assert not (tmp_path / "new").exists()


def test_nothing_is_pickled(run):
    np.savez(run.path / "recordings" / "episode.npz", a=np.array([object()], dtype=object))
    with pytest.raises(RunError, match=r"episode.npz cannot be read \(array 'a': .*allow_pickle"):
        run.recording()["a"]
    with pytest.raises(RunError, match="no recording"):
        run.recording("other")


def test_metrics_rewind(run):
    row = {"episode": 1, "return": 0.1, "decisions": 3, "entropy": 1 / 3, "rate_hz": 2.0, "learning_rate": 1e-3}
    run.append_metrics({**row, "validation_return": None})
    size = run.sync_metrics()
    run.append_metrics({**row, "episode": 2, "validation_return": 7.0})
    metrics = run.metrics()
    assert metrics["entropy"][0] == 1 / 3 and np.isnan(metrics["validation_return"][0])
    run.rewind_metrics(size)
    assert list(run.metrics()["episode"]) == [1]
    with pytest.raises(RunError, match="is shorter than at the last checkpoint"):
        run.rewind_metrics(size + 1)


def test_free_folder(tmp_path):
    assert free_folder(tmp_path, "a").name == "a"
    for name in ("a", "a-2"):
        (tmp_path / name).mkdir()
    assert free_folder(tmp_path, "a").name == "a-3"


def test_version_is_recorded(run):
    assert run.saved_versions()["rwta-sim"] == rwta_sim.__version__
