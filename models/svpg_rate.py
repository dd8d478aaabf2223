"""SVPG without spikes: the networks of `svpg`, their mean field in place of spikes (Yang et al. 2022, section 3).

The same weights run as spikes: ``rwta-sim evaluate RUN --dynamics spiking``. Noise during inference, which the
published code has too, prepares them for that; with noise nothing converges, so a few iterations are enough. Input
neurons that share a channel have the same drive without spikes: copies only make its learning rate larger.
"""

from __future__ import annotations

from collections.abc import Callable

from rwta_sim.config import Experiment
from rwta_sim.models import svpg

__all__ = ["PRESETS"]

_RATE = {"model": "svpg-rate", "dynamics": "rate", "learning.rule.kind": "mean_field"}


def inverted_pendulum() -> Experiment:
    """Actor and critic at every decision, last step (depth 1)."""
    return svpg.inverted_pendulum().changed({**_RATE, "mean_field.noise": 0.05, "mean_field.iterations": 10})


def digits() -> Experiment:
    """REINFORCE with a baseline; depth 2 is the exact gradient of a feed-forward network; its q needs 3 iterations."""
    return svpg.digits().changed(
        {**_RATE, "learning.rule.depth": 2, "mean_field.noise": 0.1, "mean_field.iterations": 3}
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], Experiment]]] = {
    "inverted-pendulum": ("InvertedPendulum in MuJoCo, without spikes", inverted_pendulum),
    "digits": ("8x8 digits of scikit-learn, without spikes", digits),
}
