"""What the page does, by the package's own events engine: python page_natively.py SEED EPISODES prints it as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import rwta_sim
from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.lab.agent import Agent
from rwta_sim.seeding import Purpose, episode_seeds


def train(seed: int, episodes: int, circuits: int = 8) -> dict[str, Any]:
    """The first episodes of a training on CartPole, as `kinds.train` of page_in_node.mjs tells them."""
    experiment = rwta_sim.preset("cartpole").changed(
        {"engine": {"name": "events"}, "seed": seed, "network.hidden_circuits": circuits}
    )
    with Agent(experiment, record=True, trains=True) as agent:
        system = agent.system
        actor = system.actor
        assert isinstance(actor, EventActor)
        system.prepare_learning()
        initial, decisions, returns = weights(system), [], []
        for episode in range(episodes):
            system.anneal(experiment.training.progress(episode, 0))
            seeds, states = episode_seeds(seed, Purpose.TRAINING, episode), []
            played = agent.player.episode(
                seeds,
                listener=system,
                keep=lambda observation, states=states: states.append(agent.env.unwrapped.state.tolist()),
            )
            result = system.run(played)
            returns.append(result.total)
            inputs, neurons = (split(fired) for fired in actor.weights.logged(drop=True))
            for state, action, (input_t, input_i), (t, i) in zip(states, result.actions, inputs, neurons, strict=False):
                told = {"inputT": input_t, "inputI": input_i, "t": t, "i": i}
                decisions.append({"episode": episode, "state": state, "action": action, **told})
        return {"initial": initial, "decisions": decisions, "returns": returns, "learned": weights(system)}


def split(fired: Any) -> list[tuple[list[float], list[int]]]:
    """Times and numbers of each decision."""
    found, start = [], 0
    for count in fired.counts.tolist():
        found.append((fired.t[start : start + count].tolist(), fired.i[start : start + count].tolist()))
        start += count
    return found


def weights(system: Any) -> dict[str, list[float]]:
    found = {name: w.ravel().tolist() for name, w in system.weights().items()}
    return {**found, "theta": system.credit.critic.theta.tolist()}


if __name__ == "__main__":
    json.dump(train(*map(int, sys.argv[1:3])), sys.stdout)
