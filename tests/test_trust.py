"""Modules that a run folder names are imported only where they are installed, or the user agrees."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.trust import check_trust

MODULE = """
import pathlib
import gymnasium
pathlib.Path(__file__).with_name("imported").touch()
gymnasium.register("Mine-v0", "rwta_sim.envs.cue_action:CueAction")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose environment is of a module "theirs"; and the folder of this module."""
    folder = tmp_path_factory.mktemp("trust")
    (folder / "theirs.py").write_text(MODULE)
    short = {"training.episodes": 1, "training.validation_episodes": 1, "engine.target": "numpy"}
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed({"environment.id": "theirs:Mine-v0", **short})
    sys.path.insert(0, str(folder))
    try:
        rwta_sim.train(experiment, folder / "run")  # naming it is consent
    finally:
        sys.path.remove(str(folder))
        del sys.modules["theirs"]
    (folder / "imported").unlink()
    return folder


def test_nothing_is_imported_from_the_current_folder(trained):
    line = [sys.executable, "-m", "rwta_sim", "evaluate", "run"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=trained)
    assert done.returncode == 1
    assert done.stderr.startswith("error: run would import the module 'theirs'") and f"from {trained}" in done.stderr
    assert done.stderr.count("\n") == 1 and "--trust" in done.stderr
    assert not (trained / "imported").exists()


@pytest.mark.parametrize("name", ["evaluate", "resume", "watch", "figures"])
def test_every_command_asks_for_consent(trained, monkeypatch, name):
    monkeypatch.syspath_prepend(trained)
    asked = CliRunner().invoke(cli, [name, str(trained / "run")])
    assert isinstance(asked.exception, RunError) and "--trust" in str(asked.exception)
    assert not (trained / "imported").exists()
    more = {"evaluate": ["--episodes", "1"], "watch": ["--decisions", "1", "--out", str(trained / "film.gif")]}
    done = CliRunner().invoke(cli, [name, str(trained / "run"), "--trust", *more.get(name, [])])
    assert (trained / "imported").exists()
    # Pictures of the environment are not to be had.
    assert done.exception is None or (name == "watch" and "render" in str(done.exception))
    (trained / "imported").unlink()
    del sys.modules["theirs"]


def test_in_python(trained, monkeypatch):
    monkeypatch.syspath_prepend(trained)
    run = rwta_sim.RunFolder.open(trained / "run")
    for load in (rwta_sim.Agent.load, record_episode, lambda run: rwta_sim.resume(run.path)):
        with pytest.raises(RunError, match=r"'theirs', .*trust=True"):
            load(run)
    assert not (trained / "imported").exists()
    assert len(rwta_sim.Agent.load(run, trust=True).play(1)) == 1
    assert (trained / "imported").exists()
    assert len(rwta_sim.Agent.load(run).play(1)) == 1  # now that it is imported
    del sys.modules["theirs"]
    (trained / "imported").unlink()


def test_an_environment_of_ones_own_needs_no_consent(trained, monkeypatch):
    monkeypatch.syspath_prepend(trained)
    rwta_sim.Agent.load(rwta_sim.RunFolder.open(trained / "run"), env=rwta_sim.envs.cue_action.CueAction())
    assert not (trained / "imported").exists()


@pytest.mark.parametrize(
    "identifier", ["CartPole-v1", "json:X-v0", "sys:X-v0", "pytest:X-v0", "rwta_sim.envs:X-v0", "no_such_module:X-v0"]
)
def test_what_is_installed_or_not_there_is_let_through(identifier):
    check_trust(identifier, "run", trust=False)


@pytest.mark.parametrize(
    "name", ["alone", "package", "package.inner", "spaced", "spaced.inner", "linked", "linked.inner"]
)
def test_every_way_to_lie_in_the_folder(tmp_path, monkeypatch, name):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here / "package", here / "spaced", elsewhere / "target"):
        folder.mkdir(parents=True)
        (folder / "inner.py").touch()
    for package in (here / "package", elsewhere / "target"):
        (package / "__init__.py").write_text("raise SystemError('imported')")
    (here / "alone.py").touch()
    (here / "linked").symlink_to(elsewhere / "target")
    monkeypatch.syspath_prepend(here)
    with pytest.raises(RunError, match="trust"):
        check_trust(f"{name}:X-v0", "run", trust=False)
    check_trust(f"{name}:X-v0", "run", trust=True)
    assert not {"alone", "package", "spaced", "linked"} & sys.modules.keys()


def test_a_folder_that_adds_to_an_imported_namespace(tmp_path, monkeypatch):
    """Its modules come from the folder, though the name of the whole is imported already."""
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "inner.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    __import__("split")
    try:
        with pytest.raises(RunError, match="trust"):
            check_trust("split.inner:X-v0", "run", trust=False)
    finally:
        del sys.modules["split"]


def test_a_folder_added_by_the_installation(tmp_path, monkeypatch):
    """As .pth files do for packages that are installed to be edited."""
    (tmp_path / "edited.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    check_trust("edited:X-v0", "run", trust=False)


@pytest.mark.parametrize(
    "identifier", ["../x:Y-v0", "a b:Y-v0", ":Y-v0", "a:b:Y-v0", "a;import os:Y-v0", "a\nb", "a\x1b[2J"]
)
def test_identifiers_that_are_none(cue, identifier):
    with pytest.raises(ConfigError, match=r"environment\.id"):
        cue.changed({"environment.id": identifier})
