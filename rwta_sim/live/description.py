"""What a page is told of a simulation before it shows anything: what there is, and why something is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rwta_sim._version import __version__
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.board import WINDOW
from rwta_sim.live.cast import Cast
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import System

__all__ = ["description"]

#: Dials that people look for; those that a system does not declare are named as missing.
_EXPECTED = ("learning rate", "entropy", "kernel", "kernel length", "circuit rate")


def description(cast: Cast, experiment: Experiment, beginning: Beginning, recordings: Path) -> dict[str, Any]:
    """Plain JSON: a text in place of something that is not there says why."""
    system, actions = cast.agent.system, Spaces.of(cast.stage).n_actions
    perturbations = system.perturbations()
    return {
        "name": beginning.name,
        "task": experiment.task,
        "model": experiment.model,
        "engine": cast.agent.engine_name,
        "seed": experiment.seed,
        "version": __version__,
        "begins": "from nothing" if beginning.checkpoint is None else f"a copy of {beginning.checkpoint.name}",
        "window": WINDOW,
        "actions": actions,
        "keys": keys(actions),
        "raster": _raster(system) if cast.within else "This system has no spikes whose times can be recorded.",
        "matrices": {name: list(w.shape) for name, w in system.weights().items() if w.ndim == 2},
        "dials": _dials(experiment, system),
        "missing": [label for label in _EXPECTED if label not in {dial.label for dial in experiment.dials()}],
        "perturbations": perturbations or "This system declares nothing that could be lesioned or stimulated.",
        "unlearned": cast.unlearned,
        "recordings": str(recordings),
    }


def keys(actions: int) -> dict[str, int]:
    """Which key of a keyboard stands for which action: digits from 1, and arrows where there are two or three."""
    found = {str(n + 1): n for n in range(min(actions, 9))}
    arrows = {2: ("ArrowLeft", "ArrowRight"), 3: ("ArrowLeft", "ArrowDown", "ArrowRight")}
    return found | {key: n for n, key in enumerate(arrows.get(actions, ()))}


def _raster(system: System) -> dict[str, Any]:
    populations = [
        {"name": name, "group": p.group, "start": p.start, "stop": p.stop, "circuits": list(p.circuits)}
        for name, p in system.populations().items()
    ]
    return {"populations": populations, "decision": system.timing[1] * 1e3}


def _dials(experiment: Experiment, system: System) -> list[dict[str, Any]]:
    return [
        {**dial._asdict(), "options": list(dial.options), "at_once": dial.key in system.turns}
        for dial in experiment.dials()
    ]
