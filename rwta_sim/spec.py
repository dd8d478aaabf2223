"""`NetworkSpec`: everything that defines a network except what the task gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from brian2 import Quantity, ms
from pydantic import Field, model_validator

from rwta_sim.circuits import MAX_CIRCUIT_SIZE, Firing, Inhibition
from rwta_sim.kernels import Exponential, Kernel
from rwta_sim.settings import PositiveInt, Rate, Settings, Time, format_quantity

__all__ = ["BLOCKS", "Block", "NetworkSpec"]

#: Connection blocks: s inputs, h hidden, a action neurons; "ha" reads "from hidden to action".
Block = Literal["sh", "sa", "hh", "ha", "ah"]
BLOCKS: tuple[Block, ...] = ("sh", "sa", "hh", "ha", "ah")


class NetworkSpec(Settings):
    """Everything that defines a network except its numbers of inputs and actions, which the task gives."""

    hidden_circuits: int = Field(8, ge=0, le=100_000, description="number of hidden circuits")
    hidden_size: PositiveInt = Field(8, le=MAX_CIRCUIT_SIZE, description="neurons in a hidden circuit")
    blocks: tuple[Block, ...] = Field(
        BLOCKS, description="connections that exist: sh, sa, hh, ha, ah (s inputs, h hidden, a action)"
    )
    symmetric: bool = Field(True, description="equal weights both ways among hidden and action neurons")
    firing: Firing = Field("one_hot", description="one_hot: one spike per circuit and step; poisson: escape rate")
    dt: Time = Field(1 * ms, description="time step")
    rho_hat: Rate | None = Field(None, description="rate of a circuit; 1/dt (the default) in one_hot firing")
    kernel: Kernel = Field(Exponential(tau=5 * ms), description="postsynaptic kernel")
    inhibition: Inhibition = Field(
        "fused", description="fused: one pass over each circuit; equations: the same as sums over Synapses, slower"
    )
    precision: Literal["double", "single"] = Field("double", description="precision of weights and synaptic currents")
    weight_sd: float = Field(0.0, ge=0, le=1e6, description="standard deviation of the initial weights")
    random_blocks: tuple[Block, ...] = Field(
        BLOCKS, description="blocks whose initial weights have weight_sd; the others start at zero"
    )

    @model_validator(mode="after")
    def _consistent(self) -> NetworkSpec:
        if len(set(self.blocks)) != len(self.blocks):
            raise ValueError(f"blocks = {self.blocks} names a block twice")
        if self.hidden_circuits == 0 and set(self.blocks) - {"sa"}:
            raise ValueError("hidden_circuits = 0 leaves only the block 'sa': set blocks = ['sa']")
        if not self.blocks:
            raise ValueError("blocks is empty: name at least one of " + ", ".join(BLOCKS))
        if self.symmetric and ("ha" in self.blocks) != ("ah" in self.blocks):
            raise ValueError(
                "symmetric weights need both 'ha' and 'ah' in blocks, or neither; "
                "set symmetric = false for a feed-forward connection"
            )
        if self.symmetric and ("ha" in self.random_blocks) != ("ah" in self.random_blocks):
            raise ValueError("symmetric weights need both 'ha' and 'ah' in random_blocks, or neither")
        if self.firing == "one_hot" and self.rho_hat is not None:
            if not np.isclose(float(self.rho_hat * self.dt), 1.0):
                raise ValueError(
                    f"one_hot firing means rho_hat = 1/dt = {format_quantity(1 / self.dt)}, "
                    f"got {format_quantity(self.rho_hat)}: leave rho_hat out, or set firing = 'poisson'"
                )
        if self.firing == "poisson" and self.rho_hat is None:
            raise ValueError("poisson firing needs rho_hat, the rate of a circuit, for example '100 Hz'")
        self.kernel.check_grid(self.dt)
        return self

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return self.hidden_circuits * self.hidden_size

    def split_blocks(self, whole: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Views of the blocks ("sh", "hh", ...) inside the matrices of the projections."""
        h, a = slice(0, self.n_hidden), slice(self.n_hidden, None)
        inside = {
            "s": {"sh": (slice(None), h), "sa": (slice(None), a)},
            "r": {"hh": (h, h), "ha": (h, a), "ah": (a, h)},
        }
        blocks = {}
        for name, matrix in whole.items():
            for block, where in inside.get(name, {name: (slice(None), slice(None))}).items():
                blocks[block] = matrix[where]
        return {block: blocks[block] for block in BLOCKS if block in blocks}

    @property
    def circuit_rate(self) -> Quantity:
        """rho_hat, also where it follows from dt."""
        return 1 / self.dt if self.rho_hat is None else self.rho_hat

    def input_probability(self, drive: np.ndarray) -> np.ndarray:
        """Spike probability per step of inputs driven by `drive` in [0, 1]: the drive itself in one_hot
        firing, ``1 - exp(-drive rho_hat dt)`` in poisson firing, so that kappa*S estimates the drive."""
        if self.firing == "one_hot":
            return drive
        return -np.expm1(-drive * float(self.circuit_rate * self.dt))
