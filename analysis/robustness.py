"""Robustness: return against the level of each perturbation, and areas under the curves with bootstrap intervals."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rwta_sim.analysis.bootstrap import bootstrap_interval
from rwta_sim.lab.files import replacing, write_file
from rwta_sim.lab.robustness import Family, Row
from rwta_sim.lab.robustness.table import UNPERTURBED

__all__ = ["Area", "Curve", "area", "curve_of", "draw_robustness", "plot_robustness", "save_areas"]


class Curve(NamedTuple):
    """Returns of one agent in one family.

    Attributes
    ----------
    levels : ndarray, shape (n_levels,)
        Ascending; those that could not be played are left out.
    returns : ndarray, shape (n_levels, n_units)
        Means over the episodes of each draw, or, of a single draw, its episodes. A unit's noise and episodes are the
        same at all levels.
    rejected : dict of float to str
        Levels that could not be played, and why.
    """

    levels: np.ndarray
    returns: np.ndarray
    rejected: dict[float, str]


class Area(NamedTuple):
    """Area under a curve over the width of its levels: the mean return over them.

    Attributes
    ----------
    value : float
    low, high : float
        Ends of the 95 % interval; NaN where there is one unit only.
    """

    value: float
    low: float
    high: float


def curve_of(rows: Sequence[Row], family: Family) -> Curve:
    """The curve of a family in a table; its normal level is the unperturbed agent.

    Draws that are not complete at every level, as while a suite goes on, are left out.
    """
    found: dict[float, dict[int, list[float]]] = {}
    rejected = {}
    for row in rows:
        level = family.normal if row.family == UNPERTURBED else row.level
        if (
            level is None
            or row.family not in (UNPERTURBED, family.name)
            or level not in (*family.levels, family.normal)
        ):
            continue
        if row.rejected:
            rejected[level] = row.rejected
        elif row.total is not None:
            found.setdefault(level, {}).setdefault(row.draw, []).append(row.total)
    played = {level: draws for level, draws in found.items() if level not in rejected and math.isfinite(level)}
    draws = sorted(set.intersection(*map(set, played.values()))) if played else []
    levels = np.array(sorted(played) if draws else [])
    if len(draws) == 1:
        returns = [played[level][draws[0]] for level in levels]
    else:
        returns = [[float(np.mean(played[level][draw])) for draw in draws] for level in levels]
    return Curve(levels, np.array(returns).reshape(len(levels), -1), rejected)


def area(curve: Curve) -> Area | None:
    """Area under a curve, by trapezia, over the width of its levels; None with fewer than two of them.

    The interval is that of a bootstrap over units, the same for all levels: it is stratified, every level keeps its
    number of units, and what levels share stays shared.
    """
    if len(curve.levels) < 2:
        return None
    width = np.diff(curve.levels)
    weights = np.append(width, 0) / 2 + np.append(0, width) / 2
    units = weights @ curve.returns / width.sum()
    if units.size == 1:
        return Area(float(units[0]), math.nan, math.nan)
    low, high = bootstrap_interval(units)
    return Area(float(units.mean()), float(low), float(high))


def plot_robustness(ax: Axes, curves: Mapping[str, Curve], family: Family) -> None:
    """Draw the mean return at each level, with the standard error over draws, of each of several agents.

    Parameters
    ----------
    ax : Axes
    curves : mapping of str to Curve
        By the name of the agent.
    family : Family
        For the labels.
    """
    for i, (name, curve) in enumerate(curves.items()):
        if not len(curve.levels):
            continue
        mean, n = curve.returns.mean(axis=1), curve.returns.shape[1]
        ax.plot(curve.levels, mean, ".-", color=f"C{i}", label=name.replace("$", r"\$"))
        if n > 1:
            error = curve.returns.std(axis=1, ddof=1) / math.sqrt(n)
            ax.fill_between(curve.levels, mean - error, mean + error, color=f"C{i}", alpha=0.2)
        for level in filter(math.isfinite, curve.rejected):
            ax.axvline(level, color=f"C{i}", linestyle=":", linewidth=0.8)
    if family.normal is not None and math.isfinite(family.normal):
        ax.axvline(family.normal, color="0.7", linewidth=0.8, zorder=0)
    if family.normal == math.inf:  # fewer is more
        ax.invert_xaxis()
    ax.set(xlabel=family.unit, ylabel="mean return", title=family.description)
    ax.legend(fontsize="small")


def draw_robustness(folder: Path, families: Mapping[str, Family], tables: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Draw FAMILY.png for each family, with a curve for each agent; returns the files.

    Parameters
    ----------
    folder : Path
        Exists.
    families : mapping of str to Family
    tables : mapping of str to sequence of Row
        By the name of the agent.

    Raises
    ------
    RunError
        If a file cannot be written.
    """
    written = []
    for name, family in families.items():
        figure, path = Figure(figsize=(6, 4), layout="constrained"), folder / f"{name}.png"
        plot_robustness(figure.add_subplot(), {who: curve_of(rows, family) for who, rows in tables.items()}, family)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=120)
        written.append(path)
    return written


def save_areas(
    path: Path, families: Mapping[str, Family], tables: Mapping[str, Sequence[Row]]
) -> list[tuple[str, str, Area]]:
    """Write areas.csv: agent, family, area and the ends of its interval; returns them.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    found = [
        (who, name, covered)
        for name, family in families.items()
        for who, rows in tables.items()
        if (covered := area(curve_of(rows, family))) is not None
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("agent", "family", "area", "low", "high"))
    writer.writerows((who, name, *covered) for who, name, covered in found)
    write_file(path, text.getvalue().encode())
    return found
