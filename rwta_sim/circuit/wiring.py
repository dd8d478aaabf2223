"""`Wiring`: which neurons there are, in which circuits, and which projections join them. No simulator needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from rwta_sim.circuit.equations import MAX_CIRCUIT_SIZE
from rwta_sim.circuit.initial_weights import draw
from rwta_sim.circuit.projection import Origin, Packing, Projection
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec
from rwta_sim.native import Piece

__all__ = ["WEIGHT_LIMIT", "Weights", "Wiring", "sound"]

#: A weight beyond this could make the sum of a potential overflow.
WEIGHT_LIMIT = 1e100


def sound(array: np.ndarray) -> bool:
    """Whether all numbers are finite and within `WEIGHT_LIMIT`."""
    return float(np.abs(array).max(initial=0)) <= WEIGHT_LIMIT  # also False for NaN


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
        """The rectangles, each with its matrix or, where it is sparse, packed and by itself."""
        sparse = self.spec.sparse_origins
        _, from_hidden, from_action = self.spec.delays
        single: tuple[str, ...] = () if from_hidden == from_action else ("neurons",)  # one projection has one delay
        alone = [r for r in self._rectangles(self.spec.present_blocks, merged=False) if r[1] in (*sparse, *single)]
        rest = [block for block in self.spec.present_blocks if block not in {r[0] for r in alone}]
        whole = [*self._rectangles(rest, merged=True), *(r for r in alone if r[1] not in sparse)]
        projections = [Projection(*r, mask=self._mask(*r[1:])) for r in whole]
        for rectangle in (r for r in alone if r[1] in sparse):
            packing = self._packing(*rectangle[1:])
            # Where nothing connects there is nothing to pack, and Brian2 wants a connection.
            mask = None if packing.size else np.zeros(Projection(*rectangle).shape, bool)
            projections.append(Projection(*rectangle, mask, packing if packing.size else None))
        return projections

    def _rectangles(self, blocks: Iterable[str], merged: bool) -> list[tuple[str, Origin, slice, slice]]:
        """All-to-all rectangles that cover these blocks: one each, or, `merged`, as few as there can be."""
        left, everyone = set(blocks), slice(0, self.n_neurons)
        place = {"s": slice(0, self.n_inputs), "h": self.hidden, "a": self.action}
        rectangles: list[tuple[str, Origin, slice, slice]] = []
        if merged and {"sh", "sa"} <= left:
            rectangles.append(("s", "inputs", place["s"], everyone))
            left -= {"sh", "sa"}
        if merged and {"hh", "ha", "ah"} <= left:
            rectangles.append(("r", "neurons", everyone, everyone))
            left -= {"hh", "ha", "ah"}
        for block in BLOCKS:
            if block in left:
                origin: Origin = "inputs" if block[0] == "s" else "neurons"
                rectangles.append((block, origin, place[block[0]], place[block[1]]))
        return rectangles

    def _mask(self, origin: Origin, source: slice, target: slice) -> np.ndarray | None:
        """Where weights may differ from zero; None for everywhere: neurons of one circuit are not connected."""
        if origin == "inputs":
            return None
        mask = self.circuit[source][:, None] != self.circuit[target][None, :]
        return None if mask.all() else np.ascontiguousarray(mask)

    def _packing(self, origin: Origin, source: slice, target: slice) -> Packing:
        """The connections that the spec's sparsity leaves in a rectangle."""
        to, sender = self.circuit[target], self.circuit[source] if origin == "neurons" else None
        if sender is None:
            assert self._input_to is not None
            sizes, reached = [1] * self.n_inputs, list(self._input_to)
        else:
            assert self._circuit_to is not None
            circuits, counts = np.unique(sender, return_counts=True)
            apart = ~np.eye(len(self._circuit_to), dtype=bool)  # neurons of one circuit are not connected
            sizes, reached = counts.tolist(), list((self._circuit_to & apart)[circuits])
        return Packing.of(sizes, [np.flatnonzero(row[to]) for row in reached])

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Names and shapes of the matrices, as few as there can be, that would hold all weights, packed or not."""
        rectangles = self._rectangles(self.spec.present_blocks, merged=True)
        return {rectangle[0]: Projection(*rectangle).shape for rectangle in rectangles}

    def repacked(self, matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays in the `Projection.weights_shape` of each projection, from those of `matrices`, in their order."""
        whole = dict(zip(self.matrices, matrices, strict=True))
        whole |= self.spec.split_blocks(whole)
        return [p.pack(whole[p.name]) for p in self.projections]

    def unpacked(self, blocks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Blocks as `Weights.blocks` gives them, those that are packed as matrices: as large as if nothing were left
        out."""
        packed = {name: self.projection_of(name) for name in blocks}
        return {name: w if (p := packed[name]) is None else p.unpack(w) for name, w in blocks.items()}

    def projection_of(self, block: str) -> Projection | None:
        """The packed projection that is this block; None for a block of a matrix."""
        return next((p for p in self.projections if p.name == block and p.packing is not None), None)

    def initial_weights(self, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        """New weights by projection: zero, or normal with the standard deviation of the spec.

        Sparsity takes weights away, and does not change the others.

        Raises
        ------
        ValueError
            If they are random and there is no generator.
        """
        spec = self.spec
        if spec.weight_sd == 0:
            return {p.name: np.zeros(p.weights_shape) for p in self.projections}
        if rng is None:
            raise ValueError(f"weight_sd = {spec.weight_sd} needs a random generator: pass rng")
        whole: dict[str, np.ndarray] = {}
        for origin, size in (("inputs", self.n_inputs), ("neurons", self.n_neurons)):
            mine = [p for p in self.projections if p.origin == origin]
            once = spec.symmetric and origin == "neurons"
            whole |= draw(mine, (size, self.n_neurons), spec.weight_sd, once, rng)
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
            for rows, part in p.parts(whole[p.name]):
                low = high = 0
                if p.origin == "neurons":
                    first = p.source.start + rows.start
                    ends = (self.inhibitory.start, self.inhibitory.stop)
                    low, high = (min(max(i - first, 0), len(part)) for i in ends)
                yield from ((part[:low], 1), (part[low:high], -1), (part[high:], 1))

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
            packed = self.projection_of(name)
            if packed is not None and values.shape == packed.shape:
                values = _packed(packed, values)
            if values.shape != blocks[name].shape:
                also = "" if packed is None else f", one for each connection, or {packed.shape}"
                raise ValueError(f"weights {name!r} have shape {values.shape}, expected {blocks[name].shape}{also}")
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
                raise ValueError(_NOT_CONNECTED + (_LEFT_APART if p.origin in self.spec.sparse_origins else ""))
            for other in self.projections if self.spec.symmetric else ():
                if p.mirrors(other) and not _mirrored(p, other, whole):
                    raise ValueError(
                        "weights among hidden and action neurons are not symmetric: give 'hh' symmetric and "
                        "'ah' as the transpose of 'ha', or set symmetric = false"
                    )


_NOT_CONNECTED = (
    "neurons of one circuit are not connected: their weights must be 0, the inhibitory unit makes them compete"
)
_LEFT_APART = "; nor are, in this network, the circuits and inputs that its sparsity leaves apart"


def _packed(p: Projection, matrix: np.ndarray) -> np.ndarray:
    packed = p.pack(matrix)
    if np.count_nonzero(packed) != np.count_nonzero(matrix):
        raise ValueError(_NOT_CONNECTED + _LEFT_APART)
    return packed


def _mirrored(p: Projection, other: Projection, whole: Mapping[str, np.ndarray]) -> bool:
    back = np.empty(p.weights_shape, whole[other.name].dtype)
    other.transpose(whole[other.name], back)
    return np.array_equal(whole[p.name], back)


class Weights:
    """The weights of a network, whatever simulates it.

    Attributes
    ----------
    network : Wiring
    weights : dict of ndarray
        By projection name, in the `Projection.weights_shape`: a matrix, or packed.
    b : ndarray, shape (n_neurons,)
        Biases.
    keeps_eligibilities : bool
        Whether their network has eligibilities without being asked for synapses that learn.
    """

    keeps_eligibilities: bool = False

    def __init__(self, network: Wiring, weights: dict[str, np.ndarray], b: np.ndarray) -> None:
        self.network = network
        self.weights = weights
        self.b = b

    @property
    def credits(self) -> Piece | None:
        """Compiled code that adds such eligibilities to arrays, where their network has it."""
        return None

    def gain(self, projection: Projection) -> float:
        """What the weights of a projection are multiplied by in potentials."""
        return 1.0

    def blocks(self) -> dict[str, np.ndarray]:
        """Views of the weight blocks (``"sh"``, ``"sa"``, ``"hh"``, ``"ha"``, ``"ah"``) and of ``"b"``.

        A sparse block is packed: the weights of its connections, whose neurons are
        ``network.projection_of("hh").connections()``.
        """
        return {**self.network.spec.split_blocks(self.weights), "b": self.b}

    def set_weights(self, new: Mapping[str, np.ndarray]) -> None:
        """Set blocks by name, checked as in `Wiring.assign`."""
        self.network.assign(self.weights, self.b, new)
