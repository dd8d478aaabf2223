"""Settings of what is trained by the PPO of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rwta_sim.errors import ConfigError
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.ppo.system import PPOSystem

__all__ = ["ActorCriticExperiment", "ConversionSpec", "PPOExperiment", "PPOLearningSpec"]

NonNegative = Annotated[float, Field(ge=0)]


class PPOLearningSpec(Settings):
    """How actor and critic learn: PPO-clip (Schulman et al. 2017) as Stable-Baselines3 has it, with its defaults."""

    steps: Annotated[int, Field(ge=2)] = Field(
        2048, description="decisions between updates, of whatever episodes they are"
    )
    minibatch: Annotated[int, Field(ge=2)] = Field(64, description="decisions in a step of an update")
    epochs: PositiveInt = Field(10, description="passes through the decisions of an update")
    rate: PositiveFloat = Field(3e-4, description="learning rate at the start")
    final_rate: Fraction = Field(1.0, description="learning rate at the end, as a fraction; linear in between")
    gamma: Fraction = Field(0.99, description="discount of the reward per decision")
    lam: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")
    clip: PositiveFloat = Field(0.2, description="how far a probability may move from its old one, as a fraction")
    entropy: NonNegative = Field(0.0, description="weight of the policy entropy at the start")
    final_entropy: Fraction = Field(1.0, description="weight of the entropy at the end, as a fraction")
    value: NonNegative = Field(0.5, description="weight of the critic's squared error")
    max_gradient: PositiveFloat = Field(0.5, description="length to which a longer gradient is cut")
    normalise: bool = Field(True, description="advantages of a minibatch to mean 0 and standard deviation 1")

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if self.minibatch > self.steps:
            raise ValueError(
                f"minibatch = {self.minibatch} is more than steps = {self.steps}, the decisions of an update: lower it"
            )
        return self


class ActorCriticExperiment(Experiment):
    """What systems have in common whose actor, a network of layers, learns by PPO beside a critic of ReLU units."""

    encoder: EncoderSpec = Scaled(complementary=False)
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        (64,), description="units in each hidden layer of the actor"
    )
    critic_hidden: tuple[PositiveInt, ...] = Field(
        (64, 64), description="ReLU units in each hidden layer of the critic"
    )
    learning: PPOLearningSpec = PPOLearningSpec()

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "stable_baselines3": "Stable-Baselines3"}
    extra = "rivals"

    def check_batches(self, asked: str) -> None:
        raise ValueError(
            f"{asked}: the model {self.model!r} learns after every learning.steps decisions, also within an episode: "
            "leave it out"
        )


class ConversionSpec(Settings):
    """How the trained network is run as spikes: rates of integrate-and-fire neurons in place of ReLU units.

    Thresholds are balanced by data (Diehl et al., IJCNN 2015): that of a hidden layer is what its units reach on the
    observations of the last update.
    """

    steps: PositiveInt = Field(25, description="steps of a decision, in each of which a neuron fires once at the most")
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.999, description="of the values of a layer's active units, those that its threshold exceeds"
    )
    inputs: Literal["current", "spikes"] = Field(
        "current", description="current: numbers as they are; spikes: drawn in each step with their drive's probability"
    )


class PPOExperiment(ActorCriticExperiment):
    """An ordinary network, inputs to ReLU units to a softmax of actions, trained by PPO (Stable-Baselines3).

    It learns by acting as it is. Validated and evaluated it acts as it is too, or, where `dynamics` says so, by spikes:
    the same weights as a network of integrate-and-fire neurons.
    """

    dynamics: Literal["rate", "spiking"] = Field(
        "rate", description="what evaluations and validations play: rate: the network itself; spiking: converted"
    )
    conversion: ConversionSpec = ConversionSpec()

    logs: ClassVar[tuple[str, ...]] = ("entropy", "learning_rate")
    draws: ClassVar[tuple[str, ...]] = ("raster", "rates", "tuning")

    @model_validator(mode="after")
    def _spikes_fit(self) -> Self:
        if self.dynamics == "spiking" and self.conversion.inputs == "spikes" and self.encoder.unconfined:
            raise ValueError(
                f"{self.encoder.unconfined} makes drives below 0 and above 1, which are no probabilities: set "
                "conversion.inputs = 'current', or leave it out"
            )
        return self

    def with_dynamics(self, dynamics: str | None) -> Self:
        if dynamics not in (None, "spiking", "rate"):
            raise ConfigError(f"dynamics = {dynamics!r}: expected 'spiking' or 'rate'")
        return self if dynamics is None else self.changed(dynamics=dynamics)

    @property
    def dynamics_name(self) -> str:
        return "spiking" if self.dynamics == "spiking" else "none"

    @property
    def n_hidden(self) -> int:
        return sum(self.hidden)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> PPOSystem:
        self.check_libraries()
        from rwta_sim.agents.ppo.system import ConvertedSystem, PPOSystem  # here, because they import PyTorch

        return ConvertedSystem(self, spaces, record) if self.dynamics == "spiking" else PPOSystem(self, spaces)
