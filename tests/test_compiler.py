"""The compiler that CXX names, sources byte for byte, and from where what it made is loaded."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brian2 import Function, Network, NeuronGroup, Synapses

from rwta_sim.engines import CompiledEngine, EngineSpec, RuntimeEngine
from rwta_sim.errors import EngineError
from rwta_sim.native import build as build_module
from rwta_sim.native import loading as library_module
from rwta_sim.native import native_function
from rwta_sim.native import scratch as scratch_module
from rwta_sim.native.build import ONCE, CompilerError, build, can_build
from rwta_sim.native.loading import load
from rwta_sim.native.scratch import clear_abandoned, scratch

#: Writes 7 where it is told to.
SEVEN = 'extern "C" void seven(int *out) { *out = 7; }\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("RWTA_SIM_CACHE", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def seven(library):
    out = ctypes.c_int()
    library.seven(ctypes.byref(out))
    return out.value


# -- CXX ----------------------------------------------------------------------------------------------


def test_a_compiler_with_arguments(cache, tmp_path, monkeypatch):
    """As in CXX='ccache g++'; spaces in a path are none that part arguments."""
    spied = tmp_path / "spied"
    first = program(tmp_path / "my tools" / "first", f'echo "$*" >> "{spied}"; exec "$@"')
    second = program(tmp_path / "my tools" / "second", f'echo "second $*" >> "{spied}"; exec c++ "$@"')
    for line, words in ((f"'{first}' c++ -DSPIED=1", "c++ -DSPIED=1 -shared"), (str(second), "second -shared")):
        monkeypatch.setenv("CXX", line)
        assert seven(load(build({"seven.cpp": f"// {words}\n{SEVEN}"}))) == 7
        assert words in spied.read_text()


@pytest.mark.parametrize("wrong", ["no-such-compiler", "/etc/passwd", "false", "'g++", "{folder}/no program"])
def test_a_wrong_compiler_is_not_another_one(cache, tmp_path, monkeypatch, wrong):
    """Whoever asks, it is an error that names CXX and its value."""
    (tmp_path / "no program").write_bytes(b"\x00")
    (tmp_path / "no program").chmod(0o755)
    wrong = wrong.format(folder=tmp_path)
    monkeypatch.setenv("CXX", wrong)
    (tmp_path / "seven.cpp").write_text(SEVEN)
    for ask in (
        can_build,
        CompiledEngine,
        lambda: EngineSpec().resolved(),
        lambda: native_function(tmp_path / "seven.cpp", "seven"),
        lambda: RuntimeEngine("auto").prepare(Network(NeuronGroup(1, "v : 1"))),
    ):
        with pytest.raises(CompilerError) as caught:
            ask()
        assert str(caught.value).startswith(f"CXX = {wrong!r} is no C++ compiler that works here")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("idle", ["true", "echo"])
def test_a_program_that_compiles_nothing(cache, tmp_path, monkeypatch, idle):
    monkeypatch.setenv("CXX", idle)
    (tmp_path / "seven.cpp").write_text(SEVEN)
    with pytest.raises(CompilerError, match=f"made none.*CXX = '{idle}' chose it: unset it"):
        native_function(tmp_path / "seven.cpp", "seven")


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_a_c_compiler(cache, monkeypatch):
    """It links no C++ library: that is said, and not that nothing may be executed."""
    monkeypatch.setenv("CXX", "gcc")
    throws = '#include <stdexcept>\nextern "C" void seven(int *out) { throw std::runtime_error("seven"); }\n'
    code = build({"throws.cpp": throws})
    try:
        load(code)
    except CompilerError as error:
        assert "Is it a C compiler? C++ needs g++, not gcc" in str(error) and "CXX = 'gcc' chose it" in str(error)
    else:
        pytest.skip("the C++ library is in this process already")


def test_without_a_compiler_numpy_is_not_silent(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "compiler", lambda: None)
    (tmp_path / "seven.cpp").write_text(SEVEN)
    with pytest.warns(RuntimeWarning, match=r"NumPy takes the place of functions .*needs a C\+\+ compiler"):
        assert native_function(tmp_path / "seven.cpp", "seven") is None


# -- sources ------------------------------------------------------------------------------------------


def test_sources_byte_for_byte(cache, tmp_path, monkeypatch):
    """Line ends as they are, also on the way from Brian2; what would hide behind one is refused."""
    seen = {}
    real = build_module._run

    def spy(command, folder):
        seen.update({path.name: path.read_bytes() for path in folder.glob("*.cpp")})
        real(command, folder)

    monkeypatch.setattr(build_module, "_run", spy)
    source = f"// κ\r\n{SEVEN}"
    assert seven(load(build({"seven.cpp": source}))) == 7
    assert seen["merged_others.cpp"] == source.encode()
    with pytest.raises(EngineError, match=r"hidden\.cpp: a carriage return by itself"):
        build({"hidden.cpp": f"// a comment\rint hidden = 1;\n{SEVEN}"})


@pytest.mark.parametrize("jobs", ["", "1", "3"])
def test_as_many_compilers_as_asked_for(cache, monkeypatch, jobs):
    monkeypatch.setenv("MAX_JOBS", jobs)
    built, real = [], build_module._run
    monkeypatch.setattr(build_module, "_run", lambda command, folder: built.append(command) or real(command, folder))
    parts = {f"code_objects/part{n}.cpp": f'extern "C" int part{n}() {{ return {n}; }}\n' for n in range(4)}
    assert seven(load(build({"seven.cpp": SEVEN, **parts}))) == 7
    compiled = [command for command in built if "-c" in command]
    assert len(compiled) == 1 + min(4, int(jobs or len(os.sched_getaffinity(0))))


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_what_runs_once_is_compiled_soon(cache, monkeypatch, jobs):
    """And what a network calls in its steps as fast code, with the flags of Brian2's preferences."""
    monkeypatch.setenv("MAX_JOBS", jobs)
    asked = {}

    def spy(command, folder):  # in place of a compiler
        if "-c" in command:
            asked[(folder / command[command.index("-c") + 1]).read_text()] = ONCE in command

    monkeypatch.setattr(build_module, "_run", spy)
    engine = CompiledEngine()
    with engine.building():
        cells = NeuronGroup(2, "v : 1", threshold="v > 3", name="soon_cells")
        synapses = Synapses(cells, cells, on_pre="v_post += 2", name="soon_synapses")
        synapses.connect(j="i")
        cells.run_regularly("v += 1", name="soon_steps")
    with pytest.raises(EngineError, match="made none"):
        engine.prepare(Network(cells, synapses, name="soon_network"))
    assert [once for text, once in asked.items() if "v += 1;" in text] == [False]
    assert {once for text, once in asked.items() if "void _before_run_code_" in text} == {True}


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "2.0"])
def test_compilers_that_cannot_be_counted(cache, monkeypatch, wrong):
    monkeypatch.setenv("MAX_JOBS", wrong)
    with pytest.raises(EngineError, match=f"MAX_JOBS = '{wrong}': expected how many compilers"):
        build({"seven.cpp": SEVEN})


