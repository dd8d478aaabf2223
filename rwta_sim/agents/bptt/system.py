"""`BPTTSystem`: acts from spikes in NumPy, learns from the same spikes in PyTorch. Imports PyTorch."""

from __future__ import annotations

import numpy as np

from rwta_sim.agents.bptt.experiment import BPTTExperiment
from rwta_sim.agents.bptt.policy import SpikingPolicy
from rwta_sim.agents.integrate_and_fire import SpikeRecord, spikes
from rwta_sim.agents.ppo.system import ActorCriticSystem
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice

__all__ = ["BPTTSystem"]


class BPTTSystem(ActorCriticSystem):
    """See `BPTTExperiment`.

    Parameters
    ----------
    experiment : BPTTExperiment
    spaces : Spaces
    record : bool
        Whether every spike is recorded.
    """

    numbers: tuple[str, ...] = ("entropy", "spikes")
    units = "leaky"
    readouts = ("drawn from mean spikes", "most spikes")

    def __init__(self, experiment: BPTTExperiment, spaces: Spaces, record: bool) -> None:
        super().__init__(experiment, spaces, SpikingPolicy, spec=experiment.neurons)
        self._spec = experiment.neurons
        self._record = SpikeRecord([*experiment.hidden, spaces.n_actions], self._spec.steps, record)

    def spikes(self, drive: np.ndarray) -> list[np.ndarray]:
        """Spikes of each layer, 1 or 0, shape (steps, n) each, of a drive, shape (n_inputs,): those of `SpikingActor`.

        In single precision as there; only where a potential is at the threshold to the last bit may they differ.
        """
        weights, biases = self.learner.layers()
        currents = np.broadcast_to(weights[0] @ drive + biases[0], (self._spec.steps, len(biases[0])))
        found: list[np.ndarray] = []
        for k, leak in enumerate(self._leaks()):
            if k:
                currents = found[-1] @ weights[k].T + biases[k]
            found.append(spikes(currents, leak))
        return found

    def _leaks(self) -> list[float]:
        """Of each layer, cut to [0, 1] as snnTorch does."""
        return [float(np.clip(a, 0, 1)) for name, a in self.learner.parameters().items() if name.endswith("beta")]

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        yield from ()
        found = self.spikes(self.drive(features))
        self._record.add(found)
        choice = self.chosen(self._spec.gain * found[-1].mean(axis=0), greedy, rng)
        return choice._replace(numbers=(*choice.numbers, float(sum(layer.sum() for layer in found))))

    def recorded(self) -> dict[str, np.ndarray]:
        return self._record.recorded()
