"""Remake the figures and tables of docs/svpg.md, by enumeration of small networks: a minute or two, no simulation.

python scripts/make_proofs.py

Figures go into docs/pictures, tables into docs/svpg.md between their markers. Everything follows from the seeds below.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from pathlib import Path

import brian2
import matplotlib
import numpy as np
from brian2 import Hz, ms
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from rwta_sim import __version__
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.exact import ExactNetwork, ExactProcess, cosines, update_moments
from rwta_sim.learning.rules import RSTDP, Feedback, LastStep, RMax, ScoreFunction, TraceSTDP

DOCS = Path(__file__).resolve().parent.parent / "docs"
#: Seeds of the networks that are drawn: one network each.
SEEDS = range(10)
#: Those of poisson firing, which has fifty times the histories.
FEW = SEEDS[:2]
SCALES = np.geomspace(0.05, 3.0, 13)
STEPS = 3
KERNEL = Exponential(tau=2 * ms)
SETTLED = MeanFieldSpec(iterations=10_000, tolerance=1e-13, damping=0.5)
RULES = {
    "score function, causal": ScoreFunction(),
    "score function": ScoreFunction(causal=False),
    "trace STDP": TraceSTDP(),
    "R-max": RMax(),
    "feedback": Feedback(),
    "last step (published)": LastStep(),
    "R-STDP": RSTDP(),
}
Gradient = dict[str, np.ndarray]
Table = dict[str, list[dict[str, float]]]

# -- networks and tasks ----------------------------------------------------------------------------

#: Inputs and their complements, and A(a | s) of XOR: +1 for the right action, -1 for the other.
XOR = [(np.array([x, 1.0 - x, y, 1.0 - y]), (-1.0) ** (x + y) * np.array([1.0, -1.0])) for x, y in np.ndindex(2, 2)]
#: For poisson firing, whose inputs multiply the histories: one input on, the other off.
CUE = [(np.array([1.0, 0.0]), np.array([1.0, -1.0])), (np.array([0.0, 1.0]), np.array([-1.0, 1.0]))]
LARGER = {"blocks": ("sh", "hh", "ha", "ah"), "hidden_circuits": 2, "hidden_size": 3}
RECURRENT = {**LARGER, "hidden_size": 2}
FEED_FORWARD = {"blocks": ("sh", "ha"), "symmetric": False, "hidden_circuits": 2, "hidden_size": 2}
POISSON = {
    "blocks": ("sh", "ha", "ah"),
    "hidden_circuits": 1,
    "hidden_size": 2,
    "firing": "poisson",
    "rho_hat": 500 * Hz,
}


def drawn(seed: int, sd: float, inputs: int, actions: int, **changes: object) -> tuple[Wiring, Gradient, np.ndarray]:
    """A wiring with random weights and biases."""
    spec = NetworkSpec(**{"kernel": KERNEL, "weight_sd": sd, **changes})  # type: ignore[arg-type]
    wiring, rng = Wiring(spec, inputs, actions), np.random.default_rng(seed)
    return wiring, wiring.initial_weights(rng), rng.normal(0, 0.3, wiring.n_neurons)


def mean_field(wiring: Wiring, weights: Gradient, b: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The fixed point q; shape (1, n_neurons)."""
    settled = MeanField(wiring, SETTLED, np.float64).infer(s[None], weights, b)
    if not settled.converged.all():
        raise RuntimeError("the mean field did not converge: take weaker weights")
    return settled.q


def mean_field_gradient(
    wiring: Wiring, weights: Gradient, b: np.ndarray, s: np.ndarray, a: np.ndarray, depth: int | None
) -> Gradient:
    """Of sum_a q_a A(a) through the last `depth` mean-field steps; None: through all, the fixed point."""
    q = mean_field(wiring, weights, b, s)
    score, policy = np.zeros_like(q), q[0, wiring.action]
    score[0, wiring.action] = policy * (a - policy @ a)
    # Damping helps the endless sum to converge; a sum of a few terms is wanted as it is.
    spec = SETTLED if depth is None else MeanFieldSpec()
    post = MeanField(wiring, spec, np.float64).adjoint(q, score, weights, depth or SETTLED.iterations)[0]
    found = {}
    for p in wiring.projections:
        pre = s if p.origin == "inputs" else q[0]
        found[p.name] = np.outer(pre[p.source], post[p.target])
        if p.origin == "neurons":  # symmetric
            found[p.name] += np.outer(post[p.source], q[0, p.target])
        if p.mask is not None:
            found[p.name] *= p.mask
    return {**found, "b": post}


def added(parts: list[Gradient]) -> Gradient:
    return {name: sum(part[name] for part in parts) for name in parts[0]}  # type: ignore[misc]


# -- what is measured ------------------------------------------------------------------------------


