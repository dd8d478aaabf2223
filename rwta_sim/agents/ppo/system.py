"""`PPOSystem` and `ConvertedSystem`: learn by the PPO of Stable-Baselines3. Import PyTorch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from rwta_sim.agents.integrate_and_fire import SpikeRecord
from rwta_sim.agents.layered import LearnedLayers
from rwta_sim.agents.ppo.conversion import converted, reach
from rwta_sim.agents.ppo.experiment import ActorCriticExperiment, PPOExperiment
from rwta_sim.agents.ppo.learner import PPOLearner
from rwta_sim.learning.torch_adam import as_tensor
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["ActorCriticSystem", "ConvertedSystem", "PPOSystem"]


class ActorCriticSystem(LearnedLayers):
    """What is common to those that learn by PPO: a policy is the softmax of what an actor of layers says of actions.

    Parameters
    ----------
    experiment : ActorCriticExperiment
    spaces : Spaces
    policy : class of ActorCriticPolicy
    **options
        For the policy.

    Attributes
    ----------
    units : str
        What its hidden layers are of, for the signature.
    """

    numbers: tuple[str, ...] = ("entropy",)
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate",)
    units: ClassVar[str] = "relu"
    learner: PPOLearner
    batch = 0

    def __init__(
        self, experiment: ActorCriticExperiment, spaces: Spaces, policy: type[ActorCriticPolicy], **options: Any
    ) -> None:
        self.experiment = experiment
        self.gamma = experiment.learning.gamma
        self.encoder = experiment.encoder.make(spaces)
        self.frames = self.encoder.frames
        self._n_actions = spaces.n_actions
        self.learner = PPOLearner(experiment, self.encoder.n_inputs, spaces.n_actions, policy, **options)

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        pass

    def chosen(self, logits: np.ndarray, greedy: bool, rng: np.random.Generator) -> Choice:
        """The best action, by chance one of equals, or one drawn from the softmax."""
        policy = np.exp(logits - logits.max(), dtype=float)
        policy /= policy.sum()
        numbers = (policy_entropy(policy),)
        if greedy:
            best = np.flatnonzero(logits == logits.max())
            return Choice(int(best[0] if best.size == 1 else rng.choice(best)), policy, numbers)
        return Choice(int(rng.choice(policy.size, p=policy)), policy, numbers)

    def drive(self, features: np.ndarray) -> np.ndarray:
        """Currents of the inputs, shape (n_inputs,), float32."""
        return self.encoder.drive(features).astype(np.float32)

    # -- learning ------------------------------------------------------------------------------------

    def anneal(self, progress: float) -> tuple[float, ...]:
        return (self.learner.anneal(progress),)

    def begin_episode(self, features: np.ndarray) -> None:
        self.learner.begin_episode(self.drive(features))

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        assert choice.probabilities is not None
        chance = float(choice.probabilities[choice.action])
        seen = self.learner.observe(choice.action, chance, reward, self.drive(features), terminated, rng)
        if seen is not None:
            self.has_learned(seen)
            self.parameters_changed()

    def has_learned(self, drives: np.ndarray) -> None:
        """Hear of the drives, shape (n, n_inputs), of the decisions from which the actor has just learned."""

    def end_episode(self, rng: np.random.Generator) -> None:
        self.learner.end_episode()

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        return {
            "inputs": self.encoder.n_inputs,
            "actions": self._n_actions,
            self.units: list(self.experiment.hidden),
            "critic": list(self.experiment.critic_hidden),
        }


class PPOSystem(ActorCriticSystem):
    """See `PPOExperiment`: ReLU units, without a spike.

    Parameters
    ----------
    experiment : PPOExperiment
    spaces : Spaces
    """

    experiment: PPOExperiment

    def __init__(self, experiment: PPOExperiment, spaces: Spaces) -> None:
        super().__init__(experiment, spaces, ActorCriticPolicy)
        self._reach = np.ones(len(experiment.hidden))

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        yield from ()
        return self.chosen(self.logits(self.drive(features)), greedy, rng)

    @torch.no_grad()
    def logits(self, drive: np.ndarray) -> np.ndarray:
        """Whose softmax the policy is; shapes (n_inputs,), float32, and (n_actions,)."""
        policy = self.learner.policy
        return np.asarray(policy.action_net(policy.mlp_extractor.policy_net(as_tensor(drive))).numpy())

    def has_learned(self, drives: np.ndarray) -> None:
        self._reach[:] = reach(*self.learner.layers(), drives, self.experiment.conversion.share)

    def state(self) -> dict[str, np.ndarray]:
        return {**super().state(), "reach": self._reach}


class ConvertedSystem(PPOSystem):
    """See `PPOExperiment`: the best action is that of spikes; what it learns from is drawn as by `PPOSystem`.

    Parameters
    ----------
    experiment : PPOExperiment
    spaces : Spaces
    record : bool
        Whether every spike is recorded.
    """

    readouts = ("drawn, without spikes", "potentials, from spikes")

    def __init__(self, experiment: PPOExperiment, spaces: Spaces, record: bool) -> None:
        super().__init__(experiment, spaces)
        self._conversion = experiment.conversion
        self._record = SpikeRecord([*experiment.hidden, spaces.n_actions], self._conversion.steps, record)
        self._noise = np.random.default_rng(0)

    def begin(self, seeds: EpisodeSeeds) -> None:
        self._noise = np.random.default_rng(seeds.spikes)

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        if not greedy:
            return (yield from super().decide(features, greedy, rng))
        weights, biases = self.learner.layers()
        currents = self._inputs(self.drive(features)) @ weights[0].T + biases[0]
        currents = np.broadcast_to(currents, (self._conversion.steps, len(biases[0])))
        potentials, fired = converted(weights, biases, self._reach, currents)
        self._record.add(fired)
        return self.chosen(potentials, greedy, rng)

    def _inputs(self, drive: np.ndarray) -> np.ndarray:
        """Currents, shape (n_inputs,), or spikes, shape (steps, n_inputs)."""
        if self._conversion.inputs == "current":
            return drive
        return (self._noise.random((self._conversion.steps, drive.size), np.float32) < drive).astype(np.float32)

    def recorded(self) -> dict[str, np.ndarray]:
        return self._record.recorded()
