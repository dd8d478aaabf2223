"""Settings of networks that learn through reparameterised spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from rwta_sim.agents.clocked import ClockedExperiment
from rwta_sim.learning.critics import CriticSpec, Fourier
from rwta_sim.learning.modulation import PPO, Control, ModulationSpec
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, Name, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.reparameterised.system import ReparameterisedSystem

__all__ = ["ConcreteSpec", "ReparameterisedExperiment", "ReparameterisedLearningSpec"]


class ConcreteSpec(Settings):
    """How spikes are made differentiable: binary Concrete units, ``y = tanh((z - logit(u)/2)/temperature)``."""

    temperature: PositiveFloat = Field(1.0, description="temperature at the start")
    final_temperature: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="temperature at the end, as a fraction; geometric in between"
    )
    straight_through: bool = Field(
        True, description="spikes go forward, the derivative of the Concrete unit goes back; false: its value goes too"
    )

    def at(self, progress: float) -> float:
        """The temperature for `progress` from 0 (start) to 1 (end)."""
        return float(self.temperature * self.final_temperature ** min(max(progress, 0.0), 1.0))


class ReparameterisedLearningSpec(Settings):
    """How the network learns: back-propagation through its spikes, with Adam."""

    modulation: ModulationSpec = Field(PPO(normalise=True), description="what ln pi(action) is weighed with")
    rate: PositiveFloat = Field(1e-3, description="learning rate at the start")
    final_rate: Fraction = Field(0.1, description="learning rate at the end, as a fraction; linear in between")
    batch: PositiveInt = Field(1, description="episodes per update, if the modulation is not td_error")
    entropy: Annotated[float, Field(ge=0)] = Field(0.02, description="weight of the policy entropy at the start")
    final_entropy: Fraction = Field(1.0, description="weight of the entropy at the end, as a fraction")
    control: Control = Field(
        "none", description="none: learn; off: do not; shuffled: modulation given to the wrong decisions"
    )

    @model_validator(mode="after")
    def _batches(self) -> Self:
        if self.batch > 1 and self.modulation.online:
            raise ValueError(
                f"batch = {self.batch} needs modulation.kind = 'episode_advantage' or 'ppo': the TD error teaches at "
                "once"
            )
        return self


class ReparameterisedExperiment(ClockedExperiment):
    """Stochastic neurons of +1 and -1 that act as spikes in Brian2 and learn, in PyTorch, through their noise.

    Reparameterisation is the second approach of Aenugu (2020, arXiv 2005.05941), made explicit here as binary Concrete
    units (Maddison, Mnih and Teh, ICLR 2017; Jang, Gu and Poole, ICLR 2017).
    """

    model: Name = Field("reparameterised", description="'reparameterised'")
    encoder: EncoderSpec = Scaled()
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        (64,), description="stochastic neurons in each hidden layer"
    )
    gain: PositiveFloat = Field(
        1.0, description="of the first weights onto hidden neurons, times those of He et al. (2015), for dense inputs"
    )
    concrete: ConcreteSpec = ConcreteSpec()
    learning: ReparameterisedLearningSpec = ReparameterisedLearningSpec()
    critic: CriticSpec = Fourier()

    logs: ClassVar[tuple[str, ...]] = ("entropy", "spikes", "learning_rate", "temperature")
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch"}
    extra = "torch"
    draws: ClassVar[tuple[str, ...]] = ("raster", "rates", "tuning")

    @model_validator(mode="after")
    def _critic_fits(self) -> Self:
        critic = self.critic
        if critic.reads_rates:
            raise ValueError("critic.kind = 'rates' reads hidden circuits, and this network has none: take another")
        if self.learning.modulation.recalls:
            raise ValueError(
                f"learning.modulation.kind = {self.learning.modulation.kind!r}: model = {self.model!r} remembers no "
                "decisions beyond their episodes; take 'ppo', 'episode_advantage' or 'td_error'"
            )
        self.learning.modulation.check_critic(critic)
        return self

    @property
    def n_hidden(self) -> int:
        return sum(self.hidden)

    def check_batches(self, asked: str) -> None:
        self.learning.modulation.check_side_by_side(asked)
        self.check_batch(asked, self.learning.batch)

    def check_side_by_side(self, asked: str) -> None:
        super().check_side_by_side(asked)
        self.engine.check_threads(asked)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> ReparameterisedSystem:
        self.check_libraries()
        from rwta_sim.agents.reparameterised.system import ReparameterisedSystem  # here, because it imports PyTorch

        return ReparameterisedSystem(self, spaces, record)
