"""Recordings in other tools: the same spikes, units, trials and rates, however they get there."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from known_recordings import known_recording

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.export import export, to_neo

needed = [pytest.importorskip(name) for name in ("neo", "elephant", "pynwb", "pyarrow")]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Three episodes of the smallest task, event by event, with all kinds of probes."""
    folder = tmp_path_factory.mktemp("export") / "run"
    experiment = rwta_sim.preset("cue").changed(
        {"engine": {"name": "events"}, "training.episodes": 2, "training.validation_episodes": 1}
    )
    rwta_sim.train(experiment, folder)
    return rwta_sim.record(folder, 3, ["spikes", "q@decision", "sh.w", "ha.w@decision"], learning=True)


@pytest.fixture(scope="module")
def nwb(recording, tmp_path_factory):
    return export(recording, "nwb", tmp_path_factory.mktemp("nwb") / "recording.nwb")


def by_neuron(recording, population):
    i, t = recording.spikes(population)
    size = recording.populations[population].stop - recording.populations[population].start
    return [np.asarray(t)[i == neuron] for neuron in range(size)]


def test_nwb_read_by_pynwb(recording, nwb):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(nwb, "r") as io:
        file = io.read()
        units = file.units
        at = 0
        for population in recording.populations:
            for neuron, times in enumerate(by_neuron(recording, population)):
                np.testing.assert_array_equal(units["spike_times"][at], times)
                assert units["population"][at] == population and units["neuron"][at] == neuron
                at += 1
        assert at == len(units) and 0 < units.resolution < 1e-9  # without a time step
        _, hidden_circuits = recording.populations["hidden"].start, recording.populations["hidden"].circuits
        circuit = units["circuit"][:][np.array(units["population"][:]) == "hidden"]
        np.testing.assert_array_equal(np.bincount(circuit), np.diff(hidden_circuits))
        step = float(recording.decision_time)
        np.testing.assert_allclose(file.trials["start_time"][:], [e.first * step for e in recording.episodes])
        np.testing.assert_allclose(file.trials["stop_time"][:], [e.end * step for e in recording.episodes])
        np.testing.assert_array_equal(file.trials["episode_return"][:], [e.total for e in recording.episodes])
        decisions = file.intervals["decisions"]
        for name in ("action", "reward", "td_error", "modulation", "policy", "value"):
            np.testing.assert_array_equal(decisions[name][:], recording[name])
        assert decisions["stop_time"][-1] == pytest.approx(float(recording.duration))
        seen = file.stimulus["observation"]
        np.testing.assert_array_equal(seen.data[:], recording["observation"].reshape(len(recording), -1))
        assert seen.rate == pytest.approx(1 / step) and seen.starting_time == 0
        network = file.processing["network"]
        np.testing.assert_array_equal(network["sh_w_at_episode"]["value"][:], recording.at_episodes("sh.w"))
        np.testing.assert_array_equal(network["ha_w_at_decision"]["value"][:], recording.readings("ha.w"))
        np.testing.assert_array_equal(network["hidden_q_at_decision"].data[:], recording.readings("hidden.q"))
        assert file.notes == recording.meta["configuration"] and "seed 0" in file.experiment_description


def test_nwb_is_what_its_inspector_wants(nwb):
    """Nothing CRITICAL, no error, no violation of best practice, but that there is no animal."""
    inspector = pytest.importorskip("nwbinspector")
    found = list(inspector.inspect_nwbfile(nwbfile_path=str(nwb)))
    serious = {m.check_function_name for m in found if m.importance.name != "BEST_PRACTICE_SUGGESTION"}
    assert serious == {"check_subject_exists"}, found


@pytest.mark.nightly  # numba compiles half a minute
def test_nwb_read_by_pynapple(recording, nwb):
    nap = pytest.importorskip("pynapple")
    data = nap.load_file(str(nwb))
    units = data["units"]
    hidden = [k for k in units.keys() if units["population"][k] == "hidden"]
    rates = [len(times) / float(recording.duration) for times in by_neuron(recording, "hidden")]
    span = nap.IntervalSet(0, float(recording.duration))
    np.testing.assert_allclose([len(units[k].restrict(span)) / span.tot_length() for k in hidden], rates)
    trials = data["trials"]
    ends = [e.end * float(recording.decision_time) for e in recording.episodes]
    np.testing.assert_allclose(trials["end"], ends, atol=2e-6)  # it takes a microsecond off where trials touch


def test_neo_to_elephant(recording, tmp_path):
    import neo
    import quantities as pq
    from elephant.statistics import mean_firing_rate

    path = export(recording, "neo", tmp_path / "recording.mat")
    for block in (to_neo(recording), neo.io.NeoMatlabIO(str(path)).read_block()):
        assert len(block.segments) == len(recording.episodes) == 3
        for segment, part in zip(block.segments, recording, strict=True):
            trains = [t for t in segment.spiketrains if t.annotations["population"] == "hidden"]
            for train, times in zip(trains, by_neuron(part, "hidden"), strict=True):
                np.testing.assert_allclose(train.rescale(pq.s).magnitude, times, atol=1e-12)
                assert train.units == pq.s and float(train.t_stop - train.t_start) == pytest.approx(
                    float(part.duration)
                )
                assert float(mean_firing_rate(train)) == pytest.approx(len(times) / float(part.duration))
            (epoch,) = segment.epochs
            np.testing.assert_allclose(epoch.durations.magnitude, float(part.decision_time))
            signals = {signal.name: signal for signal in segment.analogsignals}
            np.testing.assert_array_equal(signals["reward"].magnitude[:, 0], part["reward"])
            np.testing.assert_array_equal(signals["hidden.q@decision"].magnitude, part.readings("hidden.q"))
            assert len(epoch) == len(signals["action"]) == len(part)
    group = next(g for g in to_neo(recording).groups if g.annotations["population"] == "action")
    assert len(group.spiketrains) == 3


