"""The command line: ``rwta-sim train | live | resume | sweep | evaluate | lesions | robustness | watch | record |
export | report | show | figures | tasks | cache``.

Click builds the options from the settings themselves, so each one is documented where it is defined, and
suggests the nearest option for a mistyped one.
"""

from __future__ import annotations

import json
import os
import sys
import time
import tomllib
import types
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import asdict
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import click
from brian2 import BrianLogger
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rwta_sim._version import __version__
from rwta_sim.analysis import (
    PICTURE_SIZE,
    RASTER_DECISIONS,
    check_film,
    draw_figures,
    draw_lesions,
    draw_robustness,
    save_areas,
    save_film,
    save_sweep,
    save_trials,
    sweep_table,
    write_report,
)
from rwta_sim.errors import ConfigError, RwtaSimError, command, one_line, printable
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.config import read_toml
from rwta_sim.lab.display import TrainingDisplay
from rwta_sim.lab.evaluation import result as evaluation_result
from rwta_sim.lab.export import FORMATS, export
from rwta_sim.lab.lesions import LesionScore, lesion_curve
from rwta_sim.lab.overview import of_recording, of_run
from rwta_sim.lab.record import TrainingRecord, record
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.robustness import Cell, Family, Row, Suite, read_rows
from rwta_sim.lab.robustness import robustness as play_suite
from rwta_sim.lab.runs import RunFolder, free_folder
from rwta_sim.lab.sweep import (
    Point,
    Sweep,
    SweepDisplay,
    SweepFolder,
    check,
    check_search,
    estimate,
    points_of,
    search,
    study_of,
    sweep,
)
from rwta_sim.lab.training import Summary, resume, train
from rwta_sim.lab.vitals import vital_signs
from rwta_sim.lab.workers import check_cluster, opened
from rwta_sim.live.beginning import Beginning
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.registry import experiment_class
from rwta_sim.loop.tree import kinds_first, old_names, options
from rwta_sim.memory import readable_size
from rwta_sim.models import preset, tasks
from rwta_sim.native import cache

__all__ = ["main"]

#: Settings that have a short option of their own.
_SHORT = {"task", "model", "seed"}

_RUN = click.argument("run", type=click.Path(path_type=Path))
_TRUST = click.option(
    "--trust",
    is_flag=True,
    help="Import the modules that the run names (of its environment, module:id, or of a network's builder) also where "
    "they are not installed: runs the code in them.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")


_PERTURB = (
    click.option("--lesion", multiple=True, metavar="WHAT", help="Destroy ha, circuit:3, circuits:.5 or neurons:.25."),
    click.option("--silence", multiple=True, metavar="WHAT", help="Keep circuit:3, circuits:.5 or neurons:.25 silent."),
    click.option("--drive", multiple=True, metavar="WHAT", help="Make a neuron win: circuit:2=neuron:5, circuits:.25."),
    click.option("--perturb-seed", type=click.IntRange(min=0), default=0, help="Draws what of a share is hit."),
)


def _perturbed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that can lesion and stimulate."""
    for option in reversed(_PERTURB):
        function = option(function)
    return function


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command whose training can be recorded."""
    nth = click.IntRange(min=1)
    for option in (
        click.option("--record-every", metavar="TIME", help="Between samples of states; as record --every."),
        click.option("--record-nth", type=nth, default=1, help="Of a recorded training, every n-th episode."),
        click.option("--record", "probes", multiple=True, metavar="WHAT", help="Record it; as record --probe."),
    ):
        function = option(function)
    return function


_CLUSTER = click.option(
    "--cluster",
    metavar="WHERE",
    help="Let workers play the episodes of each batch; as sweep --cluster. The run is the same, bit for bit.",
)


def _value(text: str) -> Any:
    """A command-line value in TOML's spelling; what is not TOML is text ("5 ms")."""
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    return text


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    kinds = get_args(field.annotation) if not isinstance(field.annotation, types.UnionType) else ()
    if kinds and all(isinstance(kind, str) for kind in kinds) and len(kinds) == 1:
        return ""
    return text if field.default is PydanticUndefined or text else f"default {field.default}"


