"""Parity of bits, the classic problem that no network without hidden neurons solves; XOR is that of two bits."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rwta_sim.envs.patterns import SPLITS, Patterns, PatternTask

__all__ = ["Parity"]

_MAX_BITS = 16


class Parity(PatternTask):
    """Say whether the number of ones is odd.

    Observation: ``Box(0, 1, (n_bits,))``, each bit 0 or 1. Action: ``Discrete(2)``, 0 for even and 1 for odd.
    Pattern i is i in binary, the highest bit first. Train, validation and test are the same 2**n_bits patterns: there
    is nothing to generalise to, since no pattern tells the parity of another.

    Parameters
    ----------
    n_bits : int
        From 1 to 16.
    **settings
        Those of `PatternTask`: right_reward, wrong_reward, render_mode.
    """

    def __init__(self, n_bits: int = 3, **settings: Any) -> None:
        try:
            n = operator.index(n_bits)
        except TypeError:
            n = -1
        if not 1 <= n <= _MAX_BITS:
            why = "parity of zero bits is no task" if n == 0 else "parity needs a whole number of bits"
            raise ValueError(f"n_bits = {n_bits!r}: {why}, expected 1 to {_MAX_BITS}")
        bits = ((np.arange(2**n)[:, None] >> np.arange(n)[::-1]) & 1).astype(np.uint8)
        patterns = Patterns(bits, bits.sum(axis=1) % 2)
        super().__init__(dict.fromkeys(SPLITS, patterns), 2, **settings)
