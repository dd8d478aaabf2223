"""`Witness`: hears of every decision of a live simulation, and lets pages see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rwta_sim.lab.recorder import Recorder
from rwta_sim.live.board import Board
from rwta_sim.live.cast import Cast
from rwta_sim.loop.system import Choice, Listener

__all__ = ["Witness"]

#: Seconds between two frames, at the least; and how many times as long as it took to make the last one.
_FRAME, _REST = 1 / 30, 4.0
#: Actions whose probabilities are shown, at the most.
_MOST_ACTIONS = 32


class Witness:
    """A `Listener` that passes on what it hears to who learns or records.

    Parameters
    ----------
    cast : Cast
    board : Board
    gate : callable
        Called between two decisions; returns when the next one may come.

    Attributes
    ----------
    recorder : Recorder or None
        While there is a recording.
    learns : bool
        Whether the system is to learn.
    synapse : (str, int, int) or None
        Block, presynaptic and postsynaptic neuron of the weight to watch.
    unhurried : bool
        Look at the synapse and the winners in every decision; else as often as that takes a fifth of the time.
    """

    def __init__(self, cast: Cast, board: Board, gate: Callable[[], None]) -> None:
        self._cast, self._board, self._gate = cast, board, gate
        self._system = cast.agent.system
        self.recorder: Recorder | None = None
        self.learns = self.unhurried = False
        self.synapse = self._first_synapse()
        self._next = self._look = 0.0
        self._begun, self._decisions, self.speed = time.monotonic(), 0, 0.0
        self._episode = self._decision = 0
        self._return = 0.0
        self._unseen = False  # whether there was a decision since `publish`

    def _first_synapse(self) -> tuple[str, int, int] | None:
        matrices = [name for name, w in self._system.weights().items() if w.ndim == 2]
        return (matrices[0], 0, 0) if matrices else None

    def began(self, number: int) -> None:
        """The next episode has this number."""
        self._episode, self._decision, self._return = number, 0, 0.0

    @property
    def _inner(self) -> Listener | None:
        return self.recorder or (self._system if self.learns else None)

    # -- what a listener hears -----------------------------------------------------------------------

    def see(self, observation: Any) -> None:
        if self.recorder is not None:
            self.recorder.see(observation)

    def begin_episode(self, features: Any) -> None:
        if self._inner is not None:
            self._inner.begin_episode(features)

    def hear_answer(self, action: Any) -> None:
        if self._inner is not None:
            self._inner.hear_answer(action)

    def learn(self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator) -> None:
        self._note(choice, reward)
        if self._inner is not None:
            self._inner.learn(choice, reward, features, terminated, rng)
        if time.monotonic() >= self._next:
            self.publish()
        self._gate()

    def end_episode(self, rng: np.random.Generator) -> None:
        if self._inner is not None:
            self._inner.end_episode(rng)

    # -- showing -------------------------------------------------------------------------------------

    def _note(self, choice: Choice, reward: float) -> None:
        policy, system = choice.probabilities, self._system
        moment = {
            "episode": self._episode,
            "action": choice.action,
            "hand": self._cast.stage.acted,
            "reward": reward,
            "policy": None if policy is None else np.round(policy[:_MOST_ACTIONS], 4).tolist(),
        }
        winners = None
        if self.unhurried or time.monotonic() >= self._look:
            began = time.thread_time()
            winners = system.winners()
            if self.synapse is not None:
                moment["synapse"] = system.synapse(*self.synapse)
            self._look = time.monotonic() + _REST * (time.thread_time() - began)
        self._board.add(moment, winners, self.learns)
        self._unseen = True
        self._decision += 1
        self._return += reward

    def show_last(self) -> None:
        """Let pages see the last decision, if they do not yet."""
        if self._unseen:
            self.publish()

    def publish(self) -> None:
        """Let pages see all there is."""
        began, self._unseen = time.thread_time(), False
        self._count(time.monotonic())
        drained, modulations = self._cast.tap.taken()
        self._board.publish(drained, modulations, self._cast.stage.picture())
        self._board.state(
            episode=self._episode,
            decision=self._decision,
            total=self._return,
            speed=round(self.speed, 1),
            blind=self._cast.stage.blind,
            bars=self._cast.stage.bars(),
            synapse=self.synapse,
        )
        self._next = time.monotonic() + max(_FRAME, _REST * (time.thread_time() - began))

    def _count(self, now: float) -> None:
        """Decisions a second, over a second or so."""
        decisions = self._cast.agent.player.decisions
        if (passed := now - self._begun) >= 1.0:
            self.speed = (decisions - self._decisions) / passed
            self._begun, self._decisions = now, decisions
