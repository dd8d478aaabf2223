"""What an engine is: the way a Brian2 network advances in a closed loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from brian2 import Network

__all__ = ["Engine"]


class Engine(ABC):
    """Advances one Brian2 network and gives access to its state.

    An engine knows nothing of what the network is for. The order of use is: build the Brian2 objects
    inside ``with engine.building():``, ``prepare`` the network, then ``run`` or ``advance`` it; views stay
    valid until the network is prepared again. One engine serves one network.
    """

    @contextmanager
    def building(self) -> Iterator[None]:
        """Context in which the Brian2 objects of the network must be created."""
        yield

    @abstractmethod
    def prepare(self, network: Network) -> None:
        """Make `network` ready to advance: compile it, or load it from the cache.

        Raises
        ------
        EngineError
            If this machine or this network does not allow it.
        """

    @abstractmethod
    def view(self, owner: Any, variable: str) -> np.ndarray:
        """The values of a variable of a group, synapses or clock, in SI units without dimensions.

        State variables give a writable array that shares memory with the simulation; subexpressions are
        computed on demand and give a read-only array.
        """

    @property
    @abstractmethod
    def steps_done(self) -> int:
        """Completed steps of the fastest clock; times dt, it is the time of the next step."""

    @abstractmethod
    def seed(self, seed: np.random.SeedSequence) -> None:
        """Restart the random numbers of the network; nobody else's generator is touched."""

    @abstractmethod
    def advance(self, steps: int) -> None:
        """Simulate `steps` time steps (of the fastest clock)."""

    @abstractmethod
    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        """Simulate, calling `on_decision` after each `every` steps.

        Parameters
        ----------
        decisions : int or None
            How many times to call at the most; None for no limit.
        on_decision : callable
            Returns False to end the run. It may read and write views, seed, and take or set the state;
            what it raises ends the run and reaches the caller.
        every : int
            Steps of the fastest clock in a decision.
        """

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Everything the future depends on: variables, spikes on their way, random generator, clock."""

    @abstractmethod
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state` gave; the network goes on bit for bit as it would have then.

        Raises
        ------
        EngineError
            If the state is of another network.
        """
