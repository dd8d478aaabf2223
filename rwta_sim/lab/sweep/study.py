"""`SweepStudy`: which settings a search has tried, what came of them, and which it tries next. Imports Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from rwta_sim.errors import RunError, difference
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.journal import Journal
from rwta_sim.lab.sweep.points import Point, points_of
from rwta_sim.lab.sweep.spec import SearchSpec, Sweep

__all__ = ["Open", "SweepStudy"]

_NAME, _WHAT = "sweep", "search"


@dataclass
class Open:
    """A trial that is not over.

    Attributes
    ----------
    trial : optuna.Trial
    points : list of Point
        One for each seed.
    validations : int
        Of which Optuna has been told.
    """

    trial: Trial
    points: list[Point]
    validations: int = 0


class SweepStudy:
    """The study of a search, in ``study.jsonl`` in the folder of its sweep.

    What is suggested for a trial follows from the seed, the trial's number and what is known of the others by then: an
    interrupted search goes on as if it had not been.

    Parameters
    ----------
    sweep : Sweep
        With a search.
    folder : SweepFolder
        Locked by who writes.
    write : bool
        Whether trials are to be added.

    Raises
    ------
    RunError
        If the study is damaged, or is one of another search.
    """

    def __init__(self, sweep: Sweep, folder: SweepFolder, write: bool = True) -> None:
        assert sweep.search is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep, self._folder, self._spec = sweep, folder, sweep.search
        self._study: optuna.Study | None = None
        path = folder.path / "study.jsonl"
        if not write and not path.exists():
            return
        storage = optuna.storages.JournalStorage(Journal(path, write))
        how: dict[str, Any] = {"storage": storage, "study_name": _NAME, "pruner": _pruner(self._spec)}
        if storage.get_all_studies():
            self._study = optuna.load_study(**how)
        elif write:
            self._study = optuna.create_study(**how, direction=self._spec.direction)
        if self._study is not None:
            self._check_same(self._study, write)

    def _check_same(self, study: optuna.Study, write: bool) -> None:
        """Raise RunError if the study searches for something else."""
        left_out: Any = {"metric": True, "search": {"trials"}}
        what = self._sweep.model_dump(mode="json", exclude=left_out, serialize_as_any=True)
        theirs = study.user_attrs.get(_WHAT)
        if theirs is None and write:
            study.set_user_attr(_WHAT, what)
        elif theirs != what:
            raise RunError(
                f"{self._folder.path} has the study of another search ({difference(theirs, what)}): search in another "
                "--out, or delete study.jsonl in it"
            )

    # -- what there is -----------------------------------------------------------------------------------

    @property
    def trials(self) -> list[FrozenTrial]:
        """All that were begun."""
        return [] if self._study is None else self._study.get_trials(deepcopy=False)

    @property
    def over(self) -> int:
        """Runs of trials that are over."""
        return len(self._sweep.seeds) * sum(trial.state.is_finished() for trial in self.trials)

    def points(self) -> list[Point]:
        """Those of all trials that have settings."""
        found = {}
        for trial in self.trials:
            if _WHAT in trial.user_attrs:
                for point in self._points(trial.user_attrs[_WHAT]):
                    found[point.name] = point
        return list(found.values())

    def best(self) -> tuple[float, Point] | None:
        """The best value of a complete trial, and its point with the first seed."""
        done = [t for t in self.trials if t.state is TrialState.COMPLETE and t.value is not None]
        if not done:
            return None
        sign = 1 if self._spec.direction == "maximize" else -1
        best = max(done, key=lambda trial: (sign * (trial.value or 0.0), -trial.number))
        return float(best.value or 0.0), self._points(best.user_attrs[_WHAT])[0]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A line for each trial: number, state, value, validations, settings, error."""
        for trial in self.trials:
            yield {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "value": "" if trial.value is None else trial.value,
                "validations": len(trial.intermediate_values),
                **dict(trial.user_attrs.get(_WHAT, {})),
                "error": trial.user_attrs.get("error", ""),
            }

    def _points(self, varied: dict[str, Any]) -> list[Point]:
        """One for each seed."""
        changes: dict[str, Any] = {"point": (varied,), "search": None, "random": {}}
        return points_of(self._sweep.model_copy(update=changes))

    # -- what comes next ---------------------------------------------------------------------------------

    def begun(self) -> list[Open]:
        """Trials of a session before that are not over."""
        assert self._study is not None
        running = [trial for trial in self.trials if trial.state is TrialState.RUNNING]
        return [self._opened(Trial(self._study, trial._trial_id)) for trial in running]

    def ask(self) -> Open | None:
        """A new trial, if there is to be one."""
        assert self._study is not None
        number = len(self.trials)
        if number >= self._spec.trials:
            return None
        return self._opened(self._study.ask())

    def _opened(self, trial: Trial) -> Open:
        assert self._study is not None
        varied = trial.user_attrs.get(_WHAT)
        if varied is None:
            self._study.sampler = _sampler(self._spec, trial.number)
            varied = {key: table.suggest(trial, key) for key, table in self._sweep.random.items()}
            trial.set_user_attr(_WHAT, varied)
        (frozen,) = [t for t in self.trials if t.number == trial.number]
        return Open(trial, self._points(varied), len(frozen.intermediate_values))

    # -- what came of it ---------------------------------------------------------------------------------

    def hear(self, one: Open) -> bool:
        """Tell of validations since; whether the trial is to be pruned, and is over."""
        assert self._study is not None
        seen = self._validations(one.points)
        while one.validations < len(seen):
            one.validations += 1
            one.trial.report(seen[one.validations - 1], one.validations)
            if self._spec.prune != "none" and one.trial.should_prune():
                self._study.tell(one.trial, state=TrialState.PRUNED)
                return True
        return False

    def finish(self, one: Open) -> None:
        """Tell of a trial all of whose runs are finished; it is pruned if it should have been on the way."""
        assert self._study is not None
        if self.hear(one):
            return
        results = [self._folder.standing(point)[1].get("numbers", {}) for point in one.points]
        values = [numbers.get(self._spec.metric) for numbers in results]
        if any(not isinstance(value, int | float) or not math.isfinite(value) for value in values):
            known = sorted({name for numbers in results for name, v in numbers.items() if isinstance(v, int | float)})
            self.fail(one, f"its runs tell no {self._spec.metric}: they tell {', '.join(known)}")
        else:
            self._study.tell(one.trial, float(np.mean([float(value or 0.0) for value in values])))

    def fail(self, one: Open, error: str) -> None:
        """Tell of a trial that comes to nothing."""
        assert self._study is not None
        one.trial.set_user_attr("error", error)
        self._study.tell(one.trial, state=TrialState.FAIL)

    def _validations(self, points: Sequence[Point]) -> list[float]:
        """Means over seeds, as far as all have been validated."""
        columns = []
        for point in points:
            column = np.empty(0)
            with suppress(RunError, OSError):  # of a run that has not begun
                column = RunFolder.open(self._folder.run(point)).metrics()["validation_return"]
            columns.append(column[np.isfinite(column)])
        return [float(np.mean(values)) for values in zip(*columns, strict=False)]


def _sampler(spec: SearchSpec, number: int) -> optuna.samplers.BaseSampler:
    """Of one trial: whose random numbers do not depend on what this process did before."""
    seed = int(np.random.SeedSequence(spec.seed, spawn_key=(number,)).generate_state(1)[0])
    if spec.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(spec: SearchSpec) -> optuna.pruners.BasePruner:
    if spec.prune == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=spec.startup, n_warmup_steps=spec.warmup)
    if spec.prune == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, spec.warmup), reduction_factor=3)
    return optuna.pruners.NopPruner()
