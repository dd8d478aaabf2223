"""Published systems, one file each, with their presets per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rwta_sim.agents.bptt import BPTTExperiment
from rwta_sim.agents.brian2 import Brian2Experiment
from rwta_sim.agents.coagents import CoagentExperiment
from rwta_sim.agents.dsqn import DQNExperiment, DSQNExperiment
from rwta_sim.agents.ep import EPExperiment
from rwta_sim.agents.ppo import PPOExperiment
from rwta_sim.agents.random import RandomExperiment
from rwta_sim.agents.reparameterised import ReparameterisedExperiment
from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.agents.softmax import SoftmaxExperiment
from rwta_sim.errors import ConfigError, nearest
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.registry import experiment_class, register, register_presets
from rwta_sim.models import (
    coagents,
    dsqn,
    plain,
    reparameterised,
    rivals,
    svpg,
    svpg_dale,
    svpg_lockstep,
    svpg_minatar,
    svpg_published,
    svpg_rate,
    svpg_vision,
)

__all__ = ["MODELS", "Preset", "preset", "tasks"]


@dataclass(frozen=True)
class Preset:
    """A task as a model plays it."""

    task: str
    model: str
    description: str
    make: Callable[[], Experiment]


_LOCKSTEP = {**svpg_lockstep.PRESETS, **svpg_vision.PRESETS}
_SVPG = {**svpg.PRESETS, **svpg_minatar.PRESETS}
#: Of every task the preset that is its default.
_FIRST = {**_LOCKSTEP, **_SVPG}
#: Models by name: the class of their experiments, and presets by task. The first that has a task is its default.
MODELS: dict[str, tuple[type[Experiment], Mapping[str, tuple[str, Callable[[], Experiment]]]]] = {
    "svpg": (RWTAExperiment, _SVPG),
    "svpg-dale": (RWTAExperiment, svpg_dale.PRESETS),
    "svpg-lockstep": (RWTAExperiment, _LOCKSTEP),
    "svpg-rate": (RWTAExperiment, svpg_rate.PRESETS),
    "svpg-published": (RWTAExperiment, svpg_published.PRESETS),
    "svpg-bmvc": (RWTAExperiment, svpg_published.BMVC),
    coagents.MODEL: (CoagentExperiment, coagents.PRESETS),
    "linear": (SoftmaxExperiment, plain.presets("linear", plain.linear, _FIRST)),
    "relu": (SoftmaxExperiment, plain.presets("relu", plain.relu, _FIRST)),
    "random": (RandomExperiment, plain.presets("random", plain.random, _FIRST)),
    reparameterised.MODEL: (ReparameterisedExperiment, reparameterised.PRESETS),
    reparameterised.CONCRETE_MODEL: (ReparameterisedExperiment, reparameterised.CONCRETE),
    "ppo": (PPOExperiment, rivals.PPO),
    "converted": (PPOExperiment, rivals.CONVERTED),
    "bptt": (BPTTExperiment, rivals.BPTT),
    "ep": (EPExperiment, rivals.EP),
    "dsqn": (DSQNExperiment, dsqn.DSQN),
    "dqn": (DQNExperiment, dsqn.DQN),
    "brian2": (Brian2Experiment, {}),
}
for _name, (_class, _) in MODELS.items():
    register(_name, _class)


def tasks() -> list[Preset]:
    """All presets."""
    return [
        Preset(task, model, description, make)
        for model, (_, presets) in MODELS.items()
        for task, (description, make) in presets.items()
    ]


def preset(task: str, model: str | None = None) -> Experiment:
    """The experiment for a task.

    Parameters
    ----------
    task : str
        See `tasks`.
    model : str, optional
        The default is the first model that has the task. One without presets has its own defaults in the environment
        of that.

    Raises
    ------
    ConfigError
        For an unknown task or model, or a model without the task.
    """
    kind = None if model is None else experiment_class(model)
    matches = [p for p in tasks() if p.task == task]
    if not matches:
        raise ConfigError(f"unknown task {task!r}: {nearest(task, {p.task for p in tasks()})}")
    like, matches = matches[0], [p for p in matches if model in (None, p.model)]
    if matches:
        return matches[0].make()
    assert kind is not None and model is not None
    if model in MODELS and MODELS[model][1]:
        others = ", ".join(p.model for p in tasks() if p.task == task)
        raise ConfigError(f"model {model!r} has no preset for {task!r}, which these have: {others}")
    if kind.needs_description():
        raise ConfigError(
            f"model {model!r} has no presets: describe the experiment in a TOML file (rwta-sim train {task} --model "
            f"{model} --config FILE), or in Python as {kind.__name__}(...)"
        )
    # A system without presets: its own settings, in the environment that others have.
    return kind.of({"task": task, "model": model, "environment": like.make().environment.model_dump(mode="json")})


register_presets(preset)
