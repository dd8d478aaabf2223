"""The PPO of Stable-Baselines3 without its loop: this package's loop plays. Imports PyTorch."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy

from rwta_sim.agents.ppo.buffer import SeededBuffer
from rwta_sim.agents.ppo.experiment import ActorCriticExperiment
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.torch_adam import TorchAdam, as_tensor
from rwta_sim.loop.system import Arrays
from rwta_sim.seeding import initial_seed

__all__ = ["PPOLearner"]

#: What the actor is, among the parameters of a policy.
_ACTOR = ("mlp_extractor.policy_net.", "action_net.")


class _Spaces(gym.Env):
    """What PPO is told of an environment; nobody plays in it."""

    def __init__(self, n_inputs: int, n_actions: int) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (n_inputs,), np.float32)
        self.action_space = spaces.Discrete(n_actions)


class PPOLearner:
    """Actor and critic, and what changes them: `stable_baselines3.PPO.train` on every `learning.steps` decisions.

    What `stable_baselines3` does between environment and update is done as there: advantages are generalised (its
    `RolloutBuffer`), the value of where an episode was cut short is added to its last reward, and rollouts end wherever
    they are full. Nothing is drawn from a global generator.

    Parameters
    ----------
    experiment : ActorCriticExperiment
    n_inputs, n_actions : int
    policy : class of ActorCriticPolicy
    **options
        For the policy.

    Attributes
    ----------
    policy : ActorCriticPolicy
    """

    def __init__(
        self,
        experiment: ActorCriticExperiment,
        n_inputs: int,
        n_actions: int,
        policy: type[ActorCriticPolicy],
        **options: Any,
    ) -> None:
        self._spec, self._n_actions = experiment.learning, n_actions
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(initial_seed(experiment.seed))
            self._ppo = _made(experiment, _Spaces(n_inputs, n_actions), policy, options)
        self.policy: ActorCriticPolicy = self._ppo.policy
        self._adam = TorchAdam(self.policy, self._spec.rate, eps=1e-5)  # eps as there
        self.policy.optimizer = self._adam.optimiser
        self._ppo.lr_schedule = lambda remaining: self._adam.rate
        number = np.zeros((), np.float32)
        self._rollout = Rollout(drive=np.zeros(n_inputs, np.float32), reward=number, starts=number)
        self._starts, self._drive, self._terminated = True, np.zeros(n_inputs), False

    def anneal(self, progress: float) -> float:
        """Set the weight of the entropy and the learning rate, which it gives."""
        done, spec = min(max(progress, 0.0), 1.0), self._spec
        self._adam.rate = spec.rate * (1.0 - (1.0 - spec.final_rate) * done)
        self._ppo.ent_coef = spec.entropy * (1.0 - (1.0 - spec.final_entropy) * done)
        return self._adam.rate

    # -- hearing of decisions ------------------------------------------------------------------------

    def begin_episode(self, drive: np.ndarray) -> None:
        """Start from the first observation of an episode."""
        self._rollout.begin_episode()
        self._starts, self._drive, self._terminated = True, drive, False

    def observe(
        self,
        action: int,
        probability: float,
        reward: float,
        drive: np.ndarray,
        terminated: bool,
        rng: np.random.Generator,
    ) -> np.ndarray | None:
        """Hear of a decision, and of the drive and the end that followed.

        Returns
        -------
        ndarray, shape (steps, n_inputs), or None
            The drives of the decisions from which it has just learned.
        """
        self._rollout.add(action=action, probability=probability, drive=self._drive, reward=reward, starts=self._starts)
        self._starts, self._drive, self._terminated = False, drive, terminated
        if len(self._rollout) < self._spec.steps:
            return None
        drives = self._rollout.state()["drive"].copy()
        self._update(rng)
        self._rollout.clear()
        return drives

    def end_episode(self) -> None:
        """Add what the place is worth at which an episode was cut short."""
        if self._rollout.going_on and not self._terminated:
            # A rollout that is just full has learned with this value already: its last decision leads there.
            self._rollout.state()["reward"][-1] += self._spec.gamma * self.values(self._drive[None])[0]
        self._rollout.end_episode(np.zeros(()))

    @torch.no_grad()
    def values(self, drives: np.ndarray) -> np.ndarray:
        """What the critic says of drives; shapes (n, n_inputs) and (n,)."""
        return np.asarray(self.policy.predict_values(as_tensor(drives)).numpy()[:, 0])

    def _update(self, rng: np.random.Generator) -> None:
        rows, spec = self._rollout.state(), self._spec
        buffer = SeededBuffer(rows, self.values(rows["drive"]), self._n_actions, spec.gamma, spec.lam, rng)
        last = torch.from_numpy(self.values(self._drive[None]))
        buffer.compute_returns_and_advantage(last, np.array([self._terminated]))
        self._ppo.rollout_buffer = buffer
        self._ppo.train()

    # -- saving --------------------------------------------------------------------------------------

    def layers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Views of the actor's weights, (n_post, n_pre) each, and biases, (n_post,) each, layer by layer."""
        nets = (self.policy.mlp_extractor.policy_net, self.policy.action_net)
        found = [m for net in nets for m in net.modules() if isinstance(m, torch.nn.Linear)]
        return [m.weight.detach().numpy() for m in found], [m.bias.detach().numpy() for m in found]

    def parameters(self) -> dict[str, np.ndarray]:
        """Views of what decisions depend on, by name."""
        return {name: a for name, a in self._adam.parameters().items() if name.startswith(_ACTOR)}

    def state(self) -> dict[str, np.ndarray]:
        """What learning depends on beyond `parameters`."""
        critic = {name: a for name, a in self._adam.parameters().items() if not name.startswith(_ACTOR)}
        return {
            **critic,
            **{f"adam.{name}": a for name, a in self._adam.moments().items()},
            **{f"rollout.{name}": a for name, a in self._rollout.complete().items()},
        }

    def make_room(self, arrays: Arrays) -> None:
        """Have room for as many decisions as there are in a saved state."""
        if "rollout.action" in arrays:
            self._rollout.make_room(len(arrays["rollout.action"]))


def _made(
    experiment: ActorCriticExperiment, env: gym.Env, policy: type[ActorCriticPolicy], options: dict[str, Any]
) -> PPO:
    """PPO with these settings; what it draws at the start comes from PyTorch's global generator."""
    spec = experiment.learning
    arch = {"pi": list(experiment.hidden), "vf": list(experiment.critic_hidden)}
    ppo = PPO(
        policy,
        env,
        learning_rate=spec.rate,
        n_steps=spec.steps,
        batch_size=spec.minibatch,
        n_epochs=spec.epochs,
        gamma=spec.gamma,
        gae_lambda=spec.lam,
        clip_range=spec.clip,
        normalize_advantage=spec.normalise,
        ent_coef=spec.entropy,
        vf_coef=spec.value,
        max_grad_norm=spec.max_gradient,
        policy_kwargs={"net_arch": arch, "activation_fn": torch.nn.ReLU, **options},
        device="cpu",
    )
    ppo.set_logger(Logger(folder=None, output_formats=[]))
    return ppo
