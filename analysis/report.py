"""One page about runs: configuration, learning, spikes that zoom, statistics; a file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rwta_sim._version import __version__
from rwta_sim.analysis.curves import plot_learning_bands, plot_learning_curve
from rwta_sim.analysis.energy import energy, plot_energy
from rwta_sim.analysis.firing import fano_factors, firing_rates, intervals
from rwta_sim.analysis.psth import decision_times, plot_psth, psth
from rwta_sim.analysis.rates import plot_rates
from rwta_sim.analysis.style import paper_style
from rwta_sim.analysis.tuning import plot_tuning
from rwta_sim.analysis.weights import plot_weight_evolution, weight_evolution
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.config import to_toml
from rwta_sim.lab.files import write_file
from rwta_sim.lab.recordings import Recording
from rwta_sim.lab.runs import RunFolder

__all__ = ["write_report"]

#: Bytes that a page has at the most; spikes in all its rasters, and bytes of a figure as vectors and of a file.
MOST_BYTES = 5_000_000
_MOST_SPIKES, _MOST_VECTORS, _MOST_FILE = 120_000, 300_000, 400_000
#: Actions, and decisions of each, around which histograms are drawn.
_MOST_ACTIONS, _MOST_EVENTS = 6, 200

_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
h1, h2, h3 { font-weight: 600; } table { border-collapse: collapse; margin: 1em 0; }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right; } th:first-child, td:first-child {
text-align: left; } figure { margin: 1em 0; } figure svg, figure img { max-width: 100%; height: auto; }
figcaption, .note { color: #666; font-size: 13px; } pre { background: #f6f6f6; padding: 1em; overflow: auto; }
canvas.raster { width: 100%; height: 420px; border: 1px solid #ddd; cursor: grab; touch-action: none; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def write_report(runs: Sequence[RunFolder], path: Path, recording: str | None = None) -> Path:
    """Write a page about one run, or several of a kind with different seeds.

    Parameters
    ----------
    runs : sequence of RunFolder
    path : Path
        Of the page.
    recording : str, optional
        Name of a recording that each of them has; default: the newest, or else the spikes of one episode that a
        training leaves.

    Returns
    -------
    Path

    Raises
    ------
    RunError
        If a file of a run is damaged or not there, or the page cannot be written.
    """
    with paper_style():
        parts = [_summary(runs), _learning(runs)]
        for run in runs:
            parts += _of_run(run, recording, _MOST_SPIKES // len(runs))
    title = ", ".join(dict.fromkeys(run.experiment.task for run in runs))
    script = Path(__file__).with_name("raster.js").read_text(encoding="utf-8")
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}: report</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body><h1>{_text(title)}</h1>\n'
        + "\n".join(parts)
        + f"\n<p class=note>Written by rwta_sim {__version__}.</p>\n<script>{script}</script></body></html>\n"
    )
    data = page.encode()
    if len(data) > MOST_BYTES:
        raise RunError(f"a report of {len(runs)} runs takes {len(data)} bytes, more than {MOST_BYTES}: take fewer runs")
    write_file(path, data)
    return path


def _text(what: object) -> str:
    return html.escape(str(what))


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{_text(_number(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def _number(cell: object) -> object:
    return f"{cell:.4g}" if isinstance(cell, float) else cell


def _figure(figure: Figure, caption: str) -> str:
    """As vectors, or as pixels where there are too many."""
    vectors = io.StringIO()
    figure.savefig(vectors, format="svg", metadata={"Date": None})
    svg = vectors.getvalue()
    if len(svg) <= _MOST_VECTORS:
        picture = svg[svg.index("<svg") :]
    else:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=130)
        picture = (
            f'<img alt="{_text(caption)}" src="data:image/png;base64,{base64.b64encode(pixels.getvalue()).decode()}">'
        )
    return f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>"


# -- all runs ------------------------------------------------------------------------------------------


def _summary(runs: Sequence[RunFolder]) -> str:
    rows = []
    for run in runs:
        told = run.read_json("summary.json") or {}
        names = ("episodes", "decisions", "best_validation_return", "seconds", "engine")
        rows.append(
            [run.path.name, run.experiment.model, run.experiment.seed, *(told.get(name, "–") for name in names)]
        )
    header = ("run", "model", "seed", "episodes", "decisions", "best validation", "seconds", "engine")
    return _table(header, rows)


def _learning(runs: Sequence[RunFolder]) -> str:
    metrics = [run.metrics() for run in runs]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.add_subplot()
    if len(runs) == 1:
        plot_learning_curve(ax, metrics[0])
        caption = "Return of each training episode, its running mean, and validations."
    else:
        plot_learning_bands(ax, metrics)
        caption = f"Validations of {len(runs)} runs: mean, lowest and highest."
    return "<h2>Learning</h2>" + _figure(figure, caption)


# -- one run -------------------------------------------------------------------------------------------


def _of_run(run: RunFolder, name: str | None, most_spikes: int) -> list[str]:
    parts = [f"<h2>{_text(run.path.name)}</h2>"]
    names = [*run.recordings]
    if name is not None or names:
        newest = max(run.recordings.values(), key=lambda path: path.stat().st_mtime).stem if names else ""
        parts += _of_recording(run.open_recording(name or newest), most_spikes)
    elif (run.path / "recordings" / "episode.npz").is_file():
        parts += _of_arrays(run.recording(), str(run.path), most_spikes)
    else:
        parts.append("<p class=note>No recording: <code>rwta-sim record RUN</code> makes one.</p>")
    configuration = to_toml(run.experiment)
    parts.append(f"<details><summary>Configuration</summary><pre>{_text(configuration)}</pre></details>")
    versions = ", ".join(f"{_text(n)} {_text(v)}" for n, v in run.saved_versions().items())
    files = {"config.toml": configuration.encode(), "metrics.csv": run.metrics_path.read_bytes()}
    links = [_download(run, file, data) for file, data in files.items() if len(data) <= _MOST_FILE]
    return [*parts, f"<p class=note>Versions: {versions}. Files: {', '.join(links)}.</p>"]


def _download(run: RunFolder, name: str, data: bytes) -> str:
    content = base64.b64encode(data).decode()
    whole = _text(f"{run.path.name}-{name}")
    return f'<a download="{whole}" href="data:text/plain;base64,{content}">{_text(name)}</a>'


def _of_recording(recording: Recording, most_spikes: int) -> list[str]:
    meta = recording.meta
    told = f"{len(recording)} decisions of {len(recording.episodes)} episodes, engine {meta['engine']}, " + (
        "learning" if meta["learning"] else f"best weights ({meta['checkpoint']})"
    )
    whole = "" if recording.complete else " The recording is not complete."
    parts = [f"<h3>Recording {_text(recording.path.stem)}</h3><p>{_text(told)}.{whole}</p>"]
    if not recording.populations:
        return [*parts, "<p class=note>Spikes were not recorded.</p>"]
    shown = _few(recording, most_spikes)
    if "action" in recording.populations:
        parts += _of_arrays(shown.arrays(), str(recording.path), most_spikes)
    else:
        parts.append("<p class=note>A raster is drawn of networks with an action circuit.</p>")
    try:
        parts += [_statistics(shown), _histograms(shown), _energy(shown), *_weights(recording)]
    except ConfigError as error:
        parts.append(f"<p class=note>Statistics of intervals and histograms: {_text(error)}</p>")
    return parts


def _few(recording: Recording, most_spikes: int) -> Recording:
    """As many decisions from its start as have no more spikes than that, one at least."""
    count = len(recording)
    while count > 1 and sum(recording.decisions(0, count).spike_total(p) for p in recording.populations) > most_spikes:
        count = count * 3 // 4
    return recording.decisions(0, count)


def _of_arrays(arrays: Mapping[str, np.ndarray], name: str, most_spikes: int) -> list[str]:
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    plot_rates(figure.add_subplot(), arrays)
    parts = [_raster(arrays, name, most_spikes), _figure(figure, "Firing rate of each neuron, by circuit.")]
    if arrays["starts"][-2] and len(np.unique(arrays["actions"])) > 1:
        figure = Figure(figsize=(8, 4.4))
        plot_tuning(figure, arrays)
        parts.append(_figure(figure, "What hidden neurons are tuned to."))
    return parts


def _raster(arrays: Mapping[str, np.ndarray], name: str, most_spikes: int) -> str:
    hidden, total, inputs = int(arrays["starts"][-2]), int(arrays["starts"][-1]), int(arrays["n_inputs"])
    t = np.concatenate([arrays["input_t"], arrays["neuron_t"]])
    row = np.concatenate([arrays["input_i"], inputs + arrays["neuron_i"]])
    first = np.sort(np.argsort(t, kind="stable")[:most_spikes])
    edges = [("inputs", 0, inputs), ("hidden", inputs, inputs + hidden), ("action", inputs + hidden, inputs + total)]
    step, decisions = float(arrays["decision_time"]), len(arrays["actions"])
    data = {
        "t": base64.b64encode(t[first].astype("<f4").tobytes()).decode(),
        "row": base64.b64encode(row[first].astype("<u2").tobytes()).decode(),
        "bands": [{"name": n, "start": a, "end": b} for n, a, b in edges if b > a],
        "actions": arrays["actions"].tolist(),
        "ends": np.asarray(arrays["ends"]).tolist() if "ends" in arrays else [decisions],
        "step": step,
        "stop": step * decisions,
    }
    source = "raster-" + hashlib.sha256(f"{name} {decisions} {len(t)}".encode()).hexdigest()[:12]
    return (
        f'<figure><canvas class="raster" tabindex="0" data-source="{source}"></canvas><figcaption>Spikes of '
        f"{decisions} decisions. Wheel or + and − zoom, dragging or arrow keys move, a double click shows all; "
        "pink lines end episodes.</figcaption></figure>"
        f'<script type="application/json" id="{source}">{json.dumps(data)}</script>'
    )


def _statistics(recording: Recording) -> str:
    rows = []
    for name in recording.populations:
        rates, between = firing_rates(recording, population=name), intervals(recording, population=name)
        fano = fano_factors(recording, float(recording.decision_time), population=name)
        numbers = [between["mean_s"].mean() * 1e3, between["cv"].mean(), between["cv2"].mean(), fano["fano"].mean()]
        row = [name, len(rates), int(rates["spikes"].sum()), rates["rate_hz"].mean(), rates["rate_hz"].max(), *numbers]
        rows.append([cell if isinstance(cell, str | int) else float(cell) for cell in row])
    header = ("population", "neurons", "spikes", "mean Hz", "highest Hz", "interval, ms", "CV", "CV2", "Fano")
    note = "Means over neurons; Fano factor of counts in a decision. By Elephant."
    return f"{_table(header, rows)}<p class=note>{note}</p>"


def _histograms(recording: Recording) -> str:
    step = float(recording.decision_time)
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots(1, len(recording.populations), squeeze=False)[0]
    actions = np.unique(recording["action"])[:_MOST_ACTIONS]
    for ax, name in zip(axes, recording.populations, strict=True):
        for action in actions.tolist():
            events = decision_times(recording, recording["action"] == action)[:_MOST_EVENTS]
            ax.set_title(name)
            if len(events) > 1:
                plot_psth(ax, psth(recording, events, 0.0, step, step / 20, population=name), f"action {action}")
    axes[0].legend()
    return _figure(figure, "Firing rate within decisions, by the action that followed; mean and standard error.")


def _energy(recording: Recording) -> str:
    costs = energy(recording)
    per_decision = costs.groupby("population", sort=False)[["spikes", "synaptic_events"]].mean()
    rows = [
        [str(name), *map(float, row)] for name, row in zip(per_decision.index, per_decision.to_numpy(), strict=True)
    ]
    rows.append(["all", *map(float, per_decision.sum(min_count=len(rows)))])
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    for ax, column in zip(figure.subplots(1, 2), ("spikes", "synaptic_events"), strict=True):
        plot_energy(ax, costs, column)
    note = "Means over decisions. A synaptic event is a spike that arrives at one synapse."
    told = _table(("population", "spikes per decision", "synaptic events per decision"), rows)
    return f"{told}<p class=note>{note}</p>" + _figure(figure, "Spikes and synaptic events, decision by decision.")


def _weights(recording: Recording) -> list[str]:
    if not any(probe["name"].endswith(".w") for probe in recording.probes.values()):
        return []
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    plot_weight_evolution(figure.add_subplot(), weight_evolution(recording))
    return [_figure(figure, "Weights of each block while it was recorded; b are biases.")]
