"""Chromium without a window, for tests that look at a page."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

#: What Chromium would do by itself, and a container does not allow.
_QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]


def browser() -> tuple[Any, dict[str, Any]]:
    """What starts Playwright, and how it launches Chromium; or a skip."""
    playwright = pytest.importorskip("playwright.sync_api")
    where = shutil.which("chromium")
    if where is None:
        pytest.skip("there is no chromium")
    return playwright.sync_playwright(), {"executable_path": where, "args": _QUIET}


def listened(*pages: Any, kinds: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """What pages tell the console (of these kinds; default: all), or throw, from now on; and what they ask for."""
    told: list[str] = []
    asked: list[str] = []
    for page in pages:
        page.on("console", lambda message: told.extend([message.text] * (not kinds or message.type in kinds)))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
    return told, asked
