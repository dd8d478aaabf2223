"""scikit-learn's small handwritten digits, 8 by 8 pixels; nothing is downloaded."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rwta_sim.envs.patterns import Patterns, PatternTask

__all__ = ["Digits"]

# Image i goes by i mod 9: 1,200 train, 199 validate, 398 test. Digits often come in tens, hence nine, which
# spreads every class and every writer over the splits; and no generator, whose stream may change one day, takes part.
_SPLIT_OF_REMAINDER = {"train": range(6), "validation": range(6, 7), "test": range(7, 9)}


class Digits(PatternTask):
    """Name the handwritten digit: 1,797 images of 8 by 8 pixels, from the UCI optical digits, by scikit-learn.

    Observation: ``Box(0, 1, (8, 8))``, ink in sixteenths. Action: ``Discrete(10)``, the digit.
    1,200 images train, 199 validate and 398 test, always the same ones.

    Parameters
    ----------
    **settings
        Those of `PatternTask`: right_reward, wrong_reward, render_mode.

    Raises
    ------
    ImportError
        Without scikit-learn.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(_load(), 10, **settings)


@functools.cache
def _load() -> dict[str, Patterns]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("rwta_sim/Digits-v0 needs scikit-learn: pip install 'rwta_sim[digits]'") from error
    data = load_digits()
    images, labels = data.images.astype(np.uint8), data.target.astype(np.int64)
    remainder = np.arange(len(labels)) % 9
    return {
        name: Patterns(images[chosen], labels[chosen], 1 / 16)
        for name, chosen in ((name, np.isin(remainder, own)) for name, own in _SPLIT_OF_REMAINDER.items())
    }
