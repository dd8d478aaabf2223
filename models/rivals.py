"""What the papers on SVPG compare it with (Yang et al. 2022, 2025), on the same tasks.

`ppo` is an ordinary network of ReLU units, inputs to hidden to actions, trained by the PPO of Stable-Baselines3.
`converted` is the same training, validated and evaluated by the spikes of integrate-and-fire neurons with the same
weights. `bptt` is a network of leaky integrate-and-fire neurons, trained by that PPO through all steps of time. `ep` is
supervised: it learns by equilibrium propagation from the right answers. Sizes are the papers': 64 hidden units for
control, 500 for images; inputs are theirs too, observations scaled to [0, 1] without complements. Rates and lengths are
ours, found on seeds from 100 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rwta_sim.agents.bptt import BPTTExperiment
from rwta_sim.agents.ep import EPExperiment
from rwta_sim.agents.ep.experiment import EPLearningSpec
from rwta_sim.agents.ppo import PPOExperiment
from rwta_sim.agents.ppo.experiment import PPOLearningSpec
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec
from rwta_sim.models.svpg_lockstep import PENDULUM_LIMITS

__all__ = ["BPTT", "CONVERTED", "EP", "PPO"]


def _within(*limits: float) -> Scaled:
    return Scaled(low=tuple(-x for x in limits), high=limits, complementary=False)


def _control(
    task: str, environment: str, encoder: EncoderSpec, training: TrainingSpec, **learning: Any
) -> PPOExperiment:
    """What the tasks of control share."""
    usual = {"steps": 1024, "rate": 1e-3, "final_rate": 0.1, "gamma": 0.98, "lam": 0.9}
    return PPOExperiment(
        task=task,
        model="ppo",
        environment=EnvironmentSpec(id=environment),
        encoder=encoder,
        learning=PPOLearningSpec(**{**usual, **learning}),
        training=training,
    )


def cartpole() -> PPOExperiment:
    """CartPole-v1."""
    training = TrainingSpec(decisions=100_000, target=500.0)
    return _control("cartpole", "CartPole-v1", _within(2.4, 2.5, 0.25, 2.5), training)


def inverted_pendulum() -> PPOExperiment:
    """The inverted pendulum in MuJoCo, a pole of 1.5 m and five forces, 200 decisions at the most."""
    training = TrainingSpec(decisions=100_000, target=200.0)
    return _control("inverted-pendulum", "rwta_sim/InvertedPendulum-v0", _within(*PENDULUM_LIMITS), training)


def digits() -> PPOExperiment:
    """scikit-learn's 8x8 digits; the reward says only whether the answer was right."""
    return PPOExperiment(
        task="digits",
        model="ppo",
        environment=EnvironmentSpec(id="rwta_sim/Digits-v0"),
        hidden=(500,),
        learning=PPOLearningSpec(
            steps=500, minibatch=50, epochs=4, rate=5e-4, final_rate=0.1, gamma=1.0, lam=1.0, entropy=0.01
        ),
        training=TrainingSpec(episodes=60_000, validate_every=3000, checkpoint_every=5000),
    )


def xor() -> PPOExperiment:
    """XOR of two bits, and of their complements: without these spikes find three of the four answers in some seeds."""
    return PPOExperiment(
        task="xor",
        model="ppo",
        environment=EnvironmentSpec(id="rwta_sim/XOR-v0"),
        encoder=Scaled(),
        hidden=(16,),
        critic_hidden=(16,),
        learning=PPOLearningSpec(
            steps=64, minibatch=32, epochs=4, rate=0.01, final_rate=0.1, gamma=1.0, lam=1.0, entropy=0.02
        ),
        training=TrainingSpec(episodes=4000, validate_every=500, checkpoint_every=1000),
    )


def digits_by_equilibrium() -> EPExperiment:
    """scikit-learn's 8x8 digits, with the right answer told in training."""
    return EPExperiment(
        task="digits",
        environment=EnvironmentSpec(id="rwta_sim/Digits-v0"),
        learning=EPLearningSpec(rate=0.1, batch=20),
        training=TrainingSpec(episodes=40_000, validate_every=8000, checkpoint_every=8000),
    )


def xor_by_equilibrium() -> EPExperiment:
    """XOR of two bits, and of their complements, with the right answer told in training."""
    return EPExperiment(
        task="xor",
        environment=EnvironmentSpec(id="rwta_sim/XOR-v0"),
        encoder=Scaled(),
        hidden=(32,),
        learning=EPLearningSpec(rate=0.5, final_rate=1.0, batch=8),
        training=TrainingSpec(episodes=2000, validate_every=500, checkpoint_every=1000),
    )


def _converted(make: Callable[[], PPOExperiment]) -> Callable[[], PPOExperiment]:
    """The same training, by spikes wherever it is tested."""
    return lambda: make().changed({"model": "converted", "dynamics": "spiking"})


def _spiking(make: Callable[[], PPOExperiment], changes: dict[str, Any]) -> Callable[[], BPTTExperiment]:
    """A spiking network in place of the ordinary one, learning by the same PPO but for these settings."""

    def made() -> BPTTExperiment:
        tree = make().model_dump(mode="json", exclude={"dynamics", "conversion"})
        return BPTTExperiment.of({**tree, "model": "bptt"}).changed(changes)

    return made


#: Task: (one line on it, the experiment).
PPO: dict[str, tuple[str, Callable[[], PPOExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "inverted-pendulum": ("InvertedPendulum in MuJoCo: balance a pole, return 200 at the most", inverted_pendulum),
    "digits": ("8x8 digits of scikit-learn: 1 for the right class", digits),
    "xor": ("XOR: one decision per episode, 1 for the right answer", xor),
}
CONVERTED = {task: (text, _converted(make)) for task, (text, make) in PPO.items()}
#: What differs: larger minibatches, since steps of time cost as much for one decision as for many; and policies that
#: can become certain, as the softmax of means between 0 and 1 cannot.
_CONTROL = {"learning.minibatch": 256, "neurons.gain": 4.0, "training.validate_every": 100}
_CHANGES: dict[str, dict[str, Any]] = {
    "cartpole": _CONTROL,
    "inverted-pendulum": _CONTROL,
    "digits": {"learning.minibatch": 250, "neurons.gain": 10.0},
    "xor": {"hidden": [32], "neurons.gain": 4.0},
}
BPTT = {task: (text, _spiking(make, _CHANGES[task])) for task, (text, make) in PPO.items()}
EP: dict[str, tuple[str, Callable[[], EPExperiment]]] = {
    "digits": ("8x8 digits of scikit-learn, told the right answers in training", digits_by_equilibrium),
    "xor": ("XOR, told the right answers in training", xor_by_equilibrium),
}
