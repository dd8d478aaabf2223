"""`CoagentSystem`: an encoder, actors that vote, and a critic whose TD error every neuron hears."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from rwta_sim.agents.coagents.experiment import CoagentExperiment
from rwta_sim.agents.coagents.network import CoagentNetwork
from rwta_sim.agents.coagents.parameters import Parameters, Traces
from rwta_sim.agents.coagents.perturb import PERTURBATIONS, perturb
from rwta_sim.agents.coagents.rule import ballot, score
from rwta_sim.agents.coagents.slips import SHIFT, check_grid, credited, heard_of, moved
from rwta_sim.agents.coagents.update import LocalUpdate
from rwta_sim.agents.credited import CreditedSystem
from rwta_sim.agents.parameter_noise import Block, whole
from rwta_sim.agents.perturbable import PerturbableSystem
from rwta_sim.engines import make_engine, run_session
from rwta_sim.errors import DivergenceError
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics import CriticInputs
from rwta_sim.learning.modulation import TDError
from rwta_sim.loop.encoded_system import EncodedSystem
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Arrays, Choice, Probe
from rwta_sim.memory import Need, require
from rwta_sim.seeding import EpisodeSeeds, critic_seed, initial_generator

__all__ = ["CoagentSystem"]

Result = TypeVar("Result")


class _Evidence(NamedTuple):
    """What the neurons did in a decision; views, until the network advances."""

    x: np.ndarray
    votes: np.ndarray
    before: np.ndarray | None


class CoagentSystem(CreditedSystem, EncodedSystem, PerturbableSystem):
    """See `CoagentExperiment`.

    Parameters
    ----------
    experiment : CoagentExperiment
    spaces : Spaces
    record : bool
        Whether every spike is recorded.

    Attributes
    ----------
    network : CoagentNetwork
    engine : Engine
    parameters : Parameters

    Raises
    ------
    RwtaSimError
        If the network is larger than this machine's memory, or the engine cannot run here.
    """

    numbers: tuple[str, ...] = ("agreement", "rate_hz")
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate", "epsilon")
    lesions = PERTURBATIONS
    batch = 0
    readouts = ("votes", "votes")

    def __init__(self, experiment: CoagentExperiment, spaces: Spaces, record: bool = False) -> None:
        self.experiment, spec = experiment, experiment.network
        self.gamma, self._shape = experiment.critic.gamma, (spec.actors, spaces.n_actions)
        self.encoder, self._slips = experiment.encoder.make(spaces), experiment.learning.published_code
        self.frames = self.encoder.frames
        if "outcome" in self._slips:
            check_grid(self.encoder.discrete, self.encoder.n_features, spaces.n_actions)
        n_inputs, n_hidden = self.encoder.n_inputs, spec.actors * spaces.n_actions * spec.hidden
        # Weights twice, for their traces too; neurons, and synapses with their indices.
        heard = spec.heard(spaces.n_actions)
        size = 16 * (n_inputs + 1 + heard) * n_hidden + 200 * n_hidden
        require([Need(f"{n_hidden:,} hidden neurons", size, "lower network.actors or network.hidden")])
        self.engine = make_engine(experiment.engine)
        self.network = CoagentNetwork(spec, spaces.n_actions, record, self.engine)
        rng = initial_generator(experiment.seed)
        first = rng.normal(0.0, spec.weight_sd, (n_inputs + 1, n_hidden))
        # What all that a neuron hears of others says together is as large as one input.
        recurrent = rng.normal(0.0, spec.weight_sd / heard**0.5, (n_hidden // heard, heard, heard)) if heard else None
        self.parameters = Parameters(first, self.network.weights, np.zeros(self.network.n_outputs), recurrent)
        self._x = np.ones(n_inputs + 1)
        inputs = CriticInputs(
            self.encoder.n_features, self.encoder.discrete, self.encoder.shape, 0, critic_seed(experiment.seed)
        )
        self._credit = Credit(experiment.critic.make(inputs), TDError(), experiment.control)
        self._traces = Traces(self.parameters, experiment.learning, self.gamma, self.encoder.discrete)
        self._update: LocalUpdate | None = None
        self._hears, self._asynchronous = heard > 0, spec.acting_rate is not None
        self._votes, self._shift = np.zeros(self._shape), SHIFT * spec.temperature * ("shifted_votes" in self._slips)
        self._steps = 1
        self._hz = 0.5 / float(spec.dt)
        self._epsilon = 0.0
        self.anneal(0.0)
        self.parameters_changed()

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        self.engine.seed(seeds.spikes)
        self.network.fall_silent()

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        """As `System.decide`; greedy is the vote, as in learning, without exploration and of several steps if asked."""
        x = self._x
        x[:-1] = self.encoder.drive(features)
        before = self.network.hidden.y.copy() if self._hears else None
        self._current(x, before)
        yield
        layer = self.network.outputs
        votes = layer.y.reshape(self._shape).copy()
        fired = float(np.add.reduce(self.network.hidden.y))
        self._steps = self.experiment.network.greedy_votes if greedy else 1
        for _ in range(self._steps - 1):
            yield
            votes += layer.y.reshape(self._shape)
        self._votes = votes
        total = np.add.reduce(votes, axis=0).tolist()
        action = self._elect(total, rng)
        if not greedy and rng.random() < self._epsilon:
            action = int(rng.integers(self._shape[1]))
        agreed = (2.0 * total[action] - sum(total)) / votes.size  # the mean of `agreement`, of whole numbers
        numbers = (0.5 + 0.5 * agreed / self._steps, (1.0 + fired / self.network.n_hidden) * self._hz)
        return Choice(action, None, numbers, _Evidence(x, votes, before))

    def _current(self, x: np.ndarray, before: np.ndarray | None) -> None:
        """What the inputs say to hidden neurons, and these to one another."""
        z, weights = self.network.hidden.z, self.parameters.inputs
        if self.encoder.discrete:
            rows = np.flatnonzero(x)
            np.dot(x[rows], weights[rows], out=z)
        else:
            np.dot(x, weights, out=z)
        if before is not None:
            z += self.parameters.heard(before)
        if not math.isfinite(np.add.reduce(z)):  # of one number quicker than np.isfinite
            raise DivergenceError(f"inputs of hidden neurons became {z[~np.isfinite(z)][0]}: lower learning.rate")

    def _elect(self, total: Sequence[float], rng: np.random.Generator) -> int:
        best = ballot(total)
        if len(best) == 1 or self.experiment.network.ties == "first":
            return best[0]
        return int(rng.choice(best))

    def run(self, session: Session[Result]) -> Result:
        return run_session(self.engine, session, 1)

    @property
    def engine_name(self) -> str:
        return self.experiment.engine.name

    # -- learning ------------------------------------------------------------------------------------

    def prepare_learning(self) -> None:
        learning = self.experiment.learning
        by_hand = self._traces.kept or self._hears or self._asynchronous
        if not by_hand and not {"spike_score", "one_sided"}.intersection(self._slips):
            self._update = LocalUpdate.made(
                self.parameters, self.network, self.experiment.network.temperature, learning.hidden_share
            )

    def anneal(self, progress: float) -> tuple[float, float]:
        spec, gone = self.experiment.learning, min(max(progress, 0.0), 1.0)
        self._rate = spec.rate * (1.0 - (1.0 - spec.final_rate) * gone)
        self._epsilon = spec.epsilon * (1.0 - (1.0 - spec.final_epsilon) * gone)
        return self._rate, self._epsilon

    def begin_episode(self, features: np.ndarray) -> None:
        self._credit.begin_episode(features)
        self._traces.clear()

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        if not self._credit.learns:
            return
        td_error = self._credit.td_error(None, reward, features, terminated and "goal_value" not in self._slips)
        assert td_error is not None  # the modulation is one that is told at once
        action = choice.action
        if "outcome" in self._slips:
            action = moved(choice.evidence.x[: features.size], features, action)
        self._reinforce(choice.evidence, action, self._rate * self._credit.given(td_error, rng))

    def _reinforce(self, evidence: _Evidence, action: int, rate: float) -> None:
        """Change weights for what the neurons did in a decision; `rate` times the modulation."""
        credit = credited(self.experiment.learning.credit, evidence.votes, action, self._slips)
        if self._update is not None:
            self._update.step(evidence.x, credit, rate)
        else:
            self._follow_traces(evidence, action, credit, rate)
        self.parameters_changed()

    def _follow_traces(self, evidence: _Evidence, action: int, credit: np.ndarray, rate: float) -> None:
        hidden, outputs, temperature = self.network.hidden, self.network.outputs, self.experiment.network.temperature
        if "spike_score" in self._slips:
            of_outputs, of_hidden = outputs.y.copy(), hidden.y.copy()
        else:
            of_outputs, of_hidden = (score(layer.y, layer.p, temperature) for layer in (outputs, hidden))
        if self._asynchronous:  # who held what it did before has done nothing
            of_outputs *= outputs.acts
            of_hidden *= hidden.acts
        of_outputs *= credit
        by_module = of_hidden.reshape(credit.size, -1)
        by_module *= credit[:, None]
        one_sided = "one_sided" in self._slips and rate <= 0
        y = heard_of(hidden.y, action, self._shape) if one_sided else hidden.y
        self._traces.step(evidence.x, of_hidden, y, of_outputs, rate, evidence.before)

    def parameters_changed(self) -> None:
        self.network.rest_at(self.parameters.bias + self._shift if self._shift else self.parameters.bias)

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        (actors, modules), hidden = self._shape, self.experiment.network.hidden
        found = {"inputs": self.encoder.n_inputs, "actors": actors, "modules": modules, "hidden": hidden}
        return {**found, "recurrent": self.experiment.network.recurrent} if self._hears else found

    def state(self) -> dict[str, np.ndarray]:
        encoder = {f"encoder.{name}": a for name, a in self.encoder.state().items()}
        return {**{f"weight.{name}": a for name, a in self.parameters.arrays().items()}, **encoder}

    def set_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        super().set_state(arrays, name)
        self.parameters_changed()

    def learning_state(self) -> dict[str, np.ndarray]:
        return self._credit.state()

    # -- looking and perturbing ----------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weights: "inputs", the last row of which are biases, "modules" and "bias" (of the outputs)."""
        return self.parameters.arrays()

    def probes(self) -> dict[str, Probe]:
        n, modules = (self.network.n_hidden,), self._shape
        return {
            **super().probes(),
            "p": Probe("1", n, "firing probability of each hidden neuron"),
            "y": Probe("1", n, "1 of the hidden neurons that fired, -1 of the others"),
            "p_votes": Probe("1", modules, "firing probability of each output, by actor and action"),
            "votes": Probe("1", modules, "1 of the outputs that fired, -1 of the others; a sum, of several steps"),
        }

    def read(self, probe: str) -> np.ndarray:
        hidden, outputs = self.network.hidden, self.network.outputs
        found = {"p": hidden.p, "y": hidden.y, "p_votes": outputs.p.reshape(self._shape), "votes": self._votes}
        return found[probe].copy() if probe in found else super().read(probe)

    @property
    def credit(self) -> Credit:
        return self._credit

    def lesion(self, name: str, target: str, rng: np.random.Generator) -> None:
        spec = self.experiment.network
        perturb(self.parameters, spec.actors, spec.temperature, name, target, rng)

    def free_blocks(self) -> list[Block]:
        """ "sh" from inputs to hidden neurons, "hh" among those, "ha" from them to outputs, "b" the biases of both."""
        inputs, modules, bias = self.parameters.inputs, self.parameters.modules, self.parameters.bias
        recurrent = self.parameters.recurrent
        among = [] if recurrent is None else [whole("hh", recurrent)]
        biases = [whole("b", inputs[-1], bias=True), whole("b", bias, bias=True)]
        return [whole("sh", inputs[:-1]), *among, whole("ha", modules), *biases]

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike since it was built, modules as circuits and the outputs last."""
        view, network, dt = self.engine.view, self.network, float(self.engine.dt)
        times = [np.array(view(monitor, "t")) for monitor in network.monitors]
        neurons = [
            np.array(view(monitor, "i")) + first
            for monitor, first in zip(network.monitors, (0, network.n_hidden), strict=False)
        ]
        starts = np.arange(0, network.n_hidden + 1, self.experiment.network.hidden)
        return {
            "input_i": np.empty(0, np.int32),
            "input_t": np.empty(0),
            "neuron_i": np.concatenate([np.empty(0, np.int32), *neurons]).astype(np.int32),
            "neuron_t": np.concatenate([np.empty(0), *times]),
            "n_inputs": np.array(0),
            "starts": np.append(starts, network.n_hidden + network.n_outputs),
            "action_of": np.tile(np.arange(self._shape[1]), self._shape[0]),
            "dt": np.array(dt),
            "decision_time": np.array(self._steps * dt),
        }
