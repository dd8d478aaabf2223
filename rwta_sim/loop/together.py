"""`Together`: copies of a system decide at once, in one thread, and one hears of their episodes in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.loop.player import Episode, Player
from rwta_sim.loop.players import Game, Players, play_one
from rwta_sim.loop.session import Session, finish
from rwta_sim.loop.side_by_side import Played, failure_of
from rwta_sim.loop.transcript import Transcript
from rwta_sim.seeding import Purpose

__all__ = ["Together"]

Result = TypeVar("Result")


class Together(Players):
    """Players of copies of one system that can decide together (`System.joint`): a decision of all is one product.

    Within a batch of episodes weights stay the same, as for `rwta_sim.loop.side_by_side.SideBySide`. Here sums over
    matrices round differently with the number of copies that still play, so results are the same bit for bit for one
    number of copies only.

    Parameters
    ----------
    players : sequence of Player
        Each with an environment of its own. The first one's parameters are the ones that count.
    seed : int
        From which the seeds of the episodes are derived.
    close : callable
        Closes what was made for them.
    """

    def __init__(self, players: Sequence[Player], seed: int, close: Callable[[Collection[int]], None]) -> None:
        self.players = players
        self._seed = seed
        self._close = close
        for player in players:
            player.system.join()

    def close(self) -> None:
        self._close(())

    @property
    def side_by_side(self) -> bool:
        return True

    def run(self, session: Session[Result]) -> Result:
        return finish(session)

    def play(self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Game:
        for player in self.players[1:]:
            player.system.follow(self.players[0].system)
        return _Rounds(self.players, self._seed, purpose, numbers, stop)


class _Rounds(Game):
    """One call of `Together.play`: in a round everybody who plays takes one decision."""

    def __init__(
        self,
        players: Sequence[Player],
        seed: int,
        purpose: Purpose,
        numbers: Sequence[int],
        stop: Callable[[], bool],
    ) -> None:
        self._first, self._seed, self._purpose, self._stop = players[0].system, seed, purpose, stop
        self._queue, self._left = iter(numbers), iter(numbers)
        self._free = list(reversed(players))
        self._playing: dict[int, tuple[Player, Session[Played]]] = {}
        self._played: dict[int, Played] = {}
        self._failed = False

    def next(self) -> Session[Episode | None]:
        yield from ()
        number = next(self._left, None)
        while number is not None and number not in self._played:
            self._begin()
            if number not in self._playing:
                return None
            self._round()
        if number is None:
            return None
        played = self._played.pop(number)
        if self._purpose is Purpose.TRAINING:
            played.transcript.tell(self._first)
        if played.error is not None:
            raise played.error
        return played.result

    def close(self) -> None:
        for _, session in self._playing.values():
            session.close()

    def _begin(self) -> None:
        """Let who is free begin an episode, unless one has failed or it is to be stopped."""
        while self._free and not self._failed and not self._stop():
            number = next(self._queue, None)
            if number is None:
                return
            player = self._free.pop()
            self._playing[number] = player, self._episode(player, number)

    def _episode(self, player: Player, number: int) -> Session[Played]:
        transcript = Transcript(player.system, keep=self._purpose is Purpose.TRAINING)
        try:
            result = yield from play_one(player, self._seed, self._purpose, number, transcript)
        except EnvironmentFailure as error:
            return Played(transcript, None, failure_of(error, self._purpose, number))
        return Played(transcript, result, None)

    def _round(self) -> None:
        """Up to the next decision of everybody who plays, which are then answered together."""
        waiting = [player.system for player in self._advanced()]
        if waiting:
            self._first.answer(waiting)

    def _advanced(self) -> Iterator[Player]:
        """Who waits for an answer; those whose episodes have ended become free."""
        for number, (player, session) in list(self._playing.items()):
            try:
                next(session)
            except StopIteration as end:
                del self._playing[number]
                self._played[number] = end.value
                self._failed |= end.value.error is not None
                self._free.append(player)
            else:
                yield player
