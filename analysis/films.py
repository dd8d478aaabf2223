"""Films: the environment beside the raster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from matplotlib import animation, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import GifImagePlugin, Image, ImageChops

from rwta_sim.analysis.rasters import plot_episode
from rwta_sim.errors import RwtaSimError

__all__ = ["PICTURE_SIZE", "check_film", "save_film"]

_WIDTH, _HEIGHT, _DPI = 9.0, 3.6, 80
#: Height and width, in pixels, that a film has for the picture of the environment.
PICTURE_SIZE = int(_HEIGHT * _DPI), int(_WIDTH * _DPI / 2.4)


def check_film(path: Path) -> None:
    """Raise RwtaSimError, as `save_film` would, if no film with this ending can be written here."""
    _writer(path, 1)


def save_film(
    recording: Mapping[str, np.ndarray],
    path: Path,
    decisions: int = 150,
    fps: int = 25,
    window: int = 30,
    note: str = "perturbed",
) -> Path:
    """Write a film of a recording with frames, as GIF or MP4 by the ending of `path`.

    Parameters
    ----------
    recording : mapping
        With ``frames``: see `rwta_sim.lab.recording.record_episode`.
    path : Path
        ``.gif``, or ``.mp4`` (needs ffmpeg, or the extra ``rwta-sim[video]``).
    decisions : int
        Length of the film; one picture per decision.
    fps : int
        Pictures per second.
    window : int
        Decisions of spikes on view.
    note : str
        Stands in the title once the network has been perturbed, where the recording says when.

    Raises
    ------
    RwtaSimError
        For another ending, no ffmpeg, a recording without frames, or if the film cannot be written; one that was
        there before is then left as it was.
    """
    writer = _writer(path, fps)
    if "frames" not in recording:
        raise RwtaSimError("the recording has no frames: make it with record_episode(..., frames=True)")
    frames, spikes = recording["frames"], "neuron_i" in recording
    step = float(recording["decision_time"]) if spikes else 1.0
    count = min(decisions, len(recording["actions"]))
    window = min(window, count)
    figure = Figure(figsize=(_WIDTH if spikes else _WIDTH / 2, _HEIGHT), layout="constrained", dpi=_DPI)
    left, raster = _places(figure, recording, count * step) if spikes else (figure.subplots(), None)
    picture = left.imshow(frames[0])
    left.set_axis_off()
    returns = np.concatenate([[0.0], np.cumsum(recording["rewards"])])
    perturbed = int(recording["perturbed"]) if "perturbed" in recording else count + 1

    def draw(index: int) -> list:
        picture.set_data(frames[index])
        now = index * step * 1e3
        if raster is not None:
            raster.set_xlim(now - window * step * 1e3, now)  # and that of all that share it
        hit = f": {note}" if index >= perturbed else ""
        left.set_title(f"decision {index}, return {returns[index]:g}{hit}")
        return []

    film = animation.FuncAnimation(figure, draw, frames=count + 1, blit=False)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(exist_ok=True)
        film.save(temporary, writer=writer)
        os.replace(temporary, path)
    except (OSError, CalledProcessError) as error:
        why = error.strerror if isinstance(error, OSError) else "ffmpeg failed"
        raise RwtaSimError(f"cannot write the film {path}: {why}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def _places(figure: Figure, recording: Mapping[str, np.ndarray], stop: float) -> tuple[Axes, Axes]:
    """Axes for the pictures, and those of the raster, with which the others of the spikes' side move."""
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.4))[0]
    axes = plot_episode(right, recording, 0.0, stop)
    axes[0].set_title("spikes")
    return left.subplots(), axes[-1]


class _GifWriter(animation.AbstractMovieWriter):
    """Writes each picture when it is drawn; Matplotlib's own keeps them all until the last one."""

    def setup(self, fig: Figure, outfile: Any, dpi: float | None = None) -> None:
        super().setup(fig, outfile, dpi=dpi)
        self._before: Image.Image | None = None
        self._file = open(outfile, "wb")

    def grab_frame(self, **settings: Any) -> None:
        buffer = BytesIO()
        self.fig.savefig(buffer, **{**settings, "format": "rgba", "dpi": self.dpi})
        picture = Image.frombytes("RGBA", self.frame_size, buffer.getvalue()).convert("RGB")
        # Only what changed, with colours of its own.
        box: Any = (0, 0, *picture.size)
        if self._before is not None:
            box = ImageChops.difference(picture, self._before).getbbox() or (0, 0, 1, 1)
        changed = picture.crop(box).convert("P", palette=Image.Palette.ADAPTIVE)
        if self._before is None:
            self._file.writelines(GifImagePlugin.getheader(changed, info={"loop": 0})[0])
        self._file.writelines(
            GifImagePlugin.getdata(changed, box[:2], duration=1000 // self.fps, include_color_table=True)
        )
        self._before = picture

    def finish(self) -> None:
        self._file.write(b";")
        self._file.close()


def _writer(path: Path, fps: int) -> animation.AbstractMovieWriter:
    if path.suffix == ".gif":
        return _GifWriter(fps=fps)
    if path.suffix != ".mp4":
        raise RwtaSimError(f"{path}: a film ends in .gif or .mp4, not {path.suffix!r}")
    if not animation.FFMpegWriter.isAvailable():
        try:
            import imageio_ffmpeg
        except ImportError:
            raise RwtaSimError(
                "MP4 needs ffmpeg: install it, or `pip install rwta-sim[video]`, or write a .gif"
            ) from None
        rcParams["animation.ffmpeg_path"] = imageio_ffmpeg.get_ffmpeg_exe()
    return animation.FFMpegWriter(fps=fps)
