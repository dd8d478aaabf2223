"""The hand-written C loop (c_loop.c) of a network: compiled, loaded with ctypes, its arrays as NumPy arrays."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from rwta_sim.circuit.network import RWTANetwork

__all__ = ["CLoop"]

SOURCE = Path(__file__).with_name("c_loop.c")
#: As in c_loop.c.
LANES, MASK, MAX_EVENTS = 16, 32, 8


def load(source: Path = SOURCE) -> ctypes.CDLL:
    """Compile a C file for this processor and load it."""
    names = filter(None, (os.environ.get("CC"), "cc", "gcc", "clang"))
    compiler = next((path for path in map(shutil.which, names) if path), None)
    if compiler is None:
        raise SystemExit("the C loop needs a C compiler (Debian: apt install gcc)")
    with tempfile.TemporaryDirectory(prefix="c_loop-") as folder:
        built, library = f"{folder}/c_loop.o", f"{folder}/c_loop.so"
        flags = ["-O3", "-march=native", "-ffast-math", "-fPIC"]
        subprocess.run([compiler, *flags, "-c", str(source), "-o", built], check=True)
        # Not with -ffast-math here: linked so, a library switches the whole process to flush denormals.
        subprocess.run([compiler, "-shared", built, "-lm", "-o", library], check=True)
        return ctypes.CDLL(library)


def aligned(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """Zeros that begin at a cache line, so that no vector straddles two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def padded(size: int, unit: int) -> int:
    """`size` rounded up to a multiple of `unit`."""
    return -(-size // unit) * unit


class _Network(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("n_inputs", "n_neurons", "n_circuits", "pad_inputs", "row")),
        ("one_hot", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("decay", "kappa_0")),
        *(
            (name, ctypes.c_void_p)
            for name in ("start", "size", "rate", "w_inputs", "w_neurons", "b", "nothing", "events")
        ),
        *((name, ctypes.c_void_p) for name in ("I", "u", "q", "x_inputs", "x", "n_spikes", "n_input_spikes")),
        *((name, ctypes.c_void_p) for name in ("t_spike", "active", "random")),
        *((name, ctypes.c_int64) for name in ("t", "room", "step")),
        *((name, ctypes.c_void_p) for name in ("spikes_in", "spikes", "ends_in", "ends", "factors", "seen_in", "seen")),
        *((name, ctypes.c_void_p) for name in ("gradient", "filter", "mask")),
    ]


