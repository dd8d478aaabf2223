"""The network as PyTorch differentiates it. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch.nn.functional import log_softmax

from rwta_sim.agents.reparameterised.units import concrete, straight_through
from rwta_sim.learning.torch_adam import undrawn

__all__ = ["ReparameterisedPolicy"]


class ReparameterisedPolicy(torch.nn.Module):
    """Layers of binary Concrete units, and a softmax of actions behind them.

    Parameters
    ----------
    n_inputs : int
    hidden : sequence of int
        Units of each hidden layer.
    n_actions : int
    hard : bool
        Straight-through: what goes forward is the spikes.
    """

    def __init__(self, n_inputs: int, hidden: Sequence[int], n_actions: int, hard: bool) -> None:
        super().__init__()
        sizes = [n_inputs, *hidden, n_actions]
        self.layers = torch.nn.ModuleList(undrawn(torch.nn.Linear, before, after) for before, after in pairwise(sizes))
        self._hidden = list(hidden)
        self._unit = straight_through if hard else concrete

    def forward(self, drive: torch.Tensor, u: torch.Tensor, temperature: float) -> torch.Tensor:
        """Logarithms of the action probabilities, given the hidden units' noise.

        Parameters
        ----------
        drive : Tensor, shape (n, n_inputs)
        u : Tensor, shape (n, sum of hidden)
            Uniform numbers of the hidden units, layer after layer.
        temperature : float

        Returns
        -------
        Tensor, shape (n, n_actions)
        """
        y = drive
        for layer, noise in zip(self.layers, u.split(self._hidden, dim=1), strict=False):
            y = self._unit(layer(y), noise, temperature)
        return log_softmax(self.layers[-1](y), 1)
