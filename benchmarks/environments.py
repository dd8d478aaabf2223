"""Decisions per second of the environments with a camera, on one core, played at random; writes environments.md.

python benchmarks/environments.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import rwta_sim
from rwta_sim.lab.runs import versions
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.environments import make_environment

TABLE = Path(__file__).with_suffix(".md")
ROUNDS, SECONDS = 5, 2.0
TASKS = ("doom-health", "doom-health-supreme", "panda-reach", "robot-navigation")


def rounds(spec: EnvironmentSpec) -> list[float]:
    """Decisions per second, round by round."""
    env = make_environment(spec)
    env.action_space.seed(0)
    env.reset(seed=0)
    found = []
    for _ in range(ROUNDS):
        steps, began = 0, time.perf_counter()
        while (seconds := time.perf_counter() - began) < SECONDS:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            steps += 1
            if terminated or truncated:
                env.reset()
        found.append(steps / seconds)
    env.close()
    return found


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # ViZDoom's process too, which inherits it
    rows = []
    for task in TASKS:
        spec = rwta_sim.preset(task).environment
        variants: dict[str, dict[str, Any]] = {"as by default": {}, "of the preset": spec.kwargs}
        for label, kwargs in variants.items():
            speeds = rounds(EnvironmentSpec(id=spec.id, kwargs=kwargs))
            rows.append(f"| {task} | {label} | {median(speeds):.0f} | {min(speeds):.0f}–{max(speeds):.0f} |")
            print(rows[-1], flush=True)
    text = [
        "# Environments with a camera",
        "",
        "Command: `python benchmarks/environments.py`: decisions per second with random actions, resets included, all "
        f"of it on one core; median, lowest and highest of {ROUNDS} rounds of {SECONDS:g} s.",
        "",
        f"Machine: {machine()}. Versions: {listed(versions('vizdoom', 'pybullet'))}.",
        "",
        "| task | options | decisions/s | lowest–highest |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    TABLE.write_text("\n".join([*text, ""]))


if __name__ == "__main__":
    main()
