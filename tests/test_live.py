"""The simulation behind `rwta-sim live`, its commands and its server, without a browser."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import threading
import time
import urllib.request
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Scripted

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, EngineError, RunError, RwtaSimError
from rwta_sim.lab.recordings import Recording
from rwta_sim.live import cast
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.board import WINDOW, Board, Cursor
from rwta_sim.live.commands import command_of
from rwta_sim.live.description import keys
from rwta_sim.live.simulation import Simulation
from rwta_sim.live.stage import Stage
from rwta_sim.live.tap import Tap
from rwta_sim.loop.dials import Dial
from rwta_sim.loop.probes import Drained, Spikes

#: Seconds that anything may take on a busy machine; nothing waits so long where all is well.
_PATIENCE = 20.0


class Viewer:
    """Somebody who reads the board of a simulation, as a page does."""

    def __init__(self, simulation):
        self.simulation, self.cursor = simulation, Cursor()
        self.hello, self.state, self.circuits, self.picture = {}, {}, None, None
        self.decisions, self.episodes, self.messages, self.modulations = {}, [], [], {}

    def look(self):
        self.cursor, sent = self.simulation.board.since(self.cursor)
        for part in sent:
            if isinstance(part, bytes):
                self.picture = part
                continue
            told = json.loads(part)
            if told.pop("kind") == "hello":
                self.hello = told
                continue
            self.state, self.circuits = told["state"], told["circuits"]
            self.decisions |= {moment["n"]: moment for moment in told["decisions"]}
            self.episodes = told["episodes"] if told["first"] == 0 else self.episodes + told["episodes"]
            self.messages += [message["text"] for message in told["messages"]]
            self.modulations |= dict(told["modulations"])
        return self

    def until(self, holds):
        """Look until it does."""
        end = time.monotonic() + _PATIENCE
        while not holds(self.look()):
            assert time.monotonic() < end, (self.state, self.messages)
            time.sleep(0.005)
        return self

    def until_said(self, word):
        return self.until(lambda viewer: any(word in message for message in viewer.messages))

    def step(self):
        """Exactly one more decision, of a simulation that is paused."""
        before = len(self.decisions)
        self.simulation.send({"do": "step"})
        return self.until(lambda viewer: len(viewer.decisions) > before and viewer.state["state"] == "paused")


@pytest.fixture
def live(tmp_path):
    """Makes simulations with a viewer, paused after their first decision; they are closed in the end."""
    made = []

    def begin(beginning, paused=True):
        simulation = Simulation(beginning, tmp_path / "recordings")
        made.append(simulation)
        simulation.start()
        viewer = Viewer(simulation).until(lambda viewer: viewer.state.get("state") in ("nobody", "failed"))
        if paused:
            simulation.send({"do": "pause", "on": True})
        simulation.pages(1)
        return viewer.until(lambda v: v.state["state"] != "nobody") if viewer.state["state"] == "nobody" else viewer

    yield begin
    for simulation in made:
        assert simulation.close()


def small(cue):
    return cue.changed({"environment.kwargs": {"trials": 3}})


def parameters(simulation):
    return {name: array.copy() for name, array in simulation._cast.agent.system.state().items()}


def test_it_learns_as_a_training_does(cue, live, tmp_path):
    """The same weights, bit for bit, as a training has after as many episodes; and what it shows fits together."""
    experiment = small(cue).changed({"training.episodes": 3, "training.validate_every": 3})
    rwta_sim.train(experiment, tmp_path / "run")
    trained = rwta_sim.RunFolder.open(tmp_path / "run").last().arrays
    viewer = live(Beginning.of_task(experiment))
    for _ in range(3 * 3 - 1):
        viewer.step()
    for name, array in parameters(viewer.simulation).items():
        np.testing.assert_array_equal(array, trained[name], err_msg=name)
    seen = [viewer.decisions[n] for n in range(9)]
    assert [m["episode"] for m in seen] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(viewer.modulations) == 9
    metrics = rwta_sim.RunFolder.open(tmp_path / "run").metrics()
    totals = [sum(m["reward"] for m in seen[k : k + 3]) for k in (0, 3, 6)]
    np.testing.assert_allclose(totals, metrics["return"])
    assert [e["total"] for e in viewer.episodes] == pytest.approx(totals[:2])
    population = {p["name"]: p for p in viewer.hello["raster"]["populations"]}
    for moment in seen:
        i, t = (np.array(column) for column in moment["spikes"]["neurons"])
        assert (np.diff(t) >= 0).all() and t.max() <= viewer.hello["raster"]["decision"]
        assert i.max() < population["action"]["stop"]
        counts = np.bincount(i, minlength=12)
        assert counts[:4].sum() == counts[4:8].sum() == counts[8:].sum() == 5  # one_hot: each circuit in each step
        for circuit, winner in enumerate(moment["winners"]):
            assert counts[4 * circuit + winner] == counts[4 * circuit : 4 * circuit + 4].max()
    assert set(viewer.circuits) == {"share", "bits"} and len(viewer.circuits["share"]) == 2


def test_three_factors_of_a_synapse(cue, live):
    """A weight changes by rate times modulation times eligibility, as far as gradients are steps."""
    changes = {"learning.optimiser": {"kind": "sgd"}, "learning.entropy": 0.0, "learning.final_rate": 1.0}
    experiment = small(cue).changed(changes | {"learning.rate": 0.05, "environment.kwargs": {"trials": 50}})
    viewer = live(Beginning.of_task(experiment))
    spiked = viewer.decisions[0]["spikes"]
    pre, post = spiked["inputs"][0][-1], next(n for n in spiked["neurons"][0] if n < 8)
    viewer.simulation.send({"do": "synapse", "block": "sh", "pre": pre, "post": post})
    viewer.until(lambda v: v.state["synapse"] == ["sh", pre, post])
    for _ in range(20):
        viewer.step()
    told = [viewer.decisions[n]["synapse"] for n in range(1, 21)]
    assert all(set(one) == {"weight", "trace", "spikes", "q", "eligibility"} for one in told)
    change = [0.05 * viewer.modulations[n] * viewer.decisions[n]["synapse"]["eligibility"] for n in range(1, 20)]
    np.testing.assert_allclose(np.diff([one["weight"] for one in told]), change, atol=1e-12)
    assert np.abs(change).max() > 1e-3
    for wrong, said in (({"block": "hx"}, "expected a matrix of weights"), ({"pre": 99}, "sh has 4 by 8")):
        viewer.simulation.send({"do": "synapse", "block": "sh", "pre": 0, "post": 0} | wrong)
        viewer.until_said(said)
    assert viewer.state["synapse"] == ["sh", pre, post]


def test_dials_at_once_and_with_a_new_network(cue, live):
    viewer = live(Beginning.of_task(small(cue)))
    simulation = viewer.simulation
    for wrong, said in (
        ({"key": "learning.rate", "value": 7}, r"learning.rate = 7.0: expected a number from 1e-05 to 0.3"),
        ({"key": "learning.rat", "value": 0.1}, "did you mean 'learning.rate'"),
        ({"key": "network.kernel", "value": "square"}, "Known: double_exponential"),
        ({"key": "network.kernel.tau", "value": 90}, "longer than a decision"),
    ):
        with pytest.raises(ConfigError, match=said):
            simulation.send({"do": "turn"} | wrong)
    simulation.send({"do": "turn", "key": "learning.rate", "value": 0.123})
    viewer.until_said("learning rate = 0.123, at once")
    assert simulation._cast.agent.system.learner.rate == pytest.approx(0.123)
    assert viewer.state["dials"]["learning.rate"] == 0.123
    viewer.step()
    before, hello = parameters(simulation), viewer.hello
    simulation.send({"do": "turn", "key": "learning.rate", "value": 1e-5})  # so that weights stay where they are
    simulation.send({"do": "turn", "key": "network.kernel", "value": "rectangular"})
    viewer.until_said("a new network is built").until(lambda v: v.hello is not hello and v.state["state"] == "paused")
    assert simulation._cast.agent.system.network.spec.kernel.kind == "rectangular"
    assert viewer.state["dials"]["learning.rate"] == 1e-5 and viewer.state["dials"]["network.kernel"] == "rectangular"
    for name, array in parameters(simulation).items():  # steps are of the size of the rate, three of them at most
        np.testing.assert_allclose(array, before[name], atol=1e-3, err_msg=name)
    assert max(np.abs(array).max() for array in before.values()) > 0.05
    assert not viewer.episodes  # one that was cut short is none


def test_commands_are_checked():
    assert command_of({"do": "pace", "value": 5}).value == 5.0
    for tree, said in (
        ({"do": "rest"}, "did you mean 'reset'"),
        ("reset", "Known: act"),
        ({"do": "pace", "value": 0.1}, r"pace: value = 0.1: .*greater than or equal to 0.5"),
        ({"do": "sign", "value": 2}, "sign: value = 2"),
        ({"do": "act", "action": -1}, "act: action = -1"),
        ({"do": "pause"}, "pause: on"),
        ({"do": "reset", "more": 1}, "reset: more = 1"),
        ({"do": "perturb", "name": "lesion", "target": "x" * 300}, "at most 200"),
    ):
        with pytest.raises(ConfigError, match=said):
            command_of(tree)


def test_dials():
    dial = Dial("network.rho_hat", "circuit rate", 100.0, 10.0, 500.0, "Hz")
    assert dial.setting(50) == "50.0 Hz"
    for beyond in (9.99, 501, float("nan"), float("inf"), "5", True):
        with pytest.raises(ConfigError, match=r"network.rho_hat = .*: expected a number from 10 to 500 Hz"):
            dial.checked(beyond)
    kinds = Dial("network.kernel", "kernel", "one", options={"one": {"kind": "one"}})
    assert kinds.setting("one") == {"kind": "one"}
    with pytest.raises(ConfigError, match="did you mean 'one'"):
        kinds.checked("on")
    declared = {dial.key: dial for dial in rwta_sim.preset("cartpole").dials()}
    assert list(declared) == [
        *("learning.rate", "learning.entropy", "network.kernel", "network.kernel.tau", "network.rho_hat")
    ]
    for dial in declared.values():  # each option and both ends can be had
        for value in dial.options or (dial.low, dial.high):
            changed = rwta_sim.preset("cartpole").changed({dial.key: dial.setting(value)})
            if not dial.options:
                assert {d.label: d for d in changed.dials()}[dial.label].value == pytest.approx(value)
    assert not rwta_sim.preset("cartpole", "random").dials()


def test_lesions_and_healing(cue, live):
    viewer = live(Beginning.of_task(small(cue)))
    simulation = viewer.simulation
    before = parameters(simulation)
    simulation.send({"do": "perturb", "name": "drive", "target": "circuit:1=neuron:2"})
    simulation.send({"do": "perturb", "name": "lesion", "target": "sh"})
    viewer.until_said("lesion sh: done")
    assert viewer.state["perturbed"] == ["drive circuit:1=neuron:2", "lesion sh"]
    for _ in range(4):
        viewer.step()
    assert all(viewer.decisions[n]["winners"][1] == 2 for n in range(1, 5))
    for name, target, said in (("lesion", "xy", "expected a block"), ("lesio", "sh", "did you mean 'lesion'")):
        simulation.send({"do": "perturb", "name": name, "target": target})
        viewer.until_said(said)
    simulation.send({"do": "learn", "on": False})
    simulation.send({"do": "heal"})
    viewer.until_said("healed: ").step()
    for name, array in parameters(simulation).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert viewer.state["perturbed"] == [] and not viewer.state["learning"]
    simulation.send({"do": "heal"})
    viewer.until_said("nothing was lesioned")


def test_lost_spikes_are_not_learned_from(cue, live):
    """What another network has to act for waits for the end of the episode, and learning stops until it is healed."""
    viewer = live(Beginning.of_task(small(cue)))
    simulation = viewer.simulation
    simulation.send({"do": "perturb", "name": "lost-spikes", "target": "spikes:1"})
    viewer.until_said("does not learn under lost-spikes").step()
    counts = [len(viewer.decisions[n]["spikes"]["neurons"][0]) for n in (0, max(viewer.decisions))]
    assert not viewer.state["learning"] and counts == [15, 0]  # of three circuits in five steps; none is heard of
    with pytest.raises(ConfigError, match="heal it first"):
        simulation.send({"do": "learn", "on": True})
    simulation.send({"do": "heal"})
    viewer.until_said("healed: ")
    simulation.send({"do": "learn", "on": True})
    viewer.until(lambda v: v.state["learning"]).step()


def test_a_recording_is_one_of_the_package(cue, live, tmp_path):
    """Complete when it is stopped, with the spikes that the page showed; what the page shows misses none for it."""
    viewer = live(Beginning.of_task(small(cue)))
    simulation = viewer.simulation
    simulation.send({"do": "record", "on": True})
    viewer.until(lambda v: v.state["recording"])
    for _ in range(5):
        viewer.step()
    seen = [m for m in viewer.decisions.values() if m["episode"] >= 1]
    simulation.send({"do": "record", "on": False})
    viewer.until_said("recorded: ").until(lambda v: v.state["state"] == "paused" and not v.state["recording"])
    recording = Recording.open(tmp_path / "recordings" / "cue-seed0.zarr")
    assert recording.complete and recording.meta["learning"] and len(recording.episodes) == 2
    assert recording.meta["run"] == "cue-seed0" and [row.number for row in recording.episodes] == [1, 2]
    seen = [viewer.decisions[n] for n in sorted(viewer.decisions) if viewer.decisions[n]["episode"] in (1, 2)]
    assert len(recording) == len(seen) >= 4
    np.testing.assert_array_equal(recording["action"], [m["action"] for m in seen])
    np.testing.assert_allclose(recording["reward"], [m["reward"] for m in seen])
    np.testing.assert_allclose(recording["modulation"], [viewer.modulations[m["n"]] for m in seen])
    for name, offset in (("hidden", 0), ("action", 8)):
        i, t = recording.spikes(name)
        pairs = [(n, s) for m in seen for n, s in zip(*m["spikes"]["neurons"], strict=True) if 0 <= n - offset < 8 >= 0]
        pairs = [(n - offset, s) for n, s in pairs if (n < 8) == (name == "hidden")]
        np.testing.assert_array_equal(i, [n for n, _ in pairs])
        np.testing.assert_allclose(np.asarray(t) * 1e3 % 5.0, [s for _, s in pairs], atol=1e-6)
    simulation.send({"do": "record", "on": True})
    viewer.until_said("cue-seed0-2.zarr").step()
    assert simulation.close()  # which leaves it complete, too
    assert Recording.open(tmp_path / "recordings" / "cue-seed0-2.zarr").complete


def test_a_folder_that_cannot_be_is_said(cue, live, tmp_path):
    (tmp_path / "recordings").write_text("a file")
    viewer = live(Beginning.of_task(small(cue)))
    viewer.simulation.send({"do": "record", "on": True})
    viewer.until_said("choose another folder with --recordings").step()
    assert not viewer.state["recording"]


def test_hand_sign_and_reset(cue, live):
    viewer = live(Beginning.of_task(cue))
    simulation = viewer.simulation
    before = parameters(simulation)
    with pytest.raises(ConfigError, match="action = 4: expected one from 0 to 3"):
        simulation.send({"do": "act", "action": 4})
    simulation.send({"do": "act", "action": 2})
    for _ in range(8):
        viewer.step()
    right = [viewer.state["bars"].index(1.0) == 2]
    mine = [viewer.decisions[n] for n in range(1, 9)]
    assert all(m["hand"] == 2 for m in mine) and len({m["action"] for m in mine}) > 1
    simulation.send({"do": "act", "action": None})
    simulation.send({"do": "sign", "value": -1})
    for _ in range(12):
        viewer.step()
    assert {viewer.decisions[n]["reward"] for n in range(9, 21)} == {0.0, -1.0} and right
    assert any(np.abs(array - before[name]).max() > 0 for name, array in parameters(simulation).items())
    number = len(viewer.decisions)
    simulation.send({"do": "reset"})
    viewer.until_said("from the start again")
    viewer.until(lambda v: v.state["state"] == "paused" and len(v.decisions) > number and v.state["decision"] == 1)
    assert viewer.episodes[-1:] == [] or viewer.state["episode"] == 0
    assert viewer.state["sign"] == -1  # as are dials


def test_a_copy_of_a_run(cue, live, tmp_path):
    """It plays what the run learned, learns if asked, and nothing of the run changes on disk."""
    experiment = small(cue).changed({"training.episodes": 3, "training.validation_episodes": 1})
    rwta_sim.train(experiment, tmp_path / "run")

    def files():
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "run").rglob("*") if p.is_file()}

    before, played = files(), rwta_sim.Agent.load(tmp_path / "run").play(1)[0]
    viewer = live(Beginning.of_run(tmp_path / "run"))
    best = rwta_sim.RunFolder.open(tmp_path / "run").best()
    for _ in range(4):
        viewer.step()
    for name, array in parameters(viewer.simulation).items():
        np.testing.assert_array_equal(array, best.arrays[name], err_msg=name)
    assert not viewer.state["learning"] and not viewer.modulations and best.name in viewer.hello["begins"]
    assert [viewer.decisions[n]["action"] for n in range(3)] == played.actions
    viewer.simulation.send({"do": "learn", "on": True})
    viewer.simulation.send({"do": "record", "on": True})
    viewer.until(lambda v: v.state["learning"] and v.state["recording"])
    for _ in range(4):
        viewer.step()
    assert viewer.modulations
    changed = parameters(viewer.simulation)
    assert any((changed[name] != best.arrays[name]).any() for name in changed)
    assert viewer.simulation.close() and files() == before
    with pytest.raises(RunError):
        Beginning.of_run(tmp_path / "nothing")


def test_systems_that_declare_little(live):
    """A random policy: pictures, and a reason for each thing that is not there."""
    viewer = live(Beginning.of_task(rwta_sim.preset("cartpole", "random")), paused=False)
    viewer.until(lambda v: len(v.episodes) > 2 and v.picture is not None)
    assert viewer.picture.startswith(b"\xff\xd8")
    hello = viewer.hello
    assert (
        "no spikes whose times" in hello["raster"]
        and "could be lesioned" in hello["perturbations"]
        and not hello["matrices"]
    )
    assert hello["dials"] == [] and "learning rate" in hello["missing"] and viewer.circuits is None
    with pytest.raises(ConfigError, match="declares none"):
        viewer.simulation.send({"do": "turn", "key": "learning.rate", "value": 0.1})
    assert viewer.state["blind"] is None and viewer.state["synapse"] is None


def test_pace_and_nobody_there(live):
    """So many decisions a second; and without a page none."""
    viewer = live(Beginning.of_task(rwta_sim.preset("cartpole", "random")), paused=False)
    simulation = viewer.simulation
    simulation.send({"do": "pace", "value": 20})
    viewer.until(lambda v: v.state["pace"] == 20)
    player = simulation._cast.agent.player
    first, began = player.decisions, time.monotonic()
    viewer.until(lambda v: player.decisions >= first + 6)
    assert time.monotonic() - began > 0.2  # five gaps of 50 ms, but for the first
    simulation.pages(-1)
    viewer.until(lambda v: v.state["state"] == "nobody")
    number = max(viewer.decisions)
    time.sleep(0.2)
    assert max(viewer.look().decisions) == number
    simulation.pages(1)
    viewer.until(lambda v: max(v.decisions) > number and v.state["state"] == "running")


class Breaks(Scripted):
    """Raises in its fourth step, once."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (Gymnasium's own convention)
    times = 0

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        raise OSError("no display")

    def step(self, action):
        Breaks.times += 1
        if Breaks.times == 4:
            raise RuntimeError("out of order")
        return super().step(action)


