"""`Simulation`: an agent that plays and learns in a thread of its own, and does what pages ask of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rwta_sim.errors import ConfigError, RwtaSimError, nearest, one_line, shown
from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.board import Board
from rwta_sim.live.cast import Cast
from rwta_sim.live.commands import Command, command_of
from rwta_sim.live.description import description
from rwta_sim.live.injuries import Injuries
from rwta_sim.live.tape import recorder_of
from rwta_sim.live.witness import Witness
from rwta_sim.loop.dials import Dial
from rwta_sim.loop.players import play_one
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.seeding import Purpose

__all__ = ["Simulation"]

#: Seconds that `close` waits for a thread that compiles.
_PATIENCE = 10.0


class Simulation:
    """Plays episode after episode while somebody watches.

    All that changes it is done in its own thread between two decisions: `send` only puts it in a queue. What cannot be
    done there waits for the end of the episode, which it brings about.

    Parameters
    ----------
    beginning : Beginning
    recordings : Path
        Folder of recordings.

    Attributes
    ----------
    board : Board
        What pages show.
    experiment : Experiment
        With all dials as they are.
    broken : RwtaSimError or None
        Why it never began: `on_broken` is called then, in its thread.
    """

    def __init__(self, beginning: Beginning, recordings: Path) -> None:
        self.board = Board()
        self.experiment = beginning.experiment
        self.broken: RwtaSimError | None = None
        self.on_broken: Callable[[], None] = lambda: None
        self._beginning, self._recordings = beginning, recordings
        self._thread = threading.Thread(target=self._work, name="simulation", daemon=True)
        self._wake = threading.Condition()
        self._commands: deque[Command] = deque()
        self._pages = 0
        self._stop = self._rebuild = self._paused = False
        #: What waits for the end of the session.
        self._between: list[Callable[[], None]] = []
        self._steps, self._due = 0, 0.0
        self._pace: float | None = None
        self._sign, self._learns = 1, beginning.learns
        self._n_actions = 0
        self._standing = ""  # what the board was told of how things stand
        self._built = threading.Event()
        self._carry = True  # to the next network, what this one learned
        self._cast: Cast
        self._witness: Witness
        self._carried: Checkpoint | None = beginning.checkpoint
        self._before = self.experiment  # which could be built
        self._start_anew()

    def _start_anew(self) -> None:
        self._episodes = dict.fromkeys((Purpose.TRAINING, Purpose.EVALUATION), 0)
        self._trained = 0  # decisions
        self._injuries = Injuries()

    # -- from other threads --------------------------------------------------------------------------

    def start(self) -> None:
        """Build and play, in a thread."""
        self._thread.start()

    def close(self) -> bool:
        """End, with the recording complete; whether it has ended in ten seconds."""
        with self._wake:
            self._stop = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
        return not self._thread.is_alive()

    def pages(self, change: int) -> None:
        """A page came (1) or went (-1): while there is none, the simulation waits."""
        with self._wake:
            self._pages += change
            self._wake.notify_all()

    def send(self, tree: object) -> None:
        """Let a command be obeyed.

        Raises
        ------
        ConfigError
            If it is none, or cannot be done; then nothing changes.
        """
        command = command_of(tree)
        if not self._built.is_set():
            raise ConfigError(f"{command.do}: the network is still being built, wait until it plays")
        command.check(self)
        with self._wake:
            self._commands.append(command)
            self._wake.notify_all()

    def check_dial(self, key: str, value: float | str) -> None:
        """Raise ConfigError if there is no such dial, or it cannot be turned to that value."""
        self._changed(key, value)

    def check_action(self, action: int | None) -> None:
        """Raise ConfigError if there is no such action."""
        if action is not None and not action < self._n_actions:
            raise ConfigError(f"action = {action}: expected one from 0 to {self._n_actions - 1}")

    # -- commands ------------------------------------------------------------------------------------

    def pause(self, on: bool) -> None:
        self._paused, self._steps = on, 0
        self._hurry()

    def step(self) -> None:
        self._paused, self._steps = True, self._steps + 1
        self._hurry()

    def _hurry(self) -> None:
        """Let the witness know whether there is time to look at everything."""
        self._witness.unhurried = self._paused or self._pace is not None

    def pace(self, value: float | None) -> None:
        self._pace, self._due = value, 0.0
        self._hurry()
        self.board.state(pace=value)

    def sign(self, value: int) -> None:
        self._sign = value
        self._cast.stage.sign = value
        self.board.state(sign=value)

    def act(self, action: int | None) -> None:
        self._cast.stage.hand = action
        self.board.state(hand=action)

    def watch_synapse(self, block: str, pre: int, post: int) -> None:
        self._cast.agent.system.synapse(block, pre, post)
        self._witness.synapse = block, pre, post
        self.board.state(synapse=self._witness.synapse)

    def check_learning(self, on: bool) -> None:
        """Raise ConfigError if it is to learn, and cannot."""
        if on and self._cast.unlearned is not None:
            raise ConfigError(f"it cannot learn: {self._cast.unlearned}")
        if on and (under := self._injuries.passing):
            raise ConfigError(f"it cannot learn under {', '.join(under)}: heal it first")

    def learn(self, on: bool) -> None:
        self._learns = on
        self._between.append(lambda: self.board.state(learning=on))

    def turn(self, key: str, value: float | str) -> None:
        """Turn a dial: at once where the system can, else with a new network that has the same weights."""
        experiment, dial = self._changed(key, value), self._dial(key)
        self.experiment = experiment
        told = f"{dial.label} = {value if isinstance(value, str) else f'{value:.4g}'} {dial.unit}".rstrip()
        system = self._cast.agent.system
        if key in system.turns and isinstance(value, int | float) and not self._cast.unlearned:
            system.turn(key, value)
            self._before = experiment
            self.board.state(dials=self._dials())
            self.board.say(f"{told}, at once")
            return
        self._build_again(f"{told}: a new network is built, with the weights of this one; the episode was cut short")

    def perturb(self, name: str, target: str) -> None:
        system = self._cast.agent.system
        if name not in system.perturbations():
            raise ConfigError(f"perturbation {name!r}: {nearest(name, system.perturbations())}")
        if system.at_any_time(name):
            self._perturb(name, target)
        else:
            self._between.append(lambda: self._perturb(name, target))

    def _perturb(self, name: str, target: str) -> None:
        self._injuries.perturb(self._cast, name, target)
        self.board.say(f"{name} {target}: done")
        if self._injuries.passing and self._learns:
            self._learns = False
            self.board.say(f"it does not learn under {name}: learning is off until it is healed and switched on")
        self.board.state(perturbed=list(self._injuries.done), learning=self._learns)

    def heal(self) -> None:
        self._injuries.check()
        self._between.append(self._heal)

    def _heal(self) -> None:
        self._injuries.heal(self._cast)
        self.board.state(perturbed=[])
        self.board.say("healed: the weights of before; what was learned since is forgotten")

    def reset(self) -> None:
        self._carried = self._beginning.checkpoint
        self._start_anew()
        self.board.forget()
        self._build_again("from the start again, with the dials as they are")
        self._carry = False

    def record(self, on: bool) -> None:
        if on == (self._witness.recorder is not None):
            return
        self._between.append(self._begin_recording if on else self._end_recording)

    # -- recordings ----------------------------------------------------------------------------------

    def _begin_recording(self) -> None:
        recorder = recorder_of(self._cast, self._beginning, self._learns, self._recordings)
        self._witness.recorder, self._cast.tap.recorded = recorder, True
        self.board.state(recording=str(recorder.folder))
        self.board.say(f"recording into {recorder.folder}")

    def _end_recording(self, complete: bool = True) -> None:
        recorder, self._witness.recorder = self._witness.recorder, None
        if recorder is None:
            return
        recorder.close(complete)
        self._cast.tap.recorded = False
        self.board.state(recording=None)
        episodes = f"{recorder.episodes} episode{'s' if recorder.episodes != 1 else ''}"
        self.board.say(f"recorded: {recorder.decisions} decisions of {episodes} in {recorder.folder}")

    # -- dials ---------------------------------------------------------------------------------------

    def _dial(self, key: str) -> Dial:
        dials = {dial.key: dial for dial in self.experiment.dials()}
        if key not in dials:
            raise ConfigError(f"dial {shown(key)}: {nearest(key, dials) if dials else 'this system declares none'}")
        return dials[key]

    def _changed(self, key: str, value: float | str) -> Any:
        return self.experiment.changed({key: self._dial(key).setting(value)})

    def _dials(self) -> dict[str, float | str]:
        return {dial.key: dial.value for dial in self.experiment.dials()}

    # -- the thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop:
            self._rebuild, self._carry = False, True
            self._stand("building", "the network is built, and compiled if it has to be")
            try:
                self._live()
            except RwtaSimError as error:
                self._failed(error)
            except Exception as error:  # of anybody's environment or system: the page says so, and can reset
                self._failed(RwtaSimError(f"{type(error).__name__}: {one_line(error)}"))

    def _failed(self, error: RwtaSimError) -> None:
        """Go back by the dial that did it, or wait for a reset; end where nothing ever began."""
        why = str(error)
        if self._stop:  # Ctrl-C ended a compiler, too
            return
        if not self._built.is_set():
            self.broken, self._stop = error, True
            self.on_broken()
            return
        if self.experiment != self._before:
            self.board.say(f"{why} - the dial is where it was", "refused")
            self.experiment = self._before
            return
        self._stand("failed", why)
        self.board.say(why, "refused")
        while not (self._stop or self._rebuild):
            with self._wake:
                while not (self._commands or self._stop):
                    self._wake.wait()
            self._obey(only="reset")

    def _live(self) -> None:
        """Build, and play until another network is needed."""
        with Cast.of(self.experiment, self._carried, self._learns) as cast:
            self._cast, self._witness = cast, Witness(cast, self.board, self._gate)
            cast.stage.sign = self._sign
            self._hurry()
            self._n_actions = Spaces.of(cast.stage).n_actions
            self._before = self.experiment
            if gone := self._injuries.moved():
                self.board.say(f"gone with the old network: {', '.join(gone)}")
            self.board.describe(description(cast, self.experiment, self._beginning, self._recordings))
            self.board.state(**self._switches())
            self._built.set()
            try:
                while not (self._stop or self._rebuild):
                    self._do_what_waits()
                    cast.agent.run(self._session(cast))
            except BaseException:
                self._end_recording(complete=False)
                raise
            self._end_recording()
            if self._carry:
                self._carried = cast.state()

    def _switches(self) -> dict[str, Any]:
        """All that a page shows as switched on or off."""
        return {
            "learning": self._learns,
            "sign": self._sign,
            "pace": self._pace,
            "hand": None,
            "recording": None,
            "dials": self._dials(),
            "perturbed": list(self._injuries.done),
            "synapse": self._witness.synapse,
        }

    def _do_what_waits(self) -> None:
        self._witness.show_last()  # before another network may act
        waiting, self._between = self._between, []
        for task in waiting:
            self._try(task)

    @property
    def _interrupted(self) -> bool:
        return bool(self._stop or self._rebuild or self._between)

    def _session(self, cast: Cast) -> Session[None]:
        while not self._interrupted:
            learns = self._learns
            purpose = Purpose.TRAINING if learns else Purpose.EVALUATION
            number, seed = self._episodes[purpose], self.experiment.seed
            if learns:
                training = self.experiment.training
                cast.agent.system.anneal(training.progress(number, self._trained))
            self._witness.learns = learns
            self._witness.began(number)
            if self._witness.recorder is not None:
                self._witness.recorder.began(number)
            episode = yield from play_one(
                cast.agent.player, seed, purpose, number, self._witness, keep=self._witness.see
            )
            self._episodes[purpose] += 1
            self._trained += episode.decisions if learns else 0
            if not cast.stage.cut:
                self.board.ended({"number": number, "total": episode.total, "learned": learns})

    # -- between two decisions -----------------------------------------------------------------------

    def _gate(self) -> None:
        """Obey commands, and wait as long as nothing is to go on."""
        while True:
            self._obey()
            if self._interrupted:
                self._cast.stage.cut = True
                break
            if self._steps:
                self._steps -= 1
                break
            now = time.monotonic()
            held = "paused" if self._paused else "nobody" if not self._pages else None
            if held is None:
                self._stand("running")
                if now >= self._due:
                    break
            if held is not None:
                self._witness.show_last()
                self._stand(held)
            with self._wake:
                if not (self._commands or self._stop):
                    self._wake.wait(None if held else self._due - now)
        if self._pace is not None:
            self._due = max(self._due, time.monotonic() - 1 / self._pace) + 1 / self._pace

    def _stand(self, state: str, why: str | None = None) -> None:
        if state != self._standing:
            self._standing = state
            self.board.state(state=state, why=why)

    def _obey(self, only: str = "") -> None:
        while self._commands:
            command = self._commands.popleft()
            if only and command.do != only:
                continue
            self._try(lambda: command.obey(self))  # noqa: B023  (done before the next one)

    def _try(self, task: Callable[[], None]) -> None:
        try:
            task()
        except (RwtaSimError, ValueError) as error:
            self.board.say(one_line(error), "refused")

    def _build_again(self, why: str) -> None:
        self._rebuild = True
        self.board.say(why)
