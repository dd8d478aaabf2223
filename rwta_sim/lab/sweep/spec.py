"""What a sweep file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from rwta_sim.errors import ConfigError, shown
from rwta_sim.lab.config import read_toml
from rwta_sim.lab.sweep.distributions import Distribution, distribution
from rwta_sim.loop.tree import explained, leaves
from rwta_sim.settings import Name, PositiveInt, Settings

__all__ = ["SearchSpec", "Sweep"]

_Seed = Annotated[int, Field(ge=0, strict=True)]
Metric = Literal[
    "success",
    "accuracy",
    "mean_return",
    "mean_discounted_return",
    "mean_decisions",
    "mean_score",
    "best_validation_return",
    "decisions",
    "episodes",
    "seconds",
]
#: What a sweep says of a run beside its settings, also in a grid or a list.
_WHO = ("task", "model")


class SearchSpec(Settings):
    """Settings are not drawn blindly, but suggested by Optuna from what came of the trials before.

    A trial is what all seeds come to with the same settings. Its value is the mean of the metric over seeds.
    """

    trials: PositiveInt = Field(description="how many settings are tried; may be raised later")
    sampler: Literal["tpe", "random"] = Field("tpe", description="tree-structured Parzen estimators, or none of it")
    seed: _Seed = Field(0, description="of what is suggested")
    metric: Metric = Field("best_validation_return", description="that counts")
    direction: Literal["maximize", "minimize"] = "maximize"
    prune: Literal["none", "median", "halving"] = Field(
        "median",
        description="end a trial early whose validations are worse than the median of those of others at the same "
        "time, or that is not among the best third (successive halving)",
    )
    startup: Annotated[int, Field(ge=0)] = Field(5, description="trials that have to be complete before one is pruned")
    warmup: Annotated[int, Field(ge=0)] = Field(0, description="validations of a trial before it may be pruned")

    @model_validator(mode="after")
    def _same_way(self) -> Self:
        if self.direction == "minimize" and self.prune != "none":
            raise ValueError(
                f"direction = 'minimize' and prune = {self.prune!r}: validations are the better the higher; set prune "
                "= 'none'"
            )
        return self


class Sweep(Settings):
    """Many runs: every point of the grid, of the list and of what is drawn, with every seed.

    Settings are named as on the command line of `rwta-sim train`, and so are `task` and `model`, which may be swept,
    too. Where a setting stands in several places, the drawn one counts, then that of the grid, of the list, and that
    of all runs.
    """

    task: Name | None = Field(None, description="name of the task; may stand in the grid or the list instead")
    model: Name | None = Field(None, description="published system; default: the first that has the task")
    seeds: tuple[_Seed, ...] = Field((0,), description="seeds of every point; a number n stands for 0 to n - 1")
    budget: PositiveInt | None = Field(None, description="training decisions of every run, in place of episodes")
    evaluate: Annotated[int, Field(ge=0)] | None = Field(
        None, description="episodes of the evaluation after the training; 0: none; default as `rwta-sim evaluate`"
    )
    metric: Metric | None = Field(
        None, description="that the figure compares; default success, accuracy or mean_return, whichever there is first"
    )
    settings: dict[str, Any] = Field({}, description="of all runs")
    grid: dict[str, tuple[Any, ...]] = Field({}, description="values of settings, in every combination")
    point: tuple[dict[str, Any], ...] = Field((), description="list of settings, each with every point of the grid")
    draws: Annotated[int, Field(ge=0)] = Field(0, description="how often the settings of `random` are drawn")
    draws_seed: _Seed = Field(0, description="seed of what is drawn")
    random: dict[str, Distribution] = Field({}, description="distributions of settings")
    search: SearchSpec | None = Field(None, description="search in the distributions in place of drawing from them")

    @property
    def drawn(self) -> Sweep:
        """A sweep without a search: settings drawn at random in place of each of its trials."""
        if self.search is None:
            return self
        return self.model_copy(update={"search": None, "draws": self.search.trials, "draws_seed": self.search.seed})

    @classmethod
    def read(cls, path: Path | str) -> Sweep:
        """The sweep that a file describes.

        Raises
        ------
        ConfigError
            If it cannot be read, or is not one.
        """
        try:
            return cls.of(read_toml(Path(path)))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Sweep:
        """The sweep that a nested mapping describes; errors as for `read`."""
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise explained(cls, error) from None

    # -- as a file spells it ---------------------------------------------------------------------------

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, given: Any) -> Any:
        if isinstance(given, int) and not isinstance(given, bool):
            if given < 1:
                raise ValueError("expected how many seeds, 1 at least, or a list of seeds")
            return tuple(range(given))
        return given

    @field_validator("settings", mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        return dict(leaves(given)) if isinstance(given, Mapping) else given

    @field_validator("point", mode="before")
    @classmethod
    def _flat_points(cls, given: Any) -> Any:
        many = isinstance(given, list | tuple)
        return tuple(dict(leaves(one)) if isinstance(one, Mapping) else one for one in given) if many else given

    @field_validator("grid", mode="before")
    @classmethod
    def _axes(cls, given: Any) -> Any:
        return dict(_below(given)) if isinstance(given, Mapping) else given

    @field_validator("random", mode="before")
    @classmethod
    def _distributions(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = {}
        for key, table in _below(given, lambda table: all(not isinstance(v, Mapping) for v in table.values())):
            try:
                found[key] = table if isinstance(table, Distribution) else distribution(key, table)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return found

    # -- what fits together ------------------------------------------------------------------------------

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError("expected one seed at least, and each of them once")
        return seeds

    @field_validator("grid")
    @classmethod
    def _values(cls, grid: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for key, values in grid.items():
            if not values or any(values[i] in values[:i] for i in range(len(values))):
                raise ValueError(f"grid.{key} = {shown(list(values))}: expected values that differ, one at least")
        return grid

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.search is not None:
            self._check_search()
        elif bool(self.draws) != bool(self.random):
            raise ValueError("draws and [random] belong together: say how often what is drawn")
        tables = {"settings": (self.settings,), "grid": (self.grid,), "point": self.point, "random": (self.random,)}
        for table, entries in tables.items():
            for key in (key for entry in entries for key in entry):
                if key == "seed":
                    raise ValueError(f"{table}.seed: seeds stand in `seeds`, at the top of the file")
                if key in _WHO and table == "settings":
                    raise ValueError(f"{table}.{key}: stands at the top of the file")
                if self.budget is not None and key in ("training.decisions", "training.episodes"):
                    raise ValueError(f"{table}.{key} and budget: both say how long a run is, leave one out")
        return self

    def _check_search(self) -> None:
        if self.grid or self.point or self.draws or not self.random:
            raise ValueError(
                "[search] tries what it finds in [random], and nothing else: leave grid, point and draws out (a list "
                "of values is {choice = [...]})"
            )
        for key, table in self.random.items():
            try:
                table.check_searchable()
            except ValueError as error:
                raise ValueError(f"random.{key}: {error}") from None


def _below(tree: Mapping[str, Any], ends: Any = lambda table: False, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What stands below dotted keys: whatever is no table, and tables of which `ends` is true."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and not ends(value):
            yield from _below(value, ends, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