def test_failures_are_said_and_reset(live):
    """An environment that fails, and one that cannot render though it says so: the page says both, and can go on."""
    gym.register("rwta_sim_tests/Breaks-v0", Breaks)
    try:
        Breaks.times = 0
        random = rwta_sim.preset("cartpole", "random").changed({"environment.id": "rwta_sim_tests/Breaks-v0"})
        viewer = live(Beginning.of_task(random), paused=False)
        viewer.until(lambda v: v.state["state"] == "failed")
        assert "out of order" in viewer.state["why"] and "no display" in viewer.state["blind"]
        viewer.simulation.send({"do": "reset"})
        viewer.until(lambda v: v.state["state"] == "running" and len(v.episodes) > 2)
    finally:
        del gym.registry["rwta_sim_tests/Breaks-v0"]


def test_a_board_gives_each_reader_all_of_it_once():
    """Readers that come at other times see the same decisions; of many spikes every so many are sent."""
    board, often, seldom = Board(), [], []
    places = {"often": Cursor(), "seldom": Cursor()}

    def read(name, into):
        places[name], sent = board.since(places[name])
        into += [m for part in sent if "decisions" in (told := json.loads(part)) for m in told["decisions"]]

    board.describe({"task": "none"})
    for n in range(2 * WINDOW):
        board.add({"action": 0, "episode": n}, np.array([n % 2]), learns=True)
        count = 5 if n else 5000
        spikes = Spikes(np.arange(count), np.linspace(0, 0.1, count), np.array([count]))
        board.publish(Drained(1, {"all": spikes}, {}), np.array([0.5]), None)
        read("often", often)
    board._counted = 0.0  # winners are counted now and then
    board.publish(Drained(0, {}, {}), np.empty(0), None)
    read("seldom", seldom)
    read("often", often)
    assert [m["n"] for m in often] == list(range(2 * WINDOW)) and often[WINDOW:] == seldom
    assert len(often[0]["spikes"]["all"][0]) == len(range(0, 5000, 3))
    assert board.since(places["often"])[1] == []
    assert json.loads(board.since(Cursor())[1][1])["circuits"] == {
        "share": [0.5],
        "bits": [pytest.approx(1.0, abs=0.01)],  # corrected for few decisions
    }


