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
    """

    def __init__(self, inputs: np.ndarray, modules: np.ndarray, bias: np.ndarray) -> None:
        self.inputs, self.modules, self.bias = inputs, modules, bias

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, shared."""
        return {"inputs": self.inputs, "modules": self.modules, "bias": self.bias}


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

    def step(self, x: np.ndarray, hidden: np.ndarray, y: np.ndarray, outputs: np.ndarray, rate: float) -> None:
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
        """
        to = self._parameters
        modules = (outputs[:, None] * y.reshape(outputs.size, -1)).reshape(-1)
        if self.kept:
            self._along_traces(x, hidden, modules, outputs, rate)
            return
        to.modules += rate * modules
        to.bias += rate * outputs
        if not self._share:
            return
        change = (rate * self._share) * hidden
        if self._sparse:
            for row in np.flatnonzero(x):
                to.inputs[row] += x[row] * change
        else:
            np.multiply(x[:, None], change, out=self._scratch)
            to.inputs += self._scratch

    def _along_traces(
        self, x: np.ndarray, hidden: np.ndarray, modules: np.ndarray, outputs: np.ndarray, rate: float
    ) -> None:
        changes = {"inputs": np.multiply(x[:, None], hidden, out=self._scratch), "modules": modules, "bias": outputs}
        for name, weights in self._parameters.arrays().items():
            trace = self._kept[name]
            trace *= self._decay
            trace += changes[name]
            weights += (rate * self._share if name == "inputs" else rate) * trace
