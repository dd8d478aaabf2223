"""Code of equations that comes from outside: parsed, checked, and rendered again from what was understood.

Brian2 copies more of such text into the programs that it generates than it has parsed: comments, for example, and the
control characters in them. Nothing that was not parsed here goes further.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator

from brian2 import Equations
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import DIFFERENTIAL_EQUATION, FLOAT, SingleEquation

from rwta_sim.errors import one_line

__all__ = ["condition", "equations", "statements"]

#: Longest text, its longest line, and how deep an expression may be nested: far beyond what a rule needs, and well
#: within what parsers can do.
_LONGEST_TEXT, _LONGEST_LINE, _DEEPEST = 10_000, 1000, 50
#: Largest constant exponent. Powers of whole numbers are worked out exactly, which may take for ever.
_LARGEST_EXPONENT = 100

_EXPRESSION = (
    *(ast.Name, ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Load),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.UAdd, ast.USub),
    *(ast.And, ast.Or, ast.Not, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
)
_AUGMENTED = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod, ast.Pow)

_UNIT = r"[A-Za-z]+(\s*\*\*\s*-?\s*[0-9](\.[0-9]+)?)?"
_UNITS = re.compile(rf"\s*(1|{_UNIT})(\s*[*/]\s*{_UNIT})*\s*")
#: In the order of Brian2's dimensions.
_BASE_UNITS = ("metre", "kilogram", "second", "amp", "kelvin", "mole", "candle")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")

#: Words of C++ (and of Cython) that Python allows as names; Brian2 refuses those of Python.
_RESERVED = frozenset(
    """
    alignas alignof and_eq asm auto bitand bitor bool case catch char compl concept const const_cast constexpr
    consteval constinit decltype default delete do double dynamic_cast enum explicit export extern float friend goto
    inline int long mutable namespace new noexcept not_eq nullptr operator or_eq private protected public register
    reinterpret_cast requires restrict short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw typedef typeid typename union unsigned using virtual void volatile wchar_t xor xor_eq
    cdef cpdef ctypedef cimport include
    """.split()
)


def statements(text: str) -> str:
    """Statements like ``balance += x_pre``, one a line or between semicolons.

    Raises
    ------
    ValueError
        For anything else, comments and control characters among it.
    """
    _check_characters(text)
    return "\n".join(_statement(line) for line in map(str.strip, re.split("[;\n]", text)) if line)


def condition(text: str) -> str:
    """A condition like ``abs(B) > 1e4``. Raises as `statements` does."""
    _check_characters(text)
    return _expression(text.strip()) if text.strip() else ""


def equations(text: str) -> str:
    """Brian2 equations like ``balance : 1``, one a line. Raises as `statements` does."""
    _check_characters(text)
    for unit in re.findall(r":([^\n(]*)", text):
        # Brian2 evaluates it as an expression of Python.
        if not _UNITS.fullmatch(unit):
            raise ValueError(f"{unit.strip()!r} is not a unit: expected one like 1, second or volt/second**2")
    try:
        parsed = Equations(text)
    except Exception as error:  # Brian2 has several for what is not equations
        raise ValueError(f"not Brian2 equations: {one_line(error)}") from error
    return "\n".join(_equation(parsed[name]) for name in parsed)


def _check_characters(text: str) -> None:
    for character in text:
        if character == "#":
            raise ValueError("comments (#) are not allowed: leave them out")
        if character in "\n\t":
            continue
        if not (character.isascii() and character.isprintable()):
            raise ValueError(f"the character {character!a} is not allowed: equations are plain ASCII text")
    if len(text) > _LONGEST_TEXT or max(map(len, text.split("\n"))) > _LONGEST_LINE:
        raise ValueError(f"longer than {_LONGEST_TEXT} characters, or a line of it than {_LONGEST_LINE}: shorten it")


def _parsed(line: str, mode: str) -> ast.AST:
    try:
        tree: ast.AST = ast.parse(line, mode=mode)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else one_line(error)
        raise ValueError(f"{_short(line)} cannot be read: {why}") from None
    return tree


def _statement(line: str) -> str:
    tree = _parsed(line, "exec")
    assert isinstance(tree, ast.Module)
    node = tree.body[0] if len(tree.body) == 1 else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, _AUGMENTED):
        target = node.target
    else:
        target = None
    if node is None or not isinstance(target, ast.Name):
        raise ValueError(f"{_short(line)} is not a statement like 'balance += x_pre' or 'n = 0'")
    check_new_name(target.id)
    _check_expression(node.value, line)  # type: ignore[attr-defined]
    return ast.unparse(node)


def _expression(text: str) -> str:
    tree = _parsed(text, "eval")
    assert isinstance(tree, ast.Expression)
    _check_expression(tree.body, text)
    return ast.unparse(tree)


def _equation(equation: SingleEquation) -> str:
    check_new_name(equation.varname)
    if "linked" in equation.flags:
        raise ValueError(f"{equation.varname} is linked, and there is nothing to link it to: leave the flag out")
    unit = _unit(equation)
    left = f"d{equation.varname}/dt" if equation.type == DIFFERENTIAL_EQUATION else equation.varname
    right = "" if equation.expr is None else f" = {_expression(equation.expr.code.strip())}"
    flags = f" ({', '.join(equation.flags)})" if equation.flags else ""
    return f"{left}{right} : {unit}{flags}"


def _unit(equation: SingleEquation) -> str:
    """Its unit, or the type of what has none, as Brian2 reads it."""
    if equation.var_type != FLOAT:
        return str(equation.var_type)
    powers = zip(_BASE_UNITS, equation.dim._dims, strict=True)
    return "*".join(f"{name}**{power:g}" if power != 1 else name for name, power in powers if power) or "1"


def check_new_name(name: str) -> None:
    """Raise ValueError if code may not give this name to a variable, or assign to it."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{_short(name)} is no name for a variable: up to 100 letters, digits and _, the first one a letter"
        )
    if name in _RESERVED or name in DEFAULT_FUNCTIONS or name in DEFAULT_CONSTANTS or name in DEFAULT_UNITS:
        raise ValueError(f"{name!r} has another meaning in code: choose another name for the variable")


