"""SVPG without spikes: the networks of `svpg_lockstep`, their mean field in place of spikes (Yang et al. 2022, sec. 3).

The same weights run as spikes: ``rwta-sim evaluate RUN --dynamics spiking``. Noise during inference, which the
published code has too, prepares them for that; with noise nothing converges, so a few iterations are enough. Input
neurons that share a channel have the same drive without spikes: copies only make its learning rate larger.
"""

from __future__ import annotations

from collections.abc import Callable

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.models import svpg_lockstep, svpg_vision

__all__ = ["PRESETS"]

_RATE = {"model": "svpg-rate", "dynamics": "rate", "learning.rule.kind": "mean_field"}
_SEEING = {**_RATE, "learning.rule.depth": 2, "mean_field.iterations": 10}


def inverted_pendulum() -> RWTAExperiment:
    """Actor and critic at every decision, last step (depth 1)."""
    return svpg_lockstep.inverted_pendulum().changed({**_RATE, "mean_field.noise": 0.05, "mean_field.iterations": 10})


def digits() -> RWTAExperiment:
    """REINFORCE with a baseline; depth 2 is the exact gradient of a feed-forward network; its q needs 3 iterations."""
    return svpg_lockstep.digits().changed(
        {**_RATE, "learning.rule.depth": 2, "mean_field.noise": 0.1, "mean_field.iterations": 3}
    )


def doom_health() -> RWTAExperiment:
    """PPO; q of a feed-forward network is exact after two iterations, its gradient at depth 2."""
    return svpg_vision.doom_health().changed(_SEEING)


def panda_reach() -> RWTAExperiment:
    """As from spikes, one step per batch; the gradient through two mean-field steps, as `Feedback` has it."""
    return svpg_vision.panda_reach().changed(_SEEING)


def robot_navigation() -> RWTAExperiment:
    """As from spikes; see `panda_reach`."""
    return svpg_vision.robot_navigation().changed(_SEEING)


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "inverted-pendulum": ("InvertedPendulum in MuJoCo, without spikes", inverted_pendulum),
    "digits": ("8x8 digits of scikit-learn, without spikes", digits),
    "doom-health": ("ViZDoom health gathering, without spikes", doom_health),
    "panda-reach": ("A Panda's wrist camera finds a cube, without spikes", panda_reach),
    "robot-navigation": ("A robot's camera finds a ball, without spikes", robot_navigation),
}
