"""Figures of a paper, the page about runs, and what is shown of a run at a glance."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browsers import browser, listened
from click.testing import CliRunner
from matplotlib.figure import Figure

import rwta_sim
from rwta_sim import analysis
from rwta_sim.analysis.report import MOST_BYTES
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.overview import sparkline


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of the smallest task; the first has a recording."""
    pytest.importorskip("elephant")
    parent = tmp_path_factory.mktemp("report")
    cue = rwta_sim.preset("cue").changed({"engine": {"name": "events"}, "training.episodes": 4})
    for seed in (0, 1):
        experiment = cue.changed({"seed": seed, "training.validate_every": 2, "training.validation_episodes": 1})
        rwta_sim.train(experiment, parent / f"seed{seed}")
    rwta_sim.record(parent / "seed0", 3, ["spikes", "w"])
    return [rwta_sim.RunFolder.open(parent / f"seed{seed}") for seed in (0, 1)]


class Page(HTMLParser):
    """Tags and what they refer to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.refers = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.refers += [value for name, value in attributes if name in ("src", "href") or name.endswith(":href")]


def test_the_page_needs_nothing_else(runs, tmp_path):
    path = analysis.write_report(runs, tmp_path / "page.html")
    text = path.read_text()
    page = Page(text)
    assert len(text.encode()) < MOST_BYTES
    assert all(target.startswith(("data:", "#")) for target in page.refers), page.refers
    assert page.tags.count("canvas") == 1 and page.tags.count("svg") >= 4 and "default-src 'none'" in text
    for word in ("cue", "seed0", "seed1", "No recording", "Fano", "config.toml", "brian2", "[network]"):
        assert word in text
    for word in ("synaptic events", "Weights of each block"):
        assert word in text
    again = analysis.write_report(runs, tmp_path / "again.html").read_text()
    assert re.sub(r'id="\w+"|#\w+', "", again) == re.sub(r'id="\w+"|#\w+', "", text)  # the same again


def test_the_page_in_a_browser(runs, tmp_path):
    """No error in the console, no request to anybody, every spike drawn; zooming changes the picture."""
    start, how = browser()
    path = analysis.write_report(runs[:1], tmp_path / "page.html")
    recording = runs[0].open_recording()
    with start as playwright:
        chromium = playwright.chromium.launch(**how)
        page = chromium.new_page(viewport={"width": 1000, "height": 800})
        told, asked = listened(page)
        page.goto(path.as_uri())
        canvas = page.query_selector("canvas.raster")
        assert int(canvas.get_attribute("data-drawn")) == sum(recording.spike_total(g) for g in ("inputs", "hidden"))
        drawn = [box for svg in page.query_selector_all("figure svg") if (box := svg.bounding_box())]
        assert len(drawn) >= 6 and all(box["width"] > 100 and box["height"] > 100 for box in drawn)
        before = canvas.screenshot()
        canvas.hover()
        page.mouse.wheel(0, -500)
        page.wait_for_timeout(100)
        assert canvas.screenshot() != before
        chromium.close()
    assert not told and [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


def test_names_are_no_markup(tmp_path):
    """A run whose name would be a script is text in the page."""
    cue = rwta_sim.preset("cue").changed({"engine": {"name": "events"}, "training.episodes": 1})
    hostile = cue.changed({"task": "<script>alert(1)</script>", "training.validation_episodes": 1})
    rwta_sim.train(hostile, tmp_path / "run<b>")
    run = rwta_sim.RunFolder.open(tmp_path / "run<b>")
    text = analysis.write_report([run], tmp_path / "page.html").read_text()
    assert "<script>alert" not in text and "run<b>" not in text and "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in run._repr_html_() and "No recording" in text


def test_commands(runs, tmp_path):
    runner, folders = CliRunner(), [str(run.path) for run in runs]
    done = runner.invoke(cli, ["report", *folders, "--out", str(tmp_path / "both.html")], catch_exceptions=False)
    assert done.exit_code == 0 and "2 runs: mean, lowest and highest" in (tmp_path / "both.html").read_text()
    shown = runner.invoke(cli, ["show", folders[0]], catch_exceptions=False).output
    for word in ("cue", "4 episodes", "recording recording", "in 3 episodes", "hidden (", "best weights"):
        assert word in shown
    told = runner.invoke(cli, ["show", folders[1], "--json"]).output
    assert '"recordings": {}' in told and '"seed": "1"' in told
    missing = runner.invoke(cli, ["report", folders[0], "--name", "recordin"])
    assert isinstance(missing.exception, RunError) and "did you mean 'recording'" in str(missing.exception)
    recording = runs[0].open_recording()
    assert "in 3 episodes" in recording._repr_html_() and "<table>" in runs[0]._repr_html_()


def test_sparkline():
    assert sparkline(np.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([3.0, np.nan, 3.0])) == "▅▅" and sparkline(np.empty(0)) == ""
    assert len(sparkline(np.random.default_rng(0).random(1000))) == 40


def test_three_factors_of_a_synapse(cue, tmp_path):
    """Trace times (spike - q), summed over a decision, is the eligibility; times rate and modulation, the change."""
    changes = {
        "network": {"firing": "one_hot", "hidden_circuits": 2, "hidden_size": 4, "weight_sd": 0.5}
        | {"kernel": {"kind": "exponential", "tau": "5 ms"}},
        "learning.rule": {"kind": "trace_stdp"},
        "learning.optimiser": {"kind": "sgd"},
        "learning.entropy": 0.0,
        "learning.rate": 0.01,
        "learning.final_rate": 1.0,
        "training.episodes": 1,
        "training.validation_episodes": 1,
    }
    tree = cue.model_dump(mode="json")
    tree["network"] = changes.pop("network")
    rwta_sim.train(type(cue).of(tree).changed(changes), tmp_path / "run")
    probes = ["spikes", "x", "q", "w@decision", "sh.eligibility"]
    recording = rwta_sim.record(tmp_path / "run", 1, probes, learning=True)
    seen = analysis.three_factors(recording, pre=0, post=1)
    per_decision = (seen["trace"] * seen["post"]).reshape(len(recording), -1).sum(axis=1)
    np.testing.assert_allclose(per_decision, seen["eligibility"], atol=1e-9)
    np.testing.assert_allclose(
        np.diff(seen["weight"]), 0.01 * (seen["modulation"] * seen["eligibility"])[:-1], atol=1e-12
    )
    assert np.abs(seen["eligibility"]).max() > 0.01
    with analysis.paper_style():
        figure = Figure()
        axes = analysis.plot_three_factors(figure, seen, float(recording.decision_time))
        assert [ax.get_ylabel() for ax in axes] == [
            "presynaptic\ntrace",
            "spike − q",
            "modulation",
            "eligibility",
            "weight",
        ]
        sides = Figure()
        good, bad = analysis.plot_reward_contrast(sides, recording, pre=0, post=1)
    rewards, met = recording["reward"], (seen["trace"] * np.maximum(seen["post"], 0)).reshape(len(recording), -1).sum(1)
    assert rewards[good] == rewards.max() > rewards[bad] == rewards.min()
    assert met[good] == met[rewards == rewards.max()].max() and met[bad] == met[rewards == rewards.min()].max()
    assert [half.axes[0].get_title() for half in sides.subfigs] == ["rewarded: 1", "unrewarded: 0"]
    np.testing.assert_allclose(
        sides.subfigs[0].axes[0].lines[0].get_ydata().max(),
        seen["trace"].reshape(len(recording), -1)[max(good - 1, 0) : good + 2].max(),
    )
    with pytest.raises(ConfigError, match="rewarded alike"):
        analysis.plot_reward_contrast(Figure(), recording.decisions(good, good + 1), 0, 1)
    first, second = (analysis.save_figure(figure, tmp_path / name) for name in ("a", "b"))
    assert [p.suffix for p in first] == [".svg", ".png"] and first[0].read_bytes() == second[0].read_bytes()
    with pytest.raises(ConfigError, match=r"ends in \.svg"):
        analysis.save_figure(figure, tmp_path / "c.gif")
    with pytest.raises(ConfigError, match="probes spikes, x, q and w@decision"):
        analysis.three_factors(rwta_sim.record(tmp_path / "run", 1), 0, 0)
    with pytest.raises(ConfigError, match="expected 'sh'"):
        analysis.three_factors(recording, 0, 0, "xy")


def test_bands_are_over_seeds():
    """Mean, lowest and highest of the validations that all runs have."""
    nan = np.nan
    metrics = [
        {"episode": np.arange(1, 5), "validation_return": np.array([nan, 1.0, nan, 3.0])},
        {"episode": np.arange(1, 5), "validation_return": np.array([nan, 3.0, 7.0, 5.0])},
    ]
    ax = Figure().add_subplot()
    analysis.plot_learning_bands(ax, metrics)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[2, 2.0], [4, 4.0]])
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == 1.0 and corners[:, 1].max() == 5.0
