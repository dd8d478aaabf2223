"""Recording episodes of a run: played with its best weights, or with learning that goes on, in memory alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from brian2 import Quantity
from pydantic import ConfigDict, TypeAdapter, ValidationError

from rwta_sim.errors import ConfigError, RunError, RwtaSimError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.lab.config import to_toml
from rwta_sim.lab.recorder import Recorder
from rwta_sim.lab.recordings import FORMAT, VERSION, Recording
from rwta_sim.lab.runs import RunFolder, versions
from rwta_sim.lab.trust import check_modules
from rwta_sim.loop.environments import OneEnvironment, close_environment, obtain_environment
from rwta_sim.loop.players import play_one
from rwta_sim.loop.probes import Chosen, Sampling, choose
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.seeding import Purpose
from rwta_sim.settings import Time

__all__ = ["TrainingRecord", "described", "free_recording", "load_learning", "record", "record_training"]


class TrainingRecord(NamedTuple):
    """What is to be recorded of a training.

    Attributes
    ----------
    probes, every
        As for `record`.
    nth : int
        Of which episodes: every so many, from the first on.
    """

    probes: Sequence[str] = ("spikes",)
    every: Quantity | str | None = None
    nth: int = 1

    def sampling(self) -> Sampling:
        """For the system; raises ConfigError if it cannot be."""
        if self.nth < 1:
            raise ConfigError(f"nth = {self.nth}: expected a number of episodes, from 1 on")
        return Sampling(tuple(self.probes), None if self.every is None else _time(self.every))


def record_training(run: RunFolder, agent: Agent, wanted: TrainingRecord) -> Recorder:
    """Who takes notes of a training, for `OnePlayer`; the recording is ``training``, or ``training-2``, ..."""
    period = wanted.sampling().every
    chosen = choose(wanted.probes, agent.system.probes())
    meta = described(run.path.name, agent, "none", chosen, period, learning=True)
    agent.system.hear(True)
    folder = free_recording(run.file_for("recordings", ""), "training")
    return Recorder(agent.system, agent.env, folder, chosen, meta, True, nth=wanted.nth)


@one_thread()
def record(
    run: RunFolder | Path | str,
    episodes: int = 20,
    probes: Sequence[str] = ("spikes",),
    every: Quantity | str | None = None,
    learning: bool = False,
    seed: int | None = None,
    first: int | None = None,
    greedy: bool | None = None,
    engine: str | None = None,
    dynamics: str | None = None,
    name: str | None = None,
    trust: bool = False,
    env: OneEnvironment | None = None,
) -> Recording:
    """Play episodes of a run and stream what happens in them to ``RUN/recordings/NAME.zarr``.

    Observations, actions, rewards, values, TD errors, policies and what the system logs are always recorded. A second
    after it happened it is on disk, and stays readable if this process is killed; memory does not grow with length.

    Parameters
    ----------
    run : RunFolder or path
    episodes : int
    probes : sequence of str
        What else: ``"spikes"``, ``"hidden.u[0:8]"``, ``"sh.w@decision"`` …; see `System.probes`.
    every : Quantity or str, optional
        Time between samples of states, such as ``2*ms`` or ``"2 ms"``; default: each time step.
    learning : bool
        Go on learning from the last checkpoint, as the training would (one episode at a time), in memory alone; else
        play evaluation episodes with the best weights.
    seed, first : int, optional
        Seed and first number of the episodes; default: the run's, and 0 or the next one to learn from.
    greedy : bool, optional
        Best actions; default: as the system is evaluated, or as it learns.
    engine, dynamics : str, optional
        In place of the run's.
    name : str, optional
        Of the recording; default: recording, recording-2, ...
    trust, env
        As for `Agent.load`.

    Returns
    -------
    Recording

    Raises
    ------
    ConfigError
        If there is no such probe, or `every` does not fit into a decision.
    RunError
        If the recording exists, or cannot be written; what was written before is readable.
    """
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    period = None if every is None else _time(every)
    if episodes < 1:
        raise ValueError(f"episodes = {episodes}: expected at least 1")
    check_modules(run.experiment, run.path, trust, environment=env is None)
    folder = _folder(run, name)
    checkpoint = run.last() if learning else run.best()
    playing = obtain_environment(run.experiment.environment, env)
    try:
        agent = Agent(
            run.experiment,
            playing,
            dynamics=dynamics,
            engine=engine,
            trains=learning,
            sampling=Sampling(tuple(probes), period),
        )
        agent.load_weights(checkpoint)
        critic = load_learning(agent, checkpoint, learning)
        chosen = choose(probes, agent.system.probes())
        meta = described(run.path.name, agent, checkpoint.name, chosen, period, learning)
        recorder = Recorder(agent.system, playing, folder, chosen, meta, learning, critic)
        start = first if first is not None else _next_episode(checkpoint) if learning else 0
        _play(agent, recorder, range(start, start + episodes), seed, greedy, learning)
        return Recording.open(folder)
    finally:
        if playing is not env:
            close_environment(playing)


def _time(every: Quantity | str) -> float:
    """A time in seconds; raises ConfigError if it is none."""
    try:
        return float(TypeAdapter(Time, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(every))
    except ValidationError as error:
        raise ConfigError(f"every = {every!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _folder(run: RunFolder, name: str | None) -> Path:
    if name is None:
        return free_recording(run.file_for("recordings", ""), "recording")
    if not name or name != Path(name).name or name.startswith("."):
        raise ConfigError(f"name = {name!r}: expected the name of a file, such as 'lesioned'")
    folder = run.file_for("recordings", f"{name}.zarr")
    if folder.exists():
        raise RunError(f"{folder} exists already: choose another name, or delete it")
    return folder


def free_recording(folder: Path, stem: str) -> Path:
    """Where there is no recording yet: ``stem.zarr`` in the folder, or ``stem-2.zarr``, ..."""
    number = 1
    while (free := folder / f"{stem}{f'-{number}' if number > 1 else ''}.zarr").exists():
        number += 1
    return free


def load_learning(agent: Agent, checkpoint: Checkpoint, learning: bool) -> bool:
    """Make what learns, with the state it had; whether there is a critic to be asked.

    Raises
    ------
    RwtaSimError
        If it cannot be made, and is to learn.
    """
    try:
        agent.system.prepare_learning()
        agent.system.set_learning_state(checkpoint.arrays, f"checkpoint {checkpoint.name}")
    except RwtaSimError:
        if learning:
            raise
        return False  # its package is not installed: values are NaN
    return True


def _next_episode(checkpoint: Checkpoint) -> int:
    episode = checkpoint.meta.get("episode")
    return episode if isinstance(episode, int) and episode >= 0 else 0


def _play(
    agent: Agent, recorder: Recorder, numbers: range, seed: int | None, greedy: bool | None, learning: bool
) -> None:
    purpose = Purpose.TRAINING if learning else Purpose.EVALUATION
    seed = agent.experiment.seed if seed is None else seed
    how: dict[str, Any] = {"keep": recorder.see, **({} if greedy is None else {"greedy": greedy})}
    if learning:
        agent.system.hear(True)

    def session() -> Session[None]:
        for number in numbers:
            if learning:
                agent.system.anneal(agent.experiment.training.progress(number, 0))
            recorder.began(number)
            yield from play_one(agent.player, seed, purpose, number, recorder, **how)

    complete = False
    try:
        agent.run(session())
        complete = True
    finally:
        recorder.close(complete)


def described(
    run: str,
    agent: Agent,
    checkpoint: str,
    chosen: Sequence[Chosen],
    period: float | None,
    learning: bool,
) -> dict[str, Any]:
    """What a recording says of itself: attributes of its folder.

    Parameters
    ----------
    run : str
        Name of the run.
    agent : Agent
    checkpoint : str
        Name of the weights that it began with.
    chosen : sequence of Chosen
        What is recorded.
    period : float or None
        Seconds between samples.
    learning : bool
    """
    experiment, system = agent.experiment, agent.system
    dt, length = system.timing
    samples = round(length / (period or dt)) if dt else 0
    return {
        "format": FORMAT,
        "version": VERSION,
        "task": experiment.task,
        "model": experiment.model,
        "seed": experiment.seed,
        "engine": agent.engine_name,
        "dynamics": experiment.dynamics_name,
        "learning": learning,
        "checkpoint": checkpoint,
        "run": run,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "dt": dt,
        "decision_time": length,
        "gamma": system.gamma,
        "n_actions": Spaces.of(agent.env).n_actions,
        "populations": {name: [p.group, p.start, p.stop, list(p.circuits)] for name, p in system.populations().items()},
        "fan_out": {name: counts.tolist() for name, counts in system.fan_out().items()},
        "probes": [_probe(one, samples) for one in chosen],
        "versions": versions(*experiment.libraries),
        "experiment": json.loads(json.dumps(experiment.model_dump(mode="json"))),
        "configuration": to_toml(experiment),
    }


def _probe(one: Chosen, samples: int) -> dict[str, Any]:
    part = one.part
    return {
        "name": one.name,
        "moment": one.moment,
        "unit": one.probe.unit,
        "description": one.probe.description,
        "of": list(one.probe.shape),
        "part": [part.start, part.stop, part.step],
        "samples": samples if one.moment == "step" else 1,
    }
