"""Settings of equilibrium propagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, Name, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.ep.system import EPSystem

__all__ = ["EPExperiment", "EPLearningSpec", "SettlingSpec"]


class SettlingSpec(Settings):
    """How the network settles: steps down the gradient of its energy, units kept in [0, 1]."""

    step: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="length of a step")
    steps: PositiveInt = Field(20, description="steps of the free phase, after which the answer is read")
    nudged_steps: PositiveInt = Field(4, description="steps of the nudged phase, which follows in learning")
    nudge: PositiveFloat = Field(1.0, description="beta, the strength of the nudge; its sign is drawn for each update")


class EPLearningSpec(Settings):
    """How weights learn: each by what its two units do nudged and free."""

    rate: PositiveFloat = Field(0.1, description="learning rate at the start")
    final_rate: Fraction = Field(0.1, description="learning rate at the end, as a fraction; linear in between")
    batch: PositiveInt = Field(20, description="answers in an update")


class EPExperiment(Experiment):
    """Equilibrium propagation (Scellier and Bengio 2017, arXiv 1602.05179), for tasks that tell the right answer.

    Layers with symmetric weights between them settle in a minimum of an energy, inputs clamped. It is supervised: it
    learns from the right answer, not from rewards.
    """

    model: Name = Field("ep", description="'ep'")
    encoder: EncoderSpec = Scaled(complementary=False)
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        (500,), description="units in each hidden layer"
    )
    settling: SettlingSpec = SettlingSpec()
    learning: EPLearningSpec = EPLearningSpec()

    logs: ClassVar[tuple[str, ...]] = ("moved", "learning_rate")

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> EPSystem:
        from rwta_sim.agents.ep.system import EPSystem

        return EPSystem(self, spaces)
