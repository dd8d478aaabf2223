"""Softmax policies: their gradient, what they can learn, and that everything follows from the seed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import rwta_sim
from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.runs import RunFolder


def softmax(model="linear", **changes):
    pytest.importorskip("torch")
    short = {"training.episodes": 8, "training.validate_every": 8, "training.target": 1e9}
    return rwta_sim.preset("xor", model).changed({**short, **changes})


def clipped_objective(system, rows, clip, entropy):
    """``mean(min(r A, clip(r) A) + entropy H)``, in NumPy."""
    drive = rows["drive"].astype(float)
    logits = drive @ system.state()["policy.0.weight"].astype(float).T + system.state()["policy.0.bias"].astype(float)
    logits -= logits.max(1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    ratio = np.exp(logs[np.arange(len(logs)), rows["action"]]) / rows["probability"]
    gained = np.minimum(ratio * rows["advantage"], np.clip(ratio, 1 - clip, 1 + clip) * rows["advantage"])
    return (gained - entropy * (np.exp(logs) * logs).sum(1)).mean()


def test_the_gradient_is_that_of_the_clipped_objective():
    """Adam's first moment after one step is -0.1 times the gradient of the objective: against central differences."""
    experiment = softmax(
        **{"learning.modulation.epochs": 1, "learning.modulation.normalise": False, "learning.entropy": 0.1}
    )
    with rwta_sim.Agent(experiment) as agent:
        system, rng = agent.system, np.random.default_rng(3)
        weights = system.state()["policy.0.weight"]
        weights[...] = rng.normal(size=weights.shape)
        rows = {
            "drive": rng.random((12, weights.shape[1]), dtype=np.float32),
            "action": rng.integers(2, size=12),
            "probability": rng.uniform(0.2, 0.9, 12),
            "advantage": rng.normal(size=12),
        }
        expected = {}
        for name, values in system.state().items():
            expected[name] = np.zeros(values.shape)
            for i in np.ndindex(values.shape):
                sides = []
                for step in (0.01, -0.01):
                    saved = values[i]
                    values[i] += step
                    sides.append(clipped_objective(system, rows, 0.2, 0.1) / (float(values[i]) - float(saved)))
                    values[i] = saved
                expected[name][i] = sum(sides) / 2
        system._improve(rows, rng)
        moments = system.learning_state()
    for name, gradient in expected.items():
        found = -10 * moments[f"adam.{name.removeprefix('policy.')}.exp_avg"]
        np.testing.assert_allclose(found, gradient, rtol=2e-3, atol=2e-4, err_msg=name)
        assert np.abs(gradient).max() > 1e-2


@pytest.mark.parametrize("model", ["linear", "relu"])
def test_xor_needs_hidden_units(model, tmp_path):
    """No line separates more than three of the four patterns."""
    fast = {"learning.batch": 16, "learning.rate": 0.02, "critic.rate": 1e-3, "training.episodes": 640}
    size = {"hidden": [16], "critic.hidden": []} if model == "relu" else {}
    rwta_sim.train(softmax(model, **fast, **size, **{"training.validate_every": 640}), tmp_path / "run")
    right = np.mean([e.total for e in rwta_sim.Agent.load(tmp_path / "run").play()])
    assert right == 1 if model == "relu" else right <= 0.75


def test_nothing_comes_from_the_global_generator(tmp_path):
    torch = pytest.importorskip("torch")
    ends = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        changes = {"hidden": [5], "critic.hidden": [4], "learning.batch": 4, "learning.modulation.minibatch": 2}
        rwta_sim.train(softmax("relu", **changes), tmp_path / str(seed))
        assert torch.equal(torch.get_rng_state(), before)
        run = RunFolder.open(tmp_path / str(seed))
        ends.append(({n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()))
    assert ends[0] == ends[1]


def test_without_pytorch(tmp_path, monkeypatch):
    there = importlib.util.find_spec
    experiment = rwta_sim.preset("cue", "linear")
    module = "rwta_sim.loop.experiment.find_spec"
    monkeypatch.setattr(module, lambda name: None if name == "torch" else there(name))
    with pytest.raises(RwtaSimError, match=r"model = 'linear' needs PyTorch: pip install 'rwta-sim\[torch\]'$"):
        rwta_sim.train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
