"""What hardware does to spikes: some come late, some are lost, and some are nobody's.

A neuron, or an input, *means* to fire as its circuit, or its probability, says. Each spike that is meant is lost with
probability `lost`; one that is not comes `lag` steps late, `lag` drawn evenly from 0, 1 ... `late`, so that several may
arrive at once, and count each; and where none arrives, one that nobody meant does with probability `extra` in a step.
Traces, currents and whoever reads actions from spikes have what arrived. Competition within a circuit is not touched:
its winner inhibits the others whether its spike is lost or not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

__all__ = ["ARRIVED", "EQUATIONS", "MOST_LATE", "PASSES", "WAITING", "Faults"]

#: The most steps by which a spike may be late.
MOST_LATE = 20


class Faults(NamedTuple):
    """What goes wrong with spikes, of neurons and inputs alike.

    Attributes
    ----------
    lost : float
        Probability that a spike is lost.
    extra : float
        Probability, in each step in which a neuron sends none, that it sends one.
    late : int
        The most steps by which a spike is late, `MOST_LATE` at most.
    """

    lost: float = 0.0
    extra: float = 0.0
    late: int = 0


#: Variables that hold spikes on their way, due now, in the next step, ...
WAITING = tuple(f"due_{k}" for k in range(MOST_LATE + 1))

EQUATIONS = "\n".join(
    [
        "p_lost : 1 (shared)",
        "p_extra : 1 (shared)",
        "most_late : 1 (shared)",
        "meant : 1  # whether it would fire in this step",
        "lag : 1",
        "arrived : 1  # spikes that it sends in this step",
        *(f"{name} : 1" for name in WAITING),
    ]
)

#: Threshold where a neuron sends what arrived.
ARRIVED = "arrived > 0"

#: Run in each step one after the other, once the circuits have competed; ``{fires}`` is the threshold of a neuron
#: without faults. One random number in each: then every code generation target gives the same ones to the same neurons.
PASSES = (
    "meant = int({fires})",
    "meant = meant*int(rand() >= p_lost)",
    "lag = floor(rand()*(most_late + 1))",
    "\n".join(
        [
            *(f"{name} += meant*int(lag == {k})" for k, name in enumerate(WAITING)),
            "arrived = due_0",
            *(f"{name} = {later}" for name, later in pairwise(WAITING)),
            f"{WAITING[-1]} = 0",
        ]
    ),
    "arrived += int(arrived == 0)*int(rand() < p_extra)",
)
