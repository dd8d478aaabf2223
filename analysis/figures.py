"""The figures of a run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rwta_sim.agent import saved_blocks
from rwta_sim.analysis.curves import plot_learning_curve
from rwta_sim.analysis.rasters import plot_raster
from rwta_sim.analysis.rates import plot_rates
from rwta_sim.analysis.weights import full_matrix, plot_weights
from rwta_sim.runs import Checkpoint, RunFolder

__all__ = ["draw_figures"]

#: Decisions shown in the raster: few enough to see single spikes.
RASTER_DECISIONS = 40


def draw_figures(run: RunFolder) -> list[Path]:
    """Draw learning curve, raster, firing rates and weights of a run; returns the files written.

    The raster and the rates need a recording and are left out where there is none.
    """
    makers = {"learning_curve": _learning_curve, "weights": _weights}
    if (run.path / "recordings" / "episode.npz").is_file():
        makers |= {"raster": _raster, "rates": _rates}
    written = []
    for name, make in makers.items():
        path = run.path / "figures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        make(run).savefig(path, dpi=150)
        written.append(path)
    return written


def _title(run: RunFolder) -> str:
    task = run.experiment.task.replace("$", r"\$")  # not the start of a formula
    return f"{task}, seed {run.experiment.seed}"


def _learning_curve(run: RunFolder) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot()
    plot_learning_curve(ax, run.metrics())
    ax.set_title(f"Learning curve: {_title(run)}")
    return figure


def _raster(run: RunFolder) -> Figure:
    recording = run.recording()
    figure = Figure(figsize=(9, 5), layout="constrained")
    ax = figure.add_subplot()
    shown = min(RASTER_DECISIONS, len(recording["actions"])) * float(recording["decision_time"])
    plot_raster(ax, recording, 0.0, shown)
    ax.set_title(f"Spikes of one greedy episode, first {shown * 1e3:.0f} ms: {_title(run)}")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small", markerscale=2)
    return figure


def _rates(run: RunFolder) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    ax = figure.add_subplot()
    plot_rates(ax, run.recording())
    ax.set_title(f"Firing rates over one greedy episode: {_title(run)}")
    return figure


def _weights(run: RunFolder) -> Figure:
    first, best = run.first(), run.best()
    signature = best.meta["signature"]
    spec, n_inputs = run.experiment.network, signature["inputs"]

    def matrix(checkpoint: Checkpoint) -> np.ndarray:
        return full_matrix(saved_blocks(spec, checkpoint), n_inputs, spec.n_hidden, signature["actions"])

    before, after = matrix(first), matrix(best)
    limit = float(np.nanmax(np.abs(after))) or 1.0
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, shown, when in zip(axes, (before, after), ("before", "after"), strict=True):
        image = plot_weights(ax, shown, n_inputs, spec.n_hidden, limit)
        ax.set_title(f"{when} learning")
    axes[1].set_ylabel("")
    figure.colorbar(image, ax=axes, label="weight")
    figure.suptitle(f"Weights: {_title(run)}")
    return figure
