"""Bias and noise of gradients through spikes against the temperature: reparameterised_gradients.md, and a figure.

    python benchmarks/reparameterised_gradients.py

Ten networks (seeds 0 to 9): four inputs, uniform; one layer of three stochastic neurons and three actions, weights and
biases from N(0, 1); what an action is worth from N(0, 1). The gradient of the expected worth in the neurons' potentials
is exact by enumeration of their 8 states. An estimate is one decision's gradient of the worth expected of its
pi(a | noise); its mean and variance over the noise are sums over 60 cells a neuron, whose chances are exact. Shown are
|mean - exact| / |exact|, the bias, and the root of the total variance over |exact|, the noise; medians of the ten
networks, quartiles shaded. The score function, sum_a pi(a | y) worth_a minus its mean times d ln P(y), has no bias; its
noise is by enumeration.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from machine import ONE_THREAD, listed, machine

os.environ.update(ONE_THREAD)

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import NullLocator

from rwta_sim.agents.reparameterised.policy import ReparameterisedPolicy
from rwta_sim.agents.reparameterised.units import concrete, straight_through
from rwta_sim.lab.runs import versions

TEXT = Path(__file__).with_suffix(".md")
FIGURE = Path(__file__).parent.parent / "docs/pictures/reparameterised_gradients.png"
SEEDS, HIDDEN = range(10), 3
TEMPERATURES = np.geomspace(0.05, 3.2, 13)
#: Of the table.
SHOWN = (0.1, 0.2, 0.4, 0.8, 1.6)
KINDS = {"straight-through": straight_through, "Concrete": concrete}
#: Half the cells of a neuron; how far z - logit(u)/2 may be.
CELLS, FAR = 30, 20.0
Unit = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


class Case:
    """A network, an observation, and what actions are worth.

    Attributes
    ----------
    z : Tensor, shape (HIDDEN,)
        Potentials of the hidden neurons.
    exact : ndarray, shape (HIDDEN,)
        Gradient of the expected worth in z.
    score_noise : float
        Of the score function, relative to `exact`.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._policy = ReparameterisedPolicy(4, [HIDDEN], 3, hard=True).double()
        with torch.no_grad():
            for p in self._policy.parameters():
                p.copy_(torch.tensor(rng.normal(size=p.shape)))
            self._worth = torch.tensor(rng.normal(size=3))
            self.z = self._policy.layers[0](torch.tensor(rng.random(4)))
        states = np.array(list(itertools.product((1.0, -1.0), repeat=HIDDEN)))
        z = self.z.numpy()
        chance = (1 / (1 + np.exp(-2 * states * z))).prod(axis=1)
        worth = self.worth(torch.tensor(states)).detach().numpy()
        scores = states - np.tanh(z)  # d ln P(y) / dz
        self.exact = (chance * worth) @ scores
        samples = (worth - chance @ worth)[:, None] * scores
        self.score_noise = self._relative_noise(samples, chance)

    def worth(self, y: torch.Tensor) -> torch.Tensor:
        """Expected of the actions' softmax; shapes (n, HIDDEN) and (n,)."""
        return torch.softmax(self._policy.layers[1](y), 1) @ self._worth

    def _relative_noise(self, samples: np.ndarray, chance: np.ndarray) -> float:
        mean = chance @ samples
        return float(np.sqrt(chance @ ((samples - mean) ** 2).sum(axis=1)) / np.linalg.norm(self.exact))

    def bias_and_noise(self, unit: Unit, temperature: float) -> tuple[float, float]:
        """Relative to the exact gradient."""
        u, chance = self._noise(temperature)
        z = self.z.expand(len(u), -1).clone().requires_grad_()
        samples = torch.autograd.grad(self.worth(unit(z, u, temperature)).sum(), z)[0].numpy()
        bias = np.linalg.norm(chance @ samples - self.exact) / np.linalg.norm(self.exact)
        return float(bias), self._relative_noise(samples, chance)

    def _noise(self, temperature: float) -> tuple[torch.Tensor, np.ndarray]:
        """Uniform numbers of all neurons, in cells that are small, of a temperature's size, where a neuron is about
        to fire; and the chances of the cells."""
        steps = np.arange(-CELLS, CELLS + 1) / CELLS
        width = temperature / 5
        edges = width * np.sinh(steps * np.arcsinh(FAR / width))
        u, chance = [], []
        for z in self.z.tolist():
            bounds = 1 / (1 + np.exp(-2 * (z - edges)))  # falls from 1 to 0
            middle = (edges[1:] + edges[:-1]) / 2
            u.append(torch.tensor(1 / (1 + np.exp(-2 * (z - middle)))))
            chance.append(torch.tensor(bounds[:-1] - bounds[1:]))
        return torch.cartesian_prod(*u), torch.cartesian_prod(*chance).prod(1).numpy()


def draw(found: dict[str, np.ndarray], score: np.ndarray) -> None:
    """`found`: of each kind, shape (temperatures, networks, 2)."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    for k, (ax, what) in enumerate(zip(axes, ("bias", "noise"), strict=True)):
        for n, (kind, values) in enumerate(found.items()):
            low, middle, high = np.quantile(values[:, :, k], (0.25, 0.5, 0.75), axis=1)
            ax.plot(TEMPERATURES, middle, color=f"C{n}", label=kind)
            ax.fill_between(TEMPERATURES, low, high, color=f"C{n}", alpha=0.2, lw=0)
        ax.set(xscale="log", yscale="log", xlabel="temperature", ylabel=f"{what} / |exact gradient|")
        for axis, ticks in ((ax.xaxis, (0.05, 0.2, 0.8, 3.2)), (ax.yaxis, (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5))):
            axis.set_ticks(ticks, labels=map(str, ticks))
            axis.set_minor_locator(NullLocator())
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].axhline(np.median(score), color="k", ls=":", label="score function (bias 0)")
    axes[1].legend(frameon=False)
    figure.savefig(FIGURE, dpi=120)


def main() -> None:
    cases = [Case(seed) for seed in SEEDS]
    score = np.array([case.score_noise for case in cases])

    def measured(temperatures: np.ndarray | tuple[float, ...]) -> dict[str, np.ndarray]:
        return {
            kind: np.array([[case.bias_and_noise(unit, t) for case in cases] for t in temperatures])
            for kind, unit in KINDS.items()
        }

    draw(measured(TEMPERATURES), score)
    found = measured(SHOWN)
    lines = [
        "# Gradients through spikes",
        "",
        f"Machine: {machine()}. Versions: {listed(versions('torch'))}.",
        "",
        "Made by `python benchmarks/reparameterised_gradients.py`, whose text says what is measured; medians of ten "
        "networks, relative to the size of the exact gradient.",
        "",
        "| temperature | " + " | ".join(f"{kind}: bias | {kind}: noise" for kind in KINDS) + " |",
        "| --- " * (1 + 2 * len(KINDS)) + "|",
    ]
    for t, temperature in enumerate(SHOWN):
        medians = [np.median(values[t], axis=0) for values in found.values()]
        lines.append(f"| {temperature} | " + " | ".join(f"{bias:.3f} | {noise:.2f}" for bias, noise in medians) + " |")
    lines.append(f"| score function | {' | '.join(['0', f'{np.median(score):.2f}', '', ''])} |")
    TEXT.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
