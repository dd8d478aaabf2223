"""What an engine is: the way a Brian2 network advances in a closed loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from brian2 import Network, Quantity

__all__ = ["Engine"]


class Engine(ABC):
    """Advances one Brian2 network and gives access to its state.

    An engine knows nothing of what the network is for. The order of use is: build the Brian2 objects
    inside ``with engine.building():``, ``prepare`` the network, then ``run`` or ``advance`` it, and ``close`` the
    engine, or leave that to Python. One engine serves one network, which must not change once it is prepared.
    """

    @contextmanager
    def building(self) -> Iterator[None]:
        """Context in which the Brian2 objects of the network must be created, its clocks too.

        What is random in it (``connect(p=0.1)``, ``group.v = "rand()"``) follows `brian2.seed`, called inside, and not
        `seed`. Numbers that are drawn here need not be the same on both engines.
        """
        yield

    @abstractmethod
    def prepare(self, network: Network, namespace: Mapping[str, Any] | None = None) -> None:
        """Make `network` ready to advance: compile it, or load it from the cache.

        Parameters
        ----------
        network : Network
        namespace : dict, optional
            Constants, functions and tables that the equations use, by name, for objects that have no such name in a
            namespace of their own. By default, as in Brian2's `run`, the local and global variables of the caller, with
            the values that they have now.

        Raises
        ------
        EngineError
            If this machine or this network does not allow it.
        """

    @abstractmethod
    def view(self, owner: Any, variable: str) -> np.ndarray:
        """The values of a variable of a group, synapses, pathway, monitor or clock, in SI units without dimensions.

        State variables give a writable array that shares memory with the simulation, and that stays valid, though no
        longer moving, when the engine is closed or gone. The others give an array of the moment: subexpressions, which
        are computed on demand, and variables seen through another group (linked variables, ``v_post`` of synapses) a
        read-only one with a value for each neuron or synapse; recordings of monitors one with a value for each event,
        or of shape (recorded steps, recorded indices).

        Raises
        ------
        EngineError
            If there is no such variable, or it exists only while the code runs (``xi``).
        """

    @property
    @abstractmethod
    def dt(self) -> Quantity:
        """A step: the dt of the network's fastest clock."""

    @property
    @abstractmethod
    def steps_done(self) -> int:
        """Completed steps of the fastest clock; times dt, it is the time of the next step."""

    @abstractmethod
    def seed(self, seed: np.random.SeedSequence | int) -> None:
        """Restart the random numbers of the network; nobody else's generator is touched.

        For what it draws from now on: connections and values that were drawn while it was built follow `brian2.seed`.

        Raises
        ------
        EngineError
            If `seed` is neither a SeedSequence nor a whole number from 0 on.
        """

    @abstractmethod
    def advance(self, steps: int) -> None:
        """Simulate `steps` time steps (of the fastest clock).

        Raises
        ------
        ValueError
            If `steps` is not a whole number, or negative.
        EngineError
            If the network has changed since it was prepared.
        """

    @abstractmethod
    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        """Simulate, calling `on_decision` after each `every` steps.

        Parameters
        ----------
        decisions : int or None
            How many times to call at the most; None for no limit.
        on_decision : callable
            Returns True to go on, False to end the run. It may read and write views, seed, and take or set the state;
            what it raises ends the run and reaches the caller.
        every : int
            Steps of the fastest clock in a decision.

        Raises
        ------
        ValueError
            If `decisions` or `every` is not a whole number, or too small.
        EngineError
            If the network has changed since it was prepared, or `on_decision` returns None.
        """

    @abstractmethod
    def drain(self, monitor: Any) -> dict[str, np.ndarray]:
        """What a monitor recorded since the last drain; the monitor is empty afterwards, its memory free for reuse.

        Drained now and then, a monitor records for ever in constant memory; the pieces put together are what it would
        have recorded undrained. State and future of the network stay the same.

        Parameters
        ----------
        monitor : SpikeMonitor, EventMonitor, StateMonitor or PopulationRateMonitor
            Afterwards its ``N`` (``num_spikes``, ``num_events``) is 0; ``count``, the events of each neuron, goes on
            counting from the start.

        Returns
        -------
        dict of str to ndarray
            By the name of the recorded variable, in SI units: ``i`` and ``t`` of a SpikeMonitor and ``rate`` and ``t``
            of a PopulationRateMonitor have shape (N,); variables of a StateMonitor have shape (N, recorded indices),
            its ``t`` has shape (N,).

        Raises
        ------
        EngineError
            If it is not a monitor of this network.
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
            If the state is of another network or damaged; then nothing has changed.
        """

    @abstractmethod
    def close(self) -> None:
        """End the use of this engine: from now on its methods raise EngineError. Closing twice does no harm.

        Arrays that `view` gave remain readable and writable.
        """
