"""Settings of recurrent winner-take-all networks that act and learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from brian2 import Quantity, second
from pydantic import Field, model_validator

from rwta_sim.agents.rwta.dials import network_dials
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventCredit, check_events
from rwta_sim.circuit.meanfield import MeanFieldSpec
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import EngineSpec
from rwta_sim.errors import ConfigError
from rwta_sim.learning import LearningSpec
from rwta_sim.learning.critics import CriticSpec, Fourier
from rwta_sim.loop.dials import Dial
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Name, format_quantity

if TYPE_CHECKING:
    from rwta_sim.agents.rwta.system import RWTASystem

__all__ = ["RWTAExperiment"]


#: Mean events of a circuit in a decision, at most, without a time step.
_MOST_EVENTS = 100_000


class RWTAExperiment(Experiment):
    """A recurrent winner-take-all network, from spikes or as its mean field."""

    model: Name = Field("svpg", description="published system whose preset this is")
    encoder: EncoderSpec = Scaled()
    network: NetworkSpec = NetworkSpec()
    decision: DecisionSpec = DecisionSpec()
    learning: LearningSpec = LearningSpec()
    critic: CriticSpec = Fourier()
    engine: EngineSpec = EngineSpec()
    dynamics: Literal["spiking", "rate"] = Field(
        "spiking", description="spiking: the network in Brian2; rate: its mean field, without spikes, in NumPy"
    )
    mean_field: MeanFieldSpec = MeanFieldSpec()

    logs: ClassVar[tuple[str, ...]] = ("entropy", "rate_hz", "learning_rate")
    draws: ClassVar[tuple[str, ...]] = ("weights", "raster", "rates", "tuning")
    vitals: ClassVar[tuple[str, ...]] = ("winner_bits", "action_bits", "state_bits", "top_share")
    before: ClassVar[dict[str, Any]] = {"decision.readout": "argmax"}

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> RWTASystem:
        from rwta_sim.agents.rwta.system import RWTASystem

        return RWTASystem(self, spaces, record, trains)

    def build_sampled(self, spaces: Spaces, sampling: Sampling, trains: bool = False) -> RWTASystem:
        from rwta_sim.agents.rwta.system import RWTASystem

        return RWTASystem(self, spaces, trains=trains, sampling=sampling)

    @property
    def logged(self) -> tuple[str, ...]:
        return ("entropy", "rate_hz", *(["reaction_ms"] if self.races else []), "learning_rate")

    def dials(self) -> tuple[Dial, ...]:
        return (*super().dials(), *(network_dials(self.network) if self.dynamics == "spiking" else ()))

    @property
    def races(self) -> bool:
        """Whether spikes end its decisions."""
        return self.decision.race is not None and self.dynamics == "spiking"

    @property
    def libraries(self) -> tuple[str, ...]:
        return self.critic.libraries

    def check_libraries(self) -> None:
        self.critic.check_libraries()

    def resolved(self) -> Self:
        """The same with the engine by its name, not "auto"."""
        return self.model_copy(update={"engine": self.engine.resolved()})

    def with_dynamics(self, dynamics: str | None) -> Self:
        if dynamics not in (None, "spiking", "rate"):
            raise ConfigError(f"dynamics = {dynamics!r}: expected 'spiking' or 'rate'")
        return self if dynamics is None else self.model_copy(update={"dynamics": dynamics})

    @property
    def dynamics_name(self) -> str:
        return self.dynamics

    @property
    def compiles(self) -> bool:
        return self.dynamics == "spiking"

    @property
    def n_hidden(self) -> int:
        return self.network.n_hidden

    def check_batches(self, asked: str) -> None:
        self.learning.modulation.check_side_by_side(asked)
        self.check_batch(asked, self.learning.batch)

    def check_side_by_side(self, asked: str) -> None:
        super().check_side_by_side(asked)
        if self.dynamics == "spiking":
            self.engine.check_threads(asked, ", or dynamics = 'rate'")

    def event_credit(self) -> EventCredit | None:
        """What a network without a time step has to keep for the learning rule; raises as `RuleSettings.on_events`."""
        decision = self.decision
        credit = self.learning.rule.on_events(self.network, decision.decoder, decision.clear == "episode")
        if credit is None or decision.race is None:
            return credit
        return replace(credit, causal_hidden=False, causal_action=False)  # every spike before it ends it, or does not

    @model_validator(mode="after")
    def _events_fit(self) -> RWTAExperiment:
        if self.engine.name != "events" or self.dynamics == "rate":
            return self
        check_events(self.network)
        spikes = self.network.spikes_per_step * self.decision.steps
        if spikes > _MOST_EVENTS:
            raise ValueError(
                f"engine.name = 'events' draws all events of a decision beforehand, here {spikes:.3g} of each circuit, "
                f"and allows {_MOST_EVENTS:,}: lower network.rho_hat or decision.steps"
            )
        if self.learning.apply == "synapses":
            raise ValueError(
                "learning.apply = 'synapses' is Brian2 equations, and engine.name = 'events' has none: leave it out, "
                "or set engine.name = 'compiled'"
            )
        self.event_credit()
        return self

    @model_validator(mode="after")
    def _race_fits(self) -> RWTAExperiment:
        if self.decision.race is None:
            return self
        learning, rule = self.learning, self.learning.rule
        clocked = self.engine.name != "events"
        for found, why in (
            (self.dynamics == "rate", "needs spikes: set dynamics = 'spiking'"),
            (learning.modulation.replays, "does not go with learning.modulation.kind = 'ppo', which replays q"),
            (learning.apply == "synapses", "needs learning.apply = 'factors': synapses settle at a known time"),
            (self.critic.reads_rates, "does not go with critic.kind = 'rates', which counts in decisions alike"),
            (
                rule.needs_history and clocked,
                f"with learning.rule.kind = {rule.kind!r}, which sums over a decision, needs engine.name = 'events'",
            ),
            (
                getattr(rule, "window", None) is not None or getattr(rule, "tau_e", None) is not None,
                "does not go with learning.rule.window and tau_e, which count from an end that is known",
            ),
        ):
            if found:
                raise ValueError(f"decision.race = {self.decision.race} {why}")
        return self

    @model_validator(mode="after")
    def _go_signal_fits(self) -> RWTAExperiment:
        if not self.decision.go_signal:
            return self
        rule = self.learning.rule
        for found, why in (
            (self.dynamics == "rate", "needs spikes: set dynamics = 'spiking'"),
            (self.engine.name == "events", "is given in a time step: set engine.name = 'compiled'"),
            (
                self.network.firing == "one_hot",
                "has nothing to wait for where a circuit fires in every step: set network.firing = 'poisson'",
            ),
            (self.network.refractory is not None, "needs neurons that may fire: leave network.refractory out"),
            (
                rule.needs_history or self.learning.apply == "synapses",
                f"needs a rule that reads the end of a decision, and learning.rule.kind = {rule.kind!r} with "
                f"learning.apply = {self.learning.apply!r} sums over its steps: take 'feedback' or 'last_step'",
            ),
        ):
            if found:
                raise ValueError(f"decision.go_signal {why}")
        return self

    @model_validator(mode="after")
    def _details_fit(self) -> RWTAExperiment:
        network, decision = self.network, self.decision
        if network.published_code and self.learning.rule.follows_weights:
            raise ValueError(
                "learning.rule.kind = 'feedback' needs the drive that the weights say: leave network.published_code out"
            )
        if (unconfined := self.encoder.unconfined) and self.dynamics == "spiking" and network.inputs == "spikes":
            raise ValueError(
                f"{unconfined} makes drives below 0 and above 1, which are no probabilities: set "
                "network.inputs = 'current', or leave it out"
            )
        if unconfined and self.dynamics == "rate" and self.mean_field.effective().noise:
            raise ValueError(
                f"{unconfined} makes drives below 0 and above 1, which mean_field.noise would clip: leave one out"
            )
        if network.refractory is not None and decision.decoder == "most_spikes":
            raise ValueError(
                "network.refractory needs decision.decoder = 'last_spike': the firing probabilities that the "
                "learning rule reads are those of a spike, not of a majority"
            )
        if network.warm_up is not None:
            self._warm_up_fits(network.warm_up)
        if decision.clear == "decision" and (longest := max(network.delay_steps)) > 0:
            if longest >= decision.steps - 1:
                delay = format_quantity(max(network.delays) * second)
                raise ValueError(
                    f"network.delay = {delay}: no spike arrives within a decision "
                    f"({decision.steps} steps of {format_quantity(network.dt)}), which starts from cleared traces: "
                    "shorten it, raise decision.steps, or set decision.clear = 'episode'"
                )
        return self

    def _warm_up_fits(self, time: Quantity) -> None:
        decision, rule = self.decision.steps * self.network.dt, self.learning.rule
        if float(time) > float(decision - 0.5 * self.network.dt):
            raise ValueError(
                f"network.warm_up = {format_quantity(time)} leaves nothing of a decision ({self.decision.steps} steps "
                f"of {format_quantity(self.network.dt)}): shorten it, or raise decision.steps"
            )
        if rule.dynamics == "spiking":
            raise ValueError(
                f"network.warm_up: learning.rule.kind = {rule.kind!r} would credit weights with spikes in which they "
                "have no part: set dynamics = 'rate' and learning.rule.kind = 'mean_field', or leave it out"
            )

    @model_validator(mode="after")
    def _kernel_fits(self) -> RWTAExperiment:
        length, decision = self.network.kernel.length, self.decision.steps * self.network.dt
        if self.decision.clear == "decision" and float(length) > float(decision) * (1 + 1e-9):
            raise ValueError(
                f"the kernel ({format_quantity(length)}) is longer than a decision "
                f"({self.decision.steps} steps of {format_quantity(self.network.dt)}), which starts from cleared "
                "traces: shorten the kernel, raise decision.steps, or set decision.clear = 'episode'"
            )
        return self

    @model_validator(mode="after")
    def _dynamics_fit(self) -> RWTAExperiment:
        rule, learning = self.learning.rule, self.learning
        if self.dynamics == "rate":
            if rule.dynamics != "rate":
                raise ValueError(
                    f"learning.rule.kind = {rule.kind!r} learns from spikes, and dynamics = 'rate' has none: set "
                    "learning.rule.kind = 'mean_field', or dynamics = 'spiking'"
                )
            rule.check_published_code(learning.published_code)
            return self
        for asked, found in (
            ("learning.rule.kind = 'mean_field'", rule.dynamics == "rate"),
            ("learning.published_code", learning.published_code),
        ):
            if found:
                raise ValueError(f"{asked} needs the mean field: set dynamics = 'rate', or leave it out")
        if learning.modulation.replays:
            self._check_replay()
        return self

    def _check_replay(self) -> None:
        """Raise ValueError unless probabilities of spikes played can be told from their traces and the weights."""
        why = "learning.modulation.kind = 'ppo' replays spikes"
        if not self.learning.rule.replayable:
            raise ValueError(
                f"{why}, for which learning.rule.kind has to be 'feedback', got {self.learning.rule.kind!r}"
            )
        if self.decision.decoder != "last_spike":
            raise ValueError(f"{why}, and a majority of spikes has another probability: set decision.decoder")
        for name in ("noise", "refractory"):
            if getattr(self.network, name):
                raise ValueError(f"{why}, whose probabilities network.{name} makes others: leave it out")

    @model_validator(mode="after")
    def _critic_fits(self) -> RWTAExperiment:
        critic = self.critic
        self.learning.modulation.check_critic(critic)
        if critic.reads_rates:
            self._rates_can_be_read()
        return self

    def _rates_can_be_read(self) -> None:
        rule = self.learning.rule
        if self.network.n_hidden == 0:
            raise ValueError(
                "critic.kind = 'rates' reads hidden circuits, and this network has none: set network.hidden_circuits"
            )
        if rule.needs_history:
            raise ValueError(
                f"critic.kind = 'rates' reads the spikes that learning.rule.kind = {rule.kind!r} credits, and would "
                "bias it: take 'last_step' or 'feedback', which credit last spikes, or another critic"
            )
        if self.dynamics == "spiking" and self.decision.steps == 1:
            raise ValueError("critic.kind = 'rates' leaves each circuit's last spike out: raise decision.steps above 1")

    @model_validator(mode="after")
    def _synapses_can_learn(self) -> RWTAExperiment:
        self.learning.plasticity(self.network)
        return self
