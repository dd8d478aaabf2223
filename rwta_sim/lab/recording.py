"""Recordings: every spike of an evaluation episode, with actions, rewards and, if wanted, pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.pictures import as_picture, smaller
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.trust import check_modules
from rwta_sim.loop.environments import OneEnvironment, close_environment, obtain_environment
from rwta_sim.loop.player import Episode
from rwta_sim.loop.spaces import environment_name

__all__ = ["record_episode"]


#: Numbers that an observation may have to be kept.
_MOST_NUMBERS = 64


class _Camera(gym.Wrapper):
    """Keeps what is seen in an episode, and pictures if wanted; ends it early, and calls when a moment has come.

    Parameters
    ----------
    env : gymnasium.Env
    frames : bool
        Keep pictures.
    decisions : int, optional
        End the episode after so many.
    size : tuple of int, optional
        (height, width): see `record_episode`.

    Attributes
    ----------
    calls : dict of int to callable
        What is to be called after so many decisions.
    seen : list of ndarray
        What was seen before each decision of all episodes, where it is 64 numbers at most.
    """

    def __init__(self, env: gym.Env, frames: bool, decisions: int | None, size: tuple[int, int] | None) -> None:
        super().__init__(env)
        self.wanted, self._decisions, self._size = frames, decisions, size
        self._shape: tuple[int, ...] = ()
        self.calls: dict[int, Callable[[], None]] = {}
        self.seen: list[np.ndarray] = []

    def reset(self, **kwargs: Any) -> Any:
        self._moment = 0
        self._pictures: list[np.ndarray] = []
        result = super().reset(**kwargs)
        self._look()
        self._next = result[0]
        return result

    def step(self, action: Any) -> Any:
        before = np.asarray(self._next)
        if before.dtype.kind in "biuf" and before.size <= _MOST_NUMBERS:
            self.seen.append(before.copy())
        self._next, reward, terminated, truncated, info = super().step(action)
        self._moment += 1
        self._look()
        self.calls.get(self._moment, lambda: None)()
        return self._next, reward, terminated, truncated or self._moment == self._decisions, info

    def _look(self) -> None:
        if not self.wanted:
            return
        name, moment = environment_name(self.env), self._moment
        try:
            given = self.env.render()
        except Exception as error:
            raise EnvironmentFailure(f"{name}: render() after {moment} steps raised {error!r}") from error
        try:
            picture = as_picture(given)
            if self._pictures and picture.shape != self._shape:
                raise ValueError(f"pictures of {self._shape} before, expected the same of all")
        except (TypeError, ValueError) as error:
            raise EnvironmentFailure(f"{name}: render() after {moment} steps gave {shown(given)}: {error}") from error
        self._shape = picture.shape
        self._pictures.append(smaller(picture, self._size))

    def frames(self) -> np.ndarray:
        """The pictures, shape (moments, height, width, 3), which are given away: never twice in memory."""
        pictures = self._pictures
        frames = np.empty((len(pictures), *pictures[0].shape), dtype=np.uint8)
        for i in reversed(range(len(pictures))):
            frames[i] = pictures.pop()
        return frames


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
    at_least: int = 0,
    perturbations: Sequence[tuple[str, str]] = (),
    after: int = 0,
    perturb_seed: int = 0,
) -> dict[str, np.ndarray]:
    """Play an evaluation episode of a run's best weights, as spikes whatever they were trained as, and record it.

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
    at_least : int
        Go on with further episodes until there are so many decisions, each whole: several patterns where an episode is
        one decision. Not with `frames`.
    perturbations : sequence of (str, str)
        Names and targets for `Agent.perturb`, such as ``("lesion", "ha")``.
    after : int
        Decisions of the (first) episode after which they are done; 0: from the beginning.
    perturb_seed : int
        Their seed.

    Returns
    -------
    dict of ndarray
        ``input_i``, ``input_t``, ``neuron_i``, ``neuron_t``: spikes (indices; times in seconds). ``actions``,
        ``rewards``: per decision. ``observations``: what was seen before each, shape (decisions, ...), where it is
        64 numbers at most. ``ends``: decisions after which an episode ended. ``perturbed``: after how many decisions
        perturbations came, if there were any, and so many decisions. ``starts``: first neuron of each circuit, and the
        end. ``action_of``: the action that each neuron of the last circuit speaks for, where these are not the actions
        in order. ``dt``, ``decision_time`` (seconds), ``n_inputs``, the inputs that spike: 0 where they are currents.
        ``frames``: shape (decisions + 1, height, width, 3), uint8.

    Raises
    ------
    ValueError
        If several episodes are asked for with frames, or `after` is negative.
    ConfigError
        As for `Agent.perturb`.
    EnvironmentFailure
        If `frames` are wanted of an environment that cannot render, or whose pictures are none.
    RunError
        As for `Agent.load`.
    """
    if frames and at_least:
        raise ValueError(f"at_least = {at_least}: frames are of one episode, expected 0")
    if after < 0:
        raise ValueError(f"after = {after}: expected a number of decisions, 0 or more")
    check_modules(run.experiment, run.path, trust, environment=env is None)
    extra = {"render_mode": "rgb_array"} if frames else {}
    playing = obtain_environment(run.experiment.environment, env, **extra)
    try:
        if frames and playing.render_mode != "rgb_array":
            raise EnvironmentFailure(
                f"{environment_name(playing)}: render_mode is {playing.render_mode!r}, a film needs 'rgb_array'"
            )
        camera = _Camera(playing, frames, decisions, size)
        agent = Agent.load(run, trust, env=camera, record=True, dynamics=_spikes(run))
        if perturbations:
            _perturb(agent, camera, run, perturbations, after, perturb_seed)
        played = agent.play(1, seed, greedy, episode)
        while sum(e.decisions for e in played) < at_least:
            played += agent.play(1, seed, greedy, episode + len(played))
        recording = {**agent.system.recorded(), **_decisions(played)}
        if camera.seen:
            recording["observations"] = np.array(camera.seen)
        if perturbations and after < len(recording["actions"]):
            recording["perturbed"] = np.array(after)
        if camera.wanted:
            recording["frames"] = camera.frames()
        return recording
    finally:
        if playing is not env:
            close_environment(playing)


def _perturb(
    agent: Agent, camera: _Camera, run: RunFolder, what: Sequence[tuple[str, str]], after: int, seed: int
) -> None:
    """Perturb the agent now, or when so many decisions were made."""

    def hit() -> None:
        for name, target in what:
            agent.perturb(name, target, seed)

    hit()  # also where it comes later: what cannot be done is said before work starts
    if after:
        agent.load_weights(run.best())
        camera.calls[after] = hit


def _decisions(played: Sequence[Episode]) -> dict[str, np.ndarray]:
    """Of episodes, one after the other."""
    return {
        "actions": np.concatenate([episode.actions for episode in played]).astype(np.int64),
        "rewards": np.concatenate([episode.rewards for episode in played]).astype(float),
        "ends": np.cumsum([episode.decisions for episode in played]),
    }


def _spikes(run: RunFolder) -> str | None:
    """The dynamics in which a run's system spikes, if it has several."""
    return None if run.experiment.dynamics_name == "none" else "spiking"
