"""What settings of a sweep are drawn from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from rwta_sim.errors import ConfigError, nearest, shown
from rwta_sim.settings import Settings

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Distribution", "distribution", "generator"]

_Pair = tuple[float, float]


class Distribution(Settings):
    """Base of what values are drawn from; subclasses have one field by which a file names them.

    Attributes
    ----------
    word : str
        Name of that field.
    """

    word: ClassVar[str]
    unit: str | None = Field(None, description="of the values, such as ms")

    def draw(self, rng: np.random.Generator) -> Any:
        """A value as a TOML file could give it: with a unit, text."""
        value = self._draw(rng)
        return value if self.unit is None else f"{value!r} {self.unit}"

    def suggest(self, trial: Trial, key: str) -> Any:
        """The value that a trial of Optuna has for a setting, as `draw` gives one."""
        value = self._suggest(trial, key)
        return value if self.unit is None else f"{value!r} {self.unit}"

    def check_searchable(self) -> None:
        """Raise ValueError if there is nothing to search in."""

    def _draw(self, rng: np.random.Generator) -> Any:
        raise NotImplementedError

    def _suggest(self, trial: Trial, key: str) -> Any:
        raise NotImplementedError


class _Range(Distribution):
    """Has two limits."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        low, high = getattr(self, self.word)
        if not low < high:
            raise ValueError(f"{self.word} = [{low}, {high}]: expected the lower limit, then the higher one")
        return self


class Uniform(_Range):
    """Even between two limits."""

    word = "uniform"
    uniform: _Pair

    def _draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(*self.uniform))

    def _suggest(self, trial: Trial, key: str) -> float:
        return trial.suggest_float(key, *self.uniform)


class LogUniform(_Range):
    """Even in the logarithm."""

    word = "log_uniform"
    log_uniform: Annotated[_Pair, Field(description="limits above 0")]

    @field_validator("log_uniform")
    @classmethod
    def _positive(cls, limits: _Pair) -> _Pair:
        if min(limits) <= 0:
            raise ValueError("expected limits above 0, of which there is a logarithm")
        return limits

    def _draw(self, rng: np.random.Generator) -> float:
        low, high = self.log_uniform
        return float(np.clip(math.exp(rng.uniform(math.log(low), math.log(high))), low, high))

    def _suggest(self, trial: Trial, key: str) -> float:
        return trial.suggest_float(key, *self.log_uniform, log=True)


class Integers(_Range):
    """Whole numbers from the first to the last."""

    word = "integers"
    integers: tuple[int, int]

    def _draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(*self.integers, endpoint=True))

    def _suggest(self, trial: Trial, key: str) -> int:
        return trial.suggest_int(key, *self.integers)


class Normal(Distribution):
    """Of a mean and a standard deviation."""

    word = "normal"
    normal: _Pair

    @field_validator("normal")
    @classmethod
    def _spread(cls, normal: _Pair) -> _Pair:
        if normal[1] <= 0:
            raise ValueError("expected a mean and a standard deviation above 0")
        return normal

    def _draw(self, rng: np.random.Generator) -> float:
        return float(rng.normal(*self.normal))

    def check_searchable(self) -> None:
        raise ValueError("normal has no limits to search between: write uniform or log_uniform")


class Choice(Distribution):
    """One of a list."""

    word = "choice"
    choice: Annotated[tuple[Any, ...], Field(min_length=1)]

    def _draw(self, rng: np.random.Generator) -> Any:
        return self.choice[int(rng.integers(len(self.choice)))]

    def _suggest(self, trial: Trial, key: str) -> Any:
        # As text, as Optuna takes no lists.
        return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in self.choice]))


_KNOWN = {kind.word: kind for kind in (Uniform, LogUniform, Integers, Normal, Choice)}


def distribution(key: str, table: Any) -> Distribution:
    """What a file has for a setting that is to be drawn: ``{uniform = [0, 1]}``.

    Raises
    ------
    ConfigError
        For anything else.
    """
    words = [word for word in _KNOWN if isinstance(table, Mapping) and word in table]
    if len(words) != 1:
        example = "{uniform = [0.0, 1.0]}"
        given = next((name for name in table if name != "unit"), "") if isinstance(table, Mapping) else ""
        raise ConfigError(
            f"random.{key} = {shown(table)}: expected one distribution, as {example}. " + nearest(given, _KNOWN)
        )
    try:
        return _KNOWN[words[0]].model_validate(dict(table))
    except ValidationError as error:
        told = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise ConfigError(f"random.{key} = {shown(table)}: {told}") from None


def generator(seed: int, key: str) -> np.random.Generator:
    """Random numbers of one setting: what is drawn for others, and how often, does not change them."""
    digest = hashlib.sha256(key.encode()).digest()
    words = tuple(int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8, 12))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))
