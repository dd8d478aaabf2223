"""Environments of this package, registered with Gymnasium when rwta_sim is imported."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["register_all"]


def register_all() -> None:
    """Register every environment once."""
    if "rwta_sim/CueAction-v0" not in gym.registry:
        gym.register("rwta_sim/CueAction-v0", entry_point="rwta_sim.envs.cue_action:CueAction")
