"""closed_loop.json and closed_loop.md: one section per benchmark, each written by its own script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from machine import listed

__all__ = ["TABLE", "write_section"]

TABLE = Path(__file__).with_name("closed_loop.json")


def write_section(name: str, section: dict[str, Any]) -> None:
    """Replace one section of closed_loop.json, and make closed_loop.md of all that is there."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[name] = section
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    lines = ["# Speed of the closed loop"]
    for key, draw in SECTIONS.items():
        if key in table:
            lines += ["", *draw(table[key])]
    lines += ["", *PEER]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n")


def _origin(section: dict[str, Any]) -> list[str]:
    made_by = f"Machine: {section['machine']}. Versions: {listed(section['versions'])}."
    return ["", f"Command: `{section['command']}`", "", made_by, ""]


def _rows(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _figure(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _loop(section: dict[str, Any]) -> list[str]:
    rows = section["rows"]
    lines = ["## Forward: microseconds per step", *_origin(section), *section["text"]]
    for network, size in section["networks"].items():
        for mode in dict.fromkeys(r["mode"] for r in rows):
            here = [r for r in rows if (r["network"], r["mode"]) == (network, mode)]
            if here:
                lines += ["", f"### {network}, {mode} ({size})", "", *_loop_rows(here)]
    return lines


def _loop_rows(rows: list[dict[str, Any]]) -> list[str]:
    header = ["path", "µs per step", "lowest–highest", "decisions per second", "time relative to `compiled`"]
    return _rows(
        header,
        (
            [
                f"{r['path']} ({r['precision']})",
                _figure(r["us_per_step"]),
                f"{_figure(r['us_per_step_min'])}–{_figure(r['us_per_step_max'])}",
                _figure(r["decisions_per_second"]),
                _figure(r["relative_to_compiled"]) if "relative_to_compiled" in r else "",
            ]
            for r in rows
        ),
    )


def _learning(section: dict[str, Any]) -> list[str]:
    lines = ["## Forward and learning: microseconds per step", *_origin(section), *section["text"], ""]
    header = ["network", "mode", "rule", "path", "µs per step", "lowest–highest", "time relative to the C loop"]
    return lines + _rows(
        header,
        (
            [
                *(r[key] for key in ("network", "mode", "rule", "path")),
                _figure(r["us_per_step"]),
                f"{_figure(r['us_per_step_min'])}–{_figure(r['us_per_step_max'])}",
                _figure(r["relative_to_c_loop"]),
            ]
            for r in section["rows"]
        ),
    )


def _events(section: dict[str, Any]) -> list[str]:
    lines = ["## Without a time step: microseconds of a decision", *_origin(section), *section["text"], ""]
    return lines + _rows(
        ["network", "path", "µs, lowest", "µs, median", "time relative to the C event loop"],
        (
            [r["network"], r["path"], _figure(r["us"]), _figure(r["us_median"]), _figure(r["relative_to_c"])]
            for r in section["rows"]
        ),
    )


def _training(section: dict[str, Any]) -> list[str]:
    lines = ["## Training on CartPole-v1: start and speed", *_origin(section), *section["text"], ""]
    return lines + _rows(
        ["what", "median", "lowest–highest"],
        ([r["what"], _figure(r["median"]), f"{_figure(r['lowest'])}–{_figure(r['highest'])}"] for r in section["rows"]),
    )


#: What became of a peer, `pip install bindsnet torch==2.13.0`.
PEER = [
    "## A peer",
    "",
    "BindsNET's Gymnasium pipeline is missing: `pip install bindsnet torch==2.13.0` installs bindsnet 0.2.7 (0.3.4 "
    "requires torch >= 2.14) and torchvision 0.28.0, and `import bindsnet` then fails with `RuntimeError: operator "
    "torchvision::nms does not exist`.",
]

#: Section: how it is written, in the order of the file.
SECTIONS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "loop": _loop,
    "learning": _learning,
    "events": _events,
    "training": _training,
}
