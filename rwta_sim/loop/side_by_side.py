"""`SideBySide`: copies of a system play the episodes of a batch at once, and one hears of them in order.

Within a batch of episodes weights stay the same, and every episode has seeds of its own: who plays an episode, and
when, changes nothing in it. So the copies play in threads (a compiled network releases the interpreter lock) while
taking notes, and the first one is told of the episodes in the order of their numbers, as if it had played them itself:
the result is the same to the last bit for any number of copies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.loop.player import Episode, Player
from rwta_sim.loop.players import Game, Players, play_one
from rwta_sim.loop.session import Session, finish
from rwta_sim.loop.transcript import Transcript
from rwta_sim.loop.vector import Abandoned, Lockstep
from rwta_sim.seeding import Purpose, episode_seeds

__all__ = ["Played", "SideBySide", "failure_of"]

Result = TypeVar("Result")


class Played(NamedTuple):
    """An episode that was played: its `result`, or the error that ended it."""

    transcript: Transcript
    result: Episode | None
    error: BaseException | None


def failure_of(error: EnvironmentFailure, purpose: Purpose, number: int, others: str = "") -> EnvironmentFailure:
    """The error with the episode in which it happened."""
    failure = EnvironmentFailure(f"{error} ({purpose.name.lower()} episode {number + 1}{others})")
    failure.__cause__ = error.__cause__
    return failure


class SideBySide(Players):
    """Players of copies of one system, each in a thread of its own and with an environment of its own.

    Parameters
    ----------
    players : sequence of Player
        Their systems were built one after the other, of the same settings. The first one's parameters are the ones
        that count: the others take them over before they play.
    seed : int
        From which the seeds of the episodes are derived.
    close : callable
        Closes what was made for them; is given the numbers of the players that are `lost`.
    lockstep : Lockstep, optional
        Whose environments the players have. Then episode n of those to be played is for player n modulo their number;
        otherwise for whoever is free.

    Attributes
    ----------
    lost : set of int
        Players whose threads do not come back: their environments hang, and nobody may touch them.
    """

    def __init__(
        self,
        players: Sequence[Player],
        seed: int,
        lockstep: Lockstep | None = None,
        close: Callable[[Collection[int]], None] = lambda lost: None,
    ) -> None:
        self.players = players
        self._seed = seed
        self._lockstep = lockstep
        self._close = close
        self.lost: set[int] = set()

    def close(self) -> None:
        self._close(self.lost)

    @property
    def side_by_side(self) -> bool:
        return True

    @property
    def whole_batches(self) -> bool:
        return self._lockstep is not None and self._lockstep.resets_itself

    def run(self, session: Session[Result]) -> Result:
        return finish(session)

    def play(self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Game:
        first = self.players[0].system
        for player in self.players[1:]:
            player.system.follow(first)
        if self._lockstep is not None:
            begin = numbers[: len(self.players)]
            self._lockstep.begin({i: episode_seeds(self._seed, purpose, n).environment for i, n in enumerate(begin)})
        return _Threads(self, self._seed, purpose, numbers, stop, self._lockstep)


class _Threads(Game):
    """One call of `SideBySide.play`."""

    def __init__(
        self,
        group: SideBySide,
        seed: int,
        purpose: Purpose,
        numbers: Sequence[int],
        stop: Callable[[], bool],
        lockstep: Lockstep | None,
    ) -> None:
        self._group, self._seed, self._purpose, self._stop, self._lockstep = group, seed, purpose, stop, lockstep
        self._left = iter(numbers)
        self._abandoned = False
        self._turn = threading.Condition()
        self._begun: set[int] = set()
        self._played: dict[int, Played] = {}
        count = len(group.players)
        queue = iter(numbers)
        queues = [queue] * count if lockstep is None else [iter(numbers[i::count]) for i in range(count)]
        self._threads = [
            threading.Thread(target=self._player, args=(i, queues[i]), name=f"replica-{i}", daemon=True)
            for i in range(min(count, len(numbers)))
        ]
        for thread in self._threads:
            thread.start()

    def next(self) -> Session[Episode | None]:
        yield from ()
        number = next(self._left, None)
        played = None if number is None else self._wait_for(number)
        if played is None:
            return None
        if self._purpose is Purpose.TRAINING:
            played.transcript.tell(self._group.players[0].system)
        if played.error is not None:
            raise played.error
        return played.result

    def close(self) -> None:
        with self._turn:
            self._abandoned = True
        if self._lockstep is not None:
            self._lockstep.abandon()
        for i, thread in enumerate(self._threads):
            thread.join(timeout=1.0)  # of a daemon: one whose environment hangs is left behind
            if thread.is_alive():
                self._group.lost.add(i)

    def _wait_for(self, number: int) -> Played | None:
        """The episode, or None if it will never begin."""
        with self._turn:
            while number not in self._played:
                if number not in self._begun and self._stop():
                    return None
                self._turn.wait()
            return self._played.pop(number)

    def _player(self, index: int, queue: Iterator[int]) -> None:
        """What a thread does: play episodes until there are no more."""
        while (number := self._next(queue)) is not None:
            played = self._play(self._group.players[index], number)
            if played is None:
                break
            with self._turn:
                self._played[number] = played
                self._turn.notify_all()
            if played.error is not None:
                break
        if self._lockstep is not None:
            self._lockstep.leave(index)
        with self._turn:
            self._turn.notify_all()

    def _next(self, queue: Iterator[int]) -> int | None:
        with self._turn:
            number = None if self._abandoned or self._stop() else next(queue, None)
            if number is not None:
                self._begun.add(number)
            return number

    def _watch(self) -> None:
        if self._abandoned:
            raise Abandoned

    def _play(self, player: Player, number: int) -> Played | None:
        transcript = Transcript(player.system, keep=self._purpose is Purpose.TRAINING, watch=self._watch)
        try:
            session = play_one(player, self._seed, self._purpose, number, transcript)
            return Played(transcript, player.system.run(session), None)
        except Abandoned:
            return None
        except EnvironmentFailure as error:
            beside = self._lockstep is not None and self._lockstep.failed
            others = ", or one beside it in the vector environment" if beside else ""
            return Played(transcript, None, failure_of(error, self._purpose, number, others))
        except BaseException as error:
            return Played(transcript, None, error)
