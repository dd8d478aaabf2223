"""Networks that tell Q of every action, of ReLU units and of spiking neurons. Import PyTorch."""

from __future__ import annotations

import torch

from rwta_sim.agents.dsqn.experiment import LeakySpec
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.agents.dsqn.units import fire, integrate
from rwta_sim.learning.torch_adam import undrawn

__all__ = ["QNetwork", "SpikingQNetwork"]


class QNetwork(torch.nn.Module):
    """Feature maps, dense layers, and a number for each action; hidden units are ReLU.

    Parameters
    ----------
    plan : QNetworkPlan

    Attributes
    ----------
    layers : ModuleList
        Those that have weights, that of the actions last. Their parameters are not drawn yet.
    """

    def __init__(self, plan: QNetworkPlan) -> None:
        super().__init__()
        self._seen, self._maps = plan.seen, len(plan.strides)
        self.layers = torch.nn.ModuleList()
        for (post, pre, kernel, _), stride in zip(plan.weights, plan.strides, strict=False):
            self.layers.append(undrawn(torch.nn.Conv2d, pre, post, kernel, stride=stride))
        for post, pre in plan.weights[self._maps :]:
            self.layers.append(undrawn(torch.nn.Linear, pre, post))

    def forward(self, drive: torch.Tensor) -> torch.Tensor:
        """Q of every action; shapes (n, n_inputs) and (n, n_actions)."""
        return self.decoded(self.run(drive)[-1])

    def decoded(self, told: torch.Tensor) -> torch.Tensor:
        """Q of every action, shape (n, n_actions), from what `run` has of the last layer."""
        return told

    def run(self, drive: torch.Tensor) -> list[torch.Tensor]:
        """What each layer says, in its own shape, the last layer's numbers last; drive: shape (n, n_inputs)."""
        found, said = [], self.seen(drive)
        for k in range(len(self.layers) - 1):
            said = torch.relu(self.told(k, said))
            found.append(said)
        return [*found, self.told(len(self.layers) - 1, said)]

    def seen(self, drive: torch.Tensor) -> torch.Tensor:
        """The drive as the first layer takes it."""
        return drive.reshape(-1, *self._seen)

    def told(self, k: int, said: torch.Tensor) -> torch.Tensor:
        """What layer k is told by what the one before says, an entry for each observation."""
        result: torch.Tensor = self.layers[k](said.flatten(1) if k == self._maps else said)
        return result


class SpikingQNetwork(QNetwork):
    """The same with leaky neurons, and Q read from potentials of action neurons.

    Parameters
    ----------
    plan : QNetworkPlan
    spec : LeakySpec
    """

    def __init__(self, plan: QNetworkPlan, spec: LeakySpec) -> None:
        super().__init__(plan)
        self._spec = spec

    def run(self, drive: torch.Tensor) -> list[torch.Tensor]:
        """Spikes of each hidden layer, 1 or 0, and potentials of the actions: shapes (steps, n, ...)."""
        spec, found = self._spec, []
        # What does not change is a product once, not in every step.
        currents = self.told(0, self.seen(drive)).expand(spec.steps, *[-1] * (4 if self._maps else 2))
        for k in range(1, len(self.layers)):
            found.append(fire(currents, spec.tau, spec.alpha))
            currents = self.told(k, found[-1].flatten(0, 1)).unflatten(0, (spec.steps, -1))
        return [*found, integrate(currents, spec.tau)]

    def decoded(self, told: torch.Tensor) -> torch.Tensor:
        if self._spec.decoder == "last":
            return told[-1]
        return told.amax(0) if self._spec.decoder == "max" else told.mean(0)
