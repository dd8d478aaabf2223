"""Published systems, one file each, with their presets per task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rwta_sim.config import ConfigError, Experiment
from rwta_sim.errors import nearest
from rwta_sim.models import svpg, svpg_published, svpg_rate, svpg_vision

__all__ = ["MODELS", "Preset", "preset", "tasks"]


@dataclass(frozen=True)
class Preset:
    """A task as a model plays it."""

    task: str
    model: str
    description: str
    make: Callable[[], Experiment]


#: Models by name; the first one that has a task is its default.
MODELS: dict[str, dict[str, tuple[str, Callable[[], Experiment]]]] = {
    "svpg": {**svpg.PRESETS, **svpg_vision.PRESETS},
    "svpg-rate": svpg_rate.PRESETS,
    "svpg-published": svpg_published.PRESETS,
    "svpg-bmvc": svpg_published.BMVC,
}


def tasks() -> list[Preset]:
    """All presets."""
    return [
        Preset(task, model, description, make)
        for model, presets in MODELS.items()
        for task, (description, make) in presets.items()
    ]


def preset(task: str, model: str | None = None) -> Experiment:
    """The experiment for a task.

    Parameters
    ----------
    task : str
        See `tasks`.
    model : str, optional
        The default is the first model that has the task.

    Raises
    ------
    ConfigError
        For an unknown task or model, or a model without the task.
    """
    if model is not None and model not in MODELS:
        raise ConfigError(f"unknown model {model!r}: {nearest(model, MODELS)}")
    matches = [p for p in tasks() if p.task == task]
    if not matches:
        raise ConfigError(f"unknown task {task!r}: {nearest(task, {p.task for p in tasks()})}")
    matches = [p for p in matches if model in (None, p.model)]
    if not matches:
        raise ConfigError(f"model {model!r} has no preset for {task!r}: {nearest(task, MODELS[model or ''])}")
    return matches[0].make()
