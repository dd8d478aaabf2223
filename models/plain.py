"""What spiking networks are compared with, on every task: chance, and softmax policies trained by backpropagation.

They see what the task's first preset sees (its environment and encoder) and train for as many episodes. `linear` and
`relu` learn by PPO with that preset's batch, passes, discount and entropy where it has such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rwta_sim.agents.random import RandomExperiment
from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.agents.softmax import SoftmaxExperiment
from rwta_sim.agents.softmax.experiment import PolicyLearningSpec
from rwta_sim.learning.critics import Network
from rwta_sim.learning.modulation import PPO

__all__ = ["linear", "random", "relu"]

#: ReLU units of `relu`, and what its larger network needs: a lower rate.
UNITS, RATE = 500, 3e-4


def random(model: str, like: RWTAExperiment) -> RandomExperiment:
    """Every action alike."""
    return RandomExperiment(
        task=like.task, model=model, environment=like.environment, training=like.training.model_copy(update=_ALONE)
    )


def linear(model: str, like: RWTAExperiment) -> SoftmaxExperiment:
    """A linear softmax policy."""
    return _softmax(model, like, (), 1e-3)


def relu(model: str, like: RWTAExperiment) -> SoftmaxExperiment:
    """A softmax policy behind one hidden layer of ReLU units."""
    return _softmax(model, like, (UNITS,), RATE)


#: Plain systems play one episode after the other.
_ALONE = {"replicas": 1, "vector": "none"}


def _softmax(model: str, like: RWTAExperiment, hidden: tuple[int, ...], rate: float) -> SoftmaxExperiment:
    theirs = like.learning
    ppo = theirs.modulation if isinstance(theirs.modulation, PPO) else PPO(normalise=True)
    return SoftmaxExperiment(
        task=like.task,
        model=model,
        environment=like.environment,
        encoder=like.encoder.model_copy(update={"copies": 1}),
        hidden=hidden,
        learning=PolicyLearningSpec(
            modulation=ppo, rate=rate, final_rate=theirs.final_rate, batch=theirs.batch, entropy=theirs.entropy
        ),
        critic=Network(gamma=like.critic.gamma, lam=0.95, rate=3e-4, hidden=hidden, channels=()),
        training=like.training.model_copy(update=_ALONE),
    )


def presets(
    model: str, kind: Callable[[str, RWTAExperiment], Any], likes: dict[str, tuple[str, Callable[[], RWTAExperiment]]]
) -> dict[str, tuple[str, Callable[[], Any]]]:
    """The presets of a plain system for all of the tasks in `likes`."""

    def made(like: Callable[[], RWTAExperiment]) -> Callable[[], Any]:
        return lambda: kind(model, like())

    return {task: (text, made(like)) for task, (text, like) in likes.items()}
