"""The page of the site that lists every setting, made from the settings themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from brian2 import Quantity
from pydantic import BaseModel
from pydantic.json_schema import PydanticJsonSchemaWarning

from rwta_sim.loop.tree import Setting, settings
from rwta_sim.models import MODELS
from rwta_sim.settings import format_quantity

__all__ = ["settings_page"]

_OPENING = """# Every setting

Each is an option of `rwta-sim train` (`--network.dt "0.5 ms"`), a line of a TOML file, and a key of
`experiment.changed({"network.dt": "0.5 ms"})`. Defaults are those of the settings; the preset of a task sets many of
them anew, and the `config.toml` of a run has what it was trained with. Settings that belong to one kind of a rule, a
critic, a kernel and so on say so; to give another kind drops the settings of the kind before.
"""


class _Row(NamedTuple):
    key: str
    what: str
    default: str
    meaning: str


def _code(value: object) -> str:
    return f"`{value}`"


def _limits(schema: Mapping[str, Any]) -> str:
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    return f" {', '.join(told)}" if told else ""


def _what(schema: Mapping[str, Any]) -> str:
    """What a setting may be, from its JSON schema."""
    if "anyOf" in schema or "oneOf" in schema:
        parts = schema.get("anyOf") or schema["oneOf"]
        return " or ".join(dict.fromkeys(_what(part) for part in parts))
    if "enum" in schema or "const" in schema:
        return ", ".join(_code(value) for value in schema.get("enum", [schema.get("const")]))
    if "examples" in schema:
        return f"like `{str(schema['examples'][0]).strip(chr(39))}`"
    match schema.get("type"):
        case "array":
            return f"list of {_what(schema.get('items', {}))}"
        case "object":
            return "table"
        case "null":
            return "none"
        case kind:
            names = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
            return names.get(kind or "", "anything") + _limits(schema)


def _shown(value: object) -> str:
    if isinstance(value, Quantity):
        return _code(format_quantity(value))
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, tuple):
        return _code(str(list(value)).replace("'", '"'))
    return "none" if value is None else _code(value)


def _default(setting: Setting) -> str:
    holder = setting.holder
    if setting.key.endswith(".kind") and holder is not None:  # which kind there is unless another is asked for
        return "required" if holder.is_required() else _shown(getattr(_value(holder), "kind", None))
    return "required" if setting.field.is_required() else _shown(_value(setting.field))


def _value(field: Any) -> object:
    return field.get_default(call_default_factory=True)


def _row(setting: Setting) -> _Row:
    schema = _schemas(setting.model)[setting.key.rpartition(".")[2]]
    return _Row(setting.key, _what(schema), _default(setting), setting.field.description or "")


@cache
def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # of defaults, which are not looked at
        return dict(model.model_json_schema()["properties"])


def _kind(setting: Setting) -> str | None:
    field = setting.model.model_fields.get("kind")
    return None if field is None else str(field.default)


def _merged(found: Iterable[Setting]) -> Iterator[_Row]:
    """One row of each setting; of one that not all kinds have alike, one for those that do."""
    by_key: dict[str, list[Setting]] = {}
    for setting in found:
        by_key.setdefault(setting.key, []).append(setting)
    for key, several in by_key.items():
        if key.endswith(".kind"):
            rows = [_row(setting) for setting in several]
            yield _Row(key, ", ".join(dict.fromkeys(row.what for row in rows)), rows[0].default, "which of them")
            continue
        kinds: dict[_Row, list[str]] = {}
        for setting in several:
            kinds.setdefault(_row(setting), []).extend(filter(None, [_kind(setting)]))
        everyone = {_kind(s) for k, group in by_key.items() if k.endswith(".kind") for s in group if _beside(k, key)}
        for row, names in kinds.items():
            some = names and set(names) != everyone
            note = f"kind {', '.join(map(_code, dict.fromkeys(names)))}: " if some else ""
            yield row._replace(meaning=note + row.meaning)


def _beside(kind: str, key: str) -> bool:
    return kind.rpartition(".")[0] == key.rpartition(".")[0]


def _table(rows: Iterable[_Row]) -> str:
    lines = ["| setting | what it may be | default | meaning |", "| --- | --- | --- | --- |"]
    for row in rows:
        meaning = row.meaning.replace("*", r"\*").replace("|", r"\|")
        lines.append(f"| {_code(row.key)} | {row.what} | {row.default} | {meaning} |")
    return "\n".join(lines)


def settings_page() -> str:
    """Markdown: what is common to all models, then a table for each class of experiments."""
    models: dict[type, list[str]] = {}
    for name, (experiment, _) in MODELS.items():
        models.setdefault(experiment, []).append(name)
    tables = {experiment: list(_merged(settings(experiment))) for experiment in models}
    first, *others = tables.values()
    common = [row for row in first if all(row in other for other in others)]
    parts = [_OPENING, f"## Of all models\n\n{_table(common)}\n"]
    for experiment, rows in tables.items():
        own = [row for row in rows if row not in common]
        parts.append(f"## {', '.join(models[experiment])}\n\n{_table(own)}\n")
    return "\n".join(parts)
