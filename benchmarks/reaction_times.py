"""Reaction times in a two-choice task: speed and accuracy of races, beside their law and a drift-diffusion model.

    python benchmarks/reaction_times.py --write

Two actions, one of which is right. An action circuit of 100 Hz hears 20 inputs; evidence for the right action is the
mean difference of potentials, d, so that q of the right action is near 1/(1 + exp(-d)). A decision ends when an action
has had n spikes (`decision.race`); no learning. For each n: accuracy and mean reaction time of the network, event by
event; the law of such a race when q stays what it is on average (negative binomial); and the accuracy that a
drift-diffusion model predicts from the mean time alone: drift rho_hat (2q - 1), variance per second
4 rho_hat q (1 - q), bound such that its mean time is the one found (Ratcliff 1978; Bogacz et al. 2006).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms
from machine import listed, machine
from scipy.optimize import brentq

from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring

TABLE = Path(__file__).with_suffix(".json")
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "reaction_times.png"
RHO, INPUTS, EVIDENCE, DEADLINE = 100.0, 20, 0.6, 2.0
RACES, DECISIONS, SEED = (1, 2, 3, 4, 6, 8, 12, 16), 20_000, 0


def played(race: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Whether each decision was right, its time (s), and the mean q of the right action when decisions end."""
    spec = NetworkSpec(
        hidden_circuits=0,
        blocks=("sa",),
        symmetric=False,
        firing="poisson",
        rho_hat=RHO * Hz,
        kernel=Exponential(tau=20 * ms),
    )
    network = EventNetwork(Wiring(spec, INPUTS, 2), None)
    network.seed(np.random.SeedSequence(SEED))
    # Inputs of 50 Hz: their traces are .5 in the mean from the start on, as they have been on for long.
    network.weights["sa"][:, 0] = EVIDENCE / (0.5 * INPUTS)
    network.drive(np.full(INPUTS, 0.5))
    right, times, q = np.zeros(DECISIONS, bool), np.zeros(DECISIONS), np.zeros(DECISIONS)
    for k in range(DECISIONS):
        network.advance(0.1)  # what comes before the question
        times[k] = network.advance(DEADLINE, race=race)
        right[k], q[k] = network.arrays.last[0] == 1.0, network.arrays.q[0]
    return right, times, float(q.mean())


def law(race: int, q: float) -> tuple[float, float]:
    """Accuracy and mean time (s) of a race to so many events, of which a share q is of the right action."""
    lost = np.arange(race)
    ways = np.array([math.comb(race - 1 + int(k), int(k)) for k in lost], float)
    won, other = ways * q**race * (1 - q) ** lost, ways * (1 - q) ** race * q**lost
    return float(won.sum()), float(((race + lost) * (won + other)).sum() / RHO)


def diffusion(time: float, q: float) -> float:
    """Accuracy of a drift-diffusion model with this mean time (s)."""
    drift, variance = RHO * (2 * q - 1), 4 * RHO * q * (1 - q)
    bound = brentq(lambda a: a / drift * math.tanh(a * drift / variance) - time, 1e-9, 1e6)
    return 1 / (1 + math.exp(-2 * bound * drift / variance))


def measured() -> list[dict]:
    """A row for each threshold."""
    rows = []
    for race in RACES:
        right, times, q = played(race)
        accuracy, time = law(race, q)
        rows.append(
            {
                "race": race,
                "accuracy": float(right.mean()),
                "accuracy_error": float(right.std() / math.sqrt(DECISIONS)),
                "time": float(times.mean()),
                "quartiles": [float(x) for x in np.quantile(times, (0.25, 0.5, 0.75))],
                "time_wrong": float(times[~right].mean()),
                "q": q,
                "law_accuracy": accuracy,
                "law_time": time,
                "diffusion": diffusion(float(times.mean()), q),
                "histogram": np.histogram(times, bins=60, range=(0, 0.4))[0].tolist(),
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def draw(rows: list[dict]) -> None:
    """Distributions of reaction times, and accuracy against mean time."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    at = (np.arange(60) + 0.5) * 400 / 60
    for row in rows[::2]:
        left.step(at, np.array(row["histogram"]) / DECISIONS, where="mid", label=f"{row['race']} spikes")
    left.set(xlabel="reaction time (ms)", ylabel="share of decisions")
    left.legend()
    times = [row["time"] * 1e3 for row in rows]
    right.errorbar(
        times, [r["accuracy"] for r in rows], [2 * r["accuracy_error"] for r in rows], fmt="o", label="network"
    )
    right.plot([r["law_time"] * 1e3 for r in rows], [r["law_accuracy"] for r in rows], label="law of the race, mean q")
    right.plot(times, [r["diffusion"] for r in rows], "--", label="drift-diffusion")
    right.set(xlabel="mean reaction time (ms)", ylabel="accuracy")
    right.legend()
    figure.savefig(PICTURE, dpi=110)


def write(rows: list[dict], versions: dict[str, str]) -> None:
    """The table as JSON and as Markdown, and the picture."""
    TABLE.write_text(json.dumps({"rows": rows, "versions": versions}, indent=1) + "\n")
    lines = [
        "# Reaction times: a race of action spikes in a two-choice task",
        "",
        "Command: `python benchmarks/reaction_times.py --write`",
        "",
        f"Machine: {machine()}. Versions: {listed(versions)}. Seed {SEED}, {DECISIONS:,} decisions a row.",
        "",
        "What it is, and the equations: see the script. ± is a standard error; the law is that of the mean q.",
        "",
        "| spikes | accuracy | of the law | drift-diffusion | mean time (ms) | of the law | when wrong | quartiles |",
        "| --- " * 8 + "|",
    ]
    for r in rows:
        quartiles = " / ".join(f"{x * 1e3:.0f}" for x in r["quartiles"])
        lines.append(
            f"| {r['race']} | {r['accuracy']:.4f} ± {r['accuracy_error']:.4f} | {r['law_accuracy']:.4f} "
            f"| {r['diffusion']:.4f} | {r['time'] * 1e3:.1f} | {r['law_time'] * 1e3:.1f} "
            f"| {r['time_wrong'] * 1e3:.1f} | {quartiles} |"
        )
    lines += ["", "![Distributions, and accuracy against time](../docs/pictures/reaction_times.png)"]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write reaction_times.json and .md, and the picture")
    arguments = parser.parse_args()
    from rwta_sim.lab.runs import versions

    rows = measured()
    if arguments.write:
        write(rows, versions())


if __name__ == "__main__":
    main()
