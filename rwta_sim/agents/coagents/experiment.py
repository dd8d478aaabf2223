"""Settings of networks whose neurons are agents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from brian2 import ms
from pydantic import Field, model_validator

from rwta_sim.agents.clocked import ClockedExperiment
from rwta_sim.agents.coagents.slips import Slip
from rwta_sim.learning.critics import CriticSpec, Fourier
from rwta_sim.learning.modulation import Control
from rwta_sim.loop.encoders import EncoderSpec, Scaled
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Rate, Settings, Time

if TYPE_CHECKING:
    from rwta_sim.agents.coagents.system import CoagentSystem

__all__ = ["CoagentExperiment", "CoagentLearningSpec", "CoagentNetworkSpec"]


class CoagentNetworkSpec(Settings):
    """Actors that vote. Each has a module per action: hidden neurons of its own, and one output neuron.

    In a step a neuron fires (y = 1) with probability ``1/(1 + exp(-2z/temperature))``, or stays silent (y = -1).
    """

    actors: PositiveInt = Field(
        10,
        le=10_000,
        description="networks that vote; votes can tie whether they are even or odd, as an actor may vote for several "
        "actions or for none",
    )
    hidden: PositiveInt = Field(200, le=1_000_000, description="hidden neurons of a module")
    temperature: PositiveFloat = Field(1.0, description="of the firing probability; 1 is the published one")
    weight_sd: Annotated[float, Field(ge=0)] = Field(
        1.0, description="standard deviation of the first weights and biases of hidden neurons; of outputs they are 0"
    )
    ties: Literal["chance", "first"] = Field(
        "chance", description="of actions with the same number of votes: one by chance, or the first"
    )
    greedy_votes: PositiveInt = Field(
        1, le=10_000, description="network steps whose votes a greedy decision adds up; while learning it is one"
    )
    acting_rate: Rate | None = Field(
        None,
        description="each neuron acts at times of a Poisson process of this rate, and holds what it did (its spikes go "
        "on) until it acts again; it starts an episode silent. Default: every neuron acts in every step",
    )
    recurrent: Literal["none", "module", "actor"] = Field(
        "none", description="whose hidden neurons a hidden neuron hears, as they were in the step before this decision"
    )
    dt: Time = Field(10 * ms, description="a network step, of which a decision while learning takes one")

    @property
    def acting_chance(self) -> float:
        """Of a neuron in a step: that its Poisson process has an event in it."""
        return 1.0 if self.acting_rate is None else 1.0 - math.exp(-float(self.acting_rate * self.dt))

    def heard(self, n_actions: int) -> int:
        """How many hidden neurons one hears, itself among them."""
        return {"none": 0, "module": self.hidden, "actor": self.hidden * n_actions}[self.recurrent]


class CoagentLearningSpec(Settings):
    """The local score, times what is broadcast: ``dw = rate * credit * modulation * d ln P(y|z)/dw``."""

    credit: Literal["agreement", "broadcast"] = Field(
        "agreement",
        description="agreement: 1 for modules that fired for the action taken, or kept silent for another, else -1 "
        "(published); broadcast: 1 for all, which follows the policy gradient",
    )
    rate: PositiveFloat = Field(1e-3, description="learning rate of output neurons at the start")
    hidden_share: Annotated[float, Field(ge=0)] = Field(
        1.0, description="learning rate of hidden neurons, as a multiple of that of outputs; 1 is the published one"
    )
    final_rate: Fraction = Field(0.1, description="learning rates at the end, as a fraction; linear in between")
    lam: Fraction = Field(
        0.0, description="lambda of the eligibility traces of weights, which decay by gamma lambda; published: 0"
    )
    epsilon: Fraction = Field(0.1, description="chance of an action drawn from all alike, at the start")
    final_epsilon: Fraction = Field(1.0, description="that at the end, as a fraction; linear in between")
    published_code: tuple[Slip, ...] = Field(
        (),
        description="slips of the paper's public scripts to bring back, see docs/coagents.md; default: none. cartpole: "
        "goal_value, taken; gridworld: goal_value, outcome; mountaincar, with credit = 'broadcast': goal_value, "
        "spike_score, one_sided, shifted_votes",
    )

    @model_validator(mode="after")
    def _slips_fit(self) -> CoagentLearningSpec:
        of_credit = {"taken", "outcome"} & set(self.published_code)
        if of_credit and self.credit != "agreement":
            raise ValueError(
                f"published_code = {min(of_credit)!r} changes credit = 'agreement', and credit = {self.credit!r}: "
                "leave one out"
            )
        of_no_traces = {"spike_score", "one_sided"} & set(self.published_code)
        if of_no_traces and self.lam:
            raise ValueError(
                f"published_code = {min(of_no_traces)!r} is of a rule without traces, and lam = {self.lam:g}: set "
                "lam = 0"
            )
        return self


class CoagentExperiment(ClockedExperiment):
    """Coagents of Aenugu (2020, arXiv 2005.05941) as a Brian2 network, with a critic that broadcasts its TD error."""

    encoder: EncoderSpec = Scaled(complementary=False)
    network: CoagentNetworkSpec = CoagentNetworkSpec()
    learning: CoagentLearningSpec = CoagentLearningSpec()
    critic: CriticSpec = Fourier(order=3, gamma=0.99, lam=0.5, rate=1e-3)
    control: Control = Field("none", description="none: learn; off: modulation stays 0; shuffled: that of others")

    logs: ClassVar[tuple[str, ...]] = ("agreement", "rate_hz", "learning_rate", "epsilon")
    draws: ClassVar[tuple[str, ...]] = ("raster", "rates", "tuning")

    @model_validator(mode="after")
    def _tells_at_once(self) -> CoagentExperiment:
        if not self.critic.online:
            raise ValueError(
                f"critic.kind = {self.critic.kind!r} tells TD errors at the end of an episode, and coagents learn from "
                "them at every decision: take 'constant', 'linear', 'tabular' or 'fourier'"
            )
        return self

    def may_have_hidden(self, count: int) -> bool:
        # How many actions there are, and so modules, the environment says.
        return count > 0 and count % (self.network.actors * self.network.hidden) == 0

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> CoagentSystem:
        from rwta_sim.agents.coagents.system import CoagentSystem

        return CoagentSystem(self, spaces, record)
