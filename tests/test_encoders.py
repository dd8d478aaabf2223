"""Encoders and decoders."""

from __future__ import annotations

import os
import re
import signal
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
from conftest import Scripted

import rwta_sim
from rwta_sim.circuit.decision import choose_action
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.encoders import Gaussian, Scaled
from rwta_sim.loop.spaces import Spaces


def make_encoder(env, spec):
    return spec.make(Spaces.of(env))


def env_with(observation=None, action=None):
    env = Scripted()
    env.observation_space = observation or env.observation_space
    env.action_space = action or env.action_space
    return env


def test_box_is_scaled_clipped_and_complemented():
    encoder = make_encoder(env_with(gym.spaces.Box(np.array([-1, 0]), np.array([1, 4]))), Scaled())
    features = encoder.features(np.array([0.5, 9.0]))
    np.testing.assert_allclose(features, [0.75, 1.0])
    np.testing.assert_allclose(encoder.drive(features), [0.75, 1.0, 0.25, 0.0])
    assert (encoder.n_features, encoder.n_inputs) == (2, 4)
    plain = make_encoder(env_with(), Scaled(complementary=False))
    assert plain.n_inputs == 2


def test_given_bounds_replace_missing_ones():
    cartpole = gym.make("CartPole-v1")
    with pytest.raises(EnvironmentFailure, match=r"CartPole-v1: observation\[1\] has no low bound.*set encoder.low"):
        make_encoder(cartpole, Scaled())
    encoder = make_encoder(cartpole, Scaled(low=(-2.0,), high=(2.0, 2.0, 0.5, 2.0)))
    np.testing.assert_allclose(encoder.features([0, 1, -0.75, -2]), [0.5, 0.75, 0.5, 0.0])


def test_images_are_flattened():
    space = gym.spaces.Box(0, 255, (4, 3, 2), np.uint8)
    encoder = make_encoder(env_with(space), Scaled(complementary=False))
    image = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    np.testing.assert_allclose(encoder.features(image), np.arange(24) / 255)


def test_discrete_is_one_hot():
    encoder = make_encoder(env_with(gym.spaces.Discrete(3, start=5)), Scaled())
    np.testing.assert_array_equal(encoder.drive(encoder.features(np.int64(6))), [0, 1, 0])
    for outside in (4, 8, 6.5, "6", np.nan, None):
        with pytest.raises(ValueError, match="expected an integer from 5 to 7"):
            encoder.features(outside)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_observations_must_be_finite(bad):
    with pytest.raises(ValueError, match=r"observation\[1\] = .*, expected a finite number"):
        make_encoder(env_with(), Scaled()).features(np.array([0.0, bad]))
    with pytest.raises(ValueError, match="observation of 3 numbers, expected 2"):
        make_encoder(env_with(), Scaled()).features(np.zeros(3))


def test_observations_have_the_shape_of_their_space():
    """The right count in another shape would be read in another order."""
    encoder = make_encoder(env_with(gym.spaces.Box(0.0, 1.0, (2, 3))), Scaled())
    grid = np.arange(6).reshape(2, 3) / 5
    np.testing.assert_allclose(encoder.features(grid), np.arange(6) / 5)
    np.testing.assert_allclose(encoder.features(grid.tolist()), np.arange(6) / 5)
    for other in (grid.T, grid.ravel(), grid[None]):
        with pytest.raises(ValueError, match=rf"of shape {re.escape(str(other.shape))}, expected \(2, 3\)"):
            encoder.features(other)


@pytest.mark.parametrize(
    "observation", [np.array([1j, 0]), [1 + 0j, 0], ["0", "1"], np.array(["0", "1"]), [Fraction(1, 2), 0], None]
)
def test_observations_are_real_numbers(observation):
    with pytest.raises(ValueError, match=r"observation .* of dtype (complex128|<U1|object), expected real numbers"):
        make_encoder(env_with(), Scaled()).features(observation)


INT = {dtype: np.iinfo(dtype) for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)}


