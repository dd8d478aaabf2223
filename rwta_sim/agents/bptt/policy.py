"""The network as PyTorch differentiates it, as a policy of Stable-Baselines3. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from snntorch import Leaky, surrogate
from stable_baselines3.common.policies import ActorCriticPolicy

from rwta_sim.agents.bptt.experiment import LeakySpec

__all__ = ["SpikingActor", "SpikingPolicy"]


class SpikingActor(torch.nn.Module):
    """Layers of leaky integrate-and-fire neurons; inputs are currents, the same in every step.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden layers, actions.
    spec : LeakySpec
    """

    def __init__(self, sizes: Sequence[int], spec: LeakySpec) -> None:
        super().__init__()
        self._steps, self._gain = spec.steps, spec.gain
        self.layers = torch.nn.ModuleList(torch.nn.Linear(before, after) for before, after in pairwise(sizes))
        self.neurons = torch.nn.ModuleList(_leaky(spec) for _ in self.layers)

    def forward(self, drive: torch.Tensor) -> torch.Tensor:
        """What the policy is the softmax of; shapes (n, n_inputs) and (n, n_actions)."""
        return self._gain * self.spikes(drive)[-1].mean(0)

    def spikes(self, drive: torch.Tensor) -> list[torch.Tensor]:
        """Spikes of each layer, 1 or 0, shape (steps, n, neurons)."""
        found: list[torch.Tensor] = []
        # What does not change is a product once, not in every step.
        currents = self.layers[0](drive).expand(self._steps, -1, -1)
        for k, neuron in enumerate(self.neurons):
            if k:
                currents = self.layers[k](found[-1])
            potential, fired = torch.zeros_like(currents[0]), []
            for current in currents:
                spike, potential = neuron(current, potential)
                fired.append(spike)
            found.append(torch.stack(fired))
        return found


def _leaky(spec: LeakySpec) -> Leaky:
    neuron = Leaky(beta=spec.beta, learn_beta=True, threshold=1.0, spike_grad=surrogate.fast_sigmoid(spec.slope))
    Leaky.instances.remove(neuron)  # a list for neurons that keep their potentials, which holds them for good
    return neuron


class SpikingPolicy(ActorCriticPolicy):
    """Actor of spikes, critic of ReLU units.

    Parameters
    ----------
    *arguments, **options
        Of `ActorCriticPolicy`.
    spec : LeakySpec
    """

    def __init__(self, *arguments: Any, spec: LeakySpec, **options: Any) -> None:
        self._spec = spec
        super().__init__(*arguments, **options)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        n_actions = int(self.action_space.n)
        self.mlp_extractor.policy_net = SpikingActor([self.features_dim, *self.net_arch["pi"], n_actions], self._spec)
        self.mlp_extractor.latent_dim_pi = n_actions

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = torch.nn.Identity()  # the last layer is one of spikes
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
