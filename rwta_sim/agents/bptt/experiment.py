"""Settings of spiking networks that learn by surrogate gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from rwta_sim.agents.ppo.experiment import ActorCriticExperiment
from rwta_sim.errors import ConfigError
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.bptt.system import BPTTSystem

__all__ = ["BPTTExperiment", "LeakySpec"]


class LeakySpec(Settings):
    """Neurons of snnTorch's kind `Leaky`, with a threshold of 1, and how a policy is read from them."""

    steps: PositiveInt = Field(25, description="steps of a decision, in each of which a neuron fires once at the most")
    beta: Fraction = Field(
        0.9, description="share of a potential that is left after a step; learned, one in each layer"
    )
    slope: PositiveFloat = Field(
        25.0, description="k of the fast sigmoid 1/(1 + k |u - 1|)^2 that stands for the derivative of a spike"
    )
    gain: PositiveFloat = Field(
        1.0, description="what the mean spikes of the actions are multiplied by before their softmax"
    )


class BPTTExperiment(ActorCriticExperiment):
    """A spiking network, inputs to leaky neurons to one leaky neuron an action, that acts by its spikes alone.

    The policy is the softmax of the mean output spikes of a decision. It learns by PPO (Stable-Baselines3), whose
    gradient goes back through all steps of time, with a smooth stand-in for the derivative of a spike (Neftci, Mostafa
    and Zenke 2019; Zenke and Ganguli 2018, fast sigmoid), by snnTorch.
    """

    neurons: LeakySpec = LeakySpec()

    logs: ClassVar[tuple[str, ...]] = ("entropy", "spikes", "learning_rate")
    draws: ClassVar[tuple[str, ...]] = ("raster", "rates", "tuning")
    needs: ClassVar[Mapping[str, str]] = {**ActorCriticExperiment.needs, "snntorch": "snnTorch"}

    def with_dynamics(self, dynamics: str | None) -> Self:
        if dynamics not in (None, "spiking"):
            raise ConfigError(f"dynamics = {dynamics!r}: the model {self.model!r} has spikes alone")
        return self

    @property
    def dynamics_name(self) -> str:
        return "spiking"

    @property
    def n_hidden(self) -> int:
        return sum(self.hidden)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> BPTTSystem:
        self.check_libraries()
        from rwta_sim.agents.bptt.system import BPTTSystem  # here, because it imports PyTorch

        return BPTTSystem(self, spaces, record)
