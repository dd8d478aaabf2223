"""Run folders and TOML files of an earlier version: tests/data/runs is older than classes of systems."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import CheckpointError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.seeding import episode_seeds

RUNS = Path(__file__).parent / "data" / "runs"
NAMES = ["cue-spiking", "cue-rate", "xor"]
# Of other software than here, perhaps.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was started with other versions:RuntimeWarning"),
    pytest.mark.usefixtures("few_patterns"),
]


@pytest.fixture(params=NAMES)
def old(request, tmp_path):
    """A copy of an old run."""
    return Path(shutil.copytree(RUNS / request.param, tmp_path / request.param))


def invoke(*arguments):
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_resumes(old):
    """What was there stays, and episodes follow."""
    config, before = old / "config.toml", (old / "metrics.csv").read_text()
    done = before.count("\n") - 1
    text = re.sub(r"^target = [0-9.]+\n", "", config.read_text(), flags=re.MULTILINE)
    config.write_text(text.replace(f"episodes = {done}\n", f"episodes = {done + 3}\n", 1))
    summary = rwta_sim.resume(old)
    assert summary.finished and summary.episodes == done + 3
    after = (old / "metrics.csv").read_text()
    assert after.startswith(before) and after.count("\n") == done + 4


def test_it_is_evaluated(old):
    """With the weights that are in the checkpoint."""
    result = json.loads(invoke("evaluate", old, "--episodes", 4, "--json"))
    assert len(result["returns"]) == 4
    with rwta_sim.Agent.load(old) as agent:
        assert [episode.total for episode in agent.play(4)] == result["returns"]
        saved = RunFolder.open(old).best().arrays
        assert set(agent.system.state()) <= set(saved)
        assert all(np.array_equal(array, saved[name]) for name, array in agent.system.state().items())


def test_it_is_watched(tmp_path):
    shutil.copytree(RUNS / "xor", tmp_path / "xor")
    film = Image.open(invoke("watch", tmp_path / "xor").strip())
    assert (film.n_frames, film.size) == (2, (720, 288))


def seeds_of_then(seed, purpose, number):
    """As they were: seeds of environments had 32 bits."""
    environment = np.random.SeedSequence(seed, spawn_key=(purpose, number)).spawn(1)[0]
    return replace(episode_seeds(seed, purpose, number), environment=int(environment.generate_state(1)[0]))


def test_its_file_trains(old, tmp_path, monkeypatch):
    """The same run again: up to rounding, as other machines and other libraries add up in another order."""
    monkeypatch.setattr("rwta_sim.loop.players.episode_seeds", seeds_of_then)
    task = RunFolder.open(old).experiment.task
    line = ("train", task, "--config", old / "config.toml", "--run", tmp_path / "again", "--no-figures")
    invoke(*line)
    theirs, ours = RunFolder.open(old).metrics(), RunFolder.open(tmp_path / "again").metrics()
    assert list(theirs) == list(ours)
    later = {"validation_success", *RunFolder.open(old).experiment.vitals}  # which it has not
    if task == "xor":
        later.add("validation_return")  # of one showing of each pattern, then
    for name, column in theirs.items():
        if name in later:
            continue
        np.testing.assert_allclose(ours[name], column, rtol=1e-9, err_msg=name)


def test_how_it_was_read_out_stays(old):
    """Before there was a choice, it was argmax of q."""
    experiment = RunFolder.open(old).experiment
    assert (
        experiment.decision.readout == "argmax" != type(experiment)(task="x", environment={"id": "x"}).decision.readout
    )


def test_a_newer_format(tmp_path):
    folder = Path(shutil.copytree(RUNS / "xor", tmp_path / "xor"))
    path = next((folder / "checkpoints").glob("checkpoint-*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    for use in (rwta_sim.resume, rwta_sim.Agent.load):
        with pytest.raises(CheckpointError, match="has format 2, this version of rwta_sim reads format 1"):
            use(folder)