def test_a_tap_tells_two_the_same():
    """A page that asks often and a recorder that asks seldom hear the same spikes and modulations, in order."""
    count = itertools.count()

    def drain():
        n = next(count)
        return Drained(1, {"all": Spikes(np.array([n, n + 100]), np.array([0.1, 0.2]), np.array([2]))}, {})

    heard = itertools.count()
    system = SimpleNamespace(drain=drain, heard=lambda: (np.array([next(heard)]), np.array([next(heard)])))
    tap = Tap(system, within=True, hears=True)
    tap.taken()
    tap.recorded = True
    pages = [tap.taken() for _ in range(3)]
    recorded, told = tap.drain(), tap.heard()
    np.testing.assert_array_equal(recorded.spikes["all"].i, [1, 101, 2, 102, 3, 103, 4, 104])
    np.testing.assert_array_equal(told[1], [3, 5, 7, 9, 11])
    last, modulations = tap.taken()
    seen = np.concatenate([page.spikes["all"].i for page, _ in pages] + [last.spikes["all"].i])
    np.testing.assert_array_equal(seen[:8], recorded.spikes["all"].i)
    assert modulations[:2].tolist() == [9, 11] and tap.drain().decisions == 3  # asked for by heard, taken and drain


def test_keys():
    assert keys(2) == {"1": 0, "2": 1, "ArrowLeft": 0, "ArrowRight": 1}
    assert keys(3)["ArrowDown"] == 1 and len(keys(20)) == 9


