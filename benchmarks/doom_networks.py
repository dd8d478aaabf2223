"""Ordinary networks on the supreme Doom map, under the budget of the spiking ones: doom_networks.md, and a figure.

    python benchmarks/doom_networks.py --runs FOLDER

`linear` and `relu` (500 units) are softmax policies in PyTorch. They see what the preset `doom-health-supreme` sees,
are rewarded for the same, play as many episodes from the same seeds and learn by PPO with the preset's batch,
minibatch, epochs, clip, gamma, lambda, entropy and annealing; the rate is 1e-3 as in the preset, 3e-4 for `relu`. Their
critic is a network of the same kind. `plain` policies have no retina: 60 x 80 grey pixels, the published rewards, PPO
on every episode as a whole, gamma .97, entropy .02 and Adam 1e-4, for twice as many episodes, which are shorter.

FOLDER holds runs of the spiking rows that results.py has made: their learning curves are drawn beside.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import log_softmax

from rwta_sim import Experiment, preset
from rwta_sim.actor import Actor, Session, policy_entropy
from rwta_sim.bridge import Bridge, Episode
from rwta_sim.critics import CriticInputs, Network
from rwta_sim.critics.base import Transitions, advantages
from rwta_sim.decoders import action_count
from rwta_sim.encoders import Encoder, make_encoder
from rwta_sim.environments import make_environment
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.modulation.ppo import PPO
from rwta_sim.rate import finish
from rwta_sim.runs import versions
from rwta_sim.seeding import EpisodeSeeds, Purpose, critic_seed, episode_seeds

TABLE, FIGURE = Path(__file__).with_suffix(".json"), Path(__file__).parent.parent / "docs/pictures/doom_curves.png"
PLAIN = {
    "environment.kwargs": {},
    "encoder.standardise": 0,
    "learning.modulation.minibatch": None,
    "learning.batch": 1,
    "learning.rate": 1e-4,
    "learning.final_rate": 1.0,
    "learning.entropy": 0.02,
    "critic.gamma": 0.97,
}
#: Episodes in a point of a learning curve.
POINT = 50


@dataclass(frozen=True)
class Kind:
    """A policy: units between pixels and actions, and what it does otherwise than the preset."""

    hidden: tuple[int, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    #: Times the episodes of the preset.
    episodes: float = 1.0


KINDS = {
    "linear": Kind(),
    "relu": Kind((500,), {"learning.rate": 3e-4}),
    "linear, plain": Kind((), PLAIN, 2.0),
    "relu, plain": Kind((500,), PLAIN, 2.0),
}
#: Rows of results.py, for the figure.
SPIKING = {"doom-health-supreme": "RWTA, hidden circuits", "doom-health-supreme-linear": "RWTA, no hidden circuits"}


class Policy(Actor):
    """A softmax policy; draws its actions, or takes the likeliest."""

    def __init__(self, n_inputs: int, hidden: tuple[int, ...], n_actions: int) -> None:
        layers: list[torch.nn.Module] = []
        for units in hidden:
            layers += [torch.nn.Linear(n_inputs, units), torch.nn.ReLU()]
            n_inputs = units
        last = torch.nn.Linear(n_inputs, n_actions)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
        self.network = torch.nn.Sequential(*layers, last)

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        pass

    @torch.no_grad()
    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        yield from ()
        policy = torch.softmax(self.network(torch.from_numpy(drive.astype(np.float32))), 0).numpy().astype(float)
        policy /= policy.sum()
        action = int(policy.argmax()) if greedy else int(rng.choice(policy.size, p=policy))
        v = np.eye(policy.size)[action]
        return Decision(drive, drive, v, policy, v, np.ones_like(v), action, policy, policy_entropy(policy))


class Learner:
    """PPO with the settings of an experiment, for a `Policy`."""

    def __init__(self, experiment: Experiment, policy: Policy, kind: Kind, encoder: Encoder) -> None:
        self._spec, self._policy, self._encoder = experiment.learning, policy, encoder
        assert isinstance(self._spec.modulation, PPO)
        self._ppo = self._spec.modulation
        gamma, inputs = experiment.critic.gamma, CriticInputs(encoder.n_inputs, seed=critic_seed(experiment.seed))
        self._critic = Network(gamma=gamma, trace=0.95, rate=3e-4, hidden=kind.hidden, channels=()).make(inputs)
        self._adam = torch.optim.Adam(policy.network.parameters(), lr=self._spec.rate)
        self._batch: list[tuple[np.ndarray, ...]] = []

    def anneal(self, progress: float) -> None:
        for group in self._adam.param_groups:
            group["lr"] = self._spec.rate * (1.0 - (1.0 - self._spec.final_rate) * progress)

    def begin_episode(self, features: np.ndarray) -> None:
        self._seen: list[tuple[np.ndarray, int, float]] = []
        self._states = Transitions(self._encoder.drive(features))

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        self._seen.append((decision.drive, decision.action, decision.policy[decision.action]))
        self._states.add(None, reward, self._encoder.drive(features), terminated)
        return False

    def end_episode(self, rng: np.random.Generator) -> bool:
        deltas = self._critic.td_errors(self._states, rng)
        drives, actions, chances = (np.array(column) for column in zip(*self._seen, strict=True))
        self._batch.append((drives, actions, chances, advantages(deltas, self._critic.gamma * self._ppo.trace)))
        if len(self._batch) < self._spec.batch:
            return False
        self._learn(*(np.concatenate(parts) for parts in zip(*self._batch, strict=True)), rng=rng)
        self._batch.clear()
        return True

    def _learn(
        self, drives: np.ndarray, actions: np.ndarray, chances: np.ndarray, gain: np.ndarray, rng: np.random.Generator
    ) -> None:
        s, old = torch.tensor(drives, dtype=torch.float32), torch.tensor(chances, dtype=torch.float32)
        a, gain_ = torch.tensor(actions), torch.tensor(self._ppo.normalised(gain), dtype=torch.float32)
        size = self._ppo.minibatch or len(actions)
        for _ in range(self._ppo.epochs):
            for rows in np.array_split(rng.permutation(len(actions)), -(-len(actions) // size)):
                chosen = torch.from_numpy(rows)
                logs = log_softmax(self._policy.network(s[chosen]), 1)
                ratio = logs[torch.arange(len(rows)), a[chosen]].exp() / old[chosen]
                clipped = ratio.clamp(1 - self._ppo.clip, 1 + self._ppo.clip)
                gained = torch.minimum(ratio * gain_[chosen], clipped * gain_[chosen]).mean()
                entropy = -(logs.exp() * logs).sum(1).mean()
                self._adam.zero_grad()
                (-gained - self._spec.entropy * entropy).backward()
                self._adam.step()


def trained(name: str, seed: int, episodes: int | None) -> dict[str, Any]:
    """Train one policy and test it."""
    began, cpu, kind = time.perf_counter(), time.process_time(), KINDS[name]
    experiment = preset("doom-health-supreme").changed({"seed": seed, **kind.changes})
    training = experiment.training
    episodes = round((episodes or training.episodes) * kind.episodes)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    env = make_environment(experiment.environment)
    encoder = make_encoder(env, experiment.encoder)
    policy = Policy(encoder.n_inputs, kind.hidden, action_count(env))
    bridge = Bridge(policy, encoder, experiment.critic.gamma)
    bridge.calibrate(env, seed)
    learner = Learner(experiment, policy, kind, encoder)

    def play(purpose: Purpose, number: int, learner: Learner | None = None) -> Episode:
        seeds = episode_seeds(seed, purpose, number)
        result: Episode = finish(bridge.episode(env, seeds, learner, greedy=learner is None))
        return result

    best, kept, lived = -np.inf, policy.network.state_dict(), []
    for number in range(episodes):
        learner.anneal(number / episodes)
        lived.append(play(Purpose.TRAINING, number, learner).decisions)
        if (number + 1) % training.validate_every == 0:
            value = np.mean([play(Purpose.VALIDATION, n).total for n in range(training.validation_episodes)])
            if value > best:
                best, kept = value, {key: w.clone() for key, w in policy.network.state_dict().items()}
            print(f"{name} {seed}: {number + 1} lived {np.mean(lived[-40:]):.0f}, validation {value:.2f}", flush=True)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    policy.network.load_state_dict(kept)
    tested = [play(Purpose.EVALUATION, number).decisions for number in range(100)]
    env.close()
    return {
        "kind": name,
        "seed": seed,
        "survived": float(np.mean(tested)),
        "episodes": episodes,
        "decisions": sum(lived),
        "seconds": seconds,
        "cpu_seconds": used,
        "lived": lived,
    }


def curve(lived: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Decisions of training so far, and decisions survived, means of `POINT` episodes."""
    parts = np.array(lived[: len(lived) // POINT * POINT]).reshape(-1, POINT)
    return np.cumsum(parts.sum(axis=1)), parts.mean(axis=1)


def spiking(runs: Path) -> list[dict[str, Any]]:
    """Learning curves of the spiking runs there are."""
    found = []
    for row, label in SPIKING.items():
        for folder in sorted(runs.glob(f"{row}-[0-9]*")):
            with (folder / "metrics.csv").open() as file:
                lived = [int(line["decisions"]) for line in csv.DictReader(file)]
            found.append({"kind": label, "seed": int(folder.name.rsplit("-", 1)[1]), "lived": lived})
    return found


def draw(runs: list[dict[str, Any]]) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    kinds = sorted({run["kind"] for run in runs})
    for kind in kinds:
        for n, run in enumerate(r for r in runs if r["kind"] == kind):
            x, y = curve(run["lived"])
            axes.plot(x / 1000, y, color=f"C{kinds.index(kind)}", lw=1, label=None if n else kind)
    axes.set(xlabel="decisions of training (thousands)", ylabel="decisions survived while learning")
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.25))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, dpi=120)


