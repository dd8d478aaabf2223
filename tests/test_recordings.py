"""Streamed recordings: what is in them is what happened, whole or as far as it came."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import ms, second, volt
from click.testing import CliRunner
from conftest import Scripted

import rwta_sim
from rwta_sim.agents.brian2 import Brian2Experiment
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab import recorder
from rwta_sim.lab import zarr as chunks
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.zarr import GrowingArray, StoredArray, write_group

#: Poisson circuits, one update per decision along the plain gradient.
POISSON = {
    "network.firing": "poisson",
    "network.rho_hat": "100 Hz",
    "network.kernel": {"kind": "exponential", "tau": "5 ms"},
    "network.weight_sd": 0.5,
    "network.random_blocks": [],
    "decision.steps": 20,
    "learning.rule.kind": "score_function",
    "learning.optimiser.kind": "sgd",
    "learning.rate": 0.01,
    "training.episodes": 2,
    "training.validation_episodes": 1,
}

EVENTS = {"engine": {"name": "events"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs made so far, by their changes."""
    return tmp_path_factory.mktemp("runs"), {}


@pytest.fixture
def trained(cue, tmp_path, made):
    """Gives the folder of a run of the smallest task with some changes."""
    folder, known = made

    def train(**changes):
        key = json.dumps(changes)
        if key not in known:
            known[key] = folder / str(len(known))
            rwta_sim.train(cue.changed({**POISSON, **changes}), known[key])
        return shutil.copytree(known[key], tmp_path / f"copy{len(list(tmp_path.iterdir()))}")

    return train


def test_what_is_recorded_is_the_episode_that_is_played(trained):
    folder = trained()
    recording = rwta_sim.record(folder, 3, ["spikes", "q", "sh.w"], first=2)
    played = rwta_sim.Agent.load(folder).play(3, first=2, observations=True)
    assert recording.complete and [row.number for row in recording.episodes] == [2, 3, 4]
    np.testing.assert_array_equal(recording["action"], np.concatenate([e.actions for e in played]))
    np.testing.assert_array_equal(recording["reward"], np.concatenate([e.rewards for e in played]))
    np.testing.assert_array_equal(recording["observation"], np.concatenate([e.observations[:-1] for e in played]))
    assert [row.total for row in recording.episodes] == [e.total for e in played]
    entropy = np.split(recording["entropy"], [row.end for row in recording.episodes][:-1])
    np.testing.assert_allclose([e.mean() for e in entropy], [e.numbers["entropy"] for e in played])
    best = rwta_sim.Agent.load(folder).weights()
    for of_episode in recording.at_episodes("sh.w"):
        np.testing.assert_array_equal(of_episode, best["sh"])
    old = record_episode(rwta_sim.RunFolder.open(folder), episode=3)
    new = recording.episode(1).arrays()
    for name in ("neuron_i", "input_i", "actions", "rewards", "starts", "n_inputs"):
        np.testing.assert_array_equal(new[name], old[name])
    for name in ("neuron_t", "input_t", "dt", "decision_time"):
        np.testing.assert_allclose(new[name], old[name], atol=1e-12)


@pytest.mark.parametrize("learning", [False, True])
def test_written_in_blocks_of_any_size(trained, monkeypatch, learning):
    """Blocks of three decisions, which end in mid-episode and with the last one, hold what one block does, bit for bit,
    however often they are on disk."""
    folder, found = trained(), []
    for most, now in ((1024, -1.0), (3, -1.0), (1024, 1e18)):  # a clock by which it is never time to write, or always
        monkeypatch.setattr(recorder, "_MOST_DECISIONS", most)
        monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda now=now: now))
        found.append(rwta_sim.record(folder, 3, ["spikes", "q@decision", "hidden.x[1:3]@decision"], learning=learning))
    whole, *others = found
    assert len(whole) % 3 == 0
    for pieces in others:
        same(whole, pieces)


