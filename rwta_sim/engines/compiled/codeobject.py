"""Code objects of the compiled engine: Brian2's, with faster loops where they give the same numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from brian2.core.functions import DEFAULT_FUNCTIONS, Function
from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject

__all__ = ["CompiledCodeObject"]

_RAND = "_rand(_vectorisation_idx)"


def _draws(variables: Mapping[str, Any], but: Function | None = None) -> bool:
    """Whether code with these variables calls a function whose order of calls matters, random numbers above all."""
    functions = [v for v in variables.values() if isinstance(v, Function) and v is not but]
    return any(not f.stateless for function in functions for f in (function, *_dependencies(function)))


def _dependencies(function: Function) -> list[Function]:
    """The functions that the code of a function calls."""
    try:
        implementation = function.implementations[CPPStandaloneCodeObject]
    except KeyError:
        return []
    return list((implementation.dependencies or {}).values())


def _with_uniform_blocks(code: str, variables: Mapping[str, Any]) -> str:
    """`code` with its random number taken from a block that was drawn before.

    Only where every neuron surely draws exactly one number and nothing else draws any: else the numbers would be given
    to other neurons than Brian2 gives them to.
    """
    if code.count(_RAND) != 1 or re.search(r"&&|\|\||\?|\bif\b", code[: code.index(_RAND)]):
        return code
    return code if _draws(variables, but=DEFAULT_FUNCTIONS["rand"]) else code.replace(_RAND, "_uniform[_k]")


def _in_row(code: str, row: int) -> str:
    """Code for synapse number `_k` of row number `row`, without the index arrays."""
    # As size_t: a 32-bit index might wrap around, so the compiler would not see that targets are contiguous.
    for index, place in (("post", "_post + _k"), ("pre", f"_pre[{row}]")):
        pattern = rf"const int32_t _{index}synaptic_idx = \w+\[_idx\];"
        code = re.sub(pattern, f"const size_t _{index}synaptic_idx = {place};", code)
    return code


def _independent(code: str, variables: Mapping[str, Any]) -> bool:
    """Whether the synapses of a row may be gone through in any order.

    They have different targets; they would depend on each other through the source's or a shared variable, or
    through random numbers.
    """
    if re.search(r"\[(_presynaptic_idx|0)\] [-+*/]?=[^=]", code) or _draws(variables):
        return False
    written = set(re.findall(r"(\w+)\[_postsynaptic_idx\] [-+*/]?=[^=]", code))
    return not written & set(re.findall(r"(\w+)\[_presynaptic_idx\]", code))


class CompiledCodeObject(CPPStandaloneCodeObject):
    """Brian2's C++ code object with the templates of this package in front of Brian2's."""

    templater = CPPStandaloneCodeObject.templater.derive("rwta_sim.engines.compiled")


CompiledCodeObject.templater.env.filters.update(
    # Brian2 gives code to a template as a list of lines.
    text="\n".join,
    with_uniform_blocks=_with_uniform_blocks,
    in_row=_in_row,
    independent=_independent,
)
