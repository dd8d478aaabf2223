"""`robustness`: play all cells of a suite, in parallel, and go on where one ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rwta_sim.errors import ConfigError, DivergenceError, EnvironmentFailure, RunError, nearest, one_line
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.robustness.families import Family, families_of
from rwta_sim.lab.robustness.table import UNPERTURBED, Cell, Row, Table, locked
from rwta_sim.lab.runs import RunFolder, versions
from rwta_sim.loop.splits import pattern_count
from rwta_sim.seeding import Purpose
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["Suite", "robustness"]

#: Levels of a family in a quick look, and patterns shown for each.
_QUICK_LEVELS, _MOST_PATTERNS, _QUICK_PATTERNS = 4, 1000, 100


class Suite(Settings):
    """What is played: every draw of every level has noise, and episodes, of its own, the same for all levels."""

    families: tuple[str, ...] = Field((), description="families of perturbations; default: all that the agent allows")
    levels: tuple[float, ...] = Field((), description="levels in place of each family's own")
    seeds: PositiveInt | None = Field(None, description="draws of each level; default 10, in a quick look 3")
    episodes: PositiveInt | None = Field(
        None,
        description="episodes of a draw; default 1, of a classification task one for each test pattern (1,000 at most)",
    )
    quick: bool = Field(False, description="a few levels and draws, for a look")

    @property
    def draws(self) -> int:
        return self.seeds or (3 if self.quick else 10)

    def episodes_in(self, agent: Agent) -> int:
        """Episodes of a draw."""
        patterns = pattern_count(agent.env, "test")
        usual = min(patterns, _QUICK_PATTERNS if self.quick else _MOST_PATTERNS) if patterns else 1
        return self.episodes or usual

    def chosen(self, known: dict[str, Family]) -> dict[str, Family]:
        """Families, with their levels.

        Raises
        ------
        ConfigError
            If one is not known or lacks a library, or a level is not one of it.
        """
        for name in self.families:
            if name not in known:
                raise ConfigError(f"family {name!r}: this agent has none of this name. {nearest(name, known)}")
            if known[name].missing:
                raise ConfigError(known[name].missing)
        found = {name: known[name] for name in self.families or known if not known[name].missing}
        for name, family in found.items():
            for level in self.levels:
                family.check(level)
            found[name] = family._replace(levels=self.levels or (_few(family.levels) if self.quick else family.levels))
        return found

    def cells(self, chosen: dict[str, Family]) -> list[Cell]:
        """All that is to be played, first without perturbation; the normal level of a family is not played again."""
        levels = [(UNPERTURBED, 0.0)]
        levels += [(name, x) for name, family in chosen.items() for x in family.levels if x != family.normal]
        return [Cell(name, level, draw) for name, level in levels for draw in range(self.draws)]


def _few(levels: Sequence[float]) -> tuple[float, ...]:
    where = np.unique(np.linspace(0, len(levels) - 1, _QUICK_LEVELS + 1).round().astype(int))
    return tuple(levels[i] for i in where)


def robustness(
    run: RunFolder | Path | str,
    suite: Suite | None = None,
    folder: Path | str | None = None,
    jobs: int = 1,
    trust: bool = False,
    report: Callable[[Cell, int, int], None] = lambda cell, done, of: None,
) -> tuple[Path, dict[str, Family]]:
    """Play the best weights of a run under every perturbation that a suite has; go on where one was interrupted.

    Parameters
    ----------
    run : RunFolder or path
    suite : Suite, optional
    folder : path, optional
        Of the table; default RUN/robustness, for a quick look RUN/robustness-quick.
    jobs : int
        Processes. From 2 on a script that calls this needs ``if __name__ == "__main__":``.
    trust : bool
        As for `Agent.load`.
    report : callable
        Told of each cell as it is finished, how many there are so far, and of how many.

    Returns
    -------
    Path
        The table.
    dict of str to Family
        What it has, with the levels that were asked for.

    Raises
    ------
    ConfigError
        If a family or a level is none of this agent; before anything is played.
    RunError
        If another process fills the folder, or it has a table of other settings.
    """
    run, suite = run if isinstance(run, RunFolder) else RunFolder.open(run), suite or Suite()
    if jobs < 1:
        raise ConfigError(f"jobs = {jobs}: expected at least 1 process")
    best = run.best()
    with Agent.load(run, trust) as agent:
        chosen, episodes = suite.chosen(families_of(agent)), suite.episodes_in(agent)
    folder = Path(folder) if folder is not None else run.path / ("robustness-quick" if suite.quick else "robustness")
    settings = {
        "task": run.experiment.task,
        "model": run.experiment.model,
        "seed": run.experiment.seed,
        "checkpoint": best.name,
        "episodes": episodes,
        "versions": versions(*run.experiment.libraries),
    }
    with locked(folder):
        table = Table(folder, settings)
        cells = suite.cells(chosen)
        done = table.finished
        left = [cell for cell in cells if cell not in done]
        with ExitStack() as stack:
            for number, rows in enumerate(_played(stack, run.path, left, episodes, min(jobs, len(left)), trust), 1):
                table.append(rows)
                report(rows[0].cell, len(cells) - len(left) + number, len(cells))
    return table.path, chosen


def _played(
    stack: ExitStack, run: Path, cells: Sequence[Cell], episodes: int, jobs: int, trust: bool
) -> Iterator[list[Row]]:
    """Rows of each cell, as they are finished."""
    if jobs < 2:
        if cells:
            yield from map(_Subject(run, episodes, trust).play, cells)
        return
    # Not by fork: copies of a process share its random numbers, and what its threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin, (run, episodes, trust))
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    waiting, coming = set(), iter(cells)
    while True:
        for cell in coming:
            waiting.add(pool.submit(_play, cell))
            if len(waiting) >= 4 * jobs:
                break
        if not waiting:
            return
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            try:
                yield future.result()
            except BrokenProcessPool as error:
                raise RunError(
                    "a process of the suite was killed, perhaps for want of memory: finished cells are kept; start the "
                    "command again, with fewer --jobs"
                ) from error


class _Subject:
    """The agent of a run in this process."""

    def __init__(self, run: Path, episodes: int, trust: bool) -> None:
        self._agent, self._episodes = Agent.load(run, trust), episodes
        self._families = families_of(self._agent)

    def play(self, cell: Cell) -> list[Row]:
        """The episodes of a cell, or one row that says why there are none."""
        agent, count = self._agent, self._episodes
        try:
            if cell.family == UNPERTURBED:
                played = agent.play(count, first=cell.draw * count)
            else:
                seed = draw_seed(agent.experiment.seed, cell.draw)
                with self._families[cell.family].applied(agent, cell.level, seed):
                    played = agent.play(count, first=cell.draw * count)
        except (EnvironmentFailure, DivergenceError) as error:
            return [Row(*cell, 0, None, None, rejected=one_line(error))]
        return [Row(*cell, i, e.total, e.decisions, e.correct, e.success, e.score) for i, e in enumerate(played)]


def draw_seed(seed: int, draw: int) -> int:
    """Seed, of 32 bits, of the noise in a draw of a run with `seed`."""
    return int(np.random.SeedSequence(seed, spawn_key=(Purpose.PERTURBATION, draw)).generate_state(1)[0])


_subject: _Subject | None = None


def _begin(*arguments: Any) -> None:
    global _subject
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _subject = _Subject(*arguments)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its children, which would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(cell: Cell) -> list[Row]:
    assert _subject is not None  # of `_begin`
    return _subject.play(cell)
