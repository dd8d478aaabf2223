"""What decisions cost: spikes, and synaptic events, by which neuromorphic hardware is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rwta_sim.analysis.spike_trains import table
from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

__all__ = ["energy", "plot_energy"]

#: Points of a curve; of more decisions each is a mean.
_MOST_POINTS = 200


def energy(recording: Recording) -> Any:
    """Spikes and synaptic events of each decision.

    A synaptic event is a spike that arrives at one synapse: each spike counts for as many as its neuron has (Merolla et
    al. 2014, Science 345, 668). Lateral inhibition within circuits is no synapse here.

    Parameters
    ----------
    recording : Recording
        With spikes.

    Returns
    -------
    pandas.DataFrame
        A row for each decision and population: ``decision``, ``population``, ``spikes``, ``synaptic_events`` (NaN where
        the recording does not tell how many synapses neurons have).

    Raises
    ------
    ConfigError
        If no spikes were recorded.
    """
    if not recording.populations:
        raise ConfigError(f"{recording.path} has no spikes to count: record them with the probe 'spikes'")
    n, rows = len(recording), []
    for name in recording.populations:
        i, t = recording.spikes(name)
        decision = recording.decisions_of(t)
        events = np.full(n, np.nan)
        if name in recording.fan_out:
            events = np.bincount(decision, recording.fan_out[name][i], n)
        rows.append((name, np.bincount(decision, minlength=n), events))
    return table(
        {
            "decision": np.tile(np.arange(recording.start, recording.stop), len(rows)),
            "population": np.repeat([name for name, _, _ in rows], n),
            "spikes": np.concatenate([spikes for _, spikes, _ in rows]),
            "synaptic_events": np.concatenate([events for _, _, events in rows]),
        }
    )


def plot_energy(ax: Axes, costs: Any, column: str = "synaptic_events") -> None:
    """Draw a column of what `energy` gave, "spikes" or "synaptic_events", a line for each population; of many decisions
    means of as many as follow each other."""
    for name, of_population in costs.groupby("population", sort=False):
        parts = np.array_split(np.arange(len(of_population)), min(len(of_population), _MOST_POINTS))
        decision, cost = (of_population[key].to_numpy(float) for key in ("decision", column))
        ax.plot([decision[p].mean() for p in parts], [cost[p].mean() for p in parts], label=str(name))
    ax.set(xlabel="decision", ylabel=f"{column.replace('_', ' ')} per decision")
    ax.set_ylim(bottom=0)
    ax.legend()
