"""A user's own Brian2 network as an agent; the example is the one in the README."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rwta_sim
from rwta_sim import RunFolder
from rwta_sim.agents.brian2 import Brian2Experiment, BuilderSpec
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, RunError, RwtaSimError
from rwta_sim.lab.config import to_toml
from rwta_sim.lab.recording import record_episode
from rwta_sim.seeding import Purpose, episode_seeds

README = Path(__file__).resolve().parent.parent / "README.md"
NUMPY = {"engine.name": "runtime", "engine.target": "numpy"}
ENGINES = [pytest.param({"engine.name": "compiled"}, id="compiled"), pytest.param(NUMPY, id="numpy")]

#: Networks without chance: each action has as many spikes as its input says, and w adds up its modulation.
SMALL = '''
from brian2 import *

def build(n_inputs, n_actions, gain=1.0):
    model = """drive : 1
    modulation : 1 (shared)
    w : 1
    ready : 1
    whole : integer
    total = 2*w : 1"""
    group = NeuronGroup(n_actions, model, threshold="ready > 4.5", reset="ready = 0", dt=1*ms, name="cells",
                        namespace={"gain": gain})
    group.run_regularly("ready += gain*drive", dt=1*ms)
    group.run_regularly("w += modulation", dt=5*ms)
    silent = NeuronGroup(2, "v : 1", dt=1*ms, name="silent")
    return [group, silent]

def unknown(n_inputs, n_actions):
    return NeuronGroup(n_actions, "dv/dt = -v/tau_of_nobody : 1", threshold="v > 1", name="cells", dt=1*ms)

def broken(n_inputs, n_actions):
    return 1 / 0

def nothing(n_inputs, n_actions):
    build(n_inputs, n_actions)

def text(n_inputs, n_actions):
    return [build(n_inputs, n_actions)[0], "synapses"]

def one(n_inputs):
    return build(n_inputs, n_inputs)

def drawn(n_inputs, n_actions, seed):
    from numpy.random import rand
    group, silent = build(n_inputs, n_actions)
    group.w = rand(n_actions) + 1000*seed
    return Network(group)

number = 3
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on Python's path with the modules of these tests, which are imported anew."""
    example = re.search(r"^```python\n(# lif\.py\n.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "lif.py").write_text(example[1])
    (tmp_path / "small_network.py").write_text(SMALL)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lif", "small_network"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("lif", "small_network"):
        sys.modules.pop(name, None)


def small(**changes):
    return Brian2Experiment(
        task="mine",
        environment={"id": "rwta_sim/CueAction-v0", "kwargs": {"n_cues": 3, "trials": 4}},
        network={
            "build": "small_network:build",
            "inputs": "cells.drive",
            "actions": "cells",
            "modulation": "cells.modulation",
            "keep": ["cells.w"],
        },
        decision_steps=5,
        critic={"kind": "constant", "gamma": 0.0, "rate": 0.25},
        training={"episodes": 6, "validate_every": 2, "validation_episodes": 1},
    ).changed({**({} if "engine.name" in changes else NUMPY), **changes})


# -- the example -------------------------------------------------------------------------------------


def answers(experiment, folder, seed, **changes):
    """Right answers in 40 trials of evaluation, after training."""
    rwta_sim.train(experiment.changed({**changes, "seed": seed}), folder)
    return sum(episode.total for episode in rwta_sim.Agent.load(folder).play(2))


@pytest.mark.parametrize(("engine", "seeds"), [(ENGINES[0].values[0], 2), (NUMPY, 1)], ids=["compiled", "numpy"])
def test_the_example_learns(folder, engine, seeds):
    """More right answers than its control, with learning off, whose answers are right with probability 1/2.

    z of two proportions of 40 trials a seed above 3.3, by chance once in 2,000 times; two seeds on the compiled engine.
    """
    import lif

    episodes = 30 if seeds > 1 else 8
    experiment = lif.experiment.changed({**engine, "training.episodes": episodes, "training.validation_episodes": 1})
    on, off = (
        np.array([answers(experiment, folder / f"{control}{s}", s, control=control) for s in range(seeds)])
        for control in ("none", "off")
    )
    share = (on.sum() + off.sum()) / (80 * seeds)
    z = (on.mean() - off.mean()) / 40 / sqrt(share * (1 - share) * 2 / (40 * seeds))
    assert z > 3.3, (on, off)
    assert on.min() > off.max(), (on, off)
    weights = rwta_sim.Agent.load(folder / "off0").weights()["plastic.w"]
    assert len(np.unique(weights)) == 1  # as built


# -- learning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_modulation_acts_in_the_next_decision(folder, engine):
    """w of every cell is the sum of all TD errors but the last, which waits for the next episode of training."""
    agent = rwta_sim.Agent(small(**engine))
    system, player = agent.system, agent.player
    theta, told = 0.0, []
    for number in range(3):
        # Evaluations in between hear nothing, and change nothing.
        kept = {name: a.copy() for name, a in system.state().items()}
        system.run(player.episode(episode_seeds(0, Purpose.EVALUATION, number)))
        assert all(np.array_equal(kept[name], a) for name, a in system.state().items())
        episode = system.run(player.episode(episode_seeds(0, Purpose.TRAINING, number), system))
        for reward in episode.rewards:
            told.append(reward - theta)
            theta += 0.25 * told[-1]
        np.testing.assert_allclose(system.weights()["cells.w"], sum(told[:-1]), atol=1e-12)


@pytest.mark.parametrize(("control", "learns"), [("none", True), ("off", False), ("shuffled", True)])
def test_controls(folder, control, learns):
    rwta_sim.train(small(control=control), folder / "run")
    weights = RunFolder.open(folder / "run").last().arrays["kept.cells.w"]
    assert np.any(weights) == learns


def test_validations_change_nothing(folder):
    for name, every in (("few", 6), ("many", 1)):
        rwta_sim.train(small(**{"training.validate_every": every}), folder / name)
    few, many = (RunFolder.open(folder / name).last().arrays for name in ("few", "many"))
    assert {name: a.tobytes() for name, a in few.items()} == {name: a.tobytes() for name, a in many.items()}


def test_most_spikes_choose(folder):
    """Each cue drives the cell of its action alone, which makes every answer right."""
    with rwta_sim.Agent(small()) as agent:
        assert [episode.total for episode in agent.play(3)] == [4.0] * 3
        assert agent.play(1)[0].numbers["rate_hz"] == pytest.approx(1 / 3 / 5e-3)


@pytest.mark.parametrize(
    "engine",
    [pytest.param(ENGINES[0].values[0], id="compiled", marks=pytest.mark.nightly), pytest.param(NUMPY, id="numpy")],
)
def test_resume_continues_exactly(folder, engine):
    """Stopped by SIGINT in mid-run, resumed: bit for bit the run that was never stopped."""
    import lif

    experiment = lif.experiment.changed(
        {**engine, "environment.kwargs.trials": 3, "training.episodes": 6, "training.validate_every": 2}
    ).changed({"training.validation_episodes": 1, "training.checkpoint_every": 2, "control": "shuffled"})
    rwta_sim.train(experiment, folder / "whole")

    def interrupt(progress):
        if progress.episode == 3:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, folder / "parts", report=interrupt).finished
    assert rwta_sim.resume(folder / "parts").finished
    runs = [RunFolder.open(folder / name) for name in ("whole", "parts")]
    whole, parts = ({name: a.tobytes() for name, a in run.last().arrays.items()} for run in runs)
    assert whole == parts
    assert runs[0].metrics_path.read_bytes() == runs[1].metrics_path.read_bytes()