def test_stage_hands_on_what_it_is_given():
    stage = Stage(Scripted(length=3))
    stage.reset(seed=0)
    stage.sign = -1.0
    assert stage.step(0)[1] == -1.0 and stage.bars() == [0.0, 0.0]
    stage.cut = True
    assert stage.step(0)[3] and not stage.reset()[1] and not stage.cut


# -- the server, without a browser ---------------------------------------------------------------------


class Visitor:
    """A page without a browser: fetches files, and talks by a socket."""

    def __init__(self, server, host="127.0.0.1"):
        self.server, self.base = server, f"{host}:{server.port}"

    async def fetch(self, path, **headers):
        from tornado.httpclient import AsyncHTTPClient, HTTPRequest

        request = HTTPRequest(f"http://{self.base}{path}", headers=headers, follow_redirects=False)
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    async def connect(self, path="/socket", **headers):
        from tornado.httpclient import HTTPRequest
        from tornado.websocket import websocket_connect

        return await websocket_connect(HTTPRequest(f"ws://{self.base}{path}", headers=headers))

    async def hear(self, connection, holds):
        """Texts, until one of them does."""
        while True:
            message = await asyncio.wait_for(connection.read_message(), _PATIENCE)
            assert message is not None
            if isinstance(message, str) and holds(told := json.loads(message)):
                return told


