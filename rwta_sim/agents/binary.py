"""Stochastic neurons that fire or keep silent, y = +1 or -1, as Brian2 equations; nothing here knows of a circuit.

``P(y = +1 | z) = 1/(1 + exp(-2 z))`` (Aenugu 2020, arXiv 2005.05941): the stationary law of a spin in the field z. The
random number is a variable, so that a network may draw it, or be given those of another one and do the same again:
the neuron fires if its uniform number u is below P. In numbers y counts: silence says -1, not nothing. A spike of
weight w therefore adds 2 w to a potential that rests at ``b - sum w``.
"""

from __future__ import annotations

import numpy as np

__all__ = ["DELIVER", "FIRES", "MUTE", "NEURON", "RESTS", "resting"]

#: Potential, uniform number in [0, 1), and the probability to fire.
NEURON = """
z : 1
u : 1
p = 1/(1 + exp(-2*z)) : 1
"""
FIRES = "u < p"
#: What a spike of a neuron with the weight w adds to a potential.
DELIVER = "z_post += 2*w"
#: A potential at which a neuron never fires: P = exp(-100).
MUTE = -50.0
#: Biases that lesions of a layer give its neurons (`rwta_sim.agents.layer_lesions`): who is silent says -1.
RESTS = {"lesion": 0.0, "silence": MUTE, "drive": -MUTE}


def resting(weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Potential without a spike: every neuron before says -1.

    Parameters
    ----------
    weights : ndarray, shape (n_post, n_pre)
    bias : ndarray, shape (n_post,)
    """
    return bias - weights.sum(axis=1)
