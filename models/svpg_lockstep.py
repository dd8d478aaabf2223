"""SVPG: spiking variational policy gradient (Yang, Guo, Fang, Liu; BMVC 2022, arXiv 2210.13225;
IEEE TPAMI 47(3), 2025, doi 10.1109/TPAMI.2024.3511936), learned from spikes in lockstep: every circuit fires once in
every step of 1 ms, as published, so one neuron may fire at 1,000 Hz; and results are argmax of q, as published.

`svpg` has networks at rates that a cortex could have, `svpg_published` the published sizes, kernels, rates and
schedules, and `svpg_rate` the networks of here without spikes. What is common to those for control: all blocks,
symmetric weights and 8 hidden circuits of 8 as published; the last-step rule from spike traces, one update per decision
with the TD error of a linear critic, and several input neurons per channel, since what limits control is how exactly
spikes tell an angle. That rule gives the weights onto hidden neurons no direction, and the inputs reach the actions
directly: the hidden circuits are not needed, as a lesion shows (`rwta-sim evaluate RUN --lesion ha`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brian2 import ms

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import Fourier, Tabular
from rwta_sim.learning.modulation import EpisodeAdvantage
from rwta_sim.learning.optimisers import Adam
from rwta_sim.learning.rules import Feedback, ScoreFunction
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec

__all__ = ["MODEL", "PENDULUM_LIMITS", "PRESETS"]

MODEL = "svpg-lockstep"

#: What the published code scales to [0, 1]: x, angle and their velocities times (2.5, 5, .6, .8), clipped to +-1.
PENDULUM_LIMITS = (0.4, 0.2, 1 / 0.6, 1 / 0.8)


def _within(*limits: float, copies: int) -> Scaled:
    return Scaled(low=tuple(-x for x in limits), high=limits, copies=copies)


def _control(
    task: str,
    environment: EnvironmentSpec,
    encoder: EncoderSpec,
    critic: Fourier,
    training: TrainingSpec,
    entropy: float,
    tau: float,
    steps: int = 10,
) -> RWTAExperiment:
    """What the tasks of control share; `tau` of the kernel in ms."""
    return RWTAExperiment(
        task=task,
        model=MODEL,
        environment=environment,
        encoder=encoder,
        network=NetworkSpec(hidden_circuits=8, hidden_size=8, kernel=Exponential(tau=tau * ms)),
        decision=DecisionSpec(steps=steps, readout="argmax"),
        learning=LearningSpec(rate=3e-3, final_rate=0.1, entropy=entropy),
        critic=critic,
        training=training,
    )


def cartpole() -> RWTAExperiment:
    """CartPole-v1.

    Published (an auxiliary task of the code): observations times (.4, .4, 4, .4), clipped to +-1, scaled to [0, 1].
    """
    return _control(
        "cartpole",
        EnvironmentSpec(id="CartPole-v1"),
        _within(2.5, 2.5, 0.25, 2.5, copies=4),
        Fourier(order=3, gamma=0.99, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=700, target=500.0),
        entropy=0.02,
        tau=10,
    )


def inverted_pendulum() -> RWTAExperiment:
    """The inverted pendulum in MuJoCo, a pole of 1.5 m and five forces, 200 decisions at the most.

    With little entropy it learns to push never, which lets the pole fall slower than a random policy does; the
    published weight is high too (5). gamma is the published one.
    """
    return _control(
        "inverted-pendulum",
        EnvironmentSpec(id="rwta_sim/InvertedPendulum-v0"),
        _within(*PENDULUM_LIMITS, copies=8),
        Fourier(order=3, gamma=0.97, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=600, target=200.0),
        entropy=1.0,
        tau=8,
        steps=20,
    )


def mountaincar() -> RWTAExperiment:
    """MountainCar-v0 with episodes of up to 1,000 steps, so that chance finds the goal."""
    return _control(
        "mountaincar",
        EnvironmentSpec(id="MountainCar-v0", kwargs={"max_episode_steps": 1000}),
        Scaled(copies=8),
        Fourier(order=4, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=500, validate_every=25),
        entropy=0.0,
        tau=5,
    )


def acrobot() -> RWTAExperiment:
    """Acrobot-v1: swing the tip of a double pendulum up, -1 per step, 500 steps at the most."""
    return _control(
        "acrobot",
        EnvironmentSpec(id="Acrobot-v1"),
        Scaled(copies=8),
        Fourier(order=2, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=600, validate_every=25),
        entropy=0.3,
        tau=5,
    )


def gridworld() -> RWTAExperiment:
    """The slippery 10x10 gridworld of Aenugu (arXiv 2005.05941), whose gamma, lambda and critic's rate these are."""
    return RWTAExperiment(
        task="gridworld",
        model=MODEL,
        environment=EnvironmentSpec(id="rwta_sim/Gridworld-v0"),
        network=NetworkSpec(hidden_circuits=4, hidden_size=4, kernel=Exponential(tau=3 * ms)),
        decision=DecisionSpec(steps=10, readout="argmax"),
        learning=LearningSpec(rate=1e-2, final_rate=0.05, entropy=0.002),
        critic=Tabular(gamma=0.9, lam=0.7, rate=0.1),
        training=TrainingSpec(episodes=5000, validate_every=500),
    )


