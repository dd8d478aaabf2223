"""What a network that tells Q is to be: shapes of its layers, before there is memory for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rwta_sim.agents.dsqn.experiment import ConvolutionSpec
from rwta_sim.errors import ConfigError

__all__ = ["QNetworkPlan"]


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
    pictures : list of tuple of int
        Of what is seen and of each layer of maps: (channels or maps, height, width); empty without such layers.
    weights : list of tuple of int
        Of each layer: (maps, channels, kernel, kernel), or (n_post, n_pre); that of the actions last.
    strides : list of int
        Of the layers of maps.
    sizes : list of int
        Units of each layer.
    """

    seen: tuple[int, ...]
    pictures: list[tuple[int, int, int]]
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
        return cls(seen, shapes, weights, [c.stride for c in convolutions], sizes)
