"""The package is found whole, however it was installed and wherever Python was started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Without what an editable installation adds to Python's ways of finding modules.
IMPORT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
import rwta_sim, rwta_sim.envs.patterns, rwta_sim.models.svpg, rwta_sim.analysis
print(rwta_sim.__file__, rwta_sim.envs.__file__, len(rwta_sim.tasks()) > 10)
"""


def test_in_a_checkout_the_rooms_are_found_beside_the_package():
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [str(ROOT / "rwta_sim/__init__.py"), str(ROOT / "envs/__init__.py"), "True"]


@pytest.mark.slow
def test_a_wheel_has_everything(tmp_path):
    """Built, and installed into a new environment that sees the packages of this one."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    copy = tmp_path / "copy"  # building leaves files behind
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "runs", "docs", "tests", "benchmarks"))
    built = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run([*pip, *built], check=True, capture_output=True)
    venv.create(tmp_path / "venv", with_pip=False)
    python, libraries = tmp_path / "venv/bin/python", next((tmp_path / "venv/lib").glob("python*/site-packages"))
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    (libraries / "theirs.pth").write_text("\n".join(theirs))
    target = ["install", "--no-deps", "--target", str(libraries), *map(str, tmp_path.glob("*.whl"))]
    subprocess.run([*pip, *target], check=True, capture_output=True)
    for where, beside in ((tmp_path, libraries / "rwta_sim/envs"), (ROOT, ROOT / "envs")):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run([python, "-c", IMPORT], cwd=where, capture_output=True, text=True, env=environment)
        assert done.stdout.split()[1:] == [str(beside / "__init__.py"), "True"], done.stderr
    files = {str(path.relative_to(libraries)) for path in (libraries / "rwta_sim").rglob("*")}
    for path in [*(ROOT / "rwta_sim").rglob("*.py"), *(ROOT / "rwta_sim").rglob("*.cpp")]:
        assert str(path.relative_to(ROOT)) in files, path


def test_modules_that_moved_are_found_at_their_old_names():
    """They are the same modules, in either order of importing, and so are those inside a package that moved."""
    code = """
import sys, warnings
from importlib import import_module
from rwta_sim._moved import MOVED
for old, new in [*sorted(MOVED.items()), ("critics.linear", "learning.critics.linear")]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", DeprecationWarning)
        moved = import_module(f"rwta_sim.{old}")
    here = import_module(f"rwta_sim.{new}")
    assert moved is here and here.__name__ == here.__spec__.name == f"rwta_sim.{new}", old
    assert f"rwta_sim.{old} is now rwta_sim.{new}" in [str(warning.message) for warning in heard], old
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
