"""Every system gets training, resuming, evaluating, films and the command line from its contract alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import CheckpointError, ConfigError, EnvironmentFailure, RunError, RwtaSimError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop import registry

pytestmark = pytest.mark.usefixtures("few_patterns")
RATE = {
    "dynamics": "rate",
    "learning.rule.kind": "mean_field",
    "learning.modulation.kind": "ppo",
    "network.hidden_circuits": 2,
}
#: Columns of metrics.csv that are a system's own.
RWTA = ["entropy", "rate_hz", "learning_rate"]


def page_example():
    """The system of one's own in docs/systems.md."""
    page = (Path(__file__).resolve().parent.parent / "docs" / "systems.md").read_text(encoding="utf-8")
    names = {"__name__": __name__}
    exec(re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)[0], names)
    return names["QExperiment"]


REPARAMETERISED = ["entropy", "spikes", "learning_rate", "temperature"]
#: Figures of a network whose spikes are recorded, and of a circuit network.
SPIKES = {"raster", "rates", "tuning"}
CIRCUITS = {*SPIKES, "weights"}
#: Settings with which a rival learns several times in eleven decisions.
RIVAL = {"hidden": [5], "critic_hidden": [4], "learning.steps": 4, "learning.minibatch": 2}
#: Settings with which deep Q-learning does so, in CartPole.
DEEP_Q = {"hidden": [5], "replay.start": 4, "replay.batch": 2, "learning.every": 2, "training.decisions": None}
#: Per system: task, model, settings, columns, figures beside its learning curve.
SYSTEMS = {
    "spiking": ("xor", "svpg-lockstep", {"engine.target": "numpy", "network.hidden_circuits": 2}, RWTA, CIRCUITS),
    "rate": ("xor", "svpg-lockstep", RATE, RWTA, CIRCUITS),
    "random": ("xor", "random", {}, ["entropy"], set()),
    "linear": ("xor", "linear", {}, ["entropy", "learning_rate"], set()),
    "relu": ("xor", "relu", {"hidden": [5], "critic.hidden": [4]}, ["entropy", "learning_rate"], set()),
    "reparameterised": ("xor", "reparameterised", {"hidden": [5], "engine.target": "numpy"}, REPARAMETERISED, SPIKES),
    "concrete": ("xor", "reparameterised-concrete", {"hidden": [5], "engine.target": "numpy"}, REPARAMETERISED, SPIKES),
    "ppo": ("xor", "ppo", RIVAL, ["entropy", "learning_rate"], set()),
    "converted": ("xor", "converted", RIVAL, ["entropy", "learning_rate"], SPIKES),
    "bptt": ("xor", "bptt", {**RIVAL, "neurons.gain": 2.0}, ["entropy", "spikes", "learning_rate"], SPIKES),
    "ep": ("xor", "ep", {"hidden": [5]}, ["moved", "learning_rate"], set()),
    "dqn": ("cartpole", "dqn", DEEP_Q, ["q", "epsilon"], set()),
    "dsqn": ("cartpole", "dsqn", {**DEEP_Q, "neurons.steps": 2}, ["q", "spikes", "epsilon"], SPIKES),
    "tabular-q": ("gridworld", "tabular-q", {"environment.kwargs": {"width": 4, "height": 4}, "gamma": 0.9}, [], set()),
}


@pytest.fixture(autouse=True)
def _registered():
    """The user's own system, and afterwards none of it."""
    before = dict(registry._CLASSES)
    page_example()
    yield
    registry._CLASSES.clear()
    registry._CLASSES.update(before)


def experiment_of(name, **changes):
    task, model, settings, *_ = SYSTEMS[name]
    preset = rwta_sim.preset(task, model)
    try:
        preset.check_libraries()
    except RwtaSimError as error:
        pytest.skip(str(error))
    short = {"training.episodes": 11, "training.validate_every": 4, "training.validation_episodes": 2}
    if "batch" in preset.model_dump().get("learning", {}):
        short["learning.batch"] = 4
    return preset.changed({**short, "training.target": 1e9, **settings, **changes})


def end_of(folder):
    run = RunFolder.open(folder)
    return {n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()


def invoke(*arguments):
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_gets_it_all(name, tmp_path):
    experiment, (task, _, _, columns, figures) = experiment_of(name), SYSTEMS[name]
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    assert rwta_sim.train(experiment, whole).finished
    rows = RunFolder.open(whole).metrics()
    scores = ("validation_return", "validation_success", *experiment.vitals)
    assert list(rows) == ["episode", "return", "decisions", *columns, *scores]
    assert len(rows["episode"]) == 11 and all(np.isfinite(rows[c]).all() for c in columns)

    def interrupt(progress):
        if progress.episode == 6:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, parts, report=interrupt).finished
    assert rwta_sim.resume(parts).finished
    assert end_of(whole) == end_of(parts)

    with rwta_sim.Agent.load(parts) as agent:
        returns = [episode.total for episode in agent.play(4)]
    result = json.loads(invoke("evaluate", parts, "--episodes", 4, "--json"))
    assert (result["task"], result["returns"]) == (task, returns)

    drawn = [Path(line).stem for line in invoke("figures", parts).splitlines()]
    assert set(drawn) == {"learning_curve", *figures}
    film = Image.open(invoke("watch", parts, "--decisions", 3).strip())
    assert film.n_frames == (2 if task == "xor" else 4)
    assert film.size == ((720, 288) if figures else (360, 288))
    if figures:  # the same film, but for what stands in the title of the last picture
        at = ["--decisions", 3, "--lesion", "ha", "--after", film.n_frames - 2]
        cut = Image.open(invoke("watch", parts, *at, "--out", tmp_path / "cut.gif").strip())
        assert cut.n_frames == film.n_frames
    assert len(np.unique(np.asarray(film.convert("L")))) > 2  # a picture is in it


