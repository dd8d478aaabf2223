"""Environments of this package, registered with Gymnasium when rwta_sim is imported."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

__all__ = ["register_all"]


def _minatar(game: str) -> tuple[str, dict[str, Any]]:
    return "minatar:MinAtar", {"kwargs": {"game": game}, "max_episode_steps": 5000}


# The modules are imported when an environment is made: some need packages that are extras.
_ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "CartPolePositions": ("cartpole_positions:CartPolePositions", {"max_episode_steps": 500}),
    "CueAction": ("cue_action:CueAction", {}),
    "DelayedCue": ("delayed_cue:DelayedCue", {}),
    "Digits": ("digits:Digits", {}),
    "DoomHealth": ("doom:DoomHealth", {}),
    "DoomHealthSupreme": ("doom:DoomHealth", {"kwargs": {"scenario": "health_gathering_supreme"}}),
    "Gridworld": ("gridworld:Gridworld", {"max_episode_steps": 300}),
    "InvertedPendulum": ("pendulum:InvertedPendulum", {"max_episode_steps": 200}),
    "InvertedPendulumBullet": ("pendulum_bullet:InvertedPendulumBullet", {"max_episode_steps": 200}),
    "MNIST": ("mnist:MNIST", {}),
    "MinAtarAsterix": _minatar("asterix"),
    "MinAtarBreakout": _minatar("breakout"),
    "MinAtarFreeway": _minatar("freeway"),
    "MinAtarSeaquest": _minatar("seaquest"),
    "MinAtarSpaceInvaders": _minatar("space_invaders"),
    "PandaReach": ("panda_reach:PandaReach", {"max_episode_steps": 60}),
    "Parity": ("parity:Parity", {}),
    "RobotNavigation": ("robot_navigation:RobotNavigation", {"max_episode_steps": 200}),
    "TMaze": ("t_maze:TMaze", {"max_episode_steps": 300}),
    "XOR": ("parity:Parity", {"kwargs": {"n_bits": 2}}),
}


def register_all() -> None:
    """Register every environment once."""
    for name, (entry_point, settings) in _ENVIRONMENTS.items():
        if f"rwta_sim/{name}-v0" not in gym.registry:
            gym.register(f"rwta_sim/{name}-v0", entry_point=f"rwta_sim.envs.{entry_point}", **settings)
