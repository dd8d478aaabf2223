"""A network of ReLU units run as integrate-and-fire neurons: rates in place of values.

A unit's value a becomes the rate of a neuron: with threshold r a constant current a > 0 makes it fire a/r times a step,
and each of its spikes counts r. What r has to be is told by data (Diehl et al., IJCNN 2015, there as a division of
weights, which is the same): so large that values hardly exceed it, which no rate could tell, and no larger, because a
rate of few spikes is a coarse number. Actions have potentials that add up and never fire (Rueckauer et al. 2017): a
spike can say nothing about a value below 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwta_sim.agents.integrate_and_fire import spikes

__all__ = ["converted", "reach"]


def reach(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], drives: np.ndarray, share: float) -> np.ndarray:
    """What the values of each hidden layer reach.

    Parameters
    ----------
    weights : sequence of ndarray, shape (n_post, n_pre) each
        Layer after layer, that onto the actions last.
    biases : sequence of ndarray, shape (n_post,) each
    drives : ndarray, shape (n, n_inputs)
        Of the observations that are to tell.
    share : float
        Of the values above 0, those that are no larger.

    Returns
    -------
    ndarray, shape (hidden layers,)
        1 for a layer without a value above 0.
    """
    values, found = drives, []
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        values = np.maximum(values @ w.T + b, 0.0)
        active = values[values > 0]
        found.append(float(np.quantile(active, share)) if active.size else 1.0)
    return np.array(found)


def converted(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], thresholds: np.ndarray, currents: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """What spikes make of what the first hidden layer is given.

    Parameters
    ----------
    weights, biases
        As for `reach`; those onto the first hidden layer are in `currents` already.
    thresholds : ndarray, shape (hidden layers,)
        As `reach` gives them.
    currents : ndarray, shape (steps, n), float32

    Returns
    -------
    potentials : ndarray, shape (n_actions,)
        Of the actions at the end, divided by the steps: of a long decision what the network's logits are.
    fired : list of ndarray, shape (steps, n) each
        Spikes of each hidden layer, 1 or 0.
    """
    fired = []
    for w, b, threshold in zip(weights[1:], biases[1:], thresholds, strict=True):
        fired.append(spikes(currents, threshold=threshold))
        currents = fired[-1] @ (np.float32(threshold) * w.T) + b
    return currents.mean(axis=0), fired
