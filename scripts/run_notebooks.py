"""Run the notebooks of docs/notebooks, each in a kernel and a folder of its own, and print how long each took.

python scripts/run_notebooks.py                  # all, and their solutions
python scripts/run_notebooks.py 01 02            # those whose names begin so
python scripts/run_notebooks.py --out FOLDER     # and keep what they gave, as notebooks with outputs
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).resolve().parent.parent / "docs" / "notebooks"


def run(path: Path, out: Path | None) -> str | None:
    """Run a notebook; None, or what was wrong."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            return str(error)[-1500:]
        finally:
            if out is not None:
                target = out / path.relative_to(NOTEBOOKS)
                target.parent.mkdir(parents=True, exist_ok=True)
                nbformat.write(notebook, target)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of names; default: all")
    parser.add_argument("--out", type=Path, help="folder for the notebooks with outputs")
    arguments = parser.parse_args()
    wanted = tuple(arguments.names) or ("",)
    failed, whole = 0, time.perf_counter()
    for path in sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if path.name.startswith(wanted)):
        began = time.perf_counter()
        wrong = run(path, arguments.out)
        failed += wrong is not None
        told = "" if wrong is None else f"  FAILED\n{wrong}"
        print(f"{time.perf_counter() - began:6.1f} s  {path.relative_to(NOTEBOOKS)}{told}", flush=True)
    print(f"{time.perf_counter() - whole:6.1f} s  together")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
