"""The three factors of a synapse, and its weight, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

__all__ = ["plot_reward_contrast", "plot_three_factors", "three_factors"]


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


def plot_reward_contrast(
    place: FigureBase, recording: Recording, pre: int, post: int, block: str = "sh", around: int = 1
) -> tuple[int, int]:
    """Draw the three factors of a synapse through a rewarded decision and through an unrewarded one, side by side.

    Rewarded is the highest reward, unrewarded the lowest; of several decisions with the same, the one in which
    presynaptic trace and postsynaptic spikes came together most is shown.

    Parameters
    ----------
    place : Figure or SubFigure
    recording, pre, post, block
        As for `three_factors`.
    around : int
        Decisions before and after it that are shown, too, as far as there are any.

    Returns
    -------
    (int, int)
        The two decisions, counted from the first of the recording.

    Raises
    ------
    ConfigError
        As `three_factors`; or if all decisions were rewarded alike.
    """
    rewards = recording["reward"]
    if not np.ptp(rewards):
        raise ConfigError("all decisions were rewarded alike: there is no other to compare them with")
    factors = three_factors(recording, pre, post, block)
    met = (factors["trace"] * np.maximum(factors["post"], 0.0)).reshape(len(recording), -1).sum(axis=1)
    shown = [int(np.where(rewards == reward, met, -1.0).argmax()) for reward in (rewards.max(), rewards.min())]
    step = float(recording.decision_time)
    halves = np.ravel(np.array(place.subfigures(1, 2), object))
    for half, decision, what in zip(halves, shown, ("rewarded", "unrewarded"), strict=True):
        low, high = max(decision - around, 0), min(decision + around + 1, len(recording))
        axes = plot_three_factors(half, three_factors(recording.decisions(low, high), pre, post, block), step)
        axes[0].set_title(f"{what}: {rewards[decision]:g}")
        for ax in axes:
            ax.axvspan(*((recording.start + decision + k) * step * 1e3 for k in (0, 1)), color="0.93", zorder=-1)
    return shown[0], shown[1]
