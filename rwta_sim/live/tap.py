"""`Tap`: what a system recorded within decisions, and heard, for two who want all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwta_sim.loop.probes import Drained, Spikes
from rwta_sim.loop.system import System

__all__ = ["Tap"]

Heard = tuple[np.ndarray, np.ndarray]
_NOTHING: Heard = (np.empty(0), np.empty(0))


class Tap:
    """Asks a system, which tells everything once, and passes it on to a page and, if there is one, to a recorder.

    `drain` and `heard` are for the recorder (a `Source`), `taken` is for the page.

    Parameters
    ----------
    system : System
    within : bool
        Whether it was built to record anything within decisions.
    hears : bool
        Whether it has anything to hear with: see `System.heard`.

    Attributes
    ----------
    recorded : bool
        Whether a recorder wants what comes.
    """

    def __init__(self, system: System, within: bool, hears: bool) -> None:
        self._system, self._within, self._hears = system, within, hears
        self.recorded = False
        self._page: list[tuple[Drained, Heard]] = []
        self._drained: list[Drained] = []
        self._heard: list[Heard] = []

    def _ask(self) -> None:
        drained = self._system.drain() if self._within else Drained(0, {}, {})
        heard = self._system.heard() if self._hears else _NOTHING
        self._page.append((drained, heard))
        if self.recorded:
            self._drained.append(drained)
            self._heard.append(heard)

    def taken(self) -> tuple[Drained, np.ndarray]:
        """What was recorded since this was asked last, and modulations that became known."""
        self._ask()
        drained, heard = zip(*self._page, strict=True)
        self._page.clear()
        return _joined(drained), _together(heard)[1]

    def drain(self) -> Drained:
        self._ask()
        found = _joined(self._drained)
        self._drained.clear()
        return found

    def heard(self) -> Heard:
        self._ask()
        found = _together(self._heard)
        self._heard.clear()
        return found


def _joined(parts: Sequence[Drained]) -> Drained:
    groups = {name for part in parts for name in part.spikes}
    spikes = {}
    for name in groups:
        columns = zip(*[part.spikes[name] for part in parts if name in part.spikes], strict=True)
        spikes[name] = Spikes(*(np.concatenate(column) for column in columns))
    return Drained(sum(part.decisions for part in parts), spikes, {})


def _together(parts: Sequence[Heard]) -> Heard:
    td_errors, modulations = zip(*parts, strict=True) if parts else ((), ())
    return np.concatenate([np.empty(0), *td_errors]), np.concatenate([np.empty(0), *modulations])
