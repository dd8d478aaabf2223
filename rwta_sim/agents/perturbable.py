"""`PerturbableSystem`: lesions of its own, and noise, loss and coarseness of parameters, by one way in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from rwta_sim.agents.parameter_noise import PERTURBATIONS, Block, perturb_blocks
from rwta_sim.agents.targets import check_known
from rwta_sim.loop.system import System

__all__ = ["PerturbableSystem"]


class PerturbableSystem(System):
    """A system whose parameters stand in blocks.

    Attributes
    ----------
    lesions : mapping of str to str
        What `lesion` can do, by name, with a description of its targets.
    """

    lesions: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def free_blocks(self) -> Sequence[Block]:
        """All parameters that are free."""

    def lesion(self, name: str, target: str, rng: np.random.Generator) -> None:
        """Change parameters as one of `lesions` says; whole or not at all."""

    def parameters_changed(self) -> None:
        """Let what is derived from the parameters follow them."""

    def perturbations(self) -> dict[str, str]:
        return {**self.lesions, **PERTURBATIONS}

    def perturb(self, name: str, target: str, seed: int = 0) -> None:
        check_known(name, self.perturbations())
        rng = np.random.default_rng(seed)
        if name in self.lesions:
            self.lesion(name, target, rng)
        else:
            perturb_blocks(self.free_blocks(), name, target, rng)
        self.parameters_changed()
