"""Nothing on disk runs code: hostile strings in every string of a run folder end in an error, on all targets."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from itertools import cycle

import pytest
import tomli_w

import rwta_sim
import rwta_sim.analysis
from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.errors import CheckpointError, RwtaSimError, printable
from rwta_sim.lab.config import read_toml
from rwta_sim.lab.recording import record_episode
from rwta_sim.learning import PlasticSynapse
from rwta_sim.loop.tree import options

#: Each would make a file "pwned" in the current folder if some part of it ran, in C++, Cython, Python or a shell.
CPP = 'if (system("touch pwned")) {}'
PYTHON = "__import__('os').system('touch pwned')"
PAYLOADS = {
    "comment": f"# {CPP}",
    "carriage_return": f"# x\r{CPP}",
    "carriage_return_python": f"# x\r{PYTHON}",
    "vertical_tab": f"# x\x0b{PYTHON}",
    "form_feed": f"# x\x0c{PYTHON}",
    "next_line": f"# x\x85{PYTHON}",
    "line_separator": f"# x\u2028{CPP}",
    "paragraph_separator": f"# x\u2029{PYTHON}",
    "escape": f"\x1b]0;x\x07\x1b[2J{PYTHON}",
    "null": f"\0{CPP}",
    "backslash": f"\\\n{CPP}",
    "trigraph": f"// ??/\n{CPP}",
    "pragma": f'#pragma GCC poison x\n_Pragma("x") {CPP}',
    "include": "#include </etc/passwd>",
    "macro": f"#define balance {CPP}",
    "quote": f'"; {CPP} //',
    "single_quote": f"'; {PYTHON} #",
    "triple_quote": f'"""\n{PYTHON}\n"""',
    "braces": f"}} {CPP} {{",
    "template": f"{{{{ {PYTHON} }}}}{{% include 'x' %}}",
    "percent": "%n%s%(balance)s{0.__class__}",
    "comment_end": f"*/ {CPP} /*",
    "import": PYTHON,
    "call": 'system("touch pwned")',
    "walrus": f"(x := {PYTHON})",
    "lambda": f"(lambda: {PYTHON})()",
    "attribute": "balance.__class__.__base__.__subclasses__()",
    "subscript": f"balance[{PYTHON}]",
    "newline": f"\n{PYTHON}\n",
    "shell": "$(touch pwned); `touch pwned` | touch pwned && touch pwned",
    "path": "../../../../tmp/pwned",
    "wide": "balance\uff1b\uff33\uff39\uff33",
    "long": "x" * 100_000,
    "deep": "(" * 5000 + "1" + ")" * 5000,
    "power": "9**9**9**9",
}

#: Where a payload stands: alone, or behind code that is right, so that what reads only the beginning takes it.
RIGHT = {"synapse": "balance : 1", "neuron": "B : 1\nbias_e : 1", "large": "B > 1"}
TARGETS = {
    "numpy": {"name": "runtime", "target": "numpy"},
    "cython": {"name": "runtime", "target": "cython"},
    "compiled": {"name": "compiled", "target": "auto"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "run"
    rule = {"learning.rule.kind": "trace_stdp", "learning.apply": "synapses"}
    short = {"training.episodes": 1, "training.validation_episodes": 1, "engine.target": "numpy"}
    rwta_sim.train(rwta_sim.preset("cue", "svpg-lockstep").changed({**rule, **short}), folder)
    return folder


@pytest.fixture
def attack(run, tmp_path, monkeypatch):
    """Put values into a copy of the run's config.toml and use it: an error comes of it, or, if `harmless`, nothing."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    tree = read_toml(run / "config.toml")

    def use(key, value, engine, harmless=False):
        changed = json.loads(json.dumps({**tree, "engine": engine}))
        *parents, last = key.split(".")
        table = changed
        for name in parents:
            table = table.setdefault(name, {})
        table[last] = value
        (copy / "config.toml").write_text(tomli_w.dumps(changed), encoding="utf-8")
        try:
            opened = rwta_sim.RunFolder.open(copy)
            if not harmless:
                rwta_sim.Agent.load(opened).play(1)
        except RwtaSimError as error:
            assert printable(str(error)) == str(error)  # one line, too
            assert len(str(error)) < 5000 or key == "environment.kwargs"
        else:
            assert harmless, f"{key} = {value!r} was taken"
        assert not list(tmp_path.rglob("pwned"))

    return use


@pytest.mark.parametrize("part", sorted(PlasticSynapse.model_fields))
def test_equations(attack, part):
    right = RIGHT.get(part, "balance += x_seen_pre" if part in ("on_pre", "on_off", "on_post", "settle") else "")
    engines = cycle(TARGETS.values())
    for payload in PAYLOADS.values():
        for value in (payload, f"{right} {payload}", f"{right}\n{payload}", f"{right};{payload}"):
            attack(f"learning.equations.{part}", value, next(engines))


STRINGS = sorted(
    key
    for key, field in options(RWTAExperiment).items()
    if ("str" in str(field.annotation) or "Literal" in str(field.annotation) or "Quantity" in str(field.annotation))
    and not key.startswith("learning.equations.")
)
#: Names that nothing but a person reads, and what an environment gets as it is.
FREE = {"task", "model"}


@pytest.mark.parametrize("key", STRINGS)
def test_every_other_string(attack, key):
    for payload in PAYLOADS.values():
        for value in (payload, f"5 ms {payload}"):
            attack(key, {"text": value} if key == "environment.kwargs" else value, TARGETS["numpy"], key in FREE)


def test_unknown_keys_and_versions(attack):
    for payload in PAYLOADS.values():
        attack("network", {payload: payload}, TARGETS["numpy"])
        attack("versions", {payload: payload}, TARGETS["numpy"], harmless=True)


def test_the_name_of_the_best_checkpoint_leads_nowhere_else(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for payload in [*PAYLOADS.values(), "../../run/checkpoints/checkpoint-000000", 7, None, ["x"], {"x": "y"}]:
        (copy / "checkpoints" / "best.json").write_text(json.dumps({"checkpoint": payload}))
        with suppress(CheckpointError):  # which names the file
            assert rwta_sim.RunFolder.open(copy).best().name == "checkpoint-000001"


def test_names_control_no_terminal_and_are_no_formulas(cue, tmp_path):
    for name in ("a\x1b[2Jb", "a\u202eb", "a\nb", "x" * 201):
        with pytest.raises(RwtaSimError, match="without control characters"):
            cue.changed({"task": name})
    assert printable("a\x1b[2J\u202e\r\udcff ä\n", keep="\n") == "a\\x1b[2J\\u202e\\r\\udcff ä\n"
    short = {"task": "$\\frac{1$ {}", "training.episodes": 1, "training.validation_episodes": 1}
    rwta_sim.train(cue.changed(short), tmp_path / "run")
    opened = rwta_sim.RunFolder.open(tmp_path / "run")
    opened.save_recording(record_episode(opened))
    assert len(rwta_sim.analysis.draw_figures(opened)) == 5
