"""The pages of the site about the Python API: what modules export, from their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

from pydantic import BaseModel

__all__ = ["api_pages"]

#: What users touch, by the title of its page.
_MODULES = {
    "The package": ["rwta_sim"],
    "Analysis": ["rwta_sim.analysis"],
    "Learning": ["rwta_sim.learning.rules", "rwta_sim.learning.critics", "rwta_sim.learning.modulation"],
    "Networks and engines": ["rwta_sim.engines", "rwta_sim.agents.brian2", "rwta_sim.agents.rwta"],
    "Encoders": ["rwta_sim.loop.encoders"],
    "Exact": ["rwta_sim.exact"],
    "Exports and robustness": ["rwta_sim.lab.export", "rwta_sim.lab.robustness"],
}


def _entry(module: str, name: str) -> Iterator[str]:
    thing = getattr(import_module(module), name)
    path = f"{module}.{name}"
    if inspect.isclass(thing):
        yield f".. autoclass:: {path}"
        if not issubclass(thing, BaseModel):  # the help of settings has their fields, and they have no other members
            yield "   :members:"
    elif inspect.isroutine(thing):
        yield f".. autofunction:: {path}"
    elif inspect.ismodule(thing):
        yield f".. automodule:: {path}\n   :members:"
    else:
        yield f".. autodata:: {path}\n   :no-value:"
    yield ""


def _page(title: str, modules: list[str]) -> str:
    lines = [title, "=" * len(title), ""]
    for name in modules:
        module = import_module(name)
        summary = (inspect.getdoc(module) or "").replace("`", "``")
        lines += [name, "-" * len(name), "", summary, ""]
        for public in module.__all__:
            if not public.startswith("__"):
                lines += _entry(name, public)
    return "\n".join(lines)


def api_pages() -> dict[str, str]:
    """The text of each page (reStructuredText), by the name of its file."""
    return {f"{title.lower().replace(' ', '-')}.rst": _page(title, modules) for title, modules in _MODULES.items()}
