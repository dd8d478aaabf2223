"""How far a sweep is, on stderr."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from rwta_sim.errors import printable
from rwta_sim.lab.sweep.driver import Count

__all__ = ["SweepDisplay"]

#: Seconds between lines where there is no terminal.
_EVERY = 30.0


class SweepDisplay:
    """Shows a `Count` on stderr: on a terminal a bar, elsewhere (a log file) a line now and then, and all news."""

    def __init__(self, title: str) -> None:
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=self._console, refresh_per_second=4)
        self._task = self._bar.add_task(title, total=None)
        self._title, self._shown = title, -_EVERY

    def __enter__(self) -> SweepDisplay:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, count: Count) -> None:
        """Show it."""
        if count.news:
            self._line(count.news)
        done = count.of - count.left
        if self._console.is_terminal:
            self._bar.update(self._task, description=f"{self._title}: {count.line()}", total=count.of, completed=done)
        elif count.seconds - self._shown >= _EVERY:
            self._shown = count.seconds
            self._line(count.line())

    def _line(self, text: str) -> None:
        self._console.print(f"{self._title}: {printable(text)}", highlight=False, soft_wrap=True, markup=False)
