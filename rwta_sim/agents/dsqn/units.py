"""Leaky neurons as PyTorch differentiates them: those that fire, and those that integrate. Imports PyTorch.

The update is that of the paper (Chen et al. 2022, arXiv:2201.09754, after Fang et al. 2021), with V_r = 0 and V_th = 1:

    H_t = V_(t-1) + (X_t - V_(t-1))/tau,   S_t = [H_t >= 1],   V_t = H_t (1 - S_t),   V_0 = 0

snnTorch's neurons are others: a current is not divided by tau, and a reset comes a step later. Written out, a layer
also takes all steps of the layer before at once, so that its weights are one product for all of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["fire", "integrate", "slope"]


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, currents: torch.Tensor, tau: float, alpha: float) -> torch.Tensor:
        h = torch.empty_like(currents, memory_format=torch.contiguous_format)
        v = torch.zeros_like(h[0])
        for x, now in zip(currents, h, strict=True):
            torch.lerp(v, x, 1 / tau, out=now)
            v = now.masked_fill(now >= 1, 0.0)
        ctx.save_for_backward(h)
        ctx.tau, ctx.alpha = tau, alpha
        return (h >= 1).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (h,) = ctx.saved_tensors
        derivative = slope(h - 1, ctx.alpha)
        found = gradient * derivative  # of H_t, so far by its own spike
        through = (h < 1).to(h.dtype) - h * derivative  # of V_t by H_t
        later = torch.zeros_like(h[0])
        for t in range(len(h) - 1, -1, -1):
            found[t] += later * through[t]
            later = found[t] * (1 - 1 / ctx.tau)
        return found / ctx.tau, None, None


def slope(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """What stands for the derivative of [x >= 0]: that of arctan(pi alpha x/2)/pi + 1/2; any shape."""
    return (alpha / 2) / (1 + (math.pi / 2 * alpha * x).square())


def fire(currents: torch.Tensor, tau: float, alpha: float) -> torch.Tensor:
    """Spikes, 1 or 0, of neurons with these currents X; shapes (steps, ...) both. Gradients go through resets too."""
    return _Fire.apply(currents, tau, alpha)


def integrate(currents: torch.Tensor, tau: float) -> torch.Tensor:
    """Potentials of neurons that do not fire; shapes (steps, ...) both."""
    v, found = torch.zeros_like(currents[0]), []
    for x in currents:
        v = torch.lerp(v, x, 1 / tau)
        found.append(v)
    return torch.stack(found)
