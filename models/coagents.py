"""Coagents (Aenugu 2020, arXiv 2005.05941): actors that vote; every neuron hears one broadcast number.

Published: stochastic neurons of +-1 at temperature 1; an output and a private hidden module per action of each actor;
the vote, then epsilon-greedy; credit by agreement; one learning rate for both layers; the TD error of a TD(lambda)
critic; actors, and of CartPole hidden neurons, as many as here; the gridworld with its critic and epsilon.

Ours, in all presets: hidden neurons begin with random weights, outputs with none; learning rates fall to a tenth;
ties fall by chance; epsilon falls to 0; evaluations add up the votes of several steps; numbers come with their
complements 1 - s (pixels do not); critics of lower order, or that begin with a value. Broadcast credit in the
gridworld, and on the inverted pendulum, XOR and the delayed cue, which, like digits, are not of the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rwta_sim.agents.coagents import CoagentExperiment, CoagentLearningSpec, CoagentNetworkSpec
from rwta_sim.learning.critics import CriticSpec, Fourier, Linear, Tabular
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.encoders.gaussian import Gaussian
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec

__all__ = ["MODEL", "PRESETS"]

MODEL = "coagents"


def _coagents(
    task: str,
    environment: EnvironmentSpec,
    encoder: EncoderSpec,
    critic: CriticSpec,
    training: TrainingSpec,
    network: CoagentNetworkSpec,
    **learning: Any,
) -> CoagentExperiment:
    return CoagentExperiment(
        task=task,
        model=MODEL,
        environment=environment,
        encoder=encoder,
        network=network,
        learning=CoagentLearningSpec(**learning),
        critic=critic,
        training=training,
    )


def _within(*limits: float) -> Scaled:
    return Scaled(low=tuple(-x for x in limits), high=limits)


def cartpole() -> CoagentExperiment:
    """CartPole-v1. The published critic is of order 5 with lambda .5, the rate 1e-3, and 1e-5 once it does well.

    Epsilon starts at .5, not .1: a critic that begins with V = 0 is surprised by every reward of 1, so the first
    actions are all strengthened, and with little exploration many seeds take one action for good.
    """
    return _coagents(
        "cartpole",
        EnvironmentSpec(id="CartPole-v1"),
        _within(2.4, 2.5, 0.25, 2.5),
        Fourier(order=3, gamma=0.99, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=400, target=500.0),
        CoagentNetworkSpec(actors=10, hidden=200, weight_sd=2.0, greedy_votes=5),
        rate=1e-4,
        epsilon=0.5,
        final_epsilon=0.0,
    )


def inverted_pendulum() -> CoagentExperiment:
    """The inverted pendulum in MuJoCo, a pole of 1.5 m and five forces; not a task of the paper.

    The critic begins with what a pole that stands for good is worth, 1/(1 - gamma). TD errors of a fall are as large as
    that, so the rate is small: at ten times as much a fall or two makes outputs certain, and many seeds stay there.
    """
    limits = (0.4, 0.2, 1.67, 1.25)
    return _coagents(
        "inverted-pendulum",
        EnvironmentSpec(id="rwta_sim/InvertedPendulum-v0"),
        Gaussian(low=tuple(-x for x in limits), high=limits),
        Fourier(order=3, gamma=0.97, lam=0.8, rate=1e-3, start=33.3),
        TrainingSpec(episodes=1000, validate_every=25, target=200.0),
        CoagentNetworkSpec(actors=10, hidden=40, weight_sd=1.0, greedy_votes=5),
        credit="broadcast",
        rate=1e-3,
        epsilon=0.1,
        final_epsilon=0.0,
    )


def mountaincar() -> CoagentExperiment:
    """MountainCar-v0, up to 1,000 steps. Tuning curves stand for the published 10 + 10 bins; 20 hidden, not 5."""
    return _coagents(
        "mountaincar",
        EnvironmentSpec(id="MountainCar-v0", kwargs={"max_episode_steps": 1000}),
        Gaussian(cells=10, width=0.5),
        Fourier(order=4, gamma=0.99, lam=0.9, rate=3e-3),
        TrainingSpec(episodes=300, validate_every=25),
        CoagentNetworkSpec(actors=20, hidden=20, weight_sd=1.0, greedy_votes=5),
        rate=1e-3,
        epsilon=0.1,
        final_epsilon=0.0,
    )


def acrobot() -> CoagentExperiment:
    """Acrobot-v1."""
    return _coagents(
        "acrobot",
        EnvironmentSpec(id="Acrobot-v1"),
        _within(1.0, 1.0, 1.0, 1.0, 5.0, 10.0),
        Fourier(order=2, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=600, validate_every=25),
        CoagentNetworkSpec(actors=10, hidden=100, weight_sd=1.0, greedy_votes=5),
        rate=1e-4,
        epsilon=0.1,
        final_epsilon=0.0,
    )


def gridworld() -> CoagentExperiment:
    """The slippery gridworld of the paper.

    The critic begins with hope, a value of 1 everywhere: with 0 nothing is learned before the goal is found, and what
    led there first may be strengthened for good in all places.
    """
    return _coagents(
        "gridworld",
        EnvironmentSpec(id="rwta_sim/Gridworld-v0"),
        Scaled(),
        Tabular(gamma=0.9, lam=0.7, rate=0.1, start=1.0),
        TrainingSpec(episodes=5000, validate_every=1000),
        CoagentNetworkSpec(actors=10, hidden=30, weight_sd=1.0, greedy_votes=25),
        credit="broadcast",
        rate=0.02,
        epsilon=0.01,
        final_epsilon=0.0,
    )


def xor() -> CoagentExperiment:
    """XOR of two bits, one decision per episode; not a task of the paper.

    By agreement one seed of eight answers three patterns of four for good (docs/coagents.md).
    """
    return _coagents(
        "xor",
        EnvironmentSpec(id="rwta_sim/XOR-v0"),
        Scaled(),
        Fourier(order=1, gamma=1.0, lam=1.0, rate=0.05),
        TrainingSpec(episodes=8000, validate_every=1000, checkpoint_every=1000),
        CoagentNetworkSpec(actors=10, hidden=40, weight_sd=2.0, greedy_votes=5),
        credit="broadcast",
        rate=0.005,
        epsilon=0.1,
        final_epsilon=0.0,
    )


def digits() -> CoagentExperiment:
    """scikit-learn's 8x8 digits, one decision per episode; not a task of the paper.

    What matters most is a critic that knows how hard a picture is, and drives that are standardised (docs/coagents.md).
    """
    return _coagents(
        "digits",
        EnvironmentSpec(id="rwta_sim/Digits-v0"),
        Scaled(complementary=False, standardise=400),
        Linear(gamma=0.0, lam=0.0, rate=0.02),
        TrainingSpec(episodes=60_000, validate_every=10_000, checkpoint_every=10_000),
        CoagentNetworkSpec(actors=10, hidden=50, weight_sd=0.25, greedy_votes=25),
        rate=3e-3,
        epsilon=0.1,
        final_epsilon=0.0,
    )


def delayed_cue() -> CoagentExperiment:
    """Which of two cues was shown two decisions ago, one distractor later; not a task of the paper.

    Hidden neurons of a module hear one another, and weights have traces of the whole episode.
    """
    return _coagents(
        "delayed-cue",
        EnvironmentSpec(id="rwta_sim/DelayedCue-v0", kwargs={"delay": 1}),
        Scaled(),
        Tabular(gamma=1.0, lam=1.0, rate=0.05),
        TrainingSpec(episodes=20_000, validate_every=4000, validation_episodes=100, checkpoint_every=4000),
        CoagentNetworkSpec(actors=10, hidden=20, weight_sd=1.0, greedy_votes=5, recurrent="module"),
        credit="broadcast",
        lam=1.0,
        rate=0.01,
        epsilon=0.1,
        final_epsilon=0.0,
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], CoagentExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "inverted-pendulum": ("InvertedPendulum in MuJoCo: balance a pole, return 200 at the most", inverted_pendulum),
    "mountaincar": ("MountainCar-v0, up to 1,000 steps: swing out of the valley, -1 per step", mountaincar),
    "acrobot": ("Acrobot-v1: swing up, -1 per step, 500 steps at the most", acrobot),
    "gridworld": ("Slippery 10x10 gridworld: +10 at the goal, 300 steps at the most", gridworld),
    "xor": ("XOR: one decision per episode, 1 for the right answer", xor),
    "digits": ("8x8 digits of scikit-learn: 1 for the right class", digits),
    "delayed-cue": ("Say which of 2 cues was shown, one distractor later: 1 for the right answer", delayed_cue),
}
