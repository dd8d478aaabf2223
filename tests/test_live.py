"""The simulation behind `rwta-sim live`, its commands and its server, without a browser."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

import rwta_sim
from rwta_sim.errors import ConfigError
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.board import Cursor
from rwta_sim.live.commands import command_of
from rwta_sim.live.simulation import Simulation
from rwta_sim.loop.dials import Dial

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
            self.episodes += told["episodes"]
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
