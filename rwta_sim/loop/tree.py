"""Settings as a tree: dotted keys, and errors that name them."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rwta_sim.errors import ConfigError, nearest, printable

__all__ = ["Setting", "assign", "explained", "kinds_first", "leaves", "old_names", "options", "settings"]

Root = type[BaseModel]


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # A kind comes first: choosing another kind drops the settings of the one before.
    for key, value in sorted(tree.items(), key=lambda item: item[0] != "kind"):
        if isinstance(value, Mapping) and f"{prefix}{key}" != "environment.kwargs":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def kinds_first(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, in the order to `assign` them: a kind drops the settings of the kind before."""
    return dict(sorted(settings.items(), key=lambda item: not item[0].endswith(".kind")))


def assign(root: Root, tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value in the tree of an experiment of class `root`; raises ConfigError for a path that it has not."""
    *parents, last = path
    last = _new_name(root, parents, last)
    for i, name in enumerate(parents):
        if not isinstance(tree.get(name), dict):
            known = _keys_at(root, tuple(path[:i]))
            if name not in known and path[:2] != ["environment", "kwargs"]:
                raise ConfigError(f"unknown setting {'.'.join(path)!r}: {nearest(name, known)}")
            tree[name] = {}
        tree = tree[name]
    chooses = last == "kind" and any(_tag(model) for model in _models_at(root, tuple(parents)))
    if chooses and tree.get("kind") != value:
        tree.clear()
    tree[last] = value


def _presentable(line: str) -> str:
    """A line about what was given, whatever that was."""
    line = printable(line)
    return line if len(line) <= 3000 else f"{line[:2000]} ... {line[-500:]}"


def explained(root: Root, error: ValidationError) -> ConfigError:
    """What is wrong with the settings of an experiment of class `root`, a line for each."""
    lines = (_explain(root, e["loc"], e["type"], e["msg"], e["input"]) for e in error.errors())
    return ConfigError("\n".join(map(_presentable, lines)))


def _explain(root: Root, loc: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    # What stands in parentheses is the tag of a union of plain values, not a setting.
    path = tuple(part for part in loc if isinstance(part, str) and not part.startswith("("))
    names = _without_tags(root, path)
    key = ".".join(names)
    if kind == "extra_forbidden":
        return f"unknown setting {key!r}: {nearest(names[-1], _keys_at(root, path[:-1]))}"
    message = message.removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message[:1].isupper() and message[1:2].islower() else message
    if not key or isinstance(given, Mapping):
        return f"{key}: {message}" if key else message
    value = repr(given)
    return f"{key} = {value if len(value) <= 500 else f'{value[:497]}...'}: {message}"


# -- the settings as a tree ------------------------------------------------------------------------------


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes an annotation allows."""
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for part in get_args(annotation) for model in _models(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _tag(model: type[BaseModel]) -> str | None:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _walk(root: Root, path: tuple[str, ...]) -> Iterator[tuple[str | None, list[type[BaseModel]]]]:
    """For each part of a validation path: its name (None for the tag of a union) and the classes below it."""
    models: list[type[BaseModel]] = [root]
    for part in path:
        tagged = [model for model in models if _tag(model) == part]
        if len(models) > 1 and tagged:
            models = tagged
            yield None, models
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        models = [below for field in fields for below in _models(field.annotation)]
        yield part, models


def _without_tags(root: Root, path: tuple[str, ...]) -> list[str]:
    return [name for name, _ in _walk(root, path) if name is not None]


def _models_at(root: Root, path: tuple[str, ...]) -> list[type[BaseModel]]:
    return [models for _, models in _walk(root, path)][-1] if path else [root]


def _keys_at(root: Root, path: tuple[str, ...]) -> set[str]:
    return {name for model in _models_at(root, path) for name in model.model_fields}


def _new_name(root: Root, parents: list[str], name: str) -> str:
    """What a setting is called today."""
    names = [getattr(model, "renamed", {}).get(name) for model in _models_at(root, tuple(parents))]
    return next(filter(None, names), name)


class Setting(NamedTuple):
    """A setting of `root` by its dotted key: its field, the class that has it, and the field that holds that class."""

    key: str
    model: Root
    field: FieldInfo
    holder: FieldInfo | None


def settings(root: Root) -> Iterator[Setting]:
    """Every setting of an experiment of class `root`; one that several kinds have comes once for each of them."""

    def visit(model: Root, prefix: str, holder: FieldInfo | None) -> Iterator[Setting]:
        for name, field in model.model_fields.items():
            below = _models(field.annotation)
            for part in below:
                yield from visit(part, f"{prefix}{name}.", field)
            if not below:
                yield Setting(f"{prefix}{name}", model, field, holder)

    return visit(root, "", None)


def options(root: Root) -> dict[str, FieldInfo]:
    """Every setting of an experiment of class `root` by its dotted key, for documentation and the command line."""
    found: dict[str, FieldInfo] = {}
    for setting in settings(root):
        found.setdefault(setting.key, setting.field)
    return found


def old_names(root: Root) -> dict[str, str]:
    """Dotted keys of before, by those of today."""
    found: dict[str, str] = {}

    def visit(model: type[BaseModel], prefix: str) -> None:
        found.update({prefix + new: prefix + old for old, new in getattr(model, "renamed", {}).items()})
        for name, field in model.model_fields.items():
            for part in _models(field.annotation):
                visit(part, f"{prefix}{name}.")

    visit(root, "")
    return found
