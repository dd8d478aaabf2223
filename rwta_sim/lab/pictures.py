"""Pictures of an environment, as it renders them, made alike."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_picture", "smaller"]


def as_picture(given: Any) -> np.ndarray:
    """A picture as red, green and blue, shape (height, width, 3), uint8, whose memory is nobody else's.

    Raises
    ------
    ValueError
        If it is none: with one to four channels, of whole numbers in [0, 255], or other numbers in [0, 1].
    """
    picture = np.asarray(given)
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size or picture.dtype.kind not in "biuf":
        raise ValueError("expected a picture: an array of shape (height, width, 3) and of whole numbers up to 255")
    if picture.dtype != np.uint8:
        most = 255 if picture.dtype.kind in "iu" else 1
        if not (picture.min() >= 0 and picture.max() <= most):  # also NaN
            raise ValueError(f"numbers from {picture.min()} to {picture.max()}, expected from 0 to {most}")
        picture = np.round(picture * (255.0 / most)).astype(np.uint8)
    return np.array(np.broadcast_to(picture[..., :3], (*picture.shape[:2], 3)))


def smaller(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Means over squares of pixels, of the largest side that leaves no less than what fits into `size`."""
    (height, width), (h, w) = picture.shape[:2], size or picture.shape[:2]
    n = max(height // h, width // w)
    if n <= 1:
        return picture
    rows, columns = max(1, height // n), max(1, width // n)
    squares = picture[: rows * n, : columns * n].reshape(rows, min(n, height), columns, min(n, width), 3)
    return np.round(squares.mean(axis=(1, 3))).astype(np.uint8)