def test_a_checkpoint_of_another_system(tmp_path):
    """Refused, by resume and by evaluate, and nothing is lost."""
    for name in ("random", "tabular-q"):
        rwta_sim.train(experiment_of(name), tmp_path / name)
    folder = tmp_path / "random"
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(tmp_path / "tabular-q" / "checkpoints", folder / "checkpoints")
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    for use in (rwta_sim.resume, rwta_sim.Agent.load):
        with pytest.raises(CheckpointError, match="checkpoint") as caught:
            use(folder)
        assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_signatures_tell_systems_apart(tmp_path):
    """Also where settings are not compared, because the checkpoint has none."""
    rwta_sim.train(experiment_of("random"), tmp_path / "random")
    checkpoint = RunFolder.open(tmp_path / "random").last()
    with (
        rwta_sim.Agent(experiment_of("tabular-q")) as agent,
        pytest.raises(CheckpointError, match="of another network"),
    ):
        agent.load_weights(checkpoint)


def test_one_of_your_own_learns(tmp_path):
    """Four cues: 5 of 20 by chance, 20 when learned."""
    experiment = rwta_sim.preset("cue", "tabular-q").changed({"training.episodes": 40})
    rwta_sim.train(experiment, tmp_path / "run")
    assert rwta_sim.Agent.load(tmp_path / "run").play(1)[0].total >= 19
    assert "--epsilon" in invoke("train", "cue", "--model", "tabular-q", "--help")
    invoke("train", "cue", "--model=tabular-q", "--epsilon", "0.3", "--episodes", 2, "--run", tmp_path / "cli")
    assert RunFolder.open(tmp_path / "cli").experiment.epsilon == 0.3


# -- bad input -------------------------------------------------------------------------------------------


def test_an_unknown_model(tmp_path):
    rwta_sim.train(experiment_of("random"), tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace('model = "random"', 'model = "randon"'))
    for use in (rwta_sim.resume, rwta_sim.Agent.load):
        with pytest.raises(RunError, match="unknown model 'randon': did you mean 'random'"):
            use(tmp_path / "run")
    with pytest.raises(ConfigError, match="unknown model 'linaer': did you mean 'linear'"):
        rwta_sim.preset("cue", "linaer")


@pytest.mark.parametrize(
    ("model", "content", "message"),
    [
        ("linear", "[network]\nhidden_circuits = 2\n", "unknown setting 'network.hidden_circuits'"),
        ("linear", 'model = "linear"\n[network]\nhidden_circuits = 2\n', "unknown setting 'network.hidden_circuits'"),
        (None, 'model = "linear"\n[network]\nhidden_circuits = 2\n', "unknown setting 'network.hidden_circuits'"),
        ("linear", 'model = "svpg"\n', "is for the model 'svpg', not for 'linear'"),
        ("random", "[training]\nreplicas = 2\n", "training.replicas = 2: the model 'random' has no batches"),
        ("linear", "[training]\nreplicas = 2\n", "raise learning.batch, which is 1, to 2"),
        ("linear", 'model = "linaer"\n', "unknown model 'linaer': did you mean 'linear'"),
    ],
)
def test_files_that_do_not_fit(model, content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(content)
    line = ["train", "cue", "--config", "c.toml", *([] if model is None else ["--model", model])]
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        CliRunner().invoke(cli, line, catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_actions_that_are_not_discrete(tmp_path):
    class Continuous(gym.Env):
        observation_space = gym.spaces.Discrete(2)
        action_space = gym.spaces.Box(-1.0, 1.0, (2,))

    for name in ("random", "tabular-q"):
        with pytest.raises(EnvironmentFailure, match="supported action spaces: Discrete"):
            rwta_sim.train(experiment_of(name), tmp_path / "run", env=Continuous())
    assert not (tmp_path / "run").exists()


# -- the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [["--model", "linear"], ["--model=linear"]])
def test_help_shows_the_settings_of_one_system(spelling):
    shown = invoke("train", "cue", *spelling, "--help")
    assert "--hidden" in shown and "--learning.modulation.clip" in shown
    assert "--network" not in shown and "--engine" not in shown
    theirs = invoke("train", "cue", "--help")
    assert "--network.kernel.tau" in theirs and "--engine" in theirs and "--hidden" not in theirs.split()


def test_help_follows_a_file(tmp_path):
    (tmp_path / "c.toml").write_text('model = "linear"\n')
    assert "--hidden" in invoke("train", "cue", "--config", tmp_path / "c.toml", "--help").split()


def test_options_of_another_system():
    for option, hint in (("--network.kernel.tau", ""), ("--hiden", "--hidden"), ("--engine.name", "")):
        done = CliRunner().invoke(cli, ["train", "cue", "--model", "linear", option, "3"])
        assert done.exit_code == 2 and f"No such option '{option}'" in done.output and hint in done.output


def test_a_file_names_the_model(tmp_path):
    """A run's config.toml is enough to train it again, whatever its system."""
    rwta_sim.train(experiment_of("random"), tmp_path / "a")
    line = ("train", "xor", "--config", tmp_path / "a" / "config.toml", "--run", tmp_path / "b", "--no-figures")
    invoke(*line)
    assert end_of(tmp_path / "a") == end_of(tmp_path / "b")


def test_models_are_listed():
    listed = {p["model"] for p in json.loads(invoke("tasks", "--json"))["tasks"]}
    assert {"svpg", "svpg-rate", "linear", "relu", "random"} <= listed
