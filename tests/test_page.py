"""docs/demo/rwta.html: the page belongs to its sources, and its network does what the package's own engine does."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import static_page
from browsers import browser, listened
from page_natively import train
from test_report import Page

import rwta_sim
from rwta_sim.agents.rwta.perturb import perturb
from rwta_sim.lab.agent import Agent
from rwta_sim.seeding import Purpose, episode_seeds

sys.path.append(str(Path(__file__).parent.parent / "scripts"))
import make_page

SEEDS, EPISODES, DRIVES = (1, 2, 3), 12, 12
#: Kernels: settings of the package; tau, rise and duration (s) for the page; circuit rate (Hz).
KERNELS = {
    "exponential": ({"kind": "exponential", "tau": "30 ms"}, (0.03, 0.0, 0.0), 100),
    "slow circuits": ({"kind": "exponential", "tau": "30 ms"}, (0.03, 0.0, 0.0), 40),
    "double": ({"kind": "double_exponential", "tau": "30 ms", "tau_rise": "10 ms"}, (0.03, 0.01, 0.0), 100),
    "rectangular": ({"kind": "rectangular", "duration": "30 ms"}, (0.03, 0.0, 0.03), 100),
}


def in_node(jobs):
    """What the network of the page makes of these jobs; see page_in_node.mjs."""
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    return static_page.in_node(jobs)


def answer(seed, name, **changes):
    """A job with one of the kernels, and random weights onto the actions, which a new network has not."""
    rng, (_, kernel, rate) = np.random.default_rng(seed), KERNELS[name]
    ha, drives = rng.normal(0, 1, 2 * 64), rng.random((DRIVES, 64))
    told = {"ha": ha.tolist(), "drives": drives.tolist(), "kernel": [*kernel, rate]}
    return {"kind": "answer", "seed": seed, **told, **changes}


@pytest.fixture(scope="module")
def found():
    """What came of all jobs, by name: the module is started once."""
    jobs = {f"train {seed}": {"kind": "train", "seed": seed, "episodes": EPISODES} for seed in SEEDS}
    jobs["16 circuits"] = {"kind": "train", "seed": 1, "episodes": EPISODES, "circuits": 16}
    jobs["against"] = {"kind": "train", "seed": 1, "episodes": 3, "against": True}
    jobs |= {f"{name} {seed}": answer(seed, name) for name in KERNELS for seed in SEEDS}
    jobs |= {f"cut {cut}": answer(1, "exponential", cut=cut) for cut in (0, 1)}
    jobs["stimulated"] = answer(1, "exponential", stimulated=10)
    return dict(zip(jobs, in_node(list(jobs.values())), strict=True))


def native(seed, name="exponential"):
    """The package's network of the same seed and kernel, at the beginning of its first episode."""
    kernel, _, rate = KERNELS[name]
    changes = {"engine": {"name": "events"}, "seed": seed, "network.kernel": kernel, "network.rho_hat": f"{rate} Hz"}
    with Agent(rwta_sim.preset("cartpole").changed(changes)) as agent:
        network = agent.system.actor.weights
    network.weights["ha"][...] = np.reshape(answer(seed, name)["ha"], (-1, 2))
    network.seed(episode_seeds(seed, Purpose.TRAINING, 0).spikes)
    return network


def spikes(network, drives):
    """Of each drive, from nothing: times and numbers of inputs and neurons."""
    told = []
    for drive in np.array(drives):
        network.decide(drive, 0.1, True, 0, 100)
        told.append(dict(zip(("inputT", "inputI", "t", "i"), network.spikes(), strict=True)))
    return told


def assert_same_spikes(page, expected):
    """The same neurons; times but for the last bits of exp and log, which machines round differently."""
    assert len(page) == len(expected)
    for one, other in zip(page, expected, strict=True):
        for numbers, times in (("i", "t"), ("inputI", "inputT")):
            np.testing.assert_array_equal(one[numbers], other[numbers])
            np.testing.assert_allclose(one[times], other[times], rtol=0, atol=1e-12)


def test_belongs_to_its_sources():
    text = make_page.PAGE.read_text(encoding="utf-8")
    assert make_page.written_digest(text) == make_page.digest(make_page.sources()), "the page is older: make page"
    for name in make_page.PARTS:
        assert (make_page.WEB / name).read_text(encoding="utf-8") in text


