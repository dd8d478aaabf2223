"""Is anybody home: what the winners of hidden circuits tell of actions and of what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rwta_sim.circuit.information import binned, entropy_bits, mutual_bits
from rwta_sim.loop.activity import Activity

__all__ = ["COLLAPSED", "Vitals", "collapse", "vital_signs"]

#: A circuit in which one neuron wins this share of all decisions has collapsed.
COLLAPSED = 0.95


@dataclass(frozen=True)
class Vitals:
    """Of each hidden circuit, from one activity.

    Attributes
    ----------
    winner_bits : ndarray, shape (circuits,)
        Entropy of who wins.
    action_bits : ndarray, shape (circuits,)
        Mutual information of the winner with the action.
    state_bits : ndarray, shape (circuits, n_features)
        And with each feature, in eight bins of about as many decisions each; one NaN where features are not noted.
    top_share : ndarray, shape (circuits,)
        Share of the decisions that the most frequent winner wins.
    """

    winner_bits: np.ndarray
    action_bits: np.ndarray
    state_bits: np.ndarray
    top_share: np.ndarray

    @classmethod
    def of(cls, activity: Activity) -> Vitals:
        winners = activity.winners + 1  # 0: nobody
        circuits = range(winners.shape[1])
        states = [binned(feature) for feature in activity.features.T]
        told = [[mutual_bits(winners[:, c], state) for state in states] for c in circuits]
        return cls(
            winner_bits=np.array([entropy_bits(winners[:, c]) for c in circuits]),
            action_bits=np.array([mutual_bits(winners[:, c], activity.actions) for c in circuits]),
            state_bits=np.array(told) if states else np.full((len(circuits), 1), np.nan),
            top_share=np.array([np.bincount(winners[:, c]).max() / len(winners) for c in circuits]),
        )

    def numbers(self) -> dict[str, float]:
        """Medians over circuits by name; of a circuit's features the one it tells most of."""
        parts = {
            "winner_bits": self.winner_bits,
            "action_bits": self.action_bits,
            "state_bits": self.state_bits.max(axis=1),
            "top_share": self.top_share,
        }
        return {name: float(np.median(values)) for name, values in parts.items()}


def collapse(vitals: Vitals, share: float = COLLAPSED) -> str | None:
    """A warning that names the circuits that have collapsed, and what helps; None if none has."""
    gone = np.flatnonzero(vitals.top_share >= share)
    if not gone.size:
        return None
    named = ", ".join(map(str, gone[:10])) + (", ..." if gone.size > 10 else "")
    return (
        f"{gone.size} of {vitals.top_share.size} hidden circuits have collapsed ({named}): one neuron wins at least "
        f"{share:.0%} of all decisions, so they tell nothing. What helps: no direct path around them "
        "(network.blocks without 'sa'), weight_sd > 0 on 'sh', a rule that credits hidden neurons (feedback, "
        "score_function), more learning.entropy, a lower learning.rate"
    )


def vital_signs(activity: Activity | None) -> dict[str, Any]:
    """What an evaluation says of its neurons, as plain JSON; None for what a system does not tell.

    Returns
    -------
    dict
        ``firing_rates``: mean and highest of the hidden and action neurons, each one's mean over all decisions, Hz.
        ``circuits``: `Vitals.numbers`, and `told_bits`, the median over circuits of the larger of what one tells of the
        action and of the feature it tells most of.
    """
    if activity is None:
        return {"firing_rates": None, "circuits": None}
    vitals, rates = Vitals.of(activity), activity.rates
    told = np.fmax(vitals.action_bits, vitals.state_bits.max(axis=1))
    numbers = {**vitals.numbers(), "told_bits": float(np.median(told))}
    return {
        "firing_rates": {"mean": float(rates.mean()), "highest": float(rates.max())} if rates.size else None,
        "circuits": {name: value if np.isfinite(value) else None for name, value in numbers.items()},
    }
