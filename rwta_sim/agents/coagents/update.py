"""The update of a decision without traces in compiled code (update.cpp): one pass over the weights."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.agents.coagents.network import CoagentNetwork
from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.native import address, native_function

__all__ = ["LocalUpdate"]


class LocalUpdate:
    """What `score` and `Traces.step` do together, bit for bit, where weights have no traces.

    Parameters
    ----------
    parameters : Parameters
        Change in place.
    network : CoagentNetwork
        Whose neurons are credited for what they did last.
    temperature, share : float
        Of the network, and ``learning.hidden_share``.
    """

    def __init__(self, parameters: Parameters, network: CoagentNetwork, temperature: float, share: float) -> None:
        function = _native()
        assert function is not None  # what `made` has asked
        self._function = function
        self._sizes = len(parameters.inputs), network.n_outputs, network.n_hidden // network.n_outputs
        self._numbers = temperature, share
        self._scratch = np.empty(network.n_hidden)
        hidden, outputs = network.hidden, network.outputs
        # Kept, so that their memory is.
        self._read = hidden.p, hidden.y, outputs.p, outputs.y
        self._written = parameters.inputs, parameters.modules, parameters.bias, self._scratch
        self._at_read, self._at_written = (
            [array.ctypes.data for array in arrays] for arrays in (self._read, self._written)
        )

    @classmethod
    def made(
        cls, parameters: Parameters, network: CoagentNetwork, temperature: float, share: float
    ) -> LocalUpdate | None:
        """One, or None where there is no compiler."""
        return None if _native() is None else cls(parameters, network, temperature, share)

    def step(self, x: np.ndarray, credit: np.ndarray, rate: float) -> None:
        """Change all weights.

        Parameters
        ----------
        x : ndarray, shape (n_inputs + 1,)
            Inputs, the last one 1.
        credit : ndarray, shape (n_outputs,)
            Of each module.
        rate : float
            Times the modulation.
        """
        temperature, share = self._numbers
        self._function(
            *self._sizes, address(x), address(credit), *self._at_read, temperature, rate, share, *self._at_written
        )


@functools.cache
def _native() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    where = Path(__file__).with_suffix(".cpp")
    kinds = (*[number] * 3, *[pointer] * 6, *[ctypes.c_double] * 3, *[pointer] * 4)
    return native_function(where, "coagent_update", *kinds)
