"""`LearningSpec`: how a network learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rwta_sim.circuit.names import check_names
from rwta_sim.circuit.plasticity import PlasticSynapse
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning.modulation import Control, ModulationSpec, TDError
from rwta_sim.learning.optimisers import OptimiserSpec, RMSNormalised
from rwta_sim.learning.rules import LastStep, RuleSpec
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

__all__ = ["LearningSpec"]


class LearningSpec(Settings):
    """How the network learns."""

    rule: RuleSpec = Field(LastStep(), description="learning rule")
    apply: Literal["factors", "synapses"] = Field(
        "factors",
        description="how the rule is applied: factors of each decision, which is fast; or Brian2 equations of synapses "
        "that keep eligibilities, to see and to change: the same numbers",
    )
    equations: PlasticSynapse = PlasticSynapse()
    modulation: ModulationSpec = Field(TDError(), description="third factor")
    optimiser: OptimiserSpec = Field(RMSNormalised(), description="how gradients become steps")
    rate: PositiveFloat = Field(1e-3, description="learning rate at the start")
    final_rate: Fraction = Field(0.1, description="learning rate at the end, as a fraction; linear in between")
    batch: PositiveInt = Field(1, description="episodes per update, if the modulation is not td_error")
    entropy: Annotated[float, Field(ge=0)] = Field(0.02, description="weight of the policy entropy at the start")
    final_entropy: Fraction = Field(1.0, description="weight of the entropy at the end, as a fraction")
    biases: Literal["all", "hidden"] = Field(
        "all",
        description="whose biases learn; hidden: not those of action neurons, which then choose by what reaches them "
        "alone",
    )
    control: Control = Field(
        "none", description="none: learn; off: do not; shuffled: modulation given to the wrong decisions"
    )

    published_code: bool = Field(
        False,
        description="with two slips of SVPG's published code: modulation times 1 - pi(action), biases changed with v, "
        "not v - q; needs dynamics = 'rate'",
    )

    @model_validator(mode="after")
    def _batches(self) -> LearningSpec:
        if self.batch > 1 and self.modulation.online:
            raise ValueError(
                f"batch = {self.batch} needs modulation.kind = 'episode_advantage' or 'ppo': the TD error teaches at "
                "once"
            )
        return self

    @model_validator(mode="after")
    def _equations_run(self) -> LearningSpec:
        changed = self.equations.model_dump(exclude_none=True)
        if changed and self.apply != "synapses":
            raise ValueError(
                f"learning.equations.{min(changed)} is given, but runs only with learning.apply = 'synapses'"
            )
        return self

    def plasticity(self, network: NetworkSpec) -> PlasticSynapse | None:
        """The equations of the synapses, or None where the rule is applied by factors.

        Raises
        ------
        ValueError
            If synapses cannot have this rule, or the changed equations lack what they need or name what is not there.
        """
        if self.apply == "factors":
            return None
        equations = self.rule.equations(network)
        if network.inputs == "current":
            raise ValueError(
                "learning.apply = 'synapses' needs synapses from the inputs, and network.inputs = 'current' has none: "
                "set learning.apply = 'factors', or network.inputs = 'spikes'"
            )
        if network.delay is not None or network.tau_spread > 0:
            raise ValueError(
                "learning.apply = 'synapses' knows nothing of network.delay and network.tau_spread: leave them out, "
                "or set learning.apply = 'factors'"
            )
        changed = equations.changed(self.equations)
        if self.equations != PlasticSynapse():
            check_names(changed, network)
        return changed
