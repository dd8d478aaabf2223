"""Binary Concrete units: neurons of +1 and -1 as differentiable functions of their noise. Imports PyTorch."""

from __future__ import annotations

import torch

__all__ = ["concrete", "spike", "straight_through"]


def spike(z: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The neuron itself: y = +1 where u < 1/(1 + exp(-2 z)), else -1; any shape, no gradient."""
    return torch.where(u < torch.sigmoid(2 * z), 1.0, -1.0).to(z.dtype)


def concrete(z: torch.Tensor, u: torch.Tensor, temperature: float) -> torch.Tensor:
    """``tanh((z - logit(u)/2)/temperature)``, of any shape: binary Concrete, as +-1.

    Maddison, Mnih and Teh (ICLR 2017), appendix B, there for 0 and 1 and with 1 - u in place of u, which has the same
    law. As the temperature goes to 0 it becomes `spike` of the same u.
    """
    return torch.tanh((z - torch.logit(u) / 2) / temperature)


def straight_through(z: torch.Tensor, u: torch.Tensor, temperature: float) -> torch.Tensor:
    """`spike` going forward, with the derivative of `concrete` going back (Bengio et al. 2013; Jang et al. 2017)."""
    relaxed = concrete(z, u, temperature)
    return spike(z, u) + (relaxed - relaxed.detach())
