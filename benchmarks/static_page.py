"""How soon docs/demo/rwta.html learns in a browser, and where its trainings leave the package's; writes static_page.md.

    python benchmarks/static_page.py               # needs chromium and playwright, node, gcc and emscripten

In Chromium without a window each seed is started at full speed and left alone until it has been evaluated. Under node
the same seeds are trained for as many episodes as `rwta-sim train cartpole --engine events` takes, and returns and
validations compared: with this machine's exp, log, sin and cos in the package's process, and with those of the page's C
library (musl), which the loader puts in their place.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "demo" / "rwta.html"
MUSL = Path("/usr/share/emscripten/system/lib/libc/musl")
#: Files of musl that have what the package calls.
_FUNCTIONS = "exp exp_data log log_data sin cos sincos __sin __cos __rem_pio2 __rem_pio2_large log1p scalbn floor"
_ERRORS = "divzero invalid oflow uflow xflow"


def can_build_musl() -> bool:
    return shutil.which("gcc") is not None and MUSL.exists()


def musl(folder: Path) -> Path:
    """A library for LD_PRELOAD with the page's exp, log, sin and cos, from the sources that emscripten brings."""
    source, library = MUSL / "src" / "math", folder / "musl.so"
    files = [f"{name}.c" for name in (*_FUNCTIONS.split(), *(f"__math_{kind}" for kind in _ERRORS.split()))]
    included = [f"-I{MUSL / name}" for name in ("src/internal", "src/include", "arch/x86_64", "arch/generic")]
    headers = ["-nostdinc", *included, "-isystem", str(MUSL.parents[3] / "cache" / "sysroot" / "include")]
    flags = ["-shared", "-fPIC", "-O2", "-std=c99", "-fno-builtin", "-ffp-contract=off", "-frounding-math", "-w"]
    command = ["gcc", *flags, "-Dhidden=", "-Wl,-Bsymbolic", *headers, *files, "-o", str(library)]
    subprocess.run(command, cwd=source, check=True)
    return library


def in_node(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the network of the page makes of these jobs; see tests/page_in_node.mjs."""
    script = HERE.parent / "tests" / "page_in_node.mjs"
    done = subprocess.run(
        ["node", str(script), str(PAGE)], input=json.dumps(jobs), capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def in_browser(seed: int) -> dict[str, str]:
    """What the page says of itself once it has been evaluated."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(PAGE.as_uri())
        page.wait_for_selector("body[data-ready]")
        page.fill("#seed", str(seed))
        page.press("#seed", "Enter")
        page.click("#start")
        page.wait_for_selector("#status[data-phase=after]", timeout=600_000)
        told = page.evaluate("({...document.getElementById('status').dataset, when: view.learned && view.learned[0]})")
        chromium.close()
    return dict(told)


def natively(seed: int, folder: Path, library: Path | None) -> tuple[list[float], list[float]]:
    """Returns and validations of a training by the package."""
    run = folder / f"{seed}-{library is not None}"
    command = ["-m", "rwta_sim", "train", "cartpole", "--engine", "events", "--seed", str(seed), "--no-figures"]
    environment = {**os.environ, **ONE_THREAD, **({"LD_PRELOAD": str(library)} if library else {})}
    subprocess.run([sys.executable, *command, "--run", str(run)], env=environment, check=True, capture_output=True)
    with open(run / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    return [float(row["return"]) for row in rows], [float(v) for row in rows if (v := row["validation_return"])]


def first_difference(seed: int, folder: Path, library: Path | None) -> tuple[int, int | None]:
    """Episodes of the package's training, and the first whose return the page has not."""
    returns, validations = natively(seed, folder, library)
    (page,) = in_node([{"kind": "train", "seed": seed, "episodes": len(returns), "keep": False}])
    found = next(
        (k + 1 for k, pair in enumerate(zip(returns, page["returns"], strict=True)) if pair[0] != pair[1]), None
    )
    if found is None:
        validated = [value for _, value in page["validations"]]
        assert validated == validations[: len(validated)], "the same returns, but other validations"
    return len(returns), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="that learn in the browser, from 0 on")
    parser.add_argument("--compared", type=int, default=3, help="of them from 1 on compared with the package")
    parser.add_argument("--load", default="not said", help="what else the machine was doing, for the table")
    arguments = parser.parse_args()
    if not can_build_musl() or None in map(shutil.which, ("chromium", "node")):
        parser.error("needs chromium, node, gcc and emscripten: apt-get install -y chromium nodejs gcc emscripten")
    text = [
        "# The page without any installation",
        "",
        f"Command: `python benchmarks/static_page.py --seeds {arguments.seeds} --compared {arguments.compared}`",
        "",
        f"Machine: {machine()}; load: {arguments.load}. Versions: {listed(versions())}.",
        "",
        "## How soon it learns",
        "",
        "Chromium without a window, drawing included. A test is 20 episodes without learning, read from spikes, every",
        "50 episodes; the evaluation 100 episodes with the weights of the best test.",
        "",
        "| seed | s to a test ≥ 475 | episodes | s to the end | decisions | evaluation |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for seed in range(arguments.seeds):
        told = in_browser(seed)
        learned = f"{float(told['learned']):.1f} | {told['when']}" if told["learned"] else "never | –"
        rest = f"{float(told['seconds']):.1f} | {int(told['decisions']):,} | {float(told['evaluation']):.1f}"
        text.append(f"| {seed} | {learned} | {rest} |")
        print(text[-1], flush=True)
    text += [
        "",
        "## The same as the package's training",
        "",
        "The first episode of `rwta-sim train cartpole --engine events` whose return the page has not; where there is",
        "none, validations are the same, too.",
        "",
        "| seed | exp, log, sin, cos of the package | episodes | first other return |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(1, arguments.compared + 1):
            for whose, library in (("this machine's", None), ("the page's", musl(folder))):
                episodes, first = first_difference(seed, folder, library)
                text.append(f"| {seed} | {whose} | {episodes} | {first or 'none'} |")
                print(text[-1], flush=True)
    (HERE / "static_page.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
