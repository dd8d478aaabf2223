"""What is common to all experiments; each system adds settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from rwta_sim.errors import ConfigError, RwtaSimError
from rwta_sim.loop.dials import Dial
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.probes import Sampling, choose
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import System
from rwta_sim.loop.tree import assign, explained, leaves, options
from rwta_sim.settings import Name, PositiveInt, Settings

__all__ = ["Experiment", "TrainingSpec", "VectorKind"]

VectorKind = Literal["none", "sync", "async"]


class TrainingSpec(Settings):
    """How long, how it is validated and when it stops."""

    episodes: PositiveInt = Field(1000, description="training episodes")
    decisions: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        None,
        description="budget of training decisions in place of episodes: training ends with the episode that uses it "
        "up, and schedules follow the share that is used",
    )
    validate_every: PositiveInt = Field(50, description="episodes between validations")
    validation_episodes: PositiveInt = Field(20, description="greedy episodes in a validation")
    best_by: Literal["return", "discounted_return"] = Field(
        "return",
        description="mean of a validation that chooses the best weights, after the share of successes where there is "
        "one: the return, or the discounted return, which is higher the sooner the goal is reached",
    )
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

    together: bool = Field(
        False,
        description="decisions of all replicas at once, in one matrix product, where the system can (circuits without "
        "spikes); numbers then differ in their rounding with the number of replicas",
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> TrainingSpec:
        if self.together and self.vector != "none":
            raise ValueError(
                f"together = true and vector = {self.vector!r}: replicas that decide together have environments of "
                "their own; leave one out"
            )
        if self.together and self.replicas == 1:
            raise ValueError("together = true needs more than one to decide: raise training.replicas")
        return self

    def progress(self, episodes: int, decisions: int) -> float:
        """Share of the training that is done after so many of its episodes and decisions; from 1 on it is over."""
        return episodes / self.episodes if self.decisions is None else decisions / self.decisions

    @property
    def side_by_side(self) -> bool:
        """Whether episodes are played by replicas."""
        return self.replicas > 1 or self.vector != "none"


#: Rates of learning that many systems have: setting, name for people, and range.
_RATES = (("learning.rate", "learning rate", 1e-5, 0.3), ("learning.entropy", "entropy", 0.0, 0.5))


class Experiment(Settings):
    """Everything that determines a run, together with the versions of the software.

    A system's settings are a subclass with fields of its own and a `build`; ``rwta_sim.loop.registry`` finds it by
    the name of the model.
    """

    task: Name = Field(description="name of the task")
    model: Name = Field(description="published system, or another one, whose preset this is")
    seed: int = Field(0, ge=0, description="the one seed from which everything random flows")
    environment: EnvironmentSpec
    training: TrainingSpec = TrainingSpec()

    #: Settings that a run may change on its way.
    changeable: ClassVar[frozenset[str]] = frozenset({"training", "engine"})
    #: What the system logs (`System.numbers`, then `System.learning_numbers`): columns of metrics.csv.
    logs: ClassVar[tuple[str, ...]] = ()
    #: What a validation tells of hidden circuits: more columns, with values where there was a validation.
    vitals: ClassVar[tuple[str, ...]] = ()
    #: What was done before there was a setting for it, by dotted key, where the setting's default is another.
    before: ClassVar[dict[str, Any]] = {}
    #: Figures that can be drawn of a run, beside its learning curve: "weights", "raster", "rates".
    draws: ClassVar[tuple[str, ...]] = ()
    #: What has to be installed beyond the package: names of modules and of their packages; and the extra that has them.
    needs: ClassVar[Mapping[str, str]] = {}
    extra: ClassVar[str] = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(task={self.task!r}, model={self.model!r}, seed={self.seed})"

    # -- what a system says of itself ------------------------------------------------------------------

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> System:
        """The system, for an environment with these spaces.

        Parameters
        ----------
        spaces : Spaces
        record : bool
            Have its spikes recorded, if it has such.
        trains : bool
            Whether it is the one that learns: then it may reckon the memory of all of the training.

        Raises
        ------
        RwtaSimError
            If it cannot be built for these spaces, or on this machine.
        """
        raise NotImplementedError(f"{type(self).__name__}.build")

    def build_sampled(self, spaces: Spaces, sampling: Sampling, trains: bool = False) -> System:
        """The same, with what `sampling` chooses recorded within decisions: see `System.drain`.

        Raises
        ------
        ConfigError
            If there is no such probe, or its samples do not fit into decisions.
        """
        system = self.build(spaces, trains=trains)
        choose(sampling.probes, system.probes())
        return system

    @property
    def logged(self) -> tuple[str, ...]:
        """What it logs with these settings, `logs` or more."""
        return self.logs

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages on whose versions its numbers depend, beyond those of every experiment."""
        return tuple(name.replace("_", "-") for name in self.needs)

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that `build` imports because a setting names them: beside the environment's, code of a run folder."""
        return ()

    def check_libraries(self) -> None:
        """Raise RwtaSimError if a package that it needs is not installed."""
        missing = [name for module, name in self.needs.items() if find_spec(module) is None]
        if missing:
            wanted = f"pip install 'rwta-sim[{self.extra}]'"
            raise RwtaSimError(f"model = {self.model!r} needs {' and '.join(missing)}: {wanted}")

    def resolved(self) -> Self:
        """The same with nothing left to the machine to choose, such as an engine "auto"."""
        return self

    def with_dynamics(self, dynamics: str | None) -> Self:
        """The same weights with other dynamics, where the system has several.

        Raises
        ------
        ConfigError
            If it has not.
        """
        if dynamics is not None:
            raise ConfigError(f"dynamics = {dynamics!r}: the model {self.model!r} has one kind of dynamics")
        return self

    @property
    def dynamics_name(self) -> str:
        """What it plays as, for people: "spiking", "rate", or "none" without a network of neurons."""
        return "none"

    @property
    def compiles(self) -> bool:
        """Whether a training begins with compiling a network."""
        return False

    @property
    def n_hidden(self) -> int:
        """Hidden neurons of its network, the first ones in a recording; 0 without a network."""
        return 0

    def may_have_hidden(self, count: int) -> bool:
        """Whether a recording of its network may have so many hidden neurons: one of any other is damaged."""
        return count == self.n_hidden

    def dials(self) -> tuple[Dial, ...]:
        """Settings that somebody may turn while they watch it learn: of all systems the rates of learning they have."""
        known, tree = options(type(self)), dict(leaves(self.model_dump(mode="json")))
        found = []
        for key, label, low, high in _RATES:
            if key in known and isinstance(value := tree.get(key), int | float):
                found.append(Dial(key, label, value, min(low, value), max(high, value), log=low > 0))
        return tuple(found)

    def check_batches(self, asked: str) -> None:
        """Raise ValueError if copies of the system cannot play the episodes of a batch; `asked` begins the message."""
        raise ValueError(f"{asked}: the model {self.model!r} has no batches that copies could play")

    def check_side_by_side(self, asked: str) -> None:
        """The same, if they are to do so in one process."""
        self.check_batches(asked)

    # -- settings ----------------------------------------------------------------------------------------

    @model_validator(mode="after")
    def _replicas_fit(self) -> Self:
        if self.training.side_by_side:
            self.check_replicas()
        return self

    def check_replicas(self) -> None:
        """Raise ValueError if episodes cannot be played side by side, by replicas."""
        training = self.training
        asked = f"training.vector = {training.vector!r}" if training.vector != "none" else "a vector environment"
        if training.replicas > 1:
            asked = f"training.replicas = {training.replicas}"
        self.check_side_by_side(asked)

    def check_batch(self, asked: str, batch: int) -> None:
        """Raise ValueError if there are more replicas than episodes in a batch."""
        if batch < self.training.replicas:
            raise ValueError(
                f"{asked} needs as many episodes in a batch, as weights change after each batch: raise "
                f"learning.batch, which is {batch}, to {self.training.replicas} or a multiple"
            )

    def changed(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """A copy with settings replaced, named by dotted keys: ``{"network.kernel.tau": "8 ms"}``, or ``seed=1``.

        Raises
        ------
        ConfigError
            For an unknown key (with the nearest right one) or an impossible value.
        """
        tree = self.model_dump(mode="json")
        for key, value in {**(changes or {}), **more}.items():
            assign(type(self), tree, key.split("."), value)
        return self.of(tree)

    def merged(self, tree: Mapping[str, Any]) -> Self:
        """A copy with the settings of a nested mapping, such as a TOML file."""
        return self.changed(dict(leaves(tree)))

    def fixed(self) -> dict[str, Any]:
        """The settings that a run may not change on its way, as plain JSON."""
        return self.model_dump(mode="json", exclude=set(self.changeable))

    def as_before(self, tree: Mapping[str, Any]) -> Self:
        """The same with what was done `before` some settings existed, where the complete settings `tree` lack them."""
        known = {key for key, _ in leaves(tree)}
        return self.changed({key: value for key, value in self.before.items() if key not in known})

    @classmethod
    def needs_description(cls) -> bool:
        """Whether settings of its own have no defaults, so that a task alone is no experiment."""
        own = (field for name, field in cls.model_fields.items() if name not in Experiment.model_fields)
        return any(field.is_required() for field in own)

    @classmethod
    def described(cls, settings: Mapping[str, Any]) -> Self:
        """The experiment of all its settings, by dotted keys; raises ConfigError as `changed` does."""
        tree: dict[str, Any] = {}
        for key, value in settings.items():
            assign(cls, tree, key.split("."), value)
        return cls.of(tree)

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Self:
        """The experiment that a nested mapping describes.

        Raises
        ------
        ConfigError
            For what it cannot be.
        """
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise explained(cls, error) from None