def test_needs_nothing_else():
    text = make_page.PAGE.read_text(encoding="utf-8")
    page = Page(text)
    assert len(text.encode()) < 2 * 1024 * 1024 and "default-src 'none'" in text
    assert page.refers == ["data:,"] and not re.search(r"https?:|fetch\(|XMLHttp|import\(", text)


def test_another_preset_is_refused(monkeypatch):
    changed = make_page.preset().changed({"learning.rule": {"kind": "last_step"}})
    monkeypatch.setattr(make_page, "preset", lambda: changed)
    with pytest.raises(SystemExit, match=r"learning\.rule\.kind = 'last_step' in the preset"):
        make_page.sources()


@pytest.mark.parametrize(("seed", "circuits"), [*((seed, 8) for seed in SEEDS), (1, 16)])
def test_same_seed_same_spikes(found, seed, circuits):
    """A training from its first episode: the same initial weights, bit for bit, and the same spikes, states, actions
    and returns; weights to 1e-10, for rounding adds up."""
    page = found[f"train {seed}" if circuits == 8 else f"{circuits} circuits"]
    expected = train(seed, EPISODES, circuits)
    assert page["initial"] == expected["initial"] and page["returns"] == expected["returns"]
    assert_same_spikes(page["decisions"], expected["decisions"])
    for one, other in zip(page["decisions"], expected["decisions"], strict=True):
        assert one["action"] == other["action"]
        np.testing.assert_allclose(one["state"], other["state"], rtol=0, atol=1e-12)
    for name, learned in expected["learned"].items():
        np.testing.assert_allclose(page["learned"][name], learned, rtol=0, atol=1e-10)
        assert np.abs(np.array(learned) - expected["initial"][name]).max() > 1e-3, name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel(found, name, seed):
    network = native(seed, name)
    page = found[f"{name} {seed}"]["spikes"]
    assert_same_spikes(page, spikes(network, answer(seed, name)["drives"]))
    assert all(len(decision["i"]) > 10 for decision in page)


def test_a_push_is_a_force(found):
    """20 N against its own 10 are Gymnasium's other action: the same states from there."""
    page, env = found["against"], gym.make("CartPole-v1").unwrapped
    for episode in range(3):
        decisions = [d for d in page["decisions"] if d["episode"] == episode]
        env.reset(seed=episode_seeds(1, Purpose.TRAINING, episode).environment)
        assert decisions[0]["state"] == env.state.tolist()
        for k, decision in enumerate(decisions):
            np.testing.assert_allclose(decision["state"], env.state, rtol=0, atol=1e-12)
            _, _, fell, _, _ = env.step(1 - decision["action"])
            assert fell == (k == len(decisions) - 1)


@pytest.mark.parametrize(("cut", "targets"), [(0, ["ha"]), (1, [f"circuit:{k}" for k in range(4)])])
def test_lesions(found, cut, targets):
    """Those of the package; what is cut does not learn, and has its weights again in the end."""
    network, page = native(1), found[f"cut {cut}"]
    whole = {name: w.copy() for name, w in network.weights.items()}
    for target in targets:
        perturb(network, "lesion", target, np.random.default_rng(0))
    for name, w in network.weights.items():
        damaged, learned, healed = (np.reshape(page[when][name], w.shape) for when in ("damaged", "learned", "healed"))
        np.testing.assert_array_equal(damaged, w)
        np.testing.assert_array_equal(np.reshape(page["taken"][name], w.shape), learned)  # kept, and taken again
        gone = w == 0
        assert not learned[gone].any() and ((name == "sh" and cut == 0) or gone.any())
        np.testing.assert_array_equal(healed[gone], whole[name][gone])
        np.testing.assert_array_equal(healed[~gone], learned[~gone])
    assert (np.array(page["learned"]["b"]) != page["damaged"]["b"]).any()


def test_stimulation(found):
    """A current into one neuron, as into the package's; it wins most of its circuit's spikes."""
    network = native(1)
    network.arrays.current[10] = 5.0
    page = found["stimulated"]["spikes"]
    assert_same_spikes(page, spikes(network, answer(1, "exponential")["drives"]))
    of_circuit = [i for decision in page for i in decision["i"] if 8 <= i < 16]
    assert np.mean(np.array(of_circuit) == 10) > 0.5


