"""A million spikes into the files of other tools: seconds, and memory; writes export.md.

    python benchmarks/export.py

Poisson spikes of 500 neurons, 20 Hz each, in 100 s of 1,000 decisions and 20 episodes, as a recording on disk. Each
format is written by a process of its own; its peak of resident memory (ru_maxrss) counts everything it imported.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import ONE_THREAD, listed, machine

from rwta_sim.lab.export import FORMATS, export
from rwta_sim.lab.recordings import Recording
from rwta_sim.lab.runs import versions

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

SPIKES, NEURONS, EPISODES = 1_000_000, 500, 20


def made(folder: Path) -> Recording:
    """The recording."""
    from known_recordings import DECISION, known_recording

    rng = np.random.default_rng(0)
    i = np.sort(rng.integers(0, NEURONS, SPIKES))
    steps = np.empty(SPIKES)
    for neuron, count in enumerate(np.bincount(i, minlength=NEURONS)):
        steps[i == neuron] = rng.choice(100_000, count, replace=False)
    order = np.argsort(steps, kind="stable")
    per_episode = round(100 / DECISION) // EPISODES
    return known_recording(folder, (i[order], steps[order] * 1e-3), NEURONS, {}, [per_episode] * EPISODES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        folder, kind, target = given.one
        began, worked = time.perf_counter(), time.process_time()
        written = export(Recording.open(folder), kind, target)
        size = sum(f.stat().st_size for f in [written, *written.rglob("*")] if f.is_file())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([time.perf_counter() - began, time.process_time() - worked, peak, size / 2**20]))
        return
    lines = [
        "# A million spikes into other files",
        "",
        "Command: `python benchmarks/export.py`, seed 0.",
        "",
        f"Machine: {machine()}. Versions: {listed(versions('neo', 'pynwb', 'pyarrow', 'h5py'))}.",
        "",
        f"{SPIKES:,} spikes of {NEURONS} neurons in {EPISODES} episodes; each format in a process of its own; others",
        "worked on the machine meanwhile.",
        "",
        "| format | seconds | of the processor | peak of resident memory, MiB | file, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as parent:
        made(Path(parent) / "recording.zarr")
        for kind in FORMATS:
            target = f"{parent}/out.{kind}"
            line = ["env", *(f"{name}={value}" for name, value in ONE_THREAD.items()), sys.executable, __file__]
            line += ["--one", f"{parent}/recording.zarr", kind, target]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
            seconds, work, peak, size = json.loads(done.stdout.splitlines()[-1])
            lines.append(f"| {kind} | {seconds:.1f} | {work:.1f} | {peak:.0f} | {size:.1f} |")
    (HERE / "export.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
