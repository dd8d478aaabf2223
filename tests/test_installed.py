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
