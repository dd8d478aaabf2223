"""`Injuries`: what was lesioned and stimulated in a live simulation, and how it is healed."""

from __future__ import annotations

from rwta_sim.errors import ConfigError
from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.live.cast import Cast

__all__ = ["Injuries"]


class Injuries:
    """Perturbations since the simulation began, or was healed.

    Attributes
    ----------
    done : list of str
        All of them.
    passing : list of str
        Of these, what the network that acts now has and a new one has not, and under which nothing can be learned.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.passing: list[str] = []
        self._whole: Checkpoint | None = None  # parameters before the first one

    def perturb(self, cast: Cast, name: str, target: str) -> None:
        """Lesion or stimulate; raises ConfigError as `System.perturb`, and then nothing has changed."""
        system = cast.agent.system
        before = self._whole or cast.state()
        system.perturb(name, target, seed=len(self.done))
        self._whole = before
        self.done.append(f"{name} {target}")
        if not system.at_any_time(name):
            self.passing.append(f"{name} {target}")

    def check(self) -> None:
        """Raise ConfigError if there is nothing to heal."""
        if self._whole is None:
            raise ConfigError("heal: nothing was lesioned or stimulated")

    def heal(self, cast: Cast) -> None:
        """Give it the parameters from before the first perturbation."""
        if self._whole is not None:
            cast.agent.system.set_state(self._whole.arrays)
        self.done, self.passing, self._whole = [], [], None

    def moved(self) -> list[str]:
        """What is gone with a network, as another acts now."""
        gone, self.passing = self.passing, []
        self.done = [what for what in self.done if what not in gone]
        return gone
