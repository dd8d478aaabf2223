"""Health gathering in ViZDoom: the floor hurts, medkits heal, and all there is to go by is the view."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import check_render_mode, checked_action
from rwta_sim.envs.images import Encoding, ImageOptions, ImagePipeline

try:
    import vizdoom
except ImportError as error:
    raise ImportError("rwta_sim/DoomHealth-v0 needs ViZDoom: pip install 'rwta_sim[vizdoom]'") from error

__all__ = ["DoomHealth"]

_TICS = 4
_DECISIONS = 525
# What the floor takes at once, in points of health.
_FLOOR = 8
# Left, right, forward, left and forward, right and forward.
_ACTIONS = [[True, False, False], [False, True, False], [False, False, True], [True, False, True], [False, True, True]]
_CAMERAS = {
    (120, 160): "RES_160X120",
    (240, 320): "RES_320X240",
    (480, 640): "RES_640X480",
}
_FAILURES = (
    vizdoom.ViZDoomErrorException,
    vizdoom.ViZDoomIsNotRunningException,
    vizdoom.ViZDoomUnexpectedExitException,
    vizdoom.MessageQueueException,
    vizdoom.SharedMemoryException,
)


class DoomHealth(gym.Env[np.ndarray, np.int64]):
    """Stay alive on an acid floor by walking over medkits, for up to 525 decisions of 4 tics (60 s of Doom).

    ViZDoom's health-gathering scenarios (Kempka et al. 2016, arXiv 1605.02097): a square room ("health_gathering"), or
    a maze with poison among the medkits ("health_gathering_supreme"). Every 32 tics the floor takes 8 of 100 points.

    Actions: 0 left, 1 right, 2 forward, 3 left and forward, 4 right and forward. An episode is terminated by death and
    truncated after 525 decisions. `info` holds "survived", the decisions survived so far, "health", and "score": the
    return in the units of Sample Factory (Petrenko et al. 2020, arXiv 2006.11751), whatever is rewarded here, .01 for
    each tic survived and 1 for each decision in which health rose. The observation at death repeats the last frame: the
    dead see nothing.

    An episode depends on nothing but the seed of its reset and the actions.

    Parameters
    ----------
    scenario : str
        A scenario of ViZDoom's, or the path of a .wad file with a map01 and these buttons.
    alive : float
        Reward per decision survived.
    healed : float
        Reward of a decision in which health rose.
    death : float
        Reward of dying.
    health : float
        Reward per point of health won; lost points cost as much. 0 in the published task.
    poisoned : float
        Reward of a decision that cost more health than the floor takes. 0 in the published task.
    size, encoding, frames, motion, centre, surround, gain, threshold
        See `rwta_sim.envs.images.ImageOptions`.
    render_mode : None or "rgb_array"
        Pictures of 320 by 240 pixels of what the camera sees.

    Raises
    ------
    ValueError
        If an option is out of its range.
    FileNotFoundError
        If there is no such scenario.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 35 // _TICS}  # noqa: RUF012  (Gymnasium's own)

    def __init__(
        self,
        scenario: str = "health_gathering",
        alive: float = 1.0,
        healed: float = 10.0,
        death: float = -50.0,
        health: float = 0.0,
        poisoned: float = 0.0,
        size: tuple[int, int] = (60, 80),
        encoding: Encoding = "grey",
        frames: int = 1,
        motion: bool = False,
        centre: float = 0.8,
        surround: float = 2.4,
        gain: float = 4.0,
        threshold: float = 0.45,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        rewards = {"alive": alive, "healed": healed, "death": death, "health": health, "poisoned": poisoned}
        for name, value in rewards.items():
            if not np.isfinite(value):
                raise ValueError(f"{name} = {value}: expected a finite reward")
        self._rewards = {name: float(value) for name, value in rewards.items()}
        self._scenario = _scenario_file(scenario)
        options = ImageOptions(
            size=size,
            encoding=encoding,
            frames=frames,
            motion=motion,
            centre=centre,
            surround=surround,
            gain=gain,
            threshold=threshold,
        )
        self._camera = _camera_for(options.size)
        self._pipeline = ImagePipeline(options, self._camera)
        self.observation_space = options.space
        self.action_space = spaces.Discrete(len(_ACTIONS))
        self.render_mode = render_mode
        self._process: _Process | None = None
        self._frame: np.ndarray | None = None
        self._health = 0.0
        self._decisions = self._rises = 0
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a life, in a place and among medkits that the seed decides.

        Raises
        ------
        RuntimeError
            If ViZDoom cannot be started, or stops.
        CameraError
            If it gives no picture.
        """
        super().reset(seed=seed)
        self._playing = False
        try:
            if self._process is None:
                self._process = _Process(self._scenario, _CAMERAS[self._camera])
            # Before the episode is made, as its seed is drawn from this one.
            self._process.game.set_seed(int(self.np_random.integers(2**32)))
            self._process.game.new_episode()
            self._look()
        except _FAILURES as error:
            raise self._died("starting an episode") from error
        self._decisions, self._rises, self._playing = 0, 0, True
        return self._pipeline.reset(self._frame), self._info()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Hold the keys of `action` for 4 tics. Raises as `reset` does; after that only a reset helps."""
        index = checked_action(action, len(_ACTIONS))
        if not self._playing:
            raise ResetNeeded("no episode has begun: call reset() first")
        before = self._health
        self._playing = False
        try:
            game = self._game
            game.make_action(_ACTIONS[index], _TICS)
            dead = bool(game.is_player_dead())
            self._look(dead)
        except _FAILURES as error:
            raise self._died(f"decision {self._decisions + 1}") from error
        self._decisions += not dead
        self._rises += not dead and self._health > before
        full = self._decisions >= _DECISIONS
        self._playing = not (dead or full)
        return self._pipeline.step(self._frame), self._reward(before, dead), dead, full, self._info()

    def _reward(self, before: float, dead: bool) -> float:
        value, gained = self._rewards, self._health - before
        reward = value["death"] if dead else value["alive"]
        if not dead:
            reward += value["healed"] * (gained > 0) + value["poisoned"] * (gained < -_FLOOR)
        return reward + value["health"] * gained

    @property
    def _game(self) -> Any:
        assert self._process is not None  # as an episode has begun
        return self._process.game

    def _info(self) -> dict[str, Any]:
        score = 0.01 * _TICS * self._decisions + self._rises
        return {"survived": self._decisions, "health": self._health, "score": score}

    def _look(self, dead: bool = False) -> None:
        self._health = max(0.0, self._game.get_game_variable(vizdoom.GameVariable.HEALTH))
        if dead:
            return
        state = self._game.get_state()
        # Planes to (height, width, 3), without a copy.
        self._frame = None if state is None else np.moveaxis(state.screen_buffer, 0, 2)

    def _died(self, when: str) -> RuntimeError:
        self.close()
        return RuntimeError(f"the ViZDoom process died at {when}: killed, or out of memory? reset() starts another")

    def render(self) -> np.ndarray | None:
        """What the camera sees, shape (240, 320, 3), uint8; black before the first episode."""
        if self.render_mode is None:
            return None
        if self._frame is None:
            return np.zeros((240, 320, 3), np.uint8)
        rows, columns = (np.arange(n) * of // n for n, of in zip((240, 320), self._camera, strict=True))
        return np.ascontiguousarray(self._frame[rows][:, columns])

    def close(self) -> None:
        """End the ViZDoom process; a second call does nothing."""
        process, self._process = self._process, None
        self._playing = False
        if process is not None:
            process.close()


class _Process:
    """A ViZDoom process with a folder of its own, in which it leaves what it would leave in the user's.

    Parameters
    ----------
    scenario : Path
    resolution : str
        A name of ViZDoom's.
    """

    def __init__(self, scenario: Path, resolution: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rwta_sim_doom_")
        self.game: Any = vizdoom.DoomGame()
        game, folder = self.game, Path(self._folder.name)
        program = Path(vizdoom.__file__).parent / "vizdoom"
        alive = None
        if os.name == "posix" and program.is_file():
            launcher, alive = _launcher(program, folder)
            game.set_vizdoom_path(str(launcher))
        # Also when nobody closes it.
        self.close = weakref.finalize(self, _end, game, self._folder, alive)
        game.set_doom_config_path(str(folder / "vizdoom.ini"))
        game.set_doom_scenario_path(str(scenario))
        game.set_doom_map("map01")
        game.set_available_buttons([vizdoom.Button.TURN_LEFT, vizdoom.Button.TURN_RIGHT, vizdoom.Button.MOVE_FORWARD])
        game.set_mode(vizdoom.Mode.PLAYER)
        # No limit: it is the environment that counts, so that the last frame is there to be seen.
        game.set_episode_timeout(0)
        game.set_screen_resolution(getattr(vizdoom.ScreenResolution, resolution))
        game.set_screen_format(vizdoom.ScreenFormat.CRCGCB)
        game.set_render_hud(False)
        game.set_render_screen_flashes(False)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.init()

    @property
    def number(self) -> int | None:
        """The process's number, or None where it is not known."""
        return _number(self._folder)


def _number(folder: tempfile.TemporaryDirectory[str]) -> int | None:
    try:
        return int((Path(folder.name) / "process").read_text())
    except (OSError, ValueError):
        return None


def _end(game: Any, folder: tempfile.TemporaryDirectory[str], alive: int | None) -> None:
    """End the process and its watch, and remove its folder."""
    number = _number(folder)
    game.close()
    if alive in _ALIVE:
        _ALIVE.remove(alive)
        with suppress(OSError):
            os.write(alive, b"end\n")
        os.close(alive)
    # It goes on for some milliseconds, writing its settings.
    for _ in range(100):
        if number is None or not _runs(number):
            break
        time.sleep(0.01)
    folder.cleanup()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _launcher(program: Path, folder: Path) -> tuple[Path, int]:
    """A program that starts ViZDoom in `folder`, and what tells that this process is alive as long as it is open.

    It makes a folder in the working directory, which is the user's. Ctrl-C is for the training to hear, which ends
    after the episode; the game would stop in the middle of it. Left alone by a killed Python it would stay for ever: a
    watch ends it when the pipe that only this process writes to ends without a word. (A parent that is gone is no sign:
    the dead keep their number until somebody waits for them.)
    """
    script, pipe = folder / "vizdoom", folder / "alive"
    # It may have ended by itself, and its number be another's: so the watch looks when that one was started.
    born = 'ps -o lstart= -p "$$"'
    left = f'[ "$({born})" != "$born" ]'
    lines = [
        "#!/bin/sh",
        f"cd {shlex.quote(str(folder))} || exit 1",
        "trap '' INT",
        'echo "$$" > process',
        f"born=$({born} 2> /dev/null)",
        f"(trap '' TERM HUP; read word < alive || {left} || kill -9 \"$$\") < /dev/null > /dev/null 2>&1 &",
        f'exec {shlex.quote(str(program))} "$@"',
    ]
    script.write_text("\n".join([*lines, ""]))
    script.chmod(0o700)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # without one, a writer would wait for it
    try:
        alive = os.open(pipe, os.O_WRONLY)
    finally:
        os.close(reader)
    _ALIVE.add(alive)
    return script, alive


#: What the watches of this process's games wait for; a copy of it with a forked process would keep them waiting.
_ALIVE: set[int] = set()


def _let_go() -> None:
    for alive in _ALIVE:
        os.close(alive)
    _ALIVE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _scenario_file(scenario: str) -> Path:
    path = Path(scenario)
    if path.suffix.lower() != ".wad":
        path = Path(vizdoom.scenarios_path) / f"{scenario}.wad"
    if not path.is_file():
        raise FileNotFoundError(
            f"scenario = {scenario!r}: there is no file {path}; expected 'health_gathering', "
            "'health_gathering_supreme' or the path of a .wad file"
        )
    return path.resolve()


def _camera_for(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest picture that ViZDoom draws that has enough pixels."""
    for camera in _CAMERAS:
        if camera[0] >= size[0] and camera[1] >= size[1]:
            return camera
    raise ValueError(f"size = {size}: expected at most {max(_CAMERAS)} (height, width)")
