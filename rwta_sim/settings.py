"""Validated, frozen settings and the physical quantities they hold.

Every settings class of the package derives from `Settings`. A quantity is given as a Brian2 quantity
(``5*ms``) or as text (``"5 ms"``, what TOML files hold); bare numbers are refused, because a bare number
that means milliseconds is how simulations go wrong.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from brian2 import Quantity, get_unit, have_same_dimensions, hertz, second
from brian2.units.allunits import all_units
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

__all__ = [
    "Fraction",
    "Name",
    "PositiveFloat",
    "PositiveInt",
    "Rate",
    "Settings",
    "Time",
    "format_quantity",
    "whole_steps",
]

_UNITS = {name: unit for unit in all_units for name in (str(unit), unit.name)}
_QUANTITY = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*\*?\s*([A-Za-z]+)\s*")


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error.

    Attributes
    ----------
    renamed : dict of str to str
        What fields were called before: old name to new name. Files and command lines of then are still read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let the help of a settings class open with its fields."""
        super().__pydantic_init_subclass__(**kwargs)
        lines = [f"{n} : {_default(field)}\n    {field.description or ''}" for n, field in cls.model_fields.items()]
        fields = "\n".join(["Parameters", "----------", *(line.rstrip() for line in lines)])
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{fields}" if lines else cls.__doc__

    @model_validator(mode="before")
    @classmethod
    def _with_new_names(cls, given: Any) -> Any:
        if not cls.renamed or not isinstance(given, Mapping) or cls.renamed.keys().isdisjoint(given):
            return given
        return {
            cls.renamed.get(name, name): value for name, value in given.items() if cls.renamed.get(name) not in given
        }


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"


def _parse(value: Any) -> Any:
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match is None or match.group(2) not in _UNITS:
            raise ValueError(f"{value!r} is not a number with a unit: write it like '5 ms' or '500 Hz'")
        return float(match.group(1)) * _UNITS[match.group(2)]
    return value


def _positive(unit: Quantity, kind: str, example: str) -> Callable[[Any], Quantity]:
    def validate(value: Any) -> Quantity:
        value = _parse(value)
        if not isinstance(value, Quantity) or not have_same_dimensions(value, unit):
            raise ValueError(f"expected a {kind} with its unit, like {example}; got {value!r}")
        if np.ndim(value) != 0 or not 0 < float(value) < np.inf:
            raise ValueError(f"expected one positive, finite {kind}; got {value!r}")
        return Quantity(float(value), dim=unit.dim)

    return validate


def format_quantity(value: Quantity) -> str:
    """Text that reads back as exactly the same quantity, in the handiest unit that allows it."""
    names = {
        second.dim: ("ms", "us", "s"),
        hertz.dim: ("Hz", "kHz"),
    }.get(value.dim, ())
    for name in names:
        text = f"{round(float(value / _UNITS[name]), 9):g} {name}"
        if float(_parse(text)) == float(value):
            return text
    return f"{float(value)!r} {get_unit(value.dim)}"


def whole_steps(name: str, time: Quantity, dt: Quantity) -> int:
    """How many steps of `dt` the setting `name` takes.

    Raises
    ------
    ValueError
        If `time` is not a multiple of `dt`.
    """
    steps = float(time) / float(dt)
    if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
        raise ValueError(f"{name} = {format_quantity(time)} is not a multiple of dt = {format_quantity(dt)}")
    return round(steps)


def _quantity(unit: Quantity, kind: str, example: str) -> tuple[Any, ...]:
    return (
        BeforeValidator(_positive(unit, kind, example)),
        PlainSerializer(format_quantity, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def _printable(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError("expected a name: up to 200 characters, without control characters or line breaks")
    return text


Name = Annotated[str, AfterValidator(_printable)]
Time = Annotated[Quantity, *_quantity(second, "time", "'5 ms'")]
Rate = Annotated[Quantity, *_quantity(hertz, "rate", "'500 Hz'")]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
