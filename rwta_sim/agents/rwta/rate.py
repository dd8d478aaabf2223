"""`RateActor`: the mean field of a network answers observations; no spikes, no engine, nothing to compile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwta_sim.agents.rwta.actor import Actor, Result
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec, RowGenerators
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.learning.decision import Decision
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.loop.session import Session
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["RateActor"]


class RateActor(Actor):
    """Weights in single precision whose mean field (see `rwta_sim.circuit.meanfield`) decides.

    The action is drawn from q of the action circuit, or is its argmax. Every decision stands for itself, as spikes do
    with ``decision.clear = "decision"``.

    Parameters
    ----------
    wiring : Wiring
    spec : MeanFieldSpec
    decision : DecisionSpec
        Of which it has the gain, in drawing actions: what hidden neurons feel of the action circuit is without.
    rng : numpy.random.Generator, optional
        Draws the initial weights; needed only if ``wiring.spec.weight_sd > 0``.

    Attributes
    ----------
    field : MeanField
    decisions, unconverged : int
        Decisions so far, and those whose mean field had not converged.
    """

    spikes = False
    joint = True

    def __init__(
        self, wiring: Wiring, spec: MeanFieldSpec, decision: DecisionSpec, rng: np.random.Generator | None = None
    ) -> None:
        initial = {name: w.astype(np.float32) for name, w in wiring.initial_weights(rng).items()}
        self.weights = Weights(wiring, initial, np.zeros(wiring.n_neurons, np.float32))
        self.network = wiring
        self.field: MeanField = MeanField(wiring, spec)
        self._last = np.empty(0)
        self.decisions = self.unconverged = 0
        # A circuit fires at rho_hat whatever its weights: the rate that spikes of these probabilities would have.
        self._rate = float(wiring.spec.circuit_rate) * (len(wiring.starts) - 1) / wiring.n_neurons
        self._noise = np.random.default_rng(0)
        self._spec, self._gain = decision, 1.0
        self._joined = False
        self._asked = self._answer = np.empty(0)

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self._noise = np.random.default_rng(seeds.spikes)
        self._gain = self._spec.gain_for(seeds.purpose)

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        """As `Actor.decide`; yields only after `join`. What a decision says of spikes is what they have in the mean.

        Traces are the drive and q; v is q in hidden circuits, and one-hot in the action circuit.
        """
        if self._joined:
            self._asked = drive
            yield
        else:
            self._infer(drive[None], [self], self._noise)
        q, where = self._answer, self.field.wiring.action
        self._last = q
        policy = q[where] if self._gain == 1 else _sharpened(q[where], self._gain)
        entropy = policy_entropy(policy)
        probabilities = policy.astype(float)
        action = int(policy.argmax() if greedy else rng.choice(policy.size, p=probabilities / probabilities.sum()))
        v = q.copy()
        v[where] = 0.0
        v[where.start + action] = 1.0
        return Decision(
            drive=drive,
            input_trace=drive,
            trace=q,
            q=q,
            v=v,
            spoke=np.ones_like(q),
            action=action,
            policy=policy,
            policy_entropy=entropy,
            rate=self._rate,
            rates=q,
        )

    def join(self) -> None:
        self._joined = True

    def run(self, session: Session[Result]) -> Result:
        """As `Actor.run`; after `join` it answers itself."""
        while True:
            try:
                next(session)
            except StopIteration as end:
                result: Result = end.value
                return result
            self.answer([self])

    def answer(self, actors: Sequence[RateActor]) -> None:
        drives = np.array([actor._asked for actor in actors])
        self._infer(drives, actors, RowGenerators([actor._noise for actor in actors]))

    def _infer(self, drives: np.ndarray, actors: Sequence[RateActor], rng: np.random.Generator | RowGenerators) -> None:
        """Tell each actor the q of its drive, a row of `drives`."""
        found = self.field.infer(drives, self.weights.weights, self.weights.b, rng)
        for actor, q, converged in zip(actors, found.q, found.converged, strict=True):
            actor._answer = q
            actor.decisions += 1
            actor.unconverged += not converged

    def follow(self, other: RateActor) -> None:
        self.weights = other.weights

    def activity(self) -> np.ndarray:
        return self._last

    def read(self, probe: str) -> np.ndarray:
        return {"q": self._last, "x": self._last}[probe].copy()


def _sharpened(policy: np.ndarray, gain: float) -> np.ndarray:
    """Softmax of potentials times `gain`, from that without."""
    powers = (policy / policy.max()) ** gain
    sharper: np.ndarray = powers / powers.sum()
    return sharper