def same(whole, pieces):
    assert len(whole) > 30 and whole.episodes == pieces.episodes
    for column in whole.columns:
        np.testing.assert_array_equal(whole[column], pieces[column], err_msg=column)
    for probe in ("hidden.q", "action.q", "hidden.x"):
        np.testing.assert_array_equal(whole.readings(probe), pieces.readings(probe))
    assert whole.readings("hidden.x").shape == (len(whole), 2) and np.ptp(whole["observation"]) > 0
    for one, other in zip(whole.spikes("hidden"), pieces.spikes("hidden"), strict=True):
        np.testing.assert_array_equal(one, other)


def recomputed(recording, weights, kappa, q_too=False):
    """Potentials of hidden and action neurons, shape (steps, n), of one-block-per-step sums in NumPy."""
    steps, dt = round(float(recording.decision_time / recording.dt)), float(recording.dt)
    n_steps = len(recording) * steps
    fired = {}
    for name, population in recording.populations.items():
        i, t = recording.spikes(name)
        fired[name] = np.zeros((n_steps, population.stop - population.start))
        fired[name][np.rint((np.asarray(t) - float(recording.t_start)) / dt).astype(int), i] = 1.0
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    felt = np.where(lag > 0, kappa[np.maximum(lag - 1, 0)], 0.0)
    x = {name: np.concatenate([felt @ part for part in np.split(rows, len(recording))]) for name, rows in fired.items()}
    neurons = np.concatenate([x["hidden"], x["action"]], axis=1)
    n_hidden = x["hidden"].shape[1]
    u = np.tile(weights["b"], (n_steps, 1))
    for block, w in weights.items():
        if block != "b":
            pre = {"s": x["inputs"], "h": neurons[:, :n_hidden], "a": neurons[:, n_hidden:]}[block[0]]
            u[:, slice(None, n_hidden) if block[1] == "h" else slice(n_hidden, None)] += pre @ w
    return u


@pytest.mark.parametrize("engine", ["runtime", "compiled"])
def test_potentials_are_those_of_spikes_and_weights(trained, engine):
    """u of every step, recomputed from spikes, weights and kernel in NumPy, to 1e-9; q is its softmax."""
    folder = trained()
    if engine == "compiled":
        config = folder / "config.toml"
        config.write_text(
            config.read_text().replace('name = "runtime"', 'name = "compiled"').replace('target = "numpy"', "")
        )
    recording = rwta_sim.record(folder, 2, ["spikes", "u", "hidden.q[0:8]", "inputs.x[1]", "field"])
    assert recording.meta["engine"] == engine
    experiment = rwta_sim.RunFolder.open(folder).experiment
    network, steps = experiment.network, experiment.decision.steps
    kappa = network.kernel.values(steps, network.dt, network.circuit_rate)
    u = recomputed(recording, rwta_sim.Agent.load(folder).weights(), kappa)
    told = np.concatenate([recording.states("hidden.u").values, recording.states("action.u").values], axis=1)
    assert told.shape == u.shape
    assert np.abs(told - u).max() < 1e-9 < np.abs(u).max()
    # The field of a population is what synapses give all of its neurons: potentials but for biases, which are 0 here.
    for name, mine in (("hidden", u[:, : network.n_hidden]), ("action", u[:, network.n_hidden :])):
        np.testing.assert_allclose(recording.states(f"{name}.field").values, mine.sum(axis=1), atol=1e-9)
    t, q = recording.states("hidden.q")
    np.testing.assert_allclose(np.diff(t / ms), 1.0)
    circuits = np.exp(u[:, :8]).reshape(len(u), -1, network.hidden_size)
    circuits /= circuits.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(q, circuits.reshape(len(u), 8), atol=1e-9)


