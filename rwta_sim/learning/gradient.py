"""`Gradient`: what factors, or eligibilities, say of every weight of a network."""

from __future__ import annotations

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.outer import outer
from rwta_sim.learning.packed_outer import packed_outer

__all__ = ["Gradient"]


class Gradient:
    """Sums over rows of pre x post, or eligibilities, for each projection and, last, the biases.

    Where weights are symmetric a projection gets the sum of both directions, to the last bit the same in both.

    Parameters
    ----------
    weights : Weights
        Of which it is the gradient.
    frozen : slice, optional
        Neurons whose biases do not learn: theirs is 0.

    Attributes
    ----------
    parameters : list of ndarray
        The weights of each projection, and the biases.
    gains : list of float
        Of each projection.
    mirrors : list of int or None
        Number of the projection whose weights are those of this one, transposed: its own, another's, or none.
    bias_mask : ndarray of bool, shape (n_neurons,), or None
        False where biases do not learn; None if all do.
    buffers : list of ndarray
        What a call fills, in the shapes of `parameters`.
    """

    def __init__(self, weights: Weights, frozen: slice | None = None) -> None:
        network = weights.network
        self.bias_mask: np.ndarray | None = None
        if frozen is not None:
            self.bias_mask = np.ones(network.n_neurons, dtype=bool)
            self.bias_mask[frozen] = False
        self.weights = weights
        self.projections = network.projections
        self.gains = [weights.gain(p) for p in self.projections]
        self.mirrors = [
            next((i for i, other in enumerate(self.projections) if network.spec.symmetric and p.mirrors(other)), None)
            for p in self.projections
        ]
        self.parameters = [*(weights.weights[p.name] for p in self.projections), weights.b]
        self.buffers = [np.empty_like(w) for w in self.parameters]
        self._scratch = [np.empty_like(w) for w in self.parameters]

    def __call__(self, factors: Factors | Eligibilities) -> list[np.ndarray]:
        """The gradient of factors that are multiplied by the modulation already.

        Returns
        -------
        list of ndarray
            `buffers`, overwritten by the next call.
        """
        for i in range(len(self.projections)):
            self._of_projection(factors, i)
        if isinstance(factors, Factors):
            np.sum(factors.of_biases, axis=0, out=self.buffers[-1])
        else:
            np.copyto(self.buffers[-1], factors.bias)
        if self.bias_mask is not None:
            self.buffers[-1] *= self.bias_mask
        return self.buffers

    def _of_projection(self, factors: Factors | Eligibilities, i: int) -> None:
        p, g, tmp, mirror = self.projections[i], self.buffers[i], self._scratch[i], self.mirrors[i]
        if mirror is not None and mirror < i:
            self.projections[mirror].transpose(self.buffers[mirror], g)
            return
        self._forwards(factors, i, g)
        if mirror == i:
            p.transpose(g, tmp)
            g += tmp
        elif mirror is not None:
            back = np.empty_like(self.parameters[mirror])
            self._forwards(factors, mirror, back)
            self.projections[mirror].transpose(back, tmp)
            g += tmp
        if p.mask is not None:
            g *= p.mask
        if self.gains[i] != 1.0:
            g *= self.gains[i]

    def _forwards(self, factors: Factors | Eligibilities, i: int, out: np.ndarray) -> None:
        """The sum for projection `i` alone, as without symmetric weights."""
        if not isinstance(factors, Factors):
            np.copyto(out, factors.weights[i])
            return
        p = self.projections[i]
        pre, post = (
            (factors.pre_inputs, factors.of_inputs) if p.origin == "inputs" else (factors.pre_neurons, factors.post)
        )
        if p.packing is None:
            outer(pre, p.source, post[:, p.target], out)
        else:
            packed_outer(pre, p.source, post[:, p.target], p.packing, out)
