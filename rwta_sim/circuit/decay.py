"""Decay towards zero, solved exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from brian2.core.variables import Variable
from brian2.equations.equations import Equations
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.stateupdaters.exact import exact

__all__ = ["decay"]


class _Decay(StateUpdateMethod):
    """``dx/dt = -x/tau`` as ``x(t + dt) = x(t) exp(-dt/tau)``, for any number of such variables.

    Brian2's ``exact`` finds the same code, but by the exponential of a matrix in SymPy, which takes a second for the
    four variables of a double exponential kernel, in every process. It is asked where equations are others, or tau may
    change within a step.
    """

    def __call__(
        self,
        equations: Equations,
        variables: Mapping[str, Variable] | None = None,
        method_options: Mapping[str, Any] | None = None,
    ) -> str:
        steps = {}
        for name, expression in equations.diff_eq_expressions:
            found = re.fullmatch(rf"-{name}/([A-Za-z]\w*)", expression.code)
            if not found or not _is_constant(found[1], variables or {}) or equations.is_stochastic or method_options:
                return str(exact(equations, variables, method_options))
            steps[name] = f"{name}*exp(-dt/{found[1]})"
        new = [f"_{name} = {step}" for name, step in steps.items()]
        return "\n".join([*new, *(f"{name} = _{name}" for name in steps)])


def _is_constant(name: str, variables: Mapping[str, Variable]) -> bool:
    return name in variables and bool(variables[name].constant)


#: To be given as the `method` of a group of neurons.
decay = _Decay()
