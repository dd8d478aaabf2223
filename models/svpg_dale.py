"""SVPG with Dale's law: an excitatory-inhibitory network at the rates of `svpg`.

Two of eight hidden circuits inhibit the actions, the other six and all inputs excite. Weights start with the sign of
their source, and learning stops at 0.
"""

from __future__ import annotations

from collections.abc import Callable

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.models import svpg

__all__ = ["PRESETS"]

_SIGNED = {"model": "svpg-dale", "network.inhibitory": 2}


def cartpole() -> RWTAExperiment:
    """As in `svpg`, which has no signs."""
    return svpg.cartpole().changed(_SIGNED)


def xor() -> RWTAExperiment:
    """As in `svpg`."""
    return svpg.xor().changed(_SIGNED)


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "cartpole": ("CartPole-v1 with excitatory and inhibitory circuits", cartpole),
    "xor": ("XOR with excitatory and inhibitory circuits", xor),
}
