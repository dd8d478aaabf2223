"""`Dial`: a setting that somebody may turn while they watch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from rwta_sim.errors import ConfigError, nearest, shown

__all__ = ["Dial"]


class Dial(NamedTuple):
    """A setting of an experiment with the range in which it makes sense to try it, or with a choice of options.

    Attributes
    ----------
    key : str
        Dotted, as for `Experiment.changed`.
    label : str
        For people.
    value : float or str
        As it is: a number of `unit`, or the name of an option.
    low, high : float
        Ends of the range, both of it.
    unit : str
        "" for numbers without one.
    log : bool
        Whether a slider should have a logarithmic scale.
    options : mapping
        By name the values to choose from; then there is no range.
    """

    key: str
    label: str
    value: float | str
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    log: bool = False
    options: Mapping[str, Any] = {}

    def checked(self, value: float | str) -> float | str:
        """The same value, if this dial can be turned to it.

        Raises
        ------
        ConfigError
            If it is beyond the range, no number, or none of the options.
        """
        if self.options:
            if value not in self.options:
                raise ConfigError(f"{self.key} = {shown(value)}: {nearest(str(value), self.options)}")
            return value
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not self.low <= number <= self.high:
            expected = f"expected a number from {self.low:g} to {self.high:g} {self.unit}".rstrip()
            raise ConfigError(f"{self.key} = {shown(value)}: {expected}")
        return number

    def setting(self, value: float | str) -> Any:
        """What `Experiment.changed` takes for this value; raises as `checked`."""
        value = self.checked(value)
        if self.options:
            return self.options[str(value)]
        return f"{value!r} {self.unit}" if self.unit else value
