"""Whose code a run folder makes Python run: the modules of its environment and of a function that builds its network.

Nothing else in a run folder is code, but ``environment.id = "module:id"`` and ``network.build = "module:function"``
import modules. One that is part of the installation is the user's own choice; one that merely lies in the current
folder may have come with the run.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from rwta_sim.errors import RunError
from rwta_sim.loop.experiment import Experiment

__all__ = ["check_modules", "check_trust"]


def check_modules(experiment: Experiment, run: Path | str, trust: bool, environment: bool = True) -> None:
    """`check_trust` for all that an experiment names, or all but its environment, if one is given in its place."""
    if environment:
        check_trust(experiment.environment.id, run, trust)
    for module in experiment.modules:
        check_trust(f"{module}:", run, trust)


def check_trust(environment_id: str, run: Path | str, trust: bool) -> None:
    """Raise RunError if to make the environment of a run would import a module that is neither imported nor installed.

    Parameters
    ----------
    environment_id : str
        A Gymnasium id, or "module:" and whatever is to be found there.
    run : path
        For the message.
    trust : bool
        Do not mind.
    """
    module, _, _ = environment_id.rpartition(":")
    if not module or trust:
        return
    if (folder := _not_installed(module)) is not None:
        raise RunError(
            f"{run} would import the module {module!r}, and so run its code, from {folder}, where modules are not "
            "installed: if you trust it, give --trust (in Python trust=True, or import it yourself first)"
        )


def _not_installed(module: str) -> Path | None:
    """The folder from which a module would be imported, if it is not one that Python's installation has on its path.

    What the installation adds (packages installed to be edited among it) comes after the standard library: before it
    are only the folder of the script, or the current one, and PYTHONPATH. Nothing is imported to find out.
    """
    top, *_ = parts = module.split(".")
    if module in sys.modules or top in sys.builtin_module_names or getattr(sys.modules.get(top), "__file__", None):
        return None
    own, places = _folders_before_the_library(), None
    for depth in range(len(parts)):
        found = PathFinder.find_spec(".".join(parts[: depth + 1]), places)
        if found is None:
            return None
        for place in found.submodule_search_locations or filter(None, [found.origin]):
            folder = Path(place).absolute().parents[depth].resolve()  # where a link lies, not where it points
            if folder in own:
                return folder
        places = found.submodule_search_locations
        if places is None:
            break
    return None


def _folders_before_the_library() -> set[Path]:
    library, folders = Path(os.__file__).resolve().parent, set()
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if folder == library:
            break
        folders.add(folder)
    return folders
