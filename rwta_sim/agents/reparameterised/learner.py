"""How the network learns. Imports PyTorch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from rwta_sim.agents.reparameterised.experiment import ReparameterisedExperiment
from rwta_sim.agents.reparameterised.policy import ReparameterisedPolicy
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics import CriticInputs
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.torch_adam import TorchAdam, as_tensor, initialise
from rwta_sim.loop.system import Arrays
from rwta_sim.seeding import critic_seed, initial_seed

__all__ = ["Evidence", "ReparameterisedLearner"]


class Evidence(NamedTuple):
    """What a decision depended on: the drive of the inputs, and the uniform numbers of the hidden neurons."""

    drive: np.ndarray
    u: np.ndarray


class ReparameterisedLearner:
    """The network's weights, and what changes them: gradients of ``A ln pi(a | u)`` through the hidden noise u.

    A decision is taken by spikes. What is learned from it is the log-probability of its action in the PyTorch network
    of the same weights, given the same uniform numbers: with straight-through units that of these very spikes, else
    that of the relaxed network. PPO compares it with what it was before the first step of learning from a batch.

    Parameters
    ----------
    experiment : ReparameterisedExperiment
    n_actions : int
    inputs : CriticInputs
        What there is for the critic to read.
    n_inputs : int
    """

    def __init__(
        self, experiment: ReparameterisedExperiment, n_inputs: int, n_actions: int, inputs: CriticInputs
    ) -> None:
        self._spec, self._concrete = experiment.learning, experiment.concrete
        hidden = experiment.hidden
        self.policy = ReparameterisedPolicy(n_inputs, hidden, n_actions, self._concrete.straight_through)
        initialise(self.policy, initial_seed(experiment.seed))
        self._adam = TorchAdam(self.policy, self._spec.rate)
        for weights in self.layers()[0][:-1]:
            weights *= experiment.gain
        critic = experiment.critic.make(inputs._replace(seed=critic_seed(experiment.seed)))
        self._credit = Credit(critic, self._spec.modulation, self._spec.control)
        self._rollout = Rollout(drive=np.zeros(n_inputs, np.float32), u=np.zeros(sum(hidden)))
        self._in_batch = np.zeros(1, dtype=np.int64)
        self._temperature, self._entropy = self._concrete.temperature, self._spec.entropy

    def anneal(self, progress: float) -> tuple[float, float]:
        """Set learning rate, entropy weight and temperature; gives the first and the last."""
        done, spec = min(max(progress, 0.0), 1.0), self._spec
        self._adam.rate = spec.rate * (1.0 - (1.0 - spec.final_rate) * done)
        self._entropy = spec.entropy * (1.0 - (1.0 - spec.final_entropy) * done)
        self._temperature = self._concrete.at(done)
        return self._adam.rate, self._temperature

    # -- hearing of decisions ------------------------------------------------------------------------

    def begin_episode(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode."""
        self._rollout.begin_episode()
        self._credit.begin_episode(features)

    def observe(
        self,
        evidence: Evidence,
        action: int,
        probability: float,
        reward: float,
        features: np.ndarray,
        terminated: bool,
        rng: np.random.Generator,
    ) -> bool:
        """Hear of a decision and what followed; returns whether weights changed."""
        td_error = self._credit.td_error(None, reward, features, terminated)
        drive, u = evidence
        if td_error is None:
            self._rollout.add(action=action, probability=probability, drive=drive, u=u)
            return False
        if not self._credit.learns:
            return False
        given = np.array([self._credit.given(td_error, rng)])
        self.improve({"drive": drive[None], "u": u[None], "action": np.array([action]), "advantage": given}, rng)
        return True

    def end_episode(self, rng: np.random.Generator) -> bool:
        """Learn what waits for the end of the episode; returns whether weights changed."""
        if self._credit.online:
            return False
        advantages = self._credit.advantages(rng)
        self._rollout.end_episode(np.array([self._credit.given(a, rng) for a in advantages]))
        self._in_batch += 1
        if self._in_batch[0] < self._spec.batch:
            return False
        if self._credit.learns:
            self.improve(self._rollout.state(), rng)
        self._rollout.clear()
        self._in_batch[:] = 0
        return self._credit.learns

    def improve(self, rows: Arrays, rng: np.random.Generator) -> None:
        """Learn from decisions: ``drive``, ``u``, ``action`` and ``advantage`` of each, by rows."""
        modulation, temperature = self._spec.modulation, self._temperature
        drive, u, action = as_tensor(rows["drive"]), as_tensor(rows["u"]), torch.tensor(rows["action"])
        advantage = modulation.normalised(rows["advantage"])
        then = np.ones(len(action))
        if modulation.replays:
            with torch.no_grad():
                then = _chosen(self.policy(drive, u, temperature), action).exp().numpy()
        for where in modulation.steps(len(action), rng):
            logs = self.policy(drive[where], u[where], temperature)
            chosen = _chosen(logs, action[where])
            gate = modulation.gated(chosen.detach().exp().numpy(), then[where], advantage[where])
            entropy = -(logs.exp() * logs).sum(1)
            gained = as_tensor(gate) * chosen + self._entropy * entropy
            self._adam.descend(-gained.sum() * modulation.share(self._spec.batch, len(gate)))

    # -- saving --------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        """Views of all weights and biases, by name."""
        return self._adam.parameters()

    def layers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The same layer by layer: weights, shape (n_post, n_pre) each, and biases, shape (n_post,) each."""
        named = self._adam.parameters()
        weights, biases = ([a for n, a in named.items() if n.endswith(end)] for end in ("weight", "bias"))
        return weights, biases

    def state(self) -> dict[str, np.ndarray]:
        """What learning depends on beyond `parameters`."""
        return {
            **{f"adam.{name}": a for name, a in self._adam.moments().items()},
            **self._credit.state(),
            **{f"rollout.{name}": a for name, a in self._rollout.complete().items()},
            "rollout.episodes": self._in_batch,
        }

    def make_room(self, arrays: Arrays) -> None:
        """Have room for as many decisions as there are in a saved state."""
        if "rollout.action" in arrays:
            self._rollout.make_room(len(arrays["rollout.action"]))


def _chosen(logs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Of the actions taken; shapes (n, n_actions) and (n,)."""
    return logs[torch.arange(len(logs)), action]
