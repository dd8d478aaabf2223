"""Networks in PyTorch whose numbers all follow from a seed and can be saved at any moment. Imports PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

__all__ = ["Mirror", "TorchAdam", "as_tensor", "dense_layers", "initialise", "undrawn"]


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


class Mirror:
    """NumPy's side of tensors: views of those in the machine's memory, copies of those on an accelerator.

    Parameters
    ----------
    tensors : mapping of Tensor

    Attributes
    ----------
    arrays : dict of ndarray
        By the same names.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = {name: tensor.detach() for name, tensor in tensors.items()}
        self.arrays = {name: tensor.cpu().numpy() for name, tensor in self._tensors.items()}
        self._copied = [name for name, tensor in self._tensors.items() if tensor.device.type != "cpu"]

    def pull(self) -> dict[str, np.ndarray]:
        """The arrays, with what the tensors are now."""
        for name in self._copied:
            self.arrays[name][...] = self._tensors[name].cpu().numpy()
        return self.arrays

    def push(self) -> None:
        """Give the tensors what the arrays are now."""
        for name in self._copied:
            self._tensors[name].copy_(torch.from_numpy(self.arrays[name]))


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
        made: dict[str, torch.Tensor] = {}
        self._parameters = Mirror(parameters)
        # What Adam would make in its first step is made here: a checkpoint can then be loaded before that.
        for name, p in parameters.items():
            moments = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
            self.optimiser.state[p] = moments
            made |= {f"{name}.{which}": moment for which, moment in moments.items()}
        self._moments = Mirror(made)

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
        """Views of the parameters by name; on an accelerator copies, as they are now."""
        return self._parameters.pull()

    def moments(self) -> dict[str, np.ndarray]:
        """Views of the state of Adam by name; on an accelerator copies, as it is now."""
        return self._moments.pull()

    def push(self) -> None:
        """Have what was written into parameters and moments, where these are copies."""
        self._parameters.push()
        self._moments.push()
