"""Encoders, a kind per file: an observation becomes a drive in [0, 1] for each input neuron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from rwta_sim.loop.encoders.base import Encoder, EncoderSettings
from rwta_sim.loop.encoders.gaussian import Gaussian, GaussianEncoder
from rwta_sim.loop.encoders.scaled import BoxEncoder, DiscreteEncoder, Scaled, StandardisedEncoder

__all__ = [
    "BoxEncoder",
    "DiscreteEncoder",
    "Encoder",
    "EncoderSettings",
    "EncoderSpec",
    "Gaussian",
    "GaussianEncoder",
    "Scaled",
    "StandardisedEncoder",
]


def _with_kind(given: Any) -> Any:
    """Files from before there were kinds have none."""
    return {"kind": "scaled", **given} if isinstance(given, Mapping) else given


EncoderSpec = Annotated[Scaled | Gaussian, Field(discriminator="kind"), BeforeValidator(_with_kind)]
