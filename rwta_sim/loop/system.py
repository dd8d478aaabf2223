"""The contract: what a system has to do to sit in the loop, whatever it is made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from rwta_sim.errors import CheckpointError, ConfigError
from rwta_sim.loop.probes import Drained, Population, Probe
from rwta_sim.loop.session import Session, finish
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["Arrays", "Choice", "Listener", "Probe", "System", "fill"]

Result = TypeVar("Result")
Arrays = Mapping[str, np.ndarray]


class Choice(NamedTuple):
    """What a system decided.

    Attributes
    ----------
    action : int
        From 0, whatever number the environment's first action has.
    probabilities : ndarray, shape (n_actions,), or None
        Of all actions, where the system has such.
    numbers : tuple of float
        To be logged, by the names in `System.numbers`.
    evidence : object
        What the system itself needs to learn from it; nobody else looks into it.
    """

    action: int
    probabilities: np.ndarray | None
    numbers: tuple[float, ...]
    evidence: Any = None


class Listener(Protocol):
    """Who is told of every choice of an episode and what came of it: a `System`, or somebody who takes notes."""

    def begin_episode(self, features: Any) -> None: ...

    def hear_answer(self, action: Any) -> None: ...

    def learn(
        self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator
    ) -> None: ...

    def end_episode(self, rng: np.random.Generator) -> None: ...


class System(ABC):
    """Decides and learns. Built from its settings, the environment's spaces and a seed; knows no environment.

    A decision goes ``perceive`` (once an observation) -> ``decide`` -> the environment's step -> ``learn``. An episode
    begins with ``begin`` for who decides and ``begin_episode`` for who learns: the two may be different copies of the
    same system, as when several play side by side and one hears of it all.

    Attributes
    ----------
    numbers : tuple of str
        Names of the numbers of a `Choice`; their means over an episode become columns of metrics.csv.
    learning_numbers : tuple of str
        Names of what `anneal` gives: columns of metrics.csv too.
    gamma : float
        Discount of the reward per decision, for the discounted return.
    batch : int
        Episodes between which its parameters change; 0: they change within episodes.
    frames : int
        Observations of a random policy that `calibrate` wants before the first episode; 0: none.
    readouts : tuple of str
        How an action is read out, for people: as in learning, and as the best one.
    evaluates_greedily : bool
        Whether evaluations and validations take the best actions; else they read them out as in learning.
    turns : tuple of str
        Settings that `turn` can change while it learns, by dotted key.
    """

    numbers: tuple[str, ...] = ()
    learning_numbers: ClassVar[tuple[str, ...]] = ()
    gamma: float = 1.0
    batch: int = 1
    frames: int = 0
    readouts: tuple[str, str] = ("drawn", "argmax")
    evaluates_greedily: bool = True
    turns: tuple[str, ...] = ()

    @property
    def joint(self) -> bool:
        """Whether copies of it, with the same parameters, can decide together: `join` and `answer`."""
        return False

    # -- deciding ------------------------------------------------------------------------------------

    @abstractmethod
    def perceive(self, observation: Any) -> Any:
        """What is kept of an observation: features, a new array.

        Raises
        ------
        ValueError
            If it is none that the system can use; the message ends "... gave" with what it is.
        """

    def calibrate(self, features: Sequence[Any]) -> None:  # noqa: B027
        """See `frames` observations under a random policy, once, before the first episode."""

    @abstractmethod
    def begin(self, seeds: EpisodeSeeds) -> None:
        """Begin an episode: nothing of the past is felt, and all randomness follows from `seeds`."""

    @abstractmethod
    def decide(self, features: Any, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        """Choose an action, as a generator that yields where a network has to advance by one decision.

        Parameters
        ----------
        features : object
            As `perceive` gave them.
        greedy : bool
            Take the best action instead of reading it out as in learning; see `readouts`.
        rng : numpy.random.Generator
            For what is drawn outside of a network.

        Raises
        ------
        DivergenceError
            If its numbers are no longer finite.
        """

    def run(self, session: Session[Result]) -> Result:
        """Run a session with decisions of this system to its end, advancing a network whenever it yields."""
        return finish(session)

    def join(self) -> None:
        """From now on yield in every decision, until some copy's `answer` has been asked."""
        raise TypeError(f"{type(self).__name__} cannot decide together with others")

    def answer(self, systems: Sequence[System]) -> None:
        """What `systems`, copies of it with the same parameters, wait for in their decisions."""
        raise TypeError(f"{type(self).__name__} cannot decide together with others")

    @property
    def engine_name(self) -> str:
        """Name of the engine that advances its network; "none" without one."""
        return "none"

    # -- learning ------------------------------------------------------------------------------------

    def prepare_learning(self) -> None:  # noqa: B027
        """Make what learning needs beyond deciding; raises if the settings do not allow it."""

    def anneal(self, progress: float) -> tuple[float, ...]:
        """Set rates of learning for `progress` from 0 (start) to 1 (end); gives the `learning_numbers`."""
        return ()

    def turn(self, key: str, value: float) -> None:
        """From now on learn with another value of one of the settings in `turns`, also in the middle of an episode."""
        raise KeyError(key)

    def begin_episode(self, features: Any) -> None:  # noqa: B027
        """Hear that an episode begins, with these features."""

    def hear_answer(self, action: Any) -> None:  # noqa: B027
        """Hear which action would have been right, before `learn`, where an environment tells (``info["label"]``).

        For systems that are supervised; whatever an environment tells is passed on unchecked.
        """

    def learn(  # noqa: B027
        self, choice: Choice, reward: float, features: Any, terminated: bool, rng: np.random.Generator
    ) -> None:
        """Learn from a choice and what followed: the reward, and the features of the next observation."""

    def end_episode(self, rng: np.random.Generator) -> None:  # noqa: B027
        """Learn what waits for the end of the episode."""

    # -- copies that play side by side ---------------------------------------------------------------

    def note(self, choice: Choice) -> Choice:
        """What has to be kept of a choice until another copy, who learns, hears of it."""
        return choice

    def follow(self, other: System) -> None:
        """Have the parameters of `other`, a system of the same settings, until they change."""
        fill(self.state(), other.state(), "another copy")

    # -- saving --------------------------------------------------------------------------------------

    @abstractmethod
    def signature(self) -> dict[str, Any]:
        """What a checkpoint must share with a system that takes its parameters; plain JSON."""

    def completed(self, signature: dict[str, Any]) -> dict[str, Any]:
        """A saved signature with what it lacks because it was made before a setting existed."""
        return signature

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Parameters that decisions depend on, by name."""

    def set_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        """Take parameters that `state` gave.

        Raises
        ------
        CheckpointError
            If one is missing or has another shape; then nothing has changed. `name` says where they are from.
        """
        fill(self.state(), arrays, name)

    def learning_state(self) -> dict[str, np.ndarray]:
        """What learning depends on beyond `state`, at the end of an episode, by name."""
        return {}

    def set_learning_state(self, arrays: Arrays, name: str = "checkpoint") -> None:
        """Take what `learning_state` gave; raises as `set_state`."""
        fill(self.learning_state(), arrays, name)

    # -- looking and perturbing ----------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weights by the names people use for them."""
        return self.state()

    def probes(self) -> dict[str, Probe]:
        """What can be watched, by name: its weights at least."""
        return {
            f"{name}.w": Probe("1", w.shape, "parameters", ("episode", "decision"))
            for name, w in self.weights().items()
        }

    def read(self, probe: str) -> np.ndarray:
        """A copy of what a probe shows now, at the end of a decision, before anything is learned from it."""
        name, _, kind = probe.rpartition(".")
        if kind != "w":
            raise KeyError(probe)
        return np.array(self.weights()[name])

    def reader(self, probes: Sequence[str]) -> Callable[[], np.ndarray]:
        """What reads probes again and again, side by side in one dimension; may be overwritten in the next decision."""
        return lambda: np.concatenate([np.ravel(self.read(probe)) for probe in probes])

    def synapse(self, block: str, pre: int, post: int) -> dict[str, float]:
        """What is known of one weight after a decision, before anything is learned from it, by name.

        ``weight``; of a system that has them ``trace``, the presynaptic kappa*S, ``spikes`` of the postsynaptic neuron
        in the decision, its ``q``, and ``eligibility``, what the modulation multiplies.

        Raises
        ------
        ConfigError
            If there is no such matrix of weights, or no such place in it.
        """
        w = self.weights().get(block)
        if w is None or w.ndim != 2:
            matrices = [name for name, array in self.weights().items() if array.ndim == 2]
            raise ConfigError(f"block = {block!r}: expected a matrix of weights: {', '.join(matrices) or 'has none'}")
        if not (0 <= pre < w.shape[0] and 0 <= post < w.shape[1]):
            raise ConfigError(f"synapse {pre} to {post}: {block} has {w.shape[0]} by {w.shape[1]}, counted from 0")
        return {"weight": float(w[pre, post])}

    def populations(self) -> dict[str, Population]:
        """Neurons whose spikes can be recorded, by name, in the order of their numbers."""
        return {}

    def fan_out(self) -> dict[str, np.ndarray]:
        """Synapses that each neuron of a population sends its spikes to, shape (neurons,), where that is known."""
        return {}

    @property
    def timing(self) -> tuple[float, float]:
        """The time step and the length of a decision, seconds; (0, 1) without simulated time, (0, T) without steps."""
        return 0.0, 1.0

    def drain(self) -> Drained:
        """What was recorded within decisions since it was built or drained last, and is dropped by this; for a system
        that was built to sample (`Experiment.build_sampled`)."""
        raise TypeError(f"{type(self).__name__} records nothing within decisions")

    def values(self, features: Sequence[Any]) -> np.ndarray:
        """What its critic expects from observations with these features, shape (n,); NaN where it tells no values of
        states."""
        return np.full(len(features), math.nan)

    def value(self, features: Any) -> float:
        """The same of one observation."""
        return float(self.values([features])[0])

    def heard(self) -> tuple[np.ndarray, np.ndarray]:
        """TD errors and modulations of decisions it learned from since it was asked last, in their order, as far as
        they are known; for who asked it to take notes of them (`hear`)."""
        return np.empty(0), np.empty(0)

    def hear(self, notes: bool) -> None:  # noqa: B027
        """From now on keep what `heard` tells, or do not."""

    def winners(self) -> np.ndarray | None:
        """Of each hidden circuit the neuron with the most spikes in the last decision, counted from 0 within the
        circuit; of several the first, and -1 without a spike. None for a system without circuits."""
        return None

    def rates(self) -> np.ndarray | None:
        """Firing rate of each hidden and action neuron in the last decision, shape (n_neurons,), Hz. None for a system
        without circuits."""
        return None

    def recorded(self) -> dict[str, np.ndarray]:
        """What was recorded since it was built to be, by name; see `rwta_sim.lab.recording.record_episode`."""
        return {}

    def perturbations(self) -> dict[str, str]:
        """What `perturb` can do, by name, with a description of its targets."""
        return {}

    def at_any_time(self, perturbation: str) -> bool:
        """Whether one of its `perturbations` can come in the middle of an episode; else only while none is played."""
        return True

    def perturb(self, name: str, target: str, seed: int = 0) -> None:
        """Change parameters for a test, such as a lesion; nothing on disk changes.

        Parameters
        ----------
        name : str
            One of `perturbations`.
        target : str
            What is perturbed, as it says there.
        seed : int
            Of what is drawn.

        Raises
        ------
        ConfigError
            If the system has no such perturbation, or no such target; then nothing has changed.
        """
        raise ConfigError(f"{name} {target!r}: {type(self).__name__} declares no perturbations")


def fill(targets: Arrays, arrays: Arrays, name: str) -> None:
    """Copy arrays into `targets`, in place, after checking all of them.

    Raises
    ------
    CheckpointError
        If one is missing or has another shape.
    """
    for key, target in targets.items():
        saved = arrays.get(key)
        if saved is None or saved.shape != target.shape:
            found = "no such array" if saved is None else f"shape {saved.shape}"
            raise CheckpointError(
                f"{name}: array {key!r} should have shape {target.shape}, found {found}; "
                "it is of another network or another configuration"
            )
    for key, target in targets.items():
        target[...] = arrays[key]
