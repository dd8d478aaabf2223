"""Recordings of spikes that are known, written as the recorder writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rwta_sim.lab.recordings import Recording
from rwta_sim.lab.zarr import GrowingArray, write_group

#: Seconds of a decision, and of a step.
DECISION, DT = 0.1, 0.001


def known_recording(
    folder: Path,
    spikes: tuple[np.ndarray, np.ndarray],
    n_neurons: int,
    columns: Mapping[str, np.ndarray],
    episodes: list[int],
    dt: float = DT,
    circuits: tuple[int, ...] = (),
) -> Recording:
    """One population "hidden" whose spikes (neurons, ascending seconds) are given, and columns of decisions.

    `episodes` are the numbers of their decisions.
    """
    i, t = spikes
    n = sum(episodes)
    ends = np.cumsum(episodes)
    every = {
        "decisions/reward": np.ones(n),
        "decisions/observation": np.zeros((n, 2)),
        "decisions/value": np.zeros(n),
        "decisions/td_error": np.zeros(n),
        "decisions/action": np.zeros(n, np.int64),
        **{f"decisions/{name}": values for name, values in columns.items()},
        "spikes/neurons/i": i.astype(np.int32),
        "spikes/neurons/t": t,
        "spikes/neurons/end": np.searchsorted(t + dt / 2, np.arange(1, n + 1) * DECISION),
        "episodes/number": np.arange(len(episodes)),
        "episodes/first": ends - episodes,
        "episodes/end": ends,
        "episodes/return": np.array(episodes, float),
        "episodes/terminated": np.ones(len(episodes), bool),
    }
    meta = {
        "format": "rwta_sim recording",
        "version": 1,
        "complete": True,
        "task": "known",
        "model": "none",
        "seed": 0,
        "engine": "none",
        "dynamics": "spiking",
        "learning": False,
        "checkpoint": "none",
        "run": "known",
        "started": "2026-01-01T00:00:00+00:00",
        "dt": dt,
        "decision_time": DECISION,
        "gamma": 1.0,
        "n_actions": 2,
        "populations": {"hidden": ["neurons", 0, n_neurons, list(circuits)]},
        "probes": [],
        "versions": {"rwta-sim": "0"},
        "experiment": {},
        "configuration": "",
    }
    for name in ("", "decisions", "spikes", "spikes/neurons", "episodes"):
        write_group(folder / name, meta if not name else {})
    for name, values in every.items():
        array = GrowingArray(folder / name, values.shape[1:], values.dtype)
        array.append(values)
        array.close()
    return Recording.open(folder)
