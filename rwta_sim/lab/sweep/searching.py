"""Search: Optuna suggests the settings of a sweep, trial by trial, from what came of those before."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from rwta_sim.errors import RwtaSimError, one_line
from rwta_sim.lab.sweep.driver import PATIENCE, Count, Driver
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.points import Point
from rwta_sim.lab.sweep.spec import Sweep
from rwta_sim.lab.workers import Cluster

if TYPE_CHECKING:
    from rwta_sim.lab.sweep.study import Open, SweepStudy

__all__ = ["check_search", "search", "study_of"]


def check_search() -> None:
    """Raise RwtaSimError if the library is missing."""
    if find_spec("optuna") is None:
        raise RwtaSimError("a search needs optuna: pip install 'rwta-sim[sweep]'")


def study_of(sweep: Sweep, folder: SweepFolder) -> SweepStudy:
    """What a search has come to so far, also while it runs; errors as for `check_search` and `SweepStudy`."""
    check_search()
    from rwta_sim.lab.sweep.study import SweepStudy

    return SweepStudy(sweep, folder, write=False)


def search(
    sweep: Sweep,
    folder: SweepFolder,
    cluster: Cluster,
    retries: int = 1,
    report: Callable[[Count], None] = lambda count: None,
    patience: float = PATIENCE,
) -> Count:
    """Run the trials of a sweep that searches, as many at once as there are workers.

    With one worker all of it follows from the sweep; with several, on which trial is over first. Parameters and errors
    as for `rwta_sim.lab.sweep.sweep`, whose points are chosen on the way; and as `SweepStudy`.
    """
    check_search()
    from rwta_sim.lab.sweep.study import SweepStudy

    assert sweep.search is not None
    with folder.lock():
        driver = _Searching(SweepStudy(sweep, folder), folder, cluster, sweep.evaluate, retries, report, patience)
        driver.count.of = sweep.search.trials * len(sweep.seeds)
        return driver.run()


class _Searching(Driver):
    """A driver whose points are those of trials."""

    def __init__(
        self,
        study: SweepStudy,
        folder: SweepFolder,
        cluster: Cluster,
        evaluate: int | None,
        retries: int,
        report: Callable[[Count], None],
        patience: float,
    ) -> None:
        super().__init__((), folder, cluster, evaluate, retries, report, patience)
        self._study, self._workers = study, lambda: max(1, len(cluster.workers))
        self._open: dict[int, Open] = {}
        self._results: dict[int, dict[str, str]] = {}  # of each open trial, what became of its points
        self.count.skipped = study.over
        for one in study.begun():
            self._begin(one)

    def more(self) -> bool:
        while len(self._open) < self._workers() and (one := self._study.ask()) is not None:
            self._begin(one)
        return bool(self._open)

    def settled(self, point: Point, state: Literal["finished", "failed"]) -> None:
        for number, one in list(self._open.items()):
            results = self._results[number]
            if point.name in {p.name for p in one.points}:
                results[point.name] = state
            if len(results) < len(one.points):
                continue
            if "failed" in results.values():
                self._study.fail(one, "a run failed: see runs.csv")
            else:
                self._study.finish(one)
            self._close(number)

    def looked(self) -> None:
        for number, one in list(self._open.items()):
            if self._study.hear(one):
                left = {point.name for point in one.points} - set(self._results[number])
                self.count.pruned += len(left)
                self.count.news = f"{one.points[0].described}: pruned after {one.validations} validations"
                self.drop(left)
                self._close(number)

    def _begin(self, one: Open) -> None:
        """Have a trial's runs done, if its settings are possible."""
        try:
            one.points[0].experiment().check_libraries()
        except RwtaSimError as error:
            self._study.fail(one, one_line(error))
            self.count.failed += len(one.points)
            self.count.news = f"{one.points[0].described}: {one_line(error)}"
            return
        self._open[one.trial.number], self._results[one.trial.number] = one, {}
        for point in one.points:
            self.take(point)

    def _close(self, number: int) -> None:
        del self._open[number], self._results[number]
