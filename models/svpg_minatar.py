"""SVPG on MinAtar, from spikes at rates that a cortex could have; what is common to presets of `svpg` holds here too.

Inputs are currents, 1 where an object is: a picture is one product of a vector and a matrix. Decisions take 50 ms, as
in the tasks with memory, since every one costs as many steps. PPO replays the spikes of a batch of episodes. Settings
are not tuned.
"""

from __future__ import annotations

from collections.abc import Callable

from brian2 import Hz, ms

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import Rates
from rwta_sim.learning.modulation import PPO
from rwta_sim.learning.optimisers import Adam
from rwta_sim.learning.rules import Feedback
from rwta_sim.loop.encoders import Scaled
from rwta_sim.loop.experiment import TrainingSpec
from rwta_sim.models.minatar import GAMES, Game

__all__ = ["PRESETS"]


def _minatar(game: Game) -> RWTAExperiment:
    """50 hidden circuits of 10 neurons."""
    return RWTAExperiment(
        task=game.task,
        environment=game.environment,
        encoder=Scaled(complementary=False),
        network=NetworkSpec(
            hidden_circuits=50,
            hidden_size=10,
            blocks=("sh", "ha"),
            symmetric=False,
            inputs="current",
            firing="poisson",
            rho_hat=100 * Hz,
            kernel=Exponential(tau=20 * ms),
            precision="single",
            weight_sd=0.3,
            random_blocks=("sh",),
        ),
        decision=DecisionSpec(steps=50, gain=3.0),
        learning=LearningSpec(
            rule=Feedback(),
            optimiser=Adam(),
            modulation=PPO(epochs=4, minibatch=256, normalise=True),
            rate=1e-3,
            final_rate=0.1,
            entropy=0.01,
            final_entropy=0.1,
            batch=game.batch,
        ),
        critic=Rates(gamma=0.99, lam=0.95, rate=1e-3),
        training=TrainingSpec(
            decisions=game.decisions,
            validate_every=game.validate_every,
            validation_episodes=game.validation_episodes,
            checkpoint_every=game.validate_every,
        ),
    )


def _preset(game: Game) -> tuple[str, Callable[[], RWTAExperiment]]:
    return game.line, lambda: _minatar(game)


#: Task: (one line on it, the experiment).
PRESETS = {game.task: _preset(game) for game in GAMES}
