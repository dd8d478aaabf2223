"""`OneCall`: a TD error, its modulation and the update of all weights by it, in one call of compiled code.

For a small network the dozens of NumPy calls of `Learner.observe` take longer than the decision. What is called are the
compiled pieces of critic, rule and optimiser themselves (`rwta_sim.native.Piece`), one after the other, so that this
gives the numbers that they give by themselves, bit for bit (tests/test_one_call.py).
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics.linear_td import CompiledTD
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.rules import Rule
from rwta_sim.learning.updater import Updater
from rwta_sim.native import Piece, address, native_function

__all__ = ["OneCall"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class _Learning(ctypes.Structure):
    """As in one_call.cpp."""

    _fields_: ClassVar = [
        *((name, _POINTER) for name in ("td_error", "critic", "post_of", "rule", "step", "optimiser")),
        *((name, _NUMBER) for name in ("neurons", "traced", "action", "probabilities")),
        ("post", _POINTER),
        ("told", _REAL),
        ("modulation", _REAL),
    ]


@functools.cache
def _native() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    arguments = [*[_POINTER] * 4, _NUMBER, _REAL, _NUMBER, _REAL, _REAL]
    return native_function(Path(__file__).with_suffix(".cpp"), "learn_at_once", *arguments)


class OneCall:
    """Learns from decisions that compiled code has read out, each at once.

    Parameters
    ----------
    network : Wiring
    critic : CompiledTD
    rule : Rule
        With a `piece`.
    updater : Updater
        Whose shortcut has the piece `step`.
    step : Piece
    """

    def __init__(self, network: Wiring, critic: CompiledTD, rule: Rule, updater: Updater, step: Piece) -> None:
        function, post_of = _native(), rule.piece
        assert function is not None and post_of is not None  # what `made` has asked
        self._function, self._critic, self._updater = function, critic, updater
        self._post = np.zeros(network.n_neurons)
        self._keep = critic.piece, post_of, step  # their memory is used
        self._learning = _Learning(
            td_error=critic.piece.function,
            critic=critic.piece.state,
            post_of=post_of.function,
            rule=post_of.state,
            step=step.function,
            optimiser=step.state,
            neurons=network.n_neurons,
            traced=network.n_inputs if network.spec.inputs == "spikes" else 0,
            action=network.action.start,
            probabilities=rule.reads_probabilities,
            post=address(self._post),
        )
        self._at = ctypes.addressof(self._learning)

    @classmethod
    def made(cls, network: Wiring, credit: Credit, rule: Rule, updater: Updater) -> OneCall | None:
        """One, if all that has a part in an update has a compiled piece, and a TD error is applied as it is."""
        critic, shortcut = credit.critic.compiled, updater.shortcut
        step = None if shortcut is None else shortcut.piece
        at_once = credit.online and not credit.shuffled and rule.carry == 0
        if not at_once or critic is None or rule.piece is None or step is None or _native() is None:
            return None
        return cls(network, critic, rule, updater, step)

    def learn(
        self,
        decision: Decision,
        rows: np.ndarray,
        reward: float,
        features: np.ndarray,
        terminated: bool,
        rate: float,
        entropy: float,
    ) -> tuple[float, float]:
        """Change the weights; returns the TD error and the modulation.

        Parameters
        ----------
        decision, rows : Decision, ndarray
            With its `rows`.
        reward, features, terminated
            Of the transition that followed.
        rate, entropy : float
            Learning rate, and weight of the policy entropy.
        """
        at, _kept = self._critic.where(features)
        told = self._learning
        where = self._at, address(rows), address(decision.drive), at
        self._function(*where, decision.action, reward, terminated, entropy, rate)
        self._updater.keep_signs()
        return told.told, told.modulation
