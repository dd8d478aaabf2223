"""From sources to a shared library, through a cache."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import brian2
from brian2.codegen.cpp_prefs import get_compiler_and_args
from filelock import FileLock, Timeout

from rwta_sim.errors import EngineError

__all__ = ["build", "can_build", "compiler", "require_compiler"]

#: Seconds to wait for a process that builds the same library; then it is built beside it.
PATIENCE = 600.0


@functools.cache
def compiler() -> str | None:
    """The C++ compiler: ``$CXX``, or the first of c++, g++, clang++; None if there is none that works."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


def can_build() -> bool:
    """Whether the compiled engine can work on this machine."""
    return platform.system() != "Windows" and compiler() is not None


def require_compiler() -> str:
    """The C++ compiler.

    Raises
    ------
    EngineError
        If there is none.
    """
    found = compiler()
    if found is None or not can_build():
        raise EngineError(
            "the compiled engine needs a C++ compiler (Debian: apt install g++; macOS: xcode-select --install) on "
            "Linux or macOS: use --engine runtime, which also runs without one (for a run that was begun compiled, set "
            'name = "runtime" below [engine] in its config.toml: it goes on, the same but for rounding)'
        )
    return found


@functools.cache
def _machine(path: str) -> str:
    """What besides code and flags decides the binary: compiler, processor (for -march=native), versions."""
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    cpuinfo = Path("/proc/cpuinfo")
    processor = platform.processor() or platform.machine()
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        processor = "\n".join(sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))}))
    return "\n".join([path, version, processor, platform.platform(), brian2.__version__])


def build(
    sources: dict[str, str], cache: Path, exact: bool = False, flags: Sequence[str] = (), link: Sequence[str] = ()
) -> Path:
    """The library compiled from `sources`, from the cache if it is there and whole.

    Of the processes that want the same at once, one builds and the others wait. Each works in a folder of its own and
    moves the finished file into place, so a process killed at any moment leaves nothing half-done. A file whose digest
    does not match is built again.

    Parameters
    ----------
    sources : dict
        Text by file name.
    cache : Path
        Where libraries are kept.
    exact : bool
        Arithmetic as it is written, without Brian2's ``-ffast-math``.
    flags, link : sequence of str
        More arguments for compiling and for linking.

    Raises
    ------
    EngineError
        If there is no compiler or it fails.
    """
    path = require_compiler()
    _, usual = get_compiler_and_args()
    if exact:
        usual = [flag for flag in usual if "math" not in flag and flag != "-Ofast"]
        usual += ["-ffp-contract=off", "-fno-math-errno"]
    flags = [*usual, "-fPIC", *flags]
    key = hashlib.sha256(json.dumps([sources, flags, [*link], _machine(path)], sort_keys=True).encode()).hexdigest()
    library, digest = cache / f"{key}.so", cache / f"{key}.sha256"
    if _whole(library, digest):
        return library
    with _alone(cache / f"{key}.lock") as locked:
        if _whole(library, digest):  # by the process that was waited for
            return library
        # Whose name has the key is abandoned once the key's lock is free; see rwta_sim.engines.cache.
        prefix = f"building-{key}-" if locked else "building-"
        with tempfile.TemporaryDirectory(dir=cache, prefix=prefix) as folder:
            built = _compile(sources, Path(folder), path, flags, link)
            text = hashlib.sha256(built.read_bytes()).hexdigest()
            (Path(folder) / "sha256").write_text(text)
            os.replace(built, library)
            os.replace(Path(folder) / "sha256", digest)
    return library


def _whole(library: Path, digest: Path) -> bool:
    """Whether the library is there and as it was built; if so, note that it was used."""
    with suppress(OSError):
        if digest.read_text() == hashlib.sha256(library.read_bytes()).hexdigest():
            with suppress(OSError):
                os.utime(library)
            return True
    return False


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Keep other processes from the same build; the system frees the lock of a process that dies.

    Gives False where the lock could not be had: in a file system without locks, or from a process that holds it for
    too long (a stopped one). Builds side by side do not disturb each other, they only waste time.
    """
    lock = FileLock(path, timeout=PATIENCE)
    with suppress(Timeout, OSError, NotImplementedError):
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _compile(sources: dict[str, str], folder: Path, path: str, flags: list[str], link: Sequence[str]) -> Path:
    for name, text in sources.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def compile_one(name: str) -> str:
        target = f"{name}.o"
        # Brian2's files other than code objects run once: what counts is how soon they are compiled.
        once = ["-O1"] if "objects.cpp" in sources and name in ("objects.cpp", "merged_others.cpp") else []
        _run([path, *flags, *once, f"-I{folder}", "-c", name, "-o", target], folder)
        return target

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        objects = list(pool.map(compile_one, _merged(sources, folder, cores)))
    # Not with -ffast-math here: linked so, a library switches the whole process to flush denormals.
    symbolic = [] if platform.system() == "Darwin" else ["-Wl,-Bsymbolic"]
    _run([path, "-shared", *symbolic, *objects, *link, "-o", "library.so"], folder)
    return folder / "library.so"


def _merged(sources: dict[str, str], folder: Path, count: int) -> list[str]:
    """Names of at most `count` files with all the code objects, and of those with the other sources.

    Brian2 writes many small files that include the same headers, and reading those takes the compiler most of its
    time. Code objects also hold the same support code in an anonymous namespace: merged, each needs one of its own.
    """
    others = [name for name in sources if name.endswith(".cpp") and not name.startswith("code_objects/")]
    parts = [name for name in sources if name.endswith(".cpp") and name.startswith("code_objects/")]
    # The longest first; what lies in folders includes its neighbours by name.
    alone = [name for name in others if name == "objects.cpp"] + [name for name in others if "/" in name]
    merged = {"merged_others.cpp": "\n".join(sources[name] for name in others if name not in alone)}
    for unit in range(min(count, len(parts))):
        text = ""
        for number, name in enumerate(parts[unit::count]):
            space = f"support_{unit}_{number}"  # functions in it may have external linkage
            code = sources[name].replace("\nnamespace {", f"\nnamespace {space} {{", 1)
            code = code.replace("using namespace brian;", f"using namespace brian; using namespace {space};")
            text += code if f"namespace {space} {{" in code else f"namespace {space} {{}}\n{code}"
        merged[f"merged_{unit}.cpp"] = text
    for name, text in merged.items():
        (folder / name).write_text(text)
    return alone + list(merged)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise EngineError(
            f"the C++ compiler failed ({command[0]}); mend it, choose another one with CXX, or use --engine runtime:\n"
            f"{done.stderr[-2000:]}"
        )
