"""`OneCall`: a TD error, its modulation and the update of all weights by it, in one call of compiled code.

For a small network the dozens of NumPy calls of `Learner.observe` take longer than the decision. What is called are the
compiled pieces of critic, rule and optimiser themselves (`rwta_sim.native.Piece`), one after the other, so that this
gives the numbers that they give by themselves, bit for bit (tests/test_one_call.py).

    td_error (critic) ──► modulation ──► post_of (rule) ──► step (optimiser)        of factors of one row
                                    └──► add (of a journal), along (optimiser)     of eligibilities over events
"""

from __future__ import annotations

import ctypes
import functools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.events.journal import EventEligibility
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics.linear_td import CompiledTD
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.rules import Rule
from rwta_sim.learning.updater import Updater
from rwta_sim.native import Piece, address, native_function

__all__ = ["OneCall", "one_call"]

_POINTER, _NUMBER, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class _Learning(ctypes.Structure):
    """As in one_call.cpp."""

    _fields_: ClassVar = [
        *((name, _POINTER) for name in ("td_error", "critic", "post_of", "rule", "step", "optimiser")),
        *((name, _POINTER) for name in ("along", "add", "creditor")),
        *((name, _NUMBER) for name in ("neurons", "traced", "action", "probabilities")),
        ("post", _POINTER),
        ("told", _REAL),
        ("modulation", _REAL),
    ]


@functools.cache
def _native(name: str) -> Any | None:
    """The compiled function, or None where there is no compiler."""
    arguments = [*[_POINTER] * 4, _NUMBER, _REAL, _NUMBER, _REAL, _REAL]
    return native_function(Path(__file__).with_suffix(".cpp"), f"learn_{name}", *arguments)


def one_call(weights: Weights, credit: Credit, rule: Rule, updater: Updater, eligibilities: bool) -> OneCall | None:
    """One, if all that has a part in an update has a compiled piece, and a TD error is applied as it is: neither at the
    end of an episode, nor to the wrong decisions, nor to what earlier decisions left.

    Parameters
    ----------
    weights : Weights
        That learn.
    credit, rule, updater
        Of their learner.
    eligibilities : bool
        Whether decisions tell eligibilities, in place of factors that the rule makes.
    """
    critic, at_once = credit.critic.compiled, credit.online and not credit.shuffled and rule.carry == 0
    if not at_once or critic is None or updater.shortcut is None:
        return None
    kind = _Along if eligibilities else _OfRows
    pieces = kind.pieces(weights, rule, updater)
    if pieces is None or _native(kind.name) is None:
        return None
    return kind(weights, critic, rule, updater, pieces)


class OneCall(ABC):
    """Learns from decisions that compiled code has read out, each at once.

    Parameters
    ----------
    weights : Weights
    critic : CompiledTD
    rule : Rule
    updater : Updater
    pieces : dict of Piece
        By the names of their functions and states in one_call.cpp.
    """

    name: ClassVar[str]

    def __init__(
        self,
        weights: Weights,
        critic: CompiledTD,
        rule: Rule,
        updater: Updater,
        pieces: dict[tuple[str, str], Piece],
    ) -> None:
        function = _native(self.name)
        assert function is not None  # what `one_call` has asked
        self._function = function
        self._critic, self._rule, self._updater = critic, rule, updater
        network = weights.network
        self._post = np.zeros(network.n_neurons)
        pieces = {**pieces, ("td_error", "critic"): critic.piece}
        self._keep = pieces  # their memory is used
        where = {function: piece.function for (function, _), piece in pieces.items()}
        where |= {state: piece.state for (_, state), piece in pieces.items()}
        self._learning = _Learning(
            neurons=network.n_neurons,
            traced=network.n_inputs if network.spec.inputs == "spikes" else 0,
            action=network.action.start,
            probabilities=rule.reads_probabilities,
            post=address(self._post),
            **where,
        )
        self._at = ctypes.addressof(self._learning)

    @classmethod
    @abstractmethod
    def pieces(cls, weights: Weights, rule: Rule, updater: Updater) -> dict[tuple[str, str], Piece] | None:
        """What it is made of, or None if something is missing."""

    @abstractmethod
    def _reads(self, decision: Decision) -> int | None:
        """Where that is which it reads of a decision besides its rows; None: this one has to go another way."""

    def learn(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rate: float, entropy: float
    ) -> tuple[float, float] | None:
        """Change the weights; returns the TD error and the modulation, or None for a decision of which compiled code
        does not know all, and from which nothing was learned.

        Parameters
        ----------
        decision : Decision
        reward, features, terminated
            Of the transition that followed.
        rate, entropy : float
            Learning rate, and weight of the policy entropy.
        """
        if decision.rows is None or (read := self._reads(decision)) is None:
            return None
        at, _kept = self._critic.where(features)
        told = self._learning
        where = self._at, address(decision.rows), read, at
        self._function(*where, decision.action, reward, terminated, entropy, rate)
        self._updater.keep_signs()
        return told.told, told.modulation


class _OfRows(OneCall):
    """Factors of one row."""

    name = "at_once"

    @classmethod
    def pieces(cls, weights: Weights, rule: Rule, updater: Updater) -> dict[tuple[str, str], Piece] | None:
        if rule.piece is None or updater.shortcut is None:
            return None
        return {("post_of", "rule"): rule.piece, ("step", "optimiser"): updater.shortcut.piece}

    def _reads(self, decision: Decision) -> int | None:
        by_drive = self._learning.probabilities or not self._learning.traced
        return address(decision.drive) if by_drive else 0


class _Along(OneCall):
    """Eligibilities over events."""

    name = "along"

    @classmethod
    def pieces(cls, weights: Weights, rule: Rule, updater: Updater) -> dict[tuple[str, str], Piece] | None:
        shortcut, add = updater.shortcut, weights.credits
        if shortcut is None or shortcut.along is None or add is None:
            return None
        return {("along", "optimiser"): shortcut.along, ("add", "creditor"): add}

    def _reads(self, decision: Decision) -> int | None:
        eligibility, shortcut = decision.eligibility, self._updater.shortcut
        if not isinstance(eligibility, EventEligibility) or shortcut is None or self._rule.choice(decision) is not None:
            return None
        ((journal, _),) = eligibility.parts
        return eligibility.creditor.tell(journal, shortcut.grown)
