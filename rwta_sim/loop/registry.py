"""Which class describes the experiments of a model."""

from __future__ import annotations

from collections.abc import Callable

from rwta_sim.errors import ConfigError, nearest
from rwta_sim.loop.experiment import Experiment

__all__ = ["experiment_class", "experiment_named", "register", "register_presets"]

_CLASSES: dict[str, type[Experiment]] = {}
_PRESETS: list[Callable[[str, str | None], Experiment]] = []


def register(model: str, experiment: type[Experiment]) -> None:
    """Let experiments of the name `model` be read as `experiment`."""
    _CLASSES[model] = experiment


def register_presets(find: Callable[[str, str | None], Experiment]) -> None:
    """Let `find` make the experiment of a task from its name and, or None, that of a model; ConfigError for others."""
    _PRESETS.append(find)


def experiment_named(task: str, model: str | None = None) -> Experiment:
    """The preset of a task, by its default model or another.

    Raises
    ------
    ConfigError
        If there is no such task, or the model has no preset for it.
    """
    if not _PRESETS:
        raise ConfigError(f"task {task!r}: no presets are known, import rwta_sim.models")
    return _PRESETS[-1](task, model)


def experiment_class(model: object) -> type[Experiment]:
    """The class of the experiments of a model.

    Raises
    ------
    ConfigError
        If there is no such model.
    """
    if not isinstance(model, str) or model not in _CLASSES:
        raise ConfigError(f"unknown model {model!r}: {nearest(str(model), _CLASSES)}")
    return _CLASSES[model]
