"""Seeds: fit for every environment, and the same for ever."""

from __future__ import annotations

import numpy as np
from conftest import Scripted

import rwta_sim
from rwta_sim.seeding import Purpose, episode_seeds


def test_seeds_of_environments_fit_into_a_c_int():
    """Those that have always fitted are what they were: the first word of the first child."""
    for purpose in Purpose:
        for episode in range(50):
            seed = episode_seeds(3, purpose, episode).environment
            (word,) = np.random.SeedSequence(3, spawn_key=(purpose, episode)).spawn(1)[0].generate_state(1)
            assert seed == (word if word < 2**31 else word - 2**31)
    assert np.random.SeedSequence(3, spawn_key=(1, 0)).spawn(1)[0].generate_state(1)[0] >= 2**31  # so it is a test


def test_an_environment_that_keeps_its_seed_as_an_int32(cue, tmp_path):
    class Narrow(Scripted):
        def reset(self, *, seed=None, options=None):
            np.int32(seed)
            return super().reset(seed=seed)

    experiment = cue.changed({"training.episodes": 5, "training.validation_episodes": 1, "critic.kind": "fourier"})
    assert rwta_sim.train(experiment, tmp_path / "run", env=Narrow()).episodes == 5
