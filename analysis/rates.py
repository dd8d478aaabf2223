"""Firing rates of neurons and circuits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

__all__ = ["circuit_rates", "neuron_rates", "plot_rates"]


#: Bars that can be told apart; rates of more neurons are dots.
MOST_BARS = 1000


def _duration(recording: Mapping[str, np.ndarray]) -> float:
    return len(recording["actions"]) * float(recording["decision_time"])


def neuron_rates(recording: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean firing rate of each hidden and action neuron (Hz), shape (n_neurons,)."""
    counts = np.bincount(recording["neuron_i"], minlength=int(recording["starts"][-1]))
    return counts / _duration(recording)


def circuit_rates(recording: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean firing rate of each circuit as a whole (Hz), shape (n_circuits,): rho_hat, whatever it learned."""
    return np.add.reduceat(neuron_rates(recording), recording["starts"][:-1])


def plot_rates(ax: Axes, recording: Mapping[str, np.ndarray]) -> None:
    """Firing rate of every neuron, by circuit; the dashes are the mean rate if all fired alike."""
    rates, starts = neuron_rates(recording), recording["starts"]
    last = len(starts) - 2
    for circuit, (low, high) in enumerate(pairwise(starts)):
        color = "C3" if circuit == last else f"C{circuit % 2 * 9}"
        if rates.size <= MOST_BARS:
            ax.bar(np.arange(low, high), rates[low:high], width=0.9, color=color)
        else:
            ax.plot(np.arange(low, high), rates[low:high], ".", markersize=1.5, color=color)
        mean = rates[low:high].mean()
        ax.hlines(mean, low - 0.5, high - 0.5, color="black", linestyle="--", linewidth=0.8)
    # So few that they do not run into one another, nor into the last.
    apart = -(-last // 10)
    shown = [c for c in range(last) if c % max(1, apart) == 0 and c + apart <= last]
    middles = (starts[:-1] + starts[1:] - 1) / 2
    ax.set_xticks(middles[[*shown, last]], [*(f"h{c}" for c in shown), "action"], fontsize="small")
    ax.set(xlabel="circuit", ylabel="firing rate (Hz)", xlim=(-0.8, starts[-1] - 0.2))
