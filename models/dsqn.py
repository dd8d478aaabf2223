"""DSQN (Chen, Peng, Huang and Tian 2022, arXiv:2201.09754), and DQN of the same size (Mnih et al. 2015).

On MinAtar the network is that of the benchmark (Young and Tian 2019, arXiv:1903.03176), 16 feature maps of 3 x 3 and
128 units, with its replay, target network, epsilon and gamma; the optimiser, its rate and four decisions to a step of
learning are those of the paper on DSQN, as is the MSE. A decision takes four steps (the paper: eight, on Atari).
"""

from __future__ import annotations

from collections.abc import Callable

from rwta_sim.agents.dsqn import DQNExperiment, DSQNExperiment
from rwta_sim.agents.dsqn.experiment import ConvolutionSpec, LeakySpec, QLearningSpec, ReplaySpec
from rwta_sim.loop.encoders import Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.experiment import TrainingSpec
from rwta_sim.models.minatar import GAMES, Game

__all__ = ["DQN", "DSQN"]


def cartpole() -> DQNExperiment:
    """CartPole-v1.

    DQN loses again what it had, so what is kept are the weights of the best validation. A horizon of 33 decisions,
    centred inputs and a learning rate that falls made the best one better (docs/dsqn.md).
    """
    limits = (2.4, 2.5, 0.25, 2.5)
    return DQNExperiment(
        task="cartpole",
        environment=EnvironmentSpec(id="CartPole-v1"),
        encoder=Scaled(low=tuple(-x for x in limits), high=limits, complementary=False, standardise=1000),
        hidden=(64, 64),
        learning=QLearningSpec(
            rate=1e-3,
            final_rate=0.02,
            gamma=0.97,
            every=2,
            target_every=500,
            loss="huber",
            double=True,
            final_epsilon=0.02,
            epsilon_decisions=5000,
        ),
        replay=ReplaySpec(size=50_000, start=500, batch=64),
        training=TrainingSpec(decisions=50_000, validate_every=20, validation_episodes=20, target=500.0),
    )


def minatar(game: Game) -> DQNExperiment:
    """A game of MinAtar."""
    return DQNExperiment(
        task=game.task,
        environment=game.environment,
        convolutions=(ConvolutionSpec(),),
        hidden=(128,),
        replay=ReplaySpec(store="bits"),
        training=TrainingSpec(
            decisions=game.decisions,
            validate_every=game.validate_every,
            validation_episodes=game.validation_episodes,
            checkpoint_every=game.validate_every,
        ),
    )


def _spiking(make: Callable[[], DQNExperiment]) -> Callable[[], DSQNExperiment]:
    """The same with spiking neurons."""
    return lambda: DSQNExperiment.of(
        {**make().model_dump(mode="json"), "model": "dsqn", "neurons": LeakySpec(steps=4).model_dump(mode="json")}
    )


def _game(game: Game) -> tuple[str, Callable[[], DQNExperiment]]:
    return game.line, lambda: minatar(game)


#: Task: (one line on it, the experiment).
DQN: dict[str, tuple[str, Callable[[], DQNExperiment]]] = {
    "cartpole": ("CartPole-v1: balance a pole, return 500 at the most", cartpole),
    **{game.task: _game(game) for game in GAMES},
}
DSQN = {task: (text, _spiking(make)) for task, (text, make) in DQN.items()}
