"""Settings of a Brian2 network of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from rwta_sim.agents.clocked import ClockedExperiment
from rwta_sim.learning.critics import Constant, CriticSpec
from rwta_sim.learning.modulation import Control
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.environment_spec import as_toml
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Name, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.brian2.system import Brian2System

__all__ = ["Brian2Experiment", "BuilderSpec"]


def _of_an_object(text: str) -> str:
    owner, _, variable = text.partition(".")
    if not (owner.isidentifier() and variable.isidentifier()):
        raise ValueError("expected 'object.variable', by the name of a Brian2 object and that of its variable")
    return text


_Variable = Annotated[str, AfterValidator(_of_an_object)]


class BuilderSpec(Settings):
    """A function that builds Brian2 objects, and what the loop has to know of them.

    The function is called as ``build(n_inputs, n_actions, **kwargs)`` and returns the objects: a Network, or a list.
    Objects go by their Brian2 names (``name="actions"``), variables by "object.variable". Constants in equations are
    looked up in the namespaces of the objects, then in the function's module.
    """

    build: Name = Field(description="the function, as 'module:function'; in Python also the function itself")
    kwargs: dict[str, Any] = Field({}, description="more keyword arguments for it")
    inputs: _Variable = Field(description="variable that takes the drive of the inputs, in [0, 1], times input_scale")
    input_scale: float = Field(1.0, gt=0, description="in SI units: 100 for rates up to 100 Hz")
    actions: Name = Field(description="group with a neuron per action: most spikes in a decision choose")
    modulation: _Variable | None = Field(
        None, description="variable that is given the modulation after each decision, for the next one"
    )
    keep: tuple[_Variable, ...] = Field(
        (), description="variables that learning changes: they outlive an episode, and are saved; the rest starts anew"
    )

    @field_validator("build", mode="before")
    @classmethod
    def _by_name(cls, build: Any) -> Any:
        if not callable(build):
            return build
        module, name = getattr(build, "__module__", None), getattr(build, "__qualname__", "<object>")
        if module == "__main__" or not module or not name.isidentifier():
            raise ValueError(
                "a run folder has to find the function again, by its name in a module: define it at the top of a file "
                "of its own, such as network.py, and import it from there"
            )
        return f"{module}:{name}"

    @field_validator("build")
    @classmethod
    def _names_a_function(cls, text: str) -> str:
        module, _, name = text.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), name)):
            raise ValueError("expected 'module:function', of a module that can be imported")
        return text

    @field_validator("kwargs", mode="before")
    @classmethod
    def _survive_toml(cls, kwargs: Any) -> Any:
        return as_toml(kwargs, "") if isinstance(kwargs, dict) else kwargs

    @property
    def module(self) -> str:
        """The module of the function."""
        return self.build.partition(":")[0]


class Brian2Experiment(ClockedExperiment):
    """A network of the user's own, which learns by its own equations from one broadcast number, if at all.

    After each decision the modulation, the critic's TD error, is written to a variable of the network, whose
    three-factor synapses use it as they like in the next decision: an ordinary way is ``run_regularly``. The modulation
    of an episode's last decision comes with the first decision of the next training episode. When the network does not
    learn, in validations and evaluations, it is 0.
    """

    model: Name = Field("brian2", description="'brian2'")
    encoder: EncoderSpec = Scaled()
    network: BuilderSpec
    decision_steps: PositiveInt = Field(100, le=10**9, description="time steps of the fastest clock in a decision")
    critic: CriticSpec = Constant()
    control: Control = Field("none", description="none: learn; off: modulation stays 0; shuffled: that of others")

    logs: ClassVar[tuple[str, ...]] = ("rate_hz",)

    @model_validator(mode="after")
    def _tells_at_once(self) -> Brian2Experiment:
        if not self.critic.online:
            raise ValueError(
                f"critic.kind = {self.critic.kind!r} tells TD errors at the end of an episode, and a network of your "
                "own hears of them at every decision: take 'constant', 'linear', 'tabular' or 'fourier'"
            )
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        return (self.network.module,)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> Brian2System:
        from rwta_sim.agents.brian2.system import Brian2System

        return Brian2System(self, spaces, record)

    def build_sampled(self, spaces: Spaces, sampling: Sampling, trains: bool = False) -> Brian2System:
        from rwta_sim.agents.brian2.system import Brian2System

        return Brian2System(self, spaces, sampling=sampling)
