"""Make docs/demo/rwta.html: the event-by-event network in WebAssembly, learning CartPole in one static file.

python scripts/make_page.py            # needs emcc: apt-get install -y emscripten
python scripts/make_page.py --check    # only whether the page belongs to its sources
python scripts/make_page.py --picture  # docs/pictures/page.png of the page that is there; needs chromium and playwright

The page holds the C++ of the package itself, compiled, and the numbers of the preset. A digest of all that it is made
of stands in it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import rwta_sim

ROOT = Path(__file__).resolve().parent.parent
WEB, PAGE = ROOT / "web", ROOT / "docs" / "demo" / "rwta.html"
#: Compiled into the page, from the package.
NATIVE = (
    "circuit/events/advance.cpp",
    "learning/critics/linear_td.cpp",
    "learning/rules/post.cpp",
    "learning/outer_update.cpp",
    "learning/one_call.cpp",
)
#: What stands in the page as it is.
PARTS = ("page.css", "network.js", "drawing.js", "page.js")
#: As native functions are compiled: arithmetic as it is written.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-exceptions",
    "-fno-rtti",
    "-msimd128",
    "--no-entry",
)
LINK = ("-sSTANDALONE_WASM", "-sINITIAL_MEMORY=4194304", "-sTOTAL_STACK=524288")
#: Of the tables for normal numbers.
_LAYERS = 256
_DIGEST = re.compile(r'<meta name="digest" content="([0-9a-f]{64})">')


def preset() -> rwta_sim.Experiment:
    """The experiment that the page shows."""
    return rwta_sim.preset("cartpole").changed({"engine": {"name": "events"}})


def numbers() -> dict[str, float | int | tuple[float, ...]]:
    """What the page's C++ takes from the preset, by its names there.

    Raises
    ------
    SystemExit
        If the preset is of a kind that it has not.
    """
    of = preset()
    network, decision, learning, critic, encoder = of.network, of.decision, of.learning, of.critic, of.encoder
    kinds = {
        "encoder.kind": (encoder.kind, "gaussian"),
        "encoder.fit": (encoder.fit, 0),
        "network.kernel.kind": (network.kernel.kind, "exponential"),
        "network.blocks": (network.blocks, ("sh", "ha")),
        "network.random_blocks": (network.random_blocks, ("sh",)),
        "network.inputs": (network.inputs, "spikes"),
        "network.symmetric": (network.symmetric, False),
        "network.precision": (network.precision, "double"),
        "decision.decoder": (decision.decoder, "last_spike"),
        "decision.readout": (decision.readout, "spikes"),
        "decision.clear": (decision.clear, "decision"),
        "decision.gain": (decision.gain, 1.0),
        "decision.race": (decision.race, None),
        "learning.rule.kind": (learning.rule.kind, "feedback"),
        "learning.modulation.kind": (learning.modulation.kind, "td_error"),
        "learning.optimiser.kind": (learning.optimiser.kind, "rms"),
        "learning.biases": (learning.biases, "all"),
        "critic.kind": (critic.kind, "fourier"),
        "critic.coupled": (critic.coupled, True),
        "critic.start": (critic.start, 0.0),
    }
    for name, (value, expected) in kinds.items():
        if value != expected:
            sys.exit(f"{name} = {value!r} in the preset, and web/rwta.cpp knows {expected!r}: teach it, or change that")
    return {
        "COPIES": encoder.copies,
        "CELLS": encoder.cells,
        "WIDTH_OF_CURVES": float(encoder.width),
        "LOW": encoder.low,
        "HIGH": encoder.high,
        "SIZE": network.hidden_size,
        "WEIGHT_SD": float(network.weight_sd),
        "TAU": float(network.kernel.tau),
        "RHO_HAT": float(network.circuit_rate),
        "STEPS": decision.steps,
        "TIME": decision.steps * float(network.dt),
        "DEPTH": learning.rule.depth,
        "RMS_DECAY": learning.optimiser.decay,
        "RMS_EPSILON": learning.optimiser.epsilon,
        "ORDER": critic.order,
        "GAMMA": critic.gamma,
        "LAMBDA": critic.lam,
        "CRITIC_RATE": critic.rate,
    }


def shown() -> dict[str, float | int]:
    """What the page's script takes from the preset."""
    of = preset()
    network, learning, training = of.network, of.learning, of.training
    return {
        "circuits": network.hidden_circuits,
        "size": network.hidden_size,
        "inputs": 4 * of.encoder.copies * of.encoder.cells,
        "tau": float(network.kernel.tau),
        "rho": float(network.circuit_rate),
        "time": of.decision.steps * float(network.dt),
        "rate": learning.rate,
        "finalRate": learning.final_rate,
        "entropy": learning.entropy,
        "finalEntropy": learning.final_entropy,
        "episodes": training.episodes,
        "every": training.validate_every,
        "validations": training.validation_episodes,
        "target": training.target,
        "streak": training.target_streak,
    }


