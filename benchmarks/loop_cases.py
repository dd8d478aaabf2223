"""The networks of the closed-loop benchmark: sizes, firing, weights and inputs, the same for every path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Hz, ms

from rwta_sim.circuit.equations import Firing
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec

__all__ = ["MODES", "NETWORKS", "STEPS", "Case"]

#: Steps in a decision.
STEPS = 20


@dataclass(frozen=True)
class Size:
    """A network, and the probability with which each input spikes in a step, by firing mode."""

    inputs: int
    circuits: int
    neurons: int
    actions: int
    p: dict[str, float]

    def __str__(self) -> str:
        return f"{self.inputs} inputs, {self.circuits}x{self.neurons} hidden, {self.actions} actions"


NETWORKS = {
    "S1": Size(4, 8, 8, 5, {"poisson": 0.05, "one_hot": 0.5}),
    "S2": Size(784, 50, 10, 10, {"poisson": 0.01, "one_hot": 0.1}),
    "S3": Size(4800, 50, 10, 5, {"poisson": 0.01, "one_hot": 0.1}),
}
MODES: tuple[Firing, ...] = ("poisson", "one_hot")


@dataclass(frozen=True)
class Case:
    """One network in one firing mode; `weight_sd` is 0.1 in what is timed, so that all neurons take part.

    `rule` is that of paths that learn.
    """

    network: str
    mode: Firing
    weight_sd: float = 0.1
    rule: str = ""

    @property
    def size(self) -> Size:
        return NETWORKS[self.network]

    def spec(self, **changes: Any) -> NetworkSpec:
        """The settings; `changes` are those that distinguish the paths."""
        return NetworkSpec(
            hidden_circuits=self.size.circuits,
            hidden_size=self.size.neurons,
            firing=self.mode,
            rho_hat=100 * Hz if self.mode == "poisson" else None,  # rho_hat*dt = 0.1
            dt=1 * ms,
            kernel=Exponential(tau=10 * ms),
            weight_sd=self.weight_sd,
            **changes,
        )

    def rng(self) -> np.random.Generator:
        """Draws the same weights for every path."""
        return np.random.default_rng(0)

    def drive(self) -> np.ndarray:
        """What makes inputs spike with probability `p`; shape (n_inputs,)."""
        p, spec = self.p(), self.spec()
        return p if self.mode == "one_hot" else -np.log1p(-p) / spec.spikes_per_step

    def p(self) -> np.ndarray:
        """Spike probability of each input per step; shape (n_inputs,)."""
        return np.full(self.size.inputs, self.size.p[self.mode])
