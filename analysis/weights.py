"""Weight matrices, before and after learning, and by block on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from rwta_sim.analysis.spike_trains import table
from rwta_sim.errors import ConfigError
from rwta_sim.lab.recordings import Recording

__all__ = ["full_matrix", "plot_weight_evolution", "plot_weights", "weight_evolution"]

#: Numbers of weights that are read at once.
_AT_ONCE = 2**20


def full_matrix(blocks: Mapping[str, np.ndarray], n_inputs: int, n_hidden: int, n_actions: int) -> np.ndarray:
    """All weights as one matrix of shape (n_inputs + n_neurons, n_neurons); NaN where there is no block."""
    n = n_hidden + n_actions
    matrix = np.full((n_inputs + n, n), np.nan)
    rows = {"s": slice(0, n_inputs), "h": slice(n_inputs, n_inputs + n_hidden), "a": slice(n_inputs + n_hidden, None)}
    columns = {"h": slice(0, n_hidden), "a": slice(n_hidden, n)}
    for name, block in blocks.items():
        if len(name) == 2:
            matrix[rows[name[0]], columns[name[1]]] = block
    return matrix


def plot_weights(ax: Axes, matrix: np.ndarray, n_inputs: int, n_hidden: int, limit: float) -> AxesImage:
    """Show `full_matrix`; lines divide inputs, hidden and action neurons. Colours span +-`limit`."""
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    for row in (n_inputs, n_inputs + n_hidden):
        ax.axhline(row - 0.5, color="black", linewidth=0.6)
    ax.axvline(n_hidden - 0.5, color="black", linewidth=0.6)
    ax.set(xlabel="to neuron (hidden | action)", ylabel="from (inputs | hidden | action)")
    return image


def weight_evolution(recording: Recording) -> Any:
    """Weights of each block, over the episodes or decisions at which they were recorded.

    Parameters
    ----------
    recording : Recording
        With the probe ``w``, or ``sh.w@decision`` …, as of a training (`TrainingRecord`) or with ``learning=True``.

    Returns
    -------
    pandas.DataFrame
        A row for each block and moment: ``block``, ``decision`` (after which, or with which it was made, see
        ``moment``: "episode" or "decision"), ``mean``, ``sd``, ``rms``, ``largest`` (absolute value).

    Raises
    ------
    ConfigError
        If no weights were recorded.
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("block", "moment", "decision", "mean", "sd", "rms", "largest")}
    for probe in recording.probes.values():
        block, _, kind = probe["name"].rpartition(".")
        if kind != "w":
            continue
        for decision, w in _weights_at(recording, probe["name"], probe["moment"]):
            flat = w.reshape(len(w), -1)
            rows["block"] += [block] * len(w)
            rows["moment"] += [probe["moment"]] * len(w)
            rows["decision"] += decision.tolist()
            rows["mean"] += flat.mean(axis=1).tolist()
            rows["sd"] += flat.std(axis=1).tolist()
            rows["rms"] += np.sqrt((flat**2).mean(axis=1)).tolist()
            rows["largest"] += np.abs(flat).max(axis=1).tolist()
    if not rows["block"]:
        raise ConfigError(f"{recording.path} has no weights: record them with the probe 'w' or 'w@decision'")
    return table(rows)


def _weights_at(recording: Recording, probe: str, moment: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Decisions, and what a probe showed then, in pieces."""
    if moment == "episode":
        yield np.array([row.end - 1 for row in recording.episodes]), np.asarray(recording.at_episodes(probe))
        return
    size = max(1, np.asarray(recording.decisions(0, 1).readings(probe)).size)
    step = max(1, _AT_ONCE // size)
    for start in range(0, len(recording), step):
        part = recording.decisions(start, min(start + step, len(recording)))
        yield np.arange(part.start, part.stop), np.asarray(part.readings(probe))


def plot_weight_evolution(ax: Axes, weights: Any) -> None:
    """Draw what `weight_evolution` gave: the root of the mean square of each block, a line for each."""
    for block, of_block in weights.groupby("block", sort=False):
        ax.plot(of_block["decision"], of_block["rms"], label=str(block))
    ax.set(xlabel="decision", ylabel="weight, root mean square")
    ax.legend()
