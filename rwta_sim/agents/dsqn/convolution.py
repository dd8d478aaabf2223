"""A convolution as a projection of spikes: one kernel in memory, shared by all places, found by index arithmetic.

A Brian2 `Function` in C++, Cython and NumPy, called once a step. `Synapses` would need an entry for each pair of
neurons that a kernel connects, some 20 bytes each. Here each spike adds, at every place that sees it, its column of the
kernel, whose maps lie side by side: nothing is kept but the kernel, and one number for each neuron.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from brian2 import Function, NeuronGroup, get_device

__all__ = ["Convolution", "correlated"]

_CPP = """
static inline int32_t %NAME%(int32_t calls) {
    const int32_t* const spikes = brian::%SPIKES%;
    for (int32_t n = 0; n < spikes[%PRE%]; n++) {
        const int32_t c = spikes[n] % %C%, x = spikes[n] / %C% % %W%, y = spikes[n] / (%C% * %W%);
        for (int32_t i = y % %STRIDE%; i < %K% && i <= y; i += %STRIDE%) {
            const int32_t row = (y - i) / %STRIDE%;
            if (row >= %HEIGHT%) continue;
            for (int32_t j = x % %STRIDE%; j < %K% && j <= x; j += %STRIDE%) {
                const int32_t column = (x - j) / %STRIDE%;
                if (column >= %WIDTH%) continue;
                double* const heard = brian::%HEARD% + (row * %WIDTH% + column) * %MAPS%;
                const double* const w = brian::%KERNEL% + ((i * %K% + j) * %C% + c) * %MAPS%;
                for (int32_t m = 0; m < %MAPS%; m++) heard[m] += w[m];
            }
        }
    }
    return calls;
}
"""

_CYTHON = """
cdef int %NAME%(int calls) noexcept:
    global _namespace%NAME%_spikes, _namespace%NAME%_heard, _namespace%NAME%_kernel
    cdef int n, c, x, y, i, j, m, row, column, to, at
    for n in range(_namespace%NAME%_spikes[%PRE%]):
        c = _namespace%NAME%_spikes[n] % %C%
        x = _namespace%NAME%_spikes[n] // %C% % %W%
        y = _namespace%NAME%_spikes[n] // (%C% * %W%)
        for i in range(y % %STRIDE%, min(%K%, y + 1), %STRIDE%):
            row = (y - i) // %STRIDE%
            if row >= %HEIGHT%:
                continue
            for j in range(x % %STRIDE%, min(%K%, x + 1), %STRIDE%):
                column = (x - j) // %STRIDE%
                if column >= %WIDTH%:
                    continue
                to = (row * %WIDTH% + column) * %MAPS%
                at = ((i * %K% + j) * %C% + c) * %MAPS%
                for m in range(%MAPS%):
                    _namespace%NAME%_heard[to + m] += _namespace%NAME%_kernel[at + m]
    return calls
"""


def correlated(picture: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """What each map hears at each place, without padding.

    Parameters
    ----------
    picture : ndarray, shape (height, width, channels)
    kernel : ndarray, shape (k, k, channels, maps)
    stride : int

    Returns
    -------
    ndarray, shape (1 + (height - k)//stride, 1 + (width - k)//stride, maps)
    """
    patches = np.lib.stride_tricks.sliding_window_view(picture, kernel.shape[:3])[::stride, ::stride, 0]
    return np.tensordot(patches, kernel, 3)


class Convolution(NamedTuple):
    """From one layer of maps to the next.

    Attributes
    ----------
    source, target : NeuronGroup
        Neurons in the order (row, column, map); what is heard is added to `heard` of the target.
    kernel : NeuronGroup
        A weight `w` each, in the order (row, column, channel, map).
    seen, told : tuple of int
        Channels or maps, height and width of both.
    size, stride : int
        Of the kernel.
    """

    source: NeuronGroup
    target: NeuronGroup
    kernel: NeuronGroup
    seen: tuple[int, int, int]
    told: tuple[int, int, int]
    size: int
    stride: int

    def function(self, name: str) -> Function:
        """What adds the spikes of this step, as ``f(calls)``, which returns what it is given; to be called once."""
        spikes, heard, kernel = self._variables()
        called = self._in_numpy()
        made = Function(
            called, arg_units=[1], arg_types=["integer"], return_unit=1, return_type="integer", stateless=False
        )
        made.implementations.add_numpy_implementation(called)
        made.implementations.add_dynamic_implementation(
            "cpp", lambda owner: self._cpp(name), namespace=lambda owner: {}, name=name
        )
        arrays = {"spikes": spikes, "heard": heard, "kernel": kernel}
        made.implementations.add_dynamic_implementation(
            "cython",
            lambda owner: self._filled(_CYTHON, name),
            namespace=lambda owner: {f"{name}_{which}": variable.get_value() for which, variable in arrays.items()},
            name=name,
        )
        return made

    def _variables(self) -> tuple[Any, Any, Any]:
        return self.source.variables["_spikespace"], self.target.variables["heard"], self.kernel.variables["w"]

    def _in_numpy(self) -> Callable[[Any], Any]:
        spikes, heard, kernel = self._variables()
        (channels, height, width), maps = self.seen, self.told[0]

        def convolve(calls: Any) -> Any:
            fired = spikes.get_value()
            picture = np.zeros(height * width * channels)
            picture[fired[: fired[-1]]] = 1.0
            weights = kernel.get_value().reshape(self.size, self.size, channels, maps)
            heard.get_value()[...] += correlated(picture.reshape(height, width, channels), weights, self.stride).ravel()
            return calls

        return convolve

    def _cpp(self, name: str) -> str:
        device = get_device()
        spikes, heard, kernel = (device.get_array_name(variable) for variable in self._variables())
        return self._filled(_CPP, name, SPIKES=spikes, HEARD=heard, KERNEL=kernel)

    def _filled(self, code: str, name: str, **arrays: str) -> str:
        (channels, _, width), (maps, rows, columns) = self.seen, self.told
        numbers = {"C": channels, "W": width, "MAPS": maps, "HEIGHT": rows, "WIDTH": columns}
        numbers |= {"K": self.size, "STRIDE": self.stride, "PRE": len(self.source)}
        for key, value in {"NAME": name, **arrays, **numbers}.items():
            code = code.replace(f"%{key}%", str(value))
        return code
