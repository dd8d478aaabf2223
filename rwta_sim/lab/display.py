"""The live display of a training."""

from __future__ import annotations

import html
import time
from collections import deque
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from rwta_sim.lab.training import Progress
from rwta_sim.loop.player import Episode

__all__ = ["TrainingDisplay"]


#: Of numbers that systems log: what they are called, and how they are shown.
_LONG = {"entropy": "policy entropy (nats)", "rate_hz": "mean firing rate (Hz)"}
_LONG |= {
    "winner_bits": "entropy of a circuit's winners (bits)",
    "action_bits": "what a circuit tells of the action (bits)",
    "state_bits": "and of the observation (bits)",
    "top_share": "share of a circuit's top neuron",
}
_SHORT = {"rate_hz": ("rate", " Hz")}
_FORMATS = {"entropy": ".3f", "rate_hz": ".0f"}


def _listed(result: Episode) -> str:
    """The numbers that a system logs, for a line."""
    text = ""
    for name, number in result.numbers.items():
        short, unit = _SHORT.get(name, (name, ""))
        text += f"{short} {number:{_FORMATS.get(name, '.3g')}}{unit}  "
    return text


def _done(progress: Progress) -> tuple[int, int, str]:
    """What was played of what is to be played, and in what that is counted."""
    if progress.budget is None:
        return progress.episode, progress.episodes, "episode"
    return progress.trained, progress.budget, "decision"


def _told(progress: Progress) -> str:
    """What hidden circuits tell, after a validation."""
    bits = progress.vitals
    return f"circuits tell {bits['action_bits']:.2f} bit of the action  " if bits else ""


class _Cell:
    """The output of a notebook's cell: a bar and a line below it, which take each other's place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = 0.0

    def show(self, text: str, done: int = 0, total: int = 0, now: bool = True) -> None:
        """Show a line; but for `now`, at most four a second."""
        from IPython.display import HTML, display

        if not now and time.monotonic() - self._shown < 0.25:
            return
        self._shown = time.monotonic()
        bar = f'<progress value="{done}" max="{total}" style="width:100%"></progress><br>' if total else ""
        page = HTML(f"{bar}<code>{html.escape(text)}</code>")
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)


class TrainingDisplay:
    """Shows return, what the system logs and decisions per second on stderr.

    On a terminal it is redrawn in place, and so it is in a notebook, there in the output of its cell:
    ``train(experiment, folder, report=TrainingDisplay("cue"))``; elsewhere (a log file) one line per validation is
    written.

    Parameters
    ----------
    title : str
    compiles : bool
        Whether the training begins with compiling.
    """

    def __init__(self, title: str, compiles: bool = True) -> None:
        self._console = Console(stderr=True)
        self._title = title
        self._returns: deque[float] = deque(maxlen=20)
        self._vitals: dict[str, float] = {}
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._start = "compiling" if compiles else "training"
        self._task = self._bar.add_task(f"{title}: {self._start}", total=None)
        self._live = Live(self._bar, console=self._console, refresh_per_second=4)
        self._cell = _Cell() if self._console.is_jupyter else None
        self._validation = ""

    def __enter__(self) -> TrainingDisplay:
        if self._console.is_terminal:
            self._live.start()
        else:
            first = " (a minute or two the first time), then training" if self._start == "compiling" else ""
            self._line(f"{self._title}: {self._start}{first}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show a `Progress`."""
        self._returns.append(progress.result.total)
        self._vitals = progress.vitals or self._vitals
        speed = progress.decisions / progress.seconds if progress.seconds > 0 else 0.0
        done, total, unit = _done(progress)
        if not self._console.is_terminal:
            validated = progress.validation is not None
            if validated:
                success = "" if progress.success is None else f" (success {progress.success:.2f})"
                self._validation = f"validation {progress.validation:.1f}{success}  "
            line = (
                f"{unit} {done}/{total}  return {np.mean(self._returns):.1f}  {self._validation}"
                f"{_listed(progress.result)}{_told(progress)}{speed:.0f} decisions/s"
            )
            if self._cell is not None:
                self._cell.show(f"{self._title}: {line}", min(done, total), total, now=validated or done >= total)
            elif validated:
                self._line(line)
            return
        self._bar.update(self._task, description=f"{self._title}, {unit}s", total=total, completed=min(done, total))
        self._live.update(self._table(progress, speed))

    def _line(self, text: str) -> None:
        if self._cell is not None:
            self._cell.show(text)
            return
        self._console.print(text, highlight=False, soft_wrap=True)

    def _table(self, progress: Progress, speed: float) -> Table:
        table = Table.grid(padding=(0, 3))
        table.add_row(self._bar)
        facts = Table.grid(padding=(0, 3))
        logged = progress.result.numbers.items()
        best = "-" if progress.best_validation is None else f"{progress.best_validation:.1f}"
        for name, value in (
            ("return, mean of 20 episodes", f"{np.mean(self._returns):.1f}"),
            ("best validation", best),
            *((_LONG.get(name, name), f"{number:{_FORMATS.get(name, '.3g')}}") for name, number in logged),
            *((_LONG[name], f"{number:.2f}") for name, number in self._vitals.items()),
            ("decisions per second", f"{speed:.0f}"),
        ):
            facts.add_row(name, value)
        table.add_row(facts)
        return table