def test_elephant_cuts_trials_out_of_it(recording):
    from elephant.trials import TrialsFromBlock

    trials = TrialsFromBlock(to_neo(recording))
    assert trials.n_trials == 3
    counts = [sum(len(train) for train in trials.get_spiketrains_from_trial_as_list(n)) for n in range(3)]
    assert counts == [sum(len(part.spikes(name).i) for name in part.populations) for part in recording]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables(recording, tmp_path, format, monkeypatch):
    """In pieces of a few decisions, put together: every number as it was recorded."""
    monkeypatch.setattr("rwta_sim.lab.export.tables.BLOCK", 7)
    folder = export(recording, format, tmp_path / "tables")

    def column(table, name):
        if format == "csv":
            with open(folder / f"{table}.csv", newline="") as file:
                return [row[name] for row in csv.DictReader(file)]
        from pyarrow.parquet import read_table

        return read_table(folder / f"{table}.{format}")[name].to_pylist()

    def numbers(table, name):
        return np.array(column(table, name), float)

    np.testing.assert_array_equal(numbers("decisions", "td_error"), recording["td_error"])
    np.testing.assert_array_equal(numbers("decisions", "policy_1"), recording["policy"][:, 1])
    edges = [e.end - e.first for e in recording.episodes]
    np.testing.assert_array_equal(
        numbers("decisions", "episode"), np.repeat([e.number for e in recording.episodes], edges)
    )
    np.testing.assert_array_equal(numbers("episodes", "return"), [e.total for e in recording.episodes])
    times, who = numbers("spikes", "time"), np.array(column("spikes", "population"))
    assert (np.diff(times) >= 0).all() and len(times) == sum(len(recording.spikes(p).i) for p in recording.populations)
    np.testing.assert_array_equal(times[who == "hidden"], np.asarray(recording.spikes("hidden").t))
    np.testing.assert_array_equal(numbers("spikes", "neuron")[who == "hidden"], recording.spikes("hidden").i)
    weights = recording.at_episodes("sh.w")
    np.testing.assert_array_equal(numbers("sh.w@episode", "value"), weights.ravel())
    np.testing.assert_array_equal(numbers("sh.w@episode", "i1")[: weights.shape[2]], np.arange(weights.shape[2]))
    np.testing.assert_array_equal(numbers("hidden.q@decision", "value_2"), recording.readings("hidden.q")[:, 2])


def test_states_are_streamed_into_nwb(tmp_path, cue):
    """Sampled potentials, and the field of a population, as regular series with the rate of the samples."""
    from pynwb import NWBHDF5IO

    rwta_sim.train(cue.changed({"training.episodes": 1, "training.validation_episodes": 1}), tmp_path / "run")
    made = rwta_sim.record(tmp_path / "run", 2, ["hidden.u[0:3]", "hidden.field"])
    with NWBHDF5IO(export(made, "nwb"), "r") as io:
        file = io.read()
        series = file.processing["network"]["hidden_u_at_step"]
        np.testing.assert_array_equal(series.data[:], made.states("hidden.u").values)
        assert series.rate == pytest.approx(1 / float(made.dt)) and file.units is None
        field = file.processing["network"]["hidden_field_at_step"]
        np.testing.assert_array_equal(field.data[:], made.states("hidden.field").values)
        assert field.rate == series.rate and "synaptic current" in field.description and np.ptp(field.data[:]) > 0
    (signal,) = [s for s in to_neo(made).segments[0].analogsignals if s.name == "hidden.field@step"]
    first = made.episode(0).states("hidden.field")
    np.testing.assert_array_equal(signal.magnitude[:, 0], first.values)
    assert float(signal.sampling_rate.rescale("Hz")) == pytest.approx(1 / float(made.dt))


def test_what_cannot_be_exported(recording, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'nwb'"):
        export(recording, "nwbb")
    (tmp_path / "there.nwb").touch()
    with pytest.raises(RunError, match="exists already"):
        export(recording, "nwb", tmp_path / "there.nwb")
    with pytest.raises(RunError, match="no decisions to export"):
        export(recording.decisions(0, 0), "csv", tmp_path / "none")
    with pytest.raises(RunError, match=r"cannot write .*nowhere"):
        export(recording, "nwb", tmp_path / "nowhere" / "x.nwb")
    monkeypatch.setitem(__import__("sys").modules, "pynwb", None)
    with pytest.raises(ConfigError, match=r"needs pynwb: pip install 'rwta-sim\[neuro\]'"):
        export(recording, "nwb", tmp_path / "x.nwb")
    run = recording.path.parent.parent
    runner = CliRunner()
    assert runner.invoke(cli, ["export", str(run), "--format", "csv", "--out", str(tmp_path / "c")]).exit_code == 0
    result = runner.invoke(cli, ["export", str(run), "--name", "recordin"])
    assert isinstance(result.exception, RunError) and "did you mean 'recording'" in str(result.exception)
    assert "decisions.csv" in {path.name for path in (tmp_path / "c").iterdir()}


def test_a_part_is_exported_alone(tmp_path):
    """Spikes at the edges of decisions are in the part to which they belong."""
    t = np.arange(0, 100) * 0.01
    whole = known_recording(tmp_path / "x", (np.zeros(100, int), t), 1, {}, [4, 6])
    part = whole.episode(1)
    train = to_neo(part).segments[0].spiketrains[0]
    np.testing.assert_allclose(train.magnitude, t[40:])
    assert float(train.t_start) == pytest.approx(0.4) and float(train.t_stop) == pytest.approx(1.0)