@pytest.mark.parametrize(
    "space, which",
    [
        (gym.spaces.Box(-np.inf, np.inf, (1,), np.int64), "low"),
        (gym.spaces.Box(-np.inf, np.inf, (1,), np.int32), "low"),
        (gym.spaces.Box(-np.inf, np.inf, (1,), np.int16), "low"),
        (gym.spaces.Box(INT[np.int64].min, INT[np.int64].max, (1,), np.int64), "low"),
        (gym.spaces.Box(INT[np.int32].min, INT[np.int32].max, (1,), np.int64), "low"),
        (gym.spaces.Box(0, np.inf, (1,), np.int64), "high"),
        (gym.spaces.Box(0, INT[np.int32].max, (1,), np.int32), "high"),
        (gym.spaces.Box(0, INT[np.uint32].max, (1,), np.uint32), "high"),
        (gym.spaces.Box(-np.inf, np.inf, (1,), np.float16), "low"),
        (gym.spaces.Box(0, float(np.finfo(np.float16).max), (1,), np.float16), "high"),
    ],
    ids=str,
)
def test_limits_of_types_are_no_bounds(space, which):
    """Scaled by them, every observation would be the same."""
    with pytest.raises(EnvironmentFailure, match=rf"observation\[0\] has no {which} bound .* set encoder.{which}"):
        make_encoder(env_with(space), Scaled())
    given = make_encoder(env_with(space), Scaled(low=(0.0,), high=(4.0,)))
    assert given.features(np.array([1], space.dtype)) == 0.25


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_limits_of_short_types_are_bounds_where_they_are_named(dtype):
    low, high = int(INT[dtype].min), int(INT[dtype].max)
    encoder = make_encoder(env_with(gym.spaces.Box(low, high, (1,), dtype)), Scaled())
    middle = (low + high) // 2
    np.testing.assert_allclose(encoder.features(np.array([middle], dtype)), (middle - low) / (high - low))


@pytest.mark.parametrize(
    "space, spec, message",
    [
        (gym.spaces.MultiBinary(3), {}, "not supported; supported observation spaces: Box"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2)]), {}, "not supported"),
        (gym.spaces.Discrete(3), {"low": (0.0,)}, "are for Box observations"),
        (None, {"low": (0.0, 0.0, 0.0)}, "has 3 numbers, expected 1 or 2"),
        (None, {"low": (2.0,)}, r"encoder.low\[0\] = 2.0 must be below encoder.high\[0\] = 1.0"),
    ],
)
def test_unusable_observation_spaces(space, spec, message):
    with pytest.raises(EnvironmentFailure, match=message):
        make_encoder(env_with(space), Scaled(**spec))


def test_actions_must_be_discrete():
    assert Spaces.of(env_with(action=gym.spaces.Discrete(7))).n_actions == 7
    with pytest.raises(EnvironmentFailure, match="supported action spaces: Discrete"):
        Spaces.of(env_with(action=gym.spaces.Box(-1, 1, (1,))))


def test_decoders():
    rng = np.random.default_rng(0)
    q, counts = np.array([0.2, 0.3, 0.5]), np.array([4.0, 1.0, 2.0])
    assert choose_action("last_spike", np.array([0, 1.0, 0]), counts, q, rng) == 1
    assert choose_action("most_spikes", np.array([0, 1.0, 0]), counts, q, rng) == 0
    # Ties are broken at random, never for a loser; a silent circuit is drawn from q (3 sigma at n = 1000).
    ties = [choose_action("most_spikes", np.zeros(3), np.array([3.0, 1, 3]), q, rng) for _ in range(200)]
    assert set(ties) == {0, 2}
    silent = [choose_action("last_spike", np.zeros(3), np.zeros(3), q, rng) for _ in range(1000)]
    assert abs(silent.count(2) - 500) < 3.9 * np.sqrt(250)


def test_copies_share_a_drive():
    space = gym.spaces.Box(-1.0, 1.0, (2,))
    encoder = make_encoder(env_with(space), Scaled(copies=3))
    drive = encoder.drive(encoder.features(np.array([0.5, -1.0])))
    np.testing.assert_allclose(drive, 3 * [0.75, 0.0, 0.25, 1.0])
    assert encoder.n_inputs == drive.size == 12
    discrete = make_encoder(env_with(gym.spaces.Discrete(3)), Scaled(copies=2))
    np.testing.assert_allclose(discrete.drive(discrete.features(1)), [0, 1, 0, 0, 1, 0])
    assert discrete.n_inputs == 6


# -- tuning curves -----------------------------------------------------------------------------------


