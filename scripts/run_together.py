"""Two processes use one run at once, in every pair of commands: nothing is lost.

    python scripts/run_together.py --times 20

Prints what each said, and fails if one answered with anything but a result or one line, or if the run did not come to
the end of a run that was alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from interruptions import TINY, begin_or_resume, end_of

import rwta_sim
from rwta_sim.analysis import draw_figures, save_film
from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.recording import record_episode

#: With a file operation at every episode, so that two processes meet often.
SLOW = TINY.changed({"training.episodes": 12, "training.checkpoint_every": 1, "engine.target": "numpy"})


def train(folder: Path) -> None:
    rwta_sim.train(SLOW, folder)


def resume(folder: Path) -> None:
    rwta_sim.resume(folder)


def evaluate(folder: Path) -> None:
    rwta_sim.Agent.load(rwta_sim.RunFolder.open(folder)).play(5)


def watch(folder: Path) -> None:
    run = rwta_sim.RunFolder.open(folder)
    recording = record_episode(run)
    frames = np.zeros((len(recording["actions"]) + 1, 4, 4, 3), np.uint8)  # this task has no pictures
    save_film({**recording, "frames": frames}, run.file_for("figures", "watch.gif"), decisions=2)


def figures(folder: Path) -> None:
    run = rwta_sim.RunFolder.open(folder)
    run.save_recording(record_episode(run))
    draw_figures(run)


COMMANDS: dict[str, Callable[[Path], None]] = {f.__name__: f for f in (train, resume, evaluate, watch, figures)}


def prepared(folder: Path) -> Path:
    """A run that is half done."""

    class Enough(Exception):
        pass

    def stop(progress: rwta_sim.lab.training.Progress) -> None:
        if progress.episode == 6:
            raise Enough

    try:
        rwta_sim.train(SLOW, folder, report=stop)
    except Enough:
        pass
    return folder


@cache
def _alone() -> dict:
    folder = Path(tempfile.mkdtemp(prefix="together-")) / "run"
    rwta_sim.train(SLOW, folder)
    return end_of(folder)


def together(folder: Path, pair: tuple[str, str]) -> tuple[str, ...]:
    """Two commands at once, then the run to its end; what each said.

    Raises
    ------
    AssertionError
        If one answered with more than a line, or something was lost.
    """
    children = [_started(COMMANDS[name], folder) for name in pair]
    said = []
    for name, (child, pipe) in zip(pair, children, strict=True):
        with open(pipe) as file:
            said.append(f"{name}: {file.read()}")
        os.waitpid(child, 0)
    assert all("\n" not in text for text in said), "\n".join(said)
    begin_or_resume(SLOW, folder)
    assert end_of(folder) == _alone(), "\n".join(said)
    return tuple(said)


def _started(command: Callable[[Path], None], folder: Path) -> tuple[int, int]:
    """A child that does it, and the pipe through which it says what came of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        command(folder)
        text = "done"
    except RwtaSimError as error:
        text = str(error)
    except BaseException:
        text = traceback.format_exc()
    os.write(writing, text.encode())
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="each pair, half of them on a new folder")
    arguments = parser.parse_args()
    parent, failures = Path(tempfile.mkdtemp(prefix="together-")), 0
    for pair in combinations_with_replacement(COMMANDS, 2):
        answers = set()
        for number in range(arguments.times):
            folder = parent / f"{'-'.join(pair)}-{number}"
            try:
                answers.add(together(folder if number % 2 else prepared(folder), pair))
            except AssertionError as error:
                failures += 1
                print(f"FAILED {pair}: {error}")
        print(f"{' and '.join(pair)}: {len(answers)} different answers", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
