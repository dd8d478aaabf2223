"""The learner: rule, critic, modulation and optimiser at work on one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from rwta_sim.critics.base import Critic, Transitions, advantages
from rwta_sim.critics.linear import LinearTD
from rwta_sim.learning.ascent import Ascent
from rwta_sim.learning.batch import Batch
from rwta_sim.learning.decision import Decision, Eligibility, Factors
from rwta_sim.learning.equations import PlasticSynapse
from rwta_sim.learning.fused import FusedUpdate, Outer, available
from rwta_sim.learning.modulation import Control, EpisodeAdvantage, ModulationSpec, Scale, Shuffle, TDError
from rwta_sim.learning.names import check_names
from rwta_sim.learning.optimisers import RMS, SGD, OptimiserSpec, RMSNormalised
from rwta_sim.learning.outer import outer
from rwta_sim.learning.rules import Feedback, LastStep, MeanFieldRule, Rule, RuleSpec
from rwta_sim.learning.spikes import SpikeRows
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings
from rwta_sim.spec import NetworkSpec
from rwta_sim.wiring import Weights

__all__ = ["Learner", "LearningSpec"]


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
        if self.batch > 1 and isinstance(self.modulation, TDError):
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
        if isinstance(self.rule, Feedback | MeanFieldRule):
            raise ValueError(
                f"learning.apply = 'synapses' cannot do learning.rule.kind = {self.rule.kind!r}, which reads other "
                "synapses' weights: set learning.apply = 'factors'"
            )
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
        equations = self.rule.equations(network).changed(self.equations)
        if self.equations != PlasticSynapse():
            check_names(equations, network)
        return equations


class Learner:
    """Changes the weights of a network in place.

    The modulation of a decision is ``A + entropy*(-ln pi(action) - H)``: the second term is the score-function
    estimate of the gradient of the policy entropy H in the weights of the action circuit, so that it too reaches every
    synapse as one number. Given the spikes before the action its mean is zero, so it gives hidden neurons of the rules
    that read histories no direction (those of `Feedback` hear of it through the action circuit).

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        A `LinearTD`, which tells TD errors at once, if the modulation is the TD error.
    weights : Weights
        What learns.
    rule : Rule
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, rule: Rule) -> None:
        self.spec = spec
        self.critic = critic
        self.rule = rule
        self.rate, self.entropy = spec.rate, spec.entropy
        self._weights = weights
        self._projections = weights.network.projections
        self._gains = [weights.gain(p) for p in self._projections]
        symmetric = weights.network.spec.symmetric
        self._mirror = [
            next((i for i, other in enumerate(self._projections) if symmetric and p.mirrors(other)), None)
            for p in self._projections
        ]
        parameters = [*(weights.weights[p.name] for p in self._projections), weights.b]
        rule.attach(weights)
        self._optimiser = spec.optimiser.make(parameters)
        self._gradients = [np.empty_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]
        self._shuffle = Shuffle()
        scaled = isinstance(spec.modulation, EpisodeAdvantage) and spec.modulation.scaled
        self._scale = Scale() if scaled else None
        self._episode: list[tuple[Factors | Eligibility, float]] = []
        self._transitions: Transitions
        self._batch = self._new_batch()
        #: What earlier decisions left to the TD error.
        lasting = rule.carry > 0 and isinstance(spec.modulation, TDError)
        self._eligibility = [np.zeros_like(w) for w in parameters] if lasting else []

    def anneal(self, progress: float) -> None:
        """Set learning rate and entropy weight for `progress` from 0 (start) to 1 (end)."""
        done = min(max(progress, 0.0), 1.0)
        spec = self.spec
        self.rate, self.entropy = (
            start * (1.0 - (1.0 - final) * done)
            for start, final in ((spec.rate, spec.final_rate), (spec.entropy, spec.final_entropy))
        )

    def begin_episode(self, features: np.ndarray) -> None:
        self._episode.clear()
        for e in self._eligibility:
            e.fill(0.0)
        self._begin_transitions(features)

    def observe(
        self,
        decision: Decision,
        reward: float,
        features: np.ndarray,
        terminated: bool,
        rng: np.random.Generator,
    ) -> bool:
        """Learn from one decision and the transition that followed.

        Returns
        -------
        bool
            Whether weights changed.
        """
        if self.spec.control == "off":
            return False
        delta = self._td_error(decision, reward, features, terminated)
        bonus = self.entropy * (decision.surprise - decision.policy_entropy) if self.entropy else 0.0
        factors = self._factors(decision)
        if delta is None:
            self._episode.append((factors, bonus))
            return False
        if self.spec.control == "shuffled":
            delta = self._shuffle.exchange(delta + bonus, rng)
            bonus = 0.0
        if self._eligibility:
            self._update_lasting(factors, delta, bonus)
        elif (
            isinstance(factors, Factors) and len(factors.post) == 1 and factors.bias is None and self._fused is not None
        ):
            self._update_fused(factors, delta + bonus)
        else:
            self._follow(factors, delta + bonus)
        return True

    def end_episode(self, rng: np.random.Generator) -> bool:
        """Apply what waits for the end of the episode; returns whether weights changed."""
        if not self._episode:
            return False
        factors, bonuses = zip(*self._episode, strict=True)
        self._episode.clear()
        # What an eligibility leaves to later decisions is what their modulation gives to earlier ones.
        modulation = advantages(self._advantages(rng), self.rule.carry) + np.array(bonuses)
        if self.spec.control == "shuffled":
            modulation = np.array([self._shuffle.exchange(m, rng) for m in modulation])
        weighted = [f.times(m) for f, m in zip(factors, modulation, strict=True)]
        return self._add_to_batch(joined(weighted))

    def _begin_transitions(self, features: np.ndarray) -> None:
        if isinstance(self.spec.modulation, TDError):
            self._online.begin_episode(features)
        else:
            self._transitions = Transitions(features)

    def _td_error(self, decision: Decision, reward: float, features: np.ndarray, terminated: bool) -> float | None:
        """The TD error of a decision, or None where it is told at the end of the episode."""
        if isinstance(self.spec.modulation, TDError):
            return self._online.td_error(reward, features, terminated)
        self._transitions.add(decision.rates, reward, features, terminated)
        return None

    def _advantages(self, rng: np.random.Generator) -> np.ndarray:
        """Of the decisions of the episode, from which the critic learns."""
        modulation = self.spec.modulation
        assert not isinstance(modulation, TDError)
        result = advantages(self.critic.td_errors(self._transitions, rng), self.critic.gamma * modulation.trace)
        return result if self._scale is None else self._scale.apply(result)

    @property
    def _online(self) -> LinearTD:
        assert isinstance(self.critic, LinearTD)  # what `Experiment` has checked
        return self.critic

    def _factors(self, decision: Decision) -> Factors | Eligibility:
        """What the modulation of `decision` multiplies: factors, or the eligibilities of the synapses."""
        if self.spec.apply == "factors":
            return self.rule.factors(decision) if decision.factors is None else decision.factors
        eligibility = decision.eligibility
        if eligibility is None:
            raise ValueError(
                "learning.apply = 'synapses' needs a network with plasticity: give it the rule's equations"
            )
        post = self.rule.choice(decision)
        if post is not None:
            for p, e in zip(self._projections, eligibility.weights, strict=True):
                pre = decision.input_trace if p.origin == "inputs" else decision.trace
                e += np.outer(pre[p.source], post[p.target])
            np.add(eligibility.bias, post, out=eligibility.bias)
        return eligibility

    def _new_batch(self) -> Batch | None:
        return None if self.spec.batch == 1 else Batch(self._weights.network, self.gradient)

    def _add_to_batch(self, factors: Factors | Eligibility) -> bool:
        """Step with the gradient, or wait until the batch is complete and step with its mean gradient."""
        if self._batch is None:
            self._follow(factors)
            return True
        self._batch.add(factors)
        if self._batch.episodes[0] < self.spec.batch:
            return False
        gradients = self._batch.total()
        for g in gradients:
            g *= 1.0 / self.spec.batch
        self._optimiser.step(gradients, self.rate)
        return True

    def gradient(self, factors: Factors | Eligibility) -> list[np.ndarray]:
        """Sum over rows of pre x post, or eligibility, for each projection and, last, the biases.

        Parameters
        ----------
        factors : Factors or Eligibility
            Already multiplied by the modulation (of factors, the postsynaptic ones).

        Returns
        -------
        list of ndarray
            The learner's own buffers, overwritten by the next call.
        """
        for i in range(len(self._projections)):
            self._gradient_of(factors, i)
        if isinstance(factors, Eligibility):
            np.copyto(self._gradients[-1], factors.bias)
        else:
            np.sum(factors.of_biases, axis=0, out=self._gradients[-1])
        return self._gradients

    def _gradient_of(self, factors: Factors | Eligibility, i: int) -> np.ndarray:
        """That of projection `i`; a mirror image follows what it mirrors."""
        p, g, tmp, mirror = self._projections[i], self._gradients[i], self._scratch[i], self._mirror[i]
        if mirror is not None and mirror < i:
            np.copyto(g, self._gradients[mirror].T)
            return g
        self._one_way(factors, i, g)
        # Weights stay symmetric to the last bit: both directions get the same sum of the same numbers.
        if mirror == i:
            np.copyto(tmp, g.T)
            g += tmp
        elif mirror is not None:
            self._way_back(factors, i, mirror, tmp)
            g += tmp
        if p.mask is not None:
            g *= p.mask
        if self._gains[i] != 1.0:
            g *= self._gains[i]
        return g

    def _follow(self, factors: Factors | Eligibility, modulation: float = 1.0) -> None:
        """A step of the optimiser along the gradient of `factors`, times their modulation."""
        ascent = self._ascent_in_place
        if ascent is not None and isinstance(factors, Factors) and ascent.can(factors):
            ascent.step(factors, modulation * self.rate)
        else:
            self._optimiser.step(self.gradient(factors if modulation == 1.0 else factors.times(modulation)), self.rate)

    @cached_property
    def _ascent_in_place(self) -> Ascent | None:
        """The step of plain gradient ascent without a gradient; None where it cannot be had."""
        if not isinstance(self.spec.optimiser, SGD):
            return None
        return Ascent.made(self._weights, self._gradients[:-1], self._gains, self._mirror)

    def _one_way(self, factors: Factors | Eligibility, i: int, out: np.ndarray) -> None:
        """The sum for projection `i`, as a rule without symmetric weights would have it."""
        if isinstance(factors, Eligibility):
            np.copyto(out, factors.weights[i])
            return
        p = self._projections[i]
        pre, post = (
            (factors.pre_inputs, factors.of_inputs) if p.origin == "inputs" else (factors.pre_neurons, factors.post)
        )
        outer(pre, p.source, post[:, p.target], out)

    def _way_back(self, factors: Factors | Eligibility, i: int, mirror: int, out: np.ndarray) -> None:
        """The sum for `mirror`, in the shape of its transpose, projection `i`."""
        if isinstance(factors, Eligibility):
            np.copyto(out, factors.weights[mirror].T)
            return
        p = self._projections[i]
        back = np.empty(p.shape[::-1], out.dtype)
        outer(factors.pre_neurons, p.target, factors.post[:, p.source], back)
        np.copyto(out, back.T)

    @cached_property
    def _fused(self) -> FusedUpdate | None:
        """One pass over the weights instead of `gradient` and `step`, for a single decision: the same numbers.

        None where it cannot be had. Made when it is first needed: it may have to be compiled.
        """
        if not isinstance(self._optimiser, RMS) or set(self._gains) != {1.0} or available() is None:
            return None
        network = self._weights.network
        self._pre = {"inputs": np.zeros(network.n_inputs), "neurons": np.zeros(network.n_neurons)}
        self._post = np.zeros(network.n_neurons)
        outers = []
        for i, p in enumerate(self._projections):
            mirrored = self._mirror[i] is not None
            outers.append(
                Outer(
                    pre=self._pre[p.origin][p.source],
                    post=self._post[p.target],
                    mirror_post=self._post[p.source] if mirrored else None,
                    mirror_pre=self._pre["neurons"][p.target] if mirrored else None,
                    mask=p.mask,
                    weights=self._weights.weights[p.name],
                    squares=self._optimiser.squares[i],
                )
            )
        outers.append(Outer(np.ones(1), self._post, None, None, None, self._weights.b, self._optimiser.squares[-1]))
        spec = self.spec.optimiser
        assert isinstance(spec, RMSNormalised)
        return FusedUpdate(outers, spec.decay, spec.epsilon)

    def _update_fused(self, factors: Factors, modulation: float) -> None:
        """Apply one decision whose factors have one row."""
        assert self._fused is not None
        assert isinstance(factors.pre_inputs, np.ndarray) and isinstance(factors.pre_neurons, np.ndarray)
        self._pre["inputs"][:] = factors.pre_inputs[0]
        self._pre["neurons"][:] = factors.pre_neurons[0]
        np.multiply(factors.post[0], modulation, out=self._post)
        self._fused.step(self.rate)

    def _update_lasting(self, factors: Factors | Eligibility, delta: float, bonus: float) -> None:
        """Apply a TD error to the eligibility of this and earlier decisions, and the entropy bonus to this one's."""
        gradients = self.gradient(factors)
        for g, e in zip(gradients, self._eligibility, strict=True):
            e *= self.rule.carry
            e += g
            g *= bonus
            g += delta * e
        self._optimiser.step(gradients, self.rate)

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        """Give the arrays of `state` the shapes of saved ones, where shapes vary."""
        prefix = "batch."
        if self._batch is not None and f"{prefix}post" in saved:
            self._batch.make_room({n[len(prefix) :]: a for n, a in saved.items() if n.startswith(prefix)})

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with the learner."""
        return {
            **{f"optimiser.{name}": a for name, a in self._optimiser.state().items()},
            **{f"critic.{name}": a for name, a in self.critic.state().items()},
            **{f"shuffle.{name}": a for name, a in self._shuffle.state().items()},
            **({} if self._scale is None else {f"scale.{name}": a for name, a in self._scale.state().items()}),
            **({} if self._batch is None else {f"batch.{name}": a for name, a in self._batch.state().items()}),
        }


def joined(factors: Sequence[Factors | Eligibility]) -> Factors | Eligibility:
    """The rows of several decisions in one; or the sum of their eligibilities."""
    if len(factors) == 1:
        return factors[0]
    eligibilities = [e for e in factors if isinstance(e, Eligibility)]
    if eligibilities:
        weights = [np.sum(matrices, axis=0) for matrices in zip(*(e.weights for e in eligibilities), strict=True)]
        return eligibilities[0]._replace(weights=weights, bias=np.sum([e.bias for e in eligibilities], axis=0))
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
