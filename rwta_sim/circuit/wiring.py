"""`Wiring`: which neurons there are, in which circuits, and which projections join them. No simulator needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from rwta_sim.circuit.equations import MAX_CIRCUIT_SIZE
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec

__all__ = ["WEIGHT_LIMIT", "Projection", "Weights", "Wiring", "sound"]

#: A weight beyond this could make the sum of a potential overflow.
WEIGHT_LIMIT = 1e100

Origin = Literal["inputs", "neurons"]


def sound(array: np.ndarray) -> bool:
    """Whether all numbers are finite and within `WEIGHT_LIMIT`."""
    return float(np.abs(array).max(initial=0)) <= WEIGHT_LIMIT  # also False for NaN


@dataclass(frozen=True)
class Projection:
    """All-to-all connections from `source` (neurons of `origin`) to `target`: one weight matrix.

    The weights have shape (n_source, n_target), in C order. `mask` is None, or a boolean array of that shape
    that is False where a weight is held at zero.
    """

    name: str
    origin: Origin
    source: slice
    target: slice
    mask: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.stop - self.source.start, self.target.stop - self.target.start

    def mirrors(self, other: Projection) -> bool:
        """Whether symmetric weights make `other` the transpose of this projection."""
        return self.origin == other.origin == "neurons" and self.source == other.target and self.target == other.source


class Wiring:
    """Neurons, circuits and projections of a network; what its weights have to look like.

    Parameters
    ----------
    spec : NetworkSpec
        The validated description.
    n_inputs, n_actions : int
        Numbers of input neurons and of neurons in the action circuit.
    rng : numpy.random.Generator, optional
        Draws which circuits are connected, and the stretches of the kernels, from generators that it spawns: its own
        numbers stay the same. Needed only if ``spec.random_structure``.

    Attributes
    ----------
    hidden, action : slice
        Where the hidden and the action neurons are among the neurons.
    inhibitory : slice
        Where those of the hidden neurons are that inhibit by Dale's law.
    n_neurons : int
        Hidden and action neurons.
    circuit : ndarray of int, shape (n_neurons,)
        Circuit of each neuron.
    starts : ndarray of int, shape (n_circuits + 1,)
        Circuit c is ``neurons[starts[c]:starts[c + 1]]``; the last circuit is the action circuit.
    projections : list of Projection
    stretch : dict of ndarray
        Factor by which the kernels of the "inputs" and "neurons" are longer than that of the spec.

    Raises
    ------
    ValueError
        For sizes that are not positive, a circuit too large for the inhibition or too small for the refractory time, or
        a random structure without `rng`.
    """

    def __init__(
        self, spec: NetworkSpec, n_inputs: int, n_actions: int, rng: np.random.Generator | None = None
    ) -> None:
        for name, size in (("n_inputs", n_inputs), ("n_actions", n_actions)):
            if size < 1:
                raise ValueError(f"{name} = {size}: expected a positive number of neurons")
        if n_actions > MAX_CIRCUIT_SIZE:
            raise ValueError(f"n_actions = {n_actions}: a circuit may have {MAX_CIRCUIT_SIZE} neurons at most")
        spec.check_refractory("n_actions", n_actions)
        self.spec = spec
        self.n_inputs = n_inputs
        self.n_actions = n_actions
        self.hidden = slice(0, spec.n_hidden)
        self.action = slice(spec.n_hidden, spec.n_hidden + n_actions)
        self.n_neurons = spec.n_hidden + n_actions
        sizes = [*spec.hidden_sizes, n_actions]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.circuit = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        self.inhibitory = slice(int(self.starts[spec.hidden_circuits - (spec.inhibitory or 0)]), spec.n_hidden)
        self._draw_structure(rng)
        self.projections = self._layout()

    def _draw_structure(self, rng: np.random.Generator | None) -> None:
        """Which inputs and circuits are connected to which circuits, and how far kernels are stretched."""
        spec, circuits = self.spec, len(self.starts) - 1
        sizes: dict[Origin, int] = {"inputs": self.n_inputs, "neurons": self.n_neurons}
        self.stretch = {origin: np.ones(size) for origin, size in sizes.items()}
        self._input_to: np.ndarray | None = None  # shape (n_inputs, n_circuits), False where not connected
        self._circuit_to: np.ndarray | None = None  # shape (n_circuits, n_circuits)
        if not spec.random_structure:
            return
        if rng is None:
            raise ValueError("sparsity, input_sparsity and tau_spread need a random generator: pass rng")
        # One generator for each option, so that none changes what another draws.
        for_pairs, for_inputs, for_stretch = rng.spawn(3)
        if spec.sparsity > 0:
            draw = for_pairs.random((circuits, circuits))
            self._circuit_to = (np.triu(draw) + np.triu(draw, 1).T if spec.symmetric else draw) >= spec.sparsity
        if spec.input_sparsity > 0:
            self._input_to = for_inputs.random((self.n_inputs, circuits)) >= spec.input_sparsity
        for origin, size in sizes.items():
            self.stretch[origin] = np.exp(spec.tau_spread * for_stretch.standard_normal(size))

    def runs(self) -> list[tuple[int, int, int]]:
        """Neighbouring hidden circuits of one size: first one, the one after the last, and size; then the action
        circuit."""
        sizes = np.diff(self.starts)
        edges = sorted({0, *(np.flatnonzero(np.diff(sizes)) + 1), sizes.size - 1, sizes.size})
        return [(int(first), int(end), int(sizes[first])) for first, end in pairwise(edges)]

    def circuit_sum(self, values: np.ndarray) -> np.ndarray:
        """For each neuron the sum over its circuit; shapes (..., n_neurons)."""
        total: np.ndarray = np.add.reduceat(values, self.starts[:-1], axis=-1)[..., self.circuit]
        return total

    def winners(self, counts: np.ndarray) -> np.ndarray:
        """Of each hidden circuit the neuron with the most spikes, counted from 0 within the circuit; of several the
        first, and -1 without a spike.

        Parameters
        ----------
        counts : ndarray, shape (n_neurons,)
        """
        found = [
            counts[self.starts[first] : self.starts[end]].reshape(end - first, size) for first, end, size in self.runs()
        ]
        best = [np.where(rows.any(axis=1), rows.argmax(axis=1), -1) for rows in found]
        return np.concatenate(best)[: self.spec.hidden_circuits]

    def _layout(self) -> list[Projection]:
        """The fewest all-to-all rectangles that cover the wanted blocks."""
        blocks, everyone = set(self.spec.present_blocks), slice(0, self.n_neurons)
        place = {"s": slice(0, self.n_inputs), "h": self.hidden, "a": self.action}
        rectangles: list[tuple[str, Origin, slice, slice]] = []
        if {"sh", "sa"} <= blocks:
            rectangles.append(("s", "inputs", place["s"], everyone))
            blocks -= {"sh", "sa"}
        if {"hh", "ha", "ah"} <= blocks:
            rectangles.append(("r", "neurons", everyone, everyone))
            blocks -= {"hh", "ha", "ah"}
        for block in BLOCKS:
            if block in blocks:
                origin: Origin = "inputs" if block[0] == "s" else "neurons"
                rectangles.append((block, origin, place[block[0]], place[block[1]]))
        return [Projection(*rectangle, self._mask(*rectangle[1:])) for rectangle in rectangles]

    def _mask(self, origin: Origin, source: slice, target: slice) -> np.ndarray | None:
        """Where weights may differ from zero; None for everywhere."""
        to, circuit = self.circuit[target], self.circuit[source]
        if origin == "inputs":
            mask = np.ones((1, 1), dtype=bool) if self._input_to is None else self._input_to[source][:, to]
        else:  # neurons of one circuit are not connected
            mask = circuit[:, None] != to[None, :]
            if self._circuit_to is not None:
                mask &= self._circuit_to[circuit][:, to]
        return None if mask.all() else np.ascontiguousarray(mask)

    def initial_weights(self, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        """New weights by projection: zero, or normal with the standard deviation of the spec.

        Raises
        ------
        ValueError
            If they are random and there is no generator.
        """
        spec, n = self.spec, self.n_neurons
        if spec.weight_sd == 0:
            return {p.name: np.zeros(p.shape) for p in self.projections}
        if rng is None:
            raise ValueError(f"weight_sd = {spec.weight_sd} needs a random generator: pass rng")
        full = {
            "inputs": rng.normal(0, spec.weight_sd, (self.n_inputs, n)),
            "neurons": rng.normal(0, spec.weight_sd, (n, n)),
        }
        if spec.symmetric:
            upper = np.triu(full["neurons"], 1)
            full["neurons"] = upper + upper.T
        whole = {p.name: full[p.origin][p.source, p.target].copy() for p in self.projections}
        for p in self.projections:
            if p.mask is not None:
                whole[p.name] *= p.mask
        for block, weights in spec.split_blocks(whole).items():
            if block not in spec.random_blocks:
                weights[...] = 0.0
        for weights, sign in self._signed(whole):
            np.abs(weights, out=weights)
            weights *= sign
        return whole

    def _signed(self, whole: Mapping[str, np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
        """Views of all weights by the sign that Dale's law gives them, 1 or -1; none where it is off."""
        if self.spec.inhibitory is None:
            return
        for p in self.projections:
            w, low, high = whole[p.name], 0, 0
            if p.origin == "neurons":
                low, high = (
                    min(max(i - p.source.start, 0), len(w)) for i in (self.inhibitory.start, self.inhibitory.stop)
                )
            yield from ((w[:low], 1), (w[low:high], -1), (w[high:], 1))

    def keep_signs(self, whole: Mapping[str, np.ndarray]) -> None:
        """Set those of the weights (by projection) to 0, in place, whose sign Dale's law forbids."""
        for weights, sign in self._signed(whole):
            (np.maximum if sign > 0 else np.minimum)(weights, 0.0, out=weights)

    def assign(self, whole: Mapping[str, np.ndarray], bias: np.ndarray, new: Mapping[str, np.ndarray]) -> None:
        """Check `new` and write it into the matrices `whole` (by projection) and `bias`, or change nothing."""
        checked = {name: matrix.copy() for name, matrix in whole.items()}
        blocks: dict[str, np.ndarray] = {**self.spec.split_blocks(checked), "b": bias.copy()}
        for name, values in new.items():
            if name not in blocks:
                raise ValueError(f"no weight block {name!r} in this network: it has {', '.join(blocks)}")
            values = np.asarray(values, dtype=float)
            if values.shape != blocks[name].shape:
                raise ValueError(f"weights {name!r} have shape {values.shape}, expected {blocks[name].shape}")
            if not (np.abs(values) <= WEIGHT_LIMIT).all():  # also False for NaN
                raise ValueError(f"weights {name!r} must be finite and within +-{WEIGHT_LIMIT:g}")
            blocks[name][...] = values
        self.check_structure(checked)
        for matrix_name, matrix in checked.items():
            whole[matrix_name][...] = matrix
        bias[...] = blocks["b"]

    def check_structure(self, whole: Mapping[str, np.ndarray]) -> None:
        """Raise ValueError for weights where there is no connection, whose sign Dale's law forbids, or that are not
        symmetric where they must be."""
        if any((weights * sign < 0).any() for weights, sign in self._signed(whole)):
            raise ValueError(
                f"inhibitory = {self.spec.inhibitory}: weights from the last {self.spec.inhibitory} hidden circuits "
                "must not be positive, and all others not negative"
            )
        for p in self.projections:
            if p.mask is not None and whole[p.name][~p.mask].any():
                sparse = self.spec.sparsity > 0 or p.origin == "inputs"
                raise ValueError(
                    "neurons of one circuit are not connected: their weights must be 0, "
                    "the inhibitory unit makes them compete"
                    + sparse
                    * "; nor are, in this network, the circuits and inputs that its sparsity leaves apart"
                )
            for other in self.projections if self.spec.symmetric else ():
                if p.mirrors(other) and not np.array_equal(whole[p.name], whole[other.name].T):
                    raise ValueError(
                        "weights among hidden and action neurons are not symmetric: give 'hh' symmetric and "
                        "'ah' as the transpose of 'ha', or set symmetric = false"
                    )


class Weights:
    """The weights of a network, whatever simulates it.

    Attributes
    ----------
    network : Wiring
    weights : dict of ndarray
        By projection name, shape (n_source, n_target).
    b : ndarray, shape (n_neurons,)
        Biases.
    """

    def __init__(self, network: Wiring, weights: dict[str, np.ndarray], b: np.ndarray) -> None:
        self.network = network
        self.weights = weights
        self.b = b

    def gain(self, projection: Projection) -> float:
        """What the weights of a projection are multiplied by in potentials."""
        return 1.0

    def blocks(self) -> dict[str, np.ndarray]:
        """Views of the weight blocks (``"sh"``, ``"sa"``, ``"hh"``, ``"ha"``, ``"ah"``) and of ``"b"``."""
        return {**self.network.spec.split_blocks(self.weights), "b": self.b}

    def set_weights(self, new: Mapping[str, np.ndarray]) -> None:
        """Set blocks by name, checked as in `Wiring.assign`."""
        self.network.assign(self.weights, self.b, new)
