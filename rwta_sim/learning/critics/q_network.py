"""A critic of actions that is an artificial neural network, in PyTorch (an extra)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from rwta_sim.learning.critics.base import Critic, CriticInputs
from rwta_sim.learning.critics.network import check_pytorch
from rwta_sim.learning.critics.settings import CriticSettings
from rwta_sim.settings import PositiveInt

__all__ = ["QNetwork"]


class QNetwork(CriticSettings):
    """Q(s, a) of every action by a network of ReLU units, trained on remembered decisions; for ``recent`` modulation.

    A decision's advantage is ``Q(s_t, a_t) - sum_a pi_t(a) Q(s_t, a)``, pi_t the policy that took it. Before it tells
    advantages it takes `updates` steps of Adam along the mean squared error of all remembered decisions to the targets
    of expected SARSA, ``r_t + gamma sum_a pi_t+1(a) Q(s_t+1, a)`` (van Seijen et al. 2009, eq. 5; Sutton and Barto, 2nd
    ed., eq. 6.9), 0 in place of the sum after a terminal state. Targets are those of the network as it is before each
    step; no second network is kept for them. The policy of a decision that is not taken yet, or never will be because
    the episode was cut short, is not known: such rows are judged, but not learned from.

    A network starts with Q = 0: the weights of its output are 0, those of hidden units as in He et al. (2015).
    Results are the same bit for bit for one number of threads (``torch.set_num_threads``) and one version of PyTorch.
    """

    kind: Literal["q_network"] = "q_network"
    hidden: tuple[PositiveInt, ...] = Field((64, 64), description="units in each hidden layer")
    updates: PositiveInt = Field(5, description="steps of Adam before advantages are told")
    online: ClassVar[bool] = False
    recalls: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("torch",)

    def check_libraries(self) -> None:
        check_pytorch(self.kind)

    def make(self, inputs: CriticInputs) -> Critic:
        """The critic for these features and actions.

        Raises
        ------
        RwtaSimError
            If PyTorch is not installed.
        """
        self.check_libraries()
        from rwta_sim.learning.critics.q_learning import ActionValues  # here, because it imports PyTorch

        return ActionValues(self, inputs)
