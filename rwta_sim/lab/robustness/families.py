"""Families of perturbations: one kind of noise, loss or change each, at levels from none to a lot.

The grids are those of SVPG's authors (Yang et al. 2022, 2025) where they have one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from rwta_sim.circuit.faults import MOST_LATE
from rwta_sim.envs.changes import Change, changes_of, grid
from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.robustness.surrogate import LIBRARY, Surrogate
from rwta_sim.loop.environments import make_environment
from rwta_sim.loop.perturbed import DelayedAction, LostObservation, NoisyObservation, RepeatedObservation, toward
from rwta_sim.loop.spaces import environment_name

__all__ = ["Family", "families_of"]


class Family(NamedTuple):
    """A kind of perturbation and its levels.

    Attributes
    ----------
    name : str
    description : str
    unit : str
        Of a level, for an axis.
    levels : tuple of float
        From the weakest on.
    normal : float or None
        The level at which nothing is changed, if there is one.
    target : str
        Of a perturbation of the system: what `Agent.perturb` is told, with ``{level}`` in it; its name before a blank.
    wrap : callable, optional
        Wraps the environment: takes it, the level and a seed.
    change : Change, optional
        Of the environment.
    most : float
        The highest level that makes sense.
    whole : bool
        Whether levels are whole numbers.
    library : str
        Module without which it cannot be played.
    """

    name: str
    description: str
    unit: str
    levels: tuple[float, ...]
    normal: float | None = 0.0
    target: str = ""
    wrap: Callable[[gym.Env, float, int], gym.Env] | None = None
    change: Change | None = None
    most: float = 1e6
    whole: bool = False
    library: str = ""

    @property
    def missing(self) -> str:
        """What to do about its library if that is not installed, else nothing."""
        if not self.library or find_spec(self.library) is not None:
            return ""
        return f"{self.name} needs {self.library}, which is not installed: pip install scikit-learn"

    def check(self, level: float) -> None:
        """Raise ConfigError for a level that makes no sense, unless only the simulator can tell."""
        if level == self.normal:
            return
        if self.change is not None:
            fits, expected = math.isfinite(level), "a finite number"
        elif self.whole:
            fits, expected = level in range(1, round(self.most) + 1), f"a whole number from 1 to {self.most:g}"
        else:
            fits, expected = 0 <= level <= self.most, f"a number from 0 to {self.most:g}"
        if not fits:
            raise ConfigError(f"level {level:g} of {self.name}: expected {expected} ({self.unit})")

    @contextmanager
    def applied(self, agent: Agent, level: float, seed: int) -> Iterator[None]:
        """The agent with this perturbation in the block; then it is as before.

        Raises
        ------
        ConfigError
            If its system or its observations allow none of this family.
        EnvironmentFailure
            If its environment cannot be changed so.
        """
        with ExitStack() as stack:
            if self.target:
                name, _, target = self.target.format(level=f"{level:g}").partition(" ")
                stack.enter_context(agent.perturbed([(name, target)], seed))
            if self.wrap is not None:
                stack.enter_context(agent.playing_in(self.wrap(agent.env, level, seed)))
            if self.change is not None:
                env = make_environment(agent.experiment.environment, **self.change.arguments(level))
                stack.enter_context(closing(env))
                self.change.apply(env.unwrapped, level)
                stack.enter_context(agent.playing_in(env))
            yield


def families_of(agent: Agent) -> dict[str, Family]:
    """The families that an agent and its environment allow, by name; what they declare decides.

    Parameters
    ----------
    agent : Agent
    """
    known = (*_of_observations(), _fgsm(agent), *_of_systems())
    found = {family.name: family for family in known if _fits(family, agent)}
    for name, change in changes_of(agent.env).items():
        of_env = Family(
            f"environment-{name}",
            f"{change.description} of {environment_name(agent.env)}",
            change.unit,
            change.levels,
            change.normal,
            change=change,
        )
        found[of_env.name] = of_env
    return found


def _fits(family: Family, agent: Agent) -> bool:
    try:
        with family.applied(agent, family.levels[0] if family.normal is None else family.normal, 0):
            return True
    except ConfigError:
        return False


def _noise(kind: str) -> Callable[[gym.Env, float, int], gym.Env]:
    return lambda env, level, seed: NoisyObservation(env, kind, level, seed)


def _fgsm(agent: Agent) -> Family:
    """The fast gradient sign method through a surrogate of the agent, made at the first level that needs it."""
    surrogate = cache(lambda: Surrogate(agent))

    def wrap(env: gym.Env, level: float, seed: int) -> gym.Env:
        # Made here, while nothing is changed yet.
        direction = surrogate().direction if level else np.zeros_like
        return NoisyObservation(env, toward(direction), level, seed)

    return Family(
        "input-fgsm",
        "observations moved against a surrogate's answer",
        "step (units)",
        grid(0, 0.19, 0.01),
        wrap=wrap,
        library=LIBRARY,
    )


def _of_observations() -> list[Family]:
    to_1_55, half = grid(0, 1.55, 0.05), grid(0, 0.5, 0.02)
    of_pixels = "share of pixels"
    return [
        Family("input-gaussian", "Gaussian noise on observations", "s.d. (units)", to_1_55, wrap=_noise("gaussian")),
        Family("input-uniform", "uniform noise on observations", "reach (units)", to_1_55, wrap=_noise("uniform")),
        Family("input-pepper", "black pixels", of_pixels, half, wrap=_noise("pepper"), most=1),
        Family("input-salt", "white pixels", of_pixels, half, wrap=_noise("salt"), most=1),
        Family("input-salt-pepper", "black and white pixels", of_pixels, half, wrap=_noise("salt-and-pepper"), most=1),
        Family(
            "input-gaussian-salt",
            "white pixels upon Gaussian noise of 0.05",
            of_pixels,
            grid(0, 0.5, 0.005),
            wrap=_noise("gaussian-and-salt"),
            most=1,
        ),
        Family("input-lost", "observations lost", "probability", grid(0, 0.9, 0.1), wrap=LostObservation, most=1),
        Family(
            "input-repeated",
            "observations repeated",
            "probability",
            grid(0, 0.9, 0.1),
            wrap=RepeatedObservation,
            most=1,
        ),
        Family(
            "action-delay",
            "actions carried out late",
            "decisions",
            tuple(map(float, range(6))),
            wrap=DelayedAction,
            most=1000,
            whole=True,
        ),
    ]


def _of_systems() -> list[Family]:
    by_02, by_05, by_1 = grid(0, 0.98, 0.02), grid(0, 3.95, 0.05), grid(0, 4.9, 0.1)
    shares, tenths, bits = grid(0, 0.49, 0.01), grid(0, 1, 0.1), tuple(map(float, range(8, 0, -1)))
    found = []
    for what in ("weights", "biases"):
        mean = "x mean |w| of its block"
        for name, levels, unit, text in (
            ("gaussian", by_02, "s.d.", "Gaussian"),
            ("uniform", by_05, "reach", "uniform"),
            ("relative-gaussian", by_1, f"s.d., {mean}", "Gaussian"),
            ("relative-uniform", by_1, f"reach, {mean}", "uniform"),
        ):
            target = f"{name}-noise {what}:{{level}}"
            found.append(Family(f"{what}-{name}", f"{text} noise on {what}", unit, levels, target=target))
    for block in ("all", "hh", "sh", "sa", "ha"):
        target = f"cut {'weights' if block == 'all' else block}:{{level}}"
        text = "connections lost" + ("" if block == "all" else f", {block}")
        found.append(Family(f"connections-{block}", text, "share", shares, target=target, most=1))
    for part in ("neurons", "circuits", "actors", "modules"):
        target = f"lesion {part}:{{level}}"
        found.append(Family(f"{part}-lost", f"{part} destroyed", "share", tenths, target=target, most=1))
    silent = "silence neurons:{level}"
    found.append(Family("neurons-silent", "neurons that never fire", "share", tenths, target=silent, most=1))
    stuck = "drive circuits:{level}"
    found.append(Family("circuits-stuck", "circuits of which one neuron fires", "share", tenths, target=stuck, most=1))
    for name, text, unit, most in (
        ("lost", "spikes lost", "share", 1),
        ("extra", "spikes of nobody's", "x rate of a circuit", 1),
        ("late", "spikes late, by up to so many steps", "time steps", MOST_LATE),
    ):
        whole = name == "late"
        levels = (
            (*map(float, range(0, 21, 2)),) if whole else grid(0, 0.9, 0.1) if name == "lost" else grid(0, 0.5, 0.05)
        )
        target = f"{name}-spikes spikes:{{level}}"
        found.append(Family(f"spikes-{name}", text, unit, levels, target=target, most=most, whole=whole))
    target = "quantise weights:{level}"
    found.append(
        Family("weights-bits", "weights of few bits", "bits", bits, math.inf, target=target, most=32, whole=True)
    )
    return found
