"""`RWTASystem`: an encoder, a network or its mean field, and a learner."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from rwta_sim.agents.credited import CreditedSystem
from rwta_sim.agents.parameter_noise import Block
from rwta_sim.agents.perturbable import PerturbableSystem
from rwta_sim.agents.rwta.actor import Actor
from rwta_sim.agents.rwta.blocks import free_blocks
from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.agents.rwta.needs import network_needs, training_needs
from rwta_sim.agents.rwta.packed_checkpoints import with_packed_weights
from rwta_sim.agents.rwta.perturb import PERTURBATIONS, perturb
from rwta_sim.agents.rwta.probes import FIELD, declared, populations, sample_of, sample_steps, within_decisions
from rwta_sim.agents.rwta.rate import RateActor
from rwta_sim.agents.rwta.spike_faults import with_fault
from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.faults import Faults
from rwta_sim.circuit.network import RWTANetwork, Sampled
from rwta_sim.circuit.plasticity import explained
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import make_engine
from rwta_sim.learning import Decision, Learner, LearnerBase, RecentLearner, RolloutLearner
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics import CriticInputs
from rwta_sim.learning.rules import Rule
from rwta_sim.loop.encoded_system import EncodedSystem
from rwta_sim.loop.probes import Drained, Population, Probe, Sampling
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Arrays, Choice, System, fill
from rwta_sim.memory import require
from rwta_sim.seeding import EpisodeSeeds, critic_seed, initial_generator

if TYPE_CHECKING:
    from rwta_sim.agents.rwta.experiment import RWTAExperiment

__all__ = ["RWTASystem", "blocks_saved"]

Result = TypeVar("Result")
_WEIGHT = "weight."
_LEARNER = "learner."
_FORGOTTEN = np.empty(0)
#: Populations that the letters of a block of weights stand for.
_ENDS = {"s": "inputs", "h": "hidden", "a": "action"}


class RWTASystem(CreditedSystem, EncodedSystem, PerturbableSystem):
    """A recurrent winner-take-all network that acts and learns, from spikes or as its mean field.

    Parameters
    ----------
    experiment : RWTAExperiment
    spaces : Spaces
    record : bool
        Give the network SpikeMonitors, if it spikes.
    trains : bool
        Whether it will learn: then there has to be memory for that, too.
    sampling : Sampling, optional
        What to record within decisions, for `drain`; spikes only if they are in it.

    Attributes
    ----------
    encoder : Encoder
    actor : Actor
        A `SpikingActor`, an `EventActor` or a `RateActor`.
    network : Wiring
        An `RWTANetwork`, if it spikes.
    learner : LearnerBase or None
        What `prepare_learning` makes.
    """

    numbers: tuple[str, ...] = ("entropy", "rate_hz")
    learning_numbers: ClassVar[tuple[str, ...]] = ("learning_rate",)
    lesions = PERTURBATIONS
    turns = ("learning.rate", "learning.entropy")

    def __init__(
        self,
        experiment: RWTAExperiment,
        spaces: Spaces,
        record: bool = False,
        trains: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        self.experiment = experiment
        self.gamma, self.batch = experiment.critic.gamma, experiment.learning.batch
        self.encoder = experiment.encoder.make(spaces)
        self.frames = self.encoder.frames
        self._races, self._time_cost = experiment.races, experiment.decision.time_cost
        if self._races:
            self.numbers = (*self.numbers, "reaction_ms")
        spiking = experiment.dynamics == "spiking"
        self.readouts = (experiment.decision.decoder if spiking else "drawn", "argmax")
        self.evaluates_greedily = not spiking or experiment.decision.readout == "argmax"
        network, steps = experiment.network, experiment.decision.steps
        #: Of a neuron with one spike in a decision, or with q = 1 where there are none.
        self._hz = 1 / float(steps * network.dt) if spiking else float(network.circuit_rate)
        reckon = training_needs if trains else network_needs
        require(reckon(experiment, self.encoder.n_inputs, spaces.n_actions))
        #: What its network records: spikes, which variables, and these in how many steps once.
        self._record, self._sampled, self._every = record, dict[str, Sampled](), 1
        if sampling is not None:
            self._record, self._sampled, self._every = self._sampling(sampling, spaces.n_actions)
        self.actor = self._sound = self._make_actor(spaces.n_actions)
        self.network: Wiring = self.actor.network
        #: What goes wrong with spikes, and who acts while it does.
        self._faults = Faults()
        self._faulty: SpikingActor | None = None
        self.learner: LearnerBase | None = None
        self._before: Any = None
        self._early_rule: Rule | None = None
        self._decision: Decision | None = None  # the last one

    # -- building ------------------------------------------------------------------------------------

    def _sampling(self, sampling: Sampling, n_actions: int) -> tuple[bool, dict[str, Sampled], int]:
        """Whether spikes are recorded, which variables, and in how many steps once."""
        experiment = self.experiment
        layout = Wiring(experiment.network, self.encoder.n_inputs, n_actions, initial_generator(experiment.seed))
        chosen, where = within_decisions(experiment, layout, sampling), populations(layout)
        sampled = {}
        for one in chosen:
            if one.moment == "step":
                name, _, variable = one.name.rpartition(".")
                indices = np.arange(one.part.start, one.part.stop, one.part.step)
                sampled[one.name] = sample_of(experiment, where[name], variable, indices)
        return any(one.moment == "spike" for one in chosen), sampled, sample_steps(experiment, sampling)

    def _make_actor(self, n_actions: int) -> Actor:
        experiment, n_inputs = self.experiment, self.encoder.n_inputs
        rng = initial_generator(experiment.seed)
        if experiment.dynamics == "rate":
            return RateActor(
                Wiring(experiment.network, n_inputs, n_actions, rng), experiment.mean_field, experiment.decision, rng
            )
        if experiment.engine.name == "events":
            wiring = Wiring(experiment.network, n_inputs, n_actions, rng)
            return EventActor(EventNetwork(wiring, rng, experiment.event_credit()), experiment.decision, self._record)
        return self._spiking_actor(n_actions, rng)

    def _spiking_actor(self, n_actions: int, rng: np.random.Generator, faults: bool = False) -> SpikingActor:
        """One on an engine; with faults it only acts, and keeps nothing to learn from."""
        experiment, decision, learning = self.experiment, self.experiment.decision, self.experiment.learning
        engine, n_inputs = make_engine(experiment.engine), self.encoder.n_inputs
        plasticity = None if faults else learning.plasticity(experiment.network)
        recalls = learning.rule.needs_history and plasticity is None and not faults
        history = recalls or any(one.recalled for one in self._sampled.values())
        with explained(learning.equations):
            with engine.building():
                network = RWTANetwork(
                    experiment.network,
                    n_inputs,
                    n_actions,
                    rng=rng,
                    record=self._record,
                    history=decision.steps if history else 0,
                    gained=decision.gain != 1,
                    go_signal=decision.go_signal,
                    record_traces=decision.clear == "episode" or not experiment.network.one_trace,
                    plasticity=plasticity,
                    sampled=self._sampled,
                    sample_steps=self._every,
                    faults=faults,
                )
            engine.prepare(network.network, namespace={})
        actor = SpikingActor(network, engine, decision, recalls)
        if plasticity is not None:
            rule = self._rule(network)
            actor.arrays.gate(rule.first, rule.last, decision.steps)
        return actor

    def _rule(self, network: Wiring) -> Rule:
        decision = self.experiment.decision
        rule = self.experiment.learning.rule
        return rule.make(network, decision.steps, decision.decoder, lasting=decision.clear == "episode")

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        self.actor.begin_episode(seeds)

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        self._decision = decision = yield from self.actor.decide(self.encoder.drive(features), greedy, rng)
        reaction = (decision.time * 1e3,) if self._races else ()
        numbers = (decision.policy_entropy, decision.rate, *reaction)
        return Choice(decision.action, decision.policy, numbers, decision)

    def run(self, session: Session[Result]) -> Result:
        with explained(self.experiment.learning.equations):
            return self.actor.run(session)

    @property
    def joint(self) -> bool:
        return self.actor.joint

    def join(self) -> None:
        self.actor.join()

    def answer(self, systems: Sequence[System]) -> None:
        self.actor.answer([system.actor for system in systems if isinstance(system, RWTASystem)])

    @property
    def engine_name(self) -> str:
        return "none" if self.experiment.dynamics == "rate" else self.experiment.engine.name

    # -- learning ------------------------------------------------------------------------------------

    def prepare_learning(self) -> None:
        """Make the learner.

        Raises
        ------
        ValueError
            If the experiment's rule is for other dynamics.
        RwtaSimError
            If its critic cannot read these observations or this network, or needs a package that is not installed.
        """
        self.learner = self.make_learner()

    def make_learner(self) -> LearnerBase:
        """A new learner of the network's weights; errors as for `prepare_learning`."""
        experiment, encoder = self.experiment, self.encoder
        learning, weights = experiment.learning, self.actor.weights
        n_hidden, seed = experiment.network.n_hidden, critic_seed(experiment.seed)
        n_actions = self.network.n_actions
        inputs = CriticInputs(encoder.n_features, encoder.discrete, encoder.shape, n_hidden, seed, n_actions)
        critic = experiment.critic.make(inputs)
        if learning.rule.dynamics != experiment.dynamics:
            raise ValueError(
                f"learning.rule.kind = {learning.rule.kind!r} cannot learn with dynamics = {experiment.dynamics!r}"
            )
        if experiment.dynamics == "rate" or learning.modulation.replays:
            replay = learning.rule.replay(weights, self.actor.field, learning.published_code)
            if learning.modulation.recalls:
                return RecentLearner(learning, critic, weights, replay, inputs)
            return RolloutLearner(learning, critic, weights, replay)
        return Learner(learning, critic, weights, self._rule(self.network))

    def _learning(self) -> LearnerBase:
        if self.learner is None:
            self.prepare_learning()
        assert self.learner is not None
        return self.learner

    def anneal(self, progress: float) -> tuple[float, ...]:
        learner = self._learning()
        learner.anneal(progress)
        return (learner.rate,)

    def turn(self, key: str, value: float) -> None:
        self._learning().turn(key.removeprefix("learning."), value)

    def begin_episode(self, features: np.ndarray) -> None:
        self._before = features
        self._learning().begin_episode(features)

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        decision: Decision = choice.evidence
        if not decision.drive.size and decision.factors is None:
            decision = self._with_drive(decision)
        assert self.learner is not None  # of `begin_episode`
        if self._time_cost:
            reward -= self._time_cost * decision.time
        if self.learner.observe(decision, reward, features, terminated, rng):
            self.actor.weights_changed()
        self._before = features

    def end_episode(self, rng: np.random.Generator) -> None:
        assert self.learner is not None
        self.learner.end_episode(rng)

    # -- copies that play side by side ---------------------------------------------------------------

    def note(self, choice: Choice) -> Choice:
        """Features are kept by who takes notes, and the drive of the inputs is made of them again; of a rule that
        makes nothing but factors of a decision, the factors, so that its history need not be kept."""
        decision: Decision = choice.evidence
        rule = self._rule_of_factors()
        return choice._replace(evidence=_without_drive(decision) if rule is None else _factors_alone(decision, rule))

    def _rule_of_factors(self) -> Rule | None:
        """A rule on the network's weights, if its factors are all that a learner makes of a decision."""
        learning = self.experiment.learning
        if self.actor.keeps_eligibilities or learning.modulation.replays or self.experiment.dynamics == "rate":
            return None
        if self._early_rule is None:
            self._early_rule = self._rule(self.network)
            self._early_rule.attach(self.actor.weights)
        return self._early_rule

    def _with_drive(self, decision: Decision) -> Decision:
        drive = self.encoder.drive(self._before)
        return decision._replace(drive=drive, input_trace=decision.input_trace if decision.input_trace.size else drive)

    def follow(self, other: System) -> None:
        assert isinstance(other, RWTASystem)  # of the same settings
        self.actor.follow(other.actor)
        if self.encoder is not other.encoder:
            fill(self.encoder.state(), other.encoder.state(), "another copy")

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        spec = self.experiment.network
        return {
            "inputs": self.network.n_inputs,
            "actions": self.network.n_actions,
            "network": spec.model_dump(mode="json"),
            **({"structure": self.experiment.seed} if spec.random_structure else {}),
        }

    def completed(self, signature: dict[str, Any]) -> dict[str, Any]:
        network = signature.get("network")
        known = NetworkSpec().model_dump(mode="json")
        return {**signature, "network": {**known, **network}} if isinstance(network, dict) else signature

    def state(self) -> dict[str, np.ndarray]:
        """Weights by projection, and biases; and what an encoder was calibrated to. Views, not copies."""
        arrays = self.actor.weights
        encoder = {f"encoder.{name}": a for name, a in self.encoder.state().items()}
        return {**{_WEIGHT + name: w for name, w in arrays.weights.items()}, "bias": arrays.b, **encoder}

    def set_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        self.actor, self._faults = self._sound, Faults()
        super().set_state(with_packed_weights(self.network, arrays), name)
        self.actor.weights_changed()

    def learning_state(self) -> dict[str, np.ndarray]:
        return {_LEARNER + name: array for name, array in self._learning().state().items()}

    def set_learning_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        arrays = with_packed_weights(self.network, arrays)
        saved = {key.removeprefix(_LEARNER): a for key, a in arrays.items() if key.startswith(_LEARNER)}
        self._learning().make_room(saved)
        super().set_learning_state(arrays, name)

    # -- looking -------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weight blocks ("sh", "sa", "hh", "ha", "ah") and the biases "b"; sparse ones are packed, as in
        `rwta_sim.circuit.wiring.Weights.blocks`."""
        return self.actor.weights.blocks()

    def probes(self) -> dict[str, Probe]:
        return self._probes

    @functools.cached_property
    def _probes(self) -> dict[str, Probe]:
        return declared(self.experiment, self.network)

    def read(self, probe: str) -> np.ndarray:
        """See `System.read`; "q", "x" and "spike_counts" are those of all neurons."""
        name, _, variable = probe.rpartition(".")
        if variable == "w":
            return super().read(probe)
        if variable == "eligibility":
            return self._eligibilities()[name].copy()
        if name == "inputs":
            return self.actor.read(f"{variable} of inputs")
        values = self.actor.read("current" if variable == FIELD else variable)
        if not name:
            return values
        _, start, stop, _ = self.populations()[name]
        return values[start:stop].sum() if variable == FIELD else values[start:stop]

    def reader(self, probes: Sequence[str]) -> Callable[[], np.ndarray]:
        part = self._part_of_view(probes)
        return super().reader(probes) if part is None else lambda: part

    def _part_of_view(self, probes: Sequence[str]) -> np.ndarray | None:
        """What always shows these probes, if they are one variable of neurons that follow one another."""
        names, _, variables = zip(*(probe.rpartition(".") for probe in probes), strict=True)
        where = [p for name in names if (p := self.populations().get(name)) is not None and p.group == "neurons"]
        in_a_row = all(before.stop == after.start for before, after in itertools.pairwise(where))
        if len(where) < len(names) or len(set(variables)) > 1 or not in_a_row:
            return None
        shown = self.actor.view(variables[0])
        return None if shown is None else shown[where[0].start : where[-1].stop]

    def synapse(self, block: str, pre: int, post: int) -> dict[str, float]:
        found, probes = super().synapse(block, pre, post), self.probes()
        source, target = (_ENDS[end] for end in block)
        if probes[f"{block}.w"].shape != self.weights()[block].shape:  # packed: a place in it says nothing of neurons
            return found
        wanted = {"trace": (f"{source}.x", pre), "spikes": (f"{target}.spike_counts", post), "q": (f"{target}.q", post)}
        known = {name: probe for name, probe in wanted.items() if "decision" in _moments_of(probes, probe[0])}
        found |= {name: float(self.read(probe)[number]) for name, (probe, number) in known.items()}
        if f"{block}.eligibility" in probes and self.learner is not None:
            found["eligibility"] = float(self._eligibilities()[block][pre, post])
        return found

    def _eligibilities(self) -> dict[str, np.ndarray]:
        """Of the last decision, by block; views of what the next call overwrites."""
        learner, decision = self._learning(), self._decision
        assert isinstance(learner, Learner) and decision is not None  # as the probes say
        *weights, bias = learner.eligibility(decision)
        whole = {p.name: e for p, e in zip(self.network.projections, weights, strict=True)}
        return {**self.network.spec.split_blocks(whole), "b": bias}

    def populations(self) -> dict[str, Population]:
        return self._populations

    def fan_out(self) -> dict[str, np.ndarray]:
        network = self.network
        counts = {"inputs": np.zeros(network.n_inputs, int), "neurons": np.zeros(network.n_neurons, int)}
        for p in network.projections:
            counts[p.origin][p.source] += p.fan_out
        return {name: counts[group][start:stop] for name, (group, start, stop, _) in self.populations().items()}

    @functools.cached_property
    def _populations(self) -> dict[str, Population]:
        return populations(self.network)

    @property
    def timing(self) -> tuple[float, float]:
        network, steps = self.experiment.network, self.experiment.decision.steps
        dt = float(network.dt)
        return (0.0 if self.engine_name in ("none", "events") else dt), steps * dt

    def drain(self) -> Drained:
        return self.actor.drain()

    @property
    def credit(self) -> Credit:
        return self._learning().credit

    def free_blocks(self) -> list[Block]:
        return free_blocks(self.actor.weights)

    def perturbations(self) -> dict[str, str]:
        return {**super().perturbations(), **self._sound.faults()}

    def at_any_time(self, perturbation: str) -> bool:
        return perturbation not in self._sound.faults()  # for which another network acts

    def perturb(self, name: str, target: str, seed: int = 0) -> None:
        if name in self._sound.faults():
            self._spoil(name, target)
        else:
            super().perturb(name, target, seed)

    def _spoil(self, name: str, target: str) -> None:
        """One more fault of spikes: from the first one on another network, with the same weights, acts. What becomes of
        a spike follows from the seed of the episode, as spikes do."""
        assert isinstance(self._sound, SpikingActor)  # which alone has faults
        self._faults = with_fault(self._faults, name, target, self._sound.network)
        if self.actor is self._sound and self._faults == Faults():
            return
        if self._faulty is None:
            self._faulty = self._spiking_actor(self.network.n_actions, initial_generator(self.experiment.seed), True)
        if self.actor is self._sound:
            self._faulty.follow(self._sound)
            self.actor = self._faulty
        self._faulty.arrays.set_faults(self._faults)

    def lesion(self, name: str, target: str, rng: np.random.Generator) -> None:
        perturb(self.actor.weights, name, target, rng)

    def parameters_changed(self) -> None:
        self.actor.weights_changed()

    def winners(self) -> np.ndarray:
        return self.network.winners(self.actor.activity())

    def rates(self) -> np.ndarray:
        return self.actor.activity() * self._hz

    def recorded(self) -> dict[str, np.ndarray]:
        return {**self.actor.recorded(), "starts": self.network.starts, **self._times()}

    def _times(self) -> dict[str, np.ndarray]:
        dt, steps = float(self.experiment.network.dt), self.experiment.decision.steps
        return {"dt": np.array(dt), "decision_time": np.array(steps * dt)}


def _moments_of(probes: Mapping[str, Probe], name: str) -> tuple[str, ...]:
    return probes[name].moments if name in probes else ()


def _without_drive(decision: Decision) -> Decision:
    trace = _FORGOTTEN if decision.input_trace is decision.drive else decision.input_trace
    return decision._replace(drive=_FORGOTTEN, input_trace=trace)


def _factors_alone(decision: Decision, rule: Rule) -> Decision:
    return Decision(
        drive=_FORGOTTEN,
        input_trace=_FORGOTTEN,
        trace=_FORGOTTEN,
        q=_FORGOTTEN,
        v=_FORGOTTEN,
        spoke=_FORGOTTEN,
        action=decision.action,
        policy=decision.policy.copy(),  # a view of all that a readout tells
        policy_entropy=decision.policy_entropy,
        rate=decision.rate,
        time=decision.time,
        rates=None if decision.rates is None else decision.rates.copy(),
        factors=rule.factors(decision),
    )


def blocks_saved(experiment: RWTAExperiment, arrays: Arrays, signature: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weight blocks in a checkpoint of this experiment and signature, as matrices."""
    spec, prefix = experiment.network, len(_WEIGHT)
    if not spec.sparse_origins:
        return spec.split_blocks({n[prefix:]: a for n, a in arrays.items() if n.startswith(_WEIGHT)})
    network = Wiring(spec, signature["inputs"], signature["actions"], initial_generator(experiment.seed))
    packed = with_packed_weights(network, arrays)
    return network.unpacked(spec.split_blocks({p.name: packed[_WEIGHT + p.name] for p in network.projections}))