@pytest.mark.parametrize("how", ["events", "currents"])
def test_fields_are_what_synapses_give(trained, how):
    """At the end of decisions of the event engine, and of inputs that are currents: sums of u less b, to 1e-9."""
    changes = EVENTS if how == "events" else {"network.inputs": "current"}
    recording = rwta_sim.record(trained(**changes), 2, ["u", "field", "b.w@decision"], learning=True)
    b, start = np.repeat(recording.readings("b.w"), 1 if how == "events" else 20, axis=0), 0
    for name in ("hidden", "action"):
        if how == "events":
            u, field = (recording.readings(f"{name}.{variable}") for variable in ("u", "field"))
        else:
            u, field = (recording.states(f"{name}.{variable}").values for variable in ("u", "field"))
        where = slice(start, start := start + u.shape[1])
        np.testing.assert_allclose(field, (u - b[:, where]).sum(axis=1), atol=1e-9)
        assert np.ptp(field) > 0.01


def test_samples_at_a_period(trained):
    folder = trained()
    each = rwta_sim.record(folder, 1, ["hidden.u[0:6:2]"])
    some = rwta_sim.record(folder, 1, ["hidden.u[0:6:2]"], every=5 * ms)
    t, values = some.states("hidden.u")
    np.testing.assert_array_equal(values, each.states("hidden.u").values[::5])
    np.testing.assert_allclose(t / ms, np.arange(len(values)) * 5)
    part = some.decisions(3, 5).states("hidden.u")
    assert part.t[0] == 60 * ms and part.values.shape == (8, 3)
    np.testing.assert_array_equal(part.values, values[12:20])


@pytest.mark.parametrize(
    "changes",
    [{}, {"learning.modulation.kind": "episode_advantage"}, EVENTS, {"learning.apply": "synapses"}],
    ids=["td error", "advantage", "events", "synapses"],
)
def test_eligibility_times_modulation_is_the_change_of_weights(trained, changes):
    """With plain gradient ascent; decision by decision where weights change at once, else over the episode."""
    folder = trained(**changes, **{"learning.entropy": 0.0, "learning.final_rate": 1.0})
    recording = rwta_sim.record(folder, 2, ["eligibility", "w@decision", "w"], learning=True)
    experiment = rwta_sim.RunFolder.open(folder).experiment
    assert [row.number for row in recording.episodes] == [2, 3]  # where the training ended
    last = rwta_sim.RunFolder.open(folder).last().arrays["bias"]
    np.testing.assert_array_equal(recording.readings("b.w")[0], last)
    for block in ("sh", "ha", "b"):
        before = recording.readings(f"{block}.w")
        after = np.concatenate([before[1:], recording.at_episodes(f"{block}.w")[-1:]])
        m = recording["modulation"].reshape(-1, *[1] * (before.ndim - 1))
        step = experiment.learning.rate * m * recording.readings(f"{block}.eligibility")
        change = after - before
        if not experiment.learning.modulation.online:
            edges = [row.first for row in recording.episodes]
            step, change = (np.add.reduceat(x, edges) for x in (step, change))
        assert np.abs(step).max() > 1e-6
        np.testing.assert_allclose(change, step, atol=1e-12)
    assert not np.isnan(recording["td_error"]).any()


def test_td_errors_of_an_evaluation_are_those_of_its_values(trained):
    recording = rwta_sim.record(trained(), 2, [])
    for episode in recording:
        value, reward = episode["value"], episode["reward"]
        following = np.append(value[1:], 0.0)  # the episodes of this task end in a terminal state
        np.testing.assert_allclose(episode["td_error"], reward + recording.meta["gamma"] * following - value)
    assert "modulation" not in recording.columns and not recording.populations


def test_parts_and_units(trained):
    recording = rwta_sim.record(trained(), 3)
    (_, i_first, i_end, *_), middle = recording.episodes[1], recording.episode(1)
    assert len(middle) == i_end - i_first and [e.number for e in middle.episodes] == [1]
    whole, part = recording.spikes("hidden"), middle.spikes("hidden")
    inside = (whole.t >= middle.t_start - 1e-9 * second) & (whole.t < middle.t_start + middle.duration - 1e-9 * second)
    np.testing.assert_array_equal(part.t, whole.t[inside])
    np.testing.assert_array_equal(part.i, whole.i[inside])
    assert part.t.dim is second.dim
    counts = recording.spike_counts("hidden")
    np.testing.assert_array_equal(counts[i_first:i_end], middle.spike_counts("hidden"))
    assert counts.sum() == len(whole.i)
    np.testing.assert_array_equal([len(e) for e in recording], [e.end - e.first for e in recording.episodes])
    for wrong, error, message in [
        (lambda: recording.spikes("hiden"), KeyError, "did you mean 'hidden'"),
        (lambda: recording["actions"], KeyError, "did you mean 'action'"),
        (lambda: recording.states("hidden.u"), KeyError, "no probes were recorded"),
        (lambda: recording.episode(3), IndexError, "there are 3, counted from 0"),
        (lambda: recording.decisions(5, 10**6), IndexError, "decisions 5 to 1000000"),
    ]:
        with pytest.raises(error, match=message):
            wrong()


