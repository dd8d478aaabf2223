"""Settings of deep Q-learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rwta_sim.engines import ClockedEngineSpec
from rwta_sim.errors import ConfigError, EngineError
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, Name, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.dsqn.system import DeepQSystem, SpikingQSystem

__all__ = ["ConvolutionSpec", "DQNExperiment", "DSQNExperiment", "LeakySpec", "QLearningSpec", "ReplaySpec"]

Device = Literal["auto", "cpu", "cuda"]


class ConvolutionSpec(Settings):
    """A layer of feature maps, without padding."""

    maps: PositiveInt = Field(16, description="feature maps")
    kernel: PositiveInt = Field(3, description="height and width of a map's filter")
    stride: PositiveInt = Field(1, description="cells between a map's neighbours")


class ReplaySpec(Settings):
    """What is remembered of decisions, to learn from again: Lin 1992; Mnih et al. 2015."""

    size: PositiveInt = Field(100_000, description="decisions; the oldest make room")
    store: Literal["float32", "uint8", "bits"] = Field(
        "float32",
        description="how a drive of the inputs is kept: as it is, in steps of 1/255, or a bit each (0 and 1 alone)",
    )
    start: PositiveInt = Field(5000, description="decisions before learning begins")
    batch: PositiveInt = Field(32, description="decisions of a step of learning, drawn evenly, with replacement")


class QLearningSpec(Settings):
    """How the network learns: Q-learning with replay and a target network, by Adam (Mnih et al. 2015)."""

    rate: PositiveFloat = Field(2.5e-4, description="learning rate at the start")
    final_rate: Fraction = Field(1.0, description="learning rate at the end, as a fraction; linear in between")
    gamma: Fraction = Field(0.99, description="discount of the reward per decision")
    every: PositiveInt = Field(4, description="decisions between steps of learning")
    target_every: PositiveInt = Field(1000, description="decisions between copies to the target network")
    loss: Literal["mse", "huber"] = Field("mse", description="of TD errors; huber: linear beyond 1")
    double: bool = Field(
        False, description="the network chooses what the target network judges (van Hasselt et al. 2016)"
    )
    epsilon: Fraction = Field(1.0, description="chance of an action drawn from all alike, at the start")
    final_epsilon: Fraction = Field(0.1, description="that chance in the end")
    epsilon_decisions: PositiveInt = Field(100_000, description="decisions in which it falls, linearly")

    def rate_at(self, progress: float) -> float:
        """The learning rate for `progress` from 0 (start) to 1 (end)."""
        return self.rate * (1.0 + (self.final_rate - 1.0) * min(progress, 1.0))

    def epsilon_at(self, decisions: int) -> float:
        """The chance of an action drawn from all alike, after so many decisions of training."""
        done = min(decisions / self.epsilon_decisions, 1.0)
        return self.epsilon + (self.final_epsilon - self.epsilon) * done


class LeakySpec(Settings):
    """Leaky integrate-and-fire neurons with a threshold of 1, reset to 0, and how Q is read from those of actions."""

    steps: PositiveInt = Field(8, description="steps T of a decision, in each of which a neuron fires once at the most")
    tau: Annotated[float, Field(ge=1)] = Field(2.0, description="membrane time constant, in steps")
    decoder: Literal["last", "max", "mean"] = Field(
        "max", description="Q of an action: its neuron's potential at the end, the highest, or the mean over steps"
    )
    alpha: PositiveFloat = Field(
        2.0,
        description="of (alpha/2)/(1 + (pi alpha x/2)^2), x = potential - 1, in place of a spike's derivative",
    )
    gain: PositiveFloat = Field(
        2.0, description="of the first weights onto hidden neurons, times those of He et al. (2015), so that they fire"
    )


class DQNExperiment(Experiment):
    """A network of ReLU units that tells Q of every action: DQN (Mnih et al. 2015), the rival of DSQN."""

    model: Name = Field("dqn", description="'dqn'")
    encoder: EncoderSpec = Scaled(complementary=False)
    convolutions: tuple[ConvolutionSpec, ...] = Field((), description="layers of feature maps, for pictures")
    hidden: tuple[PositiveInt, ...] = Field((64, 64), description="units in each dense hidden layer")
    learning: QLearningSpec = QLearningSpec()
    replay: ReplaySpec = ReplaySpec()
    device: Device = Field("auto", description="where the network is: auto: on a GPU where there is one (CUDA)")

    logs: ClassVar[tuple[str, ...]] = ("q", "epsilon")
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch"}
    extra = "torch"
    changeable: ClassVar[frozenset[str]] = Experiment.changeable | {"device"}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not (self.hidden or self.convolutions):
            raise ValueError("hidden = () and convolutions = (): expected a hidden layer at least")
        if self.replay.start > self.replay.size:
            raise ValueError(
                f"replay.start = {self.replay.start} is more than replay.size = {self.replay.size}: lower it"
            )
        if self.replay.store != "float32" and self.encoder.unconfined:
            raise ValueError(
                f"replay.store = {self.replay.store!r} keeps drives from 0 to 1, and {self.encoder.unconfined} makes "
                "others: set replay.store = 'float32'"
            )
        return self

    def device_for(self, trains: bool) -> str:
        """Where the network is: "cpu" or "cuda". Who does not train takes what there is.

        Raises
        ------
        EngineError
            If CUDA is asked for and absent.
        """
        import torch

        there = torch.cuda.is_available()
        if self.device == "cuda" and trains and not there:
            raise EngineError("device = 'cuda': PyTorch finds no GPU here; set device = 'cpu', or 'auto'")
        return "cuda" if there and self.device != "cpu" else "cpu"

    def check_batches(self, asked: str) -> None:
        raise ValueError(
            f"{asked}: the model {self.model!r} learns after every learning.every decisions, also within an episode: "
            "leave it out"
        )

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> DeepQSystem:
        self.check_libraries()
        from rwta_sim.agents.dsqn.system import DeepQSystem  # here, because it imports PyTorch

        return DeepQSystem(self, spaces, trains)


class DSQNExperiment(DQNExperiment):
    """A network of leaky integrate-and-fire neurons that tells Q by membrane potentials: DSQN.

    Chen, Peng, Huang and Tian 2022, arXiv:2201.09754. Inputs are currents, the same in every step; neurons of the
    actions integrate and do not fire. It learns by back-propagation through all steps of a decision. With an engine it
    acts as a Brian2 network of the same weights.
    """

    model: Name = Field("dsqn", description="'dsqn'")
    neurons: LeakySpec = LeakySpec()
    engine: ClockedEngineSpec | None = Field(
        None, description="what advances the Brian2 network that decides; none: PyTorch decides"
    )

    logs: ClassVar[tuple[str, ...]] = ("q", "spikes", "epsilon")
    draws: ClassVar[tuple[str, ...]] = ("raster", "rates", "tuning")

    def with_dynamics(self, dynamics: str | None) -> Self:
        if dynamics not in (None, "spiking"):
            raise ConfigError(f"dynamics = {dynamics!r}: the model {self.model!r} has spikes alone")
        return self

    @property
    def dynamics_name(self) -> str:
        return "spiking"

    def resolved(self) -> Self:
        return self if self.engine is None else self.model_copy(update={"engine": self.engine.resolved()})

    @property
    def compiles(self) -> bool:
        return self.engine is not None

    @property
    def n_hidden(self) -> int:
        """Those of dense layers: how many there are in feature maps is for pictures to say."""
        return sum(self.hidden)

    def may_have_hidden(self, count: int) -> bool:
        return count > self.n_hidden if self.convolutions else count == self.n_hidden

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> SpikingQSystem:
        self.check_libraries()
        if self.engine is not None:
            from rwta_sim.agents.dsqn.brian2_system import Brian2QSystem

            return Brian2QSystem(self, spaces, trains, record, self.engine.resolved())
        from rwta_sim.agents.dsqn.system import SpikingQSystem  # here, because it imports PyTorch

        return SpikingQSystem(self, spaces, trains, record)
