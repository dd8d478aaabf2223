"""Postsynaptic kernels kappa as Brian2 equations, with their normalisation and closed form.

A spike train S filtered by a kernel, ``x = kappa * S``, estimates the probability q with which its neuron
fires when its circuit does. That needs the integral of kappa to be ``1/rho_hat`` (Yang et al. 2022, arXiv
2210.13225, section on the spiking network). On a clock a spike of step t is first seen at step t + 1, so
here the *sum over the grid* is normalised, ``sum_{l>=1} kappa(l dt) dt = 1/rho_hat``: exact for every dt,
and the integral as dt goes to 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
from brian2 import Quantity
from pydantic import Field, model_validator

from rwta_sim.settings import Settings, Time, format_quantity

__all__ = ["DoubleExponential", "Exponential", "Kernel", "Rectangular"]


class _Kernel(Settings, ABC):
    """What every kernel offers. `name` is the Brian2 variable that holds the filtered spike train."""

    #: Suffixes of the state variables that a spike moves.
    components: ClassVar[tuple[str, ...]] = ("",)

    @property
    @abstractmethod
    def length(self) -> Quantity:
        """Time constant or duration: how long a spike is felt."""

    @abstractmethod
    def equations(self, name: str) -> str:
        """Brian2 model equations for the filtered spike train `name` (dimensionless)."""

    @abstractmethod
    def shape(self, lag: np.ndarray) -> np.ndarray:
        """Closed form at `lag` seconds after the spike (array), before normalisation."""

    @abstractmethod
    def grid_sum(self, dt: float) -> float:
        """Sum of `shape` over the lags dt, 2 dt, 3 dt, ... (`dt` in seconds), in closed form."""

    @property
    def off_delay(self) -> Quantity | None:
        """Delay of a second event that takes the jump back; None for kernels that decay by themselves."""
        return None

    def namespace(self) -> dict[str, Quantity]:
        """Constants used by `equations`."""
        return {}

    def jump(self, name: str, amount: str, sign: str = "+", post: bool = False) -> str:
        """Brian2 code that adds a spike of size `amount` to the train `name`.

        ``sign='-'`` takes it back; ``post=True`` writes it for the postsynaptic side of a Synapses object.
        """
        tail = "_post" if post else ""
        return "\n".join(f"{name}{suffix}{tail} {sign}= {amount}" for suffix in self.components)

    def variables(self, name: str) -> list[str]:
        """Names of the state variables behind the train `name`."""
        return [name + suffix for suffix in self.components]

    def amplitude(self, dt: Quantity, rho_hat: Quantity) -> float:
        """Jump at a spike that normalises the kernel: ``sum_{l>=1} kappa(l dt) rho_hat dt = 1``.

        Parameters
        ----------
        dt : Quantity
            Time step (second).
        rho_hat : Quantity
            Rate of a circuit (Hz).

        Raises
        ------
        ValueError
            If the kernel does not fit the grid (a rectangle that is no multiple of dt).
        """
        self.check_grid(dt)
        return 1.0 / (self.grid_sum(float(dt)) * float(rho_hat) * float(dt))

    def amplitudes(self, stretch: np.ndarray, dt: Quantity, rho_hat: Quantity) -> np.ndarray:
        """`amplitude` of this kernel with all its time constants longer by each of the factors `stretch`.

        Raises
        ------
        ValueError
            If one of these kernels is over within a fraction of a step too small for numbers.
        """
        # The shape depends on lag/tau alone: a longer tau is a shorter dt.
        with np.errstate(over="ignore", divide="ignore"):
            sums = np.array([self.grid_sum(float(dt) / factor) for factor in stretch])
            amplitudes: np.ndarray = 1.0 / (sums * float(rho_hat) * float(dt))
        if not (np.isfinite(amplitudes) & (amplitudes < 1e100)).all():
            raise ValueError(
                f"tau_spread gave a neuron a kernel of {stretch.min():.3g} times {format_quantity(self.length)}, which "
                f"is over long before the next step ({format_quantity(dt)}): lower tau_spread or dt"
            )
        return amplitudes

    def check_grid(self, dt: Quantity) -> None:
        """Raise ValueError where the kernel cannot be simulated with this `dt`."""

    def values(self, steps: int, dt: Quantity, rho_hat: Quantity) -> np.ndarray:
        """Normalised kernel at lags of 1 ... `steps` time steps; shape (steps,)."""
        return self.amplitude(dt, rho_hat) * self.shape(np.arange(1, steps + 1) * float(dt))


class Exponential(_Kernel):
    """kappa(t) proportional to exp(-t/tau): the kernel of the neuronal membrane."""

    kind: Literal["exponential"] = "exponential"
    tau: Time = Field(description="time constant of the decay")

    @property
    def length(self) -> Quantity:
        return self.tau

    def equations(self, name: str) -> str:
        return f"d{name}/dt = -{name}/kernel_tau : 1"

    def namespace(self) -> dict[str, Quantity]:
        return {"kernel_tau": self.tau}

    def shape(self, lag: np.ndarray) -> np.ndarray:
        return np.exp(-lag / float(self.tau))

    def grid_sum(self, dt: float) -> float:
        return 1.0 / np.expm1(dt / float(self.tau))


class DoubleExponential(_Kernel):
    """kappa(t) proportional to exp(-t/tau) - exp(-t/tau_rise): a postsynaptic current with a finite rise."""

    kind: Literal["double_exponential"] = "double_exponential"
    tau: Time = Field(description="time constant of the decay")
    tau_rise: Time = Field(description="time constant of the rise, shorter than tau")
    components: ClassVar[tuple[str, ...]] = ("_decay", "_rise")

    @model_validator(mode="after")
    def _rise_before_decay(self) -> DoubleExponential:
        if not float(self.tau_rise) < float(self.tau):
            raise ValueError(
                f"tau_rise = {format_quantity(self.tau_rise)} must be shorter than tau = {format_quantity(self.tau)}"
            )
        return self

    @property
    def length(self) -> Quantity:
        return self.tau

    def equations(self, name: str) -> str:
        return (
            f"d{name}_decay/dt = -{name}_decay/kernel_tau : 1\n"
            f"d{name}_rise/dt = -{name}_rise/kernel_tau_rise : 1\n"
            f"{name} = {name}_decay - {name}_rise : 1"
        )

    def namespace(self) -> dict[str, Quantity]:
        return {"kernel_tau": self.tau, "kernel_tau_rise": self.tau_rise}

    def shape(self, lag: np.ndarray) -> np.ndarray:
        return np.exp(-lag / float(self.tau)) - np.exp(-lag / float(self.tau_rise))

    def grid_sum(self, dt: float) -> float:
        with np.errstate(over="ignore"):  # a rise that is over within dt adds nothing
            return 1.0 / np.expm1(dt / float(self.tau)) - 1.0 / np.expm1(dt / float(self.tau_rise))


class Rectangular(_Kernel):
    """kappa(t) constant for `duration`, then zero: a sliding count of spikes."""

    kind: Literal["rectangular"] = "rectangular"
    duration: Time = Field(description="length of the rectangle, a multiple of dt")

    @property
    def length(self) -> Quantity:
        return self.duration

    @property
    def off_delay(self) -> Quantity | None:
        return self.duration

    def equations(self, name: str) -> str:
        return f"{name} : 1"

    def shape(self, lag: np.ndarray) -> np.ndarray:
        # A little slack: lags are multiples of dt up to rounding.
        return np.where(lag <= float(self.duration) * (1 + 1e-9), 1.0, 0.0)

    def grid_sum(self, dt: float) -> float:
        return float(round(float(self.duration) / dt))

    def check_grid(self, dt: Quantity) -> None:
        steps = float(self.duration) / float(dt)
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
            raise ValueError(
                f"duration = {format_quantity(self.duration)} is not a multiple of dt = {format_quantity(dt)}: "
                "a rectangular kernel must cover whole steps"
            )


Kernel = Annotated[Exponential | DoubleExponential | Rectangular, Field(discriminator="kind")]
