"""What hidden neurons are tuned to: which action they come before, and what is seen when they fire."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

__all__ = [
    "action_tuning",
    "actions_spoken_for",
    "plot_tuning",
    "preferred_actions",
    "rates_by",
    "state_tuning",
    "tuning_order",
]

#: Bins of an observation's variable, of about as many decisions each.
BINS = 8
#: Variables of an observation that are shown.
MOST_SHOWN = 6

#: A neuron that fires less (Hz) has no tuning to speak of.
QUIET = 1.0

Recording = Mapping[str, np.ndarray]


def actions_spoken_for(recording: Recording) -> np.ndarray:
    """The action that each neuron behind the hidden ones speaks for, shape (n_neurons - n_hidden,).

    Where a recording does not say so (``action_of``), there is one for each, in order.
    """
    count = int(recording["starts"][-1] - recording["starts"][-2])
    return np.asarray(recording["action_of"]) if "action_of" in recording else np.arange(count)


def rates_by(recording: Recording, label: np.ndarray, count: int) -> np.ndarray:
    """Firing rate (Hz) of each hidden neuron over the decisions of each label, shape (n_hidden, count).

    Parameters
    ----------
    recording : mapping
        `RunFolder.recording()`.
    label : ndarray of int, shape (decisions,)
        From 0 to count - 1.
    count : int

    Returns
    -------
    ndarray
        NaN for a label that no decision has.
    """
    hidden, step = int(recording["starts"][-2]), float(recording["decision_time"])
    # A spike in the first step of a decision is of that decision: half a step keeps rounding out of it.
    decision = np.floor((recording["neuron_t"] + float(recording["dt"]) / 2) / step)
    mine = (recording["neuron_i"] < hidden) & (decision < len(label))
    labels, neurons = label[decision[mine].astype(np.int64)], recording["neuron_i"][mine]
    spikes = np.bincount(labels * hidden + neurons, minlength=count * hidden).reshape(count, hidden)
    with np.errstate(invalid="ignore"):
        return (spikes / (np.bincount(label, minlength=count)[:, None] * step)).T


def action_tuning(recording: Recording) -> np.ndarray:
    """Firing rate (Hz) of each hidden neuron in the decisions for each action, shape (n_hidden, n_actions).

    NaN for an action that was never taken.
    """
    return rates_by(recording, recording["actions"], int(actions_spoken_for(recording).max()) + 1)


def preferred_actions(tuning: np.ndarray) -> np.ndarray:
    """Of an `action_tuning`, the action before which each neuron fires most, shape (n_hidden,); of equals the first."""
    return np.nan_to_num(tuning).argmax(axis=1)


def tuning_order(tuning: np.ndarray) -> np.ndarray:
    """Neurons of an `action_tuning` by the action they prefer, and the most selective first, shape (n_hidden,).

    Those that fire less than once a second before any action, about which little can be said, come last.
    """
    rates = np.nan_to_num(tuning)
    total = rates.sum(axis=1)
    share = rates.max(axis=1) / np.where(total > 0, total, 1.0)
    return np.lexsort((-share, preferred_actions(rates), rates.max(axis=1) < QUIET))


def state_tuning(recording: Recording, bins: int = BINS) -> list[np.ndarray]:
    """Firing rate (Hz) of each hidden neuron by what is seen, for each variable of the observation.

    Returns
    -------
    list of ndarray
        Each of shape (n_hidden, bins or fewer): over quantiles of a variable, each of about as many decisions. A
        variable with no more than `bins` values has one for each value. Empty where observations were not recorded.
    """
    if "observations" not in recording:
        return []
    tuning = []
    for variable in recording["observations"].reshape(len(recording["actions"]), -1).T:
        values, which = np.unique(variable, return_inverse=True)
        if values.size > bins:
            edges = np.quantile(variable, np.arange(1, bins) / bins)
            _, which = np.unique(np.searchsorted(edges, variable, side="right"), return_inverse=True)
        tuning.append(rates_by(recording, which, int(which.max()) + 1))
    return tuning


def plot_tuning(figure: Figure, recording: Recording) -> None:
    """Rates of all hidden neurons, sorted as by `tuning_order`, by each variable of the observation and by action.

    An action that was never taken is white.
    """
    by_action = action_tuning(recording)
    order = tuning_order(by_action)
    panels = [(f"observation {i}", rates) for i, rates in enumerate(state_tuning(recording)[:MOST_SHOWN])]
    panels.append(("action", by_action))
    widths = [max(2, rates.shape[1]) for _, rates in panels]
    # Placed by hand: a layout that is solved for takes as long as all the rest.
    place = {"left": 0.07 if len(order) < 1000 else 0.09, "right": 0.9, "bottom": 0.11, "top": 0.92, "wspace": 0.12}
    axes = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False, gridspec_kw=place)[0]
    highest = max(float(np.nanmax(rates)) for _, rates in panels)
    for ax, (name, rates) in zip(axes, panels, strict=True):
        image = ax.imshow(rates[order], aspect="auto", interpolation="nearest", vmin=0, vmax=highest, cmap="viridis")
        ax.set_xlabel(name)
        if name == "action":
            ax.set_xticks(range(rates.shape[1]))
        else:
            ax.set_xticks([-0.5, rates.shape[1] - 0.5], ["low", "high"])
            for label, side in zip(ax.get_xticklabels(), ("left", "right"), strict=True):
                label.set_horizontalalignment(side)
    axes[0].set_ylabel("hidden neuron, by the action it prefers")
    figure.colorbar(image, cax=figure.add_axes((0.92, 0.11, 0.015, 0.81)), label="firing rate (Hz)")
