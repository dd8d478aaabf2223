"""SVPG (spiking variational policy gradient; Yang, Guo, Fang, Liu; BMVC 2022, arXiv 2210.13225; IEEE TPAMI 47(3), 2025,
doi 10.1109/TPAMI.2024.3511936) at rates that a cortex could have, with hidden circuits that do the work.

What is common to these presets, and differs from the published regime (`svpg_lockstep`):

* A circuit fires as a Poisson process of 100 Hz, so a neuron of eight at 12.5 Hz in the mean, in steps of 1 ms. A
  decision takes 100 ms, in which a circuit fires ten times or so.
* Inputs reach hidden neurons, and hidden neurons the actions: there is no direct path, and no symmetry. Cut what hidden
  neurons send to the actions (`rwta-sim evaluate RUN --lesion ha`), and what is left is chance. Where a habit would be
  better than chance (to go right and down in the gridworld, or one force all the time under a gain of 3), action
  neurons learn no biases.
* `Feedback` teaches hidden neurons through the weights by which they act.
* Numbers are told by populations with Gaussian tuning curves, so that a small difference near the goal is a large one
  among the inputs; and a kernel of 20 to 30 ms lets a neuron feel two or three spikes of each circuit at a time.
* The policy is what spikes do: evaluations act on the last spike of the action circuit, as learning does. An entropy
  that falls to nothing makes it certain in the end. Where one wrong force costs much (pendulum, acrobot), the action
  circuit competes with a gain of 3 when nothing is learned (`DecisionSpec`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brian2 import Hz, ms

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import DoubleExponential, Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import Constant, CriticSpec, Fourier, Rates, Tabular
from rwta_sim.learning.modulation import PPO, EpisodeAdvantage
from rwta_sim.learning.optimisers import Adam
from rwta_sim.learning.rules import Feedback, ScoreFunction
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.encoders.gaussian import Gaussian
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec

__all__ = ["PRESETS"]


_DECISION = DecisionSpec(steps=100)
_SURE = DecisionSpec(steps=100, gain=3.0)


def _living(
    task: str,
    environment: EnvironmentSpec,
    encoder: EncoderSpec,
    critic: CriticSpec,
    training: TrainingSpec,
    circuits: int = 8,
    size: int = 8,
    tau: float = 30,
    weight_sd: float = 0.6,
    decision: DecisionSpec = _DECISION,
    **learning: Any,
) -> RWTAExperiment:
    """What all share; `tau` of the kernel in ms."""
    return RWTAExperiment(
        task=task,
        environment=environment,
        encoder=encoder,
        network=NetworkSpec(
            hidden_circuits=circuits,
            hidden_size=size,
            blocks=("sh", "ha"),
            symmetric=False,
            firing="poisson",
            rho_hat=100 * Hz,
            kernel=Exponential(tau=tau * ms),
            weight_sd=weight_sd,
            random_blocks=("sh",),
        ),
        decision=decision,
        learning=LearningSpec(**{"rule": Feedback(), "rate": 3e-3, "final_rate": 0.1, **learning}),
        critic=critic,
        training=training,
    )


def _cells(*limits: float, copies: int = 2) -> Gaussian:
    """Eight tuning curves along each dimension, from -limit to limit, each of so many neurons."""
    return Gaussian(copies=copies, low=tuple(-x for x in limits), high=limits)


def cartpole() -> RWTAExperiment:
    """CartPole-v1; tuning curves cover what a pole that is held shows, a twelfth of the range of angles."""
    return _living(
        "cartpole",
        EnvironmentSpec(id="CartPole-v1"),
        _cells(2.4, 0.8, 0.08, 0.8),
        Fourier(order=3, gamma=0.99, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=700, target=500.0),
        entropy=0.02,
    )


def cartpole_positions() -> RWTAExperiment:
    """CartPole without velocities: hidden neurons compare what is shown with what they fired for before.

    A kernel with a rise of 20 ms lets a good part of what a neuron feels be from the decision before, of 50 ms, while
    the inputs, which are currents, tell the present. PPO on whole episodes, because the critic sees no velocities
    either: its TD error taught nothing, even to a network that was shown two observations at a time. A policy that is
    made to stay uncertain goes on learning: with a fifth of the entropy weight, falling to nothing, it was certain
    after 400 episodes, and then lost most of what it could. On a go signal, because a velocity is told by how two
    decisions differ, best at the end of the second: a last spike is 10 of its 50 ms old.
    """
    feed_forward = _living(
        "cartpole-positions",
        EnvironmentSpec(id="rwta_sim/CartPolePositions-v0"),
        _cells(2.4, 0.12, copies=1),
        Fourier(order=3, gamma=0.98, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=1200, validate_every=50, validation_episodes=20, target=500.0),
        circuits=32,
        weight_sd=0.5,
        decision=DecisionSpec(steps=50, clear="episode", gain=3.0, go_signal=True),
        rule=Feedback(depth=3),
        modulation=PPO(lam=0.95, normalise=True),
        optimiser=Adam(),
        rate=5e-3,
        batch=8,
        entropy=0.1,
        final_entropy=0.02,
    )
    recurrent = {
        "inputs": "current",
        "kernel": DoubleExponential(tau=30 * ms, tau_rise=20 * ms),
        "blocks": ("sh", "hh", "ha", "ah"),
        "random_blocks": ("sh", "hh", "ah"),
    }
    return feed_forward.changed({f"network.{name}": value for name, value in recurrent.items()})


def inverted_pendulum() -> RWTAExperiment:
    """The inverted pendulum in MuJoCo, a pole of 1.5 m and five forces, 200 decisions at the most."""
    return _living(
        "inverted-pendulum",
        EnvironmentSpec(id="rwta_sim/InvertedPendulum-v0"),
        _cells(0.4, 0.2, 1.67, 1.25, copies=4),
        Fourier(order=3, gamma=0.97, lam=0.8, rate=1e-3),
        TrainingSpec(episodes=600, target=200.0),
        decision=_SURE,
        entropy=1.0,
        final_entropy=0.0,
        biases="hidden",
    )


def mountaincar() -> RWTAExperiment:
    """MountainCar-v0 with episodes of up to 1,000 steps, so that chance finds the goal."""
    return _living(
        "mountaincar",
        EnvironmentSpec(id="MountainCar-v0", kwargs={"max_episode_steps": 1000}),
        Gaussian(copies=4),
        Fourier(order=4, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=1000, validate_every=25),
        tau=20,
        weight_sd=1.0,
        entropy=0.0,
        biases="hidden",
    )


def acrobot() -> RWTAExperiment:
    """Acrobot-v1: swing the tip of a double pendulum up; tuning curves cover the velocities that swinging shows."""
    return _living(
        "acrobot",
        EnvironmentSpec(id="Acrobot-v1"),
        _cells(1.0, 1.0, 1.0, 1.0, 5.0, 10.0, copies=4),
        Fourier(order=2, gamma=0.99, lam=0.9, rate=1e-3),
        TrainingSpec(episodes=1200, validate_every=25),
        decision=_SURE,
        entropy=0.1,
        final_entropy=0.0,
        biases="hidden",
    )


def gridworld() -> RWTAExperiment:
    """The slippery 10x10 gridworld of Aenugu (arXiv 2005.05941), whose gamma, lambda and critic's rate these are."""
    return _living(
        "gridworld",
        EnvironmentSpec(id="rwta_sim/Gridworld-v0"),
        Scaled(copies=8),
        Tabular(gamma=0.9, lam=0.7, rate=0.1),
        TrainingSpec(episodes=5000, validate_every=500),
        tau=20,
        weight_sd=1.0,
        rate=1e-2,
        final_rate=0.05,
        entropy=0.002,
        biases="hidden",
    )


