"""The setting that names an environment, and arguments for it that a file gives back as they were."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from rwta_sim.errors import shown
from rwta_sim.settings import Name, Settings

__all__ = ["GIVEN", "EnvironmentSpec", "as_toml"]

#: Begins `environment.id` where the environment was given from Python; no id of Gymnasium has an "=".
GIVEN = "env="


class EnvironmentSpec(Settings):
    """A Gymnasium environment.

    `kwargs` hold only what TOML gives back as it was: tuples become lists and paths text at once, so that the
    environment that trains gets what the one that evaluates will get. In the folder of a run that was given its
    environment from Python, `id` may be ``env=`` and its class.
    """

    id: Name = Field(description="Gymnasium id, or 'module:id' for an environment of your own")
    kwargs: dict[str, Any] = Field({}, description="keyword arguments for gymnasium.make")

    @property
    def given(self) -> str | None:
        """The class of an environment that was given to `train` and has no name that Gymnasium could make it from."""
        return self.id.removeprefix(GIVEN) if self.id.startswith(GIVEN) else None

    @field_validator("kwargs", mode="before")
    @classmethod
    def _survive_toml(cls, kwargs: Any) -> Any:
        return as_toml(kwargs, "") if isinstance(kwargs, Mapping) else kwargs

    @field_validator("id")
    @classmethod
    def _module_is_one(cls, text: str) -> str:
        module, colon, name = text.partition(":")
        if colon and (":" in name or not all(part.isidentifier() for part in module.split("."))):
            raise ValueError("expected a Gymnasium id, or 'module:id' with the name of a module that can be imported")
        return text


def as_toml(value: Any, name: str) -> Any:
    """`value` in TOML's types; `name` says where it stands, for the ValueError about what has none."""
    if isinstance(value, Mapping):
        for key in value:
            if not _is_text(key):
                raise ValueError(
                    f"the key {shown(key)}{f' in {name!r}' if name else ''} is no text, as TOML's have to be"
                )
        return {key: as_toml(item, f"{name}.{key}" if name else key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_toml(item, f"{name}[{i}]") for i, item in enumerate(value)]
    plain = value.item() if isinstance(value, np.generic) else value
    plain = os.fspath(plain) if isinstance(plain, os.PathLike) else plain
    if _is_text(plain):
        return str.__str__(plain)  # of an enumeration its value
    if isinstance(plain, bool):
        return plain
    if isinstance(plain, int) and -(2**63) <= plain < 2**63:
        return int(plain)
    if isinstance(plain, float) and math.isfinite(plain):
        return float(plain)
    raise ValueError(
        f"{name!r} is {shown(value)}: expected what a TOML file gives back as it was: text, true or false, a 64-bit "
        "integer, a finite number, or lists and tables of these; leave out what is None"
    )


def _is_text(value: Any) -> bool:
    """Whether `value` is text that UTF-8 can write: no half of a surrogate pair."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value
