"""Damage the files of a run folder in thousands of ways, and use the run.

    python scripts/fuzz_runs.py --mutations 10000

Each trial copies a trained run, damages one of its files (bytes flipped, cut, doubled, swapped with another file,
values replaced by hostile ones, with and without the digests made right again) and then resumes it, evaluates it and
draws its figures, which are rendered in every fifth trial. Every use must end in the result of the undamaged run, in
another one that somebody who changed this file would expect, or in an error of the package in one line; never in a
traceback, a gigabyte of memory or other code that runs. Prints what fell, and the seed of each.
"""

from __future__ import annotations

import argparse
import collections
import gc
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import rwta_sim
from rwta_sim.analysis import draw_figures
from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.recording import record_episode

#: Small, without spikes, with a checkpoint more than are kept; recorded as spikes in NumPy.
EXPERIMENT = rwta_sim.preset("cue", "svpg-lockstep").changed(
    {
        **{"dynamics": "rate", "learning.rule.kind": "mean_field", "engine.target": "numpy"},
        **{"training.episodes": 8, "training.checkpoint_every": 2, "training.validate_every": 4},
        **{"training.validation_episodes": 2, "training.target": None},
    }
)
#: What one use of a damaged run may take beyond what the process has: memory (bytes), time (seconds).
MEMORY, SECONDS = 2**30, 20
#: Figures are rendered in every fifth trial; in the others they are only made, as rendering takes longest.
RENDERED = 5

HOSTILE_TEXT = (
    "",
    "x",
    "../../x",
    "a\nb",
    "\r#\"';{}\\",
    "__import__('os')",
    "\u2028",
    "9" * 5000,
    "checkpoint-000001",
)
HOSTILE: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**53 + 1, 2**63, 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *HOSTILE_TEXT,
    *([], {}, [[]], {"a": {"b": [1]}}, [None] * 1000),
)

Mutation = Callable[[Path, np.random.Generator], str]


def make_run(folder: Path) -> None:
    """The run that is damaged: interrupted after its sixth episode, so that there is something left to do."""

    def interrupt(progress: rwta_sim.lab.training.Progress) -> None:
        if progress.episode == 6:
            os.kill(os.getpid(), signal.SIGINT)

    rwta_sim.train(EXPERIMENT, folder, report=interrupt)
    run = rwta_sim.RunFolder.open(folder)
    run.save_recording(record_episode(run))


# -- mutations -------------------------------------------------------------------------------------------


def _some(path: Path, rng: np.random.Generator, pattern: str = "*") -> Path:
    files = sorted(p for p in path.rglob(pattern) if p.is_file() and p.name != ".lock")
    return files[rng.integers(len(files))]


def flip(folder: Path, rng: np.random.Generator) -> str:
    """Some bytes are others."""
    file = _some(folder, rng)
    data = bytearray(file.read_bytes())
    for _ in range(rng.integers(1, 9)):
        if data:
            data[rng.integers(len(data))] = rng.integers(256)
    file.write_bytes(data)
    return file.name


def cut(folder: Path, rng: np.random.Generator) -> str:
    """The end, or a piece, is missing; or a piece is there twice."""
    file = _some(folder, rng)
    data = file.read_bytes()
    a, b = sorted(rng.integers(0, len(data) + 1, 2))
    file.write_bytes([data[:a], data[:a] + data[b:], data[:b] + data[a:], b"", data + b"\0" * 9][rng.integers(5)])
    return file.name


def swap(folder: Path, rng: np.random.Generator) -> str:
    """A file has the content of another, or is gone, or is a folder, or leads to itself."""
    file, other = _some(folder, rng), _some(folder, rng)
    how = rng.integers(4)
    data = other.read_bytes()
    file.unlink()
    if how == 0:
        file.write_bytes(data)
    elif how == 1:
        file.mkdir()
    elif how == 2:
        file.symlink_to(file.name)
    return f"{file.name} from {other.name} ({how})"


def lines(folder: Path, rng: np.random.Generator) -> str:
    """Lines of a text twice, gone, in another order, or with other numbers."""
    file = folder / ["config.toml", "metrics.csv"][rng.integers(2)]
    rows = file.read_bytes().splitlines(keepends=True)
    i, j = rng.integers(len(rows), size=2)
    how = rng.integers(4)
    if how == 0:
        rows.insert(i, rows[j])
    elif how == 1:
        del rows[i]
    elif how == 2:
        rows[i], rows[j] = rows[j], rows[i]
    else:
        values = rows[i].split(b",")
        values[rng.integers(len(values))] = str(HOSTILE[rng.integers(len(HOSTILE))]).encode()
        rows[i] = b",".join(values)
    file.write_bytes(b"".join(rows))
    return file.name


