"""Networks in PyTorch whose numbers all follow from a seed and can be saved at any moment. Imports PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["TorchAdam", "as_tensor", "dense_layers", "initialise", "undrawn"]


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """In single precision, a copy in PyTorch's own memory, whose alignment is always the same: sums depend on it in
    their last bits."""
    return torch.tensor(array, dtype=torch.float32)


def undrawn(layer: type[torch.nn.Module], *arguments: int, **options: int) -> torch.nn.Module:
    """A layer whose parameters are not drawn, as that would be from PyTorch's global generator."""
    return torch.nn.utils.skip_init(layer, *arguments, dtype=torch.float32, **options)


def dense_layers(n_inputs: int, hidden: Sequence[int], n_outputs: int) -> list[torch.nn.Module]:
    """Layers of ReLU units, and a linear one; their parameters are not drawn yet."""
    layers: list[torch.nn.Module] = []
    for units in hidden:
        layers += [undrawn(torch.nn.Linear, n_inputs, units), torch.nn.ReLU()]
        n_inputs = units
    return [*layers, undrawn(torch.nn.Linear, n_inputs, n_outputs)]


def initialise(network: torch.nn.Module, seed: int) -> None:
    """He et al. 2015, eq. 10, uniform: variance 2 / fan-in; zero for biases and the weights of the output."""
    generator = torch.Generator().manual_seed(seed)
    weights = [p for p in network.parameters() if p.dim() > 1]
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        for p in weights[:-1]:
            bound = math.sqrt(6.0 / p[0].numel())
            p.uniform_(-bound, bound, generator=generator)


class TorchAdam:
    """Adam on the parameters of a network, with all its state there from the start.

    Parameters
    ----------
    network : torch.nn.Module
    rate : float
    eps : float
        What is added to the root of the second moment.

    Attributes
    ----------
    optimiser : torch.optim.Adam
    """

    def __init__(self, network: torch.nn.Module, rate: float, eps: float = 1e-8) -> None:
        parameters = dict(network.named_parameters())
        self.optimiser = torch.optim.Adam(parameters.values(), lr=rate, eps=eps, foreach=False)
        self._parameters = {name: p.detach().numpy() for name, p in parameters.items()}
        self._moments: dict[str, np.ndarray] = {}
        # What Adam would make in its first step is made here: a checkpoint can then be loaded before that.
        for name, p in parameters.items():
            moments = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
            self.optimiser.state[p] = moments
            self._moments |= {f"{name}.{which}": moment.detach().numpy() for which, moment in moments.items()}

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.optimiser.param_groups[0]["lr"])

    @rate.setter
    def rate(self, rate: float) -> None:
        self.optimiser.param_groups[0]["lr"] = rate

    def descend(self, loss: torch.Tensor) -> None:
        """A step down the gradient of `loss`."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def parameters(self) -> dict[str, np.ndarray]:
        """Views of the parameters by name."""
        return self._parameters

    def moments(self) -> dict[str, np.ndarray]:
        """Views of the state of Adam by name."""
        return self._moments
