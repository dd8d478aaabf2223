"""Replicas that decide together: the same episodes as one after the other, but for rounding."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from test_replicas import Walk, walk

import rwta_sim
from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec, RowGenerators
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.lab.runs import RunFolder

NOISE = {"mean_field.noise": 0.02, "mean_field.start": "noise", "mean_field.iterations": 8, "network.weight_sd": 0.5}


def together(cue, replicas, **changes):
    return walk(cue, replicas, **{**NOISE, "training.together": replicas > 1, **changes})


def test_noise_of_a_row_is_its_own():
    """Rows that converge at different iterations: each as it is alone with its generator, but for rounding."""
    wiring = Wiring(NetworkSpec(hidden_circuits=3, hidden_size=4), 5, 3)
    field = MeanField(wiring, MeanFieldSpec(noise=0.02, start="noise", tolerance=0.02))
    rng = np.random.default_rng(0)
    weights = {p.name: 0.8 * rng.standard_normal(p.weights_shape) for p in wiring.projections}
    drive, b = rng.random((6, 5)), rng.standard_normal(wiring.n_neurons)
    found = field.infer(drive, weights, b, RowGenerators([np.random.default_rng(i) for i in range(6)]))
    alone = [field.infer(drive[i : i + 1], weights, b, np.random.default_rng(i)) for i in range(6)]
    np.testing.assert_array_equal(found.iterations, [a.iterations[0] for a in alone])
    assert len(set(found.iterations)) > 1
    np.testing.assert_allclose(found.q, np.concatenate([a.q for a in alone]), atol=1e-5)


@pytest.mark.parametrize("replicas", [2, 5, 9])
def test_the_same_as_one_after_the_other(cue, tmp_path, replicas):
    """27 episodes of different lengths in batches of six, and validations: all returns, and the weights."""
    ends = []
    for count in (1, replicas):
        experiment = together(cue, count, **{"learning.batch": 9})
        rwta_sim.train(experiment, tmp_path / str(count), env=Walk)
        run = RunFolder.open(tmp_path / str(count))
        ends.append((run.metrics(), run.last().arrays))
    for name in ("episode", "decisions", "return", "validation_return"):
        np.testing.assert_allclose(ends[1][0][name], ends[0][0][name], rtol=1e-6)
    assert len(set(ends[0][0]["decisions"])) > 1
    for name, array in ends[0][1].items():
        if name.startswith(("weight.", "bias")):
            np.testing.assert_allclose(ends[1][1][name], array, atol=2e-4)
            assert array.any()


def test_resume_continues_exactly(cue, tmp_path):
    """Stopped by SIGINT in the midst of a batch, with three replicas: bit for bit the whole run."""
    experiment = together(cue, 3)
    rwta_sim.train(experiment, tmp_path / "whole", env=Walk)

    def interrupt(progress):
        if progress.episode == 10:
            os.kill(os.getpid(), signal.SIGINT)

    # Of the batch the three episodes that have begun are played to their ends.
    summary = rwta_sim.train(experiment, tmp_path / "parts", env=Walk, report=interrupt)
    assert not summary.finished and 10 <= summary.episodes < 15
    assert rwta_sim.resume(tmp_path / "parts", env=Walk).finished
    ends = []
    for name in ("whole", "parts"):
        run = RunFolder.open(tmp_path / name)
        ends.append(({n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()))
    assert ends[0] == ends[1]


def test_who_watches_may_play(cue, tmp_path):
    """A report that plays with the agent changes nothing."""
    found = []

    def look(progress):
        if progress.episode == 10:
            found.extend(episode.decisions for episode in progress.agent.play(2))

    for name, report in (("alone", None), ("watched", look)):
        rwta_sim.train(together(cue, 3), tmp_path / name, env=Walk, report=report)
    alone, watched = (RunFolder.open(tmp_path / name).metrics_path.read_bytes() for name in ("alone", "watched"))
    assert len(found) == 2 and alone == watched


class Failing(Walk):
    """Fails in its third episode."""

    begun = 0

    def reset(self, **how):
        self.begun += 1
        if self.begun == 3:
            raise OSError("out of order")
        return super().reset(**how)


def test_a_failure_says_which_episode(cue, tmp_path):
    """Of three environments the one whose episodes are short fails in episode 6; those before it count."""
    with pytest.raises(EnvironmentFailure, match=r"out of order.*\(training episode 6\)"):
        rwta_sim.train(together(cue, 3, **{"training.validate_every": 27}), tmp_path / "run", env=Failing)
    assert len(RunFolder.open(tmp_path / "run").metrics()["episode"]) == 5


def test_what_cannot_be_together(cue, tmp_path):
    for changes, message in (
        ({"training.replicas": 1}, "raise training.replicas"),
        ({"training.vector": "sync"}, "environments of their own; leave one out"),
        ({"learning.batch": 2}, "as many episodes in a batch"),
    ):
        with pytest.raises(ConfigError, match=message):
            together(cue, 3, **{"training.together": True, **changes})
    spiking = {"dynamics": "spiking", "learning.rule.kind": "last_step", "engine.name": "compiled"}
    with pytest.raises(ConfigError, match=r"training.together = true: model = 'svpg-lockstep' cannot decide"):
        rwta_sim.train(together(cue, 2, **spiking), tmp_path / "run", env=Walk)
    with pytest.raises(ConfigError, match="not a vector environment"):
        rwta_sim.train(together(cue, 2), tmp_path / "run", env=SyncVectorEnv([Walk, Walk]))
    with pytest.raises(TypeError, match="cannot decide together"):
        rwta_sim.Agent(cue).system.join()