def settings(folder: Path, rng: np.random.Generator) -> str:
    """A setting in config.toml has a hostile value."""
    file = folder / "config.toml"
    rows = file.read_text().splitlines()
    assignments = [k for k, row in enumerate(rows) if " = " in row and not row.endswith("[")]
    k = assignments[rng.integers(len(assignments))]
    value = HOSTILE[rng.integers(len(HOSTILE))]
    text = {None: "[]", float("inf"): "inf"}.get(value, "nan") if value is None or value != value else json.dumps(value)
    name = rows[k].partition(" = ")[0]
    rows[k] = f"{name} = {text.replace('Infinity', 'inf')}"
    file.write_text("\n".join(rows))
    return f"config.toml {name} = {value!s:.40}"


def _places(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield (*path, key)
            yield from _places(tree[key], (*path, key))


def _sign(meta: dict[str, Any], npz: Path) -> None:
    """Make the digests of a checkpoint right."""
    meta.pop("sha256", None)
    if "arrays_sha256" in meta and npz.is_file():
        meta["arrays_sha256"] = hashlib.sha256(npz.read_bytes()).hexdigest()
    meta["sha256"] = hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def values(folder: Path, rng: np.random.Generator) -> str:
    """A value in a JSON file is hostile, missing or another's; mostly with a right digest."""
    file = _some(folder, rng, "*.json")
    tree = json.loads(file.read_bytes())
    places = list(_places(tree))
    for _ in range(rng.integers(1, 3)):
        *parents, last = place = places[rng.integers(len(places))]
        below = tree
        try:
            for key in parents:
                below = below[key]
            below[last] = HOSTILE[rng.integers(len(HOSTILE))]
            if rng.integers(5) == 0:
                del below[last]
        except (KeyError, IndexError, TypeError):
            continue  # what an earlier mutation took away
    if file.name.startswith("checkpoint") and rng.integers(6):
        _sign(tree, file.with_suffix(".npz"))
    file.write_text(json.dumps(tree))
    return f"{file.name} {place}"


def nested(folder: Path, rng: np.random.Generator) -> str:
    """A text is nothing but brackets."""
    file = [_some(folder, rng, "*.json"), folder / "config.toml"][rng.integers(2)]
    text = {0: "[" * 100_000, 1: '{"a":' * 100_000, 2: "a = " + "[" * 100_000, 3: "[" + "a." * 50_000 + "a]"}
    file.write_text(text[int(rng.integers(4))])
    return file.name


def _hostile_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    how = rng.integers(10)
    if how == 0:
        return array.astype(
            [np.float32, np.complex128, np.int8, np.bool_, ">f8", np.float16, "S3", "U3"][rng.integers(8)]
        )
    if how == 1:
        return array.reshape(-1)[: rng.integers(array.size + 1)]
    if how == 2:
        return np.array([array, array])
    if how == 3:
        return np.asfortranarray(array)
    if how == 4:
        return np.zeros((0, *array.shape), array.dtype)
    if how == 5:
        return np.zeros(200_000_000, np.int8)  # packs to almost nothing
    changed = np.array(array)
    if changed.size:
        value = [np.nan, np.inf, -1, 1e300, -1e99, 2**31, 2**62, 1e30][rng.integers(8)]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed.reshape(-1)[rng.integers(changed.size)] = np.array(value).astype(changed.dtype)
    return changed


def arrays(folder: Path, rng: np.random.Generator) -> str:
    """An array is another one, missing, pickled or a bomb; digests are right."""
    file = _some(folder, rng, "*.npz")
    with np.load(file) as loaded:
        content = {name: loaded[name] for name in loaded.files}
    name = sorted(content)[rng.integers(len(content))]
    how = rng.integers(6)
    content[name] = _hostile_array(content[name], rng)
    if how == 0:
        del content[name]
    elif how == 1:
        content[name] = np.array([_Code()], dtype=object)
    elif how == 2:
        content[f"nobody.{name}"] = np.zeros(300_000_000, np.int8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    file.write_bytes(buffer.getvalue())
    _resign(file)
    return f"{file.name} {name} ({how})"


def headers(folder: Path, rng: np.random.Generator) -> str:
    """The header of an array, or the zip file about it, claims something else; digests are right."""
    file = _some(folder, rng, "*.npz")
    claims = (
        (b"(", b"(99999999999, "),
        (b"'<f8'", b"'|O'"),
        (b"'<f8'", b"[('a', '<f8')]"),
        (b"False", b"True"),
        (b"{", b"{" * 900),
        (b"'shape'", b"__import__('os').mkdir('code')"),
        (b"NUMPY", b"NUMBY"),
        (b"\x01\x00", b"\x09\x00"),
    )
    old, new = claims[rng.integers(len(claims))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(file) as read, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as write:
        for info in read.infolist():
            write.writestr(info.filename, read.read(info).replace(old, new, 1))
    data = bytearray(buffer.getvalue())
    for _ in range(rng.integers(3)):
        data[-int(rng.integers(1, min(len(data), 600)))] = rng.integers(256)  # in the zip file's directory
    file.write_bytes(data)
    _resign(file)
    return f"{file.name} {old!r}"


def _resign(npz: Path) -> None:
    path = npz.with_suffix(".json")
    if path.is_file():
        meta = json.loads(path.read_bytes())
        _sign(meta, npz)
        path.write_text(json.dumps(meta))


class _Code:
    """Unpickling it makes a folder."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("code",)


MUTATIONS: tuple[Mutation, ...] = (flip, cut, swap, lines, settings, values, values, nested, arrays, arrays, headers)


# -- uses ------------------------------------------------------------------------------------------------


class _Enough(Exception):
    """A training that goes on, or a use that takes long."""


def resume(folder: Path) -> object:
    def few(progress: rwta_sim.lab.training.Progress) -> None:
        if progress.episode > EXPERIMENT.training.episodes + 2:
            raise _Enough

    summary = rwta_sim.resume(folder, report=few)
    last = rwta_sim.RunFolder.open(folder).last()
    return summary.episodes, summary.decisions, {name: array.tobytes() for name, array in last.arrays.items()}


def evaluate(folder: Path) -> object:
    return [episode.total for episode in rwta_sim.Agent.load(rwta_sim.RunFolder.open(folder)).play(2)]


def figures(folder: Path) -> object:
    return len(draw_figures(rwta_sim.RunFolder.open(folder)))


USES: dict[str, Callable[[Path], object]] = {"evaluate": evaluate, "figures": figures, "resume": resume}


@contextmanager
def _limits() -> Iterator[None]:
    """Stop what takes too long, or too much memory."""

    def on_alarm(number: int, frame: object) -> None:
        raise _Enough

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(SECONDS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        signal.alarm(0)


def _unrendered(figure: Figure, path: Path, **how: Any) -> None:
    """In place of `Figure.savefig`."""
    path.touch()


def outcome(use: Callable[[Path], object], folder: Path, expected: object) -> str:
    """What came of a use: "same", "warned", "other", "refused", "goes on", or what is wrong."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            with _limits():
                result = use(folder)
        except _Enough:
            return "goes on"
        except RwtaSimError as error:
            text = str(error)
            return (
                "refused" if "\n" not in text and len(text) < 1500 else f"WRONG: {len(text)} characters: {text[:300]}"
            )
        except BaseException:
            return f"WRONG: {traceback.format_exc()[-1500:]}"
    if result == expected:
        return "same"
    return "warned" if any(issubclass(w.category, RuntimeWarning) for w in caught) else "other"


def trial(seed: int, whole: Path, parent: Path, expected: dict[str, object]) -> tuple[str, dict[str, str]]:
    """What was damaged, and what came of each use. Runs in a child, for its limits and for what it may break."""
    folder = parent / f"run-{seed}"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            if seed % RENDERED:
                Figure.savefig = _unrendered  # type: ignore[method-assign]
            shutil.copytree(whole, folder)
            rng = np.random.default_rng(seed)
            mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
            what = f"{mutation.__name__}: {mutation(folder, rng)}"
            os.chdir(folder)
            found = {name: outcome(use, folder, expected[name]) for name, use in USES.items()}
            if list(folder.rglob("code")):
                found["code"] = "WRONG: code ran"
            text = json.dumps([what, found])
        except BaseException:
            text = json.dumps(["the trial itself", {"trial": f"WRONG: {traceback.format_exc()}"}])
        with open(writing, "w") as pipe:
            pipe.write(text)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    what, found = json.loads(text) if text else ("?", {"trial": "WRONG: the process died"})
    return what, found


def fuzz(seeds: range, report: Callable[[str], None] = print) -> tuple[collections.Counter, int]:
    """Counts of what came of each use, and how many trials fell."""
    parent = Path(tempfile.mkdtemp(prefix="fuzz-"))
    whole, counts, wrong = parent / "whole", collections.Counter[str](), 0
    make_run(whole)
    expected = {}
    for name, use in USES.items():
        shutil.copytree(whole, parent / name)
        expected[name] = use(parent / name)
    gc.freeze()  # every run of Brian2 in a child ends in a collection of all this
    for number, seed in enumerate(seeds):
        if number and number % 500 == 0:
            report(f"{number} mutations, {wrong} wrong so far")
        what, found = trial(seed, whole, parent, expected)
        counts.update(f"{name}: {result.partition(':')[0]}" for name, result in found.items())
        for name, result in found.items():
            if result.startswith("WRONG"):
                wrong += 1
                report(f"--- seed {seed}, {what}, {name}: {result}")
    shutil.rmtree(parent)
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    arguments = parser.parse_args()
    counts, wrong = fuzz(range(arguments.seed, arguments.seed + arguments.mutations))
    for name, count in sorted(counts.items()):
        print(f"{name:20} {count:6}")
    print(f"{arguments.mutations} mutations, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
