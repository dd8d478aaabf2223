"""Shared helpers. Most tests run Brian2 in NumPy: same equations, nothing to compile."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brian2
import gymnasium as gym
import numpy as np
import pytest
from brian2 import Hz, ms
from headers import precompiled

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import Engine, RuntimeEngine

if "PYTEST_XDIST_WORKER" in os.environ:
    # A compiler at a time for each worker: parts of a network that are compiled side by side read the same headers.
    os.environ.setdefault("MAX_JOBS", "1")
# Many tests build networks that never run.
brian2.BrianLogger.suppress_name("unused_brian_object")


def pytest_configure(config: pytest.Config) -> None:
    """Where many tests run side by side, workers share precompiled headers."""
    if getattr(config.option, "numprocesses", None) and "CXX" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="rwta_sim-headers-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        if (line := precompiled(folder)) is not None:
            os.environ["CXX"] = line


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage makes Python half as fast again: what takes long anyway goes without, as it covers nothing new."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def _little_to_collect() -> None:
    """Every run of Brian2 ends in a `gc.collect()`, which takes a second where hundreds of tests have left their mark:
    it is not to look at what was there before this test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _numpy_target() -> Iterator[None]:
    saved = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    yield
    brian2.prefs.codegen.target = saved


@pytest.fixture
def few_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does not matter how good an agent is, a validation shows every pattern once, not 30 times: of XOR, 4
    decisions in place of 400."""
    monkeypatch.setattr("rwta_sim.lab.evaluation._DECISIONS", 1)
    monkeypatch.setattr("rwta_sim.lab.evaluation._EACH", 1)


def poisson_spec(**changes: Any) -> NetworkSpec:
    return NetworkSpec(**{"firing": "poisson", "rho_hat": 100 * Hz, "kernel": Exponential(tau=5 * ms), **changes})


class Loop:
    """A network with its arrays, on an engine: by default a NumPy runtime engine."""

    def __init__(
        self,
        spec: NetworkSpec,
        n_inputs: int = 3,
        n_actions: int = 2,
        seed: int = 0,
        history: int = 0,
        engine: Engine | None = None,
        faults: bool = False,
    ) -> None:
        self.engine = engine or RuntimeEngine("numpy")
        with self.engine.building():
            rng = np.random.default_rng(seed)
            self.network = RWTANetwork(spec, n_inputs, n_actions, rng=rng, record=True, history=history, faults=faults)
        self.engine.prepare(self.network.network)
        self.engine.seed(np.random.SeedSequence(seed))
        self.arrays = NetworkArrays(self.network, self.engine)

    def each_step(self, steps: int, look: Callable[[], Any]) -> np.ndarray:
        """Run `steps` steps and collect what `look` returns after each."""
        seen: list[Any] = []
        self.engine.run(steps, lambda: seen.append(np.copy(look())) is None, 1)
        return np.array(seen)


@pytest.fixture
def cue() -> rwta_sim.Experiment:
    """The smallest task, in NumPy."""
    return rwta_sim.preset("cue", "svpg-lockstep").changed({"engine.target": "numpy"})


class Scripted(gym.Env):
    """Two-dimensional Box observations in [-1, 1]; what happens at which step is given by functions."""

    def __init__(self, length: int = 5, observe: Callable[[int], Any] | None = None) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
        self.action_space = gym.spaces.Discrete(2)
        self._length = length
        self._observe = observe or (lambda step: np.zeros(2))
        self._step = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._step = 0
        return self._observe(0), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self._step += 1
        return self._observe(self._step), 1.0, self._step >= self._length, False, {}
