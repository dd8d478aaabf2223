"""One style for the figures of a paper: small, without frames, in colours that everyone can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from rwta_sim.errors import ConfigError
from rwta_sim.lab.files import replacing

__all__ = ["COLORS", "paper_style", "save_figure"]

#: Okabe and Ito (2008): told apart with any kind of colour vision, and in grey but for neighbours.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 8,
    "axes.titlesize": 9,
    "font.size": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "image.cmap": "cividis",
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "rwta_sim",  # the same figure is the same file
    "pdf.fonttype": 42,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Matplotlib settings of all figures that are made in the block."""
    with mpl.rc_context(_STYLE):
        yield


def save_figure(figure: Figure, path: Path | str) -> list[Path]:
    """Write a figure: as its ending says (.svg, .pdf: vectors; .png: pixels), or, without one, as .svg and .png.

    Raises
    ------
    ConfigError
        For any other ending.
    RunError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix not in ("", ".svg", ".pdf", ".png"):
        raise ConfigError(f"{path}: a figure ends in .svg, .pdf or .png")
    written = [path] if path.suffix else [path.with_suffix(".svg"), path.with_suffix(".png")]
    dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}
    with mpl.rc_context(_STYLE):
        for each in written:
            with replacing(each) as temporary:
                figure.savefig(temporary, metadata=dated[each.suffix])
    return written
