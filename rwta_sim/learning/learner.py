"""`Learner`: an update of the weights from top to bottom.

    decision ──► rule ──► factors (or the synapses' eligibilities) ─┐
    reward ────► credit (critic, modulation, control) ──────────────┴──► updater (gradient, optimiser) ──► weights

Credit that comes at the end of an episode waits in the learner, and the gradients of a batch of episodes in a `Batch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.batch import Batch
from rwta_sim.learning.critics.base import Critic, advantages
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.learner_base import LearnerBase
from rwta_sim.learning.one_call import OneCall, one_call
from rwta_sim.learning.rules import Rule
from rwta_sim.learning.spec import LearningSpec
from rwta_sim.learning.synaptic import synaptic_eligibility

__all__ = ["Learner"]


class Learner(LearnerBase):
    """Learns from each decision once.

    The modulation of a decision is ``A + entropy*(-ln pi(action) - H)``: the second term is the score-function
    estimate of the gradient of the policy entropy H in the weights of the action circuit, so that it too reaches every
    synapse as one number. Given the spikes before the action its mean is zero, so it gives hidden neurons of the rules
    that read histories no direction (those of `Feedback` hear of it through the action circuit).

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        One that tells TD errors at once, if the modulation is the TD error.
    weights : Weights
        What learns.
    rule : Rule
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, rule: Rule) -> None:
        super().__init__(spec, critic, weights)
        self.rule = rule
        rule.attach(weights)
        self._weights, self._network = weights, weights.network
        self._from_eligibilities = spec.apply == "synapses" or weights.keeps_eligibilities
        #: Decisions that wait for their advantage: factors, and the entropy's part of the modulation.
        self._waiting: list[tuple[Factors | Eligibilities, float]] = []
        self._batch = None if spec.batch == 1 else Batch(weights.network, self.updater.gradient)
        #: What earlier decisions left to the TD error.
        lasting = rule.carry > 0 and self.credit.online
        self._lasting = [np.zeros_like(w) for w in self.updater.gradient.parameters] if lasting else []

    @cached_property
    def _at_once(self) -> OneCall | None:
        """What learns from decisions that compiled code has read out, where that is all there is to it; made when first
        needed: it may have to be compiled."""
        return one_call(self._weights, self.credit, self.rule, self.updater, self._from_eligibilities)

    @property
    def learns_at_once(self) -> bool:
        """Whether one call of compiled code is all that it takes to learn from a decision."""
        return self._at_once is not None

    def begin_episode(self, features: np.ndarray) -> None:
        self._waiting.clear()
        for e in self._lasting:
            e.fill(0.0)
        self.credit.begin_episode(features)

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        credit, at_once = self.credit, self._at_once
        if not credit.learns:
            return False
        if at_once is not None:
            told = at_once.learn(decision, reward, features, terminated, self.rate, self.entropy)
            if told is not None:
                credit.note(*told)
                return True
        td_error = credit.td_error(decision.rates, reward, features, terminated)
        bonus = self.entropy * (decision.surprise - decision.policy_entropy) if self.entropy else 0.0
        factors = self.factors(decision)
        if td_error is None:
            self._waiting.append((factors, bonus))
            return False
        modulation = credit.given(td_error + bonus, rng)
        if credit.shuffled:
            td_error, bonus = modulation, 0.0
        if self._lasting:
            self._follow_lasting(factors, td_error, bonus)
        else:
            self.updater.follow(factors, self.rate, modulation)
        return True

    def end_episode(self, rng: np.random.Generator) -> bool:
        if not self._waiting:
            return False
        factors, bonuses = zip(*self._waiting, strict=True)
        self._waiting.clear()
        # What an eligibility leaves to later decisions is what their modulation gives to earlier ones.
        modulation = advantages(self.credit.advantages(rng), self.rule.carry) + np.array(bonuses)
        modulation = np.array([self.credit.given(m, rng) for m in modulation])
        together = joined([f.times(m) for f, m in zip(factors, modulation, strict=True)])
        if self._batch is None:
            self.updater.follow(together, self.rate)
            return True
        return self._follow_batch(self._batch, together)

    def factors(self, decision: Decision) -> Factors | Eligibilities:
        """What the modulation of `decision` multiplies: factors, or the eligibilities of the synapses."""
        if self._from_eligibilities:
            return synaptic_eligibility(self.rule, self._network, decision)
        return self.rule.factors(decision) if decision.factors is None else decision.factors

    def gradient(self, factors: Factors | Eligibilities) -> list[np.ndarray]:
        """See `Gradient`."""
        return self.updater.gradient(factors)

    def eligibility(self, decision: Decision) -> list[np.ndarray]:
        """What the modulation of `decision` multiplies in the gradient: arrays as `Gradient` gives them."""
        kept = decision.eligibility
        if kept is not None:  # a copy, to which `factors` adds the choice of the action
            kept = kept.times(1.0)
        return self.gradient(self.factors(decision._replace(eligibility=kept)))

    def _follow_batch(self, batch: Batch, factors: Factors | Eligibilities) -> bool:
        """Wait until the batch is complete, and step with its mean gradient."""
        batch.add(factors)
        if batch.episodes[0] < self.spec.batch:
            return False
        gradients = batch.total()
        for g in gradients:
            g *= 1.0 / self.spec.batch
        self.updater.step(gradients, self.rate)
        return True

    def _follow_lasting(self, factors: Factors | Eligibilities, td_error: float, bonus: float) -> None:
        """Apply a TD error to the eligibility of this and earlier decisions, and the entropy bonus to this one's."""
        gradients = self.gradient(factors)
        for g, e in zip(gradients, self._lasting, strict=True):
            e *= self.rule.carry
            e += g
            g *= bonus
            g += td_error * e
        self.updater.step(gradients, self.rate)

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        prefix = "batch."
        if self._batch is not None and f"{prefix}post" in saved:
            self._batch.make_room({n[len(prefix) :]: a for n, a in saved.items() if n.startswith(prefix)})

    def state(self) -> dict[str, np.ndarray]:
        batch = {} if self._batch is None else {f"batch.{name}": a for name, a in self._batch.state().items()}
        return {**super().state(), **batch}


def joined(factors: Sequence[Factors | Eligibilities]) -> Factors | Eligibilities:
    """The rows of several decisions in one; or the sum of their eligibilities."""
    if len(factors) == 1:
        return factors[0]
    eligibilities = [e for e in factors if not isinstance(e, Factors)]
    if eligibilities:
        return eligibilities[0].joined(eligibilities[1:])
    rows = [f for f in factors if isinstance(f, Factors)]
    return _joined_rows(rows)


def _joined_rows(factors: Sequence[Factors]) -> Factors:
    bias = post_inputs = None
    if any(f.bias is not None for f in factors):
        bias = np.concatenate([f.of_biases for f in factors])
    if any(f.post_inputs is not None for f in factors):
        post_inputs = np.concatenate([f.of_inputs for f in factors])
    pre_inputs, pre_neurons = _together([f.pre_inputs for f in factors]), _together([f.pre_neurons for f in factors])
    return Factors(pre_inputs, pre_neurons, np.concatenate([f.post for f in factors]), bias, post_inputs)


def _together(parts: Sequence[np.ndarray | SpikeRows]) -> np.ndarray | SpikeRows:
    sparse = [part for part in parts if isinstance(part, SpikeRows)]
    return SpikeRows.concatenated(sparse) if sparse else np.concatenate([np.asarray(part) for part in parts])
