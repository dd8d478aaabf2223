"""Entropies and mutual information of winners against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from rwta_sim.circuit.information import binned, entropy_bits, mutual_bits
from rwta_sim.lab.vitals import Vitals, collapse
from rwta_sim.loop.activity import Activity, ActivityLog

N = 2000


def mean_within(values, expected, errors=4.5):
    """Of independent estimates: within so many standard errors; 4.5 gives a false alarm in about 1e-5."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < errors * error, (np.mean(values), expected, error)


@pytest.mark.parametrize("n", [50, N])
def test_entropy_of_a_fair_and_of_a_loaded_die(n):
    """Bias taken off to first order: what is left is far below a standard error of 400 estimates."""
    rng = np.random.default_rng(1)
    for p in (np.full(6, 1 / 6), np.array([0.5, 0.25, 0.15, 0.1])):
        found = [entropy_bits(rng.choice(p.size, n, p=p)) for _ in range(400)]
        mean_within(found, -(p * np.log2(p)).sum())
        plug_in = np.array(found) - (p.size - 1) / (2 * n * np.log(2))
        assert n > 100 or abs(plug_in.mean() + (p * np.log2(p)).sum()) > 0.03


def test_independent_variables_tell_nothing():
    """600 samples of 8 and 8 values: the plug-in estimate is .06 bit too large, of which a tenth is left at most."""
    rng = np.random.default_rng(2)
    found = [mutual_bits(*rng.integers(8, size=(2, 600))) for _ in range(400)]
    assert abs(np.mean(found)) < 0.006 and np.mean(np.array(found) < 0) > 0.2


def test_a_copy_tells_everything():
    x = np.random.default_rng(3).integers(8, size=N)
    assert mutual_bits(x, (x + 3) % 8) == pytest.approx(entropy_bits(x))
    assert mutual_bits(x, (x + 3) % 8) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("flip", [0.05, 0.25])
def test_a_binary_symmetric_channel(flip):
    """1 - H(flip); 200 estimates, within 4.5 standard errors."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        x = rng.integers(2, size=N)
        found.append(mutual_bits(x, x ^ (rng.random(N) < flip)))
    mean_within(found, 1 + flip * np.log2(flip) + (1 - flip) * np.log2(1 - flip))


def test_bins_hold_about_the_same():
    values = np.random.default_rng(5).standard_normal(8000)
    assert np.ptp(np.bincount(binned(values))) <= 2
    np.testing.assert_array_equal(binned(np.array([3.0, -1.0, 3.0, 7.0])), [1, 0, 1, 2])
    assert binned(np.zeros(100)).max() == 0
    heaped = np.concatenate([np.zeros(90), np.arange(1, 11)])  # nearly all the same
    assert binned(heaped).max() >= 1 and (binned(heaped)[:90] == binned(heaped)[0]).all()


def test_vitals_of_circuits_that_are_known():
    """One copies the action, one a coarse feature, one is idle, one has a single winner."""
    rng = np.random.default_rng(6)
    actions, features = rng.integers(4, size=N), rng.random((N, 2))
    coarse = (features[:, 1] * 4).astype(int)
    winners = np.stack([actions, coarse, rng.integers(4, size=N), np.full(N, 2)], axis=1)
    vitals = Vitals.of(Activity(winners, actions, features, np.zeros(0)))
    np.testing.assert_allclose(vitals.winner_bits, [2, 2, 2, 0], atol=0.02)
    np.testing.assert_allclose(vitals.action_bits, [2, 0, 0, 0], atol=0.02)
    np.testing.assert_allclose(vitals.state_bits[:, 1], [0, 2, 0, 0], atol=0.15)  # edges of bins are estimates
    np.testing.assert_allclose(vitals.top_share, [0.25, 0.25, 0.25, 1], atol=0.03)
    assert vitals.numbers()["action_bits"] == pytest.approx(0.0, abs=0.02)
    warning = collapse(vitals)
    assert warning is not None and warning.startswith("1 of 4 hidden circuits have collapsed (3)")
    assert collapse(Vitals.of(Activity(winners[:, :3], actions, features, np.zeros(0)))) is None


def test_silent_circuits_and_images():
    """Nobody is a winner too; of images single pixels are not asked."""
    winners = np.array([[-1, 0], [1, 0], [-1, 1], [1, 1]] * 50)
    log = ActivityLog(most=200)
    for decision in range(250):
        log.add(winners[decision % 200], decision % 2, np.zeros((8, 8)))
    activity = log.read()
    assert activity.features.shape == (200, 0) and activity.features.base is None
    vitals = Vitals.of(activity)
    np.testing.assert_allclose(vitals.action_bits, [1, 0], atol=0.02)
    assert np.isnan(vitals.state_bits).all() and np.isnan(vitals.numbers()["state_bits"])
