"""From a camera's frames to observations: resizing, retina-like encodings, frame history and motion."""

from __future__ import annotations

from collections import deque
from typing import Any, Literal, Self

import numpy as np
from gymnasium import spaces
from pydantic import Field, model_validator

from rwta_sim.errors import CameraError
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

__all__ = ["Encoding", "ImageOptions", "ImagePipeline", "gaussian_matrix", "resize_matrix"]

Encoding = Literal["grey", "highlights", "on_off", "dog", "rgb", "opponent"]
# ITU-R BT.601.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_CHANNELS = {"grey": 1, "highlights": 2, "on_off": 2, "dog": 1, "rgb": 3, "opponent": 6}


class ImageOptions(Settings):
    """What a network sees of a camera's frame.

    The encodings, each in [0, 1]:

    grey
        Luminance.
    highlights
        Two channels: luminance, and the brightest luminance that the camera sees within the area of a pixel, minus
        `threshold`, times `gain`. The maximum is that of complex cells (Riesenhuber & Poggio 1999, Nature Neuroscience
        2:1019): what is small and bright is not averaged away, wherever in the area it is.
    on_off
        Two channels, the positive and the negative part of a centre-surround difference of Gaussians of the
        luminance, times `gain`: on- and off-centre ganglion cells (Rodieck 1965, Vision Research 5:583).
    dog
        The same difference in one channel, half of it about 0.5.
    rgb
        Red, green, blue.
    opponent
        Six channels: on, off; red over green, green over red, blue over yellow, yellow over blue, times `gain`, where
        yellow is the mean of red and green (colour-opponent cells, without a surround).
    """

    size: tuple[PositiveInt, PositiveInt] = Field((60, 80), description="height and width in pixels")
    encoding: Encoding = Field("grey", description="what a pixel becomes")
    frames: PositiveInt = Field(1, description="frames shown, this one and those before it, as channels")
    motion: bool = Field(
        False, description="add two channels: rise and fall of luminance since the last frame, times gain"
    )
    centre: PositiveFloat = Field(0.8, description="standard deviation of the receptive field's centre, in pixels")
    surround: PositiveFloat = Field(2.4, description="standard deviation of its surround, in pixels")
    gain: PositiveFloat = Field(4.0, description="factor of differences, which are small; clipped at 1")
    threshold: Fraction = Field(0.45, description="luminance from which highlights begin")

    @model_validator(mode="after")
    def _wider(self) -> Self:
        if self.surround <= self.centre:
            raise ValueError(f"surround = {self.surround}: expected more than centre = {self.centre}")
        return self

    @property
    def colour(self) -> bool:
        """Whether the camera must see colour."""
        return self.encoding in ("rgb", "opponent")

    @property
    def channels(self) -> int:
        """Channels of an observation."""
        return self.frames * _CHANNELS[self.encoding] + 2 * self.motion

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an observation: (height, width), or (channels, height, width) where there are several."""
        return self.size if self.channels == 1 else (self.channels, *self.size)

    @property
    def space(self) -> spaces.Box:
        """The observation space."""
        return spaces.Box(0.0, 1.0, self.shape, np.float32)


class ImagePipeline:
    """Turns the frames of an episode into observations.

    Channels stand in the order oldest frame to newest, each with its encoding's channels, and motion last. Before
    an episode's first frame the world is taken to have stood still.

    Parameters
    ----------
    options : ImageOptions
    camera : (int, int), optional
        Height and width of the camera's frames; without it, `options.size`.
    allow_constant : bool
        Whether a frame of one and the same value may be real.
    """

    def __init__(
        self, options: ImageOptions, camera: tuple[int, int] | None = None, allow_constant: bool = False
    ) -> None:
        self.options = options
        self.shape = options.shape
        self._camera = options.size if camera is None else camera
        self._allow_constant = allow_constant
        self._resize = [resize_matrix(*pair) for pair in zip(self._camera, options.size, strict=True)]
        self._block = self._whole_blocks()
        self._centre = [gaussian_matrix(n, options.centre) for n in options.size]
        self._surround = [gaussian_matrix(n, options.surround) for n in options.size]
        self._history: deque[np.ndarray] = deque(maxlen=options.frames)
        self._luminance: np.ndarray | None = None

    def _whole_blocks(self) -> tuple[int, int] | None:
        (tall, wide), (height, width) = self._camera, self.options.size
        whole = tall % height == 0 and wide % width == 0
        # Larger blocks are summed faster by matrices.
        return (tall // height, wide // width) if whole and tall * wide <= 4 * height * width else None

    def reset(self, frame: Any) -> np.ndarray:
        """The observation of an episode's first frame; see `step`."""
        self._history.clear()
        self._luminance = None
        return self.step(frame)

    def step(self, frame: Any) -> np.ndarray:
        """The observation that `frame` makes, shape `shape`, float32, a new array.

        Parameters
        ----------
        frame : array
            Shape (height, width) or (height, width, 3) of the camera, uint8, or floats from 0 to 1.

        Raises
        ------
        CameraError
            If the frame is not one: missing, empty, of another shape, NaN, out of range, or (unless allowed) the same
            everywhere.
        """
        frame = self._checked(frame)
        whole = (frame[None] if frame.ndim == 2 else np.moveaxis(frame, 2, 0)).astype(np.float32)
        if frame.dtype == np.uint8:
            whole *= np.float32(1 / 255)
        if self.options.colour:
            planes = self._small(whole)
            luminance = _luminance(planes)
            encoded = self._coloured(planes, luminance)
        else:
            full = _luminance(whole)
            luminance = self._small(full[None])[0]
            encoded = self._colourless(full, luminance)
        if not self._history:
            self._history.extend([encoded] * self.options.frames)
        else:
            self._history.append(encoded)
        channels = list(self._history)
        if self.options.motion:
            change = luminance - (luminance if self._luminance is None else self._luminance)
            channels.append(_halves(change, self.options.gain))
        self._luminance = luminance
        return np.concatenate(channels).reshape(self.shape)

    def _checked(self, frame: Any) -> np.ndarray:
        if frame is None:
            raise CameraError("the camera gave None instead of a frame")
        frame = np.asarray(frame)
        expected = [(*self._camera, 3)] if self.options.colour else [self._camera, (*self._camera, 3)]
        if frame.shape not in expected:
            wanted = " or ".join(map(str, expected))
            raise CameraError(f"the camera gave a frame of shape {frame.shape}, expected {wanted}")
        if frame.dtype != np.uint8 and frame.dtype.kind != "f":
            raise CameraError(f"the camera gave a frame of {frame.dtype}, expected uint8 or floats from 0 to 1")
        low, high = frame.min(), frame.max()
        # A NaN anywhere makes both extremes NaN.
        if frame.dtype != np.uint8 and not (low >= 0 and high <= 1):
            raise CameraError(f"the camera gave values from {low} to {high}, expected 0 to 1")
        if low == high and not self._allow_constant:
            raise CameraError(f"the camera gave nothing: every pixel of its frame is {low}")
        return frame

    def _small(self, planes: np.ndarray) -> np.ndarray:
        """Planes (n, height, width) of the camera, averaged to the size of the observation."""
        if self._block is None:
            rows, columns = self._resize
            return rows @ planes @ columns.T
        tall, wide = self._block
        total = np.zeros((len(planes), *self.options.size), np.float32)
        for i in range(tall):
            for j in range(wide):
                total += planes[:, i::tall, j::wide]
        return total / np.float32(tall * wide)

    def _colourless(self, full: np.ndarray, luminance: np.ndarray) -> np.ndarray:
        options = self.options
        match options.encoding:
            case "highlights":
                brightest = _maximum(full, options.size)
                lit = (brightest - np.float32(options.threshold)) * np.float32(options.gain)
                return np.stack([luminance, lit.clip(0, 1)])
            case "on_off":
                return _halves(self._difference(luminance), options.gain)
            case "dog":
                return (0.5 + np.float32(0.5 * options.gain) * self._difference(luminance)).clip(0, 1)[None]
        return luminance[None]

    def _coloured(self, planes: np.ndarray, luminance: np.ndarray) -> np.ndarray:
        if self.options.encoding == "rgb":
            return planes
        red, green, blue = planes
        differences = (self._difference(luminance), red - green, blue - (red + green) / 2)
        return np.concatenate([_halves(difference, self.options.gain) for difference in differences])

    def _difference(self, luminance: np.ndarray) -> np.ndarray:
        (c0, c1), (s0, s1) = self._centre, self._surround
        return c0 @ luminance @ c1.T - s0 @ luminance @ s1.T


