"""MinAtar's games as tasks: what presets of any system on them have in common."""

from __future__ import annotations

from typing import NamedTuple

from rwta_sim.loop.environment_spec import EnvironmentSpec

__all__ = ["GAMES", "Game"]


class Game(NamedTuple):
    """A game as a task.

    Attributes
    ----------
    task : str
    name : str
        In the id of the environment.
    line : str
        On what is done in it.
    batch : int
        Episodes that a policy is learned from at a time.
    validate_every : int
        Episodes.
    validation_episodes : int
    decisions : int
        Of a training: as many as in the published comparisons.
    """

    task: str
    name: str
    line: str
    batch: int = 16
    validate_every: int = 2000
    validation_episodes: int = 50
    decisions: int = 5_000_000

    @property
    def environment(self) -> EnvironmentSpec:
        """Sticky actions, minimal action sets, and it becomes harder on the way, as in the benchmark."""
        return EnvironmentSpec(id=f"rwta_sim/MinAtar{self.name}-v0")


def _line(what: str) -> str:
    return f"MinAtar's {what}; needs the extra minatar"


GAMES = (
    Game("minatar-asterix", "Asterix", _line("Asterix: collect treasure, avoid enemies")),
    Game("minatar-breakout", "Breakout", _line("Breakout: +1 for every brick, until the ball is missed")),
    Game(
        "minatar-freeway",
        "Freeway",
        _line("Freeway: cross the road as often as 2,500 steps allow"),
        batch=2,
        validate_every=100,
        validation_episodes=10,
    ),
    Game("minatar-seaquest", "Seaquest", _line("Seaquest: shoot fish, save divers, come up for air")),
    Game("minatar-space-invaders", "SpaceInvaders", _line("Space Invaders: +1 for every alien")),
)
