"""The bridge: one round of encoder, network, decoder, environment and learner, for any engine.

An episode is written as a generator that yields whenever the network has to advance by one decision, so
that the same code is driven from inside a long `Network.run` or between the calls of a compiled network.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import gymnasium as gym
import numpy as np
from pydantic import Field

from rwta_sim.arrays import NetworkArrays
from rwta_sim.decoders import Decoder, choose_action
from rwta_sim.encoders import Encoder
from rwta_sim.engines import Engine
from rwta_sim.errors import DivergenceError, EnvironmentFailure
from rwta_sim.learning import Decision, Learner
from rwta_sim.network import RWTANetwork
from rwta_sim.seeding import EpisodeSeeds
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["Bridge", "DecisionSpec", "Episode", "drive"]

Result = TypeVar("Result")
#: A session yields once per decision; the network advances while it waits.
Session = Generator[None, None, Result]


class DecisionSpec(Settings):
    """How a decision is taken."""

    steps: PositiveInt = Field(10, le=1_000_000, description="time steps in a decision")
    decoder: Decoder = Field("last_spike", description="last_spike or most_spikes of the action circuit")
    clear: Literal["decision", "episode"] = Field(
        "decision", description="when traces and currents start from zero: at each decision or each episode"
    )


@dataclass(frozen=True)
class Episode:
    """What an episode came to.

    Attributes
    ----------
    total : float
        The return: the sum of rewards, undiscounted.
    decisions : int
    entropy : float
        Mean policy entropy (nats).
    rate : float
        Mean firing rate of the hidden and action neurons (Hz).
    actions : list of int
    """

    total: float
    decisions: int
    entropy: float
    rate: float
    actions: list[int]


class Bridge:
    """Joins a network on an engine to environments.

    Parameters
    ----------
    network : RWTANetwork
    engine : Engine
        On which ``network.network`` has been prepared.
    encoder : Encoder
    spec : DecisionSpec
    """

    def __init__(self, network: RWTANetwork, engine: Engine, encoder: Encoder, spec: DecisionSpec) -> None:
        self.network = network
        self.engine = engine
        self.encoder = encoder
        self.spec = spec
        self.arrays = NetworkArrays(network, engine)
        self.decisions = 0

    def episode(
        self, env: gym.Env, seeds: EpisodeSeeds, learner: Learner | None = None, greedy: bool = False
    ) -> Session[Episode]:
        """One episode in `env`, as a generator that yields whenever the network must advance.

        Parameters
        ----------
        env : gymnasium.Env
            With the spaces that the encoder and the action circuit were made for.
        seeds : EpisodeSeeds
        learner : Learner, optional
            Learns while the episode goes on.
        greedy : bool
            Take argmax of the action circuit's q instead of its spikes.

        Raises
        ------
        EnvironmentFailure
            If the environment raises, or gives an observation or a reward that is not finite.
        """
        arrays, each_decision = self.arrays, self.spec.clear == "decision"
        watch = _Watched(env, self.encoder)
        features = watch.reset(seeds.environment)
        self.engine.seed(seeds.spikes)
        arrays.clear()
        if learner is not None:
            learner.begin_episode(features)
        total, entropy, spikes, actions = 0.0, 0.0, 0.0, []
        ended = False
        while not ended:
            drive = self.encoder.drive(features)
            arrays.p[:] = self.network.spec.input_probability(drive)
            if each_decision:
                arrays.clear()
            arrays.begin_decision()
            yield
            self.decisions += 1
            counts = arrays.spike_counts()
            decision = self._decide(drive, counts, greedy, seeds.choices)
            features, reward, terminated, truncated = watch.step(decision.action)
            ended = terminated or truncated
            if learner is not None:
                changed = learner.observe(decision, reward, features, terminated, seeds.choices)
                if changed and not each_decision:
                    arrays.refresh_currents()
            total += reward
            entropy += decision.policy_entropy
            spikes += float(counts.sum())
            actions.append(decision.action)
        if learner is not None:
            learner.end_episode(seeds.choices)
        time = len(actions) * self.spec.steps * float(self.network.spec.dt)
        rate = spikes / (time * self.network.n_neurons)
        return Episode(total, len(actions), entropy / len(actions), rate, actions)

    def _decide(self, drive: np.ndarray, counts: np.ndarray, greedy: bool, rng: np.random.Generator) -> Decision:
        arrays, where = self.arrays, self.network.action
        v = arrays.last_spikes()
        q = arrays.last_probabilities(v)
        policy = q[where]
        entropy = -sum(p * math.log(p) for p in policy.tolist() if p != 0.0)  # a handful: faster than NumPy
        if not math.isfinite(entropy):
            raise DivergenceError(f"firing probabilities became {policy[~np.isfinite(policy)][0]}")
        action = (
            int(arrays.preference[where].argmax())
            if greedy
            else choose_action(self.spec.decoder, v[where], counts[where], policy, rng)
        )
        # In the action circuit the action that was taken counts as its spike, whoever took it.
        v[where] = 0.0
        v[where.start + action] = 1.0
        spoke = arrays.spoke(v)
        return Decision(drive, arrays.input_trace(), arrays.trace(), q, v, spoke, action, policy, entropy)


class _Watched:
    """An environment whose failures say where they happened."""

    def __init__(self, env: gym.Env, encoder: Encoder) -> None:
        self._env = env
        self._encoder = encoder
        self._name = env.spec.id if env.spec else type(env.unwrapped).__name__
        self._step = 0

    def reset(self, seed: int) -> np.ndarray:
        try:
            observation, _ = self._env.reset(seed=seed)
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: reset(seed={seed}) raised {error!r}") from error
        return self._features(observation)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        self._step += 1
        space: Any = self._env.action_space
        try:
            observation, reward, terminated, truncated, _ = self._env.step(int(space.start) + action)
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: step {self._step} (action {action}) raised {error!r}") from error
        try:
            value, flags = float(reward), (bool(terminated), bool(truncated))
        except (TypeError, ValueError) as error:
            raise EnvironmentFailure(
                f"{self._name}: step {self._step} gave reward {reward!r}, terminated {terminated!r}, truncated "
                f"{truncated!r}: expected a number and two booleans"
            ) from error
        if not np.isfinite(value):
            raise EnvironmentFailure(
                f"{self._name}: step {self._step} gave the reward {value}, expected a finite number"
            )
        return self._features(observation), value, *flags

    def _features(self, observation: Any) -> np.ndarray:
        try:
            return self._encoder.features(observation)
        except (ValueError, TypeError, OverflowError) as error:
            where = f"step {self._step}" if self._step else "reset"
            raise EnvironmentFailure(f"{self._name}: {where} gave {error}") from error


def drive(engine: Engine, session: Session[Result], steps: int) -> Result:
    """Run `session` to its end, advancing `engine` by `steps` whenever it yields; returns its value."""
    try:
        next(session)
    except StopIteration as end:
        return end.value
    result: list[Result] = []

    def on_decision() -> bool:
        try:
            next(session)
        except StopIteration as end:
            result.append(end.value)
            return False
        return True

    engine.run(None, on_decision, steps)
    return result[0]
