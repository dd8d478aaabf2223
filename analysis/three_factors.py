"""The three factors of a synapse, and its weight, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

__all__ = ["plot_three_factors", "three_factors"]


def three_factors(recording: Recording, pre: int, post: int, block: str = "sh") -> dict[str, Any]:
    """Of the synapse from neuron `pre` to neuron `post` of a block of weights.

    Parameters
    ----------
    recording : Recording
        Made with ``learning=True`` and the probes ``spikes``, ``x``, ``q`` and ``w@decision``, all in each time step.
    pre, post : int
        Counted in their populations.
    block : str
        "sh": from inputs to hidden neurons; "ha", "hh", "sa", "ah".

    Returns
    -------
    dict of ndarray
        ``t``: of each time step, s. ``trace``: kappa*S of the presynaptic neuron. ``post``: its spike minus q, of the
        postsynaptic one. ``modulation``, ``weight`` (with which the decision was made): of each decision.
        ``eligibility``: of each decision, where it was recorded.

    Raises
    ------
    ConfigError
        If something of it was not recorded.
    """
    names = {"s": "inputs", "h": "hidden", "a": "action"}
    if len(block) != 2 or not set(block) <= names.keys():
        raise ConfigError(f"block = {block!r}: expected 'sh', 'sa', 'hh', 'ha' or 'ah'")
    source, target = names[block[0]], names[block[1]]
    try:
        t, trace = recording.states(f"{source}.x")
        q = recording.states(f"{target}.q").values[:, post]
        i, when = recording.spikes(target)
        weight = recording.readings(f"{block}.w")[:, pre, post]
        modulation = recording["modulation"]
    except KeyError as error:
        raise ConfigError(
            f"three factors need a recording with learning, and the probes spikes, x, q and w@decision: {error.args[0]}"
        ) from None
    seconds = np.asarray(t)
    step = float(recording.decision_time) / (len(seconds) / len(recording))
    spikes = np.zeros(len(seconds))
    index = np.rint((np.asarray(when)[i == post] - float(recording.t_start)) / step).astype(int)
    np.add.at(spikes, index, 1.0)
    found = {"t": seconds, "trace": trace[:, pre], "post": spikes - q, "modulation": modulation, "weight": weight}
    if f"{block}.eligibility@decision" in recording.probes:
        found["eligibility"] = recording.readings(f"{block}.eligibility")[:, pre, post]
    return found


def plot_three_factors(place: FigureBase, factors: dict[str, Any], decision_time: float) -> list[Axes]:
    """Draw what `three_factors` gave, one below the other, with a line where each decision ends; returns the axes."""
    rows = [
        ("trace", "presynaptic\ntrace"),
        ("post", "spike − q"),
        ("modulation", "modulation"),
        *([("eligibility", "eligibility")] if "eligibility" in factors else []),
        ("weight", "weight"),
    ]
    axes = list(np.atleast_1d(place.subplots(len(rows), 1, sharex=True)))
    begin = factors["t"][0]
    edges = (begin + np.arange(len(factors["weight"]) + 1) * decision_time) * 1e3
    for number, (ax, (name, label)) in enumerate(zip(axes, rows, strict=True)):
        if name in ("trace", "post"):
            ax.plot(factors["t"] * 1e3, factors[name], color=f"C{number}")
        else:
            ax.stairs(factors[name], edges, baseline=None, color=f"C{number}")
        for edge in edges:
            ax.axvline(edge, color="0.9", linewidth=0.5, zorder=0)
        ax.set_ylabel(label)
    axes[-1].set_xlabel("time (ms)")
    return axes
