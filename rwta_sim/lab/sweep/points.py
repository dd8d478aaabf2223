"""The points of a sweep: what each is, what it is called, and whether all of them can be built."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rwta_sim.errors import ConfigError, RwtaSimError, shown
from rwta_sim.lab.sweep.distributions import generator
from rwta_sim.lab.sweep.spec import Sweep
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.registry import experiment_class, experiment_named
from rwta_sim.loop.tree import kinds_first

__all__ = ["Point", "check", "points_of"]

_UNSAFE = re.compile(r"[^\w.=,+-]+")
#: Characters of a point's settings in its name, and points that an error names.
_LONG, _NAMED = 80, 3


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes
    ----------
    task : str
    model : str or None
        None: the first that has the task.
    label : str
        What a list of points calls it.
    varied : mapping
        Settings that are swept, by dotted key.
    common : mapping
        Those of all runs.
    seed : int
    """

    task: str
    model: str | None
    label: str
    varied: Mapping[str, Any]
    common: Mapping[str, Any]
    seed: int

    @property
    def given(self) -> dict[str, Any]:
        """All its settings, in the order to assign them."""
        return kinds_first({**self.common, **self.varied})

    @cached_property
    def name(self) -> str:
        """What it is: its task, the settings that are swept and the seed for people, and a digest of all it is given.

        It does not depend on what else is in the sweep.
        """
        what = {"task": self.task, "model": self.model, "seed": self.seed, "settings": self.given}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return f"{_UNSAFE.sub('_', self.described)[:_LONG].strip('_')},seed={self.seed},{digest}"

    @property
    def described(self) -> str:
        """Without its seed, for people; not more than a hint."""
        values = [f"{key}={_brief(value)}" for key, value in sorted(self.varied.items())]
        who = self.task if self.model is None else f"{self.task},{self.model}"
        return ",".join([self.label or who, *values])

    @property
    def group(self) -> tuple[str, ...]:
        """The same for all seeds of a point, and only for these."""
        return (self.task, self.model or "", self.label, json.dumps(self.varied, sort_keys=True, default=str))

    @property
    def place(self) -> Path:
        """Where it lies below a folder of many: no folder gets a million entries."""
        return Path(self.name[-12:-10]) / self.name

    def experiment(self) -> Experiment:
        """Raises ConfigError where its settings do not fit."""
        if self.model is not None and (kind := experiment_class(self.model)).needs_description():
            return kind.described({"task": self.task, "model": self.model, "seed": self.seed, **self.given})
        return experiment_named(self.task, self.model).changed(self.given).changed(seed=self.seed)


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "".join(str(value).split())


def points_of(sweep: Sweep) -> list[Point]:
    """All points, each seed after the other, so that early results are of all settings.

    Of a search, which finds its points on the way, as many that it might find, the same ones once.

    Raises
    ------
    ConfigError
        If one has no task, or two are the same.
    """
    searched, sweep = sweep.search is not None, sweep.drawn
    common = dict(sweep.settings)
    if sweep.budget is not None:
        common["training.decisions"] = sweep.budget
    found = [_point(sweep, common, dict(varied), seed) for seed in sweep.seeds for varied in _combinations(sweep)]
    names: dict[str, Point] = {}
    for point in found:
        if point.name in names and not searched:
            raise ConfigError(f"two points are the same run: {point.described}; leave one out")
        names[point.name] = point
    return list(names.values())


def _combinations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    grid = [[(key, value) for value in values] for key, values in sweep.grid.items()]
    streams = {key: generator(sweep.draws_seed, key) for key in sweep.random}
    drawn = [{key: table.draw(streams[key]) for key, table in sweep.random.items()} for _ in range(sweep.draws)] or [{}]
    for listed, chosen, random in itertools.product(sweep.point or ({},), itertools.product(*grid), drawn):
        yield {**listed, **dict(chosen), **random}


def _point(sweep: Sweep, common: Mapping[str, Any], varied: dict[str, Any], seed: int) -> Point:
    label, task = varied.pop("name", ""), varied.pop("task", sweep.task)
    model = varied.pop("model", sweep.model)
    for key, value in {"name": label, "task": task, **({} if model is None else {"model": model})}.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
            where = "" if value is not None else ": write it at the top of the file, in [grid] or in each [[point]]"
            raise ConfigError(f"{key} = {shown(value)}: expected a name{where}")
    return Point(task, model, label, varied, common, seed)


def check(points: Iterable[Point]) -> list[Experiment]:
    """Build the experiment of every point, before anything runs: of seeds, which change nothing, the first.

    Returns
    -------
    list of Experiment
        One for each group of points.

    Raises
    ------
    ConfigError
        With all that is wrong, a line for each, and the points in which it is.
    """
    wrong: dict[str, list[str]] = {}
    built: dict[tuple[str, ...], Experiment | None] = {}
    for point in points:
        if point.group in built:
            continue
        built[point.group] = None
        try:
            experiment = point.experiment()
            experiment.check_libraries()
            built[point.group] = experiment
        except RwtaSimError as error:
            for line in str(error).splitlines():
                wrong.setdefault(line, []).append(point.described)
    if wrong:
        raise ConfigError("\n".join(f"{line} (in {_listed(where, len(built))})" for line, where in wrong.items()))
    return [experiment for experiment in built.values() if experiment is not None]


def _listed(names: Sequence[str], of: int) -> str:
    if len(names) == of:
        return "every point"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + f"{more}, of {of} points"