def test_tuning_curves_against_the_formula():
    """Two dimensions of [-1, 1] and [0, 4], three cells each: centres at the ends and between, width half of their
    distance; the copies of all cells follow."""
    space = gym.spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 4.0]))
    encoder = make_encoder(env_with(space), Gaussian(cells=3, width=0.5, copies=2))
    assert (encoder.n_features, encoder.n_inputs, encoder.frames) == (2, 12, 0)
    features = encoder.features(np.array([0.5, 9.0]))
    np.testing.assert_allclose(features, [0.75, 1.0])
    cells = [
        *(np.exp(-((s - c) ** 2) / (2 * 0.25**2)) for s, c in ((0.75, 0.0), (0.75, 0.5), (0.75, 1.0))),
        *(np.exp(-((s - c) ** 2) / (2 * 0.25**2)) for s, c in ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0))),
    ]
    np.testing.assert_allclose(encoder.drive(features), cells + cells, rtol=1e-12)


def test_tuning_curves_cover_what_was_seen():
    """Within the bounds; a dimension that did not move keeps its bounds. Its state makes another one the same."""
    space = gym.spaces.Box(np.array([0.0, 0.0]), np.array([10.0, 1.0]))
    settings = Gaussian(cells=5, fit=3)
    encoder, other = (make_encoder(env_with(space), settings) for _ in range(2))
    assert encoder.frames == 3
    encoder.calibrate([encoder.features(np.array([x, 0.5])) for x in (2.0, 4.0, 3.0)])
    np.testing.assert_allclose(encoder.centres, [[0.2, 0.25, 0.3, 0.35, 0.4], [0.0, 0.25, 0.5, 0.75, 1.0]])
    np.testing.assert_allclose(encoder.widths, [[0.05], [0.25]])
    for name, array in encoder.state().items():
        other.state()[name][:] = array
    features = encoder.features(np.array([3.3, 0.1]))
    np.testing.assert_array_equal(other.drive(features), encoder.drive(features))


def test_tuning_curves_are_for_boxes():
    with pytest.raises(EnvironmentFailure, match=r"'gaussian' is for Box observations, these are Discrete\(3\)"):
        make_encoder(env_with(gym.spaces.Discrete(3)), Gaussian())


def test_kinds_from_settings():
    """Files from before there were kinds are read; settings of another kind are unknown."""
    cartpole = rwta_sim.preset("cartpole", "svpg-lockstep")
    tree = cartpole.model_dump(mode="json")
    del tree["encoder"]["kind"]
    assert type(cartpole).of(tree) == cartpole
    changed = cartpole.changed({"encoder.kind": "gaussian", "encoder.cells": 5, "encoder.low": (-1.0,)})
    assert changed.encoder == Gaussian(cells=5, low=(-1.0,))
    with pytest.raises(ConfigError, match=r"unknown setting 'encoder\.complementary'"):
        changed.changed({"encoder.complementary": True})
    with pytest.raises(ConfigError, match=r"encoder: .*'gausian'|encoder\.kind = 'gausian'"):
        cartpole.changed({"encoder.kind": "gausian"})


def test_a_calibrated_encoder_trains_and_resumes_exactly(tmp_path):
    """Its centres are in the checkpoint: bit for bit the run that was never stopped."""
    changes = {"encoder.kind": "gaussian", "encoder.fit": 50, "encoder.low": (-2.0,), "encoder.high": (2.0,)}
    short = {"engine.target": "numpy", "training.episodes": 4, "training.checkpoint_every": 2}
    experiment = rwta_sim.preset("cartpole", "svpg-lockstep").changed(
        {**changes, **short, "training.validate_every": 10, "decision.steps": 10, "training.validation_episodes": 1}
    )

    def stop(progress):
        if progress.episode == 3:
            os.kill(os.getpid(), signal.SIGINT)

    assert rwta_sim.train(experiment, tmp_path / "whole").finished
    assert not rwta_sim.train(experiment, tmp_path / "parts", report=stop).finished
    assert rwta_sim.resume(tmp_path / "parts").finished
    ends = [RunFolder.open(tmp_path / name).last().arrays for name in ("whole", "parts")]
    centres = next(array for key, array in ends[0].items() if key.endswith("centres"))
    assert centres.shape == (4, 8) and 0.0 < centres.min() < centres.max() < 1.0
    assert ends[0].keys() == ends[1].keys()
    for key, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][key], array, err_msg=key)
