"""Numbers of a policy."""

from __future__ import annotations

import math

import numpy as np

from rwta_sim.errors import DivergenceError

__all__ = ["policy_entropy"]


def policy_entropy(policy: np.ndarray) -> float:
    """Entropy of action probabilities, shape (n_actions,), in nats.

    Raises
    ------
    DivergenceError
        If they are not finite.
    """
    entropy = 0.0
    for p in policy.tolist():  # a handful: faster than NumPy
        if p != 0.0:
            entropy -= p * math.log(p)
    if not math.isfinite(entropy):
        raise DivergenceError(f"firing probabilities became {policy[~np.isfinite(policy)][0]}")
    return entropy