class _TrainCommand(click.Command):
    """Takes ``--network.kernel.tau`` and so on: every setting of the system that is to be trained, and of no other."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        asked = _asked_for(args)
        command = copy(self)
        own = [p for p in self.params if p.name != "engine" or "engine" in asked.model_fields]
        command.params = [*own, *_setting_options(asked)]
        return super(_TrainCommand, command).make_context(info_name, args, parent, **extra)


def _asked_for(args: Sequence[str]) -> type[Experiment]:
    """The class of the experiment that a command line asks for, as far as it can be told before it is parsed."""

    def given(name: str) -> str | None:
        apart = [b for a, b in pairwise(args) if a == name]
        return next((a.removeprefix(f"{name}=") for a in args if a.startswith(f"{name}=")), apart[0] if apart else None)

    config = given("--config")
    try:
        tree = {} if config is None else read_toml(Path(config))
        return experiment_class(tree.get("model") or given("--model") or "svpg")
    except ConfigError:  # which the command itself will say
        return experiment_class("svpg")


def _experiment(task: str, model: str | None, config: Path | None) -> Experiment:
    """The preset, with the settings of a file in place of its own."""
    if config is None:
        return preset(task, model)
    tree = read_toml(config)
    complete = tree.pop("versions", None) is not None  # a run's, perhaps an old one's
    named = tree.get("model", model)
    if tree.get("task", task) != task:
        raise ConfigError(f"{config} is for the task {tree['task']!r}, not for {task!r}")
    if model is not None and experiment_class(named) is not experiment_class(model):
        raise ConfigError(f"{config} is for the model {named!r}, not for {model!r}")
    if named is not None and (complete or not _has_presets(named)):  # all of it is in the file
        experiment = experiment_class(named).of({"task": task, "model": named, **tree})
        return experiment.as_before(tree) if complete else experiment
    if named is not None and experiment_class(named) is not type(preset(task)):
        model = named
    experiment = preset(task, model).merged(tree)
    preset(task, experiment.model)  # the model exists and has the task
    return experiment


def _changes(short: dict[str, Any], settings: dict[str, str | None]) -> dict[str, Any]:
    """Settings that were given, by dotted key, from options of their own and from those made of the settings."""
    given = {key: value for key, value in short.items() if value is not None}
    long = {name.replace("__", "."): _value(text) for name, text in settings.items() if text is not None}
    given.update(kinds_first(long))
    lengths = [f"{key} = {given[key]}" for key in ("training.episodes", "training.decisions") if key in given]
    if len(lengths) > 1:
        raise ConfigError(f"{' and '.join(lengths)}: a training is so many episodes or so many decisions, give one")
    return given


def _has_presets(model: object) -> bool:
    return any(p.model == model for p in tasks())


def _setting_options(experiment: type[Experiment]) -> list[click.Option]:
    old = old_names(experiment)
    return [
        click.Option(
            [f"--{key}", *([f"--{old[key]}"] if key in old else []), key.replace(".", "__")],
            metavar="VALUE",
            help=_help(field),
        )
        for key, field in options(experiment).items()
        if key not in _SHORT
    ]


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, allow_nan=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Spiking winner-take-all circuits in Brian2 that act and learn in a closed loop."""


@cli.command("train", cls=_TrainCommand)
@click.argument("task")
@click.option("--model", help="Published system; the default is the first that has the task.")
@click.option("--seed", type=int, help="The one seed from which everything random flows.")
@click.option("--episodes", type=int, help="Training episodes (training.episodes).")
@click.option("--engine", help="Engine (engine.name): auto, compiled, runtime or events.")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Run folder; default runs/TASK-seedN.")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with settings that replace the preset's.")
@click.option("--figures/--no-figures", default=True, help="Record an episode and draw figures at the end.")
@_recorded
@_CLUSTER
@_JSON
def train_command(
    task: str,
    model: str | None,
    seed: int | None,
    episodes: int | None,
    folder: Path | None,
    config: Path | None,
    figures: bool,
    as_json: bool,
    probes: tuple[str, ...] = (),
    record_nth: int = 1,
    record_every: str | None = None,
    engine: str | None = None,
    cluster: str | None = None,
    **settings: str | None,
) -> None:
    """Train a system on TASK (see `rwta-sim tasks`) from its preset.

    Every setting of the model can be given as an option in TOML's spelling (--training.target 15,
    --environment.kwargs '{trials = 10}', --some.time "8 ms") or in a TOML file; options win over the file.
    """
    short = {"seed": seed, "training.episodes": episodes, "engine.name": engine}
    experiment = _experiment(task, model, config).changed(_changes(short, settings))
    folder = folder or free_folder(Path("runs"), f"{experiment.task}-seed{experiment.seed}")
    with TrainingDisplay(f"{experiment.task} seed {experiment.seed}", compiles=experiment.compiles) as display:
        wanted = TrainingRecord(probes, record_every, record_nth) if probes else None
        summary = train(experiment, folder, report=display, record=wanted, cluster=cluster)
    _finish(summary, figures, as_json, trust=True)  # it was named on this command line, or by a preset


