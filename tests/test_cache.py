"""The cache of compiled code: what is in it, and what `clear` deletes and leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from brian2 import Network, NeuronGroup
from click.testing import CliRunner
from filelock import FileLock

from rwta_sim import cli
from rwta_sim.engines import RuntimeEngine
from rwta_sim.errors import EngineError
from rwta_sim.memory import readable_size
from rwta_sim.native import build as build_module
from rwta_sim.native import cache, cache_folder
from rwta_sim.native.build import build, compiler
from rwta_sim.native.folder import private_cython
from rwta_sim.native.loading import load

KEY, BUSY, GONE = "a" * 64, "b" * 64, "c" * 64
MODULE, BUSY_MODULE = "_cython_magic_" + "1" * 32, "_cython_magic_" + "2" * 32

#: What somebody else put there, or what only looks like ours.
STRANGE = ("notes.txt", "compiled/readme.md", "compiled/abc.so", "cython/mine.pyx", "compiled/building-Site/plan.txt")


def put(path, size=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("RWTA_SIM_CACHE", str(folder))
    return folder


@pytest.fixture
def filled(folder):
    """Two libraries and two modules, of which BUSY ones are to be locked; three builds; strange files."""
    for key in (KEY, BUSY):
        put(folder / "compiled" / f"{key}.so", 1000)
        put(folder / "compiled" / f"{key}.sha256", 64)
        put(folder / "compiled" / f"{key}.lock", 0)
    for name in (MODULE, BUSY_MODULE):
        put(folder / "cython" / f"{name}.cpython-311-x86_64-linux-gnu.so", 500)
        put(folder / "cython" / f"{name}.lock", 0)
    put(folder / "cython" / f"{MODULE}.pyx", 5)
    for name in (f"building-{BUSY}-abcd1234", f"building-{GONE}-abcd1234", "building-abcd1234", "building-old_0000"):
        put(folder / "compiled" / name / "main.cpp", 100)
    hours = time.time() - 2 * cache.ABANDONED
    os.utime(folder / "compiled" / "building-old_0000", (hours, hours))
    for name in STRANGE:
        put(folder / name)
    return folder


def remaining(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def run(*line, **kwargs):
    return CliRunner().invoke(cli.cli, ["cache", *line], **kwargs)


def test_contents(filled):
    found = cache.contents()
    assert (found.compiled.count, found.cython.count, found.building.count) == (2, 2, 4)
    assert (found.compiled.bytes, found.cython.bytes) == (2 * 1064, 1005)
    assert found.building.bytes >= 400
    assert time.time() - 60 < found.compiled.built_first <= found.compiled.last_used


def test_a_library_says_when_it_was_used(filled):
    long_ago, lately = time.time() - 10 * 86400, time.time() - 2 * 3600
    for path in (filled / "compiled").glob("*.*"):
        os.utime(path, (long_ago, long_ago))
    os.utime(filled / "compiled" / f"{KEY}.so", (lately, lately))
    assert "oldest built 10 days ago, last used 2 hours ago" in run().output


def test_clear_deletes_what_is_ours_and_not_in_the_making(filled):
    with (
        FileLock(filled / "compiled" / f"{BUSY}.lock"),
        FileLock(filled / "cython" / f"{BUSY_MODULE}.lock"),
    ):
        cleared = cache.clear()
    assert (cleared.compiled, cleared.cython, cleared.building) == (1, 1, 2)
    assert cleared.bytes >= 1064 + 505 + 200
    # One whose process is unknown counts as going on until it is an hour old.
    assert sorted(cleared.kept) == sorted([f"building-{BUSY}-abcd1234", "building-abcd1234", BUSY, BUSY_MODULE])
    assert remaining(filled) == {
        *STRANGE,
        *(f"compiled/{BUSY}.{suffix}" for suffix in ("so", "sha256")),
        *(f"compiled/{key}.lock" for key in (KEY, BUSY, GONE)),
        f"compiled/building-{BUSY}-abcd1234/main.cpp",
        "compiled/building-abcd1234/main.cpp",
        f"cython/{BUSY_MODULE}.cpython-311-x86_64-linux-gnu.so",
        *(f"cython/{name}.lock" for name in (MODULE, BUSY_MODULE)),
    }
    assert cache.clear().compiled == 1  # the processes are done


def test_links_are_not_followed(folder, tmp_path):
    put(tmp_path / "elsewhere" / "kept.txt")
    (folder / "compiled").mkdir(parents=True)
    (folder / "compiled" / f"building-{GONE}-abcd1234").symlink_to(tmp_path / "elsewhere")
    (folder / "compiled" / f"{KEY}.so").symlink_to(tmp_path / "elsewhere" / "kept.txt")
    cache.clear()
    assert (tmp_path / "elsewhere" / "kept.txt").exists()


def test_the_command_asks_first(filled):
    before = remaining(filled)
    for answer in ("n\n", ""):
        refused = run("clear", input=answer)
        assert refused.exit_code != 0 and "nothing was deleted: answer y, or give --yes" in refused.output
    assert remaining(filled) == before
    assert "deleted 2 compiled libraries, 2 Cython modules and 3 abandoned builds" in run("clear", input="y\n").output
    assert "kept, being built at the moment: building-abcd1234" in run("clear", "--yes").output


def test_json(filled):
    found = json.loads(run("--json").output)
    assert found == json.loads(run("show", "--json").output)
    assert found["folder"] == str(filled) and found["compiled"]["count"] == 2
    cleared = json.loads(run("clear", "--yes", "--json").output)
    assert (cleared["compiled"], cleared["cython"], cleared["building"]) == (2, 2, 3)


def test_no_cache_yet(folder):
    assert "empty: the folder does not exist yet" in run().output
    assert "deleted 0 compiled libraries" in run("clear").output  # nothing to ask about
    assert not folder.exists()


def test_a_folder_that_is_a_file(folder):
    folder.write_text("in the way")
    for action in (cache.contents, cache.clear):
        with pytest.raises(EngineError, match=r"cache cannot be (read|cleared) \(it is a file.*RWTA_SIM_CACHE"):
            action()


@pytest.mark.parametrize("refused", [(Path, "unlink"), (shutil, "rmtree")])
def test_a_folder_that_cannot_be_written(filled, monkeypatch, refused):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(*refused, refuse)
    with pytest.raises(EngineError, match=r"cannot be cleared \(Permission denied; .*compiled.*mend its permissions"):
        cache.clear()


# -- nobody else's ------------------------------------------------------------------------------------


def test_where_it_is(monkeypatch, tmp_path):
    """Absolute at once: it is used from other folders too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, expected in (("relative", "relative"), ("./a/../b", "a/../b"), ("~/mine", "home/mine")):
        monkeypatch.setenv("RWTA_SIM_CACHE", given)
        assert cache_folder() == tmp_path / expected