# -- what is built -----------------------------------------------------------------------------------


def test_the_seed_reaches_the_function(folder):
    def drawn(seed):
        agent = rwta_sim.Agent(small(**{"network.build": "small_network:drawn", "seed": seed}))
        return agent.weights()["cells.w"]

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert np.array_equal(drawn(1), drawn(1)) and not np.array_equal(drawn(1), drawn(2))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_arguments_of_the_function(folder):
    """With a gain below the threshold's no cell spikes: chance chooses."""
    with rwta_sim.Agent(small(**{"network.kwargs": {"gain": 0.1}})) as agent:
        assert agent.play(1)[0].numbers["rate_hz"] == 0


def test_a_function_goes_by_its_name(folder):
    import small_network

    spec = BuilderSpec(build=small_network.build, inputs="cells.drive", actions="cells")
    assert spec.build == "small_network:build"

    def of_a_script(n_inputs, n_actions): ...

    of_a_script.__module__, of_a_script.__qualname__ = "__main__", "build"
    for function in (lambda n_inputs, n_actions: [], of_a_script):
        with pytest.raises(ValueError, match=r"a file of its own, such as network\.py"):
            BuilderSpec(build=function, inputs="cells.drive", actions="cells")


WRONG = {
    "network.build": [
        ("small_netwerk:build", "no module 'small_netwerk'"),
        ("small_network:biuld", "has no 'biuld': did you mean 'build'"),
        ("small_network:number", "is 3, expected a function"),
        ("small_network", "expected 'module:function'"),
        ("../x:build", "expected 'module:function'"),
        ("small_network:unknown", "tau_of_nobody.*namespace="),
        ("small_network:broken", "raised ZeroDivisionError: division by zero"),
        ("small_network:nothing", "returned None: expected the Brian2 objects"),
        ("small_network:text", "returned 'synapses' in it"),
        ("small_network:one", "raised TypeError: .*positional argument"),
    ],
    "network.kwargs": [({"gian": 1.0}, "raised TypeError.*'gian'")],
    "network.actions": [
        ("cell", "no object of the name 'cell'.*did you mean 'cells'"),
        ("silent", "is a NeuronGroup without spikes"),
    ],
    "network.inputs": [
        ("cells.drvie", "has no variable 'drvie': did you mean 'drive'"),
        ("cells", "expected 'object.variable'"),
        ("cells.modulation", "has 1 values, expected n_inputs = 3"),
        ("cells.total", "cannot be set"),
    ],
    "network.modulation": [
        ("cells.modulatoin", "did you mean 'modulation'"),
        ("cells.whole", "holds int.*expected real numbers"),
        ("sells.modulation", "did you mean 'cells'"),
    ],
    "network.keep": [(["cells.q"], "has no variable 'q'"), (["nobody.w"], "no object of the name 'nobody'")],
    "encoder.copies": [(2, "has 3 values, expected n_inputs = 6")],
    "decision_steps": [(0, "greater than 0"), (10**12, "less than")],
    "critic.kind": [("network", "at every decision"), ("rates", "at every decision")],
    "training.replicas": [(2, "no batches that copies could play")],
    "network.input_scale": [(0, "greater than 0")],
}


