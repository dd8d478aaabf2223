"""The network critic at work. Imports PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from rwta_sim.errors import RwtaSimError
from rwta_sim.learning.critics.base import Critic, CriticInputs, Transitions, advantages
from rwta_sim.learning.critics.network import Network
from rwta_sim.learning.torch_adam import TorchAdam, as_tensor, dense_layers, initialise, undrawn

__all__ = ["NetworkTD"]

#: An observation with fewer pixels a side is not taken for an image.
_LEAST_SIDE = 8


class NetworkTD(Critic):
    """See `Network`.

    Parameters
    ----------
    settings : Network
    inputs : CriticInputs

    Raises
    ------
    RwtaSimError
        If images are too small for the convolutions.
    """

    def __init__(self, settings: Network, inputs: CriticInputs) -> None:
        self.gamma = settings.gamma
        self._settings = settings
        layers, features = _convolutions(settings, inputs) if settings.channels else ([], inputs.n_features)
        dense = dense_layers(features, settings.hidden, 1)
        self._network = torch.nn.Sequential(*layers, *dense, torch.nn.Flatten(0))
        initialise(self._network, inputs.seed)
        self._adam = TorchAdam(self._network, settings.rate)

    def state_values(self, features: np.ndarray) -> np.ndarray:
        return self._values(as_tensor(features))

    def value(self, features: np.ndarray) -> float:
        """V of the observation with these features."""
        return float(self._values(as_tensor(features[None]))[0])

    def td_errors(self, episode: Transitions, rng: np.random.Generator) -> np.ndarray:
        states = as_tensor(np.array(episode.features))
        values = self._values(states)
        if episode.terminated:
            values[-1] = 0.0
        deltas = np.array(episode.rewards) + self.gamma * values[1:] - values[:-1]
        targets = values[:-1] + advantages(deltas, self.gamma * self._settings.lam)
        self._fit(states[:-1], as_tensor(targets), rng)
        return deltas

    def _values(self, states: torch.Tensor) -> np.ndarray:
        """V of states, shape (n, n_features), as numbers in double precision."""
        with torch.no_grad():
            return np.asarray(self._network(states).numpy(), dtype=float)

    def _fit(self, states: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator) -> None:
        n = len(targets)
        for _ in range(self._settings.epochs):
            order = torch.from_numpy(rng.permutation(n))
            for chosen in order.split(self._settings.batch):
                loss = torch.nn.functional.mse_loss(self._network(states[chosen]), targets[chosen])
                self._adam.descend(loss)

    def state(self) -> dict[str, np.ndarray]:
        parameters = {f"network.{name}": a for name, a in self._adam.parameters().items()}
        return {**parameters, **{f"adam.{name}": a for name, a in self._adam.moments().items()}}


def _convolutions(settings: Network, inputs: CriticInputs) -> tuple[list[torch.nn.Module], int]:
    """Layers from flat features to the flat outputs of the last convolution, and how many these are.

    No layers, and the features, if observations are no images.
    """
    sides, last = inputs.shape, False
    channels = 1
    if len(sides) == 3:
        # Colours or frames are the fewest; of images where that does not tell, the last, as in Gymnasium.
        last = sides[2] <= sides[0]
        channels, sides = (sides[2], sides[:2]) if last else (sides[0], sides[1:])
    if len(sides) != 2 or min(sides) < _LEAST_SIDE:
        return [], inputs.n_features
    layers = [_Images(channels, *sides, last=last)]
    size = np.array(sides)
    for wanted in settings.channels:
        size = (size - settings.kernel) // settings.stride + 1
        if size.min() < 1:
            raise RwtaSimError(
                f"critic.channels = {list(settings.channels)}: images of {sides[0]} by {sides[1]} pixels are too small "
                f"for {len(settings.channels)} convolutions of kernel {settings.kernel} and stride {settings.stride}: "
                "take fewer, or critic.channels = []"
            )
        layers += [undrawn(torch.nn.Conv2d, channels, wanted, settings.kernel, stride=settings.stride), torch.nn.ReLU()]
        channels = wanted
    return [*layers, torch.nn.Flatten()], channels * int(size.prod())


class _Images(torch.nn.Module):
    """Flat features, (n, n_features), as images, (n, channels, height, width)."""

    def __init__(self, channels: int, height: int, width: int, last: bool) -> None:
        super().__init__()
        self._shape = (height, width, channels) if last else (channels, height, width)
        self._last = last

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        images = features.unflatten(1, self._shape)
        return images.movedim(-1, 1).contiguous() if self._last else images
