"""Recordings: every spike of an evaluation episode, with actions, rewards and, if wanted, pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RenderCollection

from rwta_sim.actor import SpikingActor
from rwta_sim.agent import Agent, make_environment
from rwta_sim.blas import one_thread
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.runs import RunFolder

__all__ = ["record_episode"]


class _Rewards(gym.Wrapper):
    """Keeps the rewards of the episode."""

    def reset(self, **kwargs: Any) -> Any:
        self.rewards: list[float] = []
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.rewards.append(float(result[1]))
        return result


@one_thread()
def record_episode(
    run: RunFolder,
    seed: int | None = None,
    episode: int = 0,
    frames: bool = False,
    env: gym.Env | None = None,
    greedy: bool = True,
) -> dict[str, np.ndarray]:
    """Play one evaluation episode of a run's best weights, as spikes whatever they were trained as, and record it.

    Parameters
    ----------
    run : RunFolder
    seed, episode
        As for `Agent.play`; the same episode as there.
    frames : bool
        Also render a picture per decision.
    env : gymnasium.Env, optional
        Used in place of the one that the experiment names; must render "rgb_array" if `frames`.
    greedy : bool
        argmax of q, or the spikes.

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
        If `frames` are wanted of an environment that cannot render.
    """
    if env is None:
        env = make_environment(run.experiment.environment, **({"render_mode": "rgb_array"} if frames else {}))
    if frames and env.render_mode != "rgb_array":
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        raise EnvironmentFailure(f"{name}: render_mode is {env.render_mode!r}, a film needs 'rgb_array'")
    film = RenderCollection(env) if frames else None
    rewards = _Rewards(film if film is not None else env)
    agent = Agent.load(run, env=rewards, record=True, dynamics="spiking")
    result = agent.play(1, seed=seed, first=episode, greedy=greedy)[0]
    assert isinstance(agent.actor, SpikingActor)
    network, view = agent.actor.network, agent.actor.engine.view
    spec, decision = run.experiment.network, run.experiment.decision
    silent = network.input_spikes is None
    recording = {
        "input_i": np.empty(0, np.int32) if silent else np.array(view(network.input_spikes, "i")),
        "input_t": np.empty(0) if silent else np.array(view(network.input_spikes, "t")),
        "neuron_i": np.array(view(network.neuron_spikes, "i")),
        "neuron_t": np.array(view(network.neuron_spikes, "t")),
        "actions": np.array(result.actions),
        "rewards": np.array(rewards.rewards),
        "starts": network.starts,
        "dt": np.array(float(spec.dt)),
        "decision_time": np.array(decision.steps * float(spec.dt)),
        "n_inputs": np.array(0 if silent else network.n_inputs),
    }
    if film is not None:
        recording["frames"] = np.array(film.render(), dtype=np.uint8)
    return recording
