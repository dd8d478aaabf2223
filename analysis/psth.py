"""Peri-stimulus time histograms, by Elephant: firing rates around decisions, actions, rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rwta_sim.analysis.spike_trains import spike_trains, table
from rwta_sim.errors import ConfigError
from rwta_sim.lab.export.tables import imported
from rwta_sim.lab.recordings import Recording

__all__ = ["decision_times", "plot_psth", "psth"]


def decision_times(recording: Recording, where: np.ndarray | None = None) -> np.ndarray:
    """When decisions began, seconds: all, or those where `where` is true, such as ``recording["action"] == 1``."""
    times = np.arange(recording.start, recording.stop) * float(recording.decision_time)
    return times if where is None else times[np.asarray(where, bool)]


def psth(data: Any, events: Sequence[float] | np.ndarray, before: float, after: float, bin: float, **how: Any) -> Any:
    """Mean firing rate per neuron around events: `elephant.statistics.time_histogram` of the trains cut out there.

    Parameters
    ----------
    data, **how
        As for `spike_trains`; all its trains count together.
    events : sequence of float
        Seconds. Those with less than `before` and `after` of recorded time around them are left out.
    before, after, bin : float
        Seconds; `bin` has to go into their sum.

    Returns
    -------
    pandas.DataFrame
        Columns ``time_s`` (the middle of the bin, from the event), ``rate_hz`` (per neuron), ``sem_hz`` (its standard
        error over events). The number of events is ``.attrs["events"]``.

    Raises
    ------
    ConfigError
        If no event is left, or the bin does not fit.
    """
    neo, pq, statistics = imported("neo"), imported("quantities"), imported("elephant.statistics")
    bins = (before + after) / bin
    if bins < 1 or abs(bins - round(bins)) > 1e-6 * bins:
        raise ConfigError(f"bin = {bin:g} s does not go into before + after = {before + after:g} s")
    trains = spike_trains(data, **how)
    start, stop = (float(t.rescale(pq.s)) for t in (trains[0].t_start, trains[0].t_stop))
    times = np.asarray(events, float)
    times = times[(times - before >= start - 1e-9) & (times + after <= stop + 1e-9)]
    if not times.size:
        raise ConfigError(f"none of {len(events)} events has {before:g} s before it and {after:g} s after it recorded")
    together = np.sort(np.concatenate([train.rescale(pq.s).magnitude for train in trains]))
    rates = []
    for moment in times:
        # A spike that opens a bin may be just before it in rounded numbers.
        low, high = np.searchsorted(together, [moment - before - 1e-9, moment + after - 1e-9])
        cut = np.clip(together[low:high] - moment + 1e-9, -before, after)
        around = neo.SpikeTrain(cut * pq.s, t_start=-before * pq.s, t_stop=after * pq.s)
        histogram = statistics.time_histogram([around], bin_size=bin * pq.s, output="rate")
        rates.append(histogram.rescale("Hz").magnitude[:, 0] / len(trains))
    found = np.array(rates)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.full(found.shape[1], np.nan)
    middle = -before + (np.arange(found.shape[1]) + 0.5) * bin
    result = table({"time_s": middle, "rate_hz": found.mean(axis=0), "sem_hz": error})
    result.attrs["events"] = len(times)
    return result


def plot_psth(ax: Axes, histogram: Any, label: str | None = None, color: str | None = None) -> None:
    """Draw what `psth` gave: the mean rate, and a standard error on both sides."""
    time = histogram["time_s"].to_numpy() * 1e3
    rate, error = histogram["rate_hz"].to_numpy(), histogram["sem_hz"].to_numpy()
    (line,) = ax.plot(time, rate, drawstyle="steps-mid", label=label, color=color)
    ax.fill_between(time, rate - error, rate + error, step="mid", alpha=0.25, color=line.get_color(), linewidth=0)
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set(xlabel="time from event (ms)", ylabel="firing rate (Hz)")