def test_a_carriage_return_on_the_way_from_brian2(cache):
    """Read as a line end, what follows it in a comment would be code."""
    engine = CompiledEngine()
    with engine.building():
        one = Function(lambda x: x, arg_units=[1], return_unit=1)
        one.implementations.add_implementation("cpp", "double one(double x) { // \r return 666;\n return x; }")
        group = NeuronGroup(1, "v : 1", name="hidden", namespace={"one": one})
        group.run_regularly("v = one(1)", name="hidden_operation")
        network = Network(group, name="hidden_network")
    with pytest.raises(EngineError, match=r"code_objects.*a carriage return by itself"):
        engine.prepare(network)


# -- loading ------------------------------------------------------------------------------------------


def test_loads_from_the_cache_where_temporary_files_may_not_be_executed(cache, tmp_path, monkeypatch):
    code, real, tried = build({"seven.cpp": SEVEN}), ctypes.CDLL, []

    def refuse(name, **kwargs):
        tried.append(Path(name).parent.parent)
        if tried[-1] != cache / "compiled":
            raise OSError(f"{name}: failed to map segment from shared object")
        return real(name, **kwargs)

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(library_module.ctypes, "CDLL", refuse)
    assert seven(load(code)) == 7
    assert tried == [tmp_path, cache / "compiled"]
    assert [path.suffix for path in sorted((cache / "compiled").iterdir())] == [".lock", ".sha256", ".so"]


