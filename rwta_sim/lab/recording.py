"""Recordings: every spike of an evaluation episode, with actions, rewards and, if wanted, pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.trust import check_modules
from rwta_sim.loop.environments import OneEnvironment, close_environment, obtain_environment
from rwta_sim.loop.spaces import environment_name
from rwta_sim.loop.watched import as_number

__all__ = ["record_episode"]


class _Camera(gym.Wrapper):
    """Keeps the rewards of an episode and, if wanted, a picture of each of its moments.

    Parameters
    ----------
    env : gymnasium.Env
    frames : bool
        Keep pictures.
    decisions : int, optional
        End the episode after so many.
    size : tuple of int, optional
        (height, width): see `record_episode`.
    """

    def __init__(self, env: gym.Env, frames: bool, decisions: int | None, size: tuple[int, int] | None) -> None:
        super().__init__(env)
        self.wanted, self._decisions, self._size = frames, decisions, size
        self._shape: tuple[int, ...] = ()

    def reset(self, **kwargs: Any) -> Any:
        self.rewards: list[Any] = []
        self._pictures: list[np.ndarray] = []
        result = super().reset(**kwargs)
        self._look()
        return result

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        self.rewards.append(reward)
        self._look()
        return observation, reward, terminated, truncated or len(self.rewards) == self._decisions, info

    def _look(self) -> None:
        if not self.wanted:
            return
        name, moment = environment_name(self.env), len(self.rewards)
        try:
            given = self.env.render()
        except Exception as error:
            raise EnvironmentFailure(f"{name}: render() after {moment} steps raised {error!r}") from error
        try:
            picture = _as_picture(given)
            if self._pictures and picture.shape != self._shape:
                raise ValueError(f"pictures of {self._shape} before, expected the same of all")
        except (TypeError, ValueError) as error:
            raise EnvironmentFailure(f"{name}: render() after {moment} steps gave {shown(given)}: {error}") from error
        self._shape = picture.shape
        self._pictures.append(_smaller(picture, self._size))

    def frames(self) -> np.ndarray:
        """The pictures, shape (moments, height, width, 3), which are given away: never twice in memory."""
        pictures = self._pictures
        frames = np.empty((len(pictures), *pictures[0].shape), dtype=np.uint8)
        for i in reversed(range(len(pictures))):
            frames[i] = pictures.pop()
        return frames


def _as_picture(given: Any) -> np.ndarray:
    """A picture as red, green and blue, shape (height, width, 3), uint8, whose memory is nobody else's.

    Raises
    ------
    ValueError
        If it is none: with one to four channels, of whole numbers in [0, 255], or other numbers in [0, 1].
    """
    picture = np.asarray(given)
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size or picture.dtype.kind not in "biuf":
        raise ValueError("expected a picture: an array of shape (height, width, 3) and of whole numbers up to 255")
    if picture.dtype != np.uint8:
        most = 255 if picture.dtype.kind in "iu" else 1
        if not (picture.min() >= 0 and picture.max() <= most):  # also NaN
            raise ValueError(f"numbers from {picture.min()} to {picture.max()}, expected from 0 to {most}")
        picture = np.round(picture * (255.0 / most)).astype(np.uint8)
    return np.array(np.broadcast_to(picture[..., :3], (*picture.shape[:2], 3)))


def _smaller(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Means over squares of pixels, of the largest side that leaves no less than what fits into `size`."""
    (height, width), (h, w) = picture.shape[:2], size or picture.shape[:2]
    n = max(height // h, width // w)
    if n <= 1:
        return picture
    rows, columns = max(1, height // n), max(1, width // n)
    squares = picture[: rows * n, : columns * n].reshape(rows, min(n, height), columns, min(n, width), 3)
    return np.round(squares.mean(axis=(1, 3))).astype(np.uint8)


@one_thread()
def record_episode(
    run: RunFolder,
    seed: int | None = None,
    episode: int = 0,
    frames: bool = False,
    env: OneEnvironment | None = None,
    greedy: bool | None = None,
    decisions: int | None = None,
    size: tuple[int, int] | None = None,
    trust: bool = False,
) -> dict[str, np.ndarray]:
    """Play one evaluation episode of a run's best weights, as spikes whatever they were trained as, and record it.

    Parameters
    ----------
    run : RunFolder
    seed, episode
        As for `Agent.play`; the same episode as there.
    frames : bool
        Also render a picture per decision.
    env : gymnasium.Env or callable, optional
        Used in place of the one that the experiment names, as by `Agent`; must render "rgb_array" if `frames`.
    greedy : bool, optional
        argmax of q, or what the spikes say. Default: what the system is evaluated by.
    decisions : int, optional
        End the recording after so many decisions; default: with the episode.
    size : tuple of int, optional
        (height, width): keep larger frames smaller, by a whole number, but no smaller than what fits into this.
    trust : bool
        As for `Agent.load`.

    Returns
    -------
    dict of ndarray
        ``input_i``, ``input_t``, ``neuron_i``, ``neuron_t``: spikes (indices; times in seconds). ``actions``,
        ``rewards``: per decision. ``starts``: first neuron of each circuit, and the end. ``dt``,
        ``decision_time`` (seconds), ``n_inputs``, the inputs that spike: 0 where they are currents.
        ``frames``: shape (decisions + 1, height, width, 3), uint8.

    Raises
    ------
    EnvironmentFailure
        If `frames` are wanted of an environment that cannot render, or whose pictures are none.
    RunError
        As for `Agent.load`.
    """
    check_modules(run.experiment, run.path, trust, environment=env is None)
    extra = {"render_mode": "rgb_array"} if frames else {}
    playing = obtain_environment(run.experiment.environment, env, **extra)
    try:
        if frames and playing.render_mode != "rgb_array":
            raise EnvironmentFailure(
                f"{environment_name(playing)}: render_mode is {playing.render_mode!r}, a film needs 'rgb_array'"
            )
        camera = _Camera(playing, frames, decisions, size)
        return _record(
            Agent.load(run, trust, env=camera, record=True, dynamics=_spikes(run)), camera, seed, episode, greedy
        )
    finally:
        if playing is not env:
            close_environment(playing)


def _record(
    agent: Agent, camera: _Camera, seed: int | None, episode: int, greedy: bool | None
) -> dict[str, np.ndarray]:
    result = agent.play(1, seed=seed, first=episode, greedy=greedy)[0]
    recording = {
        **agent.system.recorded(),
        "actions": np.array(result.actions),
        "rewards": np.array([as_number(reward) for reward in camera.rewards]),
    }
    if camera.wanted:
        recording["frames"] = camera.frames()
    return recording


def _spikes(run: RunFolder) -> str | None:
    """The dynamics in which a run's system spikes, if it has several."""
    return None if run.experiment.dynamics_name == "none" else "spiking"
