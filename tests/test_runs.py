"""Run folders: atomic files, and every way a checkpoint can be unusable."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

import rwta_sim
from rwta_sim.errors import CheckpointError, ConfigError, RunError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.metrics import MetricsFile
from rwta_sim.lab.npz import Arrays, packed
from rwta_sim.lab.runs import RunFolder, free_folder
from rwta_sim.lab.training import Trainer
from rwta_sim.loop.players import OnePlayer

ROW = {"episode": 1, "return": 0.1, "decisions": 3, "entropy": 0.5, "rate_hz": 2.0, "learning_rate": 1e-3}
ROW |= {"validation_return": None}
ARRAYS = {"weight.s": np.arange(6.0).reshape(2, 3), "bias": np.array([np.pi])}


@pytest.fixture
def run(tmp_path, cue):
    return RunFolder.create(tmp_path / "run", cue)


def trainer(experiment, run):
    agent = Agent(experiment)
    return Trainer(agent, OnePlayer(agent.player, experiment.seed), run)


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


def test_metrics_of_a_million_rows(tmp_path):
    """Memory in proportion to the arrays, 56 bytes a row (and as much again while they grow); here of a tenth."""
    rows = 100_000
    metrics = MetricsFile(tmp_path / "metrics.csv", ("entropy", "rate_hz", "learning_rate"))
    metrics.restart()
    with open(metrics.path, "a") as file:
        file.write("1,2.0,3,4.0,5.0,6.0,\n" * rows)
    tracemalloc.start()
    read = metrics.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(column) for column in read.values()] == [rows] * 7
    assert peak < 2.5 * 56 * rows


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("1,2,3", "row 3: 3 values, expected 12"),
        ("1,2,3,x,5,6,7,8,9,10,11,12", "row 3: .*'x'"),
        ("1,2,3,4,5,6,7,8,9,10,11,12,13", "row 3: 13 values"),
        ("1,2,3,4,5,6,7,8,9,10,11,\xe9", "row 3: could not convert"),
        ("9" * 2_000_000, "row 3: no end of the row"),
    ],
)
def test_damaged_rows_are_named(run, row, what):
    run.append_metrics(ROW)
    run.metrics_path.write_bytes(run.metrics_path.read_bytes() + row.encode() + b"\n")
    with pytest.raises(RunError, match=rf"metrics.csv cannot be read as metrics \({what}"):
        run.metrics()


def test_a_row_in_the_making_is_left_out(run):
    run.append_metrics(ROW)
    run.metrics_path.write_bytes(run.metrics_path.read_bytes() + b"2,0.5")
    assert list(run.metrics()["episode"]) == [1]


def test_digits_flipped_in_metrics(run, cue):
    """A resumption refuses, a reader warns; rows after the last checkpoint are played again in any case."""
    first = trainer(cue, run)
    run.append_metrics(ROW)
    first.save()
    text = run.metrics_path.read_text()
    run.append_metrics({**ROW, "episode": 2})
    run.metrics_path.write_text(text.replace("0.1", "0.7") + "2,9,,,,,,,,,,\n")
    again = RunFolder.open(run.path)
    before = run.metrics_path.read_bytes()
    with pytest.raises(RunError, match=r"metrics.csv was altered since the last checkpoint.*Put it back"):
        trainer(cue, again).load()
    assert run.metrics_path.read_bytes() == before
    with pytest.warns(RuntimeWarning, match=r"metrics.csv was altered"):
        assert again.metrics()["return"][0] == 0.7
    run.metrics_path.write_text(text + "2,9,,,,,,,,,,\n")
    trainer(cue, again).load()
    assert run.metrics_path.read_text() == text


def test_another_setting_is_refused_by_every_reader(run, cue):
    """In the same words, before anything is built: resume, evaluate, figures."""
    trainer(cue, run).save()
    config = run.path / "config.toml"
    config.write_text(config.read_text().replace('id = "rwta_sim/CueAction-v0"', 'id = "CartPole-v1"'))
    for use in (
        rwta_sim.resume,
        lambda path: Agent.load(RunFolder.open(path)),
        lambda path: RunFolder.open(path).first(),
    ):
        with pytest.raises(CheckpointError, match=r"was changed since .*: environment.id is .*Put it back"):
            use(run.path)
    longer = run.experiment.changed({"training.episodes": 99, "engine.target": "cython"})
    assert RunFolder(run.path, longer).best().meta["episode"] == 0


def test_best_without_best_json(run):
    """Checkpoints know the best themselves; those of earlier versions need best.json."""
    for episode in range(4):
        save(run, episode, best=episode == 1)
    (run.path / "checkpoints" / "best.json").unlink()
    assert run.best().meta["episode"] == 1
    run.tidy()
    assert json.loads((run.path / "checkpoints" / "best.json").read_text()) == {"checkpoint": "checkpoint-000001"}
    for path in (run.path / "checkpoints").glob("checkpoint-*.json"):
        meta = json.loads(path.read_text())
        del meta["best"], meta["sha256"]
        digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()
        path.write_text(json.dumps({**meta, "sha256": digest}))
    assert RunFolder.open(run.path).best().meta["episode"] == 1
    save(run, 4)
    assert run.last().meta["best"] == "checkpoint-000001" and run.best().meta["episode"] == 1


def test_going_back_goes_back_to_the_best_before(run):
    """Whoever deletes the newest checkpoint finds what was the best for the one before."""
    for episode in range(8):
        save(run, episode, best=episode in (2, 7))
    for suffix in ("json", "npz"):
        (run.path / "checkpoints" / f"checkpoint-000007.{suffix}").unlink()
    (run.path / "checkpoints" / "best.json").unlink()
    assert run.last().meta["episode"] == 6 and run.best().meta["episode"] == 2


def test_more_than_a_million_checkpoints(run):
    save(run, 1)
    for path in (run.path / "checkpoints").glob("checkpoint-*"):
        path.rename(path.with_name(path.name.replace("000000", "999999")))
    assert save(run, 2, best=True) == "checkpoint-1000000"
    save(run, 3)
    assert [c.meta["episode"] for c in (run.first(), run.best(), run.last())] == [1, 2, 3]


def test_what_killed_processes_leave(run):
    """Temporary files and halves of checkpoints go when the next process holds the lock, under names old and new."""
    save(run)
    left = [
        *(run.path / name for name in (".summary.json.123.tmp", ".config.1f3a9c00.tmp.toml")),
        *(run.path / "checkpoints" / name for name in (".best.json.99.tmp", "checkpoint-000007.npz")),
        run.path / "figures" / ".weights.12345678.tmp.png",
    ]
    mine = run.path / "figures" / ".rates.12345678.tmp.png"  # of a process that may still write to it
    for path in (*left, mine, run.path / "notes.tmp"):
        path.write_text("x")
    os.utime(left[-1], (0, 0))
    run.tidy()
    assert not any(path.exists() for path in left) and mine.exists() and (run.path / "notes.tmp").exists()


def test_summary_of_a_killed_training(cue, tmp_path):
    """`resume` of a finished run writes the summary that a kill prevented, and leaves one that is there."""
    rwta_sim.train(cue.changed({"training.episodes": 2, "training.target": None}), tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    written = path.read_text()
    rwta_sim.resume(tmp_path / "run")
    assert path.read_text() == written
    for text in ("", "[1]", '{"episodes": 1}', "[" * 100_000):
        path.write_text(text)
        rwta_sim.resume(tmp_path / "run")
        assert json.loads(path.read_text())["finished"] is True


@pytest.mark.parametrize("how", ["bomb", "claim", "object", "short", "text"])
def test_crafted_arrays(run, how):
    """Nobody unpacks what nobody asks for; what is asked for has the size that it says."""
    with zipfile.ZipFile(run.path / "recordings" / "episode.npz", "w", zipfile.ZIP_DEFLATED) as file:
        good = npy(np.arange(3.0))
        file.writestr("good.npy", good)
        content = {
            "claim": lambda: good.replace(b"(3,)", b"(99999999999,)"),
            "object": lambda: good.replace(b"<f8", b"|O"),
            "short": lambda: good[:-1],
            "text": lambda: b"x",
        }
        if how == "bomb":
            with file.open("bad.npy", "w", force_zip64=True) as bomb:
                for _ in range(300):
                    bomb.write(bytes(2**20))
        else:
            file.writestr("bad.npy", content[how]())
    recording = run.recording()
    assert "bad" in recording and list(recording["good"]) == [0.0, 1.0, 2.0]
    tracemalloc.start()
    with pytest.raises(RunError, match=r"episode.npz cannot be read \(array 'bad': .*records anew"):
        recording["bad"]
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "|b1", "<i2", "<c16", "|u1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
def test_arrays_come_back(dtype, shape):
    arrays = {"a": np.arange(np.prod(shape)).reshape(shape).astype(dtype), "f": np.asfortranarray(np.eye(3, 2))}
    for compressed in (False, True):
        read = Arrays(packed(arrays, compressed), ValueError)
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array, strict=True)
            assert read[name].flags.writeable


@pytest.mark.parametrize(
    ("key", "value"),
    [("episode", "2"), ("episode", -1), ("episode", 2**70), ("best_validation", float("nan")), ("streak", True)],
)
def test_hostile_counters(run, cue, key, value):
    """With a right digest: one line that names the number."""
    trainer(cue, run).save()
    path = run.path / "checkpoints" / "checkpoint-000000.json"
    meta = {**json.loads(path.read_text()), key: value}
    del meta["sha256"]
    path.write_text(
        json.dumps({**meta, "sha256": hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()})
    )
    with pytest.raises(CheckpointError, match=rf"checkpoint-000000 is damaged: {key} = ") as error:
        rwta_sim.resume(run.path)
    assert "\n" not in str(error.value)


def test_the_only_checkpoint_is_not_to_be_deleted(run):
    save(run)
    (run.path / "checkpoints" / "checkpoint-000000.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"there is no other checkpoint: put it back") as error:
        run.last()
    assert "delete" not in str(error.value)


def test_nothing_is_written_without_the_lock(run, cue):
    """Whoever is refused leaves every byte as it was, temporary files of the other included."""
    trainer(cue, run).save()
    run.append_metrics(ROW)
    (run.path / "checkpoints" / ".best.json.99.tmp").write_text("x")
    files = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with run.lock():
        for use in (lambda: rwta_sim.resume(run.path), lambda: rwta_sim.train(cue, run.path)):
            with pytest.raises(RunError, match=r"is being trained by another process|exists already"):
                use()
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == files


def test_two_trainings_begin_in_one_folder(tmp_path, cue):
    with RunFolder.created(tmp_path / "run", cue) as run:
        with pytest.raises(RunError, match="exists already"):
            RunFolder.create(run.path, cue)
        (run.path / "config.toml").unlink()
        (run.path / "metrics.csv").unlink()
        with pytest.raises(RunError, match="is being trained by another process"):
            RunFolder.create(run.path, cue)


@pytest.mark.parametrize("name", ["metrics", "summary", "recording", "checkpoint", "folder"])
def test_disk_full_names_the_file(run, monkeypatch, name):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    write = {
        "metrics": (lambda: run.append_metrics(ROW), "metrics.csv"),
        "summary": (lambda: run.save_json("summary.json", {}), "summary.json"),
        "recording": (lambda: run.save_recording(ARRAYS), "episode.npz"),
        "checkpoint": (lambda: save(run), "checkpoint-000000.npz"),
        "folder": (lambda: run.file_for("films", "a.gif"), "films"),
    }
    monkeypatch.setattr("os.mkdir" if name == "folder" else "builtins.open", fail)
    act, file = write[name]
    with pytest.raises(RunError, match=rf"{file}.*No space left on device"):
        act()


def test_free_folder(tmp_path):
    assert free_folder(tmp_path, "a").name == "a"
    for name in ("a", "a-2"):
        (tmp_path / name).mkdir()
    assert free_folder(tmp_path, "a").name == "a-3"


def test_version_is_recorded(run):
    assert run.saved_versions()["rwta-sim"] == rwta_sim.__version__