@cli.command("live", cls=_TrainCommand)
@click.argument("what", metavar="TASK|RUN")
@click.option("--model", help="Published system; the default is the first that has the task.")
@click.option("--seed", type=int, help="The one seed from which everything random flows.")
@click.option("--episodes", type=int, help="Training episodes, after which rates of learning stay at their ends.")
@click.option("--engine", help="Engine (engine.name): auto, compiled, runtime or events.")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with settings that replace the preset's.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; beyond loopback: a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0: any that is free.")
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
@click.option(
    "--recordings", type=click.Path(path_type=Path), default=Path("recordings"), show_default=True, help="Their folder."
)
@_TRUST
def live_command(
    what: str,
    model: str | None,
    seed: int | None,
    episodes: int | None,
    config: Path | None,
    host: str,
    port: int,
    browser: bool,
    recordings: Path,
    trust: bool,
    engine: str | None = None,
    **settings: str | None,
) -> None:
    """Watch TASK being learned from nothing, or a copy of what RUN learned, in the browser, and turn its dials.

    The page is for this machine alone. Settings of a task can be given as options, as for train; nothing of a run
    changes on disk.
    """
    if find_spec("tornado") is None:
        raise RwtaSimError("rwta-sim live needs Tornado: pip install 'rwta-sim[live]'")
    from rwta_sim.live.opening import show  # here, because it imports Tornado

    short = {"seed": seed, "training.episodes": episodes, "engine.name": engine}
    if (Path(what) / "config.toml").exists() or Path(what).name != what:
        given = [*_changes(short, settings), *(["model"] if model else []), *(["config"] if config else [])]
        if given:
            raise ConfigError(f"{what} is a run, which has its settings: leave {given[0]} out; its dials can be turned")
        beginning = Beginning.of_run(what, trust)
    else:
        beginning = Beginning.of_task(_experiment(what, model, config).changed(_changes(short, settings)))
    show(beginning, recordings, host, port, browser, click.echo)