@pytest.mark.nightly
def test_bit_for_bit(tmp_path):
    """With the exp, log, sin and cos of the page's C library (musl) in place of this machine's everything is the same,
    spikes, states and learned weights, to the last bit."""
    if not static_page.can_build_musl():
        pytest.skip("there is no gcc, or no emscripten with the sources of musl")
    library = static_page.musl(tmp_path)
    script, episodes = Path(__file__).with_name("page_natively.py"), 60
    pages = in_node([{"kind": "train", "seed": seed, "episodes": episodes} for seed in SEEDS])
    for seed, page in zip(SEEDS, pages, strict=True):
        command = [sys.executable, str(script), str(seed), str(episodes)]
        told = subprocess.run(
            command, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True, check=True
        )
        expected = json.loads(told.stdout)
        for name, values in expected.items():
            assert page[name] == values, (seed, name)


@pytest.mark.nightly
def test_in_a_browser(tmp_path):
    """It learns CartPole within a minute; what one can do to it does something; no error in the console, no request."""
    start, how = browser()
    with start as playwright:
        chromium = playwright.chromium.launch(**how)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        told, asked = listened(page)
        page.goto(make_page.PAGE.as_uri())
        page.wait_for_selector("body[data-ready]")
        status = "document.getElementById('status').dataset"
        page.click("#step")
        assert page.evaluate(f"{status}.decisions") == "1"
        page.click("#start")
        page.wait_for_selector("#status:not([data-learned=''])", timeout=60_000)
        assert float(page.evaluate(f"{status}.learned")) < 60
        page.wait_for_selector("#status[data-phase=training]")
        _lesion_and_stimulate(page)
        page.click("#start")
        for name, to in (("csv", "spikes.csv"), ("json", "recording.json")):
            with page.expect_download() as download:
                page.click(f"#{name}")
            download.value.save_as(tmp_path / to)
        _change(page, status)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        chromium.close()
    assert not told and {url for url in asked if not url.startswith(("data:", "blob:"))} == {make_page.PAGE.as_uri()}
    _saved(tmp_path)


def _lesion_and_stimulate(page):
    """While it runs: returns fall when the actions hear nothing."""
    page.select_option("#what", "actions")
    page.click("#lesion")
    assert page.get_attribute("#lesion", "aria-pressed") == "true"
    page.wait_for_timeout(2000)
    assert not page.evaluate("view.network.ha.some((w) => w)")
    assert page.evaluate("view.course.returns.slice(-5).reduce((a, b) => a + b) / 5") < 100
    page.click("#lesion")
    page.click("#stimulate")
    page.wait_for_timeout(500)
    others = "(d) => d.spikes.i.filter((i) => i >> 3 === view.neuron >> 3 && i !== view.neuron).length"
    assert page.evaluate(f"view.record.slice(-5).map({others})") == [0] * 5


def _change(page, status):
    """What acts at once keeps what was learned; another number of circuits does not; a wrong seed is told."""
    page.fill("#rho", "200")
    page.keyboard.down("ArrowLeft")
    page.click("#step")
    page.keyboard.up("ArrowLeft")
    assert page.evaluate("view.network.native.rwta_sh() && view.course.returns.length") > 20
    page.select_option("#circuits", "4")
    assert page.evaluate("view.network.hidden") == 32 and page.evaluate(f"{status}.decisions") == "0"
    page.fill("#seed", "minus one")
    page.press("#seed", "Enter")
    assert "expected a whole number" in page.text_content("#trouble")


def _saved(folder):
    with open(folder / "spikes.csv") as file:
        rows = list(csv.DictReader(file))
    recording = json.loads((folder / "recording.json").read_text())
    assert len(recording["decisions"]) == 400 and recording["seed"] == 0 and recording["stimulated"] is not None
    assert {row["population"] for row in rows} == {"inputs", "hidden", "action"}
    assert len(rows) == sum(len(d["spikes"]["t"]) + len(d["spikes"]["inputT"]) for d in recording["decisions"])
    assert all(0 <= float(row["time_s"]) < 0.1 for row in rows)
