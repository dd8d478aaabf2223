"""`MeanField`: what the circuits of a network settle to, without spikes, and the gradients of that, in NumPy.

The potential of a spiking neuron is ``u_i = b_i + sum_j w_ji x_j``, and its trace x_j estimates the firing probability
q_j (of an input: its drive s_j). Replacing every trace by what it estimates gives the mean field of *the same weights*:

    q = softmax within each circuit of u,   u = b + W_s^T s + W_r^T q                              (1)

For symmetric weights w among hidden and action neurons this is the mean-field equation of SVPG (Yang, Guo, Fang and Liu
2022, arXiv 2210.13225) with the energy ``E(v) = 1/2 v^T w v + s^T w_s v + b^T v``. The paper writes ``v^T W v`` and
gets ``2 W`` in its potentials: a weight w among hidden and action neurons here is the paper's 2W; weights from
inputs and biases are the paper's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from rwta_sim.circuit.wiring import Wiring
from rwta_sim.settings import PositiveFloat, PositiveInt, Settings

__all__ = ["Inference", "MeanField", "MeanFieldSpec", "RowGenerators"]


class MeanFieldSpec(Settings):
    """How the fixed point of the mean-field equations is looked for."""

    iterations: PositiveInt = Field(50, description="iterations of the mean-field equations at the most")
    tolerance: PositiveFloat = Field(1e-4, description="converged when an iteration changes q by less than this, mean")
    damping: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="part of the old q that an iteration keeps; above 0, weights that oscillate converge"
    )
    noise: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="standard deviation of the noise on q and on the inputs at every iteration, clipped to [0, 1]"
    )
    start: Literal["uniform", "noise"] = Field("uniform", description="q at the start: uniform, or softmax of noise")
    published_code: bool = Field(
        False,
        description="infer as the published code of SVPG does, whatever the settings above: from the softmax of "
        "noise, noise 0.02, also at test, tolerance 0.005, 50 iterations, no damping",
    )

    def effective(self) -> MeanFieldSpec:
        """The settings that are used: these, or those of the published code."""
        if not self.published_code:
            return self
        return MeanFieldSpec(iterations=50, tolerance=0.005, damping=0.0, noise=0.02, start="noise")


class Inference(NamedTuple):
    """Result of `MeanField.infer`, row by row.

    Attributes
    ----------
    q : shape (rows, n_neurons)
        Firing probabilities within each circuit.
    iterations : shape (rows,)
    converged : shape (rows,)
        Whether the last iteration changed q by less than the tolerance. If not, q is where the iterations
        ended: the equations may oscillate, and then it is no fixed point.
    residual : shape (rows,)
        Mean |change| of q by the last iteration, before damping.
    """

    q: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    residual: np.ndarray


class RowGenerators:
    """Standard normal numbers for rows that have a generator each, whatever rows there are beside.

    Parameters
    ----------
    generators : sequence of numpy.random.Generator
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = generators

    def of(self, rows: np.ndarray) -> RowGenerators:
        """Those of the rows where a mask is true."""
        return RowGenerators([g for g, kept in zip(self._generators, rows, strict=True) if kept])

    def standard_normal(self, shape: tuple[int, ...], dtype: type[np.float32]) -> np.ndarray:
        """Of this shape, as many rows as generators."""
        numbers = np.empty(shape, dtype)
        for generator, row in zip(self._generators, numbers, strict=True):
            generator.standard_normal(out=row, dtype=dtype)
        return numbers