@cli.command("resume")
@_RUN
@click.option("--figures/--no-figures", default=True, help="Record an episode and draw figures at the end.")
@_recorded
@_CLUSTER
@_TRUST
@_JSON
def resume_command(
    run: Path,
    figures: bool,
    probes: tuple[str, ...],
    record_nth: int,
    record_every: str | None,
    cluster: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Continue RUN from its last checkpoint, exactly as if it had not been interrupted."""
    with TrainingDisplay(f"resuming {run}", compiles=RunFolder.open(run).experiment.compiles) as display:
        wanted = TrainingRecord(probes, record_every, record_nth) if probes else None
        summary = resume(run, report=display, trust=trust, record=wanted, cluster=cluster)
    _finish(summary, figures, as_json, trust)


def _record_and_draw(run: RunFolder, trust: bool, spikes: bool = False) -> list[Path]:
    if run.experiment.dynamics_name == "spiking" or (spikes and run.experiment.dynamics_name == "rate"):
        run.save_recording(record_episode(run, trust=trust, at_least=RASTER_DECISIONS))
    return draw_figures(run)


def _finish(summary: Summary, figures: bool, as_json: bool, trust: bool) -> None:
    run = RunFolder.open(summary.run)
    drawn = _record_and_draw(run, trust) if figures and summary.finished else []
    if as_json:
        _print_json(asdict(summary))
        return
    best = "none" if summary.best_validation_return is None else f"{summary.best_validation_return:.1f}"
    speed = f" ({summary.decisions_per_second:.0f} decisions/s)" if summary.decisions_per_second else ""
    click.echo(
        f"{summary.run}: {summary.episodes} episodes, {summary.decisions} decisions, {summary.seconds:.0f} s{speed}, "
        f"best validation return {best}, {_what_ran(run.experiment, summary.engine)}"
    )
    if not summary.finished:
        click.echo(f"stopped early; continue with: {command('rwta-sim resume', summary.run)}")
    for path in drawn:
        click.echo(f"  {path}")


def _what_ran(experiment: Experiment, engine: str) -> str:
    if engine != "none":
        return f"{engine} engine"
    return "mean field" if experiment.dynamics_name == "rate" else experiment.model


@cli.command()
@_RUN
@click.option(
    "--episodes",
    type=click.IntRange(1, 1_000_000),
    help="Episodes; default 100, in a classification task 30 for each test pattern, and 400 at least.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the evaluation; default: the run's.")
@click.option("--dynamics", type=click.Choice(["spiking", "rate"]), help="Weights as spikes or as their mean field.")
@click.option("--engine", type=click.Choice(["compiled", "runtime", "events"]), help="Default: that of the training.")
@click.option("--random", is_flag=True, help="Take every action alike, in place of the network.")
@_perturbed
@_TRUST
@_JSON
def evaluate(
    run: Path,
    episodes: int | None,
    seed: int | None,
    dynamics: str | None,
    engine: str | None,
    random: bool,
    perturb_seed: int,
    trust: bool,
    as_json: bool,
    **perturbations: tuple[str, ...],
) -> None:
    """Play episodes with the best weights of RUN, without learning; as a test, with parts of the network lesioned.

    The result is read out as the run was validated: from the spikes of the action circuit, or as argmax of its firing
    probabilities. What the other read-out comes to stands beside it.
    """
    given = _given(perturbations)
    with Agent.load(RunFolder.open(run), trust, dynamics=dynamics, engine=engine) as agent:
        for name, target in given:
            agent.perturb(name, target, perturb_seed)
        greedy = agent.system.evaluates_greedily
        with agent.noting() as notes:
            played = agent.play(episodes, seed=seed, random=random)
        drawn, best = agent.system.readouts
        beside = {}
        if not random and drawn != best:
            other = agent.play(episodes, seed=seed, greedy=not greedy)
            beside[drawn if greedy else best] = evaluation_result(other)
    content: dict[str, Any] = {
        "task": agent.experiment.task,
        "engine": agent.engine_name,
        "dynamics": agent.experiment.dynamics_name,
        "policy": "random" if random else "greedy" if greedy else "as learned",
        "readout": None if random else best if greedy else drawn,
        "perturbations": [f"{name} {target}" for name, target in given],
        "seed": agent.experiment.seed if seed is None else seed,
        "episodes": len(played),
        **evaluation_result(played),
        "gamma": agent.system.gamma,
        "returns": [episode.total for episode in played],
        "other_readouts": beside,
        **vital_signs(notes.read()),
    }
    if as_json:
        _print_json(content)
        return
    who = "no network" if random else _what_ran(agent.experiment, agent.engine_name)
    click.echo(
        f"{content['task']}: mean return {_scores(content)} over {len(played)} episodes "
        f"(sd {content['sd_return']:.2f}, seed {content['seed']}, {who}"
        + (f", read out by {content['readout']}" if content["readout"] else "")
        + "".join(f", {what}" for what in content["perturbations"])
        + f"), {content['mean_decisions']:.1f} decisions an episode"
    )
    for name, scores in beside.items():
        click.echo(f"  read out by {name}: {_scores(scores)}")
    if rates := content["firing_rates"]:
        click.echo(f"  neurons fire at {rates['mean']:.3g} Hz in the mean, the fastest at {rates['highest']:.3g} Hz")
    if told := content["circuits"]:
        state = "" if told["state_bits"] is None else f", {told['state_bits']:.2f} of what is seen"
        click.echo(
            f"  the median hidden circuit tells {told['action_bits']:.2f} bits of the action{state}; its most frequent "
            f"winner wins {told['top_share']:.0%} of all decisions"
        )


def _given(perturbations: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """What is to be perturbed, name and target."""
    return [(name, target) for name, targets in perturbations.items() for target in targets]


def _scores(content: dict[str, Any]) -> str:
    """A mean return with its 95 % interval, and what else was scored."""
    more = {"accuracy": ".4f", "success": ".2f", "mean_score": ".2f"}
    return f"{content['mean_return']:.2f} +- {content['interval']:.2f}" + "".join(
        f", {name.replace('_', ' ')} {content[name]:{shape}}" for name, shape in more.items() if name in content
    )


@cli.command("sweep")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default runs/ and the name of FILE.")
@click.option(
    "--cluster",
    default="local",
    show_default=True,
    metavar="WHERE",
    help="local (a process for each core), local:N, slurm:FILE (options of its jobs), or a Dask scheduler, tcp://...",
)
@click.option("--retries", type=click.IntRange(0, 100), default=1, show_default=True, help="Of a run that fails.")
@click.option("--dry-run", is_flag=True, help="Check every point, and estimate time and disk; nothing is kept.")
@click.option("--table", is_flag=True, help="Only make the table and the figure of what there is, also while it runs.")
@_JSON
def sweep_command(
    file: Path, out: Path | None, cluster: str, retries: int, dry_run: bool, table: bool, as_json: bool
) -> None:
    """Train and evaluate every point of the sweep in FILE (TOML), on all cores or a cluster, each in a run folder.

    What is finished is skipped and what was interrupted goes on: after Ctrl-C, a crash or a power cut give the same
    command again.
    """
    asked = Sweep.read(file)
    folder = SweepFolder(out or Path("runs") / file.stem)
    points = points_of(asked)
    if asked.search is not None:
        check_search()
    if not table:
        check(points)
        check_cluster(cluster)
    if dry_run:
        _show_estimate(points, folder, asked.evaluate, cluster, as_json)
        return
    failed = 0
    if not table:
        with opened(cluster) as workers, SweepDisplay(file.stem) as display:
            if asked.search is None:
                count = sweep(points, folder, workers, asked.evaluate, retries, display)
            else:
                count = search(asked, folder, workers, retries, display)
        click.echo(count.line(), err=True)
        failed = count.failed
        if count.interrupted:
            raise _Interrupted("interrupted: the same command goes on")
    study = None if asked.search is None else study_of(asked, folder)
    gathered = sweep_table(points if study is None else study.points(), folder)
    written = save_sweep(gathered, folder, asked.metric)
    if study is not None:
        written.append(save_trials(study.rows(), folder))
    best = None if study is None else study.best()
    if as_json:
        content = {"folder": str(folder.path), "points": gathered.standings, "files": [str(f) for f in written]}
        told = None if best is None else {"value": best[0], "settings": best[1].varied}
        _print_json(content if study is None else {**content, "best": told})
    else:
        click.echo(f"{folder.path}: " + ", ".join(f"{count} {name}" for name, count in gathered.standings.items()))
        for path in written:
            click.echo(f"  {path}")
        if best is not None:
            click.echo(f"best {best[0]:.4g}: " + ", ".join(f"{key} = {value}" for key, value in best[1].varied.items()))
    if failed:
        raise click.ClickException(f"{failed} runs failed: {written[0]} says why; the same command tries them again")


def _show_estimate(
    points: Sequence[Point], folder: SweepFolder, evaluate: int | None, cluster: str, as_json: bool
) -> None:
    standings, needed = sweep_table(points, folder).standings, estimate(points, folder, evaluate)
    local, _, number = cluster.partition(":")
    workers = int(number or os.cpu_count() or 1) if local == "local" else 1
    seconds = needed.seconds / workers
    if as_json:
        content = {"points": standings, "workers": workers, "seconds": seconds}
        _print_json({**content, "bytes": round(needed.bytes), "files": round(needed.files)})
        return
    click.echo(
        f"{len(points)} points, all of them can be built: " + ", ".join(f"{n} {s}" for s, n in standings.items())
    )
    click.echo(
        f"what is left takes about {cache.readable_age(seconds)} on {workers} worker{'s' if workers > 1 else ''}, "
        f"{readable_size(needed.bytes)} and {needed.files:.0f} files in {folder.path} (longer where episodes grow as "
        "agents learn, shorter where a target ends a run)"
    )


@cli.command()
@_RUN
@click.option("--of", type=click.Choice(["circuits", "neurons"]), default="circuits", show_default=True)
@click.option("--share", "shares", type=float, multiple=True, help="Destroyed, 0 to 1; default 0 .25 .5 .75 1.")
@click.option("--draws", type=click.IntRange(1, 1000), default=3, show_default=True, help="Draws of each share.")
@click.option("--episodes", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="For each draw.")
@_TRUST
@_JSON
def lesions(
    run: Path, of: str, shares: tuple[float, ...], draws: int, episodes: int, trust: bool, as_json: bool
) -> None:
    """Destroy shares of the hidden circuits or neurons of RUN at random, evaluate what is left, and draw it."""
    opened = RunFolder.open(run)

    def say(score: LesionScore) -> None:
        if not as_json:
            click.echo(f"{score.share:.0%} of {of} destroyed (draw {score.seed}): mean return {score.mean_return:.2f}")

    more: dict[str, Any] = {"shares": sorted(set(shares))} if shares else {}
    scores = lesion_curve(opened, of, seeds=draws, episodes=episodes, trust=trust, report=say, **more)
    with Agent.load(opened, trust) as agent:
        by_chance = evaluation_result(agent.play(episodes, random=True))["mean_return"]
    path = draw_lesions(opened, scores, of, by_chance)
    if as_json:
        _print_json({"of": of, "random": by_chance, "scores": [s._asdict() for s in scores], "figure": str(path)})
        return
    click.echo(f"a random policy: mean return {by_chance:.2f}\n{path}")


def _several(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Values of an option that may be repeated, or given with commas."""
    return tuple(word for value in values for word in value.split(",") if word)


@cli.command("robustness")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--quick", is_flag=True, help="A few levels and draws of each family, for a look.")
@click.option(
    "--families", multiple=True, callback=_several, help="Perturbations, with commas; default: all there are."
)
@click.option("--levels", multiple=True, callback=_several, help="Levels, with commas, in place of the families' own.")
@click.option("--seeds", type=click.IntRange(1, 10_000), help="Draws of each level; default 10, with --quick 3.")
@click.option(
    "--episodes", type=click.IntRange(1, 1_000_000), help="Episodes of a draw; default 1, or each test pattern."
)
@click.option("--jobs", type=click.IntRange(1, 1000), help="Processes; default: one for each core.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder; default RUN/robustness, of several runs robustness."
)
@_TRUST
@_JSON
def robustness_command(
    runs: tuple[Path, ...],
    quick: bool,
    families: tuple[str, ...],
    levels: tuple[str, ...],
    seeds: int | None,
    episodes: int | None,
    jobs: int | None,
    out: Path | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Play RUN under noise, loss and change, level by level; of several, compare them in --out (default robustness).

    What is finished is kept: the same command goes on where one was interrupted.
    """
    suite = Suite(families=families, levels=_numbers(levels), seeds=seeds, episodes=episodes, quick=quick)
    tables: dict[str, list[Row]] = {}
    chosen: dict[str, Family] = {}
    for run in dict.fromkeys(runs):
        folder = out if len(runs) == 1 else None
        try:
            path, had = play_suite(run, suite, folder, jobs or os.cpu_count() or 1, trust, _Told(run))
        except KeyboardInterrupt:
            raise _Interrupted("interrupted: finished cells are kept, the same command goes on") from None
        tables[str(run)] = read_rows(path)[0]
        chosen |= had
    where = path.parent if len(tables) == 1 else out or Path("robustness")
    where.mkdir(parents=True, exist_ok=True)
    areas = save_areas(where / "areas.csv", chosen, tables)
    figures = draw_robustness(where, chosen, tables)
    if as_json:
        found = [{"run": who, "family": name, **covered._asdict()} for who, name, covered in areas]
        plain = [{k: v if v == v else None for k, v in one.items()} for one in found]
        _print_json({"folder": str(where), "areas": plain, "figures": [str(figure) for figure in figures]})
        return
    for who, name, (value, low, high) in areas:
        whose = f"{who}  " if len(tables) > 1 else ""
        click.echo(f"{whose}{name:26} mean return over its levels {value:.2f} [{low:.2f}, {high:.2f}]")
    click.echo(f"{where}: a figure for each family, areas.csv")


def _numbers(texts: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(text) for text in texts}))
    except ValueError as error:
        raise ConfigError(f"--levels: {error}; expected numbers with commas, such as 0.1,0.2") from None


class _Interrupted(click.ClickException):
    exit_code = 130


class _Told:
    """Says on stderr when a suite comes to a family."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._families: set[str] = set()

    def __call__(self, cell: Cell, done: int, of: int) -> None:
        if cell.family not in self._families:
            self._families.add(cell.family)
            click.echo(f"{self._run}: {done} of {of} cells, {cell.family}", err=True)


@cli.command()
@_RUN
@click.option("--out", type=click.Path(path_type=Path), help="Film, .gif or .mp4; default RUN/figures/watch.gif.")
@click.option("--episode", type=click.IntRange(min=0), default=0, help="Number of the evaluation episode.")
@click.option("--decisions", type=click.IntRange(min=1), default=150, show_default=True, help="Length of the film.")
@click.option("--fps", type=click.IntRange(min=1), default=25, show_default=True, help="Decisions shown per second.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the evaluation; default: the run's.")
@_perturbed
@click.option("--after", type=click.IntRange(min=0), default=0, help="Lesion and stimulate after so many decisions.")
@_TRUST
def watch(
    run: Path,
    out: Path | None,
    episode: int,
    decisions: int,
    fps: int,
    seed: int | None,
    perturb_seed: int,
    after: int,
    trust: bool,
    **perturbations: tuple[str, ...],
) -> None:
    """Film an episode of RUN: the environment beside the spikes (also of weights trained without)."""
    opened = RunFolder.open(run)
    path = out or opened.path / "figures" / "watch.gif"
    check_film(path)
    given = _given(perturbations)
    recording = record_episode(
        opened,
        seed=seed,
        episode=episode,
        frames=True,
        decisions=decisions,
        size=PICTURE_SIZE,
        trust=trust,
        perturbations=given,
        after=after,
        perturb_seed=perturb_seed,
    )
    note = ", ".join(f"{name} {target}" for name, target in given)
    click.echo(str(save_film(recording, path, decisions, fps, note=note)))


@cli.command("record")
@_RUN
@click.option("--episodes", type=click.IntRange(1, 1_000_000), default=20, show_default=True)
@click.option(
    "--probe",
    "probes",
    multiple=True,
    metavar="WHAT",
    help="spikes, hidden.u[0:8], q@decision, sh.w@episode, eligibility, ...; default spikes. --probe help lists them.",
)
@click.option("--every", metavar="TIME", help='Between samples of states ("2 ms"); default: each time step.')
@click.option("--learning", is_flag=True, help="Go on learning from the last checkpoint; nothing of the run changes.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the episodes; default: the run's.")
@click.option("--first", type=click.IntRange(min=0), help="Number of the first episode.")
@click.option("--dynamics", type=click.Choice(["spiking", "rate"]), help="Weights as spikes or as their mean field.")
@click.option("--engine", type=click.Choice(["compiled", "runtime", "events"]), help="Default: that of the training.")
@click.option("--name", help="Of the recording in RUN/recordings; default recording, recording-2, ...")
@_TRUST
@_JSON
def record_command(
    run: Path,
    episodes: int,
    probes: tuple[str, ...],
    every: str | None,
    learning: bool,
    seed: int | None,
    first: int | None,
    dynamics: str | None,
    engine: str | None,
    name: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Play episodes of RUN and stream what happens in them to RUN/recordings, whatever their length.

    Observations, actions, rewards, values, TD errors and policies are always recorded. What is on disk stays readable
    if the command is interrupted or killed.
    """
    opened = RunFolder.open(run)
    if "help" in probes:
        with Agent.load(opened, trust, dynamics=dynamics, engine=engine) as agent:
            for known, probe in agent.system.probes().items():
                unit = "" if probe.unit == "1" else f" ({probe.unit})"
                moments = ", ".join(f"@{moment}" for moment in probe.moments)
                click.echo(f"{known:22} {list(probe.shape)!s:12} {moments:20} {probe.description}{unit}")
        return
    how: dict[str, Any] = {"learning": learning, "seed": seed, "first": first, "dynamics": dynamics, "engine": engine}
    made = record(opened, episodes, probes or ("spikes",), every, name=name, trust=trust, **how)
    size = sum(file.stat().st_size for file in made.path.rglob("*") if file.is_file())
    told = {
        "recording": str(made.path),
        "episodes": len(made.episodes),
        "decisions": len(made),
        "bytes": size,
        "populations": list(made.populations),
        "probes": list(made.probes),
    }
    if as_json:
        _print_json(told)
        return
    click.echo(f"{made.path}: {len(made)} decisions of {len(made.episodes)} episodes, {readable_size(size)}")


@cli.command("export")
@_RUN
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="nwb", show_default=True)
@click.option("--name", default="recording", show_default=True, help="Of the recording in RUN/recordings.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File, or folder of tables; default: beside the recording."
)
@_JSON
def export_command(run: Path, kind: str, name: str, out: Path | None, as_json: bool) -> None:
    """Write a recording of RUN for other tools: NWB, Neo (a MAT file), or tables in CSV or Parquet."""
    recording = RunFolder.open(run).open_recording(name)
    if not recording.complete:
        click.echo(f"{recording.path} is not complete: what there is is exported", err=True)
    written = export(recording, kind, out)
    if as_json:
        _print_json({"file": str(written), "format": kind, "decisions": len(recording)})
        return
    click.echo(str(written))


@cli.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--name", help="Of the recording in RUN/recordings; default: the newest.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Page; default RUN/figures/report.html, of several runs report.html."
)
def report_command(runs: tuple[Path, ...], name: str | None, out: Path | None) -> None:
    """Write one HTML page about RUN, or about several with different seeds, that needs no network to be seen."""
    opened = [RunFolder.open(run) for run in dict.fromkeys(runs)]
    default = opened[0].file_for("figures", "report.html") if len(opened) == 1 else Path("report.html")
    click.echo(str(write_report(opened, out or default, name)))


@cli.command()
@_RUN
@_TRUST
def figures(run: Path, trust: bool) -> None:
    """Draw the figures of RUN again, from a new recording of spikes (also of weights trained without)."""
    for path in _record_and_draw(RunFolder.open(run), trust, spikes=True):
        click.echo(str(path))


@cli.command("show")
@_RUN
@_JSON
def show_command(run: Path, as_json: bool) -> None:
    """What RUN is, how far it came, and what was recorded of it."""
    opened = RunFolder.open(run)
    facts = of_run(opened)
    recordings = {name: of_recording(opened.open_recording(name)) for name in opened.recordings}
    if as_json:
        _print_json({**facts, "recordings": recordings})
        return
    for title, told in ((str(run), facts), *((f"recording {name}", what) for name, what in recordings.items())):
        click.echo(title)
        for name, what in told.items():
            click.echo(f"  {name:14}{printable(what)}")


@cli.command("tasks")
@_JSON
def tasks_command(as_json: bool) -> None:
    """List the tasks and their models."""
    if as_json:
        _print_json({"tasks": [{"task": p.task, "model": p.model, "description": p.description} for p in tasks()]})
        return
    task, model = (max(len(getattr(p, name)) for p in tasks()) for name in ("task", "model"))
    for p in tasks():
        click.echo(f"{p.task:{task}}  {p.model:{model}}  {p.description}")


@cli.group("cache", invoke_without_command=True)
@_JSON
@click.pass_context
def cache_group(context: click.Context, as_json: bool) -> None:
    """Show or clear the cache of compiled code (RWTA_SIM_CACHE chooses its folder)."""
    if context.invoked_subcommand is None:
        context.invoke(cache_show, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"write: rwta-sim cache {context.invoked_subcommand} --json")


@cache_group.command("show")
@_JSON
def cache_show(as_json: bool) -> None:
    """Folder, number, size and last use of what is cached."""
    found = cache.contents()
    if as_json:
        _print_json(asdict(found))
        return
    parts = {"compiled libraries": found.compiled, "Cython modules": found.cython, "unfinished builds": found.building}
    click.echo(f"{found.folder}: " + (readable_size(sum(part.bytes for part in parts.values()))))
    if not found.exists:
        click.echo("  empty: the folder does not exist yet, the first network that is compiled makes it")
    for name, part in parts.items():
        if found.exists:
            click.echo(f"  {name:18} {part.count:6} {readable_size(part.bytes):>12}{_ages(part)}")


def _ages(part: cache.Part) -> str:
    if part.built_first is None or part.last_used is None:
        return ""
    first, last = (cache.readable_age(time.time() - moment) for moment in (part.built_first, part.last_used))
    return f"   oldest built {first} ago, last used {last} ago"


@cache_group.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def cache_clear(yes: bool, as_json: bool) -> None:
    """Delete what is cached, but nothing that a process is building at the moment."""
    found = cache.contents()
    count = found.compiled.count + found.cython.count + found.building.count
    if count and not yes:
        _confirm(f"Delete {count} compiled things in {found.folder}? They are compiled again when they are needed.")
    cleared = cache.clear()
    if as_json:
        _print_json(asdict(cleared))
        return
    click.echo(
        f"{cleared.folder}: deleted {cleared.compiled} compiled libraries, {cleared.cython} Cython modules and "
        f"{cleared.building} abandoned builds, {readable_size(cleared.bytes)}"
    )
    for name in cleared.kept:
        click.echo(f"  kept, being built at the moment: {name}")


def _confirm(question: str) -> None:
    """Ask on stderr, so that --json stays clean; anything but yes is an error that says so."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:  # no one there to answer
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise click.ClickException("nothing was deleted: answer y, or give --yes")


def _complain(kind: str, message: object) -> None:
    click.echo(f"{kind}: " + printable(str(message), keep="\n"), err=True)


def main() -> None:
    """Entry point: errors that a user can act on are printed without a traceback, exit status 1."""
    # Objects of a network that never ran because of an error would each add a warning to that error.
    BrianLogger.suppress_name("unused_brian_object")
    warnings.showwarning = lambda message, *_: _complain("warning", message)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (RwtaSimError, ValueError, OSError) as error:
        _complain("error", error)
        sys.exit(1)
    except MemoryError as error:
        _complain(
            "error",
            f"out of memory ({one_line(error)}): make the network, decision.steps or training.replicas smaller, or use "
            "a machine with more",
        )
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: nothing after the last checkpoint was kept", err=True)
        sys.exit(130)
