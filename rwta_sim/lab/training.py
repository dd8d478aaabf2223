"""Training: episodes, validation, early stop, checkpoints; interrupted at any time, resumed exactly."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from rwta_sim.circuit.wiring import WEIGHT_LIMIT, sound
from rwta_sim.errors import CheckpointError, DivergenceError, EnvironmentFailure, WorkersFailed
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.assembly import assemble
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.evaluation import draws, success_share
from rwta_sim.lab.overview import as_html
from rwta_sim.lab.record import TrainingRecord, record_training
from rwta_sim.lab.runs import Checkpoint, RunFolder, versions
from rwta_sim.lab.trust import check_modules
from rwta_sim.lab.vitals import COLLAPSED, Vitals, collapse
from rwta_sim.lab.workers import Cluster, check_cluster, opened
from rwta_sim.lab.workers.players import check_workers
from rwta_sim.loop.environments import Environments, recorded
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.player import Episode
from rwta_sim.loop.players import OnePlayer, Players
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.registry import experiment_named
from rwta_sim.loop.session import Session
from rwta_sim.loop.splits import pattern_count
from rwta_sim.seeding import Purpose

__all__ = ["Progress", "Summary", "Trainer", "resume", "train"]


#: Decisions of a validation with patterns, at the most, unless there are more patterns.
VALIDATION = 2000
#: Beyond 2**53 episode numbers and their quotients would not be exact.
_Count = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True)
class Progress:
    """What a display shows after each training episode; `agent` has the weights of the moment.

    `trained` counts the run's training decisions, and `budget` is how many there are to be; without a budget it is
    None, and training ends with episode `episodes`. `decisions` are those of this session, validations included.
    `success` is the share of a validation's episodes that reached the goal, where the environment tells; `vitals` are
    those of the hidden circuits in a validation, medians over circuits, empty where there was none.
    """

    episode: int
    episodes: int
    trained: int
    budget: int | None
    result: Episode
    validation: float | None
    success: float | None
    best_validation: float | None
    vitals: dict[str, float]
    decisions: int
    seconds: float
    agent: Agent = field(repr=False)


@dataclass(frozen=True)
class Summary:
    """What a training came to.

    `decisions` and `episodes` count all of the run, the times this session; None where it had nothing to do.
    """

    run: str
    engine: str
    decisions: int
    episodes: int
    seconds: float
    first_decision_seconds: float | None
    decisions_per_second: float | None
    best_validation_return: float | None
    finished: bool

    def _repr_html_(self) -> str:
        rounded = {
            name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in asdict(self).items()
        }
        return as_html("Summary", rounded)


class _Counters(BaseModel, strict=True, frozen=True):
    """What a checkpoint holds of a training beside arrays; whatever else it holds is left aside."""

    episode: _Count
    best_validation: FiniteFloat | None
    best_success: FiniteFloat | None = None  # of earlier versions, and where environments do not tell
    best_discounted: FiniteFloat | None = None  # of earlier versions
    streak: _Count
    validations: _Count
    decisions: _Count
    metrics_size: _Count
    metrics_sha256: str | None = None  # of earlier versions

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> _Counters:
        try:
            return cls.model_validate(checkpoint.meta)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise CheckpointError(
                f"checkpoint {checkpoint.name} is damaged: {'.'.join(map(str, wrong['loc']))} = "
                f"{wrong['input']!r:.80}: {wrong['msg']}; put it back from a copy, or train anew"
            ) from None


class Trainer:
    """Trains an agent into a run folder, from its last checkpoint or from the start.

    At the end of an episode the weights, the optimiser, the critic and a few counters are the whole state:
    the network is cleared and every episode has seeds of its own. That is what a checkpoint holds.

    Parameters
    ----------
    agent : Agent
        Not run yet.
    players : Players
        Of whom the agent's is the first.
    run : RunFolder
        Of the agent's experiment.
    report : callable, optional
        Gets a `Progress` after each episode.
    began : float, optional
        `time.perf_counter()` at the user's command, from which seconds are counted.
    stop : threading.Event, optional
        As for `train`.
    """

    def __init__(
        self,
        agent: Agent,
        players: Players,
        run: RunFolder,
        report: Callable[[Progress], None] | None = None,
        began: float | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._began = time.perf_counter() if began is None else began
        self.run_folder = run
        self.experiment = agent.experiment
        self.agent, self.system = agent, agent.system
        self.players = players
        self._report = report or (lambda progress: None)
        self._stop = threading.Event() if stop is None else stop
        self._validating = False
        self._vitals: Vitals | None = None  # of the last validation
        self.episode = 0
        self.best: float | None = None
        self._success: float | None = None  # of the last validation
        self._best_success: float | None = None
        self._discounted = 0.0  # return of the last validation
        self._best_discounted: float | None = None
        self._streak = 0
        self._validations = 0
        self._decisions_before = 0
        self._training_decisions = 0
        self._since_checkpoint = 0

    # -- checkpoints ---------------------------------------------------------------------------------

    def save(self, best: bool = False) -> None:
        """Write a checkpoint of the present state."""
        arrays = {**self.system.state(), **self.system.learning_state()}
        broken = [name for name, array in arrays.items() if not sound(array)]
        if broken:
            raise DivergenceError(f"{broken[0]} is beyond {WEIGHT_LIMIT:g} after {self.episode} episodes")
        meta = {
            "episode": self.episode,
            "best_validation": self.best,
            "best_success": self._best_success,
            "best_discounted": self._best_discounted,
            "streak": self._streak,
            "validations": self._validations,
            "decisions": self._decisions(),
            "metrics_size": self.run_folder.sync_metrics(),
            "metrics_sha256": self.run_folder.metrics_sha256,
            "signature": self.system.signature(),
            "experiment": self.experiment.fixed(),
        }
        self.run_folder.save_checkpoint(arrays, meta, best)
        self._since_checkpoint = 0

    def load(self) -> None:
        """Continue from the last checkpoint.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged, of another version, of another network or of other settings.
        RunError
            If metrics.csv is not what it was then.
        """
        checkpoint = self.run_folder.last()
        meta = _Counters.of(checkpoint)
        self.agent.load_weights(checkpoint)
        self.system.set_learning_state(checkpoint.arrays, f"checkpoint {checkpoint.name}")
        self.episode, self.best, self._best_success = meta.episode, meta.best_validation, meta.best_success
        self._best_discounted = meta.best_discounted
        self._streak, self._validations = meta.streak, meta.validations
        self._decisions_before = meta.decisions
        self.run_folder.rewind_metrics(meta.metrics_size, meta.metrics_sha256)

    def _decisions(self) -> int:
        return self._decisions_before + self._training_decisions

    def _session_decisions(self) -> int:
        """Decisions of this session, validations included."""
        return self.players.decisions

    @property
    def _first_decision(self) -> float | None:
        """Seconds from the beginning to the first decision of this session."""
        first = self.players.first_decision
        return None if first is None else first - self._began

    # -- training ------------------------------------------------------------------------------------

    @one_thread()
    def train(self) -> Summary:
        """Train until the episodes are done or the budget is used up, the target is reached or the user interrupts.

        Ctrl-C (SIGINT) ends the training after the episode in hand, with a checkpoint; a second one at once,
        without.
        """
        with self.run_folder.lock(), self._interruptible():
            try:
                self.players.run(self._session())
            except (EnvironmentFailure, WorkersFailed):
                # In a validation the checkpoint before stays the last one: from there everything happens again
                # exactly. So does it where environments begin episodes by themselves.
                if not self._validating and not self.players.whole_batches:
                    self.save()  # with what the unfinished episode taught; resuming plays it again
                raise
            return self._summarise()

    def _summarise(self) -> Summary:
        """What the training came to, also in summary.json."""
        seconds = time.perf_counter() - self._began
        first = self._first_decision
        if self._finished() and self._vitals is not None and (warning := collapse(self._vitals, COLLAPSED)):
            warnings.warn(warning, RuntimeWarning, stacklevel=3)
        summary = Summary(
            run=str(self.run_folder.path),
            engine=self.agent.engine_name,
            decisions=self._decisions(),
            episodes=self.episode,
            seconds=round(seconds, 3),
            first_decision_seconds=None if first is None else round(first, 3),
            decisions_per_second=None if first is None else round(self._session_decisions() / (seconds - first), 1),
            best_validation_return=self.best,
            finished=self._finished(),
        )
        written = self.run_folder.read_json("summary.json") or {}
        same = all(written.get(name) == getattr(summary, name) for name in ("decisions", "episodes", "finished"))
        # The resumption of a finished run leaves the times that are there, unless a kill left those of another moment.
        if first is not None or not same:
            self.run_folder.save_json(
                "summary.json", {**asdict(summary), "versions": versions(*self.experiment.libraries)}
            )
        return summary

    def _finished(self) -> bool:
        return self._progress() >= 1.0 or self._streak >= self.experiment.training.target_streak

    def _progress(self) -> float:
        """Share of the training that is done."""
        return self.experiment.training.progress(self.episode, self._decisions())

    def _session(self) -> Session[None]:
        if self.episode == 0:
            self.agent.player.calibrate(self.experiment.seed)
            self.save()
        while not self._stop.is_set() and not self._finished():
            yield from self._play_batch()
        if self._since_checkpoint:
            self.save()

    def _play_batch(self) -> Session[None]:
        """All the episodes that may be played with the same weights, and the validation after them."""
        end = self._same_weights() if self.players.side_by_side else self.episode + 1
        # What can only be repeated as a whole is not left half-done, nor saved.
        whole = self.players.whole_batches
        game = self.players.play(Purpose.TRAINING, range(self.episode, end), lambda: self._stop.is_set() and not whole)
        with closing(game):
            while True:
                numbers = self.system.anneal(self._progress())
                result = yield from game.next()
                if result is None:
                    return
                self._count(result)
                if self.episode == end or self._progress() >= 1.0:
                    break  # with a budget used up, episodes begun beside this one are left
                self._settle(result, numbers, None, hold=whole)
        validation = (yield from self._validate()) if self._validation_due() else None
        self._settle(result, numbers, validation)

    def _same_weights(self) -> int:
        """Number after that of the last episode with the present weights and before the next validation."""
        training = self.experiment.training
        ends = [self.episode // every * every + every for every in (self.system.batch, training.validate_every)]
        return min(ends if training.decisions else [*ends, training.episodes])

    def _count(self, result: Episode) -> None:
        self.episode += 1
        self._training_decisions += result.decisions
        self._since_checkpoint += 1

    def _validation_due(self) -> bool:
        return self.episode % self.experiment.training.validate_every == 0 or self._progress() >= 1.0

    def _settle(
        self, result: Episode, numbers: tuple[float, ...], validation: float | None, hold: bool = False
    ) -> None:
        """What is to be done after an episode and its validation; `hold`: not a checkpoint."""
        training, better = self.experiment.training, False
        if validation is not None:
            better = self._is_best(validation)
            if better:
                self.best, self._best_success, self._best_discounted = validation, self._success, self._discounted
            reached = training.target is not None and validation >= training.target
            self._streak = self._streak + 1 if reached else 0
        self._log(result, numbers, validation)
        due = self._since_checkpoint >= training.checkpoint_every or self._finished()
        if not hold and (better or due):
            self.save(best=better)

    def _is_best(self, validation: float) -> bool:
        """Whether the last validation is at least as good as all before.

        Where environments tell who succeeded, that comes first: who goes to and fro may earn more than who arrives.
        """
        mine, best = validation, self.best
        if self.experiment.training.best_by == "discounted_return":
            mine, best = self._discounted, self._best_discounted
        if self.best is None or best is None:  # best of a version that kept none
            return True
        return (self._success or 0.0, mine) >= (self._best_success or 0.0, best)

    def _validation_numbers(self) -> range:
        """Numbers of the episodes of the next validation."""
        patterns = pattern_count(self.agent.env, "validation")
        count = draws(patterns, VALIDATION) if patterns else self.experiment.training.validation_episodes
        return range(self._validations, self._validations + count)

    def _validate(self) -> Session[float]:
        played, numbers = [], self._validation_numbers()
        self._validating = True
        with self.players.noting() as notes:
            with closing(self.players.play(Purpose.VALIDATION, numbers)) as game:
                while (result := (yield from game.next())) is not None:
                    played.append(result)
        activity = notes.read()
        self._success = success_share(played)
        self._discounted = float(np.mean([episode.discounted for episode in played]))
        self._vitals = None if activity is None else Vitals.of(activity)
        self._validations = numbers.stop
        self._validating = False
        return float(np.mean([episode.total for episode in played]))

    def _log(self, result: Episode, numbers: tuple[float, ...], validation: float | None) -> None:
        seen, success = (None, None) if validation is None else (self._vitals, self._success)
        vitals = {} if seen is None else seen.numbers()
        self.run_folder.append_metrics(
            {
                "episode": self.episode,
                "return": result.total,
                "decisions": result.decisions,
                **{name: float(number) for name, number in result.numbers.items()},
                **dict(zip(self.system.learning_numbers, numbers, strict=True)),
                "validation_return": validation,
                "validation_success": success,
                **dict.fromkeys(self.experiment.vitals),
                **vitals,
            }
        )
        self._report(
            Progress(
                episode=self.episode,
                episodes=self.experiment.training.episodes,
                trained=self._decisions(),
                budget=self.experiment.training.decisions,
                result=result,
                validation=validation,
                success=success,
                best_validation=self.best,
                vitals=vitals,
                decisions=self._session_decisions(),
                seconds=time.perf_counter() - self._began - (self._first_decision or 0.0),
                agent=self.agent,
            )
        )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first SIGINT asks to stop after the episode, the second one is a KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.getsignal(signal.SIGINT)

        def on_sigint(number: int, frame: FrameType | None) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()

        signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def train(
    experiment: Experiment | str,
    folder: Path | str,
    env: Environments | None = None,
    report: Callable[[Progress], None] | None = None,
    record: TrainingRecord | None = None,
    stop: threading.Event | None = None,
    cluster: Cluster | str | None = None,
) -> Summary:
    """Train a new agent into a new run folder.

    Nothing is drawn: ``rwta-sim figures FOLDER`` records an episode and draws what the command line draws at the end
    of a training.

    Parameters
    ----------
    experiment : Experiment or str
        See `rwta_sim.preset`; the name of a task stands for its preset.
    folder : path
        Must not exist, or be empty.
    env : gymnasium.Env, callable or gymnasium.vector.VectorEnv, optional
        Used in place of the one that the experiment names. With ``training.replicas`` it is a function that makes one
        for each, or a vector environment with as many sub-environments, whose autoreset mode is respected (see
        `rwta_sim.loop.vector.Lockstep` for what seeds then mean). The run folder names it: what Gymnasium cannot make
        from that name has to be given again to `resume` and to `rwta_sim.Agent.load`.
    report : callable, optional
        Gets a `Progress` after each episode, and through it the agent with its weights of the moment.
    record : TrainingRecord, optional
        Stream what happens in every n-th episode to ``FOLDER/recordings/training.zarr``; nothing else changes.
    stop : threading.Event, optional
        Set from another thread, it ends the training as Ctrl-C does: after the episode in hand, with a checkpoint.
    cluster : Cluster or str, optional
        Whose workers play the episodes of each batch: what `rwta_sim.lab.workers.opened` gives, or the name of one
        (``"local:4"``, ``"slurm:FILE"``, ``"tcp://host:8786"``). The run is the same, bit for bit.

    Raises
    ------
    RwtaSimError
        With a message that says what to do; nothing saved before is lost.
    """
    began = time.perf_counter()
    experiment = experiment_named(experiment) if isinstance(experiment, str) else experiment
    RunFolder.check_free(folder)
    experiment.check_libraries()
    with _assembled(experiment, env, None if record is None else record.sampling(), cluster) as (agent, players):
        agent.system.prepare_learning()  # whatever is wrong with the experiment has shown before the folder is made
        if env is not None:
            agent.experiment = agent.experiment.model_copy(
                update={"environment": recorded(experiment.environment, agent.env)}
            )
        with RunFolder.created(folder, agent.experiment) as run, _recorded(run, agent, players, record):
            return Trainer(agent, players, run, report, began, stop).train()


@contextmanager
def _recorded(run: RunFolder, agent: Agent, players: Players, wanted: TrainingRecord | None) -> Iterator[None]:
    """Let a training in the block be recorded, if that is wanted."""
    if wanted is None:
        yield
        return
    assert isinstance(players, OnePlayer)  # as `assemble` has seen to
    players.notes = recorder = record_training(run, agent, wanted)
    complete = False
    try:
        yield
        complete = True
    finally:
        recorder.close(complete)


def resume(
    folder: Path | str,
    env: Environments | None = None,
    report: Callable[[Progress], None] | None = None,
    trust: bool = False,
    record: TrainingRecord | None = None,
    stop: threading.Event | None = None,
    cluster: Cluster | str | None = None,
) -> Summary:
    """Continue a run from its last checkpoint, exactly as if it had not been interrupted.

    Parameters and errors as for `train`, whether it was recorded before or not: what is recorded now is a recording of
    its own, ``training-2`` if there is one. `trust` as for `Agent.load`.
    """
    began = time.perf_counter()
    run = RunFolder.open(folder)
    check_modules(run.experiment, folder, trust, environment=env is None)
    with run.lock():  # refused before anything is built
        run.check_unchanged()
    run.experiment.check_libraries()
    saved, now = run.saved_versions(), versions(*run.experiment.libraries)
    changed = [f"{name} {saved[name]} -> {now.get(name)}" for name in saved if saved[name] != now.get(name)]
    if changed:
        warnings.warn(
            f"{folder} was started with other versions ({', '.join(changed)}): it goes on, but not bit for bit",
            RuntimeWarning,
            stacklevel=2,
        )
    with _assembled(run.experiment, env, None if record is None else record.sampling(), cluster) as (agent, players):
        names = run.experiment.environment
        if env is not None and (given := recorded(names, agent.env)) != names:
            warnings.warn(
                f"{folder} names the environment {names.id}, and goes on in {given.id}, as given",
                RuntimeWarning,
                stacklevel=2,
            )
        agent.system.prepare_learning()
        trainer = Trainer(agent, players, run, report, began, stop)
        # Not before: processes of environments would inherit the lock, and may outlive a killed training.
        with run.lock():
            if run.has_checkpoint:
                trainer.load()
            else:  # killed before there was anything to lose
                run.restart_metrics()
            run.tidy()
            with _recorded(run, agent, players, record):
                return trainer.train()


@contextmanager
def _assembled(
    experiment: Experiment, env: Environments | None, sampling: Sampling | None, cluster: Cluster | str | None
) -> Iterator[tuple[Agent, Players]]:
    """The agent and who play, whose environments, and workers, are closed afterwards unless they were given."""
    if cluster is not None:  # before workers are started
        check_workers(experiment, env, sampling)
    if isinstance(cluster, str):
        check_cluster(cluster, "a training on a cluster")
    with opened(cluster) if isinstance(cluster, str) else nullcontext(cluster) as workers:
        agent, players = assemble(experiment, env, sampling, workers)
        try:
            yield agent, players
        finally:
            players.close()
            agent.close()
