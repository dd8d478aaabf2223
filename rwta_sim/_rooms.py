"""In a checkout the rooms analysis, envs and models stand beside this folder, and are found there.

An installation has them inside the package. But Python started in a checkout imports the package from there, whatever
is installed, and would not find its rooms.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["ROOMS"]

ROOMS = ("analysis", "envs", "models")
_HERE = Path(__file__).resolve().parent


class _Rooms(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, room = fullname.rpartition(".")
        if package != "rwta_sim" or room not in ROOMS or (_HERE / room).is_dir():
            return None
        folder = _HERE.parent / room
        return spec_from_file_location(fullname, folder / "__init__.py", submodule_search_locations=[str(folder)])


if (_HERE.parent / "envs" / "__init__.py").is_file():
    sys.meta_path.insert(0, _Rooms())
