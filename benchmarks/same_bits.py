"""Whether two versions of the package learn the same, to the last bit: digests of short trainings.

    python benchmarks/same_bits.py --write before.json      # with the one version
    python benchmarks/same_bits.py --against before.json    # with the other, on the same machine

Of each training the digests of metrics.csv and of the arrays of its last checkpoint, by name. It uses nothing of the
package but its command line, so that it runs with any version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from machine import ONE_THREAD

Digests = dict[str, str]

RATE = ("--dynamics", "rate", "--learning.rule.kind", "mean_field")
BATCHES = ("--learning.modulation.kind", "episode_advantage", "--learning.batch", "2")
SYNAPSES = ("--learning.apply", "synapses", "--learning.rule.kind", "trace_stdp")

#: Task and options; the number of episodes comes first.
CASES: dict[str, tuple[str, ...]] = {
    "cue": ("cue", "40"),
    "cue, runtime": ("cue", "6", "--engine.target", "numpy"),
    "cue, synapses": ("cue", "20", *SYNAPSES),
    "cue, rate": ("cue", "40", *RATE),
    "cue, batches": ("cue", "12", *BATCHES),
    "cue, two replicas": ("cue", "12", *BATCHES, "--training.replicas", "2"),
    "cue, two replicas in step": ("cue", "12", *BATCHES, "--training.replicas", "2", "--training.vector", "sync"),
    "cue, ppo from spikes": (
        *("cue", "12", "--learning.modulation.kind", "ppo", "--learning.rule.kind", "feedback"),
        *("--learning.batch", "3"),
    ),
    "cue, shuffled": ("cue", "12", "--learning.control", "shuffled"),
    "cue, off": ("cue", "6", "--learning.control", "off"),
    "cue, lasting traces": ("cue", "12", "--decision.clear", "episode", "--learning.rule.kind", "r_stdp"),
    "cartpole": ("cartpole", "30"),
    "cartpole, synapses": ("cartpole", "10", *SYNAPSES),
    "cartpole, rate": ("cartpole", "20", *RATE),
    "cartpole, poisson": (
        *("cartpole", "10", "--network.firing", "poisson", "--network.rho_hat", "100 Hz"),
        *("--learning.rule.kind", "score_function"),
    ),
    "xor": ("xor", "300"),
    "xor, synapses": ("xor", "100", "--learning.apply", "synapses"),
    "xor, two replicas": ("xor", "200", "--training.replicas", "2"),
    "gridworld": ("gridworld", "10"),
    "gridworld, rate": ("gridworld", "20", *RATE),
    "inverted-pendulum": ("inverted-pendulum", "12"),
    "inverted-pendulum, published": ("inverted-pendulum", "12", "--model", "svpg-published"),
    "digits": ("digits", "120"),
    "digits, rate": ("digits", "120", *RATE),
    "digits, two replicas": ("digits", "120", "--training.replicas", "2"),
    "doom-health": ("doom-health", "3", "--training.validate_every", "2", "--training.validation_episodes", "1"),
    "doom-health, rate": ("doom-health", "2", *RATE, "--training.validation_episodes", "1"),
}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def trained(case: str, model: str | None) -> Digests:
    """Train in a process of its own; what the run folder holds, or the error."""
    task, episodes, *rest = CASES[case]
    with tempfile.TemporaryDirectory(prefix="same_bits-") as folder:
        run = Path(folder) / "run"
        line = [sys.executable, "-m", "rwta_sim", "train", task, "--episodes", episodes, "--no-figures"]
        line += [] if model is None or "--model" in rest else ["--model", model]
        done = subprocess.run(
            [*line, "--run", str(run), *rest], capture_output=True, text=True, env={**os.environ, **ONE_THREAD}
        )
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        last = max((run / "checkpoints").glob("checkpoint-*.npz"))
        with np.load(last) as arrays:
            found = {name: digest(np.ascontiguousarray(arrays[name]).tobytes()) for name in sorted(arrays.files)}
        return {"metrics.csv": digest((run / "metrics.csv").read_bytes()), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="JSON file for the digests")
    parser.add_argument("--against", type=Path, help="JSON file to compare with")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES, metavar="CASE")
    parser.add_argument("--model", help="of the cases that name none: svpg-lockstep where svpg is another by now")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = dict(
            zip(arguments.cases, pool.map(partial(trained, model=arguments.model), arguments.cases), strict=True)
        )
    if arguments.write:
        arguments.write.write_text(json.dumps(found, indent=1) + "\n")
    before = json.loads(arguments.against.read_text()) if arguments.against else found
    wrong = 0
    for case, digests in found.items():
        differs = sorted(
            name for name in digests.keys() | before[case].keys() if digests.get(name) != before[case].get(name)
        )
        failed = "error" in digests
        wrong += bool(differs) or failed
        answer = digests["error"] if failed else f"differs in {', '.join(differs)}" if differs else "the same"
        print(f"{case}: {answer} ({len(digests)} digests)")
    if wrong:
        sys.exit(f"{wrong} of {len(found)} trainings differ, or failed")


if __name__ == "__main__":
    main()
