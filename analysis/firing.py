"""Statistics of spike trains, by Elephant: rates, intervals, variability, correlations, distances.

All take what `spike_trains` takes, or trains that it gave, and return a `pandas.DataFrame` with a row for each neuron,
or pair of neurons.
"""

from __future__ import annotations

import warnings
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from rwta_sim.analysis.spike_trains import described, spike_trains, table
from rwta_sim.errors import ConfigError, nearest
from rwta_sim.lab.export.tables import imported

__all__ = ["correlations", "cross_correlogram", "distances", "fano_factors", "firing_rates", "intervals"]


def firing_rates(data: Any, **how: Any) -> Any:
    """Spikes, and mean rate (Hz), of each train: `elephant.statistics.mean_firing_rate`.

    Parameters
    ----------
    data, **how
        As for `spike_trains`.

    Returns
    -------
    pandas.DataFrame
        Columns population, circuit and neuron where they are known, ``spikes``, ``rate_hz``.
    """
    statistics, trains = imported("elephant.statistics"), spike_trains(data, **how)
    rates = [float(statistics.mean_firing_rate(train).rescale("Hz")) for train in trains]
    return table({**described(trains), "spikes": [len(train) for train in trains], "rate_hz": rates})


def intervals(data: Any, **how: Any) -> Any:
    """Intervals between spikes: their mean (s), coefficient of variation, and local variations CV2 and LV.

    Poisson: all three are 1. `elephant.statistics.isi`, ``cv``, ``cv2`` (Holt et al. 1996), ``lv`` (Shinomoto et al.
    2003); NaN with fewer than three spikes.
    """
    statistics, trains = imported("elephant.statistics"), spike_trains(data, **how)
    rows: dict[str, list[float]] = {"mean_s": [], "cv": [], "cv2": [], "lv": []}
    for train in trains:
        between = statistics.isi(train).rescale("s").magnitude
        enough = len(between) >= 2
        rows["mean_s"].append(float(between.mean()) if len(between) else np.nan)
        for name in ("cv", "cv2", "lv"):
            rows[name].append(float(getattr(statistics, name)(between)) if enough else np.nan)
    return table({**described(trains), **rows})


def fano_factors(data: Any, window: float, **how: Any) -> Any:
    """Variance of the spike count over its mean, in windows of so many seconds: `elephant.statistics.fanofactor`.

    Poisson: 1. NaN for a neuron without a spike. Several trains of one neuron, as in a block, are put together.

    Raises
    ------
    ConfigError
        If fewer than two windows fit into a train.
    """
    pq, statistics, trains = imported("quantities"), imported("elephant.statistics"), spike_trains(data, **how)
    pieces: dict[tuple[Any, ...], list[Any]] = {}
    for train, who in zip(trains, _who(trains), strict=True):
        start, stop = (float(t.rescale(pq.s)) for t in (train.t_start, train.t_stop))
        count = int((stop - start) / window * (1 + 1e-9))
        cuts = start + window * np.arange(count + 1)
        seconds = train.rescale(pq.s).magnitude
        edges = np.searchsorted(seconds, cuts - 1e-9)
        pieces.setdefault(who, []).extend(seconds[a:b] for a, b in pairwise(edges.tolist()))
    if min(len(found) for found in pieces.values()) < 2:
        raise ConfigError(f"window = {window:g} s: fewer than two fit into the time that was recorded")
    first = {who: train for train, who in reversed(list(zip(trains, _who(trains), strict=True)))}
    kept = [first[who] for who in pieces]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silent neurons
        factors = [float(statistics.fanofactor(found)) for found in pieces.values()]
    return table({**described(kept), "windows": [len(found) for found in pieces.values()], "fano": factors})


def _who(trains: list[Any]) -> list[tuple[Any, ...]]:
    columns = described(trains)
    if "neuron" not in columns:
        return [(number,) for number in range(len(trains))]
    return list(zip(*columns.values(), strict=True))


def correlations(data: Any, bin: float, **how: Any) -> Any:
    """Correlation coefficient of the counts of each pair in bins of so many seconds.

    `elephant.spike_train_correlation.correlation_coefficient`. Columns ``first`` and ``second`` number the trains.
    """
    pq, trains = imported("quantities"), spike_trains(data, **how)
    binned = imported("elephant.conversion").BinnedSpikeTrain(trains, bin_size=bin * pq.s, tolerance=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silent neurons
        r = np.atleast_2d(imported("elephant.spike_train_correlation").correlation_coefficient(binned))
    a, b = np.triu_indices(len(trains), 1)
    return table({"first": a, "second": b, "r": r[a, b]})


def cross_correlogram(first: Any, second: Any, bin: float, window: float) -> Any:
    """Spikes of one train around those of another: `elephant.spike_train_correlation.cross_correlation_histogram`.

    Parameters
    ----------
    first, second : neo.SpikeTrain
    bin, window : float
        Seconds: of a bin, and how far on both sides.

    Returns
    -------
    pandas.DataFrame
        Columns ``lag_s`` (positive: `second` fires later) and ``count``.
    """
    pq, conversion = imported("quantities"), imported("elephant.conversion")
    size = round(window / bin)
    binned = [conversion.BinnedSpikeTrain(train, bin_size=bin * pq.s, tolerance=1e-6) for train in (first, second)]
    histogram, lags = imported("elephant.spike_train_correlation").cross_correlation_histogram(
        *binned, window=[-size, size], border_correction=False
    )
    return table({"lag_s": np.asarray(lags) * bin, "count": histogram.magnitude[:, 0].astype(float)})


_DISTANCES = {"victor_purpura": "victor_purpura_distance", "van_rossum": "van_rossum_distance"}


def distances(data: Any, time: float, kind: str = "victor_purpura", **how: Any) -> Any:
    """How far spike trains are apart, each pair: `elephant.spike_train_dissimilarity`.

    Parameters
    ----------
    data, **how
        As for `spike_trains`.
    time : float
        Seconds: time constant of van Rossum's distance, or by how much a spike is shifted at the cost of 1 in Victor
        and Purpura's.
    kind : {"victor_purpura", "van_rossum"}
    """
    if kind not in _DISTANCES:
        raise ConfigError(f"kind = {kind!r}: {nearest(kind, _DISTANCES)}")
    pq, trains = imported("quantities"), spike_trains(data, **how)
    scale = 1 / (time * pq.s) if kind == "victor_purpura" else time * pq.s
    found = getattr(imported("elephant.spike_train_dissimilarity"), _DISTANCES[kind])(trains, scale)
    pairs = list(combinations(range(len(trains)), 2))
    return table(
        {
            "first": [a for a, _ in pairs],
            "second": [b for _, b in pairs],
            "distance": [float(found[a, b]) for a, b in pairs],
        }
    )