@pytest.mark.parametrize(
    ("setting", "value", "message"), [(key, *case) for key, cases in WRONG.items() for case in cases]
)
def test_errors(folder, setting, value, message):
    """Before anything is made, in a line."""
    with pytest.raises(RwtaSimError, match=message) as caught:
        rwta_sim.train(small(**{setting: value}), folder / "run")
    assert "\n" not in str(caught.value)
    assert not (folder / "run").exists()


def test_too_few_action_neurons(folder):
    (folder / "small_network.py").write_text(SMALL.replace("NeuronGroup(n_actions, model", "NeuronGroup(2, model"))
    with pytest.raises(ConfigError, match=r"'cells' has 2 neurons, expected n_actions = 3"):
        rwta_sim.Agent(small())


# -- other people's runs, and the command line -------------------------------------------------------


def command(folder, *arguments, path=True):
    environment = {**os.environ, **({"PYTHONPATH": str(folder)} if path else {})}
    line = [sys.executable, "-m", "rwta_sim", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)


def here(*arguments):
    """What a command prints in this process."""
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False).stdout


def test_consent_and_the_command_line(folder):
    """A run names the function's module: like an environment's, it is imported where it is installed, or trusted."""
    run = folder / "run"
    (folder / "mine.toml").write_text(to_toml(small()))
    made = command(folder, "train", "mine", "--model", "brian2", "--config", "mine.toml", "--run", run, "--json")
    assert json.loads(made.stdout)["finished"], made.stderr
    assert (run / "figures" / "learning_curve.png").is_file()
    refused = command(folder, "evaluate", run)
    assert refused.returncode == 1 and "would import the module 'small_network'" in refused.stderr
    for name in ("resume", "watch"):
        with pytest.raises(RunError, match="would import the module 'small_network'"):
            here(name, run)
    with pytest.raises(RunError, match="would import the module 'small_network'"):
        rwta_sim.Agent.load(run)
    # What was imported with consent is imported: here, nothing is refused any more.
    assert json.loads(here("evaluate", run, "--trust", "--json", "--episodes", 2))["mean_return"] == 4
    assert json.loads(here("resume", run, "--trust", "--json", "--no-figures"))["finished"]
    assert rwta_sim.Agent.load(run, trust=True).play(1)[0].total == 4


def test_a_recording_has_the_spikes(folder):
    rwta_sim.train(small(), folder / "run")
    recording = record_episode(RunFolder.open(folder / "run"))
    assert recording["starts"].tolist() == [0, 3] and recording["n_inputs"] == 0
    decisions = (recording["neuron_t"] / recording["decision_time"]).astype(int)
    assert decisions.tolist() == [0, 1, 2, 3]
    assert recording["neuron_i"].tolist() == recording["actions"].tolist()
