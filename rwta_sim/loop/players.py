"""Who play the episodes of a training or an evaluation: one player, or several side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from rwta_sim.loop.activity import ActivityLog
from rwta_sim.loop.player import Episode, Player
from rwta_sim.loop.session import Session
from rwta_sim.loop.splits import reset_options
from rwta_sim.loop.system import Listener
from rwta_sim.seeding import Purpose, episode_seeds

__all__ = ["Game", "Notes", "OnePlayer", "Players"]

Result = TypeVar("Result")
_SPLITS = {Purpose.VALIDATION: "validation", Purpose.EVALUATION: "test"}


class Game(ABC):
    """Episodes being played, in the order of their numbers."""

    @abstractmethod
    def next(self) -> Session[Episode | None]:
        """The next episode, from which the system has learned if it is one of training; None if there is none.

        Raises
        ------
        RwtaSimError
            What ended the episode; the system has learned from it up to there.
        """

    def close(self) -> None:  # noqa: B027
        """End what is still being played."""


class Notes(Listener, Protocol):
    """Who takes notes of some episodes of training, and of what a system records within their decisions."""

    def wants(self, number: int) -> bool:
        """Whether of episode `number` of training."""

    def began(self, number: int) -> None:
        """An episode follows of which notes are taken."""

    def left(self) -> None:
        """Other episodes follow."""

    def forget(self) -> None:
        """What the system recorded in another episode is of no use."""

    def see(self, observation: Any) -> None: ...


class Players(ABC):
    """Players of one experiment.

    Attributes
    ----------
    players : sequence of Player
        The first one's system is the one that learns.
    """

    players: Sequence[Player]

    @abstractmethod
    def play(self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Game:
        """Play the episodes `numbers`, learning from those of training; all others as the system is evaluated.

        Parameters
        ----------
        purpose : Purpose
        numbers : sequence of int
        stop : callable
            Asked before an episode begins; if true, none begins any more.
        """

    @abstractmethod
    def run(self, session: Session[Result]) -> Result:
        """Run a session that plays games to its end."""

    @property
    def side_by_side(self) -> bool:
        """Whether episodes with the same weights may be played at once."""
        return False

    @property
    def whole_batches(self) -> bool:
        """Whether environments begin episodes by themselves, so that only whole games can be repeated."""
        return False

    @property
    def decisions(self) -> int:
        """Decisions of all players so far."""
        return sum(player.decisions for player in self.players)

    @property
    def first_decision(self) -> float | None:
        """`time.perf_counter()` after the first decision of all."""
        return min((p.first_decision for p in self.players if p.first_decision is not None), default=None)

    @contextmanager
    def noting(self) -> Iterator[ActivityLog]:
        """Notes of all decisions in the block, complete at its end."""
        total = ActivityLog()
        for player in self.players:
            player.activity = ActivityLog()
        try:
            yield total
        finally:
            for player in self.players:
                if player.activity is not None:
                    total.join(player.activity)
                player.activity = None

    def close(self) -> None:  # noqa: B027
        """Close what was made for the players."""


class OnePlayer(Players):
    """One player, who plays one episode after the other and learns while it plays.

    Parameters
    ----------
    player : Player
    seed : int
        From which the seeds of the episodes are derived.

    Attributes
    ----------
    notes : Notes or None
        Who takes notes of episodes of training; the system learns through it.
    """

    def __init__(self, player: Player, seed: int) -> None:
        self.players = [player]
        self._seed = seed
        self.notes: Notes | None = None

    def play(self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Game:
        return _OneGame(self.players[0], self._seed, purpose, numbers, stop, self.notes)

    def run(self, session: Session[Result]) -> Result:
        return self.players[0].system.run(session)


class _OneGame(Game):
    def __init__(
        self,
        player: Player,
        seed: int,
        purpose: Purpose,
        numbers: Sequence[int],
        stop: Callable[[], bool],
        notes: Notes | None,
    ) -> None:
        self._player, self._seed, self._purpose, self._notes = player, seed, purpose, notes
        self._left = iter(numbers)
        self._stop = stop

    def next(self) -> Session[Episode | None]:
        number = None if self._stop() else next(self._left, None)
        if number is None:
            return None
        which, notes = (self._player, self._seed, self._purpose, number), self._notes
        if notes is None:
            return (yield from play_one(*which))
        if self._purpose is Purpose.TRAINING and notes.wants(number):
            notes.began(number)
            return (yield from play_one(*which, notes, keep=notes.see))
        notes.left()
        result = yield from play_one(*which)
        notes.forget()
        return result


def play_one(
    player: Player, seed: int, purpose: Purpose, number: int, listener: Any = None, **how: Any
) -> Session[Episode]:
    """Episode `number` of a purpose: with its split, learning or as the system is evaluated; `how` as `Player.episode`.

    Parameters
    ----------
    player : Player
    seed : int
        Of the run.
    purpose : Purpose
    number : int
    listener : Listener, optional
        Default: the player's system, if the purpose is training.
    """
    training = purpose is Purpose.TRAINING
    if listener is None and training:
        listener = player.system
    options = None if training else reset_options(player.env, _SPLITS[purpose], number)
    how.setdefault("greedy", player.system.evaluates_greedily and not training)
    return (yield from player.episode(episode_seeds(seed, purpose, number), listener, options=options, **how))
