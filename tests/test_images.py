"""From frames to observations: resizing, encodings, history, motion, and cameras that give nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from rwta_sim.envs.images import ImageOptions, ImagePipeline, resize_matrix
from rwta_sim.errors import CameraError

SIZE = (12, 16)
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def picture(seed: int, shape: tuple[int, ...] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def seen(frame: Any, camera: tuple[int, int] | None = None, **options: Any) -> np.ndarray:
    return ImagePipeline(ImageOptions(**{"size": SIZE, **options}), camera).reset(frame)


def test_grey_is_the_frame():
    frame = picture(1)
    observation = seen(frame)
    assert observation.dtype == np.float32
    np.testing.assert_allclose(observation, frame / 255, rtol=1e-6)
    np.testing.assert_allclose(seen(frame / 255), frame / 255, rtol=1e-6)


@pytest.mark.parametrize("camera", [(24, 32), (36, 80), (18, 24), (12, 16), (15, 37)])
@pytest.mark.parametrize("as_floats", [False, True])
def test_resizing_averages_areas(camera, as_floats):
    """A pixel repeated until both grids divide, then averaged in blocks, gives the same by whole numbers."""
    frame = picture(2, (*camera, 3))
    fine = frame.repeat(SIZE[0], 0).repeat(SIZE[1], 1).astype(float)
    expected = fine.reshape(SIZE[0], camera[0], SIZE[1], camera[1], 3).mean((1, 3)) / 255
    observation = seen(frame / 255 if as_floats else frame, camera, encoding="rgb")
    np.testing.assert_allclose(observation, expected.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(seen(frame, camera), expected @ LUMINANCE, atol=1e-6)


def test_enlarging_repeats():
    np.testing.assert_allclose(resize_matrix(2, 6), np.eye(2).repeat(3, 0))


def test_differences_of_gaussians():
    """Away from the borders, where scipy's filter and this one differ, both parts agree with scipy's."""
    frame = picture(3, (40, 50))
    smooth = [gaussian_filter(frame / 255, sigma, truncate=8) for sigma in (0.8, 2.4)]
    difference = 4.0 * (smooth[0] - smooth[1])
    inner = np.s_[..., 12:-12, 12:-12]
    on, off = seen(frame, size=(40, 50), encoding="on_off")
    np.testing.assert_allclose(on[inner], difference.clip(0, 1)[inner], atol=1e-5)
    np.testing.assert_allclose(off[inner], (-difference).clip(0, 1)[inner], atol=1e-5)
    one = seen(frame, size=(40, 50), encoding="dog")
    np.testing.assert_allclose(one, 0.5 + (on - off) / 2, atol=1e-6)


@pytest.mark.parametrize("camera", [(24, 32), (48, 80), (12, 16)])
@pytest.mark.parametrize("colour", [False, True])
def test_highlights(camera, colour):
    frame = picture(6, (*camera, 3) if colour else camera)
    grey, spots = seen(frame, camera, encoding="highlights", threshold=0.6, gain=2.0)
    luminance = (frame @ LUMINANCE if colour else frame) / 255
    blocks = luminance.reshape(SIZE[0], camera[0] // SIZE[0], SIZE[1], camera[1] // SIZE[1])
    np.testing.assert_allclose(grey, blocks.mean((1, 3)), atol=1e-6)
    np.testing.assert_allclose(spots, (2 * (blocks.max((1, 3)) - 0.6)).clip(0, 1), atol=1e-6)


def test_highlights_of_areas_that_share_pixels():
    """Every pixel of the camera counts in one area, whatever the sizes."""
    pipeline = ImagePipeline(ImageOptions(size=SIZE, encoding="highlights"), (15, 37))
    for place in np.ndindex(15, 37):
        frame = np.zeros((15, 37))
        frame[place] = 1
        assert np.count_nonzero(pipeline.reset(frame)[1]) == 1


def test_retina_ignores_what_is_even():
    """A bright half: only its edge is seen, on its bright side by on-cells, on its dark side by off-cells."""
    frame = np.full((60, 80), 40, np.uint8)
    frame[:, 40:] = 160
    on, off = seen(frame, size=(60, 80), encoding="on_off")
    far = np.r_[0:28, 52:80]
    assert max(on[:, far].max(), off[:, far].max()) < 1e-5
    assert (on[:, 40] > 0.3).all() and (off[:, 39] > 0.3).all()
    assert max(off[:, 40:].max(), on[:, :40].max()) < 1e-5


def test_opponent_colours():
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[:, :8] = (100, 60, 20)
    frame[:, 8:] = (10, 20, 200)
    on, off, red, green, blue, yellow = seen(frame, encoding="opponent", gain=1.0)
    np.testing.assert_allclose(red[0], [40 / 255] * 8 + [0] * 8, atol=1e-6)
    np.testing.assert_allclose(green[0], [0] * 8 + [10 / 255] * 8, atol=1e-6)
    np.testing.assert_allclose(blue[0], [0] * 8 + [185 / 255] * 8, atol=1e-6)
    np.testing.assert_allclose(yellow[0], [60 / 255] * 8 + [0] * 8, atol=1e-6)
    same = seen(frame @ LUMINANCE / 255, encoding="on_off", gain=1.0)
    np.testing.assert_allclose(np.stack([on, off]), same, atol=1e-6)


def test_history_and_motion():
    frames = [picture(seed) / 255 for seed in range(5)]
    pipeline = ImagePipeline(ImageOptions(size=SIZE, frames=3, motion=True, gain=2.0))
    observations = [pipeline.reset(frames[0]), *(pipeline.step(frame) for frame in frames[1:])]
    assert observations[0].shape == pipeline.shape == pipeline.options.space.shape == (5, *SIZE)
    np.testing.assert_allclose(observations[0], np.stack([frames[0]] * 3 + [0 * frames[0]] * 2), atol=1e-6)
    np.testing.assert_allclose(observations[1][:3], np.stack([frames[0], frames[0], frames[1]]), atol=1e-6)
    change = 2 * (frames[4] - frames[3])
    expected = np.stack([*frames[2:], change.clip(0, 1), (-change).clip(0, 1)])
    np.testing.assert_allclose(observations[4], expected, atol=1e-6)
    np.testing.assert_array_equal(pipeline.reset(frames[0]), observations[0])


@pytest.mark.parametrize("encoding", ["grey", "highlights", "on_off", "dog", "rgb", "opponent"])
@pytest.mark.parametrize("frames", [1, 2])
def test_observations_are_in_their_space(encoding, frames):
    options = ImageOptions(size=SIZE, encoding=encoding, frames=frames, motion=frames == 2)
    pipeline = ImagePipeline(options, (24, 32))
    first, second = pipeline.reset(picture(4, (24, 32, 3))), pipeline.step(picture(5, (24, 32, 3)))
    assert options.space.contains(first) and options.space.contains(second)
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "gave None"),
        (np.zeros((0, 0)), r"shape \(0, 0\), expected \(12, 16\) or \(12, 16, 3\)"),
        (picture(1, (16, 12)), r"shape \(16, 12\)"),
        (picture(1).astype(int), "int64, expected uint8"),
        (np.where(picture(1) > 250, np.nan, 0.5), "from nan to nan"),
        (picture(1) / 100, "expected 0 to 1"),
        (np.zeros(SIZE, np.uint8), "every pixel of its frame is 0"),
    ],
)
def test_camera_that_gives_nothing(frame, message):
    with pytest.raises(CameraError, match=message):
        seen(frame)


def test_colour_needs_colour():
    with pytest.raises(CameraError, match=r"expected \(12, 16, 3\)"):
        seen(picture(1), encoding="opponent")


def test_real_constant_frame():
    pipeline = ImagePipeline(ImageOptions(size=SIZE, encoding="on_off"), allow_constant=True)
    np.testing.assert_allclose(pipeline.reset(np.full(SIZE, 0.7)), 0, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 80)},
        {"frames": 0},
        {"encoding": "hsv"},
        {"centre": 3.0},
        {"gain": -1},
        {"threshold": 2},
        {"colour": True},
    ],
)
def test_wrong_options(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong)) if "centre" not in wrong else "more than centre"):
        ImageOptions(**wrong)