def _luminance(planes: np.ndarray) -> np.ndarray:
    if len(planes) == 1:
        return planes[0]
    return (_LUMINANCE @ planes.reshape(3, -1)).reshape(planes.shape[1:])


def _maximum(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The greatest value in each of height x width areas of `picture`."""
    for axis, to in enumerate(size):
        n = picture.shape[axis]
        if n % to == 0:
            blocks = (*picture.shape[:axis], to, n // to, *picture.shape[axis + 1 :])
            picture = picture.reshape(blocks).max(axis + 1)
        else:
            picture = np.maximum.reduceat(picture, np.arange(to) * n // to, axis)
    return picture


def _halves(signed: np.ndarray, gain: float) -> np.ndarray:
    """Positive and negative part, times `gain`, clipped at 1: shape (2, height, width)."""
    scaled = signed * np.float32(gain)
    return np.stack([scaled, -scaled]).clip(0, 1)


def gaussian_matrix(n: int, sigma: float) -> np.ndarray:
    """Matrix, shape (n, n), smoothing by a Gaussian of `sigma` pixels; each row sums to 1, even at a border."""
    place = np.arange(n)
    weights = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    # Tails too small for normalised single precision would make products ten times slower.
    weights[weights < 1e-12] = 0
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resize_matrix(n_from: int, n_to: int) -> np.ndarray:
    """Matrix, shape (n_to, n_from), that averages `n_from` pixels over the areas of `n_to`; each row sums to 1."""
    edges = np.arange(n_to + 1) * (n_from / n_to)
    pixel = np.arange(n_from)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(overlap, 0, None) * (n_to / n_from)).astype(np.float32)
