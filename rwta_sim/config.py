"""The validated description of an experiment: TOML in, TOML out."""

from __future__ import annotations

import math
import os
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import tomli_w
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from rwta_sim.actor import DecisionSpec
from rwta_sim.critics import CriticSpec, Fourier, Rates
from rwta_sim.encoders import EncoderSpec
from rwta_sim.engines import EngineSpec
from rwta_sim.errors import RwtaSimError, nearest, printable, shown
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.modulation import PPO, TDError
from rwta_sim.learning.rules import Feedback, MeanFieldRule
from rwta_sim.meanfield import MeanFieldSpec
from rwta_sim.settings import Name, PositiveInt, Settings, format_quantity
from rwta_sim.spec import NetworkSpec

__all__ = [
    "GIVEN",
    "ConfigError",
    "EnvironmentSpec",
    "Experiment",
    "TrainingSpec",
    "from_toml",
    "options",
    "read_toml",
    "to_toml",
]


VectorKind = Literal["none", "sync", "async"]
#: Begins `environment.id` where the environment was given from Python; no id of Gymnasium has an "=".
GIVEN = "env="


class ConfigError(RwtaSimError):
    """A setting is unknown, malformed or impossible."""


class EnvironmentSpec(Settings):
    """A Gymnasium environment.

    `kwargs` hold only what TOML gives back as it was: tuples become lists and paths text at once, so that the
    environment that trains gets what the one that evaluates will get. In the folder of a run that was given its
    environment from Python, `id` may be ``env=`` and its class.
    """

    id: Name = Field(description="Gymnasium id, or 'module:id' for an environment of your own")
    kwargs: dict[str, Any] = Field({}, description="keyword arguments for gymnasium.make")

    @property
    def given(self) -> str | None:
        """The class of an environment that was given to `train` and has no name that Gymnasium could make it from."""
        return self.id.removeprefix(GIVEN) if self.id.startswith(GIVEN) else None

    @field_validator("kwargs", mode="before")
    @classmethod
    def _survive_toml(cls, kwargs: Any) -> Any:
        return _as_toml(kwargs, "") if isinstance(kwargs, Mapping) else kwargs

    @field_validator("id")
    @classmethod
    def _module_is_one(cls, text: str) -> str:
        module, colon, name = text.partition(":")
        if colon and (":" in name or not all(part.isidentifier() for part in module.split("."))):
            raise ValueError("expected a Gymnasium id, or 'module:id' with the name of a module that can be imported")
        return text