def test_a_relative_cache(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RWTA_SIM_CACHE", "relative")
    planted(tmp_path / "relative")
    assert list((tmp_path / "relative" / "compiled").glob("*.so"))


#: Says what it returns when it is loaded.
SOURCE = '#include <cstdio>\nextern "C" int number() {{ return {}; }}\n'


def planted(folder):
    """The number of a library that this cache gives, and its files."""
    code = build({"number.cpp": SOURCE.format(1)})
    library, digest = (next((folder / "compiled").glob(f"*.{suffix}")) for suffix in ("so", "sha256"))
    return load(code).number(), library, digest


def plant(library, digest):
    """Put another library there, with a digest that fits."""
    with tempfile.TemporaryDirectory() as scratch:
        source, evil = Path(scratch) / "evil.cpp", Path(scratch) / "evil.so"
        source.write_text(SOURCE.format(666))
        subprocess.run([*shlex.split(compiler()), "-shared", "-fPIC", source, "-o", evil], check=True)
        library.write_bytes(evil.read_bytes())
    digest.write_text(hashlib.sha256(library.read_bytes()).hexdigest())


def test_new_ones_are_private(folder):
    old = os.umask(0)
    try:
        number, library, digest = planted(folder)
    finally:
        os.umask(old)
    assert number == 1
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "compiled", library, digest)]
    assert modes == [0o700, 0o700, 0o600, 0o600]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("where", ["", "compiled", "cython"])
