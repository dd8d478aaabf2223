"""Everything random flows from one seed, through `numpy.random.SeedSequence`.

Every episode has seeds of its own, derived from the run's seed, what the episode is for, and its number:
episode 70 of an evaluation is the same whatever happened before it, and a resumed run needs no history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["EpisodeSeeds", "Purpose", "critic_seed", "episode_seeds", "initial_generator", "initial_seed"]


class Purpose(IntEnum):
    """What random numbers are for. The values are part of the meaning of a seed: never renumber."""

    INITIAL = 0
    TRAINING = 1
    VALIDATION = 2
    EVALUATION = 3
    CRITIC = 4
    CALIBRATION = 5
    PERTURBATION = 6


@dataclass(frozen=True, slots=True)
class EpisodeSeeds:
    """Seeds of one episode.

    Attributes
    ----------
    environment : int
        For `env.reset`, below 2**31: many environments keep their seed as a C int.
    spikes : SeedSequence
        For the engine.
    choices : Generator
        For the bridge: ties, exploration, controls.
    purpose : Purpose
        What the episode is for.
    """

    environment: int
    spikes: np.random.SeedSequence
    choices: np.random.Generator
    purpose: Purpose


def episode_seeds(seed: int, purpose: Purpose, episode: int) -> EpisodeSeeds:
    """Seeds of episode number `episode` (0, 1, ...) of a run with `seed`."""
    environment, spikes, choices = np.random.SeedSequence(seed, spawn_key=(purpose, episode)).spawn(3)
    return EpisodeSeeds(
        int(environment.generate_state(1)[0]) % 2**31, spikes, np.random.default_rng(choices), Purpose(purpose)
    )


def critic_seed(seed: int) -> int:
    """Seed, of 32 bits, of what a critic draws at the start."""
    return int(np.random.SeedSequence(seed, spawn_key=(Purpose.CRITIC,)).generate_state(1)[0])


def initial_seed(seed: int) -> int:
    """Seed, of 32 bits, of initial weights that another package draws."""
    return int(np.random.SeedSequence(seed, spawn_key=(Purpose.INITIAL,)).generate_state(1)[0])


def initial_generator(seed: int) -> np.random.Generator:
    """The generator of the initial weights."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(Purpose.INITIAL,)))
