"""The gradient of the policy through the mean field, for the network without spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.replay import Replay
from rwta_sim.learning.rules.base import RuleSettings
from rwta_sim.settings import PositiveInt

__all__ = ["MeanFieldReplay", "MeanFieldRule"]


class MeanFieldRule(RuleSettings):
    """d ln pi(action) through the last `depth` mean-field steps; only for ``dynamics = "rate"``.

    ``dw_jk ~ A pre_j lambda_k``, with lambda the sum of the adjoints of the steps (`MeanField.adjoint`). Depth 1 is the
    last-step approximation of SVPG, ``lambda = v - q`` (Yang et al. 2022, arXiv 2210.13225). There v of hidden neurons
    is a sample from q, independent of the action, which gives their incoming weights noise and no direction;
    ``hidden = "expected"`` leaves that noise out (its mean is 0). From depth 2 on hidden neurons get what they did to
    the action, and a large depth is the exact gradient.

    The published code hands the entropy H of the policy to every synapse within the one number of a decision: of
    ``dH = sum_a (dH/d ln pi_a) d ln pi_a`` with ``dH/d ln pi_a = -pi_a (ln pi_a + H)`` (pi normalised) only the part of
    the action that was taken (``entropy = "taken"``). Its mean over actions weighs each part by its probability once
    more: near a uniform policy of n actions that is 1/n of the gradient, so that a weight of 5 acts as one of 1.
    """

    kind: Literal["mean_field"] = "mean_field"
    dynamics: ClassVar[Literal["spiking", "rate"]] = "rate"
    depth: PositiveInt = Field(1, le=100_000, description="mean-field steps the gradient goes back; 1: last step only")
    hidden: Literal["expected", "sampled"] = Field(
        "expected", description="v of hidden neurons at depth 1: expected: q, no change; sampled: as published"
    )

    entropy: Literal["gradient", "taken"] = Field(
        "gradient",
        description="what is ascended of the policy entropy: gradient: all of it; taken: as published, the part of the "
        "action that was taken, as one number for every synapse",
    )

    @model_validator(mode="after")
    def _sampled_is_last_step(self) -> MeanFieldRule:
        if self.hidden == "sampled" and self.depth > 1:
            raise ValueError(f"hidden = 'sampled' belongs to the last-step rule, depth = 1, got depth = {self.depth}")
        return self

    def check_published_code(self, published_code: bool) -> None:
        if published_code and self.depth > 1:
            raise ValueError(
                f"learning.published_code goes with the published learning.rule.depth = 1, got {self.depth}"
            )

    def replay(self, weights: Weights, field: MeanField | None = None, published_code: bool = False) -> Replay:
        if field is None:
            raise ValueError("learning.rule.kind = 'mean_field' cannot learn with dynamics = 'spiking'")
        return MeanFieldReplay(self, weights, field, published_code)


class MeanFieldReplay(Replay):
    """A `MeanFieldRule` at work: the mean field is inferred anew for the decisions that are learned from.

    With ``mean_field.noise`` the q inferred anew is not quite the q that the actions were drawn from.

    Parameters
    ----------
    rule : MeanFieldRule
    weights : Weights
        What learns.
    field : MeanField
    published_code : bool
        Make the two slips of the published code: the modulation carries an extra factor 1 - pi(action), and biases
        change with v in place of v - q. With depth 1 only.
    """

    def __init__(self, rule: MeanFieldRule, weights: Weights, field: MeanField, published_code: bool = False) -> None:
        rule.check_published_code(published_code)
        self.examples = {"drive": np.zeros(field.wiring.n_inputs, np.float32)}
        self._rule = rule
        self._field = field
        self._weights = weights
        self._published_code = published_code

    def remember(self, decision: Decision) -> dict[str, np.ndarray]:
        return {"drive": np.asarray(decision.drive, self._field.dtype)}

    def infer(self, seen: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        return self._field.infer(seen["drive"], self._weights.weights, self._weights.b, rng).q

    def ascent(
        self,
        seen: Mapping[str, np.ndarray],
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        """As `Replay.ascent`; `rng` draws the hidden neurons of ``hidden = "sampled"``."""
        where = self._field.wiring.action
        v = self._field.sample(q, rng) if self._rule.hidden == "sampled" else q.copy()
        v[:, where] = 0.0
        v[np.arange(len(q)), where.start + np.asarray(action)] = 1.0
        return self._factors(seen["drive"], q, v, modulation, entropy)

    def _factors(
        self, drive: np.ndarray, q: np.ndarray, v: np.ndarray, modulation: np.ndarray, entropy: float
    ) -> Factors:
        where, bias = self._field.wiring.action, None
        if self._published_code:
            modulation = modulation * (1.0 - (v[:, where] * q[:, where]).sum(axis=1))
        if entropy and self._rule.entropy == "taken":
            modulation = modulation + entropy * self._field.entropy_of_taken(q, v)
        gate = modulation.astype(q.dtype)[:, None]
        post = gate * (v - q)
        if self._published_code:
            bias = gate * v
        if entropy and self._rule.entropy == "gradient":
            score = q.dtype.type(entropy) * self._field.entropy_score(q)
            post += score
            bias = None if bias is None else bias + score
        return Factors(drive, q, self._field.adjoint(q, post, self._weights.weights, self._rule.depth), bias)
