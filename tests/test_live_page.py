"""The page of `rwta-sim live` in Chromium: start, learn, play, turn, lesion, record; and how it looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from browsers import browser, listened

from rwta_sim.lab.recordings import Recording

pytestmark = pytest.mark.nightly
#: Seconds that anything may take on a busy machine.
_PATIENCE = 90.0


@pytest.fixture
def address(tmp_path):
    """Of the page of a network that learns CartPole; Ctrl-C ends it in the end, and leaves nothing broken."""
    pytest.importorskip("tornado")
    code = "from rwta_sim.cli import main; main()"
    line = ["live", "cartpole", "--engine", "events", "--port", "0", "--no-browser", "--recordings", str(tmp_path)]
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process.stdout.readline().split(" is at ")[1].split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0 and said.endswith("ended\n") and "Traceback" not in complaints


def number_of(page, name):
    return page.evaluate(f"Number(document.body.dataset.{name} || 0)")


def until(page, condition):
    end = time.monotonic() + _PATIENCE
    while not page.evaluate(f"Boolean({condition})"):  # the page forbids itself what `wait_for_function` does
        assert time.monotonic() < end, (condition, page.inner_text("#standing"), page.inner_text("#messages"))
        page.wait_for_timeout(50)


def said(page, words):
    until(page, f"document.getElementById('messages').innerText.includes({words!r})")


def test_the_page_in_a_browser(address, tmp_path):
    start, how = browser()
    with start as playwright:
        chromium = playwright.chromium.launch(**how)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        second = chromium.new_page(viewport={"width": 420, "height": 900})
        told, asked = listened(page, second)
        for one in (page, second):
            one.on("websocket", lambda socket: asked.append(socket.url))
        page.goto(address)
        # It starts, and learns: five of its last ten episodes are longer than the longest of its first five.
        until(page, "document.body.dataset.episodes >= 60")
        totals = page.evaluate("episodes.map((episode) => episode.total)")
        assert sum(total > max(totals[:5]) for total in totals[-10:]) >= 5, totals
        assert page.inner_text("#standing").startswith("running")
        # Everything is drawn.
        for name in ("picture", "raster", "circuits", "factors", "returns", "policy"):
            inked = page.evaluate(
                "(id) => { const c = document.getElementById(id), "
                "d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
                "return d.some((x, k) => k % 4 === 3 ? false : x > 0 && x < 255); }",
                name,
            )
            assert inked, name
        # A second, narrow page shows the same; nothing is wider than it.
        second.goto(address)
        until(second, "document.body.dataset.episodes >= 60")
        assert second.evaluate("document.documentElement.scrollWidth") <= 420
        # Paused, both stand at the same decision; loaded again, too; a step is one decision.
        second.click("#pause")
        until(page, "document.getElementById('pause').textContent === 'Go on'")
        until(second, "document.getElementById('pause').textContent === 'Go on'")
        stands = page.evaluate("[state.episode, state.decision]")
        second.reload()
        until(second, "document.getElementById('pause').textContent === 'Go on'")
        assert second.evaluate("[state.episode, state.decision]") == stands
        before = number_of(page, "decisions")
        page.keyboard.press(".")
        until(page, f"document.body.dataset.decisions == {before + 1}")
        # A key held is the action that is carried out.
        page.keyboard.down("ArrowRight")
        until(page, "document.querySelector('#hand button.on')?.dataset.action === '1'")
        page.keyboard.press(".")
        until(page, f"document.body.dataset.decisions == {before + 2}")
        assert page.evaluate("decisions[decisions.length - 1].hand") == 1
        page.keyboard.up("ArrowRight")
        until(page, "!document.querySelector('#hand button.on')")
        page.click("#pause")
        # A dial beyond its range is refused, within it is turned; one of a new network says so.
        number = page.locator("[data-key='learning.rate'] input[type=number]")
        number.fill("7")
        number.press("Enter")
        said(page, "learning.rate = 7.0: expected a number from 1e-05 to 0.3")
        number.fill("0.002")
        number.press("Enter")
        said(page, "learning rate = 0.002, at once")
        page.select_option("[data-key='network.kernel'] select", "rectangular")
        said(page, "kernel = rectangular: a new network is built")
        until(page, "state.state === 'running' && state.dials['network.kernel'] === 'rectangular'")
        # Lesions, and healing.
        page.fill("#target", "circuits:0.5")
        page.click("#perturb button")
        until(page, "document.getElementById('perturbed').textContent === 'Now: lesion circuits:0.5.'")
        page.fill("#target", "nothing")
        page.click("#perturb button")
        said(page, "lesion 'nothing': expected a block")
        page.click("#heal")
        said(page, "healed")
        # A recording, of the package's own format.
        page.click("#record")
        until(page, "document.getElementById('record').textContent === 'Stop recording'")
        decisions = number_of(page, "decisions")
        until(page, f"document.body.dataset.decisions > {decisions + 50}")
        page.click("#record")
        said(page, "recorded: ")
        # How it looks.
        page.screenshot(path=tmp_path / "wide.png", full_page=True)
        second.screenshot(path=tmp_path / "narrow.png", full_page=True)
        chromium.close()
    assert not told, told
    assert asked and all("//127.0.0.1:" in url or url.startswith(("data:", "blob:")) for url in asked), asked
    (found,) = tmp_path.glob("*.zarr")
    recording = Recording.open(found)
    assert recording.complete and len(recording) > 50 and set(recording.populations) == {"inputs", "hidden", "action"}
