"""Experiments as TOML: what `config.toml` holds, and files that users write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from rwta_sim.errors import ConfigError
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.registry import experiment_class

__all__ = ["from_toml", "read_toml", "to_toml"]


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML text that reads back as the same experiment."""
    return tomli_w.dumps(experiment.model_dump(mode="json", exclude_none=True))


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as nested dictionaries.

    Raises
    ------
    ConfigError
        If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def from_toml(path: Path) -> Experiment:
    """The experiment written by `to_toml`; a table ``versions`` is left aside."""
    tree = read_toml(path)
    tree.pop("versions", None)
    try:
        return experiment_class(tree.get("model", "svpg")).of(tree).as_before(tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