def _parity(task: str, environment: EnvironmentSpec, circuits: int, episodes: int) -> RWTAExperiment:
    """Parity, which no linear policy has."""
    return _living(
        task,
        environment,
        Scaled(copies=8),
        Fourier(order=1, gamma=1.0, lam=1.0, rate=0.05),
        TrainingSpec(episodes=episodes, validate_every=episodes // 8, checkpoint_every=4000),
        circuits=circuits,
        tau=20,
        weight_sd=0.5,
        modulation=EpisodeAdvantage(lam=1.0),
        optimiser=Adam(),
        rate=0.03,
        batch=16,
        entropy=0.3,
        final_entropy=0.0,
    )


def xor() -> RWTAExperiment:
    """XOR of two bits."""
    return _parity("xor", EnvironmentSpec(id="rwta_sim/XOR-v0"), 8, 24_000)


def parity3() -> RWTAExperiment:
    """Parity of three bits."""
    return _parity("parity3", EnvironmentSpec(id="rwta_sim/Parity-v0", kwargs={"n_bits": 3}), 16, 48_000)


def digits() -> RWTAExperiment:
    """scikit-learn's 8x8 digits, each pixel three inputs; the reward says only whether the answer was right.

    Read from most spikes of 200 ms: ten actions share the action circuit's spikes, and the last one of 100 ms is wrong
    three times in a hundred where argmax of q is right.
    """
    return _living(
        "digits",
        EnvironmentSpec(id="rwta_sim/Digits-v0"),
        Scaled(copies=3, complementary=False),
        Fourier(order=1, coupled=False, gamma=1.0, lam=1.0, rate=0.01),
        TrainingSpec(episodes=80_000, validate_every=8_000, checkpoint_every=5000),
        circuits=40,
        size=10,
        weight_sd=0.5,
        modulation=EpisodeAdvantage(lam=1.0),
        optimiser=Adam(),
        rate=0.01,
        batch=50,
        entropy=0.2,
        final_entropy=0.0,
        decision=DecisionSpec(steps=200, decoder="most_spikes"),
    )


def _robot(
    task: str,
    environment: EnvironmentSpec,
    weight_sd: float,
    lam: float,
    critic: CriticSpec,
    training: TrainingSpec,
    entropy: float,
    circuits: int,
    size: int,
) -> RWTAExperiment:
    """What a robot does by what its camera sees.

    Pixels are currents, on and off cells of small pictures. Few circuits share the work: of twenty, each told a tenth
    of a bit of the action. So few weights onto the actions have to grow far in a hundred updates: ten times the
    learning rate that was enough for thousands of pixels with a direct path. Of weights that always arrive those that
    arrive soonest are kept: to and fro earns as much.
    """
    pixels = {"network.inputs": "current", "network.precision": "single"}
    return _living(
        task,
        environment,
        Scaled(complementary=False),
        critic,
        training,
        circuits=circuits,
        size=size,
        weight_sd=weight_sd,
        decision=_SURE,
        modulation=EpisodeAdvantage(lam=lam),
        optimiser=Adam(),
        rate=0.03,
        batch=8,
        entropy=entropy,
        final_entropy=0.0,
        biases="hidden",
    ).changed(pixels)


def panda_reach() -> RWTAExperiment:
    """gamma 0.9, not the published 0.97: to and fro earns 1 in every other step, with that more than the goal's 10."""
    return _robot(
        "panda-reach",
        EnvironmentSpec(id="rwta_sim/PandaReach-v0", kwargs={"encoding": "on_off", "size": [32, 32]}),
        weight_sd=0.5,
        lam=0.9,
        critic=Constant(gamma=0.9, lam=0.9, rate=3e-3),
        training=TrainingSpec(episodes=1024, validate_every=128, validation_episodes=48, best_by="discounted_return"),
        entropy=0.1,
        circuits=4,
        size=10,
    )


def robot_navigation() -> RWTAExperiment:
    """The ball is large enough for pictures of half the default size, which are drawn much sooner.

    Two circuits of twenty: of four of ten the median one told .39 bit of the action, after 400 episodes.
    """
    look = {"encoding": "on_off", "centre": 1.0, "surround": 3.0, "size": [30, 40]}
    return _robot(
        "robot-navigation",
        EnvironmentSpec(id="rwta_sim/RobotNavigation-v0", kwargs=look),
        weight_sd=0.2,
        lam=0.95,
        critic=Rates(gamma=0.97, lam=0.9, rate=3e-3),
        training=TrainingSpec(episodes=800, validate_every=100, validation_episodes=33, best_by="discounted_return"),
        entropy=0.3,
        circuits=2,
        size=20,
    )


def cue() -> RWTAExperiment:
    """Cue-action association: the smallest task, for tests and teaching; learned in seconds.

    Without any entropy one seed of eight gives two cues the same answer for good.
    """
    return _living(
        "cue",
        EnvironmentSpec(id="rwta_sim/CueAction-v0"),
        Scaled(copies=8),
        Tabular(gamma=0.0, lam=0.0, rate=0.1),
        TrainingSpec(episodes=100, validate_every=20, validation_episodes=10, checkpoint_every=10),
        circuits=4,
        tau=20,
        weight_sd=0.5,
        rate=0.03,
        entropy=0.05,
        final_entropy=0.0,
    )


def delayed_cue() -> RWTAExperiment:
    """Which of two cues was shown six decisions ago: hidden neurons that excite one another keep it.

    Nothing else does: kernels of 30 ms, decisions of 50 ms, and distractors in between. `ScoreFunction` credits every
    spike of an episode with what came of it; the tabular critic sees the symbol alone. With two copies of each symbol's
    neurons what hidden neurons tell one another is louder than the cue: one seed of eight stayed in one state for good.
    """
    feed_forward = _living(
        "delayed-cue",
        EnvironmentSpec(id="rwta_sim/DelayedCue-v0", kwargs={"delay": 5}),
        Scaled(copies=8),
        Tabular(gamma=1.0, lam=1.0, rate=0.05),
        TrainingSpec(episodes=32_000, validate_every=3200, validation_episodes=100, checkpoint_every=3200),
        circuits=16,
        weight_sd=0.5,
        rule=ScoreFunction(),
        modulation=EpisodeAdvantage(lam=1.0),
        optimiser=Adam(),
        rate=0.04,
        batch=32,
        entropy=0.1,
        final_entropy=0.0,
        decision=DecisionSpec(steps=50, clear="episode"),
    )
    recurrent = {"blocks": ("sh", "hh", "ha", "ah"), "symmetric": True, "random_blocks": ("sh", "hh")}
    return feed_forward.changed({f"network.{name}": value for name, value in recurrent.items()})


def t_maze() -> RWTAExperiment:
    """Bakker's T-maze: walk a corridor, and turn to the side that a sign at its beginning showed.

    As `delayed_cue`, but that walking is learned too: by a discount, so that to arrive sooner is better, and by what
    walls cost. The agent sees symbols: of Bakker's bits the corridor shows half of each sign, and what hidden neurons
    keep of one is overwritten at every step (2 of 13 runs learned it so).
    """
    maze = {"id": "rwta_sim/TMaze-v0", "kwargs": {"symbols": True}}
    changes = {"task": "t-maze", "environment": maze, "critic.gamma": 0.95}
    training = {"episodes": 16_000, "validate_every": 1600, "checkpoint_every": 1600}
    return delayed_cue().changed({**changes, **{f"training.{name}": value for name, value in training.items()}})


#: Task: (one line on it, the experiment).
PRESETS: dict[str, tuple[str, Callable[[], RWTAExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    "cartpole-positions": ("CartPole without velocities: balance a pole, return 500 at the most", cartpole_positions),
    "inverted-pendulum": ("InvertedPendulum in MuJoCo: balance a pole, return 200 at the most", inverted_pendulum),
    "mountaincar": ("MountainCar-v0, up to 1,000 steps: swing out of the valley, -1 per step", mountaincar),
    "acrobot": ("Acrobot-v1: swing up, -1 per step, 500 steps at the most", acrobot),
    "gridworld": ("Slippery 10x10 gridworld: +10 at the goal, 300 steps at the most", gridworld),
    "xor": ("XOR: one decision per episode, 1 for the right answer", xor),
    "parity3": ("Parity of three bits: one decision per episode, 1 for the right answer", parity3),
    "digits": ("8x8 digits of scikit-learn: 1 for the right class", digits),
    "panda-reach": ("A Panda's wrist camera finds a cube, within 60 moves; needs the extra pybullet", panda_reach),
    "robot-navigation": ("A robot's camera finds a ball, within 200 moves; needs the extra pybullet", robot_navigation),
    "cue": ("CueAction-v0: answer each of 4 cues with its action, return 20 at the most", cue),
    "delayed-cue": ("Say which of 2 cues was shown, 5 distractors later: 1 for the right answer", delayed_cue),
    "t-maze": ("T-maze: turn to the side that a sign 5 moves ago showed: 4 for the right one", t_maze),
}
