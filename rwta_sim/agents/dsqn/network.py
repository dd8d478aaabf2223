"""Networks that tell Q of every action, of ReLU units and of spiking neurons. Import PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from rwta_sim.agents.dsqn.experiment import ConvolutionSpec, LeakySpec
from rwta_sim.agents.dsqn.units import fire, integrate
from rwta_sim.errors import ConfigError
from rwta_sim.learning.torch_adam import undrawn

__all__ = ["QNetwork", "QNetworkPlan", "SpikingQNetwork"]


def _picture_shapes(shape: Sequence[int], convolutions: Sequence[ConvolutionSpec]) -> list[tuple[int, int, int]]:
    """Of the picture, and of each layer's maps: (channels, height, width).

    Parameters
    ----------
    shape : sequence of int
        Of an observation: (channels, height, width), or (height, width).
    convolutions : sequence of ConvolutionSpec

    Raises
    ------
    ConfigError
        If it is no picture, or too small for a filter.
    """
    if len(shape) not in (2, 3):
        raise ConfigError(
            f"convolutions: expected pictures, (channels, height, width) or (height, width); observations here have "
            f"the shape {tuple(shape)}: set convolutions = []"
        )
    channels, height, width = (1, *shape) if len(shape) == 2 else shape
    found = [(channels, height, width)]
    for k, spec in enumerate(convolutions):
        if spec.kernel > min(height, width):
            raise ConfigError(
                f"convolutions[{k}].kernel = {spec.kernel}: larger than what it is to see, {height} x {width}: lower it"
            )
        height, width = (1 + (size - spec.kernel) // spec.stride for size in (height, width))
        found.append((spec.maps, height, width))
    return found


class QNetworkPlan(NamedTuple):
    """What a network is to be, before there is memory for it.

    Attributes
    ----------
    seen : tuple of int
        Shape of an observation as the first layer takes it.
    weights : list of tuple of int
        Of each layer: (maps, channels, kernel, kernel), or (n_post, n_pre); that of the actions last.
    strides : list of int
        Of the layers of maps.
    sizes : list of int
        Units of each layer.
    """

    seen: tuple[int, ...]
    weights: list[tuple[int, ...]]
    strides: list[int]
    sizes: list[int]

    @property
    def n_weights(self) -> int:
        """Of all weights and biases."""
        return sum(math.prod(shape) + shape[0] for shape in self.weights)

    @classmethod
    def of(
        cls,
        shape: Sequence[int],
        n_inputs: int,
        convolutions: Sequence[ConvolutionSpec],
        hidden: Sequence[int],
        n_actions: int,
    ) -> QNetworkPlan:
        """That of feature maps, dense layers, and a number for each action.

        Parameters
        ----------
        shape : sequence of int
            Of an observation, whose numbers in C order are the inputs where there are feature maps.
        n_inputs : int
        convolutions : sequence of ConvolutionSpec
        hidden : sequence of int
        n_actions : int

        Raises
        ------
        ConfigError
            If filters do not fit.
        """
        shapes = _picture_shapes(shape, convolutions) if convolutions else []
        seen: tuple[int, ...] = shapes[0] if shapes else (n_inputs,)
        sizes = [*map(math.prod, shapes[1:]), *hidden, n_actions]
        dense = [sizes[len(convolutions) - 1] if shapes else n_inputs, *hidden, n_actions]
        maps = [
            (after[0], before[0], c.kernel, c.kernel)
            for before, c, after in zip(shapes, convolutions, shapes[1:], strict=False)
        ]
        weights: list[tuple[int, ...]] = [*maps, *((post, pre) for pre, post in pairwise(dense))]
        return cls(seen, weights, [c.stride for c in convolutions], sizes)


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
