"""From sources to a shared library, through a cache."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shlex
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
from rwta_sim.native.folder import explained, private, read_private, writable
from rwta_sim.native.scratch import clear_abandoned

__all__ = ["CompilerError", "build", "can_build", "compiler", "compiler_failed", "require_compiler"]

#: Seconds to wait for a process that builds the same library; then it is built beside it.
PATIENCE = 600.0
#: How code is compiled that runs once: soon.
ONCE = "-O1"


class CompilerError(EngineError):
    """The compiler that ``$CXX`` names does not work: to take another one would be to do as if nothing was said."""


def compiler() -> str | None:
    """The C++ compiler, as a line for a shell: ``$CXX``, which may have arguments, or the first of c++, g++, clang++.

    None if there is none that works.

    Raises
    ------
    CompilerError
        If ``$CXX`` is none that works.
    """
    given = os.environ.get("CXX", "").strip()
    if not given:
        return next(filter(None, map(_working, ("c++", "g++", "clang++"))), None)
    found = _working(given)
    if found is None:
        raise CompilerError(
            f"CXX = {given!r} is no C++ compiler that works here: name one that does (g++, 'ccache g++', "
            "/usr/bin/clang++), or unset CXX"
        )
    return found


@functools.cache
def _working(line: str) -> str | None:
    """`line` with the full path of its program, if that can be run."""
    try:
        words = [line] if shutil.which(line) else shlex.split(line)  # there may be spaces in a path
    except ValueError:  # a quote that is not closed
        return None
    path = shutil.which(words[0]) if words else None
    if path is None:
        return None
    command = [os.path.abspath(path), *words[1:]]
    try:
        works = subprocess.run([*command, "--version"], capture_output=True).returncode == 0
    except OSError:  # no program, though it may be executed
        return None
    return shlex.join(command) if works else None


def can_build() -> bool:
    """Whether the compiled engine can work on this machine."""
    return platform.system() != "Windows" and compiler() is not None


def require_compiler() -> str:
    """The C++ compiler, as a line for a shell.

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
    version = subprocess.run([*shlex.split(path), "--version"], capture_output=True, text=True).stdout
    cpuinfo = Path("/proc/cpuinfo")
    processor = platform.processor() or platform.machine()
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        processor = "\n".join(sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))}))
    return "\n".join([path, version, processor, platform.platform(), brian2.__version__])


def build(sources: dict[str, str], exact: bool = False, flags: Sequence[str] = (), link: Sequence[str] = ()) -> bytes:
    """The library compiled from `sources`, from the cache if it is there, whole, and nobody else's.

    Of the processes that want the same at once, one builds and the others wait. Each works in a folder of its own and
    moves the finished file into place, so a process killed at any moment leaves nothing half-done. A file whose digest
    does not match, or which others can change, is built again.

    Parameters
    ----------
    sources : dict
        Text by file name; compiled byte for byte.
    exact : bool
        Arithmetic as it is written, without Brian2's ``-ffast-math``.
    flags, link : sequence of str
        More arguments for compiling and for linking.

    Returns
    -------
    bytes
        Those that were checked: what is in the cache may change at any time.

    Raises
    ------
    EngineError
        If there is no compiler or it fails, or the cache cannot be written or is not the user's alone.
    """
    path = require_compiler()
    for name, text in sources.items():
        if re.search("\r(?!\n)", text):
            raise EngineError(
                f"{name}: a carriage return by itself, which some compilers take for the end of a line: take it out of "
                "the equations or functions of the network"
            )
    _, usual = get_compiler_and_args()
    if exact:
        usual = [flag for flag in usual if "math" not in flag and flag != "-Ofast"]
        usual += ["-ffp-contract=off", "-fno-math-errno"]
    flags = [*usual, "-fPIC", *flags]
    what = [sources, flags, [*link], ONCE, _machine(path)]
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    cache = private("compiled")
    library, digest = cache / f"{key}.so", cache / f"{key}.sha256"
    if (found := _whole(library, digest)) is not None:
        return found
    writable(cache)
    clear_abandoned(cache)
    with _alone(cache / f"{key}.lock") as locked:
        if (found := _whole(library, digest)) is not None:  # by the process that was waited for
            return found
        # Whose name has the key is abandoned once the key's lock is free; see rwta_sim.native.cache.
        prefix = f"building-{key}-" if locked else "building-"
        with explained(cache), tempfile.TemporaryDirectory(dir=cache, prefix=prefix) as folder:
            built = _compile(sources, Path(folder), path, flags, link)
            code = built.read_bytes()
            (Path(folder) / "sha256").write_text(hashlib.sha256(code).hexdigest())
            for file, target in ((built, library), (Path(folder) / "sha256", digest)):
                file.chmod(0o600)
                os.replace(file, target)
    return code


