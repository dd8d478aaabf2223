"""SVPG as published: sizes, kernels, rates and schedules of the authors' code, for the network without spikes that it
trains (Yang, Guo, Fang, Liu; BMVC 2022, arXiv 2210.13225; IEEE TPAMI 47(3), 2025, doi 10.1109/TPAMI.2024.3511936).

The slips of the code are off (`published_code` of ``learning``, ``mean_field`` and ``network``), but for how it hands
the entropy to synapses, without which the pendulum's entropy of 5 leaves its policy nearly uniform. Decision and kernel
are those of its spiking version: evaluate with ``--dynamics spiking``. What the papers do not say, and where these
presets differ, is in docs/reproduction.md. Those of images take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brian2 import Quantity, ms

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Rectangular
from rwta_sim.circuit.meanfield import MeanFieldSpec
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import Constant, CriticSpec, Network, QNetwork
from rwta_sim.learning.modulation import EpisodeAdvantage, Recent
from rwta_sim.learning.modulation.ppo import PPO
from rwta_sim.learning.optimisers import SGD, Adam, RMSNormalised
from rwta_sim.learning.rules import MeanFieldRule
from rwta_sim.loop.encoders import Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec
from rwta_sim.models.svpg_lockstep import PENDULUM_LIMITS

__all__ = ["BMVC", "PRESETS"]

#: CartPole's observations times .4, .4, 4 and .4 go from -1 to 1.
_CARTPOLE_LIMITS = (2.5, 2.5, 0.25, 2.5)
_RULE = MeanFieldRule(depth=1, hidden="sampled", entropy="taken")
_INFERENCE = MeanFieldSpec(iterations=50, tolerance=0.005, noise=0.02, start="noise")


def _network(circuits: int, size: int, length: Quantity) -> NetworkSpec:
    """Circuits fire evenly until the kernel is full, but for the step from which q is asked for."""
    return NetworkSpec(
        hidden_circuits=circuits, hidden_size=size, kernel=Rectangular(duration=length), warm_up=length - 1 * ms
    )


def inverted_pendulum() -> RWTAExperiment:
    """8x8, PPO-clip with 5 epochs on the last 1,000 decisions, every 10; RMSprop(.99) at 1e-3, entropy 5, gamma .97; Q
    of 64-64 units; spikes: T = 42, L = 40.

    One mean-field step, not 50: weights onto hidden neurons walk at random until circuits excite one another so much
    that the mean field settles, after dozens of steps, to what the spikes of 42 steps are far from. These ask for q
    three times, with traces that are nearly all of the time before: that is the first step. It ends when the pole never
    falls in a validation of 100 episodes.
    """
    return RWTAExperiment(
        task="inverted-pendulum",
        model="svpg-published",
        dynamics="rate",
        environment=EnvironmentSpec(id="rwta_sim/InvertedPendulum-v0"),
        encoder=Scaled(low=tuple(-x for x in PENDULUM_LIMITS), high=PENDULUM_LIMITS, complementary=False),
        network=_network(8, 8, 40 * ms),
        decision=DecisionSpec(steps=42, readout="argmax"),
        learning=LearningSpec(
            rule=_RULE,
            modulation=Recent(size=1000, every=10, clip=0.2, epochs=5),
            optimiser=RMSNormalised(decay=0.99),
            rate=1e-3,
            final_rate=1.0,
            entropy=5.0,
        ),
        critic=QNetwork(gamma=0.97, hidden=(64, 64), rate=1e-3),
        training=TrainingSpec(episodes=2000, validate_every=25, validation_episodes=100, target=200.0, target_streak=1),
        mean_field=_INFERENCE.model_copy(update={"iterations": 1}),
    )


def cartpole() -> RWTAExperiment:
    """The auxiliary task of the published code; the recipe is that of the pendulum."""
    return inverted_pendulum().changed(
        {
            "task": "cartpole",
            "environment": {"id": "CartPole-v1"},
            "encoder.low": [-x for x in _CARTPOLE_LIMITS],
            "encoder.high": list(_CARTPOLE_LIMITS),
            "training.target": 500.0,
        }
    )


def _images(
    task: str, environment: EnvironmentSpec, critic: CriticSpec, training: TrainingSpec, **learning: Any
) -> RWTAExperiment:
    """What tasks with images share: 50x10, PPO-clip with 5 epochs, Adam; spikes: T = 200, L = 20."""
    return RWTAExperiment(
        task=task,
        model="svpg-published",
        dynamics="rate",
        environment=environment,
        encoder=Scaled(complementary=False),
        network=_network(50, 10, 20 * ms),
        decision=DecisionSpec(steps=200, readout="argmax"),
        learning=LearningSpec(
            rule=_RULE,
            modulation=PPO(clip=0.2, epochs=5),
            optimiser=Adam(),
            final_rate=1.0,
            **learning,
        ),
        critic=critic,
        training=training,
        mean_field=_INFERENCE,
    )


def doom_health() -> RWTAExperiment:
    """4,800 grey pixels, batches of one episode, Adam 1e-4, entropy .02, V of 2048-1024-1024."""
    return _images(
        "doom-health",
        EnvironmentSpec(id="rwta_sim/DoomHealth-v0"),
        Network(gamma=0.97, hidden=(2048, 1024, 1024), channels=(), rate=1e-3),
        TrainingSpec(episodes=2000, validate_every=100, validation_episodes=10),
        rate=1e-4,
        entropy=0.02,
    )


def mnist_tpami() -> RWTAExperiment:
    """Rewards +-1, Adam 1e-3, entropy .2, 20,000 batches of 100."""
    return _images(
        "mnist",
        EnvironmentSpec(id="rwta_sim/MNIST-v0", kwargs={"wrong_reward": -1.0}),
        Constant(gamma=1.0, lam=1.0, rate=1e-3),
        TrainingSpec(episodes=2_000_000, validate_every=100_000, checkpoint_every=10_000, replicas=100, together=True),
        rate=1e-3,
        batch=100,
        entropy=0.2,
    )


def mnist_bmvc() -> RWTAExperiment:
    """20x10, rewards 0 and -1, REINFORCE, SGD .1, no entropy, 50,000 batches of 100; T = 200, L = 50."""
    return mnist_tpami().changed(
        {
            "model": "svpg-bmvc",
            "environment.kwargs": {"right_reward": 0.0, "wrong_reward": -1.0},
            "network.hidden_circuits": 20,
            "network.kernel.duration": "50 ms",
            "network.warm_up": "49 ms",
            "learning.modulation": EpisodeAdvantage(lam=1.0).model_dump(),
            "learning.optimiser": SGD().model_dump(),
            "learning.rate": 0.1,
            "learning.entropy": 0.0,
            "training.episodes": 5_000_000,
        }
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "inverted-pendulum": ("InvertedPendulum as published, without spikes", inverted_pendulum),
    "cartpole": ("CartPole by the published recipe of the pendulum, without spikes", cartpole),
    "doom-health": ("ViZDoom health gathering as published, without spikes; days", doom_health),
    "mnist": ("MNIST as published in TPAMI, without spikes; hours", mnist_tpami),
}

#: The same, of the BMVC paper.
BMVC: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "mnist": ("MNIST as published at BMVC, without spikes; hours", mnist_bmvc)
}