@pytest.fixture
def serving(live):
    """Runs a coroutine with a server of a simulation, paused."""
    pytest.importorskip("tornado")
    from rwta_sim.live.server import Server

    def run(talk, beginning, host="127.0.0.1"):
        viewer = live(beginning)
        viewer.simulation.pages(-1)

        async def session():
            server = Server(viewer.simulation, host)
            server.start()
            try:
                return await talk(server, Visitor(server), viewer)
            finally:
                server.stop()

        return asyncio.run(session())

    return run


def test_two_pages_and_one_that_comes_back(serving, cue):
    """Both see the same decisions; one that is loaded again in mid-episode sees where it stands, and all goes on."""

    async def talk(server, visitor, viewer):
        first, second = await visitor.connect(), await visitor.connect()
        for page in (first, second):
            hello = await visitor.hear(page, lambda told: told["kind"] == "hello")
            assert hello["task"] == "cue"
        ends = []
        for page in (first, second):
            for _ in range(2):
                before = viewer.look().state["decision"]
                page.write_message(json.dumps({"do": "step"}))
                await visitor.hear(page, lambda told, n=before: told.get("state", {}).get("decision", 0) > n)
        for page in (first, second):
            page.write_message(json.dumps({"do": "sign", "value": -1}))
            told = await visitor.hear(page, lambda told: told.get("state", {}).get("sign") == -1)
            ends.append(told["state"])
        assert ends[0]["decision"] == ends[1]["decision"] == 5
        first.close()
        again = await visitor.connect()
        told = await visitor.hear(again, lambda told: told["kind"] == "frame")
        assert [m["n"] for m in told["decisions"]] == [0, 1, 2, 3, 4]
        assert told["state"]["decision"] == 5 and told["state"]["state"] == "paused"
        again.write_message(json.dumps({"do": "step"}))
        told = await visitor.hear(second, lambda told: told.get("state", {}).get("decision") == 6)
        again.write_message(json.dumps({"do": "turn", "key": "learning.rate", "value": 100}))
        told = await visitor.hear(again, lambda told: told["kind"] == "refused")
        assert told["text"] == "learning.rate = 100.0: expected a number from 1e-05 to 0.3"
        again.write_message("{not json")
        await visitor.hear(again, lambda told: told["kind"] == "refused")
        again.write_message(json.dumps({"do": "act", "action": 1}))
        await visitor.hear(second, lambda told: told.get("state", {}).get("hand") == 1)
        again.close()  # with the key still down
        await visitor.hear(second, lambda told: told.get("state", {}).get("hand") is None)
        second.close()
        viewer.simulation.send({"do": "pause", "on": False})
        while viewer.look().state["state"] != "nobody":
            await asyncio.sleep(0.01)

    serving(talk, Beginning.of_task(cue))


