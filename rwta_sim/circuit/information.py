"""What is told by who wins in a circuit: entropies and mutual information in bits, with their bias taken off.

Plug-in estimates from N samples are biased: an entropy is too small by about (K - 1)/(2 N ln 2), K the number of
values that occur (Miller 1955), and mutual information, H(X) + H(Y) - H(X, Y), therefore too large by
(K_xy - K_x - K_y + 1)/(2 N ln 2) (Panzeri and Treves 1996, first order). Both are taken off here; so the mutual
information of independent variables is 0 in the mean, and may be estimated a little below.
"""

from __future__ import annotations

import numpy as np

__all__ = ["binned", "entropy_bits", "mutual_bits"]


def entropy_bits(labels: np.ndarray) -> float:
    """Entropy of a discrete variable, from samples.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        From 0; n at least 1.
    """
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum() + (counts.size - 1) / (2 * counts.sum() * np.log(2)))


def mutual_bits(x: np.ndarray, y: np.ndarray) -> float:
    """Mutual information of two discrete variables, from samples; shapes (n,), of int from 0."""
    return entropy_bits(x) + entropy_bits(y) - entropy_bits(x * (int(y.max()) + 1) + y)


def binned(values: np.ndarray, bins: int = 8) -> np.ndarray:
    """A variable in bins that hold about the same number of samples; one that has few values keeps them.

    Parameters
    ----------
    values : ndarray, shape (n,)
    bins : int

    Returns
    -------
    ndarray of int, shape (n,)
        From 0 to at most ``bins - 1``.
    """
    known, index = np.unique(values, return_inverse=True)
    if known.size <= bins:
        return np.asarray(index)
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return np.asarray(np.searchsorted(np.unique(edges), values, side="right"))
