"""MNIST: handwritten digits of 28 by 28 pixels, from a folder or from OpenML."""

from __future__ import annotations

import functools
import importlib.util
import os
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.envs.idx import read_idx
from rwta_sim.envs.patterns import Patterns, PatternTask

__all__ = ["MNIST"]

_VALIDATION = 5000
_SIDE = 28


class MNIST(PatternTask):
    """Name the handwritten digit (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").

    Observation: ``Box(0, 1, (28, 28))``, grey levels. Action: ``Discrete(10)``, the digit.
    The last 5,000 of the training images (of a folder with fewer than 30,000: the last sixth) validate and are
    not trained on. A folder is read once per process.

    Parameters
    ----------
    folder : path, optional
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte,
        each gzipped (.gz) or not; "train-images.idx3-ubyte" and so on will do. Any number of images.
        Without it scikit-learn fetches the data set mnist_784 from OpenML and keeps it.
    data_home : path, optional
        Where scikit-learn keeps it; default: its own folder.
    **settings
        Those of `PatternTask`: right_reward, wrong_reward, render_mode.

    Raises
    ------
    OSError
        If the folder or a file is missing or cannot be read, or OpenML cannot be reached.
    ValueError
        If a file is not what its name says: see the message.
    ImportError
        Without `folder` and without scikit-learn.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        data_home: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        if folder is None:
            splits = _fetch(None if data_home is None else str(data_home))
        else:
            splits = _load(Path(folder).expanduser().resolve())
        super().__init__(splits, 10, **settings)


def _split(images: np.ndarray, labels: np.ndarray, test: tuple[np.ndarray, np.ndarray]) -> dict[str, Patterns]:
    kept = len(labels) - min(_VALIDATION, len(labels) // 6)
    parts = {"train": (images[:kept], labels[:kept]), "validation": (images[kept:], labels[kept:]), "test": test}
    return {name: Patterns(*part, 1 / 255) for name, part in parts.items()}


@functools.lru_cache(maxsize=4)
def _load(folder: Path) -> dict[str, Patterns]:
    if not folder.is_dir():
        kind, what = (NotADirectoryError, "is no folder") if folder.exists() else (FileNotFoundError, "does not exist")
        raise kind(f"MNIST folder {folder} {what}: name the folder that holds train-images-idx3-ubyte")
    return _split(*_pair(folder, "train"), _pair(folder, "t10k"))


def _pair(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    image_file, label_file = _find(folder, prefix, "images", 3), _find(folder, prefix, "labels", 1)
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (_SIDE, _SIDE) or len(images) == 0:
        raise ValueError(
            f"{image_file}: holds {images.dtype.name} of shape {images.shape}, expected uint8 images of shape "
            f"(n, {_SIDE}, {_SIDE}), n at least 1"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f"{label_file}: holds {labels.dtype.name} of shape {labels.shape}, expected uint8 labels of shape (n,)"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{image_file} has {len(images)} images but {label_file} {len(labels)} labels: expected as many"
        )
    if labels.max() > 9:
        at = int(labels.argmax())
        raise ValueError(f"{label_file}: label {at} is {labels[at]}, expected 0 to 9")
    return images, labels


def _find(folder: Path, prefix: str, what: str, dimensions: int) -> Path:
    names = [f"{prefix}-{what}{dot}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for dot in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = sorted(path.name for path in folder.iterdir())
    listing = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "") if there else "nothing"
    raise FileNotFoundError(f"MNIST folder {folder}: expected one of {', '.join(names)}; it holds {listing}")


@functools.cache
def _fetch(data_home: str | None) -> dict[str, Patterns]:
    """The 60,000 + 10,000 images in their original order."""
    instead = "or give rwta_sim/MNIST-v0 a folder with the four IDX files (folder=...)"
    try:
        from sklearn.datasets import fetch_openml
    except ImportError as error:
        raise ImportError(f"fetching MNIST needs scikit-learn: pip install 'rwta_sim[digits]', {instead}") from error
    # pandas reads the file in seconds; without it scikit-learn's own reader takes about a minute.
    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    try:
        data = fetch_openml("mnist_784", version=1, as_frame=False, parser=parser, data_home=data_home)
    except (OSError, HTTPException, ValueError) as error:
        raise OSError(f"MNIST could not be fetched from OpenML ({error}): connect to the network, {instead}") from error
    images, labels = np.asarray(data.data), np.asarray(data.target).astype(np.uint8)
    if images.shape != (70000, _SIDE * _SIDE) or labels.shape != (70000,):
        raise OSError(f"OpenML sent images of shape {images.shape}, expected (70000, 784): try again, {instead}")
    images = images.astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    return _split(images[:60000], labels[:60000], (images[60000:], labels[60000:]))
