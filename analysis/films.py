"""Films: the environment beside the raster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import animation, rcParams
from matplotlib.figure import Figure

from rwta_sim.analysis.rasters import plot_raster
from rwta_sim.errors import RwtaSimError

__all__ = ["save_film"]


def save_film(
    recording: Mapping[str, np.ndarray], path: Path, decisions: int = 150, fps: int = 25, window: int = 30
) -> Path:
    """Write a film of a recording with frames, as GIF or MP4 by the ending of `path`.

    Parameters
    ----------
    recording : mapping
        With ``frames``: see `rwta_sim.recording.record_episode`.
    path : Path
        ``.gif``, or ``.mp4`` (needs ffmpeg, or the extra ``rwta-sim[video]``).
    decisions : int
        Length of the film; one picture per decision.
    fps : int
        Pictures per second.
    window : int
        Decisions of spikes on view.

    Raises
    ------
    RwtaSimError
        For another ending, or no ffmpeg.
    """
    writer = _writer(path, fps)
    frames, step = recording["frames"], float(recording["decision_time"])
    count = min(decisions, len(recording["actions"]))
    window = min(window, count)
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=80)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    picture = left.imshow(frames[0])
    left.set_axis_off()
    plot_raster(right, recording, 0.0, count * step)
    right.set_title("spikes")
    returns = np.concatenate([[0.0], np.cumsum(recording["rewards"])])

    def draw(index: int) -> list:
        picture.set_data(frames[index])
        now = index * step * 1e3
        right.set_xlim(now - window * step * 1e3, now)
        left.set_title(f"decision {index}, return {returns[index]:g}")
        return []

    film = animation.FuncAnimation(figure, draw, frames=count + 1, blit=False)
    film.save(path, writer=writer)
    return path


def _writer(path: Path, fps: int) -> animation.AbstractMovieWriter:
    if path.suffix == ".gif":
        return animation.PillowWriter(fps=fps)
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
