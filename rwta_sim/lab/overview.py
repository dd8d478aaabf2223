"""What is to be told of a run, or of a recording, at a glance: in a terminal, in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rwta_sim.errors import CheckpointError, RwtaSimError, command
from rwta_sim.memory import readable_size

if TYPE_CHECKING:
    from rwta_sim.lab.recordings import Recording
    from rwta_sim.lab.runs import RunFolder

__all__ = ["as_html", "of_recording", "of_run", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: np.ndarray, width: int = 40) -> str:
    """Numbers as a row of bars, means of neighbours where there are more than fit; "" without any."""
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    means = np.array([part.mean() for part in np.array_split(values, min(width, values.size))])
    low, high = float(means.min()), float(means.max())
    level = (means - low) / (high - low) if high > low else np.full(means.size, 0.5)
    return "".join(_BARS[round(x * (len(_BARS) - 1))] for x in level.tolist())


def of_run(run: RunFolder) -> dict[str, str]:
    """Facts of a run; what cannot be read says so."""
    experiment = run.experiment
    facts = {"task": experiment.task, "model": experiment.model, "seed": str(experiment.seed)}
    summary = run.read_json("summary.json") or {}
    if "engine" in summary:
        facts["engine"] = str(summary["engine"])
    try:
        metrics = run.metrics()
        returns, validated = metrics["return"], metrics["validation_return"]
        whole = "" if summary.get("finished") else ", not finished"
        facts["training"] = f"{returns.size} episodes{whole}"
        if returns.size:
            low, high = returns.min(), returns.max()
            facts["returns"] = f"{sparkline(returns)}  {low:.4g} to {high:.4g}, the last {returns[-1]:.4g}"
        if np.isfinite(validated).any():
            facts["validations"] = f"{sparkline(validated)}  the best {np.nanmax(validated):.4g}"
    except RwtaSimError as error:
        facts["training"] = f"cannot be read: {error}"
    try:
        facts["best weights"] = run.best().name
    except CheckpointError as error:
        facts["best weights"] = f"none: {error}"
    facts["recordings"] = ", ".join(run.recordings) or f"none; `{command('rwta-sim record', run.path)}` makes one"
    figures = sorted(path.name for path in (run.path / "figures").glob("[!.]*"))
    facts["figures"] = ", ".join(figures) or "none"
    return facts


def of_recording(recording: Recording) -> dict[str, str]:
    """Facts of a recording."""
    meta, rows = recording.meta, recording.episodes
    size = sum(file.stat().st_size for file in recording.path.rglob("*") if file.is_file())
    spikes = {name: f"{p.stop - p.start} neurons" for name, p in recording.populations.items()}
    facts = {
        "of": f"{meta['task']}, {meta['model']}, seed {meta['seed']}, {meta['checkpoint']}, engine {meta['engine']}",
        "decisions": f"{len(recording)} of {float(recording.decision_time) * 1e3:g} ms, in {len(rows)} episodes"
        + ("" if recording.complete else "; not complete"),
        "columns": ", ".join(recording.columns),
        "spikes": ", ".join(f"{name} ({what})" for name, what in spikes.items()) or "none",
        "probes": ", ".join(recording.probes) or "none",
        "on disk": readable_size(size),
    }
    if rows:
        returns = np.array([row.total for row in rows])
        facts["returns"] = f"{sparkline(returns)}  mean {returns.mean():.4g}"
    return facts


def as_html(title: str, facts: Mapping[str, str]) -> str:
    """A table for a notebook."""
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(what)}</td></tr>"
        for name, what in facts.items()
    )
    return f"<table><caption>{html.escape(title)}</caption>{rows}</table>"
