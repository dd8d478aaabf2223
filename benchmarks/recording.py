"""What recording costs in decisions per second, and in memory, on each engine; recording.json and recording.md.

    python benchmarks/recording.py [--engines compiled events runtime] [--parts speeds memory]

The network S1 of the closed loop (4 inputs, 8x8 hidden, 5 actions; Poisson circuits of 100 Hz, 20 steps of 1 ms a
decision) plays evaluation episodes of 1000 decisions in an environment that costs next to nothing, which is the hardest
case; and it learns the inverted pendulum, the task of this size. Each engine is a process of its own. In every round
each way plays one episode, in turns. Speeds are decisions per second of processor time, which others on the machine
disturb less than the clock on the wall; costs are medians over rounds of what a way loses against the episode without
recording of the same round, which are disturbed alike. Memory (VmRSS) is that of another process, which records
--decisions decisions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
from loop_cases import Case
from machine import ONE_THREAD, listed, machine
from memory import resident

import rwta_sim
from rwta_sim.lab.recorder import Recorder
from rwta_sim.lab.runs import versions
from rwta_sim.loop.players import play_one
from rwta_sim.loop.probes import Sampling, choose
from rwta_sim.seeding import Purpose

TABLE = Path(__file__).with_suffix(".json")
#: Name, and what is recorded; None: nothing, not even actions.
WAYS = {
    "nothing": None,
    "decisions alone": (),
    "spikes, q@decision": ("spikes", "q@decision"),
    "spikes, q of each step": ("spikes", "q@step"),
}
WORLDS = {"still": "nothing happens, played", "pendulum": "inverted pendulum, learning"}
ENGINES = ("compiled", "events", "runtime")
LENGTH = 1000
#: Of the pendulum's numbers, beyond which they are clipped.
SPAN = [0.4, 0.2, 5 / 3, 1.25]


class Still(gym.Env):
    """Four numbers that stay the same, for a fixed number of decisions."""

    observation_space = gym.spaces.Box(0.0, 1.0, (4,))
    action_space = gym.spaces.Discrete(5)

    def __init__(self, length: int = LENGTH) -> None:
        self._length, self._seen, self._step = length, np.full(4, 0.5, np.float32), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self._step = 0
        return self._seen, {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self._step += 1
        return self._seen, 1.0, False, self._step >= self._length, {}


def environment(world: str, length: int) -> gym.Env:
    """One of the two."""
    if world == "still":
        return Still(length)
    env = rwta_sim.preset("inverted-pendulum", "svpg-lockstep").environment
    return gym.make(env.id, **env.kwargs)


def experiment(engine: str) -> rwta_sim.Experiment:
    """S1 in its loop."""
    spec = Case("S1", "poisson").spec().model_dump(mode="json")
    tree = rwta_sim.preset("inverted-pendulum", "svpg-lockstep").model_dump(mode="json")
    tree |= {
        "network": spec,
        "engine": {"name": engine},
        "encoder": {"kind": "scaled", "low": [-x for x in SPAN], "high": SPAN},
    }
    tree["decision"] |= {"steps": 20, "decoder": "last_spike"}
    tree["learning"] |= {"rule": {"kind": "feedback"}}
    return rwta_sim.preset("inverted-pendulum", "svpg-lockstep").of(tree)


def player(
    engine: str, probes: tuple[str, ...] | None, folder: Path, length: int = LENGTH, world: str = "still"
) -> Any:
    """Plays episodes by number; in the world "pendulum" it learns. Gives how many decisions there were."""
    learns = world == "pendulum"
    env = environment(world, length)
    sampling = None if probes is None else Sampling(probes)
    agent = rwta_sim.Agent(experiment(engine), env, sampling=sampling)
    recorder = None
    agent.system.prepare_learning()
    if probes is not None:
        agent.system.hear(learns)
        chosen = choose(probes, agent.system.probes())
        recorder = Recorder(agent.system, env, folder, chosen, {"n_actions": 5}, learns)

    purpose = Purpose.TRAINING if learns else Purpose.EVALUATION

    def play(number: int) -> int:
        if recorder is not None:
            recorder.began(number)
        keep = None if recorder is None else recorder.see
        listener = recorder or (agent.system if learns else None)
        return agent.run(play_one(agent.player, 0, purpose, number, listener, keep=keep)).decisions

    play.recorder = recorder  # type: ignore[attr-defined]
    return play


def speeds(engine: str, world: str, rounds: int) -> dict[str, list[float]]:
    """Decisions per second of each way, round by round."""
    length = 100 if engine == "runtime" else LENGTH
    with tempfile.TemporaryDirectory() as parent:
        ways = {w: p for w, p in WAYS.items() if engine != "events" or p is None or "q@step" not in p}
        players = {way: player(engine, p, Path(parent) / way, length, world) for way, p in ways.items()}
        for play in players.values():
            play(0)
        found: dict[str, list[float]] = {way: [] for way in players}
        for number in range(1, rounds + 1):
            for way, play in players.items():
                began, decisions = time.process_time(), 0
                while decisions < length:
                    decisions += play(number)
                found[way].append(decisions / (time.process_time() - began))
        return found


def memory(engine: str, decisions: int) -> list[tuple[int, float]]:
    """Resident MiB after so many decisions with spikes and q."""
    with tempfile.TemporaryDirectory() as parent:
        play = player(engine, WAYS["spikes, q@decision"], Path(parent) / "recording")
        rows = []
        for number in range(decisions // LENGTH):
            play(number)
            if (number + 1) % max(1, decisions // LENGTH // 5) == 0:
                rows.append(((number + 1) * LENGTH, resident()))
        return rows


def apart(*arguments: str) -> Any:
    """What this script prints, started anew with these arguments."""
    line = ["env", *(f"{name}={value}" for name, value in ONE_THREAD.items()), sys.executable, __file__, *arguments]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rendered(table: dict[str, dict[str, Any]]) -> str:
    """recording.md: for each engine what recording.json has of it, with the command and the versions that made it."""
    lines = [
        "# What recording costs",
        "",
        f"Machine: {machine()}. Seed 0. Network S1, Poisson circuits, 20 steps a decision, one thread. Decisions per",
        "second of processor time, medians of the rounds; costs are medians of those of each round. Values and TD",
        "errors, of a Fourier critic of order 3, are in all that is recorded.",
        "",
        "| engine | environment | recorded | decisions/s, median | lowest–highest | cost |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    grown = ["", "| engine | decisions: resident MiB, recording spikes and q@decision |", "| --- | --- |"]
    made = ["", "| engine | made by `python benchmarks/recording.py` | versions |", "| --- | --- | --- |"]
    for engine in ENGINES:
        for part in ("speeds", "memory"):
            found = table[part].get(engine, {})
            (lines if part == "speeds" else grown).extend(found.get("lines", []))
            if found:
                made.append(f"| {engine} | `{found['options']}` | {found['versions']} |")
    cold = [
        "",
        "With nothing in the cache Cython compiles in the runtime engine's process first, and some 235 MiB stay taken.",
    ]
    return "\n".join([*lines, *grown, *cold, *made]) + "\n"


def speed_lines(engine: str, rounds: int) -> list[str]:
    lines = []
    # On the runtime engine an episode begins with Brian2 making code ready, which takes longer than these.
    for world, told in WORLDS.items():
        found = apart("--speeds", engine, "--world", world, "--rounds", str(rounds))
        for way, rates in found.items():
            span = f"{min(rates):,.0f}–{max(rates):,.0f}"
            cost = median(1 - rate / base for rate, base in zip(rates, found["nothing"], strict=True))
            lines.append(f"| {engine} | {told} | {way} | {median(rates):,.0f} | {span} | {cost:.0%} |")
    return lines


def memory_lines(engine: str, decisions: int) -> list[str]:
    rows = apart("--memory", engine, "--decisions", str(decisions))
    return [f"| {engine} | " + ", ".join(f"{n:,}: {mib:.1f}" for n, mib in rows) + " |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--parts", nargs="+", default=["speeds", "memory"], choices=("speeds", "memory"))
    parser.add_argument("--world", default="still", choices=WORLDS, help=argparse.SUPPRESS)
    parser.add_argument("--speeds", help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.speeds:
        print(json.dumps(speeds(given.speeds, given.world, given.rounds)))
        return
    if given.memory:
        print(json.dumps(memory(given.memory, given.decisions)))
        return
    table = json.loads(TABLE.read_text())
    for part in given.parts:
        for engine in given.engines:
            if part == "speeds":
                options, lines = f"--rounds {given.rounds}", speed_lines(engine, given.rounds)
            else:
                options, lines = f"--decisions {given.decisions}", memory_lines(engine, given.decisions)
            print(*lines, sep="\n", flush=True)
            options = f"--engines {engine} --parts {part} {options}"
            table[part][engine] = {"options": options, "versions": listed(versions()), "lines": lines}
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    TABLE.with_suffix(".md").write_text(rendered(table))


if __name__ == "__main__":
    main()
