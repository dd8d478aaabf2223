"""The critic of actions at work. Imports PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from rwta_sim.learning.critics.base import Critic, CriticInputs, Remembered
from rwta_sim.learning.critics.q_network import QNetwork
from rwta_sim.learning.torch_adam import TorchAdam, as_tensor, dense_layers, initialise

__all__ = ["ActionValues"]


class ActionValues(Critic):
    """See `QNetwork`.

    Parameters
    ----------
    settings : QNetwork
    inputs : CriticInputs
        With the number of actions.
    """

    def __init__(self, settings: QNetwork, inputs: CriticInputs) -> None:
        self.gamma, self._updates = settings.gamma, settings.updates
        self._network = torch.nn.Sequential(*dense_layers(inputs.n_features, settings.hidden, inputs.n_actions))
        initialise(self._network, inputs.seed)
        self._adam = TorchAdam(self._network, settings.rate)

    def values(self, features: np.ndarray) -> np.ndarray:
        """Q of every action; shapes (n, n_features) and (n, n_actions), in double precision."""
        return self._values(as_tensor(features))

    def judge(self, decisions: Remembered, rng: np.random.Generator) -> np.ndarray:
        states, following = as_tensor(decisions.features), as_tensor(decisions.following)
        learned = torch.from_numpy(np.flatnonzero(decisions.followed | decisions.terminated))
        actions = torch.from_numpy(decisions.action.astype(np.int64))
        for _ in range(self._updates if len(learned) else 0):
            targets = as_tensor(self._targets(decisions, following))
            found = self._network(states).gather(1, actions[:, None])[:, 0]
            self._adam.descend(torch.nn.functional.mse_loss(found[learned], targets[learned]))
        values = self._values(states)
        chosen = values[np.arange(len(values)), decisions.action]
        return np.asarray(chosen - (decisions.policy * values).sum(axis=1))

    def _targets(self, decisions: Remembered, following: torch.Tensor) -> np.ndarray:
        """Those of expected SARSA, shape (n,); meaningless where an episode neither goes on nor terminates."""
        values = np.zeros(len(decisions.reward))
        values[:-1] = (decisions.policy[1:] * self._values(following[:-1])).sum(axis=1)
        return np.asarray(decisions.reward + self.gamma * np.where(decisions.terminated, 0.0, values))

    def _values(self, states: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(self._network(states).numpy(), dtype=float)

    def state(self) -> dict[str, np.ndarray]:
        parameters = {f"network.{name}": a for name, a in self._adam.parameters().items()}
        return {**parameters, **{f"adam.{name}": a for name, a in self._adam.moments().items()}}
