"""What a page can ask of a simulation, checked before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from rwta_sim.errors import ConfigError, nearest, shown
from rwta_sim.settings import Settings

if TYPE_CHECKING:
    from rwta_sim.live.simulation import Simulation

__all__ = ["Command", "command_of"]

_Index = Annotated[int, Field(ge=0, le=2**31, strict=True)]


class Command(Settings):
    """Something to do at once, in the simulation's thread, between two decisions."""

    do: str

    def check(self, simulation: Simulation) -> None:
        """Raise ConfigError if it cannot be done; asked in the thread of the server."""

    def obey(self, simulation: Simulation) -> None:
        """Do it; raises RwtaSimError if it cannot be done, and then nothing has changed."""
        raise NotImplementedError(type(self).__name__)


class Pause(Command):
    """Wait, or go on."""

    do: Literal["pause"] = "pause"
    on: bool

    def obey(self, simulation: Simulation) -> None:
        simulation.pause(self.on)


class Step(Command):
    """One decision, then wait."""

    do: Literal["step"] = "step"

    def obey(self, simulation: Simulation) -> None:
        simulation.step()


class Reset(Command):
    """From the start again: the weights it began with."""

    do: Literal["reset"] = "reset"

    def obey(self, simulation: Simulation) -> None:
        simulation.reset()


class Pace(Command):
    """Decisions a second, at the most; None: as many as there can be."""

    do: Literal["pace"] = "pace"
    value: Annotated[float, Field(ge=0.5, le=1000)] | None

    def obey(self, simulation: Simulation) -> None:
        simulation.pace(self.value)


class Learn(Command):
    """Learn or not, from the next episode on, which begins now."""

    do: Literal["learn"] = "learn"
    on: bool

    def check(self, simulation: Simulation) -> None:
        simulation.check_learning(self.on)

    def obey(self, simulation: Simulation) -> None:
        simulation.learn(self.on)


class Sign(Command):
    """Rewards as they are, or with the other sign."""

    do: Literal["sign"] = "sign"
    value: Literal[1, -1]

    def obey(self, simulation: Simulation) -> None:
        simulation.sign(self.value)


class Turn(Command):
    """Turn a dial."""

    do: Literal["turn"] = "turn"
    key: str
    value: float | str = Field(union_mode="left_to_right")

    def check(self, simulation: Simulation) -> None:
        simulation.check_dial(self.key, self.value)

    def obey(self, simulation: Simulation) -> None:
        simulation.turn(self.key, self.value)


class Perturb(Command):
    """Lesion or stimulate, as the system declares."""

    do: Literal["perturb"] = "perturb"
    name: str
    target: Annotated[str, Field(max_length=200)]

    def obey(self, simulation: Simulation) -> None:
        simulation.perturb(self.name, self.target)


class Heal(Command):
    """The parameters from before the first perturbation."""

    do: Literal["heal"] = "heal"

    def obey(self, simulation: Simulation) -> None:
        simulation.heal()


class Record(Command):
    """Record from the next episode on, or stop."""

    do: Literal["record"] = "record"
    on: bool

    def obey(self, simulation: Simulation) -> None:
        simulation.record(self.on)


class Act(Command):
    """An action in place of the agent's, until None."""

    do: Literal["act"] = "act"
    action: _Index | None

    def check(self, simulation: Simulation) -> None:
        simulation.check_action(self.action)

    def obey(self, simulation: Simulation) -> None:
        simulation.act(self.action)


class Watch(Command):
    """Another synapse to look at."""

    do: Literal["synapse"] = "synapse"
    block: str
    pre: _Index
    post: _Index

    def obey(self, simulation: Simulation) -> None:
        simulation.watch_synapse(self.block, self.pre, self.post)


_KINDS = Pause | Step | Reset | Pace | Learn | Sign | Turn | Perturb | Heal | Record | Act | Watch
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Annotated[_KINDS, Field(discriminator="do")])
_NAMES = [kind.model_fields["do"].default for kind in _KINDS.__args__]


def command_of(tree: object) -> Command:
    """The command that a page sent.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if not isinstance(tree, dict) or tree.get("do") not in _NAMES:
        asked = tree.get("do") if isinstance(tree, dict) else tree
        raise ConfigError(f"command {shown(asked)}: {nearest(str(asked), _NAMES)}")
    try:
        command: Command = _ADAPTER.validate_python(tree)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"][1:2])
        raise ConfigError(f"{tree['do']}: {where} = {shown(wrong['input'])}: {wrong['msg']}") from None
    return command
