"""SVPG: spiking variational policy gradient (Yang, Guo, Fang, Liu; BMVC 2022, arXiv 2210.13225;
IEEE TPAMI 47(3), 2025, doi 10.1109/TPAMI.2024.3511936).

The network, the rule and the sizes are the paper's (CartPole stands in its code as an auxiliary task, with
the sizes of InvertedPendulum); what a preset changes is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from brian2 import ms

from rwta_sim.actor import DecisionSpec
from rwta_sim.config import EnvironmentSpec, Experiment, TrainingSpec
from rwta_sim.critics import Fourier, Tabular
from rwta_sim.encoders import EncoderSpec
from rwta_sim.kernels import Exponential
from rwta_sim.learning import LearningSpec
from rwta_sim.spec import NetworkSpec

__all__ = ["PRESETS"]


def cartpole() -> Experiment:
    """CartPole-v1 from spikes.

    Published: observations times (.4, .4, 4, .4), clipped to +-1, scaled to [0, 1]; 8 hidden circuits of 8;
    one spike per circuit and step; last-step rule. Ours: complementary inputs, an exponential kernel over
    decisions of 10 steps, a linear critic in place of a deep one, and an update per decision.
    """
    return Experiment(
        task="cartpole",
        environment=EnvironmentSpec(id="CartPole-v1"),
        encoder=EncoderSpec(low=(-2.5, -2.5, -0.25, -2.5), high=(2.5, 2.5, 0.25, 2.5)),
        network=NetworkSpec(hidden_circuits=8, hidden_size=8, kernel=Exponential(tau=10 * ms)),
        decision=DecisionSpec(steps=10),
        learning=LearningSpec(rate=3e-3, final_rate=0.1, entropy=0.02),
        critic=Fourier(order=3, gamma=0.99, trace=0.8, rate=1e-3),
        training=TrainingSpec(episodes=700, target=500.0),
    )


def cue() -> Experiment:
    """Cue-action association: the smallest task, for tests and teaching; learned in seconds."""
    return Experiment(
        task="cue",
        environment=EnvironmentSpec(id="rwta_sim/CueAction-v0"),
        network=NetworkSpec(hidden_circuits=2, hidden_size=4, kernel=Exponential(tau=5 * ms)),
        decision=DecisionSpec(steps=5),
        learning=LearningSpec(rate=1e-2, entropy=0.01),
        critic=Tabular(gamma=0.0, trace=0.0, rate=0.1),
        training=TrainingSpec(
            episodes=60, validate_every=20, validation_episodes=5, checkpoint_every=10, target=20.0, target_streak=1
        ),
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], Experiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "cue": ("CueAction-v0: answer each of 4 cues with its action, return 20 at the most", cue),
}
