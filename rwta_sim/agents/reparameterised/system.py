"""`ReparameterisedSystem`: acts from spikes in Brian2, learns in PyTorch. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np

from rwta_sim.agents.binary import RESTS
from rwta_sim.agents.layer_lesions import LAYER_LESIONS
from rwta_sim.agents.layered import LearnedLayers
from rwta_sim.agents.reparameterised.experiment import ReparameterisedExperiment
from rwta_sim.agents.reparameterised.learner import Evidence, ReparameterisedLearner
from rwta_sim.agents.reparameterised.network import BinaryNetwork
from rwta_sim.engines import make_engine, run_session
from rwta_sim.learning.critics import CriticInputs
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice, Probe, System
from rwta_sim.memory import Need, require
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["ReparameterisedSystem"]

Result = TypeVar("Result")


class ReparameterisedSystem(LearnedLayers):
    """See `ReparameterisedExperiment`.

    The action is that of the one action neuron that fires: with Gumbel noise a draw from the softmax of the actions'
    potentials, greedily the one with the highest potential. Hidden neurons fire by chance in both cases.

    Parameters
    ----------
    experiment : ReparameterisedExperiment
    spaces : Spaces
    record : bool
        Whether every spike is recorded.

    Raises
    ------
    RwtaSimError
        If there is not the memory for its weights.

    Attributes
    ----------
    network : BinaryNetwork
    learner : ReparameterisedLearner
    """

    numbers: tuple[str, ...] = ("entropy", "spikes")
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate", "temperature")
    rests, lesions = RESTS, LAYER_LESIONS
    learner: ReparameterisedLearner
    readouts = ("spike, noise on actions", "spike")

    def __init__(self, experiment: ReparameterisedExperiment, spaces: Spaces, record: bool = False) -> None:
        self.experiment, self._n_actions = experiment, spaces.n_actions
        self.gamma, self.batch = experiment.critic.gamma, experiment.learning.batch
        if experiment.learning.modulation.online:
            self.batch = 0
        self.encoder = encoder = experiment.encoder.make(spaces)
        self.frames = encoder.frames
        require([_need(encoder.n_inputs, experiment.hidden, spaces.n_actions)])
        inputs = CriticInputs(encoder.n_features, encoder.discrete, encoder.shape)
        self.learner = ReparameterisedLearner(experiment, encoder.n_inputs, spaces.n_actions, inputs)
        engine = make_engine(experiment.engine)
        self.network = BinaryNetwork(engine, encoder.n_inputs, experiment.hidden, spaces.n_actions, record)
        self._n_hidden = sum(experiment.hidden)
        self._noise = np.random.default_rng(0)
        self.parameters_changed()

    def parameters_changed(self) -> None:
        """Have the spikes follow from the weights as they are now."""
        self.network.set_weights(*self.learner.layers())

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        self._noise = np.random.default_rng(seeds.spikes)

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        drive, noise = self.encoder.drive(features), self._noise
        u = noise.random(self._n_hidden)
        self.network.stage(drive, u, 0.0 if greedy else noise.gumbel(size=self._n_actions))
        yield
        logits, fired = self.network.logits, self.network.fired
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        action = int(fired[self._n_hidden :].argmax())
        numbers = policy_entropy(policy), float(fired.sum())
        return Choice(action, policy, numbers, Evidence(drive.astype(np.float32), u))

    def run(self, session: Session[Result]) -> Result:
        return run_session(self.network.engine, session, self.network.steps)

    @property
    def engine_name(self) -> str:
        return self.experiment.engine.name

    # -- learning ------------------------------------------------------------------------------------

    def anneal(self, progress: float) -> tuple[float, ...]:
        return self.learner.anneal(progress)

    def begin_episode(self, features: np.ndarray) -> None:
        self.learner.begin_episode(features)

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        assert choice.probabilities is not None
        chance = float(choice.probabilities[choice.action])
        if self.learner.observe(choice.evidence, choice.action, chance, reward, features, terminated, rng):
            self.parameters_changed()

    def end_episode(self, rng: np.random.Generator) -> None:
        if self.learner.end_episode(rng):
            self.parameters_changed()

    def follow(self, other: System) -> None:
        super().follow(other)
        self.parameters_changed()

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        return {
            "inputs": self.encoder.n_inputs,
            "actions": self._n_actions,
            "stochastic_hidden": list(self.experiment.hidden),
        }

    # -- looking -------------------------------------------------------------------------------------

    def probes(self) -> dict[str, Probe]:
        count = self._n_hidden + self._n_actions
        return {
            "spikes": Probe("1", (count,), "whether each neuron fired in the decision, actions last"),
            "logits": Probe("1", (self._n_actions,), "potential of each action, without noise"),
        }

    def read(self, probe: str) -> np.ndarray:
        return {"spikes": self.network.fired, "logits": self.network.logits}[probe]

    def recorded(self) -> dict[str, np.ndarray]:
        return self.network.recorded()


def _need(n_inputs: int, hidden: Sequence[int], n_actions: int) -> Need:
    """What its weights take: with gradient and Adam's moments in PyTorch, and as currents or synapses in Brian2."""
    sizes = [n_inputs, *hidden, n_actions]
    currents, *synapses = (before * after for before, after in pairwise(sizes))
    count, n = currents + sum(synapses), sum(sizes[1:])
    what = f"{count:,} weights of {n_inputs:,} inputs and {n:,} neurons"
    return Need(what, 16 * count + 8 * currents + 21 * sum(synapses), "lower hidden or encoder.copies")
