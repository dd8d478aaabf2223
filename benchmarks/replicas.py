"""Training with replicas: decisions per second of one and of two, learning included; writes replicas.md.

    python benchmarks/replicas.py --write

Each round trains with 1 replica and with 2 in turn (`training.replicas`, threads of one process), so that both meet the
same load of the machine; the ratio is the median of the rounds'. What counts is the total: all decisions of a training
over its wall-clock time from the first decision on, with the update of the weights after every batch, a validation and
a checkpoint at the end. The environment of S1 to S3 draws random observations from a generator seeded by
`reset`. The weights come out the same to the last bit, which is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)  # before NumPy: what is measured is what threads of replicas do

import gymnasium as gym
import numpy as np
from loop_cases import NETWORKS, STEPS, Case

from rwta_sim import Experiment, train
from rwta_sim.lab.runs import RunFolder, versions
from rwta_sim.loop.encoders import Scaled
from rwta_sim.loop.environment_spec import EnvironmentSpec

#: Decisions of an episode; the tasks with images have hundreds.
LENGTH = 200
TABLE = Path(__file__).with_suffix(".json")
REPLICAS = (1, 2)


class RandomImages(gym.Env):
    """`size` numbers in [0, `high`], new at every step; right is the action whose number is highest.

    All but a part `lit` of them are 0.
    """

    def __init__(self, size: int, actions: int, high: float, length: int, lit: float = 1.0) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0, (size,), np.float32)
        self.action_space = gym.spaces.Discrete(actions)
        self._high = np.float32(high)
        self._length = length
        self._lit = lit

    def _image(self) -> np.ndarray:
        image = self.np_random.random(self.observation_space.shape, dtype=np.float32)
        image *= self._high
        if self._lit < 1:
            image[self.np_random.random(image.shape, dtype=np.float32) >= self._lit] = 0.0
        return image

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._step, self._seen = 0, self._image()
        return self._seen, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        right = int(self._seen[: self.action_space.n].argmax()) == action
        self._step, self._seen = self._step + 1, self._image()
        return self._seen, float(right), False, self._step >= self._length, {}


@dataclass(frozen=True)
class Row:
    """What is trained."""

    network: str
    mode: str
    batch: int = 8
    changes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        extra = "".join(f", {key} = {value}" for key, value in self.changes.items())
        return f"{self.network} ({NETWORKS[self.network]}), {self.mode}{extra}"

    def experiment(self, replicas: int, episodes: int) -> Experiment:
        """The training."""
        case = Case(self.network, self.mode)  # type: ignore[arg-type]
        plain = Experiment(
            task="replicas",
            environment=EnvironmentSpec(id="not-used"),
            encoder=Scaled(complementary=False),
            network=case.spec(),
        )
        settings = {
            "engine.name": "compiled",
            "decision.steps": STEPS,
            "learning.modulation.kind": "episode_advantage",
            "learning.batch": self.batch,
            "critic.kind": "constant",
            "training.episodes": episodes,
            "training.validate_every": episodes,
            "training.validation_episodes": max(REPLICAS),
            "training.checkpoint_every": episodes,
            "training.replicas": replicas,
        }
        return plain.changed({**settings, **self.changes})

    def environment(self) -> gym.Env:
        size = NETWORKS[self.network]
        # An input fires in each step with this probability at the most, as the closed-loop benchmark's do on average.
        return RandomImages(size.inputs, size.actions, min(1.0, 2 * size.p[self.mode]), LENGTH)


ROWS = (
    Row("S1", "one_hot"),
    Row("S3", "poisson"),
    Row("S3", "poisson", changes={"network.inputs": "current"}),
    Row("S3", "one_hot"),
    Row("S3", "one_hot", changes={"learning.rule.kind": "feedback"}),
)


def say(text: str) -> None:
    """Progress, which is no result."""
    print(text, file=sys.stderr, flush=True)


def trained(row: Row, replicas: int, episodes: int) -> tuple[float, bytes]:
    """Decisions per second of one training, and its last weights."""
    with tempfile.TemporaryDirectory(prefix="replicas-") as folder:
        env = row.environment() if replicas == 1 else row.environment
        summary = train(row.experiment(replicas, episodes), f"{folder}/run", env=env)
        assert summary.decisions_per_second is not None
        arrays = RunFolder.open(f"{folder}/run").last().arrays
    return summary.decisions_per_second, b"".join(arrays[name].tobytes() for name in sorted(arrays))


def measured(row: Row, rounds: int, seconds: float) -> dict[str, Any]:
    """One row of the table."""
    trial, _ = trained(row, 1, row.batch)
    episodes = row.batch * max(1, round(seconds * trial / (LENGTH * row.batch)))
    speeds: dict[int, list[float]] = {count: [] for count in REPLICAS}
    for _ in range(rounds):
        ends = []
        for count in REPLICAS:
            speed, end = trained(row, count, episodes)
            speeds[count].append(speed)
            ends.append(end)
            time.sleep(0.5)
        if ends[0] != ends[1]:
            raise SystemExit(f"{row}: two replicas came to other weights than one")
    ratios = [two / one for one, two in zip(*speeds.values(), strict=True)]
    say(f"{row}: {speeds} ratios {ratios}")
    return {
        "what": str(row),
        "episodes": episodes,
        "batch": row.batch,
        **{f"replicas_{count}": median(found) for count, found in speeds.items()},
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def markdown(table: dict[str, Any]) -> str:
    """The table as text."""
    lines = [
        "# Replicas: training decisions per second",
        "",
        f"Command: `{table['command']}`",
        "",
        f"Machine: {table['machine']}; load before: {table['load']}. Versions: {listed(table['versions'])}.",
        "",
        f"Decisions of {STEPS} steps, episodes of {LENGTH} decisions, last-step rule unless another is named, one "
        "update per batch, NumPy in one thread. "
        f"Medians of {table['rounds']} interleaved rounds; in brackets the lowest and highest ratio.",
        "",
        "| network | episodes, of a batch | 1 replica | 2 replicas | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in table["rows"]:
        ratio = f"{row['ratio']:.2f} ({row['lowest']:.2f}–{row['highest']:.2f})"
        counts = f"{row['episodes']}, {row['batch']}"
        speeds = " | ".join(f"{row[f'replicas_{count}']:,.0f}" for count in REPLICAS)
        lines.append(f"| {row['what']} | {counts} | {speeds} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20, help="length of a training with one replica")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--write", action="store_true", help="write replicas.json and replicas.md")
    arguments = parser.parse_args()
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    rows = [measured(row, arguments.rounds, arguments.seconds) for row in ROWS if arguments.only in str(row)]
    table = {
        "command": " ".join(["python", "benchmarks/replicas.py", *sys.argv[1:]]),
        "machine": machine(),
        "load": load,
        "versions": versions(),
        "rounds": arguments.rounds,
        "rows": rows,
    }
    text = markdown(table)
    print(text)
    if arguments.write:
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        TABLE.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
