"""`SoftmaxSystem`: a softmax policy that learns by PPO. Imports PyTorch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.functional import log_softmax

from rwta_sim.agents.parameter_noise import Block, layer_blocks
from rwta_sim.agents.perturbable import PerturbableSystem
from rwta_sim.agents.softmax.experiment import SoftmaxExperiment
from rwta_sim.learning.critics import CriticInputs, Transitions
from rwta_sim.learning.critics.base import advantages
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.torch_adam import TorchAdam, as_tensor, dense_layers, initialise
from rwta_sim.loop.encoded_system import EncodedSystem
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Arrays, Choice
from rwta_sim.seeding import EpisodeSeeds, critic_seed, initial_seed

__all__ = ["SoftmaxSystem"]


class SoftmaxSystem(EncodedSystem, PerturbableSystem):
    """See `SoftmaxExperiment`.

    Parameters
    ----------
    experiment : SoftmaxExperiment
    spaces : Spaces
    """

    numbers: tuple[str, ...] = ("entropy",)
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate",)

    def __init__(self, experiment: SoftmaxExperiment, spaces: Spaces) -> None:
        self.experiment, self._spec = experiment, experiment.learning
        self.gamma, self.batch = experiment.critic.gamma, experiment.learning.batch
        self.encoder = experiment.encoder.make(spaces)
        self.frames = self.encoder.frames
        n_inputs, self._n_actions = self.encoder.n_inputs, spaces.n_actions
        self.network = torch.nn.Sequential(*dense_layers(n_inputs, experiment.hidden, self._n_actions))
        initialise(self.network, initial_seed(experiment.seed))
        self._adam = TorchAdam(self.network, self._spec.rate)
        self._critic = experiment.critic.make(CriticInputs(n_inputs, seed=critic_seed(experiment.seed)))
        self._rollout = Rollout(drive=np.zeros(n_inputs, np.float32))
        self._in_batch = np.zeros(1, dtype=np.int64)
        self._states: Transitions

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        pass

    @torch.no_grad()
    def _policy(self, drive: np.ndarray) -> np.ndarray:
        policy = torch.softmax(self.network(as_tensor(drive)), 0).numpy().astype(float)
        return np.asarray(policy / policy.sum())

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        yield from ()
        drive = self.encoder.drive(features).astype(np.float32)
        policy = self._policy(drive)
        entropy = policy_entropy(policy)
        action = int(policy.argmax()) if greedy else int(rng.choice(policy.size, p=policy))
        return Choice(action, policy, (entropy,), drive)

    # -- learning ------------------------------------------------------------------------------------

    def anneal(self, progress: float) -> tuple[float, ...]:
        rate = self._spec.rate * (1.0 - (1.0 - self._spec.final_rate) * min(max(progress, 0.0), 1.0))
        self._adam.rate = rate
        return (rate,)

    def begin_episode(self, features: np.ndarray) -> None:
        self._rollout.begin_episode()
        self._states = Transitions(self.encoder.drive(features))

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        assert choice.probabilities is not None
        chance = float(choice.probabilities[choice.action])
        self._rollout.add(action=choice.action, probability=chance, drive=choice.evidence)
        self._states.add(None, reward, self.encoder.drive(features), terminated)

    def end_episode(self, rng: np.random.Generator) -> None:
        td_errors = self._critic.td_errors(self._states, rng)
        self._rollout.end_episode(advantages(td_errors, self._spec.modulation.discount(self._critic.gamma)))
        self._in_batch += 1
        if self._in_batch[0] < self._spec.batch:
            return
        self._improve(self._rollout.state(), rng)
        self._rollout.clear()
        self._in_batch[:] = 0

    def _improve(self, rows: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        """Several passes of PPO-clip (see `PPO`) through the decisions of a batch."""
        ppo, spec = self._spec.modulation, self._spec
        drive, old = as_tensor(rows["drive"]), as_tensor(rows["probability"])
        action, advantage = torch.tensor(rows["action"]), as_tensor(ppo.normalised(rows["advantage"]))
        for where in ppo.steps(len(action), rng):
            logs = log_softmax(self.network(drive[where]), 1)
            chosen = torch.arange(len(logs))
            ratio = logs[chosen, action[where]].exp() / old[where]
            clipped = ratio.clamp(1 - ppo.clip, 1 + ppo.clip)
            gained = torch.minimum(ratio * advantage[where], clipped * advantage[where]).mean()
            entropy = -(logs.exp() * logs).sum(1).mean()
            self._adam.descend(-gained - spec.entropy * entropy)

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        return {
            "inputs": self.encoder.n_inputs,
            "actions": self._n_actions,
            "hidden": list(self.experiment.hidden),
        }

    def state(self) -> dict[str, np.ndarray]:
        encoder = {f"encoder.{name}": a for name, a in self.encoder.state().items()}
        return {**{f"policy.{name}": a for name, a in self._adam.parameters().items()}, **encoder}

    def learning_state(self) -> dict[str, np.ndarray]:
        return {
            **{f"adam.{name}": a for name, a in self._adam.moments().items()},
            **{f"critic.{name}": a for name, a in self._critic.state().items()},
            **{f"rollout.{name}": a for name, a in self._rollout.complete().items()},
            "rollout.episodes": self._in_batch,
        }

    def set_learning_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        if "rollout.action" in arrays:
            self._rollout.make_room(len(arrays["rollout.action"]))
        super().set_learning_state(arrays, name)

    # -- perturbing ----------------------------------------------------------------------------------

    def free_blocks(self) -> list[Block]:
        arrays = self._adam.parameters()
        weights, biases = ([a for key, a in arrays.items() if key.endswith(kind)] for kind in ("weight", "bias"))
        return layer_blocks(weights, biases)
