"""Type-check the package as it is installed.

`models`, `envs` and `analysis` are packages inside rwta_sim that stand beside it in the tree (see setup.cfg); a
type checker finds them where pip puts them. So this installs a copy into build/typecheck and runs mypy on it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "typecheck"


def main() -> int:
    for stale in (COPY, ROOT / "build" / "lib", *(ROOT / "build").glob("bdist.*")):  # the site may stand beside them
        shutil.rmtree(stale, ignore_errors=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--target", str(COPY), str(ROOT)], check=True)
    # From the copy's folder, so that `rwta_sim` is the copy and not the tree.
    line = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "rwta_sim"]
    types = subprocess.run([*line, "--cache-dir", str(ROOT / ".mypy_cache")], cwd=COPY).returncode
    linter = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; c()"]
    imports = subprocess.run([*linter, "--config", str(ROOT / ".importlinter"), "--no-cache"], cwd=COPY).returncode
    return types or imports


if __name__ == "__main__":
    sys.exit(main())
