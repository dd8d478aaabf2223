"""Is the event engine exact? Spike times, single neurons and winners of many events, and the clock's way to it.

    python benchmarks/events_exact.py --write

A network of 4 circuits of 3 neurons, an action circuit of 3 and 5 inputs, weights of sd 1, kernel 20 ms, rho_hat 100
Hz, seed 3. False alarms of all tests together: 1e-4 or less.

- Intervals between the spikes of each circuit against the exponential distribution (Kolmogorov and Smirnov).
- Time-rescaling of single neurons (Brown et al. 2002): the integral of rho_hat q_k from spike to spike is exponential
  with mean 1; q from the spikes by hand, the integrals by Gauss-Legendre quadrature between events.
- Winners: the sum of (winner - q) over events, over its standard deviation, is a standard normal, neuron by neuron.
- Small networks (one input, a hidden and an action circuit of two neurons, weights of sd 1.5, decisions of 8 ms, of
  which those with at most three events count) against `ExactEvents`, by quadrature over the times of their events: the
  orders of senders with the action that was taken (chi-square), and the mean update of every rule (z of every weight
  and bias).
- The compiled engine's mean spike counts in decisions of 50 ms tend to the event engine's as dt -> 0: root mean square
  of the differences, the variance of the estimates taken away, and the order of dt that a line in logarithms has.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
from brian2 import Hz, ms
from machine import listed, machine
from scipy.stats import chi2, kstest, norm

from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.kernels import DoubleExponential, Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import CompiledEngine
from rwta_sim.exact import ExactEvents, event_rules
from rwta_sim.learning import Learner, LearningSpec
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.rules import RSTDP, Feedback, LastStep, ScoreFunction, TraceSTDP
from rwta_sim.loop.session import finish

TABLE = Path(__file__).with_suffix(".json")
RHO, TAU, INPUTS, ACTIONS, SEED = 100.0, 0.02, 5, 3, 3
DRIVE = np.array([0.9, 0.1, 0.6, 0.3, 0.8])
#: Spikes of intervals, events that are rescaled; decisions and time steps (ms) of the clock.
SPIKES, RESCALED, DECISIONS, STEPS = 1_000_000, 60_000, 40_000, (5.0, 2.5, 1.0, 0.5)

#: Small networks, rules and the same written out; events and decisions, and how often an orders' test cries wolf.
CASES: dict[str, dict] = {
    "symmetric": {},
    "feed-forward": {"blocks": ("sh", "ha"), "symmetric": False},
    "not symmetric, double exponential": {
        "kernel": DoubleExponential(tau=6 * ms, tau_rise=2 * ms),
        "symmetric": False,
    },
    "currents as inputs": {"inputs": "current", "symmetric": False},
}
RULES: dict[str, tuple] = {
    "last_step": (LastStep(), event_rules.last_step),
    "feedback": (Feedback(depth=3), event_rules.feedback(3)),
    "score_function, not causal": (ScoreFunction(causal=False), event_rules.score_function),
    "score_function, causal": (ScoreFunction(), event_rules.score_function),
    "trace_stdp, tau_e 5 ms": (TraceSTDP(tau_e=5 * ms), event_rules.trace_stdp(0.005)),
    "r_stdp, tau_e 5 ms": (RSTDP(tau_e=5 * ms, a_minus=0.5), event_rules.r_stdp(0.005, 1.0, 0.5)),
}
EVENTS, PLAYED, ALPHA = 3, 40_000, 1e-5
SHORT, SMALL_DRIVE, ADVANTAGE = 0.008, np.array([0.6]), np.array([1.0, -0.5])


def spec_of(dt: float = 1.0) -> NetworkSpec:
    """The network."""
    return NetworkSpec(
        hidden_circuits=4,
        hidden_size=3,
        firing="poisson",
        rho_hat=RHO * Hz,
        dt=dt * ms,
        kernel=Exponential(tau=TAU * 1e3 * ms),
        weight_sd=1.0,
        symmetric=False,
    )


def network() -> EventNetwork:
    """Without a clock."""
    rng = np.random.default_rng(0)
    made = EventNetwork(Wiring(spec_of(), INPUTS, ACTIONS, np.random.default_rng(0)), rng)
    made.b[:] = np.linspace(-0.5, 0.5, made.network.n_neurons)
    made.seed(np.random.SeedSequence(SEED))
    made.clear()
    made.drive(DRIVE)
    return made


def intervals() -> dict:
    """Of all circuits together `SPIKES` spikes."""
    net, parts, time = network(), [], 10.0
    while sum(len(t) for t, _ in parts) < SPIKES:
        net.advance(time)
        _, _, t, who = net.spikes()
        parts.append((t + time * len(parts), who))
    t, who = (np.concatenate(each) for each in zip(*parts, strict=True))
    circuit = net.network.circuit[who]
    p = [kstest(np.diff(t[circuit == c]) * RHO, "expon").pvalue for c in range(int(circuit.max()) + 1)]
    return {"spikes": len(t), "circuits": len(p), "smallest_p": float(min(p)), "bound": 2e-5 / len(p)}


def rescaled() -> dict:
    """Single neurons, and winners."""
    net = network()
    wiring, w = net.network, net.blocks()
    w_in = np.hstack([w["sh"], w["sa"]])
    w_own = np.vstack([np.hstack([w["hh"], w["ha"]]), np.hstack([w["ah"], np.zeros((ACTIONS, ACTIONS))])])
    n, time = wiring.n_neurons, RESCALED / (RHO * 5)
    net.advance(time)
    input_t, input_i, t, who = net.spikes()
    times = np.concatenate([input_t, t])
    order = np.argsort(times)
    rows = np.concatenate([w_in[input_i], w_own[who]])[order] / (RHO * TAU)
    fired = np.concatenate([np.full(len(input_t), -1), who])[order]
    node, weight = np.polynomial.legendre.leggauss(12)
    u, last, integral = np.zeros(n), 0.0, np.zeros(n)
    intervals: list[list[float]] = [[] for _ in range(n)]
    score, variance = np.zeros(n), np.zeros(n)

    def q_of(felt: np.ndarray) -> np.ndarray:
        grown = np.exp(net.b + felt)
        return grown / wiring.circuit_sum(grown)

    for moment, row, neuron in zip(times[order].tolist(), rows, fired.tolist(), strict=True):
        lag = moment - last
        at = 0.5 * lag * (node + 1)
        integral += 0.5 * lag * RHO * (weight @ q_of(u * np.exp(-at / TAU)[:, None]))
        u = u * math.exp(-lag / TAU)
        if neuron >= 0:
            intervals[neuron].append(integral[neuron])
            integral[neuron] = 0.0
            mine = wiring.circuit == wiring.circuit[neuron]
            q = np.where(mine, q_of(u), 0.0)
            score -= q
            score[neuron] += 1.0
            variance += q * (1 - q)
        u, last = u + row, moment
    p = [kstest(found, "expon").pvalue for found in intervals]
    z = np.abs(score / np.sqrt(variance)).max()
    return {
        "events": len(t),
        "neurons": n,
        "smallest_p": float(min(p)),
        "bound": 2e-5 / n,
        "largest_z": float(z),
        "z_bound": float(norm.isf(1e-5 / n)),
    }


def counts(decide, decisions: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """Mean spikes of each neuron in a decision, and variances of the means."""
    seen = np.array([decide() for _ in range(decisions)])
    return seen.mean(axis=0), seen.var(axis=0, ddof=1) / decisions


def clocked(dt: float) -> tuple[np.ndarray, np.ndarray]:
    """The same on the compiled engine."""
    engine = CompiledEngine()
    with engine.building():
        made = RWTANetwork(spec_of(dt), INPUTS, ACTIONS, rng=np.random.default_rng(0))
    engine.prepare(made.network, namespace={})
    engine.seed(np.random.SeedSequence(SEED))
    actor = SpikingActor(made, engine, DecisionSpec(steps=round(50 / dt)))
    actor.weights.b[:] = np.linspace(-0.5, 0.5, made.n_neurons)
    rng, seen = np.random.default_rng(0), []

    def session():  # type: ignore[no-untyped-def]
        for _ in range(DECISIONS):
            yield from actor.decide(DRIVE, False, rng)
            seen.append(actor.activity().copy())

    actor.run(session())
    found = np.array(seen)
    return found.mean(axis=0), found.var(axis=0, ddof=1) / DECISIONS


def convergence() -> dict:
    """Differences between clock and events, and their order."""
    net = network()

    def decide() -> np.ndarray:
        net.advance(0.05, afresh=True)
        return net.arrays.counts.copy()

    mean, variance = counts(decide, 4 * DECISIONS)
    rows = []
    for dt in STEPS:
        other, error = clocked(dt)
        square = float(((other - mean) ** 2 - variance - error).mean())
        rows.append(
            {"dt": dt, "rms": math.sqrt(max(square, 0.0)), "noise": math.sqrt(float((variance + error).mean()))}
        )
        print(rows[-1], file=sys.stderr, flush=True)
    order = np.polyfit(np.log([r["dt"] for r in rows]), np.log([r["rms"] for r in rows]), 1)[0]
    return {"rows": rows, "order": float(order)}


def small(case: str, rule: str) -> tuple[ExactEvents, EventActor, Learner]:
    """A network by quadrature, as spikes, and what learns by a rule."""
    settings = {"hidden_circuits": 1, "hidden_size": 2, "firing": "poisson", "rho_hat": RHO * Hz, "weight_sd": 1.5}
    spec = NetworkSpec(**{**settings, "kernel": Exponential(tau=5 * ms), **CASES[case]})
    wiring, rng = Wiring(spec, 1, 2), np.random.default_rng(5)
    learning = LearningSpec(rule=RULES[rule][0])
    made = EventNetwork(wiring, rng, learning.rule.on_events(spec, "last_spike", False))
    made.b[:] = rng.normal(0, 0.5, wiring.n_neurons)
    made.seed(np.random.SeedSequence(SEED))
    exact = ExactEvents(wiring, made.weights, made.b, SMALL_DRIVE, SHORT, EVENTS, nodes=4)
    learner = Learner(learning, Constant().make(CriticInputs(1)), made, learning.rule.make(wiring, 8, "last_spike"))
    return exact, EventActor(made, DecisionSpec(steps=8)), learner


def fired(net: EventNetwork) -> tuple[int, ...]:
    """Senders in order, inputs first in number."""
    input_t, input_i, t, i = net.spikes()
    who = np.concatenate([input_i, i + net.network.n_inputs])
    return tuple(who[np.argsort(np.concatenate([input_t, t]))].tolist())


def orders() -> list[dict]:
    """Of each small network: orders of senders with their action."""
    rows = []
    for case in CASES:
        exact, actor, _ = small(case, "last_step")
        expected, rng = exact.orders(), np.random.default_rng(0)
        seen = dict.fromkeys(expected, 0)
        for _ in range(PLAYED):
            decision = finish(actor.decide(SMALL_DRIVE, False, rng))
            if len(found := fired(actor.weights)) <= EVENTS:
                seen[found, decision.action] += 1
        wanted, counts = PLAYED * np.array(list(expected.values())), np.array(list(seen.values()))
        rare, more = wanted < 5, PLAYED - counts.sum()
        cells = np.append(counts[~rare], counts[rare].sum() + more)
        ideal = np.append(wanted[~rare], PLAYED - wanted[~rare].sum())
        p = float(chi2.sf(((cells - ideal) ** 2 / ideal).sum(), len(cells) - 1))
        rows.append({"case": case, "decisions": PLAYED, "cells": len(cells), "p": p, "bound": ALPHA})
    return rows


def updates() -> list[dict]:
    """Mean updates of every rule, on every small network that it is for."""
    rows = []
    for rule in RULES:
        for case in CASES:
            if "r_stdp" in rule and "currents" in case:
                continue
            exact, actor, learner = small(case, rule)
            wanted = np.concatenate([g.ravel() for g in exact.mean_update(RULES[rule][1], ADVANTAGE).values()])
            total, squares, rng = np.zeros(wanted.size), np.zeros(wanted.size), np.random.default_rng(0)
            for _ in range(PLAYED // 2):
                decision = finish(actor.decide(SMALL_DRIVE, False, rng))
                if len(fired(actor.weights)) > EVENTS:
                    continue
                e = ADVANTAGE[decision.action] * np.concatenate([g.ravel() for g in learner.eligibility(decision)])
                total += e
                squares += e * e
            n = PLAYED // 2
            mean = total / n
            error = np.sqrt(np.maximum(squares / n - mean**2, 0.0) / n)
            varies = error > 1e-12
            z = np.abs((mean - wanted)[varies] / error[varies])
            rows.append(
                {
                    "rule": rule,
                    "case": case,
                    "decisions": n,
                    "numbers": int(varies.sum()),
                    "z": float(z.max()),
                    "z_bound": float(norm.isf(ALPHA / (2 * varies.sum()))),
                    "to_zero": float(np.abs(mean[varies] / error[varies]).max()),
                    "still": float(np.abs((mean - wanted)[~varies]).max(initial=0.0)),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def write(found: dict) -> None:
    """The table as JSON and as Markdown."""
    TABLE.write_text(json.dumps(found, indent=1) + "\n")
    i, r, c = found["intervals"], found["rescaled"], found["convergence"]
    lines = [
        "# The event engine is exact",
        "",
        "Command: `python benchmarks/events_exact.py --write`",
        "",
        f"Machine: {machine()}. Versions: {listed(found['versions'])}. What is done: see the script.",
        "",
        "| test | of | found | must be |",
        "| --- | --- | --- | --- |",
        f"| intervals of circuits are exponential (KS) | {i['spikes']:,} spikes, {i['circuits']} circuits | "
        f"smallest p {i['smallest_p']:.3g} | > {i['bound']:.1g} |",
        f"| single neurons, time-rescaled (KS) | {r['events']:,} events, {r['neurons']} neurons | "
        f"smallest p {r['smallest_p']:.3g} | > {r['bound']:.1g} |",
        f"| winners are draws from q by hand | the same | largest abs(z) {r['largest_z']:.2f} | < {r['z_bound']:.2f} |",
        "",
        "Small networks against quadrature (`rwta_sim.exact.ExactEvents`), decisions of 8 ms with at most "
        f"{EVENTS} events:",
        "",
        "| network | decisions | orders and actions | p of chi-square | must be |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row['case']} | {row['decisions']:,} | {row['cells']} | {row['p']:.3g} | > {row['bound']:.0e} |"
            for row in found["orders"]
        ),
        "",
        "| rule | network | decisions | weights and biases | largest abs(z) | must be | largest abs(z) to zero |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['rule']} | {row['case']} | {row['decisions']:,} | {row['numbers']} | {row['z']:.2f} "
            f"| < {row['z_bound']:.2f} | {row['to_zero']:.0f} |"
            for row in found["updates"]
        ),
        "",
        f"Mean spikes of a neuron in a decision of 50 ms, {DECISIONS:,} decisions, compiled engine less event engine:",
        "",
        "| dt (ms) | root mean square of the differences | standard error |",
        "| --- | --- | --- |",
        *(f"| {row['dt']:g} | {row['rms']:.5f} | {row['noise']:.5f} |" for row in c["rows"]),
        "",
        f"Order of dt: {c['order']:.2f}.",
    ]
    TABLE.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write events_exact.json and .md")
    parser.add_argument("--only", nargs="+", help="make only these tests anew, of those in the table")
    arguments = parser.parse_args()
    from rwta_sim.lab.runs import versions

    tests = {test.__name__: test for test in (intervals, rescaled, orders, updates, convergence)}
    if unknown := set(arguments.only or ()) - set(tests):
        parser.error(f"--only {' '.join(unknown)}: expected some of {', '.join(tests)}")
    found = {**(json.loads(TABLE.read_text()) if arguments.only else {}), "versions": versions()}
    for name in arguments.only or tests:
        found[name] = tests[name]()
        print(name, found[name], file=sys.stderr, flush=True)
    i, r = found["intervals"], found["rescaled"]
    holds = i["smallest_p"] > i["bound"] and r["smallest_p"] > r["bound"] and r["largest_z"] < r["z_bound"]
    holds &= all(row["p"] > row["bound"] for row in found["orders"])
    holds &= all(row["z"] < row["z_bound"] and row["still"] < 1e-12 for row in found["updates"])
    if arguments.write:
        write(found)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
