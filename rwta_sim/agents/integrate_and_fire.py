"""Integrate-and-fire neurons in steps, in NumPy: layers that hear a current or the spikes of the layer before.

    u(t) = leak u(t-1) + I(t) - threshold S(t-1),   S(t) = [u(t) > threshold],   u(0) = 0

A neuron that has fired loses its threshold in the next step, and keeps what is above (reset by subtraction). With a
leak of 1 nothing is lost, and the rate of a neuron with a constant current I is I/threshold, between 0 and 1 a step
(Diehl et al. 2015; Rueckauer et al. 2017). In snnTorch the same neuron is `Leaky`, with `beta` for the leak.
"""

from __future__ import annotations

import numpy as np

__all__ = ["SpikeRecord", "spikes"]


def spikes(currents: np.ndarray, leak: float = 1.0, threshold: float = 1.0) -> np.ndarray:
    """Whether each neuron fires in each step.

    Parameters
    ----------
    currents : ndarray, shape (steps, n), float32
    leak : float
        Of what is left of a potential after a step, in [0, 1].
    threshold : float

    Returns
    -------
    ndarray, shape (steps, n), float32
        1 or 0.
    """
    found = np.empty(currents.shape, np.float32)
    u, reset = np.zeros(currents.shape[1], np.float32), np.zeros(currents.shape[1], np.float32)
    left, lost = np.float32(leak), np.float32(threshold)
    for current, fired in zip(currents, found, strict=True):
        u *= left
        u += current
        u -= reset
        np.greater(u, lost, out=fired, casting="unsafe")
        reset = fired * lost
    return found


class SpikeRecord:
    """Every spike of the decisions of a network, if they are wanted.

    Parameters
    ----------
    sizes : list of int
        Neurons of each layer; of the last there may be no spikes.
    steps : int
        Of a decision, 1 ms each.
    wanted : bool
    """

    DT = 1e-3

    def __init__(self, sizes: list[int], steps: int, wanted: bool) -> None:
        self._starts, self._steps, self._wanted = np.cumsum([0, *sizes]), steps, wanted
        self._decisions: list[np.ndarray] = []

    def add(self, layers: list[np.ndarray]) -> None:
        """A decision: the spikes of each layer, shape (steps, n)."""
        if self._wanted:
            self._decisions.append(np.argwhere(np.concatenate(layers, axis=1)))

    def recorded(self) -> dict[str, np.ndarray]:
        """As `rwta_sim.lab.recording.record_episode` gives it; inputs are currents."""
        found = [at + np.array([n * self._steps, 0]) for n, at in enumerate(self._decisions)]
        step, neuron = np.concatenate([np.empty((0, 2), int), *found]).T
        return {
            "input_i": np.empty(0, np.int32),
            "input_t": np.empty(0),
            "neuron_i": neuron.astype(np.int32),
            "neuron_t": step * self.DT,
            "n_inputs": np.array(0),
            "starts": self._starts,
            "dt": np.array(self.DT),
            "decision_time": np.array(self._steps * self.DT),
        }