def measure_rules(
    task: list, seeds: range, **changes: object
) -> tuple[Table, dict[str, np.ndarray], list[tuple[Gradient, dict]]]:
    """Cosines of each rule's expected update to the exact gradient, noise, and both of them; network by network."""
    table: Table = {name: [] for name in RULES}
    noise: dict[str, list[float]] = {name: [] for name in RULES}
    pairs = []
    for seed in seeds:
        wiring, weights, b = drawn(seed, 1.0, len(task[0][0]), 2, **changes)
        processes = [ExactProcess(wiring, weights, b, s, STEPS) for s, _ in task]
        centred = [a - process.policy() @ a for process, (_, a) in zip(processes, task, strict=True)]
        exact = added([process.gradient(a) for process, a in zip(processes, centred, strict=True)])
        rules = [spec.make(wiring, STEPS, "last_spike") for spec in RULES.values()]
        for rule in rules:
            rule.attach(Weights(wiring, weights, b))
        found = [update_moments(process, rules, a) for process, a in zip(processes, centred, strict=True)]
        updates = {}
        for name, moments in zip(RULES, zip(*found, strict=True), strict=True):
            updates[name] = added([m.mean for m in moments])
            table[name].append(cosines(wiring.spec, updates[name], exact))
            variance = sum(v.sum() for m in moments for v in m.variance.values()) / len(task)
            noise[name].append(math.sqrt(variance) / norm(exact) * len(task))
        pairs.append((exact, updates))
    return table, {name: np.array(values) for name, values in noise.items()}, pairs


def norm(gradient: Gradient) -> float:
    return math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))


def measure_mean_field(sd: float) -> tuple[Table, list[dict[str, float]]]:
    """Cosines of mean-field gradients to the energy model's exact one, and of that to the spiking process's; XOR."""
    table: Table = {f"depth {depth}" if depth else "fixed point": [] for depth in (1, 2, 5, None)}
    process: list[dict[str, float]] = []
    for seed in SEEDS:
        wiring, weights, b = drawn(seed, sd, 4, 2, **LARGER)
        network = ExactNetwork(wiring, weights, b)
        exact = added([network.policy_gradient(s, a) for s, a in XOR])
        for name, depth in zip(table, (1, 2, 5, None), strict=True):
            found = added([mean_field_gradient(wiring, weights, b, s, a, depth) for s, a in XOR])
            table[name].append(cosines(wiring.spec, found, exact))
        spiking = added([ExactProcess(wiring, weights, b, s, STEPS).gradient(a) for s, a in XOR])
        process.append(cosines(wiring.spec, spiking, exact))
    return table, process


def measure_gap() -> tuple[np.ndarray, np.ndarray, list[tuple[float, np.ndarray, np.ndarray]]]:
    """KL(q || p) and the largest error of a marginal, by scale of the weights among neurons; and examples."""
    s = np.array([0.3, 1.0, 0.0])
    kl, error = np.zeros((2, len(SCALES), len(SEEDS)))
    examples = []
    for j, seed in enumerate(SEEDS):
        wiring, weights, b = drawn(seed, 1.0, 3, 3, hidden_circuits=2, hidden_size=3)
        for i, scale in enumerate(SCALES):
            scaled = {"s": weights["s"], "r": scale * weights["r"]}
            exact, q = ExactNetwork(wiring, scaled, b), mean_field(wiring, scaled, b, s)[0]
            kl[i, j], error[i, j] = exact.kl(q, s), np.abs(q - exact.marginals(s)).max()
            if i % 4 == 0:
                examples.append((scale, exact.marginals(s), q))
    return kl, error, examples


# -- figures ---------------------------------------------------------------------------------------


def draw_gap(path: Path) -> None:
    kl, error, examples = measure_gap()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    shown = sorted({scale for scale, *_ in examples})
    for colour, scale in enumerate(shown):
        points = [(p, q) for found, p, q in examples if found == scale]
        p, q = np.concatenate(points, axis=1)
        left.plot(p, q, ".", color=f"C{colour}", markersize=5, label=f"{scale:.2g}")
    left.set(xlabel="exact marginal p(v_i = 1 | s)", ylabel="mean field q_i", aspect="equal")
    left.legend(title="weight scale", fontsize="small", title_fontsize="small")
    for values, label, colour in ((kl, "KL(q || p), nats", "C0"), (error, "largest error of a marginal", "C3")):
        right.loglog(SCALES, values, color=colour, alpha=0.25, linewidth=0.8)
        right.loglog(SCALES, np.median(values, axis=1), color=colour, linewidth=2, label=label)
    right.loglog(SCALES, 0.1 * SCALES**2, "k--", linewidth=1, label="slope 2")
    right.set(xlabel="weight scale (standard deviation of w)")
    right.legend(fontsize="small")
    save(figure, path)


def draw_cosines(path: Path, tables: Mapping[str, Table]) -> None:
    widths = [len(next(iter(table.values()))[0]) for table in tables.values()]
    figure, axes = plt.subplots(1, len(tables), figsize=(11, 4), layout="constrained", width_ratios=widths)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        heatmap(ax, table)
        ax.set_title(title, fontsize="medium")
        if ax is not axes[0]:
            ax.set_yticklabels([])
    save(figure, path)


