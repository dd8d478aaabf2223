"""The figures of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rwta_sim.agents.rwta import RWTAExperiment
from rwta_sim.agents.rwta.system import blocks_saved
from rwta_sim.analysis.curves import plot_learning_curve
from rwta_sim.analysis.lesions import plot_lesions
from rwta_sim.analysis.rasters import plot_episode
from rwta_sim.analysis.rates import plot_rates
from rwta_sim.analysis.tuning import plot_tuning
from rwta_sim.analysis.weights import full_matrix, plot_weights
from rwta_sim.circuit.equations import MAX_CIRCUIT_SIZE
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import CheckpointError, RunError
from rwta_sim.lab.files import replacing
from rwta_sim.lab.lesions import LesionScore
from rwta_sim.lab.runs import Checkpoint, RunFolder
from rwta_sim.loop.experiment import Experiment

__all__ = ["RASTER_DECISIONS", "draw_figures", "draw_lesions"]

#: Decisions shown in the raster: few enough to see single spikes.
RASTER_DECISIONS = 40
#: Hidden neurons of a sparse network whose weights are drawn.
MOST_DRAWN = 4000
#: No episode takes longer; a damaged recording may claim any time.
MOST_SECONDS = 1e9
Recording = Mapping[str, np.ndarray]
#: What Brian2 can count.
MOST_NEURONS = 2**31 - 1


def draw_figures(run: RunFolder) -> list[Path]:
    """Draw learning curve, raster, firing rates and weights of a run; returns the files written.

    Raster, rates and tuning need a recording and are left out where there is none; the weights of a sparse network of
    more than `MOST_DRAWN` hidden neurons are, which would have to be a matrix.

    Raises
    ------
    RunError
        If a file of the run is damaged, or a figure cannot be written; those that were there before stay.
    """
    recorded = (run.path / "recordings" / "episode.npz").is_file()
    # Read and checked once, when the first of them is drawn.
    recording = cache(lambda: _recording(run))
    written = []
    for name in ("learning_curve", *run.experiment.draws):
        if name == "weights" and _network(run).sparse_origins and _network(run).n_hidden > MOST_DRAWN:
            continue
        if name in _OF_RUNS:
            figure = _OF_RUNS[name](run)
        elif recorded and name in _OF_RECORDINGS:
            if name == "tuning" and not recording()["starts"][-2]:
                continue
            figure = _OF_RECORDINGS[name](run, recording())
        else:
            continue
        path = run.file_for("figures", f"{name}.png")
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
        written.append(path)
    return written


def draw_lesions(run: RunFolder, scores: Sequence[LesionScore], of: str, random: float | None = None) -> Path:
    """Draw figures/lesions-OF.png of what `rwta_sim.lab.lesions.lesion_curve` found; returns the file.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    path, figure = run.file_for("figures", f"lesions-{of}.png"), Figure(figsize=(6, 4), layout="constrained")
    ax = figure.add_subplot()
    plot_lesions(ax, scores, of, random)
    ax.set_title(f"Lesions: {_title(run)}")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def _network(run: RunFolder) -> NetworkSpec:
    """Of a run whose figures show its weights."""
    assert isinstance(run.experiment, RWTAExperiment)  # as its `draws` say
    return run.experiment.network


def _title(run: RunFolder) -> str:
    task = run.experiment.task.replace("$", r"\$")  # not the start of a formula
    return f"{task}, seed {run.experiment.seed}"


def _learning_curve(run: RunFolder) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot()
    plot_learning_curve(ax, run.metrics())
    ax.set_title(f"Learning curve: {_title(run)}")
    return figure


def _raster(run: RunFolder, recording: Recording) -> Figure:
    figure = Figure(figsize=(9, 6), layout="constrained")
    shown = min(RASTER_DECISIONS, len(recording["actions"])) * float(recording["decision_time"])
    axes = plot_episode(figure, recording, 0.0, shown)
    axes[0].set_title(f"Spikes in evaluation, the first {shown * 1e3:.0f} ms: {_title(run)}")
    handles = axes[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, fontsize="small", markerscale=2)
    return figure


def _rates(run: RunFolder, recording: Recording) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    ax = figure.add_subplot()
    plot_rates(ax, recording)
    ax.set_title(f"Firing rates in evaluation: {_title(run)}")
    return figure


def _tuning(run: RunFolder, recording: Recording) -> Figure:
    figure = Figure(figsize=(9, 5))
    plot_tuning(figure, recording)
    figure.suptitle(f"What hidden neurons are tuned to, {len(recording['actions'])} decisions: {_title(run)}")
    return figure