def test_nowhere_to_load_from(cache, tmp_path, monkeypatch):
    """An engine says so; where NumPy can do it, a warning does, the same for all functions."""

    def refuse(name, **kwargs):
        raise OSError(f"{name}: failed to map segment from shared object")

    monkeypatch.setattr(library_module.ctypes, "CDLL", refuse)
    (tmp_path / "seven.cpp").write_text(SEVEN)
    with pytest.warns(RuntimeWarning, match="NumPy takes the place") as caught:
        for _ in range(2):
            assert native_function(tmp_path / "seven.cpp", "seven") is None
    first, second = (str(warning.message) for warning in caught)
    assert first == second and "Set TMPDIR to a folder where it is" in first


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to mount a file system")
def test_full_disks_and_disks_without_execution(cache, tmp_path):
    """Small real file systems: one line with the path; the library is loaded from elsewhere, with the same numbers."""
    (tmp_path / "disk").mkdir()
    code = (
        "import sys, rwta_sim.circuit.readout as r\n"
        "from rwta_sim.errors import EngineError; import rwta_sim.engines as e\n"
        "from rwta_sim.native.build import build\n"
        "try: build({'a.cpp': 'char a[1 << 22] = {1};\\n'}); print('built', r._native() is not None)\n"
        "except EngineError as error: print(str(error))"
    )
    environment = {**os.environ, "RWTA_SIM_CACHE": str(tmp_path / "disk")}
    for options, expected in (("size=1m", None), ("size=100m,noexec", "built True")):
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path / "disk")]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
        try:
            done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        finally:
            subprocess.run(["umount", str(tmp_path / "disk")], check=True)
        said = done.stdout.strip()
        assert said == expected if expected else ("disk" in said and "o space left" in said and "\n" not in said), said
        assert "NumPy takes the place" not in done.stderr


def test_what_killed_processes_leave(tmp_path, monkeypatch):
    """Is deleted by the next build, or by `clear`; what is in use, young, or nobody knows stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = "import os, rwta_sim.native.scratch as s; c = s.scratch(); print(c.__enter__(), flush=True)"
    line = [sys.executable, "-c", f"{code}; os._exit(9)"]
    killed = Path(subprocess.run(line, capture_output=True, text=True).stdout.strip())
    mine = tmp_path / "rwta_sim-code-mine"
    mine.mkdir()
    with scratch() as used:
        assert stat.S_IMODE(used.stat().st_mode) == 0o700
        clear_abandoned()
        assert killed.exists()  # by its age it might be about to be locked
        for path in (killed, used, mine):
            os.utime(path, (time.time() - 2 * scratch_module._YOUNG,) * 2)
        clear_abandoned()
        assert sorted(path.name for path in tmp_path.glob("rwta_sim-*")) == sorted([mine.name, used.name])
    assert not used.exists()


def test_a_temporary_folder_of_any_name(cache, tmp_path, monkeypatch):
    """Quotes, spaces and bytes that are no text."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a \"b\" 'c' \\ \xff"))
    odd.mkdir()
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setenv("RWTA_SIM_CACHE", str(odd / "cache"))
    monkeypatch.setattr("tempfile.tempdir", None)
    engine = CompiledEngine()
    with engine.building():
        group = NeuronGroup(2, "v : 1", threshold="v > 2", reset="v -= 1", name="odd")
        group.v = [1.5, 2.5]
        network = Network(group, name="odd_network")
    engine.prepare(network)
    engine.advance(1)
    np.testing.assert_array_equal(engine.view(group, "v"), [1.5, 1.5])