def test_the_page_is_for_this_machine(serving):
    """By no name that somebody else gave it, from no other page; files of the page and nothing else."""

    async def talk(server, visitor, viewer):
        assert server.address == f"http://127.0.0.1:{server.port}/" and server.token is None
        page = await visitor.fetch("/")
        assert page.code == 200 and b"page.js" in page.body
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for path in ("/page.js", "/page.css"):
            assert (await visitor.fetch(path)).code == 200
        for path in ("/server.py", "/../setup.cfg", "/page.html.py"):
            assert (await visitor.fetch(path)).code == 404
        assert (await visitor.fetch("/", Host="evil.example:80")).code == 403
        assert (await visitor.fetch("/", Host=f"localhost:{server.port}")).code == 200
        with pytest.raises(Exception, match="403"):
            await visitor.connect(Origin="http://evil.example")
        with pytest.raises(Exception, match="403"):
            await visitor.connect(Host="evil.example", Origin="http://evil.example")

    serving(talk, Beginning.of_task(rwta_sim.preset("cartpole", "random")))


def test_other_machines_bring_the_token(serving):
    async def talk(server, visitor, viewer):
        assert server.token in server.address and len(server.token) >= 32
        for path in ("/", "/page.js", "/?token=wrong", "/?token="):
            assert (await visitor.fetch(path)).code == 403
        page = await visitor.fetch(f"/?token={server.token}")
        assert page.code == 200
        cookie = page.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert (await visitor.fetch("/page.js", Cookie=cookie.partition(";")[0])).code == 200
        with pytest.raises(Exception, match="403"):
            await visitor.connect()
        connection = await visitor.connect(f"/socket?token={server.token}")
        await visitor.hear(connection, lambda told: told["kind"] == "hello")
        connection.close()

    serving(talk, Beginning.of_task(rwta_sim.preset("cartpole", "random")), "0.0.0.0")