def _parity(task: str, environment: EnvironmentSpec, circuits: int, episodes: int) -> RWTAExperiment:
    """Parity by the score function of the spikes; the last-step rule cannot learn it.

    Feed-forward and without the direct way from inputs to actions, so that hidden neurons have to do it.
    """
    return RWTAExperiment(
        task=task,
        model=MODEL,
        environment=environment,
        network=NetworkSpec(
            hidden_circuits=circuits,
            hidden_size=4,
            blocks=("sh", "ha"),
            symmetric=False,
            kernel=Exponential(tau=4 * ms),
            weight_sd=0.5,
            random_blocks=("sh",),
        ),
        decision=DecisionSpec(steps=10, readout="argmax"),
        learning=LearningSpec(
            rule=ScoreFunction(),
            modulation=EpisodeAdvantage(lam=1.0),
            optimiser=Adam(),
            rate=0.03,
            final_rate=0.1,
            batch=16,
            entropy=0.3,
        ),
        critic=Fourier(order=1, gamma=1.0, lam=1.0, rate=0.05),
        training=TrainingSpec(episodes=episodes, validate_every=episodes // 8, checkpoint_every=4000),
    )


def xor() -> RWTAExperiment:
    """XOR of two bits."""
    return _parity("xor", EnvironmentSpec(id="rwta_sim/XOR-v0"), 8, 24_000)


def parity3() -> RWTAExperiment:
    """Parity of three bits."""
    return _parity("parity3", EnvironmentSpec(id="rwta_sim/Parity-v0", kwargs={"n_bits": 3}), 16, 48_000)


def _images(task: str, environment: str, circuits: int, episodes: int, **learning: Any) -> RWTAExperiment:
    """Images by the feedback rule: the reward says only whether the answer was right.

    Feed-forward, hidden weights random at the start, exploration by an entropy that falls to a tenth.
    """
    settings = {"rate": 0.02, "final_rate": 0.1, "batch": 50, "entropy": 0.3, "final_entropy": 0.1, **learning}
    return RWTAExperiment(
        task=task,
        model=MODEL,
        environment=EnvironmentSpec(id=environment),
        encoder=Scaled(complementary=False),
        network=NetworkSpec(
            hidden_circuits=circuits,
            hidden_size=10,
            blocks=("sh", "ha"),
            symmetric=False,
            kernel=Exponential(tau=8 * ms),
            weight_sd=1.0,
            random_blocks=("sh",),
        ),
        decision=DecisionSpec(steps=30, readout="argmax"),
        learning=LearningSpec(
            **{"rule": Feedback(), "modulation": EpisodeAdvantage(lam=1.0), "optimiser": Adam(), **settings}
        ),
        critic=Fourier(order=1, coupled=False, gamma=1.0, lam=1.0, rate=0.01),
        training=TrainingSpec(episodes=episodes, validate_every=episodes // 20, checkpoint_every=5000),
    )


def digits() -> RWTAExperiment:
    """scikit-learn's 8x8 digits."""
    return _images("digits", "rwta_sim/Digits-v0", 30, 80_000)


def mnist() -> RWTAExperiment:
    """MNIST; ``--environment.kwargs '{folder = "..."}'`` says where its four files are."""
    experiment = _images("mnist", "rwta_sim/MNIST-v0", 30, 60_000)
    changes = {"network.weight_sd": 0.3, "critic.rate": 1e-3, "training.validate_every": 15_000}
    return experiment.changed(changes)


def cue() -> RWTAExperiment:
    """Cue-action association: the smallest task, for tests and teaching; learned in seconds."""
    return RWTAExperiment(
        task="cue",
        model=MODEL,
        environment=EnvironmentSpec(id="rwta_sim/CueAction-v0"),
        network=NetworkSpec(hidden_circuits=2, hidden_size=4, kernel=Exponential(tau=5 * ms)),
        decision=DecisionSpec(steps=5, readout="argmax"),
        learning=LearningSpec(rate=1e-2, entropy=0.01),
        critic=Tabular(gamma=0.0, lam=0.0, rate=0.1),
        training=TrainingSpec(
            episodes=60, validate_every=20, validation_episodes=5, checkpoint_every=10, target=20.0, target_streak=1
        ),
    )


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "inverted-pendulum": ("InvertedPendulum in MuJoCo: balance a pole, return 200 at the most", inverted_pendulum),
    "mountaincar": ("MountainCar-v0, up to 1,000 steps: swing out of the valley, -1 per step", mountaincar),
    "acrobot": ("Acrobot-v1: swing up, -1 per step, 500 steps at the most", acrobot),
    "gridworld": ("Slippery 10x10 gridworld: +10 at the goal, 300 steps at the most", gridworld),
    "xor": ("XOR: one decision per episode, 1 for the right answer", xor),
    "parity3": ("Parity of three bits: one decision per episode, 1 for the right answer", parity3),
    "digits": ("8x8 digits of scikit-learn: 1 for the right class", digits),
    "mnist": ("MNIST: 1 for the right class; needs its files or a network", mnist),
    "cue": ("CueAction-v0: answer each of 4 cues with its action, return 20 at the most", cue),
}