@pytest.mark.parametrize("engine", [{}, EVENTS], ids=["clocked", "events"])
def test_readings_of_decisions_are_the_same_whatever_is_read_beside_them(trained, engine):
    """Together, in one piece or many, in any order, whole or a part."""
    folder = trained(**engine)
    names = "hidden.q", "action.q", "sh.w"
    alone = {name: np.asarray(rwta_sim.record(folder, 2, [f"{name}@decision"]).readings(name)) for name in names}
    assert np.ptp(alone["hidden.q"]) > 0
    n = len(alone["hidden.q"][0])
    for probes, wanted in [
        (["hidden.q", "action.q"], alone),
        (["action.q", "hidden.q"], alone),
        (["action.q", "sh.w", f"hidden.q[1:{n}]"], {**alone, "hidden.q": alone["hidden.q"][:, 1:]}),
        (["hidden.q[0:1]", "action.q"], {**alone, "hidden.q": alone["hidden.q"][:, :1]}),
    ]:
        recording = rwta_sim.record(folder, 2, [f"{probe}@decision" for probe in probes])
        for name in {probe.partition("[")[0] for probe in probes}:
            read = np.asarray(recording.readings(name))
            np.testing.assert_array_equal(read, wanted[name], f"{name} of {probes}")


@pytest.mark.parametrize("engine", [{}, EVENTS], ids=["clocked", "events"])
def test_races_have_places_as_long_as_their_deadline(trained, engine):
    """Spikes stand within the reaction time of their decision, its last action spike at it; counts are those that the
    network told. What was recorded whole, for films, has the same spikes."""
    race = {"decision.race": 2, "learning.rule.kind": "last_step", "learning.rate": 1e-3}
    folder = trained(**race, **engine)
    recording = rwta_sim.record(folder, 2, ["spikes", "action.spike_counts", "hidden.spike_counts"])
    reaction, slot = recording["reaction_ms"] / 1e3, float(recording.decision_time)
    assert 0 < reaction.min() < reaction.max() <= slot + 1e-12
    for population in ("hidden", "action"):
        np.testing.assert_array_equal(
            recording.spike_counts(population), recording.readings(f"{population}.spike_counts")
        )
        t = np.asarray(recording.spikes(population).t)
        decision = ((t + 1e-9) / slot).astype(int)
        assert (t - decision * slot <= reaction[decision] + 1e-9).all()
    won = recording.spike_counts("action").max(axis=1) == 2  # others ran into their deadline
    last = np.array([t[decision == d].max() - d * slot for d in range(len(recording)) if won[d]])
    step = 0.0 if engine else float(recording.dt)  # of a clock, at whose end a spike of it is known
    np.testing.assert_allclose(last, reaction[won] - step, atol=1e-9)
    whole = record_episode(rwta_sim.RunFolder.open(folder), at_least=len(recording))
    np.testing.assert_allclose(np.sort(whole["neuron_t"]), np.sort(recording.arrays()["neuron_t"]), atol=1e-9)
    if not engine:
        with pytest.raises(ConfigError, match=r"'hidden.q' is read in every step, and with decision.race = 2"):
            rwta_sim.record(folder, 1, ["hidden.q@step"])