def test_a_port_in_use(tmp_path):
    pytest.importorskip("tornado")
    from rwta_sim.live.server import Server

    simulation = Simulation(Beginning.of_task(rwta_sim.preset("cartpole", "random")), tmp_path)
    first = Server(simulation)
    with pytest.raises(RwtaSimError, match=rf"port {first.port} of 127.0.0.1 is in use, .* another --port \(0: any"):
        Server(simulation, port=first.port)
    first.stop()
    with pytest.raises(RwtaSimError, match=r"cannot listen on 203\.0\.113\.7, port 0: .*--host"):
        Server(simulation, "203.0.113.7")


# -- the command ---------------------------------------------------------------------------------------


def told_by(*arguments):
    done = CliRunner().invoke(cli, ["live", *arguments])
    assert done.exit_code, done.output
    return str(done.exception or done.output)


def test_what_the_command_refuses(cue, tmp_path, monkeypatch):
    rwta_sim.train(small(cue).changed({"training.episodes": 1, "training.validation_episodes": 1}), tmp_path / "run")
    run = str(tmp_path / "run")
    assert "leave seed out; its dials can be turned" in told_by(run, "--seed", "3")
    assert "leave learning.rate out" in told_by(run, "--learning.rate", "0.1")
    assert "nothing" in told_by(str(tmp_path / "nothing"))
    assert "cartpole" in told_by("cartpol")
    monkeypatch.setattr("rwta_sim.cli.find_spec", lambda name: None)
    assert told_by("cue") == "rwta-sim live needs Tornado: pip install 'rwta-sim[live]'"


