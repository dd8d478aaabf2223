"""Run the notebooks of docs/notebooks, each in a kernel and a folder of its own, and print what each took.

Told are seconds of processor time, of the kernel and all that it started, and seconds by the clock.

python scripts/run_notebooks.py                  # all, and their solutions
python scripts/run_notebooks.py 01 02            # those whose names begin so
python scripts/run_notebooks.py --out FOLDER     # and keep what they gave, as notebooks with outputs
"""

from __future__ import annotations

import argparse
import resource
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


def spent() -> tuple[float, float]:
    """Seconds of processor time of all kernels that have ended, and by the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, time.perf_counter()


def told(began: tuple[float, float], what: object) -> None:
    processor, clock = (now - then for now, then in zip(spent(), began, strict=True))
    print(f"{processor:6.1f} s of processor, {clock:6.1f} s  {what}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of names; default: all")
    parser.add_argument("--out", type=Path, help="folder for the notebooks with outputs")
    arguments = parser.parse_args()
    wanted = tuple(arguments.names) or ("",)
    failed, whole = 0, spent()
    for path in sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if path.name.startswith(wanted)):
        began = spent()
        wrong = run(path, arguments.out)
        failed += wrong is not None
        told(began, path.relative_to(NOTEBOOKS) if wrong is None else f"{path.relative_to(NOTEBOOKS)}  FAILED\n{wrong}")
    told(whole, "together")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