def test_what_cannot_be_recorded(trained, tmp_path):
    folder = trained()
    for probes, how, message in [
        (["spikse"], {}, "did you mean 'spikes'"),
        (["hiden.u"], {}, "did you mean 'hidden.u'"),
        (["hidden.u[0:999]"], {}, r"hidden.u has \d+ values"),
        (["hidden.u[a]"], {}, "expected a number, or as in"),
        (["hidden.u@decision"], {}, "can be read at @step, not at 'decision'"),
        (["spikes[3]"], {}, "is recorded as a whole"),
        (["a b"], {}, "expected NAME"),
        (["hidden.u", "u[0]"], {}, "asked for twice"),
        (["hidden.u"], {"every": "3 ms"}, "every = 3 ms: expected a multiple of the time step, 1 ms"),
        (["hidden.u"], {"every": "3"}, "not a number with a unit"),
        (["hidden.u"], {"every": "3 Hz"}, "expected a time"),
        (["spikes"], {"name": "../x"}, "expected the name of a file"),
    ]:
        with pytest.raises(ConfigError, match=message):
            rwta_sim.record(folder, 1, probes, **how)
    assert not list((folder / "recordings").glob("*.zarr"))
    with pytest.raises(ConfigError, match="can be read at @decision, not at 'step'"):
        rwta_sim.record(trained(**EVENTS), 1, ["hidden.u@step"])
    made = rwta_sim.record(folder, 1, [], name="mine")
    with pytest.raises(RunError, match="exists already"):
        rwta_sim.record(folder, 1, [], name="mine")
    (made.path / "decisions/reward/c/0").write_bytes(b"short")
    with pytest.raises(RunError, match=r"reward/c/0 cannot be read .*5 bytes, expected"):
        made["reward"]
    with pytest.raises(RunError, match="is no recording: `rwta-sim record RUN`"):
        rwta_sim.Recording.open(folder)
    write_group(tmp_path / "other", {})
    with pytest.raises(RunError, match="no recording of rwta_sim: its format is None"):
        rwta_sim.Recording.open(tmp_path / "other")


def test_any_reader_of_zarr_opens_it(trained):
    zarr = pytest.importorskip("zarr")
    recording = rwta_sim.record(trained(), 2, ["spikes", "hidden.q[0:3]", "sh.w"])
    group = zarr.open_group(recording.path, mode="r")
    assert group.attrs["task"] == "cue"
    np.testing.assert_array_equal(group["decisions/action"][:], recording["action"])
    np.testing.assert_array_equal(group["states/hidden.q"][:], recording.states("hidden.q").values)
    np.testing.assert_array_equal(group["episodes/sh.w"][:], recording.at_episodes("sh.w"))
    low, high = recording.populations["hidden"].start, recording.populations["hidden"].stop
    i = group["spikes/neurons/i"][:]
    np.testing.assert_array_equal(i[(i >= low) & (i < high)], recording.spikes("hidden").i)


