"""Learning rules, one per file: each turns what happened in a decision into pre- and postsynaptic factors."""

from typing import Annotated

from pydantic import Field

from rwta_sim.learning.rules.base import HistoryRule, Rule
from rwta_sim.learning.rules.last_step import LastStep
from rwta_sim.learning.rules.mean_field import MeanFieldRule
from rwta_sim.learning.rules.r_max import RMax
from rwta_sim.learning.rules.r_stdp import RSTDP
from rwta_sim.learning.rules.score_function import ScoreFunction
from rwta_sim.learning.rules.trace_stdp import TraceSTDP

__all__ = [
    "RSTDP",
    "HistoryRule",
    "LastStep",
    "MeanFieldRule",
    "RMax",
    "Rule",
    "RuleSpec",
    "ScoreFunction",
    "TraceSTDP",
]

RuleSpec = Annotated[LastStep | TraceSTDP | ScoreFunction | RSTDP | RMax | MeanFieldRule, Field(discriminator="kind")]
