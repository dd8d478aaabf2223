"""`ExactProcess`: a decision of a spiking network by enumeration of every spike history."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.evidence import History
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.exact._common import by_projection, check_count, check_plain, check_vector, whole_matrices, winners
from rwta_sim.learning.decision import Decision

__all__ = ["ExactProcess"]


class ExactProcess:
    """What a spiking network does in one decision from cleared traces, with the probability of each way it can go.

    In step t the potentials are ``u(t) = b + sum_l kappa(l) (w_s^T S_in(t - l) + w^T S(t - l))``, q(t) is their softmax
    within each circuit, and the spikes of the step are drawn: in one_hot firing one winner per circuit, in poisson
    firing each neuron with probability ``1 - exp(-rho_hat dt q)``; inputs with their own probability. Enumeration
    takes nothing from the simulator, from which it is independent.

    Parameters
    ----------
    wiring : Wiring
    weights : mapping of ndarray
        By projection name, shape (n_source, n_target). Copied.
    b : ndarray, shape (n_neurons,)
    drive : ndarray, shape (n_inputs,)
        In [0, 1]. A drive of 0, and in one_hot firing of 1, leaves nothing to chance: fewer histories.
    steps : int
        In a decision.
    decoder : {"last_spike", "most_spikes"}
        As in `rwta_sim.circuit.decision.choose_action`.

    Attributes
    ----------
    probability : ndarray, shape (histories,)
    history : History
        With a further axis in front: ``history.q`` has shape (histories, steps, n_neurons).
    action_chances : ndarray, shape (histories, n_actions)
        P(action | history): one-hot but where the decoder has to draw.

    Raises
    ------
    ValueError
        For more than 2**18 histories, wrong shapes, or a drive outside [0, 1].
    """

    def __init__(
        self,
        wiring: Wiring,
        weights: Mapping[str, np.ndarray],
        b: np.ndarray,
        drive: np.ndarray,
        steps: int,
        decoder: Decoder = "last_spike",
    ) -> None:
        check_plain(wiring.spec)
        self.wiring, self.steps, self.decoder = wiring, steps, decoder
        self.drive = check_vector(drive, wiring.n_inputs, "drive")
        if (self.drive < 0).any() or (self.drive > 1).any():
            raise ValueError(f"drive = {self.drive}: expected numbers in [0, 1]")
        if steps < 1:
            raise ValueError(f"steps = {steps}: a decision has at least one")
        self._poisson = wiring.spec.firing == "poisson"
        self._per_step = wiring.spec.spikes_per_step
        self._from_inputs, self._among, self._b = whole_matrices(wiring, weights, b)
        self._check_size()
        self._enumerate()
        self.action_chances, self._asked = self._decode()

    # -- enumeration ---------------------------------------------------------------------------------

    def _check_size(self) -> None:
        p = self._input_probability()
        sizes = np.diff(self.wiring.starts).astype(float)
        in_step = 2.0 ** ((p > 0) & (p < 1)).sum() * (2.0**self.wiring.n_neurons if self._poisson else sizes.prod())
        count = float(in_step) ** min(self.steps, 1000) if in_step < 1e300 else float("inf")
        check_count(count, "histories", "take fewer steps, fewer or smaller circuits, or inputs of 0 or 1")

    def _input_probability(self) -> np.ndarray:
        """Of a spike in a step; shape (n_inputs,). Inputs that are currents have none."""
        spec = self.wiring.spec
        return np.zeros_like(self.drive) if spec.inputs == "current" else spec.input_probability(self.drive)

    def _input_outcomes(self) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of the inputs in a step, shape (ways, n_inputs), and the probability of each way."""
        p = self._input_probability()
        choices = [[1.0] if x == 1 else [0.0] if x == 0 else [0.0, 1.0] for x in p]
        spikes = np.array(list(itertools.product(*choices)))
        return spikes, np.where(spikes > 0, p, 1 - p).prod(axis=1)

    def _neuron_outcomes(self) -> np.ndarray:
        """Spikes of the neurons that are possible in a step; shape (ways, n_neurons)."""
        if self._poisson:
            return winners([2] * self.wiring.n_neurons).astype(float)
        winning = winners(np.diff(self.wiring.starts).tolist()) + self.wiring.starts[:-1]
        spikes = np.zeros((len(winning), self.wiring.n_neurons))
        np.put_along_axis(spikes, winning, 1.0, axis=1)
        return spikes

    def _chances(self, q: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
        """P(outcome) given q; shape (histories, outcomes)."""
        yes, no = q[:, None, :], np.ones(1)
        if self._poisson:
            yes, no = -np.expm1(-self._per_step * yes), np.exp(-self._per_step * yes)
        return np.asarray(np.where(outcomes > 0, yes, no).prod(axis=2))

    def _softmax(self, u: np.ndarray) -> np.ndarray:
        largest = np.maximum.reduceat(u, self.wiring.starts[:-1], axis=-1)[..., self.wiring.circuit]
        e = np.exp(u - largest)
        return np.asarray(e / self.wiring.circuit_sum(e))

    def _enumerate(self) -> None:
        spec = self.wiring.spec
        kappa = spec.kernel.values(self.steps, spec.dt, spec.circuit_rate)
        s_out, s_chance = self._input_outcomes()
        v_out = self._neuron_outcomes()
        ways = len(s_out) * len(v_out)
        probability = np.ones(1)
        rows = {name: np.zeros((1, 0, self.wiring.n_inputs)) for name in ("input_trace", "input_spikes")}
        rows |= {name: np.zeros((1, 0, self.wiring.n_neurons)) for name in ("trace", "spikes", "q")}
        for t in range(self.steps):
            felt = kappa[:t][::-1]  # of spikes of steps 0, 1, ..., t - 1
            if spec.inputs == "current":
                x_in = np.tile(self.drive, (len(probability), 1))
            else:
                x_in = np.einsum("l,hlj->hj", felt, rows["input_spikes"])
            x = np.einsum("l,hlj->hj", felt, rows["spikes"])
            q = self._softmax(self._b + x_in @ self._from_inputs + x @ self._among)
            chance = s_chance[None, :, None] * self._chances(q, v_out)[:, None, :]
            count = len(probability)
            new = {
                "input_trace": np.repeat(x_in, ways, axis=0),
                "input_spikes": np.tile(np.repeat(s_out, len(v_out), axis=0), (count, 1)),
                "trace": np.repeat(x, ways, axis=0),
                "spikes": np.tile(v_out, (count * len(s_out), 1)),
                "q": np.repeat(q, ways, axis=0),
            }
            rows = {
                name: np.concatenate([np.repeat(rows[name], ways, axis=0), now[:, None, :]], axis=1)
                for name, now in new.items()
            }
            probability = (probability[:, None] * chance.reshape(count, ways)).ravel()
        self.probability = probability
        self.history = History(**rows)

    # -- decoding ------------------------------------------------------------------------------------

    def _decode(self) -> tuple[np.ndarray, np.ndarray]:
        """P(action | history), and where the action circuit was silent, so that the action is drawn from q."""
        spikes = self.history.spikes[:, :, self.wiring.action]
        if self.decoder == "last_spike":
            score = self._last(spikes)
        else:
            counts = spikes.sum(axis=1)
            score = ((counts == counts.max(axis=1, keepdims=True)) & (counts > 0)).astype(float)
        silent = np.asarray(~score.any(axis=1))
        score[silent] = self.history.q[silent, -1, self.wiring.action]
        return score / score.sum(axis=1, keepdims=True), silent

    @staticmethod
    def _last(spikes: np.ndarray) -> np.ndarray:
        """Who fired in the last step in which one of them did; shapes (histories, steps, n) and (histories, n)."""
        silent = ~spikes[:, ::-1].any(axis=2)
        back = np.argmin(silent, axis=1)  # 0, a silent step, if all are silent
        return np.array(spikes[np.arange(len(spikes)), -1 - back])

    # -- what follows --------------------------------------------------------------------------------

    def policy(self) -> np.ndarray:
        """P(action); shape (n_actions,)."""
        return np.asarray(self.probability @ self.action_chances)

    def marginals(self) -> np.ndarray:
        """Mean firing probabilities at the last step; shape (n_neurons,)."""
        return np.asarray(self.probability @ self.history.q[:, -1])

    def gradient(self, advantage: np.ndarray) -> dict[str, np.ndarray]:
        """Derivative of E[A(action)] for every weight: the sum over histories of P(history) A score(history).

        Parameters
        ----------
        advantage : ndarray, shape (n_actions,)

        Returns
        -------
        dict of ndarray
            By projection name, and "b". Where weights are symmetric, a weight and its mirror image are one parameter.
        """
        a = check_vector(advantage, self.wiring.n_actions, "advantage")
        expected = self.action_chances @ a
        post = (self.probability * expected)[:, None, None] * self._score()
        # Where the action was drawn from q at the end, so was that draw part of the history.
        drawn = self.action_chances * (a - expected[:, None])
        post[self._asked, -1, self.wiring.action] += (self.probability[:, None] * drawn)[self._asked]
        from_inputs = np.einsum("htj,htk->jk", self.history.input_trace, post)
        among = np.einsum("htj,htk->jk", self.history.trace, post)
        if self.wiring.spec.symmetric:
            among = among + among.T
        return by_projection(self.wiring, from_inputs, among, post.sum(axis=(0, 1)))

    def _score(self) -> np.ndarray:
        """d ln P(spikes of the step) / du; shape (histories, steps, n_neurons)."""
        spikes, q = self.history.spikes, self.history.q
        if not self._poisson:
            return np.asarray(spikes - q)
        y = self._per_step * q
        with np.errstate(divide="ignore", invalid="ignore"):
            per_y = np.where(spikes > 0, 1 / np.expm1(y), -1.0)  # d ln P / dy
            slope = np.where(y > 0, y * per_y, np.where(spikes > 0, 1.0, 0.0))
        return np.asarray(slope - q * self.wiring.circuit_sum(slope))

    def decisions(self) -> Iterator[tuple[float, Decision]]:
        """Every decision that is possible, as a learning rule sees it, with its probability."""
        last = self._last_spikes()
        where = self.wiring.action
        for h, chances in enumerate(self.action_chances):
            history = History(*(np.asarray(rows)[h] for rows in self.history))
            policy = history.q[-1, where]
            entropy = float(-(policy[policy > 0] * np.log(policy[policy > 0])).sum())
            for action in np.flatnonzero(chances * self.probability[h]):
                v = last[h].copy()
                v[where] = np.arange(self.wiring.n_actions) == action
                decision = Decision(
                    drive=self.drive,
                    input_trace=np.asarray(history.input_trace)[-1],
                    trace=np.asarray(history.trace)[-1],
                    q=history.q[-1],
                    v=v,
                    spoke=self.wiring.circuit_sum(v).clip(max=1.0),
                    action=int(action),
                    policy=policy,
                    policy_entropy=entropy,
                    history=history,
                )
                yield float(self.probability[h] * chances[action]), decision

    def _last_spikes(self) -> np.ndarray:
        """Who fired last in each circuit, neurons of the same step sharing the one; shape (histories, n_neurons)."""
        starts = self.wiring.starts
        parts = [self._last(self.history.spikes[:, :, low:high]) for low, high in itertools.pairwise(starts)]
        return np.concatenate([part / np.maximum(part.sum(axis=1, keepdims=True), 1.0) for part in parts], axis=1)
