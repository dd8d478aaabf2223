"""What came of a sweep: a tidy table of its runs, means with intervals over seeds, and a figure that compares them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rwta_sim.analysis.bootstrap import bootstrap_interval
from rwta_sim.analysis.style import paper_style, save_figure
from rwta_sim.errors import ConfigError, nearest
from rwta_sim.lab.files import replacing
from rwta_sim.lab.sweep import Point, SweepFolder

__all__ = ["SweepScore", "SweepTable", "plot_sweep", "save_sweep", "save_trials", "sweep_table"]

#: Metrics of which the first that there is is compared.
_METRICS = ("success", "accuracy", "mean_return", "best_validation_return")
#: Lines in one figure, and points in one that has no lines.
_LINES, _MOST = 8, 40
#: Means that are bootstrapped at once: 10,000 resamples of each are held.
_AT_ONCE = 200


class SweepScore(NamedTuple):
    """A metric of the runs of one point, over its seeds.

    Attributes
    ----------
    point : Point
        With its first seed.
    metric : str
    seeds : int
        With a value.
    mean, sd, low, high, lowest : float
        `low` and `high` are the ends of the 95 % bootstrap interval of the mean; these and `sd` are NaN with one seed.
    """

    point: Point
    metric: str
    seeds: int
    mean: float
    sd: float
    low: float
    high: float
    lowest: float


class SweepTable(NamedTuple):
    """The results of a sweep, as far as there are any.

    Attributes
    ----------
    keys : tuple of str
        Settings that are swept.
    numbers : tuple of str
        Columns of what came of runs.
    rows : list of tuple
        Point, standing, numbers by name, error.
    """

    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: list[tuple[Point, str, Mapping[str, Any], str]]

    @property
    def standings(self) -> dict[str, int]:
        """How many points are finished, interrupted, failed, damaged and new; those that none is are left out."""
        names, counts = np.unique([standing for _, standing, _, _ in self.rows], return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def scores(self) -> list[SweepScore]:
        """Every metric of every point that has a finished run, in the order of the points."""
        groups: dict[tuple[str, ...], list[tuple[Point, Mapping[str, Any]]]] = {}
        for point, _, numbers, _ in self.rows:
            if numbers:
                groups.setdefault(point.group, []).append((point, numbers))
        found: list[tuple[Point, str, list[float]]] = []
        for runs in groups.values():
            for metric in self.numbers:
                values = [n[metric] for _, n in runs if isinstance(n.get(metric), int | float)]
                if values:
                    found.append((runs[0][0], metric, [float(value) for value in values]))
        return _scored(found)

    def metric(self, wanted: str | None) -> str | None:
        """The metric to compare; None where nothing is finished.

        Raises
        ------
        ConfigError
            If `wanted` is none of the runs' numbers.
        """
        known = {n for _, _, numbers, _ in self.rows for n, v in numbers.items() if isinstance(v, int | float)}
        if wanted is not None and known and wanted not in known:
            raise ConfigError(f"metric = {wanted!r}: no run tells it. {nearest(wanted, known)}")
        return next((name for name in ([wanted] if wanted else _METRICS) if name in known), None)


def _scored(found: Sequence[tuple[Point, str, list[float]]]) -> list[SweepScore]:
    """Means with their intervals, many at a time: those of as many seeds share their resamples."""
    intervals: dict[int, list[float]] = {}
    by_size: dict[int, list[int]] = {}
    for i, (_, _, values) in enumerate(found):
        by_size.setdefault(len(values), []).append(i)
    for size, places in by_size.items():
        for first in range(0, len(places) if size > 1 else 0, _AT_ONCE):
            some = places[first : first + _AT_ONCE]
            ends = np.stack(bootstrap_interval(np.array([found[i][2] for i in some]).T), axis=1)
            intervals |= dict(zip(some, ends.tolist(), strict=True))
    scores = []
    for i, (point, metric, values) in enumerate(found):
        low, high = intervals.get(i, [math.nan, math.nan])
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        scores.append(SweepScore(point, metric, len(values), float(np.mean(values)), sd, low, high, min(values)))
    return scores


def sweep_table(points: Sequence[Point], folder: SweepFolder) -> SweepTable:
    """Gather what came of the points of a sweep so far, from their folders; also while it runs."""
    rows: list[tuple[Point, str, Mapping[str, Any], str]] = []
    numbers, keys = dict[str, None](), dict[str, None]()
    for point in points:
        standing, told = folder.standing(point)
        values = told.get("numbers", {})
        numbers.update(dict.fromkeys(values))
        keys.update(dict.fromkeys(point.varied))
        rows.append((point, standing, values, str(told.get("error", ""))))
    return SweepTable(tuple(keys), tuple(numbers), rows)


# -- on disk ---------------------------------------------------------------------------------------------


def save_sweep(table: SweepTable, folder: SweepFolder, metric: str | None = None) -> list[Path]:
    """Write runs.csv, scores.csv and, if a run is finished, a figure into the folder of a sweep.

    Raises
    ------
    ConfigError
        If no run tells the metric.
    RunError
        If they cannot be written.
    """
    metric, scores = table.metric(metric), table.scores()
    written = [folder.path / "runs.csv", folder.path / "scores.csv"]
    folder.path.mkdir(parents=True, exist_ok=True)
    _write(written[0], _runs(table, folder))
    _write(written[1], _lines(table.keys, scores))
    if metric is not None:
        compared = [score for score in scores if score.metric == metric]
        with paper_style():
            figure = Figure(figsize=(4.2, _height(compared, table.keys)), layout="constrained")
            plot_sweep(figure.subplots(), compared, table.keys)
        written += save_figure(figure, folder.path / "comparison.png")
    return written


def save_trials(rows: Iterable[Mapping[str, Any]], folder: SweepFolder) -> Path:
    """Write trials.csv, a line for each trial of a search, into its folder; raises RunError if it cannot be written."""
    path, found = folder.path / "trials.csv", list(rows)
    columns = list(dict.fromkeys(name for row in found for name in row))
    _write(path, iter([columns, *([row.get(name, "") for name in columns] for row in found)]))
    return path


def _write(path: Path, lines: Iterator[Sequence[Any]]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def _who(point: Point, keys: Sequence[str]) -> list[Any]:
    return [point.label, point.task, point.model or "", *(point.varied.get(key, "") for key in keys)]


def _runs(table: SweepTable, folder: SweepFolder) -> Iterator[Sequence[Any]]:
    yield ["name", "task", "model", *table.keys, "seed", "standing", *table.numbers, "error", "run"]
    for point, standing, numbers, error in table.rows:
        values = ["" if numbers.get(name) is None else numbers[name] for name in table.numbers]
        where = folder.run(point).relative_to(folder.path)
        yield [*_who(point, table.keys), point.seed, standing, *values, error, where]


def _lines(keys: Sequence[str], scores: Sequence[SweepScore]) -> Iterator[Sequence[Any]]:
    yield ["name", "task", "model", *keys, *SweepScore._fields[1:]]
    for score in scores:
        yield [*_who(score.point, keys), *("" if value != value else value for value in score[1:])]


# -- the figure ------------------------------------------------------------------------------------------


def plot_sweep(ax: Axes, scores: Sequence[SweepScore], keys: Sequence[str]) -> None:
    """Draw one metric of all points, with its 95 % intervals over seeds.

    Where a setting is a number, it is the axis, with a line for each combination of the others; otherwise points stand
    one below the other, the best 40 of them.

    Parameters
    ----------
    ax : Axes
    scores : sequence of SweepScore
        Of one metric.
    keys : sequence of str
        Settings that are swept.
    """
    axis, lines = _axis(scores, keys)
    if axis is None:
        _list(ax, scores)
        return
    unit = ""
    for label, ours in lines.items():
        placed = sorted((*_number(score.point.varied[axis]), *score[3:]) for score in ours)  # type: ignore[misc]
        x, (unit, *_), mean, _, low, high, _ = zip(*placed, strict=True)
        (line,) = ax.plot(x, mean, ".-", label=label)
        if not np.isnan(low).all():
            ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    values = [_number(score.point.varied[axis])[0] for score in scores]  # type: ignore[index]
    if min(values) > 0 and max(values) / min(values) >= 20:
        ax.set_xscale("log")
    ax.set(xlabel=_plain(axis + (f" ({unit})" if unit else "")), ylabel=_plain(scores[0].metric))
    if len(lines) > 1:
        ax.legend()


def _axis(scores: Sequence[SweepScore], keys: Sequence[str]) -> tuple[str | None, dict[str, list[SweepScore]]]:
    """The first setting that is a number, of which there are not too many lines, and the lines."""
    for key in keys:
        numbers = [_number(score.point.varied.get(key)) for score in scores]
        if None in numbers or len({n[0] for n in numbers if n}) < 2 or len({n[1] for n in numbers if n}) > 1:
            continue
        lines: dict[str, list[SweepScore]] = {}
        for score in scores:
            lines.setdefault(_plain(_without(score.point, key)), []).append(score)
        if len(lines) <= _LINES:
            return key, lines
    return None, {}


def _without(point: Point, key: str) -> str:
    others = {name: value for name, value in point.varied.items() if name != key}
    return Point(point.task, point.model, point.label, others, point.common, point.seed).described


def _number(value: Any) -> tuple[float, str] | None:
    """A number and its unit; None of what is neither a number nor one with a unit."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text, _, unit = value.partition(" ") if isinstance(value, str) else (value, "", "")
    try:
        return float(text), unit
    except ValueError:
        return None


def _list(ax: Axes, scores: Sequence[SweepScore]) -> None:
    shown = sorted(scores, key=lambda score: -score.mean)[:_MOST] if len(scores) > _MOST else scores
    for place, score in enumerate(shown):
        ax.plot(score.mean, place, ".", color="C0")
        if score.low == score.low:
            ax.plot([score.low, score.high], [place, place], color="C0")
    ax.set_yticks(range(len(shown)), [_plain(score.point.described) for score in shown])
    ax.invert_yaxis()
    best = f", the best {_MOST} of {len(scores)}" if len(shown) < len(scores) else ""
    ax.set_xlabel(_plain(scores[0].metric) + best)


def _height(scores: Sequence[SweepScore], keys: Sequence[str]) -> float:
    return 3.0 if _axis(scores, keys)[0] is not None else 1.0 + 0.2 * min(len(scores), _MOST)


def _plain(text: str) -> str:
    """Dollars are mathematics to Matplotlib."""
    return text.replace("$", r"\$")