@pytest.mark.parametrize("many", [1, 10, 2**16])
@pytest.mark.parametrize("shape, dtype", [((), "int64"), ((3,), "float32"), ((2, 2), "uint8"), ((), "bool")])
def test_arrays_grow(tmp_path, monkeypatch, shape, dtype, many):
    """Appended in pieces that do and do not fill chunks, copied into them first or not; flushed or not, what is read is
    what was flushed."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 7)
    monkeypatch.setattr(chunks, "_MANY", many)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (40, *shape)).astype(dtype)
    array, done = GrowingArray(tmp_path / "a", shape, dtype), 0
    for size in (0, 1, 5, 1, 20, 13):
        array.append(rows[done : done + size])
        done += size
        array.flush()
        stored = StoredArray(tmp_path / "a")
        assert stored.shape == (done, *shape) and stored.dtype == dtype
        for _ in range(3):
            low, high = sorted(rng.integers(0, done + 1, 2))
            np.testing.assert_array_equal(stored.rows(low, high), rows[low:high])
    assert array.bytes_in_memory == 7 * rows[:1].nbytes


def test_a_full_disk(trained, monkeypatch):
    """From some write on there is no room: the error says so, what was written is read, and the run is as it was."""
    folder = trained()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("rwta_sim.lab.recorder._PERIOD", 0.0)
    written, real = [], os.pwrite

    def pwrite(file, data, at):
        written.append(at)
        if len(written) > 300:
            raise OSError(28, "No space left on device")
        return real(file, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(RunError, match=r"No space left on device.*what was recorded before can be read"):
        rwta_sim.record(folder, 50)
    monkeypatch.undo()
    recording = rwta_sim.Recording.open(folder / "recordings" / "recording.zarr")
    assert not recording.complete and 0 < len(recording) < 50 * 20
    assert recording.spike_counts("hidden").sum() == len(recording.spikes("hidden").i) > 0
    assert all(path.read_bytes() == data for path, data in before.items())


def test_killed_at_any_moment_it_can_be_read(trained, monkeypatch):
    """SIGKILL while it records: decisions up to a moment ago, of all arrays, which are those of a whole recording."""
    folder = trained()
    where = folder / "recordings" / "recording.zarr"
    probes = ["spikes", "hidden.u[0:4]", "q@decision"]
    monkeypatch.setattr("rwta_sim.lab.recorder._PERIOD", 0.05)
    process = multiprocessing.get_context("fork").Process(target=rwta_sim.record, args=(folder, 100_000, probes))
    process.start()
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.is_alive():
            if (where / "zarr.json").exists() and len(rwta_sim.Recording.open(where)) >= 40:
                break
            time.sleep(0.01)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    recording = rwta_sim.Recording.open(where)
    assert not recording.complete and len(recording) >= 40 and "not complete" in repr(recording)
    whole = rwta_sim.record(folder, 3, probes)
    n = min(len(whole), len(recording))
    a, b = whole.decisions(0, n), recording.decisions(0, n)
    np.testing.assert_array_equal(a["action"], b["action"])
    np.testing.assert_array_equal(a.spikes("hidden").t, b.spikes("hidden").t)
    np.testing.assert_array_equal(a.states("hidden.u").values, b.states("hidden.u").values)
    np.testing.assert_array_equal(a.readings("action.q"), b.readings("action.q"))


def test_an_environment_that_fails_leaves_what_came_before(trained, monkeypatch):
    folder = trained()

    def fail(self, action):
        self.count = getattr(self, "count", 0) + 1
        if self.count == 30:
            raise RuntimeError("broken")
        return real(self, action)

    kind = type(rwta_sim.Agent.load(folder).env.unwrapped)
    real = kind.step
    monkeypatch.setattr(kind, "step", fail)
    with pytest.raises(rwta_sim.errors.EnvironmentFailure, match="broken"):
        rwta_sim.record(folder, 3)
    recording = rwta_sim.Recording.open(folder / "recordings" / "recording.zarr")
    assert not recording.complete and len(recording) == 29 and len(recording.episodes) == 1
    monkeypatch.undo()
    whole = rwta_sim.record(folder, 2).decisions(0, 29)
    np.testing.assert_array_equal(whole.spikes("action").t, recording.spikes("action").t)


def test_systems_without_circuits(tmp_path):
    """Whatever a system declares can be recorded: at least its weights and its decisions."""
    changes = {"training.episodes": 2, "training.validation_episodes": 1, "network.hidden": 2}
    engine = {"engine": {"name": "runtime", "target": "numpy"}}
    rwta_sim.train(rwta_sim.preset("delayed-cue", "coagents").changed({**changes, **engine}), tmp_path / "run")
    recording = rwta_sim.record(tmp_path / "run", 1, ["w"])
    assert len(recording) == recording.episodes[0].end and not recording.populations
    with pytest.raises(ConfigError, match="there is none of the name 'spikes'"):
        rwta_sim.record(tmp_path / "run", 1)


def test_observations_of_any_kind(cue, tmp_path):
    env = Scripted(3, lambda step: np.full(2, step / 10))
    changes = {"critic.kind": "fourier", "training.episodes": 1, "training.validation_episodes": 1}
    rwta_sim.train(cue.changed(changes), tmp_path / "run", env=env)
    recording = rwta_sim.record(tmp_path / "run", 2, [], env=env)
    np.testing.assert_allclose(recording["observation"][:, 1], [0, 0.1, 0.2] * 2)
    assert [row.terminated for row in recording.episodes] == [True, True]
    meta = json.loads((recording.path / "zarr.json").read_text())["attributes"]
    assert meta["configuration"].startswith("task") and meta["versions"]["brian2"]


OWN = """
from brian2 import *

