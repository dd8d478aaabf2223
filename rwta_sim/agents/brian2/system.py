"""`Brian2System`: a network that a user's function builds, on either engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from brian2 import Network, SpikeMonitor

from rwta_sim.agents.brian2.built import Built, build, explained
from rwta_sim.agents.brian2.experiment import Brian2Experiment
from rwta_sim.agents.brian2.sampling import CLOCK, Watch
from rwta_sim.agents.credited import CreditedSystem
from rwta_sim.engines import make_engine
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics import CriticInputs
from rwta_sim.learning.modulation import TDError
from rwta_sim.loop.encoded_system import EncodedSystem
from rwta_sim.loop.probes import Drained, Population, Probe, Sampling
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice
from rwta_sim.seeding import EpisodeSeeds, critic_seed, initial_seed

__all__ = ["Brian2System"]

Result = TypeVar("Result")


class Brian2System(CreditedSystem, EncodedSystem):
    """See `Brian2Experiment`.

    An episode starts from the state that the network was built with, but for the variables that are kept. The action is
    that of the neuron with most spikes in the decision; ties, and silence, are decided by chance.

    Parameters
    ----------
    experiment : Brian2Experiment
    spaces : Spaces
    record : bool
        Whether every spike of the network's groups is recorded.
    sampling : Sampling, optional
        What to record for `drain`, in place of `record`.

    Attributes
    ----------
    network : brian2.Network
    engine : Engine

    Raises
    ------
    ConfigError
        If the function, an object or a variable does not exist, or has the wrong size.
    EngineError
        If the engine cannot run here, or cannot run this network.
    """

    numbers: tuple[str, ...] = ("rate_hz",)

    def __init__(
        self, experiment: Brian2Experiment, spaces: Spaces, record: bool = False, sampling: Sampling | None = None
    ) -> None:
        self.experiment, spec = experiment, experiment.network
        self.gamma, self._n_actions = experiment.critic.gamma, spaces.n_actions
        self.encoder = experiment.encoder.make(spaces)
        self.frames = self.encoder.frames
        self.engine, self._steps = make_engine(experiment.engine), experiment.decision_steps
        n_inputs = self.encoder.n_inputs
        with self.engine.building():
            self._built = build(spec, n_inputs, self._n_actions, initial_seed(experiment.seed))
            actions = self._built.actions(self._n_actions)
            self._monitor = SpikeMonitor(actions, record=record, name="rwta_sim_actions")
            recorded = self._built.recorded() if record else []
            self._monitors = [SpikeMonitor(group, name=f"rwta_sim_{group.name}") for group in recorded]
            self._watch = Watch(self._built, actions, sampling or Sampling(()), spec.keep, self._steps)
            self.network = Network(
                *self._built.objects, self._monitor, *self._monitors, *(self._watch.monitors if sampling else ())
            )
        with explained(spec):
            self.engine.prepare(self.network, self._built.namespace)
            self.engine.advance(0)  # the runtime engine compiles when it first runs
        self._connect(self._built, n_inputs)
        inputs = CriticInputs(
            self.encoder.n_features, self.encoder.discrete, self.encoder.shape, 0, critic_seed(experiment.seed)
        )
        self._credit = Credit(experiment.critic.make(inputs), TDError(), experiment.control)
        self._initial = self.engine.state()
        self._fresh = True
        self._staged: list[tuple[np.ndarray, Any]] = []

    def _connect(self, built: Built, n_inputs: int) -> None:
        """Find the variables that the loop reads and writes."""
        spec, view = self.experiment.network, self.engine.view
        self._input = built.numbers(view, spec.inputs, "network.inputs", n_inputs)
        modulation = spec.modulation
        self._modulation = None if modulation is None else built.numbers(view, modulation, "network.modulation")
        self._kept = {name: built.view(view, name, "network.keep") for name in spec.keep}
        self._watch.measure(self._kept)
        self._counts = view(self._monitor, "count")
        #: What is kept, as the last episode of training left it.
        self._parameters = {name: values.copy() for name, values in self._kept.items()}
        #: The modulation of the last decision of training, for the first one of the next episode of training.
        self._waiting = np.zeros(1)
        self._last = 0.0

    # -- deciding ------------------------------------------------------------------------------------

    def begin(self, seeds: EpisodeSeeds) -> None:
        self._fresh, self._seed = True, seeds.spikes
        self._staged = [(self._kept[name], values) for name, values in self._parameters.items()]
        self._modulate(0.0)

    def decide(self, features: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        """As `System.decide`; greedy or not, the spikes choose."""
        drive = self.encoder.drive(features)
        self._staged.append((self._input, drive * self.experiment.network.input_scale))
        yield
        counts = self._counts - self._before
        best = np.flatnonzero(counts == counts.max())
        action = int(best[0]) if len(best) == 1 else int(rng.choice(best))
        seconds = self._steps * float(self.engine.dt)
        return Choice(action, None, (float(counts.mean()) / seconds,))

    def run(self, session: Session[Result]) -> Result:
        """Run a session, restarting the network between two runs of the engine where an episode begins."""
        result: list[Result] = []

        def go_on() -> bool:
            try:
                next(session)
            except StopIteration as end:
                result.append(end.value)
                return False
            if self._fresh:
                return False
            self._write()
            return True

        if not go_on() and result:
            return result[0]
        while not result:
            if self._fresh:
                self._restart()
            self.engine.run(None, go_on, self._steps)
        return result[0]

    def _restart(self) -> None:
        """Begin an episode, while nothing runs."""
        self._watch.stash(self.engine)
        self._watch.restarted()
        self.engine.set_state(self._initial)
        self.engine.seed(self._seed)
        self._fresh = False
        self._write()

    def _write(self) -> None:
        """Give the network what waits for its next decision."""
        for values, new in self._staged:
            values[...] = new
        self._staged.clear()
        self._before = self._counts.copy()

    @property
    def engine_name(self) -> str:
        return self.experiment.engine.name

    # -- learning ------------------------------------------------------------------------------------

    def begin_episode(self, features: np.ndarray) -> None:
        self._credit.begin_episode(features)
        self._last = float(self._waiting[0])
        self._modulate(self._last)

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        if not self._credit.learns:
            return
        td_error = self._credit.td_error(None, reward, features, terminated)
        assert td_error is not None  # the modulation is one that is told at once
        self._last = self._credit.given(td_error, rng)
        self._modulate(self._last)

    def _modulate(self, value: float) -> None:
        if self._modulation is not None:
            self._staged.append((self._modulation, value))

    def end_episode(self, rng: np.random.Generator) -> None:
        for name, values in self._kept.items():
            self._parameters[name][...] = values
        self._waiting[0] = self._last

    # -- saving --------------------------------------------------------------------------------------

    def signature(self) -> dict[str, Any]:
        return {
            "inputs": self.encoder.n_inputs,
            "actions": self._n_actions,
            "build": self.experiment.network.build,
            "keep": {name: list(values.shape) for name, values in self._parameters.items()},
            "structure": _digests(self._initial),
        }

    def state(self) -> dict[str, np.ndarray]:
        encoder = {f"encoder.{name}": a for name, a in self.encoder.state().items()}
        return {**{f"kept.{name}": values for name, values in self._parameters.items()}, **encoder}

    def learning_state(self) -> dict[str, np.ndarray]:
        return {"waiting": self._waiting, **self._credit.state()}

    def weights(self) -> dict[str, np.ndarray]:
        """What is kept, by name."""
        return self._parameters

    # -- looking -------------------------------------------------------------------------------------

    def probes(self) -> dict[str, Probe]:
        return self._watch.probes

    def read(self, probe: str) -> np.ndarray:
        """What is kept, as it is now."""
        return np.array(self._kept[probe])

    def populations(self) -> dict[str, Population]:
        return self._watch.populations

    @property
    def timing(self) -> tuple[float, float]:
        dt = float(self.engine.dt)
        return dt, self._steps * dt

    def drain(self) -> Drained:
        return self._watch.drain(self.engine)

    @property
    def credit(self) -> Credit:
        return self._credit

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike since it was built: of the inputs, if they spike, and of the other groups, the actions last."""
        names = [monitor.source.name for monitor in self._monitors]
        inputs = [m for m, name in zip(self._monitors, names, strict=True) if name == self._built.inputs]
        others = [m for m in self._monitors if m not in inputs] + [self._monitor]
        starts = np.cumsum([0, *(len(monitor.source) for monitor in others)])
        dt = float(self.engine.dt)
        return {
            **self._spikes("input", inputs, [0]),
            **self._spikes("neuron", others, starts.tolist()),
            "n_inputs": np.array(sum(len(monitor.source) for monitor in inputs)),
            "starts": starts,
            "dt": np.array(dt),
            "decision_time": np.array(self._steps * dt),
        }

    def _spikes(self, kind: str, monitors: Sequence[SpikeMonitor], starts: Sequence[int]) -> dict[str, np.ndarray]:
        view = self.engine.view
        i = [np.array(view(m, "i")) + first for m, first in zip(monitors, starts, strict=False)]
        t = [np.array(view(m, "t")) for m in monitors]
        return {
            f"{kind}_i": np.concatenate([np.empty(0, np.int32), *i]).astype(np.int32),
            f"{kind}_t": np.concatenate([np.empty(0), *t]),
        }


def _digests(state: dict[str, np.ndarray]) -> dict[str, str]:
    """Of what is fixed in a network, such as connections, from the state of an engine; not of who watches it."""
    parts = {name.removeprefix("structure."): a for name, a in state.items() if name.startswith("structure.")}
    return {name: a.tobytes().hex() for name, a in sorted(parts.items()) if not name.startswith(f"{CLOCK}.")}
