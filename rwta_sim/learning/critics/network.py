"""A critic that is an artificial neural network, in PyTorch (an extra)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar, Literal

from pydantic import Field

from rwta_sim.errors import RwtaSimError
from rwta_sim.learning.critics.base import Critic, CriticInputs
from rwta_sim.learning.critics.linear import TDSettings
from rwta_sim.settings import PositiveInt

__all__ = ["Network", "check_pytorch"]


def check_pytorch(kind: str) -> None:
    """Raise RwtaSimError if PyTorch, which critics of this kind need, is not installed."""
    if find_spec("torch") is None:
        raise RwtaSimError(f"critic.kind = {kind!r} needs PyTorch: pip install 'rwta-sim[torch]'")


class Network(TDSettings):
    """V(s) by a network of ReLU units, trained at the end of each episode.

    All states of the episode pass at once, before anything is learned: these values give the TD errors, and the
    lambda-returns ``V(s_t) + sum_k (gamma lam)**k delta_t+k`` (Sutton and Barto, 2nd ed., section 12.1), which are
    the targets of `epochs` passes in random minibatches of `batch` decisions, mean squared error, Adam. A network
    starts with V = 0: the weights of its output are 0, those of hidden units as in He et al. (2015).

    Results are the same bit for bit for one number of threads (``torch.set_num_threads``) and one version of PyTorch.
    """

    kind: Literal["network"] = "network"
    hidden: tuple[PositiveInt, ...] = Field((64,), description="units in each dense hidden layer")
    channels: tuple[PositiveInt, ...] = Field(
        (16, 32),
        description="channels of each convolution before these, if observations are images (2 or 3 dimensions, 8 "
        "pixels or more a side); none: pixels enter the dense layers",
    )
    kernel: PositiveInt = Field(3, description="pixels a side of each convolution")
    stride: PositiveInt = Field(2, description="pixels between the places of each convolution")
    epochs: PositiveInt = Field(4, description="passes through an episode")
    batch: PositiveInt = Field(64, description="decisions in a minibatch")
    online: ClassVar[bool] = False
    libraries: ClassVar[tuple[str, ...]] = ("torch",)

    def check_libraries(self) -> None:
        check_pytorch(self.kind)

    def make(self, inputs: CriticInputs) -> Critic:
        """The critic for these features, or images of this shape.

        Raises
        ------
        RwtaSimError
            If PyTorch is not installed, or the images are too small for the convolutions.
        """
        self.check_libraries()
        from rwta_sim.learning.critics.network_td import NetworkTD  # here, because it imports PyTorch

        return NetworkTD(self, inputs)
