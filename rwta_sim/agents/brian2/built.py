"""What a user's function built: checked, and found by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import brian2
import numpy as np
from brian2 import Network, SpikeSource, Subgroup
from brian2.core.base import BrianObject, BrianObjectException

from rwta_sim.agents.brian2.experiment import BuilderSpec
from rwta_sim.errors import ConfigError, EngineError, RwtaSimError, nearest, one_line, shown

__all__ = ["Built", "build", "explained"]


def build(spec: BuilderSpec, n_inputs: int, n_actions: int, seed: int) -> Built:
    """Call the function, inside ``engine.building()``.

    What it draws from NumPy's global generator, and what Brian2's runtime code draws for it, follows from `seed`; a
    parameter of the name ``seed`` is given that number.

    Raises
    ------
    ConfigError
        If there is no such function, it raises, or what it returns are no Brian2 objects.
    """
    function = _function(spec)
    namespace = dict(getattr(inspect.unwrap(function), "__globals__", {}))
    with explained(spec), _seeded(seed):
        takes = "seed" in inspect.signature(function).parameters and "seed" not in spec.kwargs
        made = function(n_inputs, n_actions, **spec.kwargs, **({"seed": seed} if takes else {}))
    return Built(made, spec, namespace)


def _function(spec: BuilderSpec) -> Callable[..., Any]:
    module, _, name = spec.build.partition(":")
    asked = f"network.build = {spec.build!r}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"{asked}: importing {module} raised {error!r}") from error
        raise ConfigError(
            f"{asked}: there is no module {error.name!r}: install it, put its folder on PYTHONPATH, or start Python "
            "(python -m rwta_sim) in that folder"
        ) from error
    except Exception as error:
        raise ConfigError(f"{asked}: importing {module} raised {type(error).__name__}: {one_line(error)}") from error
    functions = [n for n, value in vars(found).items() if inspect.isfunction(value) and value.__module__ == module]
    if not hasattr(found, name):
        raise ConfigError(f"{asked}: {module} has no {name!r}: {nearest(name, functions)}")
    function = getattr(found, name)
    if not callable(function):
        raise ConfigError(f"{asked} is {shown(function)}, expected a function: {nearest(name, functions)}")
    result: Callable[..., Any] = function
    return result


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator, from which Brian2's runtime code draws too, restarted and given back."""
    saved = np.random.get_state()  # noqa: NPY002  (the one that is seeded)
    np.random.seed(seed)  # noqa: NPY002
    if isinstance(brian2.get_device(), brian2.devices.RuntimeDevice):
        brian2.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(saved)  # noqa: NPY002


@contextmanager
def explained(spec: BuilderSpec) -> Iterator[None]:
    """What the user's function raises, or Brian2 because of it, becomes a ConfigError that says so."""
    try:
        yield
    except RwtaSimError:
        raise
    except BrianObjectException as error:
        cause = error.__cause__ or error
        raise ConfigError(
            f"network.build = {spec.build!r}: Brian2 cannot run {error._brian_objname!r}: {one_line(cause)} (names in "
            "equations are looked up in the namespace= of the object, then in the function's module)"
        ) from error
    except Exception as error:
        raise ConfigError(f"network.build = {spec.build!r} raised {type(error).__name__}: {one_line(error)}") from error


class Built:
    """What the function returned.

    Parameters
    ----------
    made : object
        A Brian2 object, several in a list, tuple or set, or a Network.
    spec : BuilderSpec
    namespace : mapping
        From which equations take names that their objects lack.

    Attributes
    ----------
    objects : list of BrianObject
    inputs : str
        Name of the object that takes the inputs.

    Raises
    ------
    ConfigError
        If it is anything else.
    """

    def __init__(self, made: Any, spec: BuilderSpec, namespace: Mapping[str, Any]) -> None:
        objects = made.objects if isinstance(made, Network) else [made] if isinstance(made, BrianObject) else made
        listed = isinstance(objects, list | tuple | set | frozenset)
        wrong = [o for o in objects if not isinstance(o, BrianObject)] if listed else [made]
        if wrong or not objects:
            what = f"{shown(wrong[0])} in it" if wrong and listed else shown(made)
            raise ConfigError(
                f"network.build = {spec.build!r} returned {what}: expected the Brian2 objects of the network, in a "
                "list or as a Network"
            )
        self.objects: list[BrianObject] = list(objects)
        self.namespace = namespace
        self.inputs = spec.inputs.partition(".")[0]
        self._spec = spec
        self._by_name = {o.name: o for o in self.objects}

    def object(self, name: str, setting: str, asked: str) -> Any:
        """An object by its Brian2 name; the setting that asks for it is for the message."""
        if name not in self._by_name:
            raise ConfigError(
                f"{setting} = {asked!r}: the network has no object of the name {name!r} (as in name={name!r}): "
                f"{nearest(name, self._by_name)}"
            )
        return self._by_name[name]

    def actions(self, count: int) -> Any:
        """The group whose spikes are the actions."""
        name = self._spec.actions
        group = self.object(name, "network.actions", name)
        if not _spikes(group):
            raise ConfigError(f"network.actions = {name!r} is a {type(group).__name__} without spikes: give a group")
        if len(group) != count:
            raise ConfigError(
                f"network.actions = {name!r} has {len(group)} neurons, expected n_actions = {count}, one each"
            )
        return group

    def recorded(self) -> list[Any]:
        """The groups that spike, but for the actions and parts of others, in the order of their names."""
        names = sorted(n for n, o in self._by_name.items() if _spikes(o) and not isinstance(o, Subgroup))
        return [self._by_name[name] for name in names if name != self._spec.actions]

    def view(self, view: Callable[[Any, str], np.ndarray], name: str, setting: str) -> np.ndarray:
        """A variable that can be set, by `Engine.view`, named as "object.variable"."""
        owner, _, variable = name.partition(".")
        try:
            values = view(self.object(owner, setting, name), variable)
        except EngineError as error:
            raise ConfigError(f"{setting} = {name!r}: {error}") from error
        if not values.flags.writeable:
            raise ConfigError(f"{setting} = {name!r} cannot be set: expected a parameter or a state variable")
        return values

    def numbers(
        self, view: Callable[[Any, str], np.ndarray], name: str, setting: str, count: int | None = None
    ) -> np.ndarray:
        """The same of a variable that takes real numbers: as many as there are inputs, if `count` says how many."""
        values = self.view(view, name, setting)
        if values.dtype.kind != "f":
            raise ConfigError(f"{setting} = {name!r} holds {values.dtype}, expected real numbers")
        if count is not None and values.shape != (count,):
            raise ConfigError(f"{setting} = {name!r} has {values.size} values, expected n_inputs = {count}, one each")
        return values


def _spikes(obj: Any) -> bool:
    return isinstance(obj, SpikeSource) and "spike" in getattr(obj, "events", {"spike": ""})
