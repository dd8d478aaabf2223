"""`LayeredSystem` and `LearnedLayers`: what systems whose network is layer after layer have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np

from rwta_sim.agents.layer_lesions import LAYER_LESIONS, lesion_layers
from rwta_sim.agents.parameter_noise import Block, layer_blocks
from rwta_sim.agents.perturbable import PerturbableSystem
from rwta_sim.loop.encoded_system import EncodedSystem
from rwta_sim.loop.system import Arrays

__all__ = ["LayeredSystem", "Layers", "LayersLearner", "LearnedLayers"]

#: Weights, shape (n_post, n_pre) each, that onto the actions last, and biases, shape (n_post,) each: the arrays in use.
Layers = tuple[list[np.ndarray], list[np.ndarray]]


class LayeredSystem(EncodedSystem, PerturbableSystem):
    """A system whose network is layers of units; a unit without input says nothing.

    Attributes
    ----------
    rests : mapping of str to float
        For each of its `lesions` the bias that a unit is given by it.
    """

    rests: ClassVar[Mapping[str, float]] = {"lesion": 0.0, "silence": 0.0}
    lesions: ClassVar[Mapping[str, str]] = {name: LAYER_LESIONS[name] for name in ("lesion", "silence")}

    @abstractmethod
    def layers(self) -> Layers:
        """Weights and biases that may be changed in place."""

    def free_blocks(self) -> list[Block]:
        return layer_blocks(*self.layers())

    def lesion(self, name: str, target: str, rng: np.random.Generator) -> None:
        lesion_layers(*self.layers(), name, target, self.rests, rng)


class LayersLearner(Protocol):
    """Who keeps the parameters of such a network, and learns."""

    def layers(self) -> Layers: ...

    def parameters(self) -> dict[str, np.ndarray]:
        """All that decisions depend on, by name: the arrays in use."""

    def state(self) -> dict[str, np.ndarray]:
        """All that learning depends on beyond them."""

    def make_room(self, arrays: Arrays) -> None:
        """Let `state` have the shapes of one that was saved."""


class LearnedLayers(LayeredSystem):
    """A system whose layers are in the hands of its learner.

    Attributes
    ----------
    learner : LayersLearner
    """

    learner: LayersLearner

    def layers(self) -> Layers:
        return self.learner.layers()

    def state(self) -> dict[str, np.ndarray]:
        return {**self.learner.parameters(), **{f"encoder.{name}": a for name, a in self.encoder.state().items()}}

    def set_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        super().set_state(arrays, name)
        self.parameters_changed()

    def learning_state(self) -> dict[str, np.ndarray]:
        return self.learner.state()

    def set_learning_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        self.learner.make_room(arrays)
        super().set_learning_state(arrays, name)
        self.parameters_changed()
