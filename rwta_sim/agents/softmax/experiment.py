"""Settings of softmax policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from rwta_sim.learning.critics import Network
from rwta_sim.learning.modulation import PPO
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

if TYPE_CHECKING:
    from rwta_sim.agents.softmax.system import SoftmaxSystem

__all__ = ["PolicyLearningSpec", "SoftmaxExperiment"]


class PolicyLearningSpec(Settings):
    """How the policy learns: PPO-clip, with Adam."""

    modulation: PPO = PPO()
    rate: PositiveFloat = Field(1e-3, description="learning rate at the start")
    final_rate: Fraction = Field(0.1, description="learning rate at the end, as a fraction; linear in between")
    batch: PositiveInt = Field(1, description="episodes per update")
    entropy: Annotated[float, Field(ge=0)] = Field(0.02, description="weight of the policy entropy")


class SoftmaxExperiment(Experiment):
    """``pi = softmax(W h(s))``: linear in the drive s that spiking inputs would have, or behind hidden ReLU units.

    In PyTorch, by backpropagation; the critic is a network of the same kind.
    """

    encoder: EncoderSpec = Scaled()
    hidden: tuple[PositiveInt, ...] = Field((), description="ReLU units in each hidden layer; none: a linear policy")
    learning: PolicyLearningSpec = PolicyLearningSpec()
    critic: Network = Network(lam=0.95, rate=3e-4, hidden=(), channels=())

    logs: ClassVar[tuple[str, ...]] = ("entropy", "learning_rate")
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch"}
    extra = "torch"

    def check_batches(self, asked: str) -> None:
        self.check_batch(asked, self.learning.batch)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> SoftmaxSystem:
        self.check_libraries()
        from rwta_sim.agents.softmax.system import SoftmaxSystem  # here, because it imports PyTorch

        return SoftmaxSystem(self, spaces)