def test_from_the_first_line_to_ctrl_c(tmp_path, monkeypatch):
    """The address is printed where no browser can be opened, served there, and Ctrl-C ends it all."""
    pytest.importorskip("tornado")
    from rwta_sim.live import opening

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(opening.webbrowser, "open", lambda address: False)
    said, pages = [], []

    def visit():
        while len(said) < 2:
            time.sleep(0.01)
        with urllib.request.urlopen(said[0].split(" is at ")[1].split()[0]) as page:
            pages.append(page.read())
        os.kill(os.getpid(), signal.SIGINT)

    visitor = threading.Thread(target=visit)
    visitor.start()
    beginning = Beginning.of_task(rwta_sim.preset("cartpole", "random"))
    opening.show(beginning, tmp_path, "127.0.0.1", 0, True, said.append)
    visitor.join()
    assert said[1:] == ["no browser could be opened: open the address in one", "ended"]
    assert b"rwta-sim live" in pages[0] and not any(t.name == "simulation" for t in threading.enumerate())


def test_what_cannot_begin_ends_the_command(tmp_path):
    """A library that is missing, such as that of an environment: said in the terminal, nobody is left to wait."""
    pytest.importorskip("tornado")
    from rwta_sim.live.opening import show

    none = rwta_sim.preset("cartpole", "random").changed({"environment.id": "NoSuchWorld-v0"})
    with pytest.raises(RwtaSimError, match="cannot make the environment 'NoSuchWorld-v0'"):
        show(Beginning.of_task(none), tmp_path, "127.0.0.1", 0, False, lambda text: None)


def test_a_dial_that_no_network_follows_goes_back(cue, live, monkeypatch):
    """What a setting does not forbid, but an engine or a system refuses when it is built."""
    viewer = live(Beginning.of_task(small(cue)))
    before = parameters(viewer.simulation)
    agent = cast.Agent

    def refuses(experiment, *args, **kwargs):
        if experiment.network.kernel.kind == "rectangular":
            raise EngineError("no rectangles today")
        return agent(experiment, *args, **kwargs)

    monkeypatch.setattr(cast, "Agent", refuses)
    viewer.simulation.send({"do": "turn", "key": "network.kernel", "value": "rectangular"})
    viewer.until_said("no rectangles today - the dial is where it was")
    viewer.until(lambda v: v.state["state"] == "paused" and v.state["dials"]["network.kernel"] == "exponential")
    assert parameters(viewer.simulation).keys() == before.keys()
    viewer.step()
