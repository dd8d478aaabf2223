"""Make the documentation site: build/html/index.html.

python scripts/make_docs.py              # runs the notebooks, too; what did not change since is taken from a cache
python scripts/make_docs.py --no-run     # without their figures, in a minute

README.md, docs/ and the tables of benchmarks/ are put into build/site as they stand in the repository, so that the
links that work there work on the site; beside them docs/site/, whose pages have links of the site, and pages that are
made from the code. Warnings are errors: a link that leads nowhere, a notebook that fails.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from api_pages import api_pages
from settings_page import settings_page

ROOT = Path(__file__).resolve().parent.parent
SITE, HTML = ROOT / "build" / "site", ROOT / "build" / "html"


def assemble() -> None:
    """Put the sources of the site into build/site, and nothing else."""
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SITE / "docs", ignore=shutil.ignore_patterns("site", ".ipynb_checkpoints"))
    (SITE / "benchmarks").mkdir()
    benchmarks = ROOT / "benchmarks"
    for page in (ROOT / "README.md", *benchmarks.glob("*.md"), *benchmarks.glob("*.toml")):
        shutil.copy2(page, SITE / page.relative_to(ROOT))
    for page in (ROOT / "docs" / "site").glob("*.md"):
        shutil.copy2(page, SITE / page.name)
    (SITE / "settings.md").write_text(settings_page(), encoding="utf-8")
    (SITE / "api").mkdir()
    for name, text in api_pages().items():
        (SITE / "api" / name).write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-run", action="store_true", help="show notebooks without running them")
    arguments = parser.parse_args()
    assemble()
    cache = ROOT / "build" / "notebooks"
    settings = {"nb_execution_cache_path": cache, **({"nb_execution_mode": "off"} if arguments.no_run else {})}
    options = [f"--define={name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", *options]
    places = ["--conf-dir", ROOT / "docs" / "site", "--doctree-dir", ROOT / "build" / "doctrees", SITE, HTML]
    sys.exit(subprocess.run([*command, *map(str, places)], check=False).returncode)


if __name__ == "__main__":
    main()
