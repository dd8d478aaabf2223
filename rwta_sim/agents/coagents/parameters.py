"""The weights of a network of coagents, and how they change."""

from __future__ import annotations

import numpy as np

from rwta_sim.agents.coagents.experiment import CoagentLearningSpec

__all__ = ["Parameters", "Traces"]


class Parameters:
    """Weights and biases.

    Attributes
    ----------
    inputs : ndarray, shape (n_inputs + 1, n_hidden)
        From the inputs to hidden neurons; in the last row their biases.
    modules : ndarray, shape (n_hidden,)
        From each hidden neuron to the output of its module: the weights of Brian2's synapses.
    bias : ndarray, shape (n_outputs,)
        Of the outputs.
    recurrent : ndarray, shape (n_blocks, size, size), or None
        From each hidden neuron to those of its block: of its module, or of its actor.
    """

    def __init__(
        self, inputs: np.ndarray, modules: np.ndarray, bias: np.ndarray, recurrent: np.ndarray | None = None
    ) -> None:
        self.inputs, self.modules, self.bias, self.recurrent = inputs, modules, bias, recurrent

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, shared."""
        found = {"inputs": self.inputs, "modules": self.modules, "bias": self.bias}
        return found if self.recurrent is None else {**found, "recurrent": self.recurrent}

    def heard(self, before: np.ndarray) -> np.ndarray:
        """What hidden neurons hear of one another, who did `before`; shapes (n_hidden,)."""
        assert self.recurrent is not None
        blocks = before.reshape(len(self.recurrent), 1, -1)
        return np.matmul(blocks, self.recurrent).reshape(-1)


class Traces:
    """Steps along eligibility traces ``e <- gamma lambda e + credit * score * presynaptic activity``.

    Without a lambda nothing is kept: a step is an outer product, of the inputs that are not 0.

    Parameters
    ----------
    parameters : Parameters
    spec : CoagentLearningSpec
    gamma : float
    sparse : bool
        Whether few inputs are not 0 at a time.

    Attributes
    ----------
    kept : bool
        Whether there are traces at all.
    """

    def __init__(self, parameters: Parameters, spec: CoagentLearningSpec, gamma: float, sparse: bool) -> None:
        self._parameters, self._share, self._decay = parameters, spec.hidden_share, gamma * spec.lam
        self._sparse, self.kept = sparse, self._decay > 0
        self._scratch = np.empty_like(parameters.inputs)
        self._kept = {name: np.zeros_like(a) for name, a in parameters.arrays().items()} if self.kept else {}

    def clear(self) -> None:
        """An episode begins."""
        for trace in self._kept.values():
            trace.fill(0.0)

    def step(
        self,
        x: np.ndarray,
        hidden: np.ndarray,
        y: np.ndarray,
        outputs: np.ndarray,
        rate: float,
        before: np.ndarray | None = None,
    ) -> None:
        """Change all weights.

        Parameters
        ----------
        x : ndarray, shape (n_inputs + 1,)
            Inputs, the last one 1.
        hidden : ndarray, shape (n_hidden,)
            Credit times score of hidden neurons.
        y : ndarray, shape (n_hidden,)
            What they did.
        outputs : ndarray, shape (n_outputs,)
            Credit times score of outputs.
        rate : float
            Times the modulation.
        before : ndarray, shape (n_hidden,), optional
            What hidden neurons did in the step before, if they hear one another.
        """
        to = self._parameters
        modules = (outputs[:, None] * y.reshape(outputs.size, -1)).reshape(-1)
        if self.kept:
            self._along_traces(x, hidden, modules, outputs, rate, before)
            return
        to.modules += rate * modules
        to.bias += rate * outputs
        if not self._share:
            return
        change = (rate * self._share) * hidden
        if to.recurrent is not None:
            to.recurrent += _within_blocks(before, change, to.recurrent)
        if self._sparse:
            for row in np.flatnonzero(x):
                to.inputs[row] += x[row] * change
        else:
            np.multiply(x[:, None], change, out=self._scratch)
            to.inputs += self._scratch

    def _along_traces(
        self,
        x: np.ndarray,
        hidden: np.ndarray,
        modules: np.ndarray,
        outputs: np.ndarray,
        rate: float,
        before: np.ndarray | None,
    ) -> None:
        changes = {"inputs": np.multiply(x[:, None], hidden, out=self._scratch), "modules": modules, "bias": outputs}
        if (recurrent := self._parameters.recurrent) is not None:
            changes["recurrent"] = _within_blocks(before, hidden, recurrent)
        for name, weights in self._parameters.arrays().items():
            trace = self._kept[name]
            trace *= self._decay
            trace += changes[name]
            weights += (rate * self._share if name in ("inputs", "recurrent") else rate) * trace


def _within_blocks(before: np.ndarray | None, hidden: np.ndarray, recurrent: np.ndarray) -> np.ndarray:
    """Outer products of presynaptic and postsynaptic factors, block by block, of the shape of `recurrent`."""
    assert before is not None  # who hears others is told what they did
    n_blocks = len(recurrent)
    return before.reshape(n_blocks, -1, 1) * hidden.reshape(n_blocks, 1, -1)
