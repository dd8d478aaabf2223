"""`EPSystem`: settles to answer, and learns from the right answer by settling once more."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rwta_sim.agents.ep.experiment import EPExperiment
from rwta_sim.agents.ep.network import EquilibriumNetwork
from rwta_sim.agents.layered import LayeredSystem, Layers
from rwta_sim.errors import DivergenceError, EnvironmentFailure, shown
from rwta_sim.learning.rows import Rows
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Arrays, Choice
from rwta_sim.seeding import EpisodeSeeds, initial_generator

__all__ = ["EPSystem"]


class EPSystem(LayeredSystem):
    """See `EPExperiment`. The answer is the output unit with the highest value when the network has settled.

    Parameters
    ----------
    experiment : EPExperiment
    spaces : Spaces
    """

    numbers: tuple[str, ...] = ("moved",)
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate",)
    #: What the layer above says to a silent unit, whatever it is, does not lift it above 0.
    rests: ClassVar = {"lesion": 0.0, "silence": -1e6}
    readouts = ("settled outputs", "settled outputs")

    def __init__(self, experiment: EPExperiment, spaces: Spaces) -> None:
        self.experiment, self._spec, self._settling = experiment, experiment.learning, experiment.settling
        self.batch, self._name = experiment.learning.batch, spaces.name
        self.encoder = experiment.encoder.make(spaces)
        self.frames, n_inputs, self._n = self.encoder.frames, self.encoder.n_inputs, spaces.n_actions
        sizes = [n_inputs, *experiment.hidden, self._n]
        self.network = EquilibriumNetwork(sizes, initial_generator(experiment.seed), self._settling.step)
        self._rate = self._spec.rate
        self._rows = Rows(drive=np.zeros(n_inputs, np.float32), answer=np.zeros((), np.int64))
        self._complete = 0  # rows of complete episodes
        self._answer: int | None = None

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        pass

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        yield from ()
        drive = self.encoder.drive(features).astype(np.float32)
        network = self.network
        before = network.settle(network.rest(drive[None]), self._settling.steps - 1)
        after = network.settle(before, 1)
        moved = float(np.mean([np.abs(b - a).mean() for a, b in zip(before[1:], after[1:], strict=True)]))
        if not np.isfinite(moved):
            raise DivergenceError(f"values of units became {moved}")
        return Choice(int(after[-1][0].argmax()), None, (moved,), drive)

    # -- learning ------------------------------------------------------------------------------------

    def anneal(self, progress: float) -> tuple[float, ...]:
        spec = self._spec
        self._rate = spec.rate * (1.0 - (1.0 - spec.final_rate) * min(max(progress, 0.0), 1.0))
        return (self._rate,)

    def begin_episode(self, features: np.ndarray) -> None:
        self._rows.truncate(self._complete)

    def hear_answer(self, action: Any) -> None:
        if isinstance(action, int | np.integer) and 0 <= action < self._n:
            self._answer = int(action)
        else:
            raise EnvironmentFailure(
                f"{self._name}: info['label'] = {shown(action)}, expected the right action, from 0 to {self._n - 1}"
            )

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        if self._answer is None:
            raise EnvironmentFailure(
                f"{self._name}: step told no right answer, from which the model 'ep' learns: give it as info['label'], "
                "or take a model that learns from rewards"
            )
        self._rows.extend(1, drive=choice.evidence, answer=self._answer)
        self._answer = None

    def end_episode(self, rng: np.random.Generator) -> None:
        if len(self._rows) >= self._spec.batch:
            self._update(rng)
            self._rows.truncate(0)
        self._complete = len(self._rows)

    def _update(self, rng: np.random.Generator) -> None:
        rows, network, settling = self._rows.state(), self.network, self._settling
        targets = np.eye(self._n, dtype=np.float32)[rows["answer"]]
        beta = settling.nudge if rng.random() < 0.5 else -settling.nudge  # of both signs: errors of first order cancel
        free = network.settle(network.rest(rows["drive"]), settling.steps)
        nudged = network.settle(free, settling.nudged_steps, beta, targets)
        for parameters, along in zip(
            (network.weights, network.biases), network.contrast(free, nudged, beta), strict=True
        ):
            for parameter, change in zip(parameters, along, strict=True):
                parameter += np.float32(self._rate) * change

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        return {"inputs": self.encoder.n_inputs, "actions": self._n, "settling": list(self.experiment.hidden)}

    def state(self) -> dict[str, np.ndarray]:
        found = {f"encoder.{name}": a for name, a in self.encoder.state().items()}
        for k, (weights, biases) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            found |= {f"layers.{k}.weight": weights, f"layers.{k}.bias": biases}
        return found

    def learning_state(self) -> dict[str, np.ndarray]:
        return {f"rows.{name}": a[: self._complete] for name, a in self._rows.state().items()}

    def set_learning_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        if "rows.answer" in arrays:
            self._complete = len(arrays["rows.answer"])
            self._rows.make_room(self._complete)
        super().set_learning_state(arrays, name)

    # -- perturbing ----------------------------------------------------------------------------------

    def layers(self) -> Layers:
        return self.network.weights, self.network.biases
