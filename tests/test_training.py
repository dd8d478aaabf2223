"""Training: it learns, its controls do not, and nothing that happens to the process changes what it learns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Scripted
from rich.console import Console

import rwta_sim
from rwta_sim.envs.cue_action import CueAction
from rwta_sim.errors import EnvironmentFailure, RwtaSimError
from rwta_sim.lab.display import TrainingDisplay
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.training import Trainer
from rwta_sim.loop.players import OnePlayer

#: No early stop: the whole course of learning.
WHOLE = {"training.target": 1e9}


def trained(cue, folder, **changes):
    rwta_sim.train(cue.changed(changes), folder)
    return RunFolder.open(folder)


def end_of(run):
    """Everything a run came to, as bytes."""
    arrays = {name: array.tobytes() for name, array in run.last().arrays.items()}
    return arrays, run.metrics_path.read_bytes(), run.best().meta["episode"]


def test_it_learns_and_the_rule_does_it(cue, tmp_path):
    """Four cues: chance is 5 of 20. Learning gets 20; without it, or with the modulation shuffled, chance.

    Greedy without learning means one fixed choice: 5 +- 1.9. The bound of 12 is 3.6 standard deviations above
    for the mean of one episode; five are averaged.
    """
    scores = {}
    for control in ("none", "off", "shuffled"):
        run = trained(cue, tmp_path / control, **{"learning.control": control, "training.episodes": 40, **WHOLE})
        scores[control] = np.mean([e.total for e in rwta_sim.Agent.load(run).play(5)])
    assert scores["none"] >= 19
    assert scores["off"] < 12
    assert scores["shuffled"] < 12


@pytest.mark.parametrize(
    "changes",
    [
        {"network.firing": "poisson", "network.rho_hat": "400 Hz", "decision.steps": 8},
        {"network.kernel.kind": "rectangular", "network.kernel.duration": "4 ms", "decision.clear": "episode"},
        {"network.kernel.kind": "double_exponential", "network.kernel.tau": "4 ms", "network.kernel.tau_rise": "1 ms"},
        {"learning.rule.presynaptic": "probabilities", "learning.optimiser.kind": "adam"},
        {"learning.modulation.kind": "episode_advantage", "learning.modulation.trace": 0.0, "learning.rate": 0.03},
        {"learning.optimiser.kind": "sgd", "learning.rate": 0.1, "decision.decoder": "most_spikes"},
    ],
    ids=["poisson", "rectangular", "double_exponential", "probabilities", "episode_advantage", "sgd"],
)
def test_every_variant_learns(cue, tmp_path, changes):
    run = trained(cue, tmp_path / "run", **changes, **{"training.episodes": 60})
    assert np.mean([e.total for e in rwta_sim.Agent.load(run).play(5)]) >= 15


def test_same_seed_same_run(cue, tmp_path):
    short = {"training.episodes": 8, **WHOLE}
    one, same = (trained(cue, tmp_path / name, **short) for name in "ab")
    other = trained(cue, tmp_path / "c", seed=1, **short)
    assert end_of(one) == end_of(same)
    assert end_of(one) != end_of(other)


@pytest.mark.parametrize("apply", ["factors", pytest.param("synapses", marks=pytest.mark.nightly)])
def test_resume_in_the_middle_of_a_batch(tmp_path, apply):
    """Batches of four, stopped after 22 or 23 episodes: what waits for its update is in the checkpoint."""
    changes = {"engine.target": "numpy", "learning.apply": apply, "learning.batch": 4, "training.episodes": 25}
    xor = rwta_sim.preset("xor", "svpg-lockstep").changed(
        {**changes, "training.validate_every": 25, "network.hidden_circuits": 2}
    )
    rwta_sim.train(xor, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 22:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(xor, tmp_path / "parts", report=interrupt).finished
    saved = RunFolder.open(tmp_path / "parts").last().arrays
    assert saved["learner.batch.episodes"] in (2, 3)
    assert any(a.any() for name, a in saved.items() if "batch.sum" in name)
    assert rwta_sim.resume(tmp_path / "parts").finished
    assert end_of(RunFolder.open(tmp_path / "whole")) == end_of(RunFolder.open(tmp_path / "parts"))


@pytest.mark.parametrize("clear", ["decision", "episode"])
def test_resume_continues_exactly(cue, tmp_path, clear):
    """Stopped by SIGINT in mid-run, resumed: bit for bit the run that was never stopped."""
    experiment = cue.changed(
        {
            "training.episodes": 24,
            "training.validate_every": 6,
            "training.checkpoint_every": 5,
            "network.firing": "poisson",
            "network.rho_hat": "300 Hz",
            "decision.clear": clear,
            "network.kernel.kind": "rectangular",
            "network.kernel.duration": "3 ms",
            "learning.control": "shuffled",
            **WHOLE,
        }
    )
    rwta_sim.train(experiment, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 13:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    summary = rwta_sim.train(experiment, tmp_path / "parts", report=interrupt)
    assert not summary.finished and summary.episodes in (13, 14)
    assert signal.getsignal(signal.SIGINT) is before
    summary = rwta_sim.resume(tmp_path / "parts")
    assert summary.finished and summary.episodes == 24
    runs = [RunFolder.open(tmp_path / name) for name in ("whole", "parts")]
    assert end_of(runs[0]) == end_of(runs[1])
    assert RunFolder.open(tmp_path / "whole").last().meta["decisions"] == summary.decisions == 24 * 20


def test_a_budget_of_decisions(cue, tmp_path):
    """Training ends with the episode that uses it up, and is validated then; rates fall with the share that is used."""
    limits = {"training.decisions": 290, "training.validate_every": 40}
    run = trained(cue, tmp_path / "run", **limits, **{"training.episodes": 2, **WHOLE})
    metrics, learning = run.metrics(), cue.learning
    np.testing.assert_array_equal(metrics["decisions"], [20] * 15)
    falls = 1 - (1 - learning.final_rate) * np.arange(0, 300, 20) / 290
    np.testing.assert_allclose(metrics["learning_rate"], learning.rate * falls, rtol=1e-12)
    assert np.flatnonzero(np.isfinite(metrics["validation_return"])).tolist() == [14]
    assert (run.last().meta["decisions"], run.last().meta["validations"]) == (300, cue.training.validation_episodes)
    assert rwta_sim.resume(run.path).finished and end_of(RunFolder.open(run.path)) == end_of(run)

    def interrupt(progress):
        if progress.episode == 7:
            os.kill(os.getpid(), signal.SIGINT)

    experiment = cue.changed({**limits, "training.episodes": 2, **WHOLE})
    assert not rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).finished
    assert rwta_sim.resume(tmp_path / "parts").finished and end_of(RunFolder.open(tmp_path / "parts")) == end_of(run)


@pytest.mark.parametrize("budget", [None, 290])
def test_the_display_counts_what_the_training_is_counted_in(cue, tmp_path, capsys, budget):
    limits = {"training.decisions": budget, "training.episodes": 15, "training.validate_every": 10}
    with TrainingDisplay("cue") as display:
        rwta_sim.train(cue.changed({**limits, **WHOLE}), tmp_path / "run", report=display)
    lines = capsys.readouterr().err.splitlines()[1:]
    found = [line.split("  ")[0] for line in lines if "validation" in line]
    assert found == (["decision 200/290", "decision 300/290"] if budget else ["episode 10/15", "episode 15/15"])


def test_a_notebook_shows_a_training_as_one_output(cue, tmp_path, capsys, monkeypatch):
    """One output of the cell, which is updated; its end is the end of the training, and the summary is a table."""
    shown, updates = [], []

    def display(page, display_id):
        shown.append(page)
        return SimpleNamespace(update=updates.append)

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    monkeypatch.setattr("rwta_sim.lab.display.Console", partial(Console, force_jupyter=True))
    changes = {"training.episodes": 4, "training.validate_every": 2, **WHOLE}
    summary = rwta_sim.train(cue.changed(changes), tmp_path / "run", report=TrainingDisplay("a <cue>"))
    assert len(shown) == 1 and '<progress value="4" max="4"' in updates[-1]
    assert "a &lt;cue&gt;: episode 4/4" in updates[-1] and "validation" in updates[-1]
    assert not any(capsys.readouterr())
    assert "<th" in summary._repr_html_() and "True" in summary._repr_html_()


@pytest.mark.parametrize("length", [{"training.episodes": 60}, {"training.decisions": 1190}], ids=lambda x: min(x))
def test_kill_at_any_moment(cue, tmp_path, length):
    """SIGKILL at two moments; benchmarks/kill_resume.py does it a thousand times."""
    experiment = cue.changed({**length, "training.checkpoint_every": 3, **WHOLE})
    rwta_sim.train(experiment, tmp_path / "whole")
    config = (tmp_path / "whole" / "config.toml").read_text()
    command = [sys.executable, "-m", "rwta_sim", "train", "cue", "--config", str(tmp_path / "c.toml"), "--no-figures"]
    (tmp_path / "c.toml").write_text(config)
    folder = tmp_path / "killed"
    process = subprocess.Popen([*command, "--run", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for kill in range(2):
        metrics = folder / "metrics.csv"
        deadline = time.monotonic() + 120
        while not metrics.exists() or len(metrics.read_bytes().splitlines()) < 10 + 15 * kill:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        process = subprocess.Popen(
            [sys.executable, "-m", "rwta_sim", "resume", str(folder), "--no-figures"], stdout=subprocess.DEVNULL
        )
    assert process.wait(timeout=120) == 0
    assert end_of(RunFolder.open(folder)) == end_of(RunFolder.open(tmp_path / "whole"))


def test_killed_before_the_first_checkpoint(cue, tmp_path):
    short = {"training.episodes": 3, **WHOLE}
    whole = trained(cue, tmp_path / "whole", **short)
    RunFolder.create(tmp_path / "new", cue.changed(short))
    (tmp_path / "new" / "metrics.csv").unlink()
    rwta_sim.resume(tmp_path / "new")
    assert end_of(RunFolder.open(tmp_path / "new")) == end_of(whole)


def test_early_stop_and_best_checkpoint(cue, tmp_path):
    run = trained(cue, tmp_path / "run", **{"training.target": 18.0, "training.validate_every": 5})
    metrics = run.metrics()
    validated = metrics["validation_return"][np.isfinite(metrics["validation_return"])]
    assert (validated[:-1] < 18).all() and validated[-1] >= 18
    assert len(metrics["episode"]) == 5 * len(validated) < 60
    best = run.best().meta
    assert best["best_validation"] == validated.max() and best["episode"] == len(metrics["episode"])


def test_failing_environment_is_checkpointed_first(cue, tmp_path):
    """What was learned until the failure is saved, the message names the step, and the run can go on."""
    calls = []

    def observe(step):
        calls.append(step)
        if len(calls) == 40:
            raise RuntimeError("cable broke")
        return np.array([0.1 * step, 0.0])

    experiment = cue.changed({"critic.kind": "fourier", "training.episodes": 10, **WHOLE})
    with pytest.raises(EnvironmentFailure, match=r"Scripted: step 3 .*cable broke"):
        rwta_sim.train(experiment, tmp_path / "run", env=Scripted(5, observe))
    run = RunFolder.open(tmp_path / "run")
    assert run.last().meta["episode"] == 6
    assert len(run.metrics()["episode"]) == 6
    assert rwta_sim.resume(tmp_path / "run", env=Scripted(5, observe)).episodes == 10


@pytest.mark.parametrize("failing_reset", [4, 9])
def test_failure_in_a_validation_is_repeated_exactly(cue, tmp_path, failing_reset):
    """Resets 3-5 and 8-10 are validations: the run resumes from the checkpoint before, to the same end."""
    experiment = cue.changed(
        {"training.episodes": 4, "training.validate_every": 2, "training.validation_episodes": 3, **WHOLE}
    )
    rwta_sim.train(experiment, tmp_path / "smooth")

    class Fails(CueAction):
        resets = 0

        def reset(self, **kwargs):
            Fails.resets += 1
            if Fails.resets == failing_reset:
                raise RuntimeError("cable broke")
            return super().reset(**kwargs)

    with pytest.raises(EnvironmentFailure, match="cable broke"):
        rwta_sim.train(experiment, tmp_path / "failed", env=Fails())
    assert rwta_sim.resume(tmp_path / "failed", env=Fails()).finished
    assert end_of(RunFolder.open(tmp_path / "failed")) == end_of(RunFolder.open(tmp_path / "smooth"))


@pytest.mark.parametrize("stop", [None, 3])
def test_who_succeeds_is_better_than_who_earns(cue, tmp_path, stop):
    """Three validations: all succeed; half do, and earn more; all do, and earn less. Also when stopped in between."""
    pay = {3: (1, True), 4: (1, True), 7: (5, False), 8: (5, True), 11: (0.5, True), 12: (0.5, True)}

    class Pays(CueAction):
        resets = 0

        def reset(self, **kwargs):
            Pays.resets += 1
            return super().reset(**kwargs)

        def step(self, action):
            earned, success = pay.get(Pays.resets, (0, False))
            observation, _, ended, truncated, info = super().step(action)
            return observation, earned, ended, truncated, {**info, "success": success}

    def report(progress):
        if progress.episode == stop:
            os.kill(os.getpid(), signal.SIGINT)

    changes = {"training.episodes": 6, "training.validate_every": 2, "training.validation_episodes": 2, **WHOLE}
    done = rwta_sim.train(cue.changed(changes), tmp_path / "run", env=Pays(), report=report)
    assert done.finished == (stop is None)
    rwta_sim.resume(tmp_path / "run", env=Pays())
    run = RunFolder.open(tmp_path / "run")
    assert (run.best().meta["episode"], run.last().meta["best_success"]) == (2, 1.0)
    metrics = run.metrics()
    np.testing.assert_array_equal(metrics["validation_success"], [np.nan, 1, np.nan, 0.5, np.nan, 1])
    np.testing.assert_array_equal(metrics["validation_return"], [np.nan, 20, np.nan, 100, np.nan, 10])


@pytest.mark.parametrize(("best_by", "episode"), [("return", 4), ("discounted_return", 2)])
@pytest.mark.parametrize("stop", [None, 3])
def test_who_arrives_sooner_may_be_better_than_who_earns_more(cue, tmp_path, best_by, episode, stop):
    """Two validations with gamma 0: the first is paid for the first decision, the second more, for the others."""

    class Pays(CueAction):
        resets = decisions = 0

        def reset(self, **kwargs):
            Pays.resets, Pays.decisions = Pays.resets + 1, 0
            return super().reset(**kwargs)

        def step(self, action):
            Pays.decisions += 1
            observation, _, ended, truncated, info = super().step(action)
            earned = float((Pays.decisions == 1) == (Pays.resets == 3))
            return observation, earned, ended, truncated, {**info, "success": True}

    def report(progress):
        if progress.episode == stop:
            os.kill(os.getpid(), signal.SIGINT)

    changes = {"training.episodes": 4, "training.validate_every": 2, "training.validation_episodes": 1, **WHOLE}
    rwta_sim.train(cue.changed({**changes, "training.best_by": best_by}), tmp_path / "run", env=Pays(), report=report)
    rwta_sim.resume(tmp_path / "run", env=Pays())
    run = RunFolder.open(tmp_path / "run")
    np.testing.assert_array_equal(run.metrics()["validation_return"], [np.nan, 1, np.nan, 19])
    assert run.best().meta["episode"] == episode


def test_nothing_is_made_for_an_impossible_experiment(cue, tmp_path):
    for changes, env in (({"environment.id": "NoSuch-v0"}, None), ({"critic.kind": "tabular"}, Scripted())):
        with pytest.raises(EnvironmentFailure):
            rwta_sim.train(cue.changed(changes), tmp_path / "run", env=env)
        assert not (tmp_path / "run").exists()


def test_divergence_is_not_saved(cue, tmp_path):
    experiment = cue.changed(
        {"learning.optimiser.kind": "sgd", "learning.rate": 1e308, "training.checkpoint_every": 1, **WHOLE}
    )
    with pytest.raises(RwtaSimError, match="learning diverged"), np.errstate(all="ignore"):
        rwta_sim.train(experiment, tmp_path / "run")
    assert np.isfinite(RunFolder.open(tmp_path / "run").last().arrays["weight.s"]).all()


def test_other_versions_are_announced(cue, tmp_path):
    trained(cue, tmp_path / "run", **{"training.episodes": 2, **WHOLE})
    config = tmp_path / "run" / "config.toml"
    lines = [f'{x.split(" = ")[0]} = "0.0"' if x.startswith("brian2") else x for x in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    with pytest.warns(RuntimeWarning, match=r"started with other versions \(brian2 0.0 -> .*not bit for bit"):
        rwta_sim.resume(tmp_path / "run")


def test_training_in_a_thread_leaves_signals_alone(cue, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    experiment = cue.changed({"training.episodes": 2, **WHOLE})
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(rwta_sim.train, experiment, tmp_path / "run").result().episodes == 2


def test_second_interrupt_stops_at_once(cue, tmp_path):
    experiment = cue.changed({"training.episodes": 50, **WHOLE})
    agent = rwta_sim.Agent(experiment)
    trainer = Trainer(agent, OnePlayer(agent.player, experiment.seed), RunFolder.create(tmp_path / "run", experiment))
    step = agent.env.unwrapped.step
    count = []

    def stepping(action):
        count.append(1)
        if len(count) in (30, 31):
            os.kill(os.getpid(), signal.SIGINT)
        return step(action)

    agent.env.unwrapped.step = stepping
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert len(count) == 31
    assert RunFolder.open(tmp_path / "run").last().meta["episode"] == 0
