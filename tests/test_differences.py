"""Differences of means: intervals and effect sizes, against SciPy and by hand; and what the answer says of them."""

from __future__ import annotations

import numpy as np
import pytest
import robustness
from scipy.stats import bootstrap

from rwta_sim.analysis import difference_interval, effect_size


def test_intervals_of_differences_are_those_of_scipy():
    """Ends within a twentieth of the width (Monte Carlo error of 10,000 resamples: about a hundredth)."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 1, 8), rng.normal(0, 3, 5)
    theirs = bootstrap(
        (one, other), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), method="percentile", n_resamples=20_000
    ).confidence_interval
    low, high = difference_interval(one, other)
    width = theirs.high - theirs.low
    assert abs(low - theirs.low) < 0.05 * width and abs(high - theirs.high) < 0.05 * width


def test_effect_size_by_hand():
    """Two means that are 2 apart, a pooled variance of (2 + 2)/4 = 1, and 6 values: 2 (1 - 3/15)."""
    assert effect_size(np.array([2.0, 3, 4]), np.array([0.0, 1, 2])) == pytest.approx(2 * (1 - 3 / 15))
    assert effect_size(np.full(5, 2.0), np.full(5, 1.0)) == np.inf
    assert effect_size(np.full(5, 2.0), np.full(5, 2.0)) == 0


def test_areas_are_means_over_levels():
    levels = {"0.1": [8.0, 10.0], "0.4": [0.0, 0.0]}
    assert robustness.area("input-gaussian", [10.0, 10.0], levels) == pytest.approx((0.1 * 9.5 + 0.3 * 4.5) / 0.4)
    assert robustness.area("weights-bits", [10.0, 10.0], levels) == pytest.approx(19 / 3)
    assert robustness.area("environment-length", [10.0, 10.0], {"1": [4.0, 6.0], "9": None}) == pytest.approx(7.5)


def table(shift, seeds):
    """Of `svpg`, and of `ppo` with returns less by `shift` at each level."""
    runs = []
    for seed in range(seeds):
        for system, less in (("svpg", 0.0), ("ppo", shift)):
            families = {"input-gaussian": {"0.1": [100.0 + seed - less], "0.2": [90.0 + seed - less]}}
            runs.append({"task": "cartpole", "system": system, "seed": seed, "plain": [200.0], "families": families})
    return {"runs": runs}


@pytest.mark.parametrize(
    ("shift", "seeds", "says"),
    [
        (30, 5, "| confirmed | `input-gaussian` |  |"),
        (-30, 5, "| refuted: the other way round |  | `input-gaussian` |"),
        (0, 5, "| not shown |  |  |"),
        (30, 4, "| too few seeds to say | | |"),
    ],
)
def test_claims(shift, seeds, says):
    lines = list(robustness.answers(table(shift, seeds)))
    assert lines[1] == "### `cartpole`" and "| `svpg` above `ppo` |" in lines[-3] and says in lines[-3]
    assert f"| seeds | {seeds} | {seeds} |" in lines and "| `weights-bits` | – | – |" in lines
