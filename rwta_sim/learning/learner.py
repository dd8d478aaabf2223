"""The learner: rule, critic, modulation and optimiser at work on one network."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from rwta_sim.arrays import NetworkArrays
from rwta_sim.critics.linear import LinearTD
from rwta_sim.learning.fused import FusedUpdate, Outer, available
from rwta_sim.learning.modulation import Control, EpisodeAdvantage, ModulationSpec, Shuffle, TDError, advantages
from rwta_sim.learning.optimisers import RMS, OptimiserSpec, RMSNormalised
from rwta_sim.learning.rules import Decision, Factors, LastStep
from rwta_sim.settings import Fraction, PositiveFloat, Settings

__all__ = ["Learner", "LearningSpec"]


class LearningSpec(Settings):
    """How the network learns."""

    rule: LastStep = Field(LastStep(), description="learning rule")
    modulation: ModulationSpec = Field(TDError(), description="third factor")
    optimiser: OptimiserSpec = Field(RMSNormalised(), description="how gradients become steps")
    rate: PositiveFloat = Field(1e-3, description="learning rate at the start")
    final_rate: Fraction = Field(0.1, description="learning rate at the end, as a fraction; linear in between")
    entropy: Annotated[float, Field(ge=0)] = Field(0.02, description="weight of the policy entropy")
    control: Control = Field(
        "none", description="none: learn; off: do not; shuffled: modulation given to the wrong decisions"
    )


class Learner:
    """Changes the weights of a network in place.

    The modulation of a decision is ``A + entropy*(-ln pi(action) - H)``: the second term is the score-function
    estimate of the gradient of the policy entropy H, so that it too reaches every synapse as one number.

    Parameters
    ----------
    spec : LearningSpec
    critic : LinearTD
    arrays : NetworkArrays
        The network that learns.
    """

    def __init__(self, spec: LearningSpec, critic: LinearTD, arrays: NetworkArrays) -> None:
        self.spec = spec
        self.critic = critic
        self.rate = spec.rate
        self._arrays = arrays
        self._projections = arrays.network.projections
        symmetric = arrays.network.spec.symmetric
        self._mirror = [
            next((i for i, other in enumerate(self._projections) if symmetric and p.mirrors(other)), None)
            for p in self._projections
        ]
        parameters = [*(arrays.weights[p.name] for p in self._projections), arrays.b]
        self._optimiser = spec.optimiser.make(parameters)
        self._gradients = [np.empty_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]
        self._shuffle = Shuffle()
        self._episode: list[tuple[Factors, float, float]] = []

    def anneal(self, progress: float) -> None:
        """Set the learning rate for `progress` from 0 (start) to 1 (end)."""
        self.rate = self.spec.rate * (1.0 - (1.0 - self.spec.final_rate) * min(max(progress, 0.0), 1.0))

    def begin_episode(self, features: np.ndarray) -> None:
        self._episode.clear()
        self.critic.begin_episode(features)

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
        delta = self.critic.td_error(reward, features, terminated)
        bonus = self.spec.entropy * (decision.surprise - decision.policy_entropy) if self.spec.entropy else 0.0
        factors = self.spec.rule.factors(decision)
        if isinstance(self.spec.modulation, EpisodeAdvantage):
            self._episode.append((factors, delta, bonus))
            return False
        modulation = delta + bonus
        if self.spec.control == "shuffled":
            modulation = self._shuffle.exchange(modulation, rng)
        self._update_one(factors, modulation)
        return True

    def end_episode(self, rng: np.random.Generator) -> bool:
        """Apply what waits for the end of the episode; returns whether weights changed."""
        if not self._episode:
            return False
        factors, deltas, bonuses = zip(*self._episode, strict=True)
        self._episode.clear()
        assert isinstance(self.spec.modulation, EpisodeAdvantage)
        discount = self.critic.gamma * self.spec.modulation.trace
        modulation = advantages(np.array(deltas), discount) + np.array(bonuses)
        if self.spec.control == "shuffled":
            modulation = np.array([self._shuffle.exchange(m, rng) for m in modulation])
        pre_inputs, pre_neurons, post = (np.array(part) for part in zip(*factors, strict=True))
        self._update(pre_inputs, pre_neurons, modulation[:, None] * post)
        return True

    def gradient(self, pre_inputs: np.ndarray, pre_neurons: np.ndarray, post: np.ndarray) -> list[np.ndarray]:
        """Sum over decisions of pre x post, for each projection and, last, the biases.

        Parameters
        ----------
        pre_inputs, pre_neurons, post : ndarray, shapes (n, n_inputs), (n, n_neurons), (n, n_neurons)
            Factors of n decisions; `post` already multiplied by the modulation.

        Returns
        -------
        list of ndarray
            The learner's own buffers, overwritten by the next call.
        """
        for i, p in enumerate(self._projections):
            g, tmp, mirror = self._gradients[i], self._scratch[i], self._mirror[i]
            if mirror is not None and mirror < i:
                np.copyto(g, self._gradients[mirror].T)
                continue
            pre = pre_inputs if p.origin == "inputs" else pre_neurons
            _outer(pre[:, p.source], post[:, p.target], g)
            # Weights stay symmetric to the last bit: both directions get the same sum of the same numbers.
            if mirror == i:
                np.copyto(tmp, g.T)
                g += tmp
            elif mirror is not None:
                _outer(post[:, p.source], pre[:, p.target], tmp)
                g += tmp
            if p.mask is not None:
                g *= p.mask
        np.sum(post, axis=0, out=self._gradients[-1])
        return self._gradients

    @cached_property
    def _fused(self) -> FusedUpdate | None:
        """One pass over the weights instead of `gradient` and `step`, for a single decision: the same numbers.

        None where it cannot be had. Made when it is first needed: it may have to be compiled.
        """
        if not isinstance(self._optimiser, RMS) or available() is None:
            return None
        network = self._arrays.network
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
                    weights=self._arrays.weights[p.name],
                    squares=self._optimiser.squares[i],
                )
            )
        outers.append(Outer(np.ones(1), self._post, None, None, None, self._arrays.b, self._optimiser.squares[-1]))
        spec = self.spec.optimiser
        assert isinstance(spec, RMSNormalised)
        return FusedUpdate(outers, spec.decay, spec.epsilon)

    def _update_one(self, factors: Factors, modulation: float) -> None:
        """Apply one decision."""
        pre_inputs, pre_neurons, post = factors
        if self._fused is None:
            self._update(pre_inputs[None], pre_neurons[None], (modulation * post)[None])
            return
        self._pre["inputs"][:] = pre_inputs
        self._pre["neurons"][:] = pre_neurons
        np.multiply(post, modulation, out=self._post)
        self._fused.step(self.rate)

    def _update(self, pre_inputs: np.ndarray, pre_neurons: np.ndarray, post: np.ndarray) -> None:
        self._optimiser.step(self.gradient(pre_inputs, pre_neurons, post), self.rate)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with the learner."""
        return {
            **{f"optimiser.{name}": a for name, a in self._optimiser.state().items()},
            **{f"critic.{name}": a for name, a in self.critic.state().items()},
            **{f"shuffle.{name}": a for name, a in self._shuffle.state().items()},
        }


def _outer(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """out = left.T @ right, for one row without the cost of a matrix product."""
    if len(left) == 1:
        np.multiply(left[0][:, None], right[0][None, :], out=out)
    else:
        np.matmul(left.T, right, out=out)
