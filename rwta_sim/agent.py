"""`Agent`: an experiment made real: environment, network, engine and bridge."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from rwta_sim.actor import Actor, RandomActor, Session, SpikingActor
from rwta_sim.bridge import Bridge, Episode, drive
from rwta_sim.config import EnvironmentSpec, Experiment
from rwta_sim.critics import CriticInputs
from rwta_sim.decoders import action_count
from rwta_sim.encoders import DiscreteEncoder, StandardisedEncoder, make_encoder
from rwta_sim.engines import Engine, make_engine
from rwta_sim.envs.patterns import PatternTask
from rwta_sim.envs.starts import StartTask
from rwta_sim.errors import CheckpointError, EnvironmentFailure
from rwta_sim.learning import Learner, RateLearner
from rwta_sim.learning.ppo import PPO
from rwta_sim.learning.replay_learner import ReplayLearner
from rwta_sim.learning.rules import MeanFieldRule, Rule
from rwta_sim.network import RWTANetwork
from rwta_sim.rate import RateActor, finish
from rwta_sim.runs import Checkpoint, RunFolder, difference
from rwta_sim.seeding import Purpose, critic_seed, episode_seeds, initial_generator
from rwta_sim.spec import NetworkSpec
from rwta_sim.wiring import Wiring, sound

__all__ = ["Agent", "make_environment", "pattern_count", "reset_options", "restore", "saved_blocks"]

_WEIGHT = "weight."


def make_environment(spec: EnvironmentSpec, **kwargs: Any) -> gym.Env:
    """`gymnasium.make` with errors that say what to do.

    Raises
    ------
    EnvironmentFailure
        If the environment does not exist or cannot be made.
    """
    try:
        return gym.make(spec.id, **{**spec.kwargs, **kwargs})
    except Exception as error:
        if kwargs and "render_mode" in str(error):
            raise EnvironmentFailure(f"{spec.id} cannot render pictures: it takes no render_mode") from error
        raise EnvironmentFailure(
            f"cannot make the environment {spec.id!r} with {spec.kwargs}: {error}. For an environment of your "
            "own, register it with Gymnasium and name it 'module:id'"
        ) from error


def pattern_count(env: gym.Env, split: str) -> int | None:
    """How many patterns a classification task has in a split; None for any other environment.

    Raises
    ------
    EnvironmentFailure
        If it has none.
    """
    task = env.unwrapped
    if not isinstance(task, PatternTask):
        return None
    count = task.n_patterns(split)
    if not count:
        raise EnvironmentFailure(f"{type(task).__name__} has no {split} patterns: give it more of them")
    return count


def reset_options(env: gym.Env, split: str, episode: int) -> dict[str, Any] | None:
    """Options for `env.reset`: the patterns or starts of `split` one after the other, where a task has such."""
    count = pattern_count(env, split)
    if count is None and isinstance(env.unwrapped, StartTask):
        count = env.unwrapped.n_starts(split)
    return None if count is None else {"split": split, "index": episode % count}


class Agent:
    """A network in a closed loop with its environment.

    Parameters
    ----------
    experiment : Experiment
    env : gymnasium.Env, optional
        Used in place of the one that the experiment names.
    record : bool
        Give the network SpikeMonitors, if it spikes.
    render_mode : str, optional
        For the environment that the experiment names.
    dynamics : {"spiking", "rate"}, optional
        In place of the experiment's: the same weights as spikes, or as their mean field.

    Attributes
    ----------
    experiment
        With the name of the engine that is used, never "auto".
    env, network, engine, actor, bridge
        Without spikes `engine` is None and `network` a `Wiring`.
    dynamics : {"spiking", "rate"}
    """

    def __init__(
        self,
        experiment: Experiment,
        env: gym.Env | None = None,
        record: bool = False,
        render_mode: str | None = None,
        dynamics: Literal["spiking", "rate"] | None = None,
    ) -> None:
        self.experiment = experiment = experiment.resolved()
        extra = {"render_mode": render_mode} if render_mode else {}
        self.env = make_environment(experiment.environment, **extra) if env is None else env
        encoder = make_encoder(self.env, experiment.encoder)
        self.dynamics = dynamics or experiment.dynamics
        self.engine: Engine | None = None
        self.network: Wiring
        self.actor: Actor
        if self.dynamics == "rate":
            rng = initial_generator(experiment.seed)
            self.network = Wiring(experiment.network, encoder.n_inputs, action_count(self.env), rng)
            self.actor = RateActor(self.network, experiment.mean_field, rng)
        else:
            self.actor = self._spiking(encoder.n_inputs, record)
            self.network = self.actor.network
            self.engine = self.actor.engine
        self.bridge = Bridge(self.actor, encoder, experiment.critic.gamma)
        self._discrete = isinstance(encoder, DiscreteEncoder)

    def _spiking(self, n_inputs: int, record: bool) -> SpikingActor:
        experiment, engine = self.experiment, make_engine(self.experiment.engine)
        learning, decision = experiment.learning, experiment.decision
        plasticity = learning.plasticity(experiment.network)
        with engine.building():
            network = RWTANetwork(
                experiment.network,
                n_inputs,
                action_count(self.env),
                rng=initial_generator(experiment.seed),
                record=record,
                history=decision.steps if learning.rule.needs_history and plasticity is None else 0,
                record_traces=decision.clear == "episode" or experiment.network.tau_spread > 0,
                plasticity=plasticity,
            )
        engine.prepare(network.network)
        actor = SpikingActor(network, engine, decision)
        if plasticity is not None:
            rule = self._rule(network)
            actor.arrays.gate(rule.first, rule.last, decision.steps)
        return actor

    def _rule(self, network: Wiring) -> Rule:
        rule, decision = self.experiment.learning.rule, self.experiment.decision
        assert not isinstance(rule, MeanFieldRule)  # which needs what a RateActor has
        return rule.make(network, decision.steps, decision.decoder, lasting=decision.clear == "episode")

    def rule(self) -> Rule | None:
        """A new rule on the network's weights, if its factors are all that a learner makes of a decision."""
        learning = self.experiment.learning
        replays = isinstance(learning.modulation, PPO)
        if learning.apply != "factors" or replays or not isinstance(self.actor, SpikingActor):
            return None
        rule = self._rule(self.network)
        rule.attach(self.actor.weights)
        return rule

    @property
    def engine_name(self) -> str:
        """Name of the engine that advances the network; "none" without spikes."""
        return "none" if self.engine is None else self.experiment.engine.name

    def learner(self) -> Learner:
        """A new learner for the network.

        Raises
        ------
        ValueError
            If the experiment's rule is for other dynamics than the agent's.
        RwtaSimError
            If its critic cannot read these observations or this network, or needs a package that is not installed.
        """
        learning = self.experiment.learning
        encoder, seed = self.bridge.encoder, critic_seed(self.experiment.seed)
        critic = self.experiment.critic.make(
            CriticInputs(encoder.n_features, self._discrete, encoder.shape, self.experiment.network.n_hidden, seed)
        )
        weights = self.actor.weights
        if isinstance(learning.rule, MeanFieldRule):
            if not isinstance(self.actor, RateActor):
                raise ValueError("learning.rule.kind = 'mean_field' cannot learn with dynamics = 'spiking'")
            return RateLearner(learning, critic, weights, self.actor.field)
        if isinstance(self.actor, RateActor):
            raise ValueError(f"learning.rule.kind = {learning.rule.kind!r} cannot learn with dynamics = 'rate'")
        kind = ReplayLearner if isinstance(learning.modulation, PPO) else Learner
        return kind(learning, critic, weights, self._rule(self.network))

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weight blocks ("sh", "sa", "hh", "ha", "ah") and the biases "b"."""
        return self.actor.weights.blocks()

    def calibrate(self) -> None:
        """Let an encoder that needs it see what a random policy does in the environment."""
        self.bridge.calibrate(self.env, self.experiment.seed)

    # -- playing -------------------------------------------------------------------------------------

    def run(self, session: Session) -> Any:
        """Run a session of the bridge to its end."""
        with closing(session):
            if self.engine is None:
                return finish(session)
            return drive(self.engine, session, self.experiment.decision.steps)

    def play(
        self,
        episodes: int | None = None,
        seed: int | None = None,
        greedy: bool = True,
        first: int = 0,
        random: bool = False,
    ) -> list[Episode]:
        """Play evaluation episodes without learning.

        A classification task (`PatternTask`) shows its test patterns one after the other, a task with held-out
        starts (`StartTask`) begins at those in turn.

        Parameters
        ----------
        episodes : int, optional
            Default: 100, and for a classification task as many as it has test patterns.
        seed : int, optional
            Default: the seed of the experiment. Episode n of a seed is always the same episode.
        greedy : bool
            argmax of the action circuit's q, or its spikes.
        first : int
            Number of the first episode.
        random : bool
            Every action alike, in place of the network.
        """
        if episodes is None:
            episodes = pattern_count(self.env, "test") or 100
        if episodes < 1:
            raise ValueError(f"episodes = {episodes}: expected at least 1")
        seed = self.experiment.seed if seed is None else seed
        bridge = self.bridge
        if random:
            bridge = Bridge(RandomActor(self.network), bridge.encoder, self.experiment.critic.gamma)

        def session() -> Session[list[Episode]]:
            results = []
            for number in range(first, first + episodes):
                seeds = episode_seeds(seed, Purpose.EVALUATION, number)
                options = reset_options(self.env, "test", number)
                results.append((yield from bridge.episode(self.env, seeds, greedy=greedy, options=options)))
            return results

        result: list[Episode] = finish(session()) if random else self.run(session())
        return result

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        """What a checkpoint must share with a network that takes its weights."""
        spec = self.experiment.network
        return {
            "inputs": self.network.n_inputs,
            "actions": self.network.n_actions,
            "network": spec.model_dump(mode="json"),
            **({"structure": self.experiment.seed} if spec.random_structure else {}),
        }

    def saved_weights(self) -> dict[str, np.ndarray]:
        """Weights by projection, and biases, as checkpoints hold them; and what an encoder was calibrated to.

        Views, not copies.
        """
        arrays, encoder = self.actor.weights, self.bridge.encoder
        saved = {**{_WEIGHT + name: w for name, w in arrays.weights.items()}, "bias": arrays.b}
        if isinstance(encoder, StandardisedEncoder):
            saved |= {"encoder.mean": encoder.mean, "encoder.scale": encoder.scale}
        return saved

    def load_weights(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a checkpoint.

        Raises
        ------
        CheckpointError
            If it is of another network.
        """
        signature = self.signature()
        theirs = checkpoint.meta.get("signature")
        if isinstance(theirs, dict) and isinstance(theirs.get("network"), dict):
            # Made before a setting existed, it has what is now the default.
            theirs = {**theirs, "network": {**NetworkSpec().model_dump(mode="json"), **theirs["network"]}}
        if theirs != signature:
            raise CheckpointError(
                f"checkpoint {checkpoint.name} is of another network: "
                f"{difference(theirs, signature)}; use the configuration it was trained with"
            )
        restore(self.saved_weights(), checkpoint)
        self.actor.weights_changed()

    @classmethod
    def load(cls, run: RunFolder, **kwargs: Any) -> Agent:
        """The agent of a run, with the weights of its best validation.

        For these weights in another environment or with other settings, build an `Agent` of
        ``run.experiment.changed(...)`` and give ``run.best()`` to its `load_weights`.

        Raises
        ------
        CheckpointError
            If there is no checkpoint, or it is damaged, or of other settings than config.toml's.
        """
        checkpoint = run.best()  # before anything is built: it may be damaged, or of other settings
        agent = cls(run.experiment, **kwargs)
        agent.load_weights(checkpoint)
        return agent


def saved_blocks(spec: NetworkSpec, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The weight blocks in a checkpoint of a network with this spec."""
    prefix = len(_WEIGHT)
    return spec.split_blocks({n[prefix:]: a for n, a in checkpoint.arrays.items() if n.startswith(_WEIGHT)})


def restore(targets: Mapping[str, np.ndarray], checkpoint: Checkpoint) -> None:
    """Copy arrays of a checkpoint into `targets`, in place, after checking all of them."""
    for name, target in targets.items():
        saved = checkpoint.arrays.get(name)
        if saved is None or saved.shape != target.shape:
            found = "no such array" if saved is None else f"shape {saved.shape}"
            raise CheckpointError(
                f"checkpoint {checkpoint.name}: array {name!r} should have shape {target.shape}, found {found}; "
                "it is of another network or another configuration"
            )
        if not (np.can_cast(saved.dtype, target.dtype, "same_kind") and sound(saved)):
            raise CheckpointError(
                f"checkpoint {checkpoint.name}: array {name!r} should hold finite numbers of type {target.dtype} "
                f"(found {saved.dtype}); put it back from a copy, or train anew"
            )
    for name, target in targets.items():
        target[...] = checkpoint.arrays[name]
