"""The command line, as a user runs it and, where that shows no more, in this process; and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner

from rwta_sim import cli, tasks
from rwta_sim.errors import RunError

NUMPY = ("--engine.target", "numpy")
WINDOW = ("train", "xor", "--learning.rule.kind", "score_function", "--learning.rule.window")


def rwta_sim(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "rwta_sim", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
    )


def said(*arguments):
    """What a command prints in this process, which has imported already what takes a new one seconds."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, made by the command line."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = rwta_sim(
        "train", "cue", "--model", "svpg-lockstep", "--seed", 1, "--episodes", 40, "--run", folder, "--json", *NUMPY
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_train_prints_one_json_object(run):
    folder, summary, errors = run
    assert set(summary) == {
        "run",
        "engine",
        "decisions",
        "episodes",
        "seconds",
        "first_decision_seconds",
        "decisions_per_second",
        "best_validation_return",
        "finished",
    }
    assert (summary["run"], summary["engine"]) == (str(folder), "runtime")  # NUMPY is a target of that engine
    assert 'name = "runtime"' in (folder / "config.toml").read_text()
    assert summary["decisions"] == 20 * summary["episodes"]
    assert 0 < summary["first_decision_seconds"] < summary["seconds"]
    assert "validation" in errors and "Traceback" not in errors
    for name in ("learning_curve", "raster", "rates", "weights"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 10_000


def test_evaluate(run):
    folder, *_ = run
    done = rwta_sim("evaluate", folder, "--episodes", 7, "--seed", 5, "--json")
    result = json.loads(done.stdout)
    assert (result["task"], result["engine"], result["seed"], result["episodes"]) == ("cue", "runtime", 5, 7)
    assert len(result["returns"]) == 7
    assert result["mean_return"] == pytest.approx(sum(result["returns"]) / 7) and result["mean_return"] > 15
    assert said("evaluate", folder, "--episodes", 7, "--seed", 5, "--json") == done.stdout
    assert "mean return" in said("evaluate", folder, "--episodes", 2)


def test_evaluate_shows_every_test_pattern(tmp_path):
    said("train", "xor", "--model", "linear", "--episodes", 16, "--no-figures", "--run", tmp_path / "xor")
    result = json.loads(said("evaluate", tmp_path / "xor", "--json"))
    assert result["episodes"] == 400 and result["gamma"] == 1.0  # each of the four a hundred times
    assert result["accuracy"] == result["mean_return"] == result["mean_discounted_return"]
    assert result["interval"] == pytest.approx(1.96 * result["sd_return"] / 20)
    text = said("evaluate", tmp_path / "xor", "--episodes", 8)
    assert "accuracy" in text and "over 8 episodes" in text


def test_resume_of_a_finished_run_is_harmless(run):
    folder, summary, _ = run
    before = (folder / "summary.json").read_text()
    done = said("resume", folder, "--json", "--no-figures")
    again = json.loads(done, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert again["episodes"] == summary["episodes"] and again["decisions_per_second"] is None
    assert (folder / "summary.json").read_text() == before


def test_figures_again(run):
    assert len(said("figures", run[0]).splitlines()) == 5


def test_default_folder_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('seed = 7\n[network.kernel]\nkind = "rectangular"\nduration = "3 ms"\n')
    line = (
        "train",
        "cue",
        "--model",
        "svpg-lockstep",
        "--config",
        "mine.toml",
        "--episodes",
        1,
        "--no-figures",
        *NUMPY,
    )
    line += ("--learning.rate", "0.5")
    assert "cue-seed7: 1 episodes" in said(*line)
    assert "cue-seed7-2: 1 episodes" in said(*line)
    config = (tmp_path / "runs" / "cue-seed7" / "config.toml").read_text()
    assert 'duration = "3 ms"' in config and "rate = 0.5" in config and "[versions]" in config


@pytest.mark.parametrize(
    "line, message",
    [
        (("train", "cuee"), "unknown task 'cuee': did you mean 'cue'"),
        (("train", "cue", "--model", "svgp"), "did you mean 'svpg'"),
        (("train", "cue", "--network.hiden_size", "3"), "No such option '--network.hiden_size'"),
        (("train", "cue", "--network.hidden_size", "-3"), "network.hidden_size = -3"),
        (("train", "cue", "--network.kernel.tau", "5"), "expected a time with its unit"),
        (("train", "cue", "--network.kernel.tau", "500 ms"), "longer than a decision"),
        (("train", "cue", "--training.decisions", "0"), "training.decisions = 0: input should be greater than"),
        (("train", "cue", "--training.decisions", "1.5"), "training.decisions = 1.5: "),
        (("train", "cue", "--episodes", "9", "--training.decisions", "99"), "so many episodes or so many decisions"),
        (("train", "cue", "--engine", "warp"), "engine.name = 'warp'"),
        (("train", "cue", "--engine", "compiled", *NUMPY), "engine: target = 'numpy' is for the runtime engine"),
        (("train", "cue", "--config", "nowhere.toml"), "cannot read the configuration nowhere.toml"),
        (("evaluate", "nowhere"), "nowhere is not a run"),
        (("resume", "nowhere"), "nowhere is not a run"),
        (("evaluate", "x", "--episodes", "0"), "not in the range"),
        (("trian",), "No such command 'trian'"),
        (("evaluate", "x" * 300), "File name too long"),
        (("train", "cue", "--network.dt", "1.1.1 ms"), "is not a number with a unit"),
        (("train", "cue", "--network.hidden_circuits", "1" + "0" * 30), "network.hidden_circuits = 1"),
        (
            ("train", "cue", "--model", "svpg-lockstep", "--learning.rate", "1e308", "--run", "r", *NUMPY),
            "learning diverged",
        ),
        (("train", "parity3", "--environment.kwargs", "{n_bits = 0}", *NUMPY), "n_bits = 0"),
        (("train", "mnist", "--environment.kwargs", '{folder = "."}', *NUMPY), "train-images-idx3-ubyte"),
        (("train", "inverted-pendulum", "--environment.kwargs", "{length = -1.0}", *NUMPY), "length = -1.0"),
        (("train", "cue", "--learning.rule.kind", "mean_field"), "set dynamics = 'rate'"),
        (("train", "xor", "--learning.apply", "synapses"), "cannot do learning.rule.kind = 'feedback'"),
        ((*WINDOW, "999", *NUMPY), "window = 999 is longer than a decision of 100 steps"),
    ],
)
def test_errors_are_one_line_without_traceback(line, message, tmp_path, monkeypatch, capfd):
    """In this process, which has all that a new one would import first; what other tests run are processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rwta-sim", *line])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which main() replaces
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code not in (0, None)
    errors = capfd.readouterr().err
    assert message in errors
    assert "Traceback" not in errors and "WARNING" not in errors
    assert not (tmp_path / "runs").exists()


def test_a_process_ends_with_one_line(tmp_path):
    done = rwta_sim("train", "cuee", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: unknown task 'cuee': did you mean 'cue'")


def test_run_folder_in_the_way(run):
    with pytest.raises(RunError, match="exists already"):
        said("train", "cue", "--run", run[0], *NUMPY)


def test_tasks_and_help():
    listed = json.loads(said("tasks", "--json"))["tasks"]
    assert {t["task"] for t in listed} == {p.task for p in tasks()}
    assert "cartpole" in said("tasks")
    help_text = said("train", "--help")
    for option in ("--seed", "--episodes", "--model", "--engine", "--run", "--network.kernel.tau", "time constant"):
        assert option in help_text


def test_values_are_toml_or_text():
    values = [cli._value(text) for text in ("3", "0.5", "true", '["sh"]', "5 ms", "rms")]
    assert values == [3, 0.5, True, ["sh"], "5 ms", "rms"]
