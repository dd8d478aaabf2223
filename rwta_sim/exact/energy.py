"""`ExactNetwork`: the energy model of SVPG by enumeration of its states."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Wiring
from rwta_sim.exact._common import by_projection, check_count, check_vector, whole_matrices, winners

__all__ = ["ExactNetwork"]


class ExactNetwork:
    """The distribution that a mean field approximates, by brute force.

    States v are one-hot per circuit. Given the drive s of the inputs,

        p(v | s) = exp E(v, s) / Z(s),   E(v, s) = 1/2 v^T w v + s^T w_s v + b^T v

    and the policy pi(a | s) is its sum over the hidden v: Yang, Guo, Fang and Liu 2022 (arXiv 2210.13225), whose
    ``v^T W v`` is this with w = 2W among hidden and action neurons.

    Parameters
    ----------
    wiring : Wiring
    weights : mapping of ndarray
        By projection name, shape (n_source, n_target). Copied.
    b : ndarray, shape (n_neurons,)

    Attributes
    ----------
    states : ndarray, shape (n_states, n_neurons)
        All of them, 1.0 for the winner of each circuit.

    Raises
    ------
    ValueError
        For more than 2**18 states, wrong shapes, or weights among neurons that are not symmetric: they have no energy.
    """

    def __init__(self, wiring: Wiring, weights: Mapping[str, np.ndarray], b: np.ndarray) -> None:
        sizes = np.diff(wiring.starts).tolist()
        check_count(math.prod(sizes), "states", "take fewer or smaller circuits")
        self.wiring = wiring
        self._from_inputs, self._among, self._b = whole_matrices(wiring, weights, b)
        if not np.array_equal(self._among, self._among.T):
            raise ValueError(
                "weights among hidden and action neurons are not symmetric, so there is no energy: "
                "use symmetric weights, or ExactProcess for the spiking network"
            )
        winning = winners(sizes) + wiring.starts[:-1]
        self.states = np.zeros((len(winning), wiring.n_neurons))
        np.put_along_axis(self.states, winning, 1.0, axis=1)
        self._actions = winning[:, -1] - wiring.action.start

    def energy(self, drive: np.ndarray) -> np.ndarray:
        """E of every state for a drive of shape (n_inputs,); shape (n_states,)."""
        s = check_vector(drive, self.wiring.n_inputs, "drive")
        pairs = 0.5 * ((self.states @ self._among) * self.states).sum(axis=1)
        return np.asarray(pairs + self.states @ (s @ self._from_inputs + self._b))

    def log_z(self, drive: np.ndarray) -> float:
        """ln Z(s); minus the free energy."""
        energy = self.energy(drive)
        highest = float(energy.max())
        return highest + math.log(np.exp(energy - highest).sum())

    def distribution(self, drive: np.ndarray) -> np.ndarray:
        """p(v | s) of every state; shape (n_states,)."""
        return np.asarray(np.exp(self.energy(drive) - self.log_z(drive)))

    def marginals(self, drive: np.ndarray) -> np.ndarray:
        """p(v_i = 1 | s); shape (n_neurons,)."""
        return np.asarray(self.distribution(drive) @ self.states)

    def policy(self, drive: np.ndarray) -> np.ndarray:
        """pi(a | s); shape (n_actions,)."""
        return self.marginals(drive)[self.wiring.action]

    def kl(self, q: np.ndarray, drive: np.ndarray) -> float:
        """KL(q || p), in nats, of a distribution in which circuits are independent.

        Parameters
        ----------
        q : ndarray, shape (n_neurons,)
            Probabilities that sum to 1 in each circuit.
        drive : ndarray, shape (n_inputs,)

        Raises
        ------
        ValueError
            If they do not.
        """
        q = check_vector(q, self.wiring.n_neurons, "q")
        sums = np.add.reduceat(q, self.wiring.starts[:-1])
        if (q < 0).any() or np.abs(sums - 1).max() > 1e-6:
            raise ValueError(f"q must be probabilities that sum to 1 in each circuit; the sums are {sums}")
        joint = np.where(self.states > 0, q, 1.0).prod(axis=1)
        there = joint > 0
        log_ratio = np.log(joint[there]) - self.energy(drive)[there] + self.log_z(drive)
        return float(joint[there] @ log_ratio)

    def policy_gradient(self, drive: np.ndarray, advantage: np.ndarray) -> dict[str, np.ndarray]:
        """Derivative of ``sum_a pi(a | s) A(a)``: the covariances of A with the terms of the energy.

        ``d/dw_ij = E[A v_i v_j] - E[A] E[v_i v_j]``, the weight and its mirror image being one parameter,
        ``d/dw_sj = s (E[A v_j] - E[A] E[v_j])``, ``d/db_j`` the same without s.

        Parameters
        ----------
        drive : ndarray, shape (n_inputs,)
        advantage : ndarray, shape (n_actions,)

        Returns
        -------
        dict of ndarray
            By projection name, and "b".
        """
        a = check_vector(advantage, self.wiring.n_actions, "advantage")
        p, a_of_state = self.distribution(drive), a[self._actions]
        centred = p * (a_of_state - p @ a_of_state)
        single = centred @ self.states
        pairs = self.states.T @ (centred[:, None] * self.states)
        s = np.asarray(drive, dtype=float)
        return by_projection(self.wiring, np.outer(s, single), pairs, single)
