"""What spikes tell of actions and states: tuning, mutual information, decoding; by SciPy and scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rwta_sim.analysis.spike_trains import table
from rwta_sim.errors import ConfigError
from rwta_sim.lab.export.tables import imported

__all__ = ["decode", "mutual_information", "trajectories", "tuning_curves"]


def _checked(counts: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    counts, labels = np.asarray(counts, float), np.asarray(labels)
    if counts.ndim != 2 or labels.shape[:1] != counts.shape[:1]:
        raise ConfigError(
            f"counts of shape {counts.shape} and labels of shape {labels.shape}: expected (decisions, neurons) and a "
            "label for each decision"
        )
    return counts, labels


def tuning_curves(counts: Any, labels: Any, duration: float, bins: int | None = None) -> Any:
    """Firing rate of each neuron by label: by action, or, with `bins`, by parts of a variable with equally many
    decisions.

    Parameters
    ----------
    counts : array, shape (decisions, neurons)
        Spikes; `Recording.spike_counts`.
    labels : array, shape (decisions,)
        Of each decision: its action, or a variable of what was seen.
    duration : float
        Seconds of a decision.
    bins : int, optional

    Returns
    -------
    pandas.DataFrame
        Columns ``neuron``, ``label`` (with bins: the mean of the variable in it), ``rate_hz``, ``sem_hz``,
        ``decisions``, and ``p``: of a Kruskal-Wallis test (`scipy.stats.kruskal`) that the neuron fires alike for all
        labels.
    """
    counts, labels = _checked(counts, labels)
    if bins is not None:
        edges = np.quantile(labels, np.linspace(0, 1, bins + 1)[1:-1])
        part = np.digitize(labels, edges)
        labels = np.array([labels[part == k].mean() for k in part.tolist()]) if labels.size else labels
    kinds, part = np.unique(labels, return_inverse=True)
    kruskal = imported("scipy.stats").kruskal
    rows: dict[str, list[Any]] = {name: [] for name in ("neuron", "label", "rate_hz", "sem_hz", "decisions", "p")}
    groups = [counts[part == k] for k in range(len(kinds))]
    for neuron in range(counts.shape[1]):
        samples = [group[:, neuron] for group in groups]
        # Of numbers that are all the same there is nothing to test.
        p = float(kruskal(*samples).pvalue) if len(samples) > 1 and np.ptp(counts[:, neuron]) > 0 else np.nan
        for label, sample in zip(kinds.tolist(), samples, strict=True):
            n = len(sample)
            error = sample.std(ddof=1) / np.sqrt(n) / duration if n > 1 else np.nan
            for name, value in zip(rows, (neuron, label, sample.mean() / duration, error, n, p), strict=True):
                rows[name].append(value)
    return table(rows)


def mutual_information(counts: Any, labels: Any, shuffles: int = 20, seed: int = 0) -> Any:
    """Bits that the spike count of each neuron tells of the labels: `sklearn.metrics.mutual_info_score`.

    With few decisions it is too large: beside it stands the mean of what labels in random order come to.

    Returns
    -------
    pandas.DataFrame
        Columns ``neuron``, ``bits``, ``shuffled_bits``.
    """
    counts, labels = _checked(counts, labels)
    score, rng = imported("sklearn.metrics").mutual_info_score, np.random.default_rng(seed)
    kinds = np.unique(labels, return_inverse=True)[1]
    orders = [rng.permutation(kinds) for _ in range(shuffles)]
    told = [score(kinds, column) / np.log(2) for column in counts.T]
    by_chance = [np.mean([score(order, column) for order in orders]) / np.log(2) for column in counts.T]
    return table({"neuron": np.arange(len(told)), "bits": told, "shuffled_bits": by_chance})


def decode(counts: Any, labels: Any, groups: Any = None, folds: int = 5, shuffles: int = 20, seed: int = 0) -> Any:
    """How well a linear read-out of spike counts tells labels it has not seen, cross-validated, and by chance.

    Actions and other kinds are decoded by logistic regression (score: balanced accuracy), real numbers by ridge
    regression (score: R²), on standardised counts; scikit-learn.

    Parameters
    ----------
    counts : array, shape (decisions, neurons)
    labels : array, shape (decisions,)
        Integers or text: kinds; real numbers: a variable.
    groups : array, shape (decisions,), optional
        Such as the episode of each decision: those of a group are never both learned from and tested.
    folds, shuffles : int
        Of cross-validation; and of the labels, each put in random order and decoded alike.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row: ``score``, ``sd`` over folds, ``shuffled`` (mean), ``shuffled_highest``, ``p`` (the share of shuffles
        that do as well, at least 1/(shuffles + 1)), ``kind``.

    Raises
    ------
    ConfigError
        If there is one label, or there are fewer decisions of one kind, or fewer groups, than folds.
    """
    counts, labels = _checked(counts, labels)
    selection, linear = imported("sklearn.model_selection"), imported("sklearn.linear_model")
    pipeline, scaler = imported("sklearn.pipeline").make_pipeline, imported("sklearn.preprocessing").StandardScaler
    kinds = labels.dtype.kind != "f"
    _check_enough(labels, groups, folds, kinds)
    reader = linear.LogisticRegression(max_iter=1000) if kinds else linear.Ridge()
    scoring = "balanced_accuracy" if kinds else "r2"
    splits: Any = selection.StratifiedKFold(folds, shuffle=True, random_state=seed) if kinds else None
    splits = splits or selection.KFold(folds, shuffle=True, random_state=seed)
    if groups is not None:
        splits = selection.GroupKFold(folds)

    def score(of: np.ndarray) -> np.ndarray:
        how = {"cv": splits, "scoring": scoring, "groups": groups}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fold of whole episodes may lack a kind
            return np.asarray(selection.cross_val_score(pipeline(scaler(), reader), counts, of, **how))

    rng, found = np.random.default_rng(seed), score(labels)
    by_chance = np.array([score(rng.permutation(labels)).mean() for _ in range(shuffles)])
    p = (1 + (by_chance >= found.mean()).sum()) / (1 + shuffles)
    return table(
        {
            "score": [found.mean()],
            "sd": [found.std()],
            "shuffled": [by_chance.mean() if shuffles else np.nan],
            "shuffled_highest": [by_chance.max() if shuffles else np.nan],
            "p": [p],
            "kind": [scoring],
        }
    )


def _check_enough(labels: np.ndarray, groups: Any, folds: int, kinds: bool) -> None:
    found, count = np.unique(labels, return_counts=True)
    if len(found) < 2:
        raise ConfigError(f"all labels are {found[:1].tolist()}: there is nothing to decode")
    if groups is not None and len(np.unique(groups)) < folds:
        raise ConfigError(
            f"{len(np.unique(groups))} groups cannot be split into {folds} folds: record more, or lower folds"
        )
    if groups is None and kinds and count.min() < folds:
        raise ConfigError(
            f"label {found[count.argmin()].item()!r} comes {count.min()} times, fewer than folds = {folds}: record "
            "more, or lower folds"
        )


def trajectories(counts: Any, components: int = 3) -> Any:
    """The population's way through its principal components (`sklearn.decomposition.PCA`) of square roots of counts.

    Returns
    -------
    pandas.DataFrame
        Columns ``decision``, ``pc0``, ``pc1``, …; what each explains of the variance is ``.attrs["explained"]``.
    """
    counts = np.sqrt(np.asarray(counts, float))
    components = min(components, *counts.shape)
    pca = imported("sklearn.decomposition").PCA(components, random_state=0)
    way = pca.fit_transform(counts)
    result = table({"decision": np.arange(len(way)), **{f"pc{k}": way[:, k] for k in range(components)}})
    result.attrs["explained"] = pca.explained_variance_ratio_.tolist()
    return result