def build(n_inputs, n_actions):
    model = "dv/dt = (drive*mV - v)/(10*ms) : volt\\ndrive : 1\\nmodulation : 1 (shared)\\nw : 1"
    cells = NeuronGroup(n_actions, model, threshold="v > 5*mV", reset="v = 0*mV", method="exact", dt=1*ms, name="cells")
    cells.run_regularly("w += modulation", dt=5*ms)
    return cells
"""


def test_a_network_of_the_users_own(tmp_path, monkeypatch):
    """Leaky neurons, episode by episode from rest: potentials, in volts, are their closed form; spikes are there."""
    (tmp_path / "recorded_network.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    experiment = Brian2Experiment(
        task="own",
        environment={"id": "rwta_sim/CueAction-v0", "kwargs": {"n_cues": 2, "trials": 4}},
        encoder={"copies": 1},
        network={
            "build": "recorded_network:build",
            "inputs": "cells.drive",
            "input_scale": 8.0,
            "actions": "cells",
            "modulation": "cells.modulation",
            "keep": ["cells.w"],
        },
        decision_steps=20,
        critic={"kind": "constant", "gamma": 0, "rate": 0.05},
        engine={"name": "runtime", "target": "numpy"},
        training={"episodes": 1, "validation_episodes": 1},
    )
    rwta_sim.train(experiment, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"did you mean 'cells\.v'"):
        rwta_sim.record(tmp_path / "run", 1, ["cell.v"])
    with pytest.raises(ConfigError, match=r"expected a multiple of the time step, 0\.001 s"):
        rwta_sim.record(tmp_path / "run", 1, ["cells.v"], every=3 * ms)
    recording = rwta_sim.record(tmp_path / "run", 2, ["spikes", "cells.v", "w"], learning=True)
    assert len(recording) == 8 and list(recording.populations) == ["cells"]
    t, v = recording.states("cells.v")
    assert v.dim is volt.dim and v.shape == (160, 2) and t[-1] == 159 * ms
    drive = 8e-3 * np.repeat(recording["observation"][:, None] == np.arange(2), 20, axis=0)
    expected, fired, now = np.zeros((160, 2)), np.zeros((160, 2), bool), np.zeros(2)
    for step in range(160):
        if step == 80:  # the second episode
            now = np.zeros(2)
        expected[step] = now
        now = drive[step] + (now - drive[step]) * np.exp(-0.1)
        fired[step] = now > 5e-3
        now = np.where(fired[step], 0.0, now)
    np.testing.assert_allclose(np.asarray(v), expected, atol=1e-15)
    i, when = recording.spikes("cells")
    step, neuron = np.nonzero(fired)
    np.testing.assert_array_equal(i, neuron)
    np.testing.assert_allclose(when / ms, step)
    assert fired.any() and recording.at_episodes("cells.w").shape == (2, 2)
    np.testing.assert_array_equal(recording["modulation"], recording["td_error"])


def test_a_training_is_recorded(cue, tmp_path):
    """Every second episode, its eligibilities and weights; what is trained is the same bit for bit."""
    experiment = cue.changed({**POISSON, "training.episodes": 5, "training.validate_every": 2, "learning.entropy": 0.0})
    rwta_sim.train(experiment, tmp_path / "plain")
    wanted = rwta_sim.TrainingRecord(["spikes", "sh.w@decision", "sh.eligibility", "w"], nth=2)
    rwta_sim.train(experiment, tmp_path / "recorded", record=wanted)
    plain, run = (rwta_sim.RunFolder.open(tmp_path / name) for name in ("plain", "recorded"))
    assert plain.metrics_path.read_bytes() == run.metrics_path.read_bytes()
    for name, array in plain.last().arrays.items():
        np.testing.assert_array_equal(array, run.last().arrays[name])
    recording = run.open_recording("training")
    assert recording.complete and [row.number for row in recording.episodes] == [0, 2, 4]
    np.testing.assert_array_equal([row.total for row in recording.episodes], run.metrics()["return"][::2])
    np.testing.assert_array_equal(recording.at_episodes("b.w")[-1], run.last().arrays["bias"])
    for episode in recording:
        rate = experiment.learning.rate * (1 - (1 - experiment.learning.final_rate) * episode.episodes[0].number / 5)
        step = rate * episode["modulation"][:, None, None] * episode.readings("sh.eligibility")
        np.testing.assert_allclose(np.diff(episode.readings("sh.w"), axis=0), step[:-1], atol=1e-12)
    # The spikes of an episode, played again with its weights: the first one's, as it began.
    counts = recording.episode(0).spike_counts("hidden")
    assert counts[0].sum() > 0 and counts.sum() == len(recording.episode(0).spikes("hidden").i)
    # A training that was cut short goes on with a recording of its own, and comes to the same.
    cut = tmp_path / "cut"

    def interrupt(progress):
        if progress.episode == 2:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, cut, report=interrupt).finished
    rwta_sim.resume(cut, record=wanted)
    for name, array in plain.last().arrays.items():
        np.testing.assert_array_equal(array, rwta_sim.RunFolder.open(cut).last().arrays[name])
    late = rwta_sim.RunFolder.open(cut).open_recording("training")
    whole = {row.number: recording.episode(k) for k, row in enumerate(recording.episodes)}
    assert late.complete and late.episodes and {row.number for row in late.episodes} < set(whole)
    for episode in late:
        same = whole[episode.episodes[0].number]
        np.testing.assert_array_equal(episode.readings("sh.w"), same.readings("sh.w"))
        np.testing.assert_array_equal(episode.spikes("hidden").i, same.spikes("hidden").i)
    batches = {"learning.modulation.kind": "episode_advantage", "learning.batch": 2, **EVENTS}
    side_by_side = experiment.changed(batches).changed({"training.replicas": 2})
    with pytest.raises(ConfigError, match="one episode after the other"):
        rwta_sim.train(side_by_side, tmp_path / "never", record=wanted)
    with pytest.raises(ConfigError, match="nth = 0"):
        rwta_sim.train(experiment, tmp_path / "never", record=wanted._replace(nth=0))
    assert not (tmp_path / "never").exists()


def test_commands(trained):
    """`record` lists probes, records with units, and tells what it made; `train --record` records on its way."""
    folder, runner = trained(), CliRunner()

    def run(*line):
        return runner.invoke(cli, [str(word) for word in line], catch_exceptions=False)

    listed = run("record", folder, "--probe", "help").output
    assert "hidden.u" in listed and "@step" in listed and "@episode, @decision" in listed and "(s)" in listed
    line = ("record", folder, "--episodes", 2, "--probe", "spikes", "--probe", "hidden.u[0:2]", "--every", "5 ms")
    told = json.loads(run(*line, "--name", "mine", "--json").output)
    assert told["episodes"] == 2 and told["probes"] == ["hidden.u@step"] and told["bytes"] > 0
    recording = rwta_sim.RunFolder.open(folder).open_recording("mine")
    assert recording.states("hidden.u").values.shape == (told["decisions"] * 4, 2)
    assert "decisions of 1 episodes" in run("record", folder, "--episodes", 1, "--learning").output
    with pytest.raises(RunError, match="did you mean 'mine'"):
        rwta_sim.RunFolder.open(folder).open_recording("mien")
    again = folder.parent / "again"
    short = ("--episodes", 3, "--training.validation_episodes", 1, "--no-figures", "--engine", "events", "--run", again)
    run("train", "cue", "--record", "spikes", "--record-nth", 2, *short)
    assert [row.number for row in rwta_sim.RunFolder.open(again).open_recording("training").episodes] == [0, 2]