class CLoop:
    """A network like `network` (exponential kernel, all blocks), with its weights and biases, in C.

    Circuits may have 16 neurons at most; the events of a circuit in a step are cut off at 8, which at
    rho_hat*dt = 0.1 has a probability below 1e-9. Arrays are views of the simulation's memory.

    With `room` for the steps of a decision it can learn from them.
    """

    def __init__(self, network: RWTANetwork, seed: np.random.SeedSequence, room: int = 0) -> None:
        spec, sizes = network.spec, np.diff(network.starts).astype(np.int32)
        assert spec.kernel.kind == "exponential" and sizes.max() <= LANES
        self._n_inputs, self._n_neurons = network.n_inputs, network.n_neurons
        inputs, row = padded(network.n_inputs, MASK), padded(network.n_neurons, LANES)
        self._arrays = {
            "start": network.starts[:-1].astype(np.int32),
            "size": sizes,
            "rate": aligned(inputs, np.uint16),
            "w_inputs": aligned((network.n_inputs, row), np.float32),
            "w_neurons": aligned((network.n_neurons, row), np.float32),
            "b": aligned(row + LANES, np.float32),
            "nothing": aligned(row, np.float32),
            "events": _thresholds(float(spec.circuit_rate * spec.dt)),
            **{name: aligned(row + LANES, np.float32) for name in ("I", "u", "q", "x")},
            "x_inputs": aligned(inputs, np.float32),
            "n_spikes": np.zeros(row, np.int64),
            "n_input_spikes": np.zeros(inputs, np.int64),
            "t_spike": np.full(row, -1, np.int64),
            "active": np.zeros(inputs + sizes.size * MAX_EVENTS + 8, np.uintp),
            "random": np.ascontiguousarray(seed.generate_state(4 * LANES)),
            "spikes_in": np.zeros(room * inputs, np.uintp),
            "spikes": np.zeros(room * sizes.size * MAX_EVENTS, np.uintp),
            "ends_in": np.zeros(room, np.int64),
            "ends": np.zeros(room, np.int64),
            "factors": aligned((room, row), np.float32),
            "seen_in": aligned(inputs, np.float32),
            "seen": aligned(row, np.float32),
            "gradient": aligned((network.n_neurons + LANES, row), np.float32),
            "filter": aligned((2, row), np.float32),
            "mask": self._mask(network, row),
        }
        self._network = _Network(
            n_inputs=network.n_inputs,
            n_neurons=network.n_neurons,
            n_circuits=sizes.size,
            pad_inputs=inputs,
            row=row,
            one_hot=spec.firing == "one_hot",
            decay=float(np.exp(-float(spec.dt / spec.kernel.tau))),
            kappa_0=network.kappa_0,
            room=room,
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )
        self._set_weights(network.weights())
        self._pointer = ctypes.byref(self._network)
        self._load()

    def _load(self) -> None:
        library = load()
        self._run, self._learn = library.c_loop_run, library.c_loop_learn
        self._run.argtypes, self._run.restype = [ctypes.c_void_p, ctypes.c_int64], None
        self._learn.argtypes, self._learn.restype = [ctypes.c_void_p, ctypes.c_float, ctypes.c_int64], None

    @staticmethod
    def _mask(network: RWTANetwork, row: int) -> np.ndarray:
        mask = aligned((network.n_neurons, row), np.uint8)
        mask[:, : network.n_neurons] = network.circuit[:, None] != network.circuit[None, :]
        return mask

    def _set_weights(self, blocks: dict[str, np.ndarray]) -> None:
        n, hidden = self._n_neurons, blocks["hh"].shape[0]
        self._arrays["w_inputs"][:, :n] = np.hstack([blocks["sh"], blocks["sa"]])
        w = self._arrays["w_neurons"]
        w[:hidden, :hidden], w[:hidden, hidden:n], w[hidden:, :hidden] = blocks["hh"], blocks["ha"], blocks["ah"]
        self._arrays["b"][:n] = blocks["b"]

    def view(self, name: str) -> np.ndarray:
        """q, x, n_spikes (of neurons) or x_inputs, n_input_spikes (of inputs)."""
        return self._arrays[name][: self._n_inputs if "input" in name else self._n_neurons]

    def set_p(self, p: np.ndarray) -> None:
        """Set the spike probability of each input, to 1/65536 and below 1."""
        np.minimum(p * 65536.0 + 0.5, 65535.0, out=self._arrays["rate"][: self._n_inputs], casting="unsafe")

    def clear(self) -> None:
        """Forget every spike."""
        for name in ("I", "x", "x_inputs"):
            self._arrays[name].fill(0.0)

    def advance(self, steps: int) -> None:
        """Simulate `steps` steps."""
        self._run(self._pointer, steps)

    def learn(self, rate: float, last_step: bool) -> None:
        """Change the weights by what was simulated since the last call: `rate` holds the modulation."""
        self._learn(self._pointer, rate, last_step)

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weights from the inputs, among neurons, and of the biases."""
        n = self._n_neurons
        arrays = {"s": self._arrays["w_inputs"][:, :n], "r": self._arrays["w_neurons"][:, :n]}
        return {**arrays, "b": self._arrays["b"][:n]}

    def recorded(self) -> dict[str, np.ndarray]:
        """S - q of every step, shape (steps, n_neurons), and spikes of inputs and neurons, (steps, n)."""
        steps, row = int(self._network.step), self._arrays["nothing"].size
        found = {"factors": self._arrays["factors"][:steps, : self._n_neurons].copy()}
        for name, matrix, n in (("in", "w_inputs", self._n_inputs), ("", "w_neurons", self._n_neurons)):
            suffix = f"_{name}" if name else ""
            ends, pointers = self._arrays[f"ends{suffix}"][:steps], self._arrays[f"spikes{suffix}"]
            who = (pointers[: ends[-1]] - self._arrays[matrix].ctypes.data) // (4 * row)
            spikes = np.zeros((steps, n))
            spikes[np.repeat(np.arange(steps), np.diff(ends, prepend=0)), who.astype(int)] = 1.0
            found[f"spikes{suffix}"] = spikes
        return found


def _thresholds(mean: float) -> np.ndarray:
    """2^32 P(N <= k) for N Poisson with this mean, k = 0 ... MAX_EVENTS - 1."""
    k = np.arange(MAX_EVENTS)
    factorial = np.cumprod(np.maximum(k, 1))
    cumulative = np.cumsum(np.exp(-mean) * mean**k / factorial)
    return np.minimum(cumulative * 2.0**32, 2.0**32 - 1).astype(np.uint32)
