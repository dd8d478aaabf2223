"""How the network learns. Imports PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import torch

from rwta_sim.agents.dsqn.experiment import DQNExperiment
from rwta_sim.agents.dsqn.network import QNetwork
from rwta_sim.agents.dsqn.replay import Replay, Transitions
from rwta_sim.learning.torch_adam import Mirror, TorchAdam, as_tensor, initialise
from rwta_sim.loop.system import Arrays
from rwta_sim.seeding import initial_seed

__all__ = ["QLearner", "td_targets"]

_LOSSES = {"mse": torch.nn.functional.mse_loss, "huber": torch.nn.functional.smooth_l1_loss}


def td_targets(
    reward: torch.Tensor,
    going_on: torch.Tensor,
    gamma: float,
    judged: torch.Tensor,
    chosen_by: torch.Tensor | None = None,
) -> torch.Tensor:
    """``r + gamma max_a Q'(s', a)``, without the second term after a terminal state; shape (n,).

    Parameters
    ----------
    reward, going_on : Tensor, shape (n,)
        `going_on` is 0 where the episode terminated, else 1.
    gamma : float
    judged : Tensor, shape (n, n_actions)
        Q' of what follows, by the target network (Mnih et al. 2015).
    chosen_by : Tensor, shape (n, n_actions), optional
        Q of what follows by the network itself: then the action is the best by that (double Q-learning; van Hasselt,
        Guez and Silver 2016).
    """
    if chosen_by is None:
        best = judged.amax(1)
    else:
        best = judged.gather(1, chosen_by.argmax(1, keepdim=True))[:, 0]
    return reward + gamma * going_on * best


class QLearner:
    """The network's weights, and what changes them: Q-learning on remembered decisions.

    Parameters
    ----------
    experiment : DQNExperiment
    network : QNetwork
        Whose parameters are drawn here.
    n_inputs : int
    gain : float
        Of the first weights onto hidden units, times those of He et al. (2015); weights onto actions begin at 0.
    device : str
        Of PyTorch.

    Attributes
    ----------
    network : QNetwork
    replay : Replay
    """

    def __init__(self, experiment: DQNExperiment, network: QNetwork, n_inputs: int, gain: float, device: str) -> None:
        self._spec, self._batch, self._start = experiment.learning, experiment.replay.batch, experiment.replay.start
        initialise(network, initial_seed(experiment.seed))
        with torch.no_grad():
            for layer in network.layers[:-1]:
                layer.weight *= gain
        self.network = network.to(device)
        self._device, self._target = torch.device(device), copy.deepcopy(self.network).requires_grad_(False)
        self._adam = TorchAdam(self.network, self._spec.rate)
        self._judges = Mirror(dict(self._target.named_parameters()))
        self.replay = Replay(experiment.replay, n_inputs)
        self._decisions = np.zeros(1, np.int64)

    @property
    def epsilon(self) -> float:
        """Chance of an action drawn from all alike, now."""
        return self._spec.epsilon_at(int(self._decisions[0]))

    def anneal(self, progress: float) -> None:
        """Set the learning rate for `progress` from 0 (start) to 1 (end)."""
        self._adam.rate = self._spec.rate_at(progress)

    def observe(
        self,
        seen: np.ndarray,
        action: int,
        reward: float,
        following: np.ndarray,
        terminated: bool,
        rng: np.random.Generator,
    ) -> None:
        """Hear of a decision and what followed, and learn from some if it is time."""
        self.replay.add(seen, action, reward, following, terminated)
        self._decisions += 1
        decisions = int(self._decisions[0])
        if decisions >= self._start and decisions % self._spec.every == 0:
            self.improve(self.replay.drawn(self._batch, rng))
        if decisions % self._spec.target_every == 0:
            self._target.load_state_dict(self.network.state_dict())

    def improve(self, rows: Transitions) -> None:
        """A step of Adam down the loss of the TD errors of these decisions."""
        seen, following = (as_tensor(drive).to(self._device) for drive in (rows.seen, rows.following))
        reward, going_on = (as_tensor(a).to(self._device) for a in (rows.reward, ~rows.terminated))
        action = torch.from_numpy(rows.action.astype(np.int64)).to(self._device)
        with torch.no_grad():
            chosen_by = self.network(following) if self._spec.double else None
            targets = td_targets(reward, going_on, self._spec.gamma, self._target(following), chosen_by)
        found = self.network(seen).gather(1, action[:, None])[:, 0]
        self._adam.descend(_LOSSES[self._spec.loss](found, targets))

    @torch.no_grad()
    def run(self, drive: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """What the layers say of one drive, shape (n_inputs,), as `QNetwork.run` has it; and Q, shape (n_actions,)."""
        told = self.network.run(as_tensor(drive[None]).to(self._device))
        q = self.network.decoded(told[-1])[0]
        return [layer.cpu().numpy() for layer in told], q.cpu().numpy()

    @torch.no_grad()
    def decoded(self, told: np.ndarray) -> np.ndarray:
        """Q of every action, shape (n_actions,), from what the last layer said of one drive, as in `run`."""
        return self.network.decoded(torch.from_numpy(told))[0].numpy()

    # -- saving --------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        """All weights and biases, by name."""
        return self._adam.parameters()

    def layers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The same layer by layer: weights, shape (n_post, n_pre, ...) each, and biases, shape (n_post,) each.

        A feature map counts as one: behind maps a dense layer's weights have shape (n_post, maps, cells).
        """
        weights, biases = ([a for n, a in self.parameters().items() if n.endswith(end)] for end in ("weight", "bias"))
        for k in range(1, len(weights)):
            weights[k] = weights[k].reshape(len(weights[k]), len(biases[k - 1]), -1)
        return weights, biases

    def push(self) -> None:
        """Have what was written into arrays given here."""
        self._adam.push()
        self._judges.push()

    def state(self) -> dict[str, np.ndarray]:
        """What learning depends on beyond `parameters`: the replay too."""
        return {
            **{f"target.{name}": a for name, a in self._judges.pull().items()},
            **{f"adam.{name}": a for name, a in self._adam.moments().items()},
            **{f"replay.{name}": a for name, a in self.replay.saved().items()},
            "decisions": self._decisions,
        }

    def make_room(self, arrays: Arrays) -> None:
        """Have room for as many decisions as there are in a saved state."""
        if "replay.action" in arrays:
            self.replay.make_room(len(arrays["replay.action"]))