def _as_toml(value: Any, name: str) -> Any:
    """`value` in TOML's types; `name` says where it stands, for the ValueError about what has none."""
    if isinstance(value, Mapping):
        for key in value:
            if not _is_text(key):
                raise ValueError(
                    f"the key {shown(key)}{f' in {name!r}' if name else ''} is no text, as TOML's have to be"
                )
        return {key: _as_toml(item, f"{name}.{key}" if name else key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_toml(item, f"{name}[{i}]") for i, item in enumerate(value)]
    plain = value.item() if isinstance(value, np.generic) else value
    plain = os.fspath(plain) if isinstance(plain, os.PathLike) else plain
    if _is_text(plain):
        return str.__str__(plain)  # of an enumeration its value
    if isinstance(plain, bool):
        return plain
    if isinstance(plain, int) and -(2**63) <= plain < 2**63:
        return int(plain)
    if isinstance(plain, float) and math.isfinite(plain):
        return float(plain)
    raise ValueError(
        f"{name!r} is {shown(value)}: expected what a TOML file gives back as it was: text, true or false, a 64-bit "
        "integer, a finite number, or lists and tables of these; leave out what is None"
    )


def _is_text(value: Any) -> bool:
    """Whether `value` is text that UTF-8 can write: no half of a surrogate pair."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


class TrainingSpec(Settings):
    """How long, how it is validated and when it stops."""

    episodes: PositiveInt = Field(1000, description="training episodes")
    validate_every: PositiveInt = Field(50, description="episodes between validations")
    validation_episodes: PositiveInt = Field(20, description="greedy episodes in a validation")
    target: float | None = Field(None, description="stop when validations reach this mean return")
    target_streak: PositiveInt = Field(3, description="validations in a row that must reach the target")
    checkpoint_every: PositiveInt = Field(25, description="episodes between checkpoints")
    replicas: PositiveInt = Field(
        1, le=1000, description="episodes of a batch played side by side, by copies of the network in threads"
    )
    vector: VectorKind = Field(
        "none",
        description="none: each replica steps an environment of its own; sync, async: all step together in a Gymnasium "
        "vector environment, in this process or in one process each",
    )

    @property
    def side_by_side(self) -> bool:
        """Whether episodes are played by replicas."""
        return self.replicas > 1 or self.vector != "none"


class Experiment(Settings):
    """Everything that determines a run, together with the versions of the software."""

    task: Name = Field(description="name of the task")
    model: Name = Field("svpg", description="published system whose preset this is")
    seed: int = Field(0, ge=0, description="the one seed from which everything random flows")
    environment: EnvironmentSpec
    encoder: EncoderSpec = EncoderSpec()
    network: NetworkSpec = NetworkSpec()
    decision: DecisionSpec = DecisionSpec()
    learning: LearningSpec = LearningSpec()
    critic: CriticSpec = Fourier()
    training: TrainingSpec = TrainingSpec()
    engine: EngineSpec = EngineSpec()
    dynamics: Literal["spiking", "rate"] = Field(
        "spiking", description="spiking: the network in Brian2; rate: its mean field, without spikes, in NumPy"
    )
    mean_field: MeanFieldSpec = MeanFieldSpec()

    @model_validator(mode="after")
    def _details_fit(self) -> Experiment:
        network, decision = self.network, self.decision
        if network.published_code and isinstance(self.learning.rule, Feedback):
            raise ValueError(
                "learning.rule.kind = 'feedback' needs the drive that the weights say: leave network.published_code out"
            )
        if self.encoder.standardise and self.dynamics == "spiking" and network.inputs == "spikes":
            raise ValueError(
                "encoder.standardise makes drives below 0 and above 1, which are no probabilities: set "
                "network.inputs = 'current', or leave it out"
            )
        if self.encoder.standardise and self.dynamics == "rate" and self.mean_field.effective().noise:
            raise ValueError(
                "encoder.standardise makes drives below 0 and above 1, which mean_field.noise would clip: leave one out"
            )
        if network.refractory is not None and decision.decoder == "most_spikes":
            raise ValueError(
                "network.refractory needs decision.decoder = 'last_spike': the firing probabilities that the "
                "learning rule reads are those of a spike, not of a majority"
            )
        if network.delay is not None and decision.clear == "decision":
            if network.delay_steps >= decision.steps - 1:
                raise ValueError(
                    f"network.delay = {format_quantity(network.delay)}: no spike arrives within a decision "
                    f"({decision.steps} steps of {format_quantity(network.dt)}), which starts from cleared traces: "
                    "shorten it, raise decision.steps, or set decision.clear = 'episode'"
                )
        return self

    @model_validator(mode="after")
    def _kernel_fits(self) -> Experiment:
        length, decision = self.network.kernel.length, self.decision.steps * self.network.dt
        if self.decision.clear == "decision" and float(length) > float(decision) * (1 + 1e-9):
            raise ValueError(
                f"the kernel ({format_quantity(length)}) is longer than a decision "
                f"({self.decision.steps} steps of {format_quantity(self.network.dt)}), which starts from cleared "
                "traces: shorten the kernel, raise decision.steps, or set decision.clear = 'episode'"
            )
        return self

    @model_validator(mode="after")
    def _dynamics_fit(self) -> Experiment:
        rule, learning = self.learning.rule, self.learning
        if self.dynamics == "rate":
            if not isinstance(rule, MeanFieldRule):
                raise ValueError(
                    f"learning.rule.kind = {rule.kind!r} learns from spikes, and dynamics = 'rate' has none: set "
                    "learning.rule.kind = 'mean_field', or dynamics = 'spiking'"
                )
            if learning.published_code and rule.depth > 1:
                raise ValueError(
                    f"learning.published_code goes with the published learning.rule.depth = 1, got {rule.depth}"
                )
            return self
        for asked, found in (
            ("learning.rule.kind = 'mean_field'", isinstance(rule, MeanFieldRule)),
            ("learning.published_code", learning.published_code),
        ):
            if found:
                raise ValueError(f"{asked} needs the mean field: set dynamics = 'rate', or leave it out")
        if isinstance(learning.modulation, PPO):
            self._check_replay()
        return self

    def _check_replay(self) -> None:
        """Raise ValueError unless probabilities of spikes played can be told from their traces and the weights."""
        why = "learning.modulation.kind = 'ppo' replays spikes"
        if not isinstance(self.learning.rule, Feedback):
            raise ValueError(
                f"{why}, for which learning.rule.kind has to be 'feedback', got {self.learning.rule.kind!r}"
            )
        if self.decision.decoder != "last_spike":
            raise ValueError(f"{why}, and a majority of spikes has another probability: set decision.decoder")
        for name in ("noise", "refractory"):
            if getattr(self.network, name):
                raise ValueError(f"{why}, whose probabilities network.{name} makes others: leave it out")

    @model_validator(mode="after")
    def _critic_fits(self) -> Experiment:
        critic, modulation = self.critic, self.learning.modulation
        if isinstance(modulation, TDError) and not critic.online:
            raise ValueError(
                f"critic.kind = {critic.kind!r} tells TD errors at the end of an episode: set learning.modulation.kind "
                "= 'episode_advantage' (or, with dynamics = 'rate', 'ppo')"
            )
        if isinstance(critic, Rates):
            self._rates_can_be_read()
        return self

    def _rates_can_be_read(self) -> None:
        rule = self.learning.rule
        if self.network.n_hidden == 0:
            raise ValueError(
                "critic.kind = 'rates' reads hidden circuits, and this network has none: set network.hidden_circuits"
            )
        if rule.needs_history:
            raise ValueError(
                f"critic.kind = 'rates' reads the spikes that learning.rule.kind = {rule.kind!r} credits, and would "
                "bias it: take 'last_step' or 'feedback', which credit last spikes, or another critic"
            )
        if self.dynamics == "spiking" and self.decision.steps == 1:
            raise ValueError("critic.kind = 'rates' leaves each circuit's last spike out: raise decision.steps above 1")

    @model_validator(mode="after")
    def _synapses_can_learn(self) -> Experiment:
        self.learning.plasticity(self.network)
        return self

    @model_validator(mode="after")
    def _replicas_fit(self) -> Experiment:
        if self.training.side_by_side:
            self.check_replicas()
        return self

    def check_replicas(self) -> None:
        """Raise ValueError if episodes cannot be played side by side, by replicas."""
        training, learning = self.training, self.learning
        asked = f"training.vector = {training.vector!r}" if training.vector != "none" else "a vector environment"
        if training.replicas > 1:
            asked = f"training.replicas = {training.replicas}"
        if isinstance(learning.modulation, TDError):
            raise ValueError(
                f"{asked} needs weights that stay the same while episodes are played, and the TD error teaches at "
                "once: set learning.modulation.kind = 'episode_advantage' or 'ppo'"
            )
        if learning.batch < training.replicas:
            raise ValueError(
                f"{asked} needs as many episodes in a batch, as weights change after each batch: raise "
                f"learning.batch, which is {learning.batch}, to {training.replicas} or a multiple"
            )
        if self.dynamics == "spiking" and self.engine.name == "runtime":
            raise ValueError(
                f"{asked} needs networks that can run in threads, which Brian2's own runtime cannot: set "
                "engine.name = 'compiled', or dynamics = 'rate'"
            )

    def changed(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with settings replaced, named by dotted keys: ``{"network.kernel.tau": "8 ms"}``.

        Raises
        ------
        ConfigError
            For an unknown key (with the nearest right one) or an impossible value.
        """
        tree = self.model_dump(mode="json")
        for key, value in changes.items():
            _assign(tree, key.split("."), value)
        return _validated(tree)

    def resolved(self) -> Experiment:
        """The same with nothing left to the machine to choose: the engine by its name, not "auto"."""
        return self.model_copy(update={"engine": self.engine.resolved()})

    def merged(self, tree: Mapping[str, Any]) -> Experiment:
        """A copy with the settings of a nested mapping, such as a TOML file."""
        return self.changed(dict(_leaves(tree)))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # A kind comes first: choosing another kind drops the settings of the one before.
    for key, value in sorted(tree.items(), key=lambda item: item[0] != "kind"):
        if isinstance(value, Mapping) and f"{prefix}{key}" != "environment.kwargs":
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _assign(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for i, name in enumerate(parents):
        if not isinstance(tree.get(name), dict):
            known = _keys_at(tuple(path[:i]))
            if name not in known and path[:2] != ["environment", "kwargs"]:
                raise ConfigError(f"unknown setting {'.'.join(path)!r}: {nearest(name, known)}")
            tree[name] = {}
        tree = tree[name]
    chooses = last == "kind" and any(_tag(model) for model in _models_at(tuple(parents)))
    if chooses and tree.get("kind") != value:
        tree.clear()
    tree[last] = value


def _validated(tree: Mapping[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        lines = (_explain(e["loc"], e["type"], e["msg"], e["input"]) for e in error.errors())
        raise ConfigError("\n".join(map(_presentable, lines))) from None


def _presentable(line: str) -> str:
    """A line about what was given, whatever that was."""
    line = printable(line)
    return line if len(line) <= 3000 else f"{line[:2000]} ... {line[-500:]}"


def _explain(loc: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    path = tuple(part for part in loc if isinstance(part, str))
    names = _without_tags(path)
    key = ".".join(names)
    if kind == "extra_forbidden":
        return f"unknown setting {key!r}: {nearest(names[-1], _keys_at(path[:-1]))}"
    message = message.removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message[:1].isupper() and message[1:2].islower() else message
    if not key or isinstance(given, Mapping):
        return f"{key}: {message}" if key else message
    value = repr(given)
    return f"{key} = {value if len(value) <= 500 else f'{value[:497]}...'}: {message}"


# -- the settings as a tree ------------------------------------------------------------------------------


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes an annotation allows."""
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for part in get_args(annotation) for model in _models(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _tag(model: type[BaseModel]) -> str | None:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _walk(path: tuple[str, ...]) -> Iterator[tuple[str | None, list[type[BaseModel]]]]:
    """For each part of a validation path: its name (None for the tag of a union) and the classes below it."""
    models: list[type[BaseModel]] = [Experiment]
    for part in path:
        tagged = [model for model in models if _tag(model) == part]
        if len(models) > 1 and tagged:
            models = tagged
            yield None, models
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        models = [below for field in fields for below in _models(field.annotation)]
        yield part, models


def _without_tags(path: tuple[str, ...]) -> list[str]:
    return [name for name, _ in _walk(path) if name is not None]


def _models_at(path: tuple[str, ...]) -> list[type[BaseModel]]:
    return [models for _, models in _walk(path)][-1] if path else [Experiment]


def _keys_at(path: tuple[str, ...]) -> set[str]:
    return {name for model in _models_at(path) for name in model.model_fields}


def options() -> dict[str, FieldInfo]:
    """Every setting by its dotted key, for documentation and the command line."""
    found: dict[str, FieldInfo] = {}

    def visit(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            below = _models(field.annotation)
            if below:
                for part in below:
                    visit(part, f"{prefix}{name}.")
            else:
                found.setdefault(prefix + name, field)

    visit(Experiment, "")
    return found


# -- files -----------------------------------------------------------------------------------------------


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML text that reads back as the same experiment."""
    return tomli_w.dumps(experiment.model_dump(mode="json", exclude_none=True))


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as nested dictionaries.

    Raises
    ------
    ConfigError
        If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def from_toml(path: Path) -> Experiment:
    """The experiment written by `to_toml`; a table ``versions`` is left aside."""
    tree = read_toml(path)
    tree.pop("versions", None)
    try:
        return _validated(tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