def heatmap(ax: Axes, table: Table) -> None:
    blocks = [block for block in next(iter(table.values()))[0] if block != "ah"]
    values = np.array([[middle(found, block)[1] for block in blocks] for found in table.values()])
    ax.imshow(values, vmin=-1, vmax=1, cmap="PuOr", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "none" if math.isnan(value) else f"{value:.2f}"
        ax.text(column, row, text, ha="center", va="center", color="white" if abs(value) > 0.7 else "black", fontsize=9)
    ax.set_xticks(range(len(blocks)), blocks)
    ax.set_yticks(range(len(table)), list(table))
    ax.set_facecolor("0.85")


def draw_weights(path: Path, pairs: list[tuple[Gradient, dict]]) -> None:
    """Expected update of each weight from inputs to hidden neurons against its exact gradient."""
    names = {"score function, causal": "C0", "last step (published)": "C3", "R-STDP": "0.6"}
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", sharex=True, sharey=True)
    for ax, (name, colour) in zip(axes, names.items(), strict=True):
        x, y = (
            np.concatenate([np.ravel(part["sh"]) for part in column])
            for column in ([exact for exact, _ in pairs], [updates[name] for _, updates in pairs])
        )
        ax.plot([x.min(), x.max()], [x.min(), x.max()], color="0.8", linewidth=1)
        ax.plot(x, y, ".", color=colour, markersize=4)
        ax.set(title=name, xlabel="exact gradient")
        ax.locator_params(nbins=4)
    axes[0].set_ylabel("expected update")
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


# -- tables ----------------------------------------------------------------------------------------


def middle(found: list[dict[str, float]], block: str) -> tuple[float, float, float]:
    """Lowest, median and highest; NaN where there is no direction."""
    values = np.array([entry[block] for entry in found])
    if np.isnan(values).any():
        assert np.isnan(values).all(), (block, values)
        return math.nan, math.nan, math.nan
    return float(values.min()), float(np.median(values)), float(values.max())


def cell(found: list[dict[str, float]], block: str) -> str:
    lowest, median, highest = middle(found, block)
    if math.isnan(median):
        return "none"
    if round(lowest, 3) == round(highest, 3):
        return f"{median:.3f}"
    return f"{median:.2f} ({lowest:.2f} to {highest:.2f})"


def rows(table: Table, more: Mapping[str, np.ndarray] | None = None) -> list[str]:
    """A table in Markdown: median and range of the networks."""
    blocks = [block for block in next(iter(table.values()))[0] if block != "ah"]
    head = ["", *blocks, *(["noise"] if more else [])]
    lines = [head, ["---"] * len(head)]
    for name, found in table.items():
        noise = [f"{np.median(more[name]):.1f}"] if more else []
        lines.append([name, *(cell(found, block) for block in blocks), *noise])
    return ["| " + " | ".join(line) + " |" for line in lines]


def write(page: Path, sections: Mapping[str, list[str]]) -> None:
    """Put each section between its markers.

    Raises
    ------
    ValueError
        If the page has not both of them.
    """
    text = page.read_text(encoding="utf-8")
    for name, lines in sections.items():
        begin, end = f"<!-- {name}: made by scripts/make_proofs.py -->\n", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"{page} lacks the marker {begin.strip()} or {end}")
        before, rest = text.split(begin)
        text = before + begin + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end)[1]
    page.write_text(text, encoding="utf-8")


def versions() -> list[str]:
    named = {"rwta_sim": __version__, "NumPy": np.__version__, "Brian2": brian2.__version__}
    named |= {"Matplotlib": matplotlib.__version__, "Python": platform.python_version()}
    listed = ", ".join(f"{name} {version}" for name, version in named.items())
    seeds = f"seeds {SEEDS.start} to {SEEDS.stop - 1}, one network each (poisson firing: {FEW.start} to {FEW.stop - 1})"
    return [f"Made with {listed}; {seeds}."]


def main() -> None:
    plt.switch_backend("agg")
    pictures = DOCS / "pictures"
    draw_gap(pictures / "mean_field_gap.png")
    sections, tables = {"versions": versions()}, {}
    cases = {
        "recurrent": (XOR, SEEDS, RECURRENT),
        "feed-forward": (XOR, SEEDS, FEED_FORWARD),
        "poisson": (CUE, FEW, POISSON),
    }
    for name, (task, seeds, changes) in cases.items():
        print(f"rules: {name}", flush=True)
        tables[name], noise, pairs = measure_rules(task, seeds, **changes)
        sections[name] = rows(tables[name], noise)
        if name == "feed-forward":
            draw_weights(pictures / "hidden_weights.png", pairs)
    draw_cosines(pictures / "cosines.png", tables)
    for sd in (0.25, 1.0):
        print(f"mean field: {sd}", flush=True)
        table, process = measure_mean_field(sd)
        sections[f"mean field {sd}"] = rows({**table, "spiking network": process})
    write(DOCS / "svpg.md", sections)


if __name__ == "__main__":
    main()
