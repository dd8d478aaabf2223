"""Memory: what is reckoned against what is taken, and what is said where there is not enough."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import rwta_sim
from rwta_sim import cli, memory
from rwta_sim.agents.rwta.needs import network_needs, training_needs
from rwta_sim.errors import NotEnoughMemory
from rwta_sim.memory import Need, available, require

resource = pytest.importorskip("resource")

TRAIN = """
import json, re, sys
import rwta_sim, rwta_sim.cli
from rwta_sim.agents.rwta.needs import training_needs
task, changes, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
small = {"engine.target": "numpy", "training.episodes": 1, "training.validation_episodes": 1}
experiment = rwta_sim.preset(task, "svpg-lockstep").changed({**small, **changes})
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
before = peak()
rwta_sim.train(experiment, folder)
print(peak() - before, sum(need.bytes for need in training_needs(experiment, 4, 4)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="which tells the peak")
@pytest.mark.parametrize(
    "task, changes",
    [
        ("cue", {"network.hidden_circuits": 250, "network.hidden_size": 8}),
        ("cue", {"network.hidden_circuits": 400, "network.hidden_size": 15, "network.sparsity": 0.95}),
        ("cue", {"environment.kwargs.trials": 1, "decision.steps": 1500, "learning.rule.kind": "score_function"}),
    ],
    ids=["weights", "packed weights", "history"],
)
def test_what_is_reckoned_is_what_is_taken(task, changes, tmp_path):
    """Not more, so that nothing is refused that fits; nor less than half of it."""
    line = [sys.executable, "-c", TRAIN, task, json.dumps(changes), str(tmp_path / "run")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken, reckoned = map(int, done.stdout.split())
    assert 50e6 < reckoned < taken < 2.2 * reckoned


def test_a_closed_form():
    """A network whose arrays are few enough to be counted by hand."""
    changes = {"network.hidden_circuits": 0, "network.blocks": ["sa"], "learning.optimiser.kind": "sgd"}
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed(changes)
    weights = 1000 * 500
    need = network_needs(experiment, 1000, 500)
    assert [n.bytes for n in need] == [weights * (8 + 8 + 4) + 500 * 100]
    assert network_needs(experiment.with_dynamics("rate"), 1000, 500)[0].bytes == weights * 4
    more = training_needs(experiment, 1000, 500)
    assert sum(n.bytes for n in more) == need[0].bytes + weights * 8
    replicas = {"training.replicas": 5, "learning.batch": 5, "learning.modulation.kind": "episode_advantage"}
    many = training_needs(experiment.changed({**replicas, "engine.name": "compiled"}), 1000, 500)
    assert sum(n.bytes for n in many) == 5 * need[0].bytes + weights * 8
    assert any("4 more replicas" in n.what for n in many)


def test_sparse_networks_take_what_their_connections_take():
    """Weights in proportion to what the sparsity leaves, and a draw for each pair of circuits, or input and circuit."""
    changes = {"network.hidden_circuits": 100, "network.hidden_size": 10, "network.blocks": ["sh", "hh"]}
    whole = rwta_sim.preset("cue", "svpg-lockstep").changed({**changes, "learning.optimiser.kind": "sgd"})
    sparse = whole.changed({"network.sparsity": 0.9, "network.input_sparsity": 0.5})
    neurons, draws = 100 * 1004, 9 * (101**2 + 101 * 40)
    before, after = ([n.bytes for n in network_needs(e, 40, 4)] for e in (whole, sparse))
    assert before == [neurons + 20 * (40_000 + 1_000_000) + 1_000_000]
    assert after == [neurons + 20 * (20_000 + 100_000) + 100_000, draws]
    assert network_needs(sparse.with_dynamics("rate"), 40, 4)[0].bytes == 4 * 20_000 + 5 * 100_000


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"network.hidden_circuits": 100_000, "network.sparsity": 0.999999}, "pairs to draw.*lower network.hidden"),
        ({"network.hidden_circuits": 100_000}, "800,004 neurons.*|optimiser.*: lower network.hidden_circuits"),
        ({"network.hidden_circuits": 100_000, "network.hidden_size": 1000}, "GiB.*network.hidden_circuits"),
        (
            {"decision.steps": 1_000_000, "learning.rule.kind": "score_function"},
            "credit for 1,000,000 steps.*lower decision.steps",
        ),
        ({"encoder.copies": 10_000, "network.hidden_circuits": 20_000}, "there are"),
        ({"network.hidden_circuits": 100_000, "dynamics": "rate", "learning.rule.kind": "mean_field"}, "there are"),
        (
            {"network.hidden_circuits": 2000, "network.hidden_size": 1000, "network.inhibition": "equations"},
            "lower network.hidden",
        ),
        ({"critic.kind": "fourier", "critic.order": 10**12, "critic.coupled": False}, "lower critic.order"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_built(cue, tmp_path, changes, message):
    with pytest.raises(NotEnoughMemory, match=message) as caught:
        rwta_sim.train(cue.changed(changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_evaluation_needs_no_learner(cue, tmp_path, monkeypatch):
    """A run that could be evaluated is, even where it could not be trained."""
    rwta_sim.train(cue.changed({"training.episodes": 1, "training.validation_episodes": 1}), tmp_path / "run")
    playing = sum(need.bytes for need in network_needs(cue, 4, 4))
    monkeypatch.setattr(memory, "available", lambda: playing)
    rwta_sim.Agent.load(rwta_sim.RunFolder.open(tmp_path / "run"))
    with pytest.raises(NotEnoughMemory):
        rwta_sim.resume(tmp_path / "run")


def test_it_is_compared_with_what_there_is(monkeypatch):
    needs = [Need("a", 3 * 2**30, "do this"), Need("b", 2**30, "do that")]
    for there, enough in ((None, True), (4 * 2**30, True), (4 * 2**30 - 1, False), (0, False)):
        monkeypatch.setattr(memory, "available", lambda there=there: there)
        if enough:
            require(needs)
        else:
            with pytest.raises(NotEnoughMemory, match=r"4\.0 GiB of memory \(a: 3\.0 GiB\).*do this"):
                require(needs)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has is known there")
def test_limits_of_the_process_count():
    before = available()
    assert before is not None and 0 < before < 2**50
    code = "from rwta_sim.memory import available; print(available())"
    limit = 8 * 2**30
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert 0 < int(done.stdout) < limit


def test_limits_of_control_groups(tmp_path):
    root, groups = tmp_path / "cgroup", tmp_path / "groups"

    def group(name, **files):
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (root / name / file.replace("__", ".")).write_text(text)

    group("job", memory__max="1000", memory__current="700", memory__stat="anon 1\ninactive_file 50\n")
    group("job/step", memory__max="max", memory__current="600", memory__stat="inactive_file 50\n")
    groups.write_text("0::/job/step\n")
    assert list(memory._of_groups(root, groups)) == [350]

    files = {"memory__limit_in_bytes": "900", "memory__usage_in_bytes": "200", "memory__stat": "total_inactive_file 10"}
    group("memory", **files)
    groups.write_text("12:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n")  # which is not there
    assert list(memory._of_groups(root, groups)) == [710]
    assert list(memory._of_groups(root, tmp_path / "none")) == []


def test_no_memory_is_one_line(monkeypatch, capsys):
    def command(**_):
        raise MemoryError("Unable to allocate 7.28 TiB\nfor an array")

    monkeypatch.setattr(cli, "cli", command)
    with pytest.raises(SystemExit):
        cli.main()
    error = capsys.readouterr().err
    assert (
        error.startswith("error: out of memory (Unable to allocate 7.28 TiB for an array): make")
        and error.count("\n") == 1
    )