def _weights(run: RunFolder) -> Figure:
    first, best = run.first(), run.best()
    spec = _network(run)
    before, after = (_matrix(run, checkpoint) for checkpoint in (first, best))
    n_inputs = len(after) - after.shape[1]
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


def _matrix(run: RunFolder, checkpoint: Checkpoint) -> np.ndarray:
    """All weights in a checkpoint as one matrix; see `full_matrix`."""
    experiment, spec = run.experiment, _network(run)
    assert isinstance(experiment, RWTAExperiment)  # as `_network` has found
    try:
        blocks = blocks_saved(experiment, checkpoint.arrays, checkpoint.meta["signature"])
        n_inputs = max((len(blocks[name]) for name in ("sh", "sa") if name in blocks), default=0)
        n_actions = len(checkpoint.arrays["bias"]) - spec.n_hidden
        return full_matrix(blocks, n_inputs, spec.n_hidden, n_actions)
    except (ValueError, IndexError, TypeError, KeyError) as error:
        raise CheckpointError(f"checkpoint {checkpoint.name} of {run.path} is of another network: {error}") from error


_OF_RUNS = {"learning_curve": _learning_curve, "weights": _weights}
_OF_RECORDINGS = {"raster": _raster, "rates": _rates, "tuning": _tuning}


def _recording(run: RunFolder) -> Recording:
    """The recording of an episode, if it is one that can be drawn."""
    recording = run.recording()
    try:
        wrong = _wrong(recording, run.experiment)
    except KeyError as error:
        wrong = f"no {error}"
    if wrong:
        raise RunError(
            f"{run.path}/recordings/episode.npz is damaged ({wrong}): `rwta-sim figures {run.path}` records anew"
        )
    return recording


def _wrong(recording: Recording, experiment: Experiment) -> str:
    """What is wrong with a recording of a network of this experiment, if anything is."""
    actions, starts, step = recording["actions"], recording["starts"], recording["decision_time"]
    if not (_whole(starts) and len(starts) > 1 and starts[0] == 0 and (starts[1:] > starts[:-1]).all()):
        return "starts"
    speakers, n_inputs = int(starts[-1]) - int(starts[-2]), recording["n_inputs"]
    if not (experiment.may_have_hidden(int(starts[-2])) and speakers <= MAX_CIRCUIT_SIZE):
        return "starts"
    action_of = recording["action_of"] if "action_of" in recording else np.arange(speakers)
    if not (_whole(action_of) and len(action_of) == speakers and _within(action_of, speakers)):
        return "action_of"
    n_actions = int(action_of.max()) + 1
    if not (_whole(n_inputs, 0) and 0 <= n_inputs <= MOST_NEURONS):
        return "n_inputs"
    if not (_whole(actions) and len(actions) and _within(actions, n_actions)):
        return "actions"
    if not (step.dtype.kind == "f" and step.shape == () and 0 < step < MOST_SECONDS):
        return "decision_time"
    for kind, count in (("input", n_inputs), ("neuron", starts[-1])):
        i, t = recording[f"{kind}_i"], recording[f"{kind}_t"]
        if not (_whole(i) and _within(i, count) and t.dtype.kind == "f" and i.shape == t.shape):
            return f"{kind}_i or {kind}_t"
        if not ((t >= 0) & (t < MOST_SECONDS)).all():
            return f"{kind}_t"
    return _wrong_beside(recording, len(actions))


def _wrong_beside(recording: Recording, decisions: int) -> str:
    """The same of what stands beside the spikes; older recordings have the rewards alone."""
    rewards, dt = recording["rewards"], recording["dt"]
    if not (rewards.dtype.kind in "iuf" and rewards.shape == (decisions,) and np.isfinite(rewards).all()):
        return "rewards"
    if not (dt.dtype.kind == "f" and dt.shape == () and 0 < dt <= recording["decision_time"]):
        return "dt"
    if "observations" in recording:
        seen = recording["observations"]
        if not (seen.dtype.kind in "biuf" and seen.ndim and len(seen) == decisions and seen.size):
            return "observations"
    ends = recording["ends"] if "ends" in recording else np.array([decisions])
    if not (_whole(ends) and len(ends) and _within(ends, decisions + 1)):
        return "ends"
    perturbed = recording["perturbed"] if "perturbed" in recording else np.array(0)
    return "" if _whole(perturbed, 0) and 0 <= perturbed < decisions else "perturbed"


def _whole(array: np.ndarray, dimensions: int = 1) -> bool:
    """Whether an array holds integers."""
    return array.dtype.kind in "iu" and array.ndim == dimensions


def _within(array: np.ndarray, count: int | np.ndarray) -> bool:
    """Whether all are indices of `count` things."""
    return bool(((array >= 0) & (array < count)).all())
