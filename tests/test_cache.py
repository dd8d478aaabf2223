"""The cache of compiled code: what is in it, and what `clear` deletes and leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

from rwta_sim import cli
from rwta_sim.engines import cache
from rwta_sim.errors import EngineError

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
    for build in (f"building-{BUSY}-abcd1234", f"building-{GONE}-abcd1234", "building-abcd1234", "building-old_0000"):
        put(folder / "compiled" / build / "main.cpp", 100)
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


def test_readable():
    sizes = [cache.readable_size(size) for size in (0, 1023, 1536, 5 * 2**20, 3 * 2**30)]
    assert sizes == ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 MiB", "3.0 GiB"]
    ages = [cache.readable_age(seconds) for seconds in (5, 60, 7200, 3 * 86400)]
    assert ages == ["less than a minute", "1 minute", "2 hours", "3 days"]
