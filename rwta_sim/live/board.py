"""`Board`: what pages show of a simulation."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rwta_sim.lab.vitals import Vitals
from rwta_sim.loop.activity import Activity
from rwta_sim.loop.probes import Drained, Spikes

__all__ = ["WINDOW", "Board", "Cursor"]

#: Decisions that a page shows, and over which winners are counted; episodes and messages that are kept.
WINDOW, _COUNTED, _EPISODES, _MESSAGES = 60, 200, 5000, 20
#: Seconds between counts of winners.
_COUNT_EVERY = 0.25
#: Spikes of a group in a decision that are sent, at the most: of more, every so many.
_MOST_SPIKES = 2000
#: Circuits that are told of, at the most.
_MOST_CIRCUITS = 64


class Cursor(NamedTuple):
    """How far somebody has read: `Board.since`."""

    generation: int = -1
    cleared: int = -1
    shown: int = -1
    stated: int = -1
    decision: int = -1
    episode: int = 0
    message: int = 0


class Board:
    """Notes of the last decisions and episodes; written by the simulation's thread, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._description: dict[str, Any] = {"state": "building"}
        self._state: dict[str, Any] = {}
        self._generation, self._stated = 0, 0
        self._decisions: deque[tuple[int, str]] = deque(maxlen=WINDOW)
        self._waiting: list[dict[str, Any]] = []  # decisions whose spikes are not known yet
        self._unmodulated: deque[int] = deque()
        self._modulations: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._activity: deque[tuple[np.ndarray, int]] = deque(maxlen=_COUNTED)
        self._episodes: deque[dict[str, Any]] = deque(maxlen=_EPISODES)
        self._ended = 0
        self._messages: deque[dict[str, str]] = deque(maxlen=_MESSAGES)
        self._said = 0
        self._number, self._last, self._shown, self._cleared = 0, -1, 0, 0
        self._circuits: dict[str, list[float]] | None = None
        self._counted = 0.0
        self._picture: bytes | None = None

    # -- writing -------------------------------------------------------------------------------------

    def describe(self, description: dict[str, Any]) -> None:
        """Another network acts from now on; decisions of the one before are forgotten."""
        with self._lock:
            self._description = description
            self._generation += 1
            for notes in (self._decisions, self._waiting, self._unmodulated, self._modulations, self._activity):
                notes.clear()

    def forget(self) -> None:
        """Episodes, too: all begins anew."""
        with self._lock:
            self._episodes.clear()
            self._ended, self._cleared = 0, self._cleared + 1

    def state(self, **facts: Any) -> None:
        """How things stand; facts that are not given stay."""
        with self._lock:
            self._state = {**self._state, **facts}
            self._stated += 1

    def say(self, text: str, kind: str = "note") -> None:
        """A message for all pages; `kind` is "note" or "refused"."""
        with self._lock:
            self._messages.append({"kind": kind, "text": text})
            self._said += 1

    def add(self, moment: dict[str, Any], winners: np.ndarray | None, learns: bool) -> None:
        """A decision; `learns`: its modulation will be known."""
        with self._lock:
            moment["n"] = self._number
            self._number += 1
            if winners is not None and winners.size:
                moment["winners"] = winners[:_MOST_CIRCUITS].tolist()
                self._activity.append((winners[:_MOST_CIRCUITS], moment["action"]))
            if learns:
                self._unmodulated.append(moment["n"])
            self._waiting.append(moment)

    def publish(self, drained: Drained, modulations: np.ndarray, picture: bytes | None) -> None:
        """Let pages see the decisions that were added, with their spikes, and modulations that became known."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            places = {group: _edges(spikes) for group, spikes in drained.spikes.items()}
            # Both end with the last decision; there may be more of one, where another network began to act.
            first = drained.decisions - len(waiting)
            for k, moment in list(enumerate(waiting, first))[-WINDOW:]:
                if k >= 0:
                    moment["spikes"] = {
                        group: _spikes(spikes, places[group], k) for group, spikes in drained.spikes.items()
                    }
                self._last = moment["n"]
                self._decisions.append((self._last, json.dumps(moment)))
            for value in modulations.tolist():
                if self._unmodulated:
                    self._modulations.append((self._unmodulated.popleft(), value))
            if time.monotonic() >= self._counted:
                self._circuits, self._counted = _circuits(self._activity), time.monotonic() + _COUNT_EVERY
            self._picture = picture
            self._shown += 1

    def unlearned(self) -> None:
        """Decisions whose modulation is not known will never be learned from."""
        with self._lock:
            self._unmodulated.clear()

    def ended(self, episode: dict[str, Any]) -> None:
        """An episode is over."""
        with self._lock:
            self._episodes.append(episode)
            self._ended += 1

    # -- reading -------------------------------------------------------------------------------------

    def since(self, seen: Cursor) -> tuple[Cursor, list[str | bytes]]:
        """What has come since then, as texts (JSON) and pictures, and how far that goes."""
        with self._lock:
            now = Cursor(
                *(self._generation, self._cleared, self._shown, self._stated),
                *(self._last, self._ended, self._said),
            )
            if now == seen:
                return seen, []
            sent: list[str | bytes] = []
            if seen.generation != now.generation:
                sent.append(json.dumps({"kind": "hello", **self._description}))
                seen = seen._replace(decision=-1, shown=-1)
            if seen.cleared != now.cleared:
                seen = seen._replace(episode=0)
            sent.append(self._frame(seen))
            if self._picture is not None and seen.shown != now.shown:
                sent.append(self._picture)
            return now, sent

    def _frame(self, seen: Cursor) -> str:
        first = max(seen.episode, self._ended - len(self._episodes))
        facts = {
            "kind": "frame",
            "state": self._state,
            "modulations": list(self._modulations),
            "first": first,
            "episodes": _last(self._episodes, self._ended - first),
            "messages": _last(self._messages, self._said - seen.message),
            "circuits": self._circuits,
        }
        decisions = ", ".join(text for number, text in self._decisions if number > seen.decision)
        return f'{json.dumps(facts)[:-1]}, "decisions": [{decisions}]}}'


def _last(kept: deque[dict[str, Any]] | deque[dict[str, str]], count: int) -> list[Any]:
    """So many, or all that are kept."""
    return list(kept)[-count:] if count > 0 else []


def _circuits(seen: Sequence[tuple[np.ndarray, int]]) -> dict[str, list[float]] | None:
    """How often the most frequent neuron of each circuit won lately, and the entropy of who wins, bits."""
    if not seen:
        return None
    winners, actions = zip(*seen, strict=True)
    activity = Activity(np.array(winners), np.array(actions), np.empty((len(actions), 0)), np.empty(0))
    vitals = Vitals.of(activity)
    return {"share": vitals.top_share.round(3).tolist(), "bits": vitals.winner_bits.round(3).tolist()}


def _edges(spikes: Spikes) -> np.ndarray:
    return np.append(0, np.cumsum(spikes.counts))


def _spikes(spikes: Spikes, edges: np.ndarray, decision: int) -> list[list[float]]:
    """Neurons and times (ms) of a decision's spikes."""
    part = slice(edges[decision], edges[decision + 1], max(-(-int(spikes.counts[decision]) // _MOST_SPIKES), 1))
    return [spikes.i[part].tolist(), (spikes.t[part] * 1e3).round(2).tolist()]