def test_a_folder_that_others_can_write(folder, where, mode, monkeypatch):
    """Refused before anything is read, by whoever uses it, with a line for a shell that mends it."""
    (folder / where).mkdir(parents=True)
    (folder / where).chmod(mode)
    uses = [lambda: RuntimeEngine("cython").prepare(Network(NeuronGroup(1, "v : 1", name="private")))]
    uses = uses if where == "cython" else [*uses[: not where], lambda: build({"number.cpp": SOURCE.format(1)})]
    for use in uses:
        with pytest.raises(EngineError, match=rf"others can write to {folder / where} .*chmod -R go-rwx") as caught:
            use()
    assert not list(folder.rglob("*.so"))
    subprocess.run(re.search("chmod.*?(?=, or)", str(caught.value)).group(), shell=True, check=True)
    assert planted(folder)[0] == 1


def test_a_folder_above_that_anybody_can_write(folder):
    folder.mkdir()
    folder.parent.chmod(0o777)
    with pytest.raises(EngineError, match=rf"anybody can write to {folder.parent}: chmod o-w"):
        build({"number.cpp": SOURCE.format(1)})
    folder.parent.chmod(0o1777)  # as /tmp: what is there can only be replaced by its owner
    assert planted(folder)[0] == 1


def test_a_sticky_folder(folder):
    """Others can put things beside the folders in it, but not in their place."""
    folder.mkdir()
    folder.chmod(0o1777)
    assert planted(folder)[0] == 1


def test_a_file_that_others_can_write_is_built_again(folder):
    _, library, digest = planted(folder)
    plant(library, digest)
    assert planted(folder)[0] == 666  # one's own
    for path in (library, digest):
        path.chmod(0o666)
        assert planted(folder)[0] == 1
        plant(library, digest)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give files away")
def test_what_belongs_to_somebody_else(folder):
    _, library, digest = planted(folder)
    plant(library, digest)
    os.chown(library, 12345, -1)
    assert planted(folder)[0] == 1
    module = folder / "cython" / f"{MODULE}.so"
    put(module)
    for path in (module, folder / "cython", folder):
        os.chown(path, 12345, -1)
        with pytest.raises(EngineError, match=rf"{path} belongs to another user \(number 12345\).*cp -r"):
            RuntimeEngine("cython").prepare(Network(NeuronGroup(1, "v : 1", name="private")))
        os.chown(path, os.geteuid(), -1)


def test_cython_modules_within_reach_of_others(folder):
    """In a folder that nobody else can enter, modes do not matter: Brian2 makes files with the user's umask."""
    module = folder / "cython" / f"{MODULE}.so"
    put(module)
    module.chmod(0o666)
    (folder / "cython").chmod(0o755)
    with pytest.raises(EngineError, match=rf"others can write to {module}"):
        private_cython()
    (folder / "cython").chmod(0o700)
    assert private_cython() == folder / "cython"


def test_what_is_loaded_is_what_was_checked(folder, monkeypatch):
    """Replaced between the two, it is still the library whose digest was right."""
    _, library, digest = planted(folder)
    code = build({"number.cpp": SOURCE.format(1)})
    plant(library, digest)
    assert load(code).number() == 1


def test_a_cache_that_is_read_only(folder, monkeypatch):
    """As one that is shared: what is there is used, the rest cannot be built."""
    planted(folder)

    def refuse(path):
        raise EngineError(f"the cache folder {path} cannot be written")

    monkeypatch.setattr(build_module, "writable", refuse)
    assert planted(folder)[0] == 1
    with pytest.raises(EngineError, match="cannot be written"):
        build({"number.cpp": SOURCE.format(2)})


def test_readable():
    sizes = [readable_size(size) for size in (0, 1023, 1536, 5 * 2**20, 3 * 2**30)]
    assert sizes == ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 MiB", "3.0 GiB"]
    ages = [cache.readable_age(seconds) for seconds in (5, 60, 7200, 3 * 86400)]
    assert ages == ["less than a minute", "1 minute", "2 hours", "3 days"]
