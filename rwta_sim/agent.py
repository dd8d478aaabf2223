"""`Agent`: an experiment made real: environment, network, engine and bridge."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Literal, Self

import gymnasium as gym
import numpy as np

from rwta_sim.actor import Actor, RandomActor, Session, SpikingActor
from rwta_sim.blas import one_thread
from rwta_sim.bridge import Bridge, Episode, drive
from rwta_sim.config import Experiment
from rwta_sim.critics import CriticInputs
from rwta_sim.decoders import action_count
from rwta_sim.encoders import DiscreteEncoder, StandardisedEncoder, make_encoder
from rwta_sim.engines import Engine, make_engine
from rwta_sim.environments import OneEnvironment, close_environment, obtain_environment
from rwta_sim.envs.patterns import PatternTask
from rwta_sim.envs.starts import StartTask
from rwta_sim.errors import CheckpointError, EnvironmentFailure
from rwta_sim.learning import Learner, LearnerBase, RolloutLearner
from rwta_sim.learning.equations import explained
from rwta_sim.learning.rules import MeanFieldRule, Rule
from rwta_sim.learning.rules.mean_field import MeanFieldReplay
from rwta_sim.memory import require
from rwta_sim.needs import network_needs, training_needs
from rwta_sim.network import RWTANetwork
from rwta_sim.rate import RateActor, finish
from rwta_sim.runs import Checkpoint, RunFolder, difference
from rwta_sim.seeding import Purpose, critic_seed, episode_seeds, initial_generator
from rwta_sim.spec import NetworkSpec
from rwta_sim.trust import check_trust
from rwta_sim.wiring import Wiring, sound

__all__ = ["Agent", "pattern_count", "reset_options", "restore", "saved_blocks"]

_WEIGHT = "weight."


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

    An environment that was made for the agent is closed with it: by `close`, at the end of a ``with`` block, or when
    nobody uses the agent any more. One that was given is left open.

    Parameters
    ----------
    experiment : Experiment
    env : gymnasium.Env or callable, optional
        Used in place of the one that the experiment names: an environment, or a function that makes one.
    record : bool
        Give the network SpikeMonitors, if it spikes.
    render_mode : str, optional
        For the environment that the experiment names.
    dynamics : {"spiking", "rate"}, optional
        In place of the experiment's: the same weights as spikes, or as their mean field.
    trains : bool
        Reckon with the memory that its learner and all its replicas are going to take.

    Raises
    ------
    NotEnoughMemory
        If that is more than there is.

    Attributes
    ----------
    experiment
        With the name of the engine that is used, never "auto".
    close : callable
        Closes the environment, unless it was given; once.
    env, network, engine, actor, bridge
        Without spikes `engine` is None and `network` a `Wiring`.
    dynamics : {"spiking", "rate"}
    """

    def __init__(
        self,
        experiment: Experiment,
        env: OneEnvironment | None = None,
        record: bool = False,
        render_mode: str | None = None,
        dynamics: Literal["spiking", "rate"] | None = None,
        trains: bool = False,
    ) -> None:
        self.experiment = experiment = experiment.resolved()
        extra = {"render_mode": render_mode} if render_mode else {}
        self.env = obtain_environment(experiment.environment, env, **extra)
        # Also when nobody closes it.
        self.close = weakref.finalize(self, close_environment, self.env)
        if self.env is env:
            self.close.detach()
        try:
            self._build(record, dynamics or experiment.dynamics, trains)
        except BaseException:
            self.close()
            raise

    def _build(self, record: bool, dynamics: Literal["spiking", "rate"], trains: bool) -> None:
        experiment = self.experiment
        encoder = make_encoder(self.env, experiment.encoder)
        self.dynamics = dynamics
        sizes = encoder.n_inputs, action_count(self.env)
        require(training_needs(experiment, *sizes) if trains else network_needs(experiment, *sizes, dynamics))
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spiking(self, n_inputs: int, record: bool) -> SpikingActor:
        experiment, engine = self.experiment, make_engine(self.experiment.engine)
        learning, decision = experiment.learning, experiment.decision
        plasticity = learning.plasticity(experiment.network)
        with explained(learning.equations):
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
            engine.prepare(network.network, namespace={})
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
        if learning.apply != "factors" or learning.modulation.replays or not isinstance(self.actor, SpikingActor):
            return None
        rule = self._rule(self.network)
        rule.attach(self.actor.weights)
        return rule

    @property
    def engine_name(self) -> str:
        """Name of the engine that advances the network; "none" without spikes."""
        return "none" if self.engine is None else self.experiment.engine.name

    def learner(self) -> LearnerBase:
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
            replay = MeanFieldReplay(learning.rule, weights, self.actor.field, learning.published_code)
            return RolloutLearner(learning, critic, weights, replay)
        if isinstance(self.actor, RateActor):
            raise ValueError(f"learning.rule.kind = {learning.rule.kind!r} cannot learn with dynamics = 'rate'")
        if learning.modulation.replays:
            return RolloutLearner(learning, critic, weights, learning.rule.replay(weights))
        return Learner(learning, critic, weights, self._rule(self.network))

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
            with explained(self.experiment.learning.equations):
                return drive(self.engine, session, self.experiment.decision.steps)

    @one_thread()
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
    def load(cls, run: RunFolder, trust: bool = False, **kwargs: Any) -> Agent:
        """The agent of a run, with the weights of its best validation.

        For these weights in another environment or with other settings, build an `Agent` of
        ``run.experiment.changed(...)`` and give ``run.best()`` to its `load_weights`.

        Parameters
        ----------
        run : RunFolder
        trust : bool
            Import the module of the run's environment also where it is not installed, and so run the code in it.
        **kwargs
            For `Agent`.

        Raises
        ------
        RunError
            If the environment is of a module that is neither installed nor imported, without `trust`.
        CheckpointError
            If there is no checkpoint, or it is damaged, of another network, or of other settings than config.toml's.
        """
        if kwargs.get("env") is None:
            check_trust(run.experiment.environment.id, run.path, trust)
        checkpoint = run.best()  # before anything is built: it may be damaged, or of other settings
        agent = cls(run.experiment, **kwargs)
        try:
            agent.load_weights(checkpoint)
        except BaseException:
            agent.close()
            raise
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
