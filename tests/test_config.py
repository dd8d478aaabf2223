"""Configuration: round trips, overrides, and errors that name the key and the nearest right one."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, Quantity, ms, second, us

import rwta_sim
from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.errors import ConfigError
from rwta_sim.lab.config import from_toml, to_toml
from rwta_sim.loop.tree import options
from rwta_sim.settings import format_quantity


@pytest.mark.parametrize("preset", rwta_sim.tasks(), ids=lambda p: f"{p.task}, {p.model}")
def test_presets_survive_toml(preset, tmp_path):
    experiment = preset.make()
    path = tmp_path / "config.toml"
    path.write_text(to_toml(experiment))
    assert from_toml(path) == experiment
    assert type(experiment).model_validate(experiment.model_dump()) == experiment


@pytest.mark.parametrize("value", [5 * ms, 0.1 * ms, 1 / 3 * second, 33 * us, 2 * second, 1 / (3 * ms), 100 * Hz])
def test_quantities_survive_text(value):
    from rwta_sim.settings import _parse

    again = _parse(format_quantity(value))
    assert isinstance(again, Quantity) and float(again) == float(value) and again.dim == value.dim
    assert format_quantity(5 * ms) == "5 ms"


def test_overrides():
    base = rwta_sim.preset("cartpole", "svpg-lockstep")
    changed = base.changed({"network.kernel.tau": "7 ms", "learning.rate": 0.5, "network.blocks": ["sa"], "seed": 3})
    assert changed.network.kernel.tau == 7 * ms
    assert (changed.learning.rate, changed.network.blocks, changed.seed) == (0.5, ("sa",), 3)
    assert base.seed == 0  # frozen
    other = base.changed({"network.kernel.kind": "rectangular", "network.kernel.duration": "4 ms"})
    assert other.network.kernel.duration == 4 * ms
    merged = base.merged(
        {"learning": {"optimiser": {"beta1": 0.5, "kind": "adam"}}, "environment": {"kwargs": {"a": 1}}}
    )
    assert merged.learning.optimiser.beta1 == 0.5
    assert merged.environment.kwargs == {"a": 1}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"networks.dt": "1 ms"}, "unknown setting 'networks.dt': did you mean 'network'"),
        ({"network.dtt": "1 ms"}, "unknown setting 'network.dtt': did you mean 'dt'"),
        ({"network.kernel.tua": "1 ms"}, "unknown setting 'network.kernel.tua': did you mean 'tau'"),
        ({"learnng": 3}, "unknown setting 'learnng': did you mean 'learning'"),
        ({"learning.rate": -1}, "learning.rate = -1: .*greater than 0"),
        ({"learning.rate": float("nan")}, "learning.rate = nan: .*finite"),
        ({"decision.steps": 0}, "decision.steps = 0: .*greater than 0"),
        ({"training.episodes": 2.5}, "training.episodes = 2.5: .*integer"),
        ({"network.dt": "-1 ms"}, r"network.dt = '-1 ms': .*positive"),
        ({"network.dt": "1 Hz"}, "network.dt = '1 Hz': expected a time"),
        ({"network.firing": "poison"}, "network.firing = 'poison'"),
        ({"network.kernel.kind": "gaussian"}, "gaussian"),
        ({"network.kernel.tau": "11 ms"}, r"the kernel \(11 ms\) is longer than a decision \(10 steps of 1 ms\)"),
        ({"critic.gamma": 1.5}, "critic.gamma = 1.5"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_errors_name_the_setting(changes, message):
    with pytest.raises(ConfigError, match=message):
        rwta_sim.preset("cartpole", "svpg-lockstep").changed(changes)


def test_long_kernels_are_welcome_where_traces_persist():
    rwta_sim.preset("cartpole", "svpg-lockstep").changed({"network.kernel.tau": "50 ms", "decision.clear": "episode"})


def test_unknown_tasks_and_models():
    with pytest.raises(ConfigError, match="unknown task 'cartpol': did you mean 'cartpole'"):
        rwta_sim.preset("cartpol")
    with pytest.raises(ConfigError, match="unknown model 'svgp': did you mean 'svpg'"):
        rwta_sim.preset("cartpole", "svgp")


def test_files_that_are_not_configurations(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 3")
    with pytest.raises(ConfigError, match="is not TOML"):
        from_toml(tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text("task = 'cue'\ncolour = 'red'\n[environment]\nid = 'x'")
    with pytest.raises(ConfigError, match=r"odd.toml: unknown setting 'colour'"):
        from_toml(tmp_path / "odd.toml")


@pytest.mark.parametrize(
    "given, kept",
    [
        ((1, (2, "x")), [1, [2, "x"]]),
        (Path("a/b"), "a/b"),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.True_, True),
        ({"b": {"c": [0.1, -0.0, 5e-324]}}, {"b": {"c": [0.1, -0.0, 5e-324]}}),
        (-(2**63), -(2**63)),
        ("a\r\n\0\x7f\u2028'\"\\ü", "a\r\n\0\x7f\u2028'\"\\ü"),
    ],
)
def test_arguments_of_environments_are_at_once_what_toml_gives_back(given, kept, tmp_path):
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed({"environment.kwargs": {"x": given}})
    (tmp_path / "config.toml").write_bytes(to_toml(experiment).encode())
    for found in (experiment, from_toml(tmp_path / "config.toml")):
        assert repr(found.environment.kwargs) == repr({"x": kept})


@pytest.mark.parametrize(
    "value, message",
    [
        ({1: "a"}, "the key 1 in 'x' is no text"),
        ({"y": [{2.5: 1}]}, r"the key 2.5 in 'x.y\[0\]' is no text"),
        (b"abc", "'x' is b'abc': expected what a TOML file gives back"),
        (datetime.date(2020, 1, 1), r"'x' is datetime.date\(2020, 1, 1\): expected"),
        ({1}, r"'x' is \{1\}: expected"),
        ([None], r"'x\[0\]' is None: expected .*leave out what is None"),
        (float("inf"), "'x' is inf: expected"),
        (2**63, "'x' is 9223372036854775808: expected .*64-bit"),
        pytest.param(10**5000, "'x' is an object of type int: expected", id="huge"),
        ("\ud800", r"'x' is '\\ud800': expected"),
        (np.zeros((30, 30)), r"'x' is array\(\[\[0., 0., .*\.\.\.: expected"),
        (print, "'x' is <built-in function print>: expected"),
    ],
)
def test_arguments_of_environments_that_toml_would_change(value, message):
    with pytest.raises(ConfigError, match=f"^environment.kwargs: {message}"):
        rwta_sim.preset("cue", "svpg-lockstep").changed({"environment.kwargs": {"x": value}})


def test_a_kind_among_the_arguments_of_an_environment_is_like_any_other():
    base = rwta_sim.preset("cue", "svpg-lockstep").changed({"environment.kwargs": {"size": 9, "kind": "a"}})
    assert base.changed({"environment.kwargs.kind": "b"}).environment.kwargs == {"size": 9, "kind": "b"}
    assert base.changed({"environment.kwargs.eye.kind": "c"}).environment.kwargs["eye"] == {"kind": "c"}


def test_every_option_is_documented():
    for key, field in options(RWTAExperiment).items():
        assert field.description or key.endswith((".kind", ".epsilon")), key


def test_engines_do_not_know_circuits():
    """`engines` may be used without the rest: the module imports neither network nor learning."""
    code = (
        "import sys, types; m = types.ModuleType('rwta_sim'); m.__path__ = [sys.argv[1]]; "
        "sys.modules['rwta_sim'] = m; import rwta_sim.engines; "
        "print(sorted(n for n in sys.modules if n.startswith('rwta_sim.')))"
    )
    folder = rwta_sim.__path__[0]
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1] for name in eval(done.stdout)}
    assert loaded == {"engines", "errors", "native", "settings"}