def _whole(library: Path, digest: Path) -> bytes | None:
    """The library if it is there, as it was built and nobody else's; then note that it was used."""
    code, expected = read_private(library), read_private(digest)
    if code is None or expected != hashlib.sha256(code).hexdigest().encode():
        return None
    with suppress(OSError):
        os.utime(library)
    return code


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
        file.write_bytes(text.encode())

    command = shlex.split(path)

    def compile_one(name: str) -> str:
        target = f"{name}.o"
        level = [ONCE] if name.startswith("once_") else []
        _run([*command, *flags, *level, f"-I{folder}", "-c", name, "-o", target], folder)
        return target

    jobs = _jobs()
    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(compile_one, _merged(sources, folder, jobs)))
    # Not with -ffast-math here: linked so, a library switches the whole process to flush denormals.
    symbolic = [] if platform.system() == "Darwin" else ["-Wl,-Bsymbolic"]
    _run([*command, "-shared", *symbolic, *objects, *link, "-o", "library.so"], folder)
    if not (folder / "library.so").exists():
        raise compiler_failed(f"{path} says that it made a library, and made none")
    return folder / "library.so"


def _jobs() -> int:
    """How many compilers run at once: ``$MAX_JOBS``, as for the extensions of PyTorch, or the cores of this process."""
    given = os.environ.get("MAX_JOBS", "").strip()
    if given and not re.fullmatch("[1-9][0-9]{0,5}", given):
        raise EngineError(f"MAX_JOBS = {given!r}: expected how many compilers may run at once, 1 or more; or unset it")
    if given:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _merged(sources: dict[str, str], folder: Path, count: int) -> list[str]:
    """Names of at most `count` files with the code objects that run often, and as many with all the rest.

    Brian2 writes many small files that include the same headers, and reading those takes the compiler most of its
    time. Those other than code objects run once, and so do code objects that connect synapses and fill queues, which
    take it longer than those of a step. The names of files with these begin with ``once_``.
    """
    others = [name for name in sources if name.endswith(".cpp") and not name.startswith("code_objects/")]
    parts = [name for name in sources if name.endswith(".cpp") and name.startswith("code_objects/")]
    alone = [name for name in others if "/" in name]  # which include their neighbours by name
    others = [name for name in others if name not in alone]
    once = [name for name in parts if _runs_once(Path(name).stem, sources.get("main.cpp", ""))]
    often = [name for name in parts if name not in once]
    # First, so that of functions that both have the linker takes the faster ones.
    merged = {f"often_{unit}.cpp": _spaced(sources, often[unit::count]) for unit in range(min(count, len(often)))}
    first = "once_0.cpp" if "objects.cpp" in sources else "merged_others.cpp"  # Brian2's, or somebody else's
    merged[first] = [sources[name] for name in others] + _spaced(sources, once[::count])
    merged |= {f"once_{unit}.cpp": _spaced(sources, once[unit::count]) for unit in range(1, min(count, len(once)))}
    return alone + _written(merged, folder)


def _runs_once(name: str, main: str) -> bool:
    """Whether a code object is called where the network is set up, and not given to a network to call in its steps."""
    called = re.search(rf"\b(_run)?_{name}\(\);", main)
    return called is not None and not re.search(rf", _run_{name}\);", main)


def _spaced(sources: dict[str, str], names: Sequence[str]) -> list[str]:
    """Code objects to stand in one file: they hold the same support code in an anonymous namespace, each needs its own.

    Functions in it may have external linkage, so that they differ between files, too.
    """
    texts = []
    for name in names:
        space = f"support_{Path(name).stem}"
        code = sources[name].replace("\nnamespace {", f"\nnamespace {space} {{", 1)
        code = code.replace("using namespace brian;", f"using namespace brian; using namespace {space};")
        texts.append(code if f"namespace {space} {{" in code else f"namespace {space} {{}}\n{code}")
    return texts


def _written(merged: dict[str, list[str]], folder: Path) -> list[str]:
    for name, texts in merged.items():
        (folder / name).write_bytes("\n".join(texts).encode())
    return list(merged)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise compiler_failed(f"{command[0]} cannot be run: {error.strerror}") from error
    if "No space left on device" in done.stderr:
        raise EngineError(
            f"no space left on the disk while compiling in {folder}, or in {tempfile.gettempdir()}: make room, or set "
            "RWTA_SIM_CACHE and TMPDIR to folders where there is some"
        )
    if done.returncode:
        raise compiler_failed(f"{command[0]}\n{done.stderr[-2000:]}")


def compiler_failed(what: str) -> EngineError:
    """The error for a compiler that does not do its work; a CompilerError if ``$CXX`` names it."""
    given = os.environ.get("CXX", "").strip()
    choose = f"CXX = {given!r} chose it: unset it or name another one" if given else "choose another one with CXX"
    program, _, output = what.partition("\n")
    text = f"the C++ compiler failed ({program}); mend it, {choose}, or use --engine runtime"
    return (CompilerError if given else EngineError)(text + (f":\n{output}" if output else ""))
