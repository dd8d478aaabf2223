"""`Replay`: what a network would do now, asked of decisions that it took before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.decision import Decision, Factors

__all__ = ["Replay", "SpikeReplay"]

Seen = Mapping[str, np.ndarray]


class Replay(ABC):
    """Infers the probabilities of past decisions with the weights as they are now, and ascends from there.

    Attributes
    ----------
    examples : dict of ndarray
        What `remember` gives, by name: shape and dtype count.
    """

    examples: dict[str, np.ndarray]

    @abstractmethod
    def remember(self, decision: Decision) -> dict[str, np.ndarray]:
        """What `infer` and `ascent` need of a decision."""

    @abstractmethod
    def infer(self, seen: Seen, rng: np.random.Generator) -> np.ndarray:
        """Firing probabilities with the weights of now, shape (n, n_neurons); `seen` holds n rows each."""

    @abstractmethod
    def ascent(
        self,
        seen: Seen,
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        """Factors of the gradient of ``sum_n modulation_n ln pi(action_n) + entropy H_n``.

        Parameters
        ----------
        seen : mapping of ndarray
            n rows each.
        q : ndarray, shape (n, n_neurons)
            As `infer` gave it.
        action : ndarray of int, shape (n,)
        modulation : ndarray, shape (n,)
        entropy : float
        rng : numpy.random.Generator
        """


class SpikeReplay(Replay):
    """PPO from spikes, by the `Feedback` rule on replayed traces.

    Remembered of a decision are the traces kappa*S that its last step's potentials saw (of inputs that are currents,
    the currents): what was played stays as it was. A step of learning asks what the neurons that received these traces
    would do *now*, ``q = softmax(b + W_s x_s + W x)`` with the weights of now, and ascends as the rule does, lambda of
    those q and the remembered traces as presynaptic factors. The gradient of the entropy is that of the action
    circuit's q. In one_hot firing, and on a go signal, q is exactly the probability of the action given the spikes
    before it; else in poisson firing the spike that acted was drawn some steps before the end, from the q of its time.

    Parameters
    ----------
    weights : Weights
        What learns.
    depth : int
        Of the rule.
    """

    def __init__(self, weights: Weights, depth: int) -> None:
        network = weights.network
        self.examples = {"input_trace": np.zeros(network.n_inputs, np.float32), "trace": np.zeros(network.n_neurons)}
        self._weights, self._field, self._depth = weights, MeanField(network), depth

    def remember(self, decision: Decision) -> dict[str, np.ndarray]:
        return {"input_trace": decision.input_trace, "trace": decision.trace}

    def infer(self, seen: Seen, rng: np.random.Generator) -> np.ndarray:
        return self._field.respond(seen["input_trace"], seen["trace"], self._weights.weights, self._weights.b)

    def ascent(
        self,
        seen: Seen,
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        field = self._field
        score = modulation.astype(field.dtype)[:, None] * field.policy_score(q, action)
        if entropy:
            score += field.dtype.type(entropy) * field.entropy_score(q)
        post = field.adjoint(q, score, self._weights.weights, self._depth)
        return Factors(seen["input_trace"], seen["trace"], post)
