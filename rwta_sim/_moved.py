"""Modules that have moved into a room are still found at their old names, with a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED"]

#: Old name below `rwta_sim`, and the module that holds what was there.
MOVED = {
    "actor": "agents.rwta.actor",
    "agent": "lab.agent",
    "arrays": "circuit.arrays",
    "circuits": "circuit.equations",
    "competition": "circuit.competition",
    "config": "lab.config",
    "critics": "learning.critics",
    "decoders": "circuit.decision",
    "display": "lab.display",
    "encoders": "loop.encoders",
    "engines.cache": "native.cache",
    "history": "circuit.history",
    "kernels": "circuit.kernels",
    "learning.equations": "circuit.plasticity",
    "learning.spikes": "circuit.spikes",
    "meanfield": "circuit.meanfield",
    "network": "circuit.network",
    "rate": "agents.rwta.rate",
    "readout": "circuit.readout",
    "recording": "lab.recording",
    "runs": "lab.runs",
    "spec": "circuit.spec",
    "training": "lab.training",
    "transcript": "loop.transcript",
    "vector": "loop.vector",
    "wiring": "circuit.wiring",
}


class _Alias(Loader):
    """The module under its new name, and nothing of its own: what is patched in the one is patched in the other."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        sys.modules[module.__spec__.name] = import_module(self.name)  # which is what the import then gives


class _Moved(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, *parts = fullname.split(".")
        if package != "rwta_sim":
            return None
        for end in range(len(parts), 0, -1):  # also the modules of a package that moved
            if (moved := MOVED.get(".".join(parts[:end]))) is not None:
                new = ".".join([package, moved, *parts[end:]])
                warnings.warn(f"{fullname} is now {new}", DeprecationWarning, stacklevel=2)
                return ModuleSpec(fullname, _Alias(new))
        return None


sys.meta_path.insert(0, _Moved())
