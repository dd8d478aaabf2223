"""`Credit`: the modulation of every decision, from rewards, by a critic."""

from __future__ import annotations

import numpy as np

from rwta_sim.learning.critics.base import Critic, Transitions, advantages
from rwta_sim.learning.modulation import Control, ModulationSpec, Shuffle

__all__ = ["Credit"]


class Credit:
    """Tells what a decision was worth: its TD error at once, or its advantage at the end of the episode.

    Parameters
    ----------
    critic : Critic
        One that tells TD errors at once (``critic.online``), if the modulation is the TD error.
    modulation : ModulationSpec
    control : {"none", "off", "shuffled"}

    Attributes
    ----------
    online : bool
        Whether decisions are credited at once.
    learns : bool
        False if learning is switched off.
    shuffled : bool
        Whether modulations are given to the wrong decisions.
    """

    def __init__(self, critic: Critic, modulation: ModulationSpec, control: Control) -> None:
        self.online, self.learns = modulation.online, control != "off"
        self.critic, self._modulation = critic, modulation
        self._shuffle, self.shuffled = Shuffle(), control == "shuffled"
        self._scale = modulation.scale()
        self._transitions: Transitions
        #: TD errors and modulations of decisions, for who takes notes of them.
        self._notes: tuple[list[float], list[float]] | None = None

    def begin_episode(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode."""
        if self.online:
            self.critic.begin_episode(features)
        else:
            self._transitions = Transitions(features)

    def td_error(self, rates: np.ndarray | None, reward: float, features: np.ndarray, terminated: bool) -> float | None:
        """The TD error of a decision, or None where it is told at the end of the episode.

        Parameters
        ----------
        rates : ndarray, shape (n_neurons,), or None
            Firing rates in the decision, for critics that read them.
        reward : float
        features : ndarray
            Of the observation that followed.
        terminated : bool
        """
        if self.online:
            return self._noted(self.critic.td_error(reward, features, terminated), 0)
        self._transitions.add(rates, reward, features, terminated)
        return None

    def advantages(self, rng: np.random.Generator) -> np.ndarray:
        """Of the decisions of the episode, from which the critic learns; shape (decisions,)."""
        found = self.critic.td_errors(self._transitions, rng)
        if self._notes is not None:
            self._notes[0].extend(found.tolist())
        result = advantages(found, self._modulation.discount(self.critic.gamma))
        return result if self._scale is None else self._scale.apply(result)

    def given(self, modulation: float, rng: np.random.Generator) -> float:
        """What reaches the synapses in place of `modulation`: itself, unless it is shuffled."""
        if self.shuffled:
            modulation = self._shuffle.exchange(modulation, rng)
        return self._noted(modulation, 1)

    def note(self, td_error: float, modulation: float) -> None:
        """Take notes, if it does, of a decision that was learned from in its place."""
        self._noted(td_error, 0), self._noted(modulation, 1)

    def _noted(self, number: float, which: int) -> float:
        if self._notes is not None:
            self._notes[which].append(number)
        return number

    def hear(self, notes: bool) -> None:
        """From now on take notes of TD errors and of what reaches the synapses, or do not."""
        self._notes = ([], []) if notes else None

    def heard(self) -> tuple[np.ndarray, np.ndarray]:
        """TD errors and modulations noted since it was asked last, in the order of their decisions."""
        told = self._notes or ([], [])
        self.hear(self._notes is not None)
        return np.array(told[0], float), np.array(told[1], float)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with critic and modulation."""
        return {
            **{f"critic.{name}": a for name, a in self.critic.state().items()},
            **{f"shuffle.{name}": a for name, a in self._shuffle.state().items()},
            **({} if self._scale is None else {f"scale.{name}": a for name, a in self._scale.state().items()}),
        }
