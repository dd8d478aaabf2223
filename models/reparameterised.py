"""Reparameterised spikes, the second approach of Aenugu (2020, arXiv 2005.05941), for which there is no public code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rwta_sim.agents.reparameterised import ReparameterisedExperiment
from rwta_sim.agents.reparameterised.experiment import ReparameterisedLearningSpec
from rwta_sim.learning.critics import CriticSpec, Fourier, Linear, Tabular
from rwta_sim.learning.modulation import PPO, TDError
from rwta_sim.loop.encoders import EncoderSpec, Gaussian, Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec

__all__ = ["CONCRETE", "CONCRETE_MODEL", "MODEL", "PRESETS"]

MODEL = "reparameterised"
#: The same tasks, learned in the relaxed network.
CONCRETE_MODEL = "reparameterised-concrete"


def _task(
    task: str,
    environment: EnvironmentSpec,
    encoder: EncoderSpec,
    critic: CriticSpec,
    training: TrainingSpec,
    hidden: tuple[int, ...] = (64,),
    gain: float = 1.0,
    **learning: Any,
) -> ReparameterisedExperiment:
    """What all share."""
    return ReparameterisedExperiment(
        task=task,
        model=MODEL,
        environment=environment,
        encoder=encoder,
        hidden=hidden,
        gain=gain,
        learning=ReparameterisedLearningSpec(**learning),
        critic=critic,
        training=training,
    )


def _within(*limits: float) -> Scaled:
    return Scaled(low=tuple(-x for x in limits), high=limits)


_PPO = PPO(normalise=True, minibatch=256, epochs=10)


def cartpole() -> ReparameterisedExperiment:
    """CartPole-v1."""
    return _task(
        "cartpole",
        EnvironmentSpec(id="CartPole-v1"),
        _within(2.4, 2.5, 0.25, 2.5),
        Fourier(order=3, gamma=0.99, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=700, target=500.0),
        modulation=_PPO,
        batch=8,
        rate=3e-3,
        entropy=0.01,
        final_entropy=0.0,
    )


def inverted_pendulum() -> ReparameterisedExperiment:
    """The inverted pendulum in MuJoCo, a pole of 1.5 m and five forces, 200 decisions at the most."""
    return _task(
        "inverted-pendulum",
        EnvironmentSpec(id="rwta_sim/InvertedPendulum-v0"),
        _within(0.4, 0.2, 1.67, 1.25),
        Fourier(order=3, gamma=0.97, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=1000, target=200.0),
        modulation=_PPO,
        batch=8,
        rate=3e-3,
        entropy=0.01,
        final_entropy=0.0,
    )


def mountaincar() -> ReparameterisedExperiment:
    """MountainCar-v0 with episodes of up to 1,000 steps, so that chance finds the goal.

    Actor and critic at every decision: values that start too high drive it to where it has not been. Tuning curves
    show small differences of position; without them one seed of two stays below -150.
    """
    return _task(
        "mountaincar",
        EnvironmentSpec(id="MountainCar-v0", kwargs={"max_episode_steps": 1000}),
        Gaussian(),
        Fourier(order=4, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=200, validate_every=20),
        modulation=TDError(),
        rate=1e-3,
        entropy=0.0,
    )


def acrobot() -> ReparameterisedExperiment:
    """Acrobot-v1: swing the tip of a double pendulum up, -1 per step, 500 steps at the most."""
    return _task(
        "acrobot",
        EnvironmentSpec(id="Acrobot-v1"),
        _within(1.0, 1.0, 1.0, 1.0, 5.0, 10.0),
        Fourier(order=2, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=400, validate_every=25),
        modulation=_PPO,
        batch=8,
        rate=3e-3,
        entropy=0.01,
        final_entropy=0.0,
    )


def gridworld() -> ReparameterisedExperiment:
    """The slippery 10x10 gridworld of Aenugu (arXiv 2005.05941), whose gamma, lambda and critic's rate these are.

    One input of a hundred is on, so the first weights onto hidden neurons have to be larger for these to differ.
    """
    return _task(
        "gridworld",
        EnvironmentSpec(id="rwta_sim/Gridworld-v0"),
        Scaled(),
        Tabular(gamma=0.9, lam=0.7, rate=0.1),
        TrainingSpec(episodes=5000, validate_every=500),
        gain=8.0,
        modulation=_PPO,
        batch=10,
        rate=0.01,
        entropy=0.01,
        final_entropy=0.0,
    )


def xor() -> ReparameterisedExperiment:
    """XOR of two bits."""
    return _task(
        "xor",
        EnvironmentSpec(id="rwta_sim/XOR-v0"),
        Scaled(),
        Fourier(order=1, gamma=1.0, lam=1.0, rate=0.05),
        TrainingSpec(episodes=6400, validate_every=800, checkpoint_every=1600),
        hidden=(32,),
        gain=2.0,
        modulation=PPO(epochs=2, lam=1.0),
        batch=32,
        rate=0.02,
        entropy=0.4,
        final_entropy=0.0,
    )


def digits() -> ReparameterisedExperiment:
    """scikit-learn's 8x8 digits, one decision per episode, with standardised drives as for coagents.

    Twice the neurons and twice the episodes did no better on test pictures (seed 20).
    """
    return _task(
        "digits",
        EnvironmentSpec(id="rwta_sim/Digits-v0"),
        Scaled(complementary=False, standardise=400),
        Linear(gamma=1.0, lam=1.0, rate=0.02),
        TrainingSpec(episodes=20_000, validate_every=2500, checkpoint_every=5000),
        modulation=PPO(epochs=2, lam=1.0),
        batch=50,
        rate=0.01,
        entropy=0.1,
        final_entropy=0.0,
    )


def concrete(experiment: ReparameterisedExperiment) -> ReparameterisedExperiment:
    """The same with binary Concrete units both ways in place of straight-through: it learns in a relaxed network.

    Their temperature falls from 1, where gradients have little noise, to .2, where the relaxed network is nearly that
    of the spikes, as which it acts all along.
    """
    relaxed = {"concrete.straight_through": False, "concrete.temperature": 1.0, "concrete.final_temperature": 0.2}
    return experiment.changed({"model": CONCRETE_MODEL, **relaxed})


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], ReparameterisedExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "inverted-pendulum": ("InvertedPendulum in MuJoCo: balance a pole, return 200 at the most", inverted_pendulum),
    "mountaincar": ("MountainCar-v0, up to 1,000 steps: swing out of the valley, -1 per step", mountaincar),
    "acrobot": ("Acrobot-v1: swing up, -1 per step, 500 steps at the most", acrobot),
    "gridworld": ("Slippery 10x10 gridworld: +10 at the goal, 300 steps at the most", gridworld),
    "xor": ("XOR: one decision per episode, 1 for the right answer", xor),
    "digits": ("8x8 digits of scikit-learn: 1 for the right class", digits),
}


def _concrete(make: Callable[[], ReparameterisedExperiment]) -> Callable[[], ReparameterisedExperiment]:
    return lambda: concrete(make())


#: The same of `CONCRETE_MODEL`.
CONCRETE = {task: (f"{line}; Concrete units", _concrete(make)) for task, (line, make) in PRESETS.items()}