def _check_expression(tree: ast.AST, text: str) -> None:
    """Raise ValueError for anything but arithmetic and comparisons of names and numbers, and known functions."""

    def refuse(what: str) -> ValueError:
        return ValueError(f"{_short(text)}: {what}")

    for node, depth in _nodes(tree):
        if depth > _DEEPEST:
            raise refuse(f"nested more than {_DEEPEST} deep")
        if not isinstance(node, _EXPRESSION):
            raise refuse(f"only arithmetic, comparisons and functions are allowed, not {_short(ast.unparse(node))}")
        if (problem := _CHECKS.get(type(node), _nothing)(node)) is not None:
            raise refuse(problem)


def _nodes(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """The nodes below and their depths, the names of functions left out."""
    left = [(tree, 0)]
    while left:
        node, depth = left.pop()
        yield node, depth
        below = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
        left += [(child, depth + 1) for child in below]


def _nothing(node: ast.AST) -> None:
    return None


def _name_problem(node: ast.Name) -> str | None:
    return None if _NAME.fullmatch(node.id) else f"{_short(node.id)} is no name of a variable"


def _call_problem(node: ast.Call) -> str | None:
    if not isinstance(node.func, ast.Name) or node.func.id not in DEFAULT_FUNCTIONS:
        known = ", ".join(sorted(DEFAULT_FUNCTIONS))
        return f"{_short(ast.unparse(node.func))} is not a function that equations may call. Known: {known}"
    return "functions take no keywords" if node.keywords else None


def _number_problem(node: ast.Constant) -> str | None:
    value = node.value
    if isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e300):
        return "a whole number beyond 64 bits" if isinstance(value, int) and value >= 2**63 else None
    return f"{_short(ast.unparse(node))} is not a number"


def _power_problem(node: ast.BinOp) -> str | None:
    if not isinstance(node.op, ast.Pow) or any(isinstance(part, ast.Name) for part in ast.walk(node.right)):
        return None
    exponent = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
    value = exponent.value if isinstance(exponent, ast.Constant) else None
    if isinstance(value, int | float) and value <= _LARGEST_EXPONENT:
        return None
    return f"a constant exponent is one number of at most {_LARGEST_EXPONENT}"


_CHECKS: dict[type[ast.AST], Callable[..., str | None]] = {
    ast.Name: _name_problem,
    ast.Call: _call_problem,
    ast.Constant: _number_problem,
    ast.BinOp: _power_problem,
    ast.Compare: lambda node: None if len(node.ops) == 1 else "compare two things at a time: a < b and b < c",
}


def _short(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
