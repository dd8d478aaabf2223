"""SVPG sees: ViZDoom's health gathering and two robots, spiking in the loop.

The tasks are those of the journal paper (Yang, Guo, Fang and Liu, IEEE TPAMI 47(3), 2025,
doi 10.1109/TPAMI.2024.3511936): cameras, actions and rewards, unless said otherwise. The published network (4,096 to
4,800 grey pixels, 50 to 100 hidden circuits of 10, all blocks) learns by PPO with an ordinary network as critic. Here,
found on seeds that are not in the tables:

* Inputs are currents: a picture is one product of a vector and a matrix. With 1 - s beside s (`complementary`)
  thousands of pixels would be a common drive that drowns the picture, so there is s alone.
* 20 to 50 hidden circuits; `Feedback` as the rule, which teaches hidden neurons through the weights they act by.
* A retina before the network: small pictures whose drive is standardised (Doom), or on and off cells (robots).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brian2 import ms

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import Constant, Rates
from rwta_sim.learning.modulation import EpisodeAdvantage
from rwta_sim.learning.modulation.ppo import PPO
from rwta_sim.learning.optimisers import Adam
from rwta_sim.learning.rules import Feedback
from rwta_sim.loop.encoders import Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec
from rwta_sim.models.svpg_lockstep import MODEL

__all__ = ["PRESETS"]

_RETINA = {"size": [15, 20], "encoding": "highlights"}


def _doom(
    task: str,
    id: str,
    rewards: dict[str, Any],
    circuits: int,
    learning: dict[str, Any],
    value_rate: float,
    training: TrainingSpec,
) -> RWTAExperiment:
    """Feed-forward; a hidden neuron's trace is its mean rate in the decision.

    Two channels of 15 x 20 pixels: luminance, and what is bright within each pixel's area, which averaging would lose.
    Nothing but medkits is rewarded, and poison punished where there is any: living longer follows from them, and
    rewards for it would come whatever is done.
    """
    return RWTAExperiment(
        task=task,
        model=MODEL,
        environment=EnvironmentSpec(id=id, kwargs={**_RETINA, "alive": 0.0, "healed": 1.0, "death": 0.0, **rewards}),
        encoder=Scaled(complementary=False, standardise=400),
        network=NetworkSpec(
            hidden_circuits=circuits,
            hidden_size=10,
            blocks=("sh", "ha"),
            symmetric=False,
            inputs="current",
            kernel=Rectangular(duration=10 * ms),
            precision="single",
            weight_sd=0.045,
        ),
        decision=DecisionSpec(steps=10, readout="argmax"),
        learning=LearningSpec(rule=Feedback(), optimiser=Adam(), final_rate=0.1, **learning),
        critic=Rates(gamma=0.98, lam=0.95, rate=value_rate),
        training=training,
    )


def doom_health() -> RWTAExperiment:
    """PPO on two episodes at a time; minibatches of 32 decisions made hidden circuits saturate before they learned."""
    ppo = PPO(epochs=4, minibatch=128, normalise=True)
    learning = {"modulation": ppo, "rate": 1e-3, "entropy": 0.01, "final_entropy": 0.1, "batch": 2}
    training = TrainingSpec(episodes=160, validate_every=40, validation_episodes=10, checkpoint_every=10)
    return _doom("doom-health", "rwta_sim/DoomHealth-v0", {}, 20, learning, 1e-3, training)


def doom_health_supreme() -> RWTAExperiment:
    """PPO on four episodes at a time, and poison costs what a medkit earns."""
    ppo = PPO(epochs=4, minibatch=256, normalise=True)
    learning = {"modulation": ppo, "rate": 1e-3, "entropy": 0.005, "batch": 4}
    rewards = {"poisoned": -1.0}
    # Lives differ much here: fewer than 25 would choose weights by luck.
    training = TrainingSpec(episodes=1000, validate_every=100, validation_episodes=25, checkpoint_every=10)
    return _doom("doom-health-supreme", "rwta_sim/DoomHealthSupreme-v0", rewards, 50, learning, 5e-4, training)


def _robot(
    task: str, environment: EnvironmentSpec, weight_sd: float, lam: float, learning: dict[str, Any], **rest: Any
) -> RWTAExperiment:
    """All blocks, symmetric; one step per batch of episodes.

    Validated and evaluated by what spikes do: argmax of q takes the same action at the same place every time, and in
    some seeds walks in circles where spikes find a way out.
    """
    return RWTAExperiment(
        task=task,
        model=MODEL,
        environment=environment,
        encoder=Scaled(complementary=False),
        network=NetworkSpec(
            hidden_circuits=20,
            hidden_size=10,
            inputs="current",
            kernel=Exponential(tau=4 * ms),
            precision="single",
            weight_sd=weight_sd,
            random_blocks=("sh", "ha", "ah"),
        ),
        decision=DecisionSpec(steps=10),
        learning=LearningSpec(
            rule=Feedback(), modulation=EpisodeAdvantage(lam=lam), optimiser=Adam(), final_rate=0.1, **learning
        ),
        **rest,
    )


def panda_reach() -> RWTAExperiment:
    """gamma 0.9, not the published 0.97: to and fro earns 1 in every other step, with that more than the goal's 10."""
    return _robot(
        "panda-reach",
        EnvironmentSpec(id="rwta_sim/PandaReach-v0", kwargs={"encoding": "on_off"}),
        weight_sd=0.15,
        lam=0.9,
        learning={"rate": 3e-3, "batch": 16, "entropy": 0.1},
        critic=Constant(gamma=0.9, lam=0.9, rate=3e-3),
        training=TrainingSpec(episodes=1024, validate_every=128, validation_episodes=48),
    )


def robot_navigation() -> RWTAExperiment:
    """A critic of the state: with a constant one, rewards that depend on where an episode begins drown the rest."""
    look = {"encoding": "on_off", "centre": 2.0, "surround": 6.0}
    return _robot(
        "robot-navigation",
        EnvironmentSpec(id="rwta_sim/RobotNavigation-v0", kwargs=look),
        weight_sd=0.1,
        lam=0.95,
        learning={"rate": 2e-3, "batch": 8, "entropy": 0.3},
        critic=Rates(gamma=0.97, lam=0.9, rate=3e-3),
        training=TrainingSpec(episodes=800, validate_every=100, validation_episodes=33),
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "doom-health": ("ViZDoom health gathering: live for 525 decisions; needs the extra vizdoom", doom_health),
    "doom-health-supreme": ("The same in a maze with poison; needs the extra vizdoom", doom_health_supreme),
    "panda-reach": ("A Panda's wrist camera finds a cube, within 60 moves; needs the extra pybullet", panda_reach),
    "robot-navigation": ("A robot's camera finds a ball, within 200 moves; needs the extra pybullet", robot_navigation),
}