def preset_header(values: Mapping[str, float | int | tuple[float, ...]]) -> str:
    lines = ["#pragma once"]
    for name, value in values.items():
        if isinstance(value, tuple):
            lines.append(f"const double {name}[] = {{{', '.join(map(repr, value))}}};")
        else:
            lines.append(f"const {'int' if isinstance(value, int) else 'double'} {name} = {value!r};")
    return "\n".join(lines) + "\n"


def ziggurat_header() -> str:
    """NumPy's tables for normal numbers (Marsaglia and Tsang 2000), asked out of NumPy.

    A number below INSIDE of its layer, times WIDTH, is the answer to a single draw of 64 bits: what NumPy answers to 1
    is WIDTH, and INSIDE is where one draw is no longer enough.
    """
    width = [_answer(layer, 1)[0] for layer in range(_LAYERS)]
    inside = [
        bisect_left(range(1 << 52), True, key=lambda n, at=layer: _answer(at, n)[1] > 1) for layer in range(_LAYERS)
    ]
    edges = [0.0, *(w * 2.0**52 for w in width[1:])]
    tables = {
        "double WIDTH": map(repr, width),
        "uint64_t INSIDE": (f"{n}ull" for n in inside),
        "double HEIGHT": (repr(math.exp(-0.5 * x * x)) for x in edges),
    }
    lines = ["#pragma once", "#include <cstdint>", f"const double EDGE = {edges[-1]!r};"]
    return "\n".join([*lines, *(f"const {name}[] = {{{', '.join(t)}}};" for name, t in tables.items())]) + "\n"


def _answer(layer: int, number: int) -> tuple[float, int]:
    """NumPy's normal number for a draw of so many bits, and how many draws it took."""
    bits = np.random.SFC64(0)
    state = bits.state
    state["state"]["state"][:] = [number << 9 | layer, 0, 0, 0]  # the first draw is their sum, and the last one counts
    bits.state = state
    normal = float(np.random.Generator(bits).standard_normal())
    return normal, int(bits.state["state"]["state"][3])


def sources() -> dict[str, bytes]:
    """All that the page is made of, by name."""
    files = [ROOT / "rwta_sim" / name for name in NATIVE] + sorted(p for p in WEB.iterdir() if p.is_file())
    found = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}
    made = {"preset.h": preset_header(numbers()), "shown": json.dumps(shown())}
    return {**found, "flags": " ".join((*FLAGS, *LINK)).encode(), **{name: t.encode() for name, t in made.items()}}


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 of sources, names and lengths included."""
    told = hashlib.sha256()
    for name, content in sorted(files.items()):
        told.update(f"{name} {len(content)}\n".encode() + content)
    return told.hexdigest()


def written_digest(text: str) -> str | None:
    """The digest that stands in a page."""
    found = _DIGEST.search(text)
    return found[1] if found else None


def compiled(files: Mapping[str, bytes]) -> bytes:
    """web/rwta.cpp as WebAssembly."""
    emcc = shutil.which("emcc")
    if emcc is None:
        sys.exit("there is no emcc, which makes WebAssembly: apt-get install -y emscripten, then make page")
    names = sorted(set(re.findall(r"^[\w ]+?[ *](rwta_\w+)\(", files["web/rwta.cpp"].decode(), re.MULTILINE)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preset.h").write_bytes(files["preset.h"])
        (Path(folder) / "ziggurat.h").write_text(ziggurat_header())
        out = Path(folder) / "rwta.wasm"
        exported = "-sEXPORTED_FUNCTIONS=" + ",".join(f"_{name}" for name in names)
        command = [emcc, *FLAGS, *LINK, exported, f"-I{folder}", str(WEB / "rwta.cpp"), "-o", str(out)]
        if subprocess.run(command, check=False).returncode:
            sys.exit("emcc failed, see above")
        return out.read_bytes()


def page(files: Mapping[str, bytes], module: bytes) -> str:
    """The HTML file."""
    parts = {
        "digest": digest(files),
        "shown": json.dumps(shown()),
        "module": base64.b64encode(module).decode(),
        **{name: files[f"web/{name}"].decode() for name in PARTS},
    }
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: parts[found[1]], files["web/page.html"].decode())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def picture(path: Path) -> None:
    """The page once it has learned."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        tab = chromium.new_page(viewport={"width": 1280, "height": 860})
        tab.goto(PAGE.as_uri())
        tab.click("#start")
        tab.wait_for_selector("#status:not([data-learned=''])", timeout=120_000)
        tab.wait_for_selector("#status[data-phase=training]")
        tab.click("#start")
        tab.screenshot(path=path)
        chromium.close()
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(64)
    small.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell whether the page belongs to its sources")
    parser.add_argument("--picture", action="store_true", help="only make its picture for the documentation")
    arguments = parser.parse_args()
    if arguments.picture:
        picture(ROOT / "docs" / "pictures" / "page.png")
        return
    files = sources()
    if arguments.check:
        stands = PAGE.exists() and written_digest(PAGE.read_text(encoding="utf-8")) == digest(files)
        sys.exit(None if stands else f"{PAGE.relative_to(ROOT)} is not of these sources: make page")
    write(PAGE, page(files, compiled(files)))
    print(f"{PAGE.relative_to(ROOT)}: {PAGE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
