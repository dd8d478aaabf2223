"""What of a network of winner-take-all circuits may be turned while one watches it."""

from __future__ import annotations

from typing import Any

from brian2 import Hz, ms

from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.loop.dials import Dial
from rwta_sim.settings import format_quantity

__all__ = ["network_dials"]

#: Longest kernel, ms, and highest rate, Hz, to try.
_LONGEST, _FASTEST = 100.0, 500.0
#: How many times shorter the rise of a double exponential is than its decay, where one is chosen.
_RISE = 4


def network_dials(network: NetworkSpec) -> tuple[Dial, ...]:
    """The kernel and how long it is; and the rate of circuits, where it does not follow from the time step."""
    kernel, dt = network.kernel, float(network.dt / ms)
    length = float(kernel.length / ms)
    key = "network.kernel.duration" if kernel.kind == "rectangular" else "network.kernel.tau"
    ends = min(dt, length), max(_LONGEST, length)
    dials = [
        Dial("network.kernel", "kernel", kernel.kind, options=_kernels(length, dt)),
        Dial(key, "kernel length", length, *ends, unit="ms", log=True),
    ]
    if network.firing == "poisson":
        rate = float(network.circuit_rate / Hz)
        dials.append(Dial("network.rho_hat", "circuit rate", rate, min(10.0, rate), max(_FASTEST, rate), unit="Hz"))
    return tuple(dials)


def _kernels(length: float, dt: float) -> dict[str, Any]:
    """Kernels of about the same length (ms), as settings; a rectangle covers whole steps of dt (ms)."""
    whole = max(round(length / dt), 1) * dt
    tau, rise, duration = (format_quantity(time * ms) for time in (length, length / _RISE, whole))
    return {
        "exponential": {"kind": "exponential", "tau": tau},
        "double_exponential": {"kind": "double_exponential", "tau": tau, "tau_rise": rise},
        "rectangular": {"kind": "rectangular", "duration": duration},
    }