class MeanField:
    """The mean field of networks with this wiring.

    Parameters
    ----------
    wiring : Wiring
    spec : MeanFieldSpec
    dtype : numpy float type
        In which all is computed.
    """

    def __init__(self, wiring: Wiring, spec: MeanFieldSpec | None = None, dtype: Any = np.float32) -> None:
        self.wiring = wiring
        self.spec = (spec or MeanFieldSpec()).effective()
        self.dtype = np.dtype(dtype)
        self._inputs = [p for p in wiring.projections if p.origin == "inputs"]
        self._recurrent = [p for p in wiring.projections if p.origin == "neurons"]
        #: Where neighbouring circuits of one size are, how many, and their size.
        self._circuits = [
            (slice(int(wiring.starts[first]), int(wiring.starts[end])), end - first, int(size))
            for first, end, size in wiring.runs()
        ]
        self._uniform = (1.0 / np.diff(wiring.starts)[wiring.circuit]).astype(self.dtype)

    # -- forward -------------------------------------------------------------------------------------

    def infer(
        self,
        drive: np.ndarray,
        weights: Mapping[str, np.ndarray],
        b: np.ndarray,
        rng: np.random.Generator | RowGenerators | None = None,
    ) -> Inference:
        """Iterate equation (1) for every row of `drive`.

        A row is left alone once it has converged, so what comes of it does not depend on the other rows (without
        noise; and to rounding, for matrix products round differently with the number of rows).

        Parameters
        ----------
        drive : ndarray, shape (rows, n_inputs)
            In [0, 1].
        weights : mapping of ndarray
            By projection name, in the `Projection.weights_shape`.
        b : ndarray, shape (n_neurons,)
        rng : numpy.random.Generator or RowGenerators, optional
            Needed for noise only. With a generator for every row, noise of a row does not depend on the others either.

        Raises
        ------
        ValueError
            For a drive of another shape, or noise without `rng`.
        """
        s, rows = self._checked(drive, rng), len(drive)
        weights = {name: np.asarray(w, dtype=self.dtype) for name, w in weights.items()}
        b = np.asarray(b, dtype=self.dtype)
        result = Inference(
            self._start(rows, rng), np.zeros(rows, np.int64), np.zeros(rows, bool), np.full(rows, np.inf, self.dtype)
        )
        active, q, constant = np.arange(rows), result.q, self._from_inputs(s, weights) + b
        for iteration in range(1, self.spec.iterations + 1):
            if self.spec.noise:
                assert rng is not None
                constant = self._from_inputs(self._noisy(s[active], rng), weights) + b
                u = constant + self._from_neurons(self._noisy(q, rng), weights)
            else:
                u = constant + self._from_neurons(q, weights)
            new, change, done = self._step(q, u)
            result.q[active], result.residual[active] = new, change
            result.iterations[active], result.converged[active] = iteration, done
            if done.all():
                break
            q = new
            if done.any():
                active, q, constant = active[~done], q[~done], constant[~done]
                rng = rng.of(~done) if isinstance(rng, RowGenerators) else rng
        return result

    def _checked(self, drive: np.ndarray, rng: np.random.Generator | RowGenerators | None) -> np.ndarray:
        """The drive in the precision of the inference; raises as `infer`."""
        if rng is None and (self.spec.noise or self.spec.start == "noise"):
            raise ValueError("inference with noise needs a random generator: pass rng")
        s = np.asarray(drive, dtype=self.dtype)
        if s.ndim != 2 or s.shape[1] != self.wiring.n_inputs:
            raise ValueError(f"drive of shape {s.shape}, expected (rows, {self.wiring.n_inputs})")
        return s

    def _step(self, q: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next q with the potentials u, the mean change of each row, and which rows have converged."""
        new = self.softmax(u)
        change = np.abs(new - q).mean(axis=1)
        done = change < self.spec.tolerance
        if self.spec.damping:
            new += np.where(done, 0.0, self.spec.damping)[:, None].astype(self.dtype) * (q - new)
        return new, change, done

    def respond(
        self, drive: np.ndarray, traces: np.ndarray, weights: Mapping[str, np.ndarray], b: np.ndarray
    ) -> np.ndarray:
        """q of neurons that receive given traces: equation (1) once, with them in place of q.

        Parameters
        ----------
        drive, traces : ndarray, shapes (rows, n_inputs), (rows, n_neurons)
        weights, b
            As for `infer`.

        Returns
        -------
        ndarray, shape (rows, n_neurons)
        """
        weights = {name: np.asarray(w, dtype=self.dtype) for name, w in weights.items()}
        s, x = (np.asarray(values, dtype=self.dtype) for values in (drive, traces))
        u = self._from_inputs(s, weights) + np.asarray(b, dtype=self.dtype)
        return self.softmax(u + self._from_neurons(x, weights))

    def softmax(self, u: np.ndarray) -> np.ndarray:
        """exp(u) normalised within each circuit; shapes (rows, n_neurons)."""
        q = np.empty_like(u)
        for where, number, size in self._circuits:
            inside = u[:, where].reshape(len(u), number, size)
            part = inside - _largest(inside)[..., None]
            np.exp(part, out=part)
            part /= _sums(part)[..., None]
            q[:, where] = part.reshape(len(u), number * size)
        return q

    def sample(self, q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One winner per circuit drawn from q; shapes (rows, n_neurons), one-hot per circuit."""
        v = np.zeros_like(q)
        for where, number, size in self._circuits:
            below = q[:, where].reshape(len(q), number, size).cumsum(axis=-1, dtype=float)
            draw = rng.random((len(q), number, 1)) * below[..., -1:]
            reached = below > draw
            reached[..., -1] = True
            reached[..., 1:] &= ~reached[..., :-1]  # the first one: all before it are not reached
            v[:, where] = reached.reshape(len(q), number * size)
        return v

    def _from_inputs(self, s: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        u = np.zeros((len(s), self.wiring.n_neurons), self.dtype)
        for p in self._inputs:
            u[:, p.target] += p.forwards(s[:, p.source], weights[p.name])
        return u

    def _from_neurons(self, q: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        u = np.zeros_like(q)
        for p in self._recurrent:
            u[:, p.target] += p.forwards(q[:, p.source], weights[p.name])
        return u

    def _start(self, rows: int, rng: np.random.Generator | RowGenerators | None) -> np.ndarray:
        if self.spec.start == "uniform":
            return np.tile(self._uniform, (rows, 1))
        assert rng is not None
        return self.softmax(rng.standard_normal((rows, self.wiring.n_neurons), np.float32).astype(self.dtype))

    def _noisy(self, values: np.ndarray, rng: np.random.Generator | RowGenerators) -> np.ndarray:
        noisy = rng.standard_normal(values.shape, np.float32).astype(self.dtype, copy=False)
        noisy *= self.dtype.type(self.spec.noise)
        noisy += values
        np.maximum(noisy, 0.0, out=noisy)
        return np.minimum(noisy, 1.0, out=noisy)

    # -- gradients -----------------------------------------------------------------------------------

    def policy_score(self, q: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """d ln q_action / du at the action circuit, ``v - q``, and zero elsewhere; shape (rows, n_neurons).

        Parameters
        ----------
        q : ndarray, shape (rows, n_neurons)
        actions : ndarray of int, shape (rows,)
        """
        score = np.zeros_like(q)
        where = self.wiring.action
        score[:, where] = -q[:, where]
        score[np.arange(len(q)), where.start + np.asarray(actions)] += 1.0
        return score

    def entropy_score(self, q: np.ndarray) -> np.ndarray:
        """dH/du of the policy entropy H at the action circuit, ``-q (ln q + H)``; shape (rows, n_neurons)."""
        score = np.zeros_like(q)
        policy = q[:, self.wiring.action]
        logs = _log(policy)
        entropy = -(policy * logs).sum(axis=1, keepdims=True)
        score[:, self.wiring.action] = -policy * (logs + entropy)
        return score

    def entropy_of_taken(self, q: np.ndarray, v: np.ndarray) -> np.ndarray:
        """dH/d ln pi of the actions in `v`, ``-pi (ln pi + H)``: their parts of `entropy_score`; shape (rows,).

        Parameters
        ----------
        q, v : ndarray, shape (rows, n_neurons)
            v one-hot in the action circuit.
        """
        where = self.wiring.action
        chosen = (q[:, where] * v[:, where]).sum(axis=1)
        return np.asarray(-chosen * (_log(chosen) + self.entropy(q)))

    def entropy(self, q: np.ndarray) -> np.ndarray:
        """Entropy of the action circuit's q (nats); shape (rows,)."""
        policy = q[:, self.wiring.action]
        return np.asarray(-(policy * _log(policy)).sum(axis=1))

    def adjoint(
        self, q: np.ndarray, score: np.ndarray, weights: Mapping[str, np.ndarray], depth: int = 1
    ) -> np.ndarray:
        """What the potentials of *all* mean-field steps did to a function of the last one: the postsynaptic factors.

        With ``score = dL/du`` at the last step, ``lambda_1 = score`` and ``lambda_{i+1} = J W lambda_i`` are dL/du one
        step earlier each, ``J = diag(q) - q q^T`` within each circuit. At a fixed point every step has the same q, so
        the gradient for the weight from j to k is ``pre_j (lambda_1 + ... + lambda_depth)_k``, pre_j being q_j or s_j.
        Depth 1 is the last-step approximation of SVPG; the limit is the exact gradient through the fixed point,
        ``(I - J W)^-1 score`` (recurrent backpropagation: Almeida 1987; Pineda 1987), where the series converges. It
        does where the undamped iterations of `infer` do, nearby; damping is applied here too.

        Parameters
        ----------
        q, score : ndarray, shapes (rows, n_neurons)
        weights : mapping of ndarray
            As for `infer`.
        depth : int
            Mean-field steps that are gone through backwards; ends earlier where more would change nothing.

        Returns
        -------
        ndarray, shape (rows, n_neurons)
        """
        # Not those of the inputs, which may be many.
        weights = {p.name: np.asarray(weights[p.name], dtype=self.dtype) for p in self._recurrent}
        total, last = score, depth - 2
        enough = 10 * np.finfo(self.dtype).eps * np.abs(score).max(initial=0.0) if last > 0 else 0.0
        for step in range(depth - 1):
            back = np.zeros(score.shape, score.dtype)
            for p in self._recurrent:
                back[:, p.source] += p.backwards(total[:, p.target], weights[p.name])
            new = score + self._jacobian(q, back)
            settled = step < last and np.abs(new - total).max(initial=0.0) <= enough
            if self.spec.damping:
                new += self.dtype.type(self.spec.damping) * (total - new)
            total = new
            if settled:
                break
        return total

    def _jacobian(self, q: np.ndarray, g: np.ndarray) -> np.ndarray:
        """J g with J = diag(q) - q q^T within each circuit, for each row."""
        result = q * g
        for where, number, size in self._circuits:
            inside = result[:, where].reshape(len(q), number, size)
            part = q[:, where].reshape(inside.shape) * _sums(inside)[..., None]
            result[:, where] -= part.reshape(len(q), number * size)
        return result


def _log(policy: np.ndarray) -> np.ndarray:
    """ln, of 0 a finite number: q ln q is then 0, as it should be."""
    return np.log(np.maximum(policy, np.finfo(policy.dtype).tiny))


# NumPy is slow at reductions over a short last axis: of many short rows, these are 4 to 10 times faster.


def _largest(x: np.ndarray) -> np.ndarray:
    if x.size < 1000:
        return np.asarray(x.max(axis=-1))
    largest = x[..., 0].copy()
    for k in range(1, x.shape[-1]):
        np.maximum(largest, x[..., k], out=largest)
    return largest


def _sums(x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ _ones(x.shape[-1], x.dtype))


@functools.lru_cache(maxsize=64)
def _ones(size: int, dtype: np.dtype) -> np.ndarray:
    ones = np.ones(size, dtype)
    ones.flags.writeable = False
    return ones
