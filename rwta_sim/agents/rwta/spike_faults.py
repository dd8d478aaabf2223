"""Faults of spikes as perturbations: by name and target, of a network on an engine."""

from __future__ import annotations

import math

from rwta_sim.agents.targets import check_known, share
from rwta_sim.circuit.faults import MOST_LATE, Faults
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.errors import ConfigError

__all__ = ["FAULTS", "LATE", "with_fault"]

LATE = "late-spikes"
FAULTS = {
    "lost-spikes": "spikes:SHARE: so many spikes, of neurons and inputs, are lost on their way",
    "extra-spikes": "spikes:SHARE: neurons and inputs send spikes of nobody's, at so much of a circuit's rate each",
    LATE: f"spikes:STEPS: each spike comes late by 0 to STEPS time steps, drawn evenly; {MOST_LATE} at most",
}


def with_fault(faults: Faults, name: str, target: str, network: RWTANetwork) -> Faults:
    """These faults and one more.

    Parameters
    ----------
    faults : Faults
    name : str
        One of `FAULTS`.
    target : str
        As there.
    network : RWTANetwork

    Raises
    ------
    ConfigError
        If there is no such perturbation, or no such target.
    """
    check_known(name, FAULTS)
    asked, (kind, _, text) = f"{name} {target!r}", target.partition(":")
    if kind != "spikes":
        raise ConfigError(f"{asked}: expected {FAULTS[name].partition(': ')[0]}")
    if name == LATE:
        if not text.isdecimal() or int(text) > MOST_LATE:
            raise ConfigError(f"{asked}: expected a whole number of time steps, from 0 to {MOST_LATE}")
        return faults._replace(late=int(text))
    if name == "lost-spikes":
        return faults._replace(lost=share(asked, text))
    return faults._replace(extra=-math.expm1(-share(asked, text) * network.spec.spikes_per_step))
