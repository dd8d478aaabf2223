"""The gradient of the policy through the mean field, for the network without spikes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import Rule, RuleSettings
from rwta_sim.meanfield import MeanField
from rwta_sim.settings import PositiveInt
from rwta_sim.wiring import Weights

__all__ = ["MeanFieldGradient", "MeanFieldRule"]


class MeanFieldRule(RuleSettings):
    """d ln pi(action) through the last `depth` mean-field steps; only for ``dynamics = "rate"``.

    ``dw_jk ~ A pre_j lambda_k``, with lambda the sum of the adjoints of the steps (`MeanField.adjoint`). Depth 1 is the
    last-step approximation of SVPG, ``lambda = v - q`` (Yang et al. 2022, arXiv 2210.13225). There v of hidden neurons
    is a sample from q, independent of the action, which gives their incoming weights noise and no direction;
    ``hidden = "expected"`` leaves that noise out (its mean is 0). From depth 2 on hidden neurons get what they did to
    the action, and a large depth is the exact gradient.
    """

    kind: Literal["mean_field"] = "mean_field"
    depth: PositiveInt = Field(1, le=100_000, description="mean-field steps the gradient goes back; 1: last step only")
    hidden: Literal["expected", "sampled"] = Field(
        "expected", description="v of hidden neurons at depth 1: expected: q, no change; sampled: as published"
    )

    @model_validator(mode="after")
    def _sampled_is_last_step(self) -> MeanFieldRule:
        if self.hidden == "sampled" and self.depth > 1:
            raise ValueError(f"hidden = 'sampled' belongs to the last-step rule, depth = 1, got depth = {self.depth}")
        return self


class MeanFieldGradient(Rule):
    """A `MeanFieldRule` at work.

    Parameters
    ----------
    spec : MeanFieldRule
    field : MeanField
    weights : Weights
        Whose present values are used.
    published_code : bool
        Make the two slips of the published code: the modulation carries an extra factor 1 - pi(action), and biases
        change with v in place of v - q. With depth 1 only.
    """

    def __init__(self, spec: MeanFieldRule, field: MeanField, weights: Weights, published_code: bool = False) -> None:
        if published_code and spec.depth > 1:
            raise ValueError(f"learning.published_code goes with learning.rule.depth = 1, got {spec.depth}")
        self._spec = spec
        self._field = field
        self._weights = weights
        self._published_code = published_code

    def factors(self, decision: Decision) -> Factors:
        """Factors of one decision, with its own v."""
        drive, q, v = (np.asarray(x, self._field.dtype)[None] for x in (decision.drive, decision.q, decision.v))
        return self._factors(drive, q, v, np.ones(1), 0.0)

    def ascent(
        self,
        drive: np.ndarray,
        q: np.ndarray,
        actions: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        """Factors of the gradient of ``sum_n modulation_n ln pi(action_n) + entropy H_n``.

        Parameters
        ----------
        drive, q : ndarray, shapes (n, n_inputs), (n, n_neurons)
        actions : ndarray of int, shape (n,)
        modulation : ndarray, shape (n,)
        entropy : float
            Weight of the policy entropies H_n, whose gradient is exact too.
        rng : numpy.random.Generator
            Draws the hidden neurons of ``hidden = "sampled"``.
        """
        where = self._field.wiring.action
        v = self._field.sample(q, rng) if self._spec.hidden == "sampled" else q.copy()
        v[:, where] = 0.0
        v[np.arange(len(q)), where.start + np.asarray(actions)] = 1.0
        return self._factors(drive, q, v, modulation, entropy)

    def _factors(
        self, drive: np.ndarray, q: np.ndarray, v: np.ndarray, modulation: np.ndarray, entropy: float
    ) -> Factors:
        where, bias = self._field.wiring.action, None
        if self._published_code:
            modulation = modulation * (1.0 - (v[:, where] * q[:, where]).sum(axis=1))
        gate = modulation.astype(q.dtype)[:, None]
        post = gate * (v - q)
        if self._published_code:
            bias = gate * v
        if entropy:
            score = q.dtype.type(entropy) * self._field.entropy_score(q)
            post += score
            bias = None if bias is None else bias + score
        return Factors(drive, q, self._field.adjoint(q, post, self._weights.weights, self._spec.depth), bias)