def text(table: dict[str, Any]) -> str:
    lines = [
        "# Ordinary networks on the supreme Doom map",
        "",
        f"Machine: {table['machine']}. Versions: {listed(table['versions'])}. {table['load']}.",
        "",
        "Made by `python benchmarks/doom_networks.py`, whose text says what is compared; greedy evaluation, 100 "
        "episodes, weights of the best validation. The spiking networks are in results.md; all learning curves in "
        "docs/pictures/doom_curves.png.",
        "",
        "| policy | seed | survived of 525 | episodes | decisions | s | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in sorted(table["runs"], key=lambda r: (list(KINDS).index(r["kind"]), r["seed"])):
        found = f"{run['survived']:.1f} | {run['episodes']} | {run['decisions']:,}"
        lines.append(f"| {run['kind']} | {run['seed']} | {found} | {run['seconds']:.0f} | {run['cpu_seconds']:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of spiking runs, for the figure")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 ... N-1")
    parser.add_argument("--episodes", type=int, help="default: those of the preset")
    parser.add_argument("--load", default="One run at a time", help="what else the machine did, for the table")
    arguments = parser.parse_args()
    table: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"runs": [], "spiking": []}
    for seed in range(arguments.seeds):
        for kind in arguments.kinds:
            if (kind, seed) in {(r["kind"], r["seed"]) for r in table["runs"]}:
                continue
            run = trained(kind, seed, arguments.episodes)
            table["runs"].append(run)
            table |= {"machine": machine(), "versions": versions("torch"), "load": arguments.load}
            TABLE.write_text(json.dumps(table) + "\n")
            TABLE.with_suffix(".md").write_text(text(table))
            print({name: value for name, value in run.items() if name != "lived"}, flush=True)
    if arguments.runs:
        table["spiking"] = spiking(arguments.runs)
        TABLE.write_text(json.dumps(table) + "\n")
    draw([*table["spiking"], *table["runs"]])


if __name__ == "__main__":
    main()
