"""`DeepQSystem` and `SpikingQSystem`: take the action with the highest Q, and learn it. Import PyTorch."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rwta_sim.agents.dsqn.experiment import DQNExperiment, DSQNExperiment
from rwta_sim.agents.dsqn.learner import QLearner
from rwta_sim.agents.dsqn.network import QNetwork, SpikingQNetwork
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.agents.dsqn.replay import replay_need
from rwta_sim.agents.integrate_and_fire import SpikeRecord
from rwta_sim.agents.layered import LearnedLayers
from rwta_sim.errors import ConfigError, DivergenceError
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice, Probe
from rwta_sim.memory import Need, require
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["DeepQSystem", "SpikingQSystem"]


class DeepQSystem(LearnedLayers):
    """See `DQNExperiment`.

    Parameters
    ----------
    experiment : DQNExperiment
    spaces : Spaces
    trains : bool
        Whether it is to learn: then there has to be the memory for it, and the device.

    Raises
    ------
    RwtaSimError
        If one of them is absent, or filters do not fit the observations.

    Attributes
    ----------
    units : str
        What its hidden layers are of, for the signature.
    learner : QLearner
    """

    numbers: tuple[str, ...] = ("q",)
    learning_numbers: ClassVar[tuple[str, ...]] = ("epsilon",)
    readouts = ("the highest Q, or by chance any", "the highest Q")
    units: ClassVar[str] = "relu"
    learner: QLearner
    batch = 0

    def __init__(self, experiment: DQNExperiment, spaces: Spaces, trains: bool) -> None:
        self.experiment = experiment
        self.gamma = experiment.learning.gamma
        self.encoder = experiment.encoder.make(spaces)
        self.frames = self.encoder.frames
        self._n_actions = spaces.n_actions
        self._check_picture()
        self._plan = QNetworkPlan.of(
            self.encoder.shape,
            self.encoder.n_inputs,
            experiment.convolutions,
            experiment.hidden,
            spaces.n_actions,
        )
        count = self._plan.n_weights
        # Weights; in learning also their gradients, the moments of Adam, and the target network's.
        needs = [Need(f"{count:,} weights", (20 if trains else 8) * count, "lower hidden")]
        require([*needs, replay_need(experiment.replay, self.encoder.n_inputs)] if trains else needs)
        device = experiment.device_for(trains)
        self.learner = QLearner(experiment, self._made(), self.encoder.n_inputs, self._gain, device)
        self._told: list[np.ndarray] = []
        self._q = np.zeros(self._n_actions, np.float32)

    def _check_picture(self) -> None:
        size = math.prod(self.encoder.shape)
        if self.experiment.convolutions and self.encoder.n_inputs != size:
            raise ConfigError(
                f"convolutions see a picture of {size} numbers as it is, and the encoder makes "
                f"{self.encoder.n_inputs} of them: set encoder.complementary = false and encoder.copies = 1"
            )

    def _made(self) -> QNetwork:
        """The network, its parameters not drawn yet."""
        return QNetwork(self._plan)

    @property
    def _gain(self) -> float:
        return 1.0

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        pass

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        drive = self._drive(features)
        self._told, self._q = yield from self._answered(drive)
        best = int(self._q.argmax())
        highest = float(self._q[best])
        if not math.isfinite(highest):
            raise DivergenceError(f"Q became {highest}")
        explores = not greedy and rng.random() < self.learner.epsilon
        return Choice(int(rng.integers(self._n_actions)) if explores else best, None, (highest,), drive)

    def _answered(self, drive: np.ndarray) -> Session[tuple[list[np.ndarray], np.ndarray]]:
        """What the layers say of a drive, and Q, as `QLearner.run` has it; yields where a network has to advance."""
        yield from ()
        return self.learner.run(drive)

    def _drive(self, features: np.ndarray) -> np.ndarray:
        """Currents of the inputs, shape (n_inputs,), float32."""
        return self.encoder.drive(features).astype(np.float32)

    # -- learning ------------------------------------------------------------------------------------

    def anneal(self, progress: float) -> tuple[float, ...]:
        self.learner.anneal(progress)
        return (self.learner.epsilon,)

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        self.learner.observe(choice.evidence, choice.action, reward, self._drive(features), terminated, rng)

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        spec = self.experiment
        return {
            "observation": list(self.encoder.shape),
            "inputs": self.encoder.n_inputs,
            "actions": self._n_actions,
            "convolutions": [[c.maps, c.kernel, c.stride] for c in spec.convolutions],
            self.units: list(spec.hidden),
        }

    def parameters_changed(self) -> None:
        self.learner.push()

    # -- looking and perturbing ----------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        return self.learner.parameters()

    def probes(self) -> dict[str, Probe]:
        hidden = (sum(self._plan.sizes[:-1]),)
        return {
            **super().probes(),
            "q": Probe("1", (self._n_actions,), "Q of every action"),
            **self._of_hidden(hidden),
        }

    def _of_hidden(self, shape: tuple[int, ...]) -> dict[str, Probe]:
        return {"values": Probe("1", shape, "value of each hidden unit, layer after layer")}

    def read(self, probe: str) -> np.ndarray:
        if probe == "q":
            return self._q.copy()
        return np.concatenate([a.ravel() for a in self._told[:-1]]) if probe == "values" else super().read(probe)


class SpikingQSystem(DeepQSystem):
    """See `DSQNExperiment`.

    Parameters
    ----------
    experiment : DSQNExperiment
    spaces : Spaces
    trains : bool
        As for `DeepQSystem`.
    record : bool
        Whether every spike is recorded.
    """

    experiment: DSQNExperiment
    numbers: tuple[str, ...] = ("q", "spikes")
    units = "leaky"

    def __init__(self, experiment: DSQNExperiment, spaces: Spaces, trains: bool, record: bool) -> None:
        super().__init__(experiment, spaces, trains)
        self._record = SpikeRecord(self._plan.sizes, experiment.neurons.steps, record)

    def _made(self) -> QNetwork:
        return SpikingQNetwork(self._plan, self.experiment.neurons)

    @property
    def _gain(self) -> float:
        return self.experiment.neurons.gain

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        choice = yield from super().decide(features, greedy, rng)
        self._record.add(self._spikes())
        return choice._replace(numbers=(*choice.numbers, float(sum(layer.sum() for layer in self._told[:-1]))))

    def _spikes(self) -> list[np.ndarray]:
        """Of each hidden layer in the last decision, 1 or 0, shape (steps, n) each."""
        return [layer.reshape(len(layer), -1) for layer in self._told[:-1]]

    def _of_hidden(self, shape: tuple[int, ...]) -> dict[str, Probe]:
        membranes = (self.experiment.neurons.steps, self._n_actions)
        return {
            "spikes": Probe("1", shape, "spikes of each hidden neuron in the decision, layer after layer"),
            "membranes": Probe("1", membranes, "potential of each action's neuron after each step"),
        }

    def read(self, probe: str) -> np.ndarray:
        if probe == "spikes":
            return np.concatenate(self._spikes(), axis=1).sum(axis=0)
        return self._told[-1][:, 0].copy() if probe == "membranes" else super().read(probe)

    def rates(self) -> np.ndarray:
        """Of hidden neurons in the last decision, with steps of 1 ms, Hz; neurons of actions have none."""
        return self.read("spikes") / (self.experiment.neurons.steps * SpikeRecord.DT)

    def recorded(self) -> dict[str, np.ndarray]:
        return self._record.recorded()
