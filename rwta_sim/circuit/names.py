"""Which names the equations of a plastic synapse may use in a network."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import NamedTuple

from brian2 import Equations
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import SUBEXPRESSION
from brian2.utils.stringtools import get_identifiers

from rwta_sim.circuit import equations as circuits
from rwta_sim.circuit.plasticity import GATE, PlasticSynapse
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import nearest

__all__ = ["Names", "check_names", "names_of"]

#: Of every Brian2 object, and of synapses.
_OBJECT = frozenset({"i", "N", "t", "dt", "t_in_timesteps"})
_SYNAPSES = frozenset({"j", "N_pre", "N_post", "N_incoming", "N_outgoing"})
_BUILT_IN = frozenset({*DEFAULT_FUNCTIONS, *DEFAULT_CONSTANTS, *DEFAULT_UNITS})

_EQUATIONS = ("synapse", "neuron")
_OF_NEURONS = ("neuron", "on_spike", "each_step", "large", "settled")


class Names(NamedTuple):
    """Names of variables and constants, and of those among them that code may give a value to."""

    known: frozenset[str]
    writable: frozenset[str]

    def __or__(self, other: Names) -> Names:
        return Names(self.known | other.known, self.writable | other.writable)

    def __and__(self, other: Names) -> Names:
        return Names(self.known & other.known, self.writable & other.writable)

    def __sub__(self, other: Names) -> Names:
        return Names(self.known - other.known, self.writable - other.known)

    def tailed(self, tail: str) -> Names:
        """With a tail at each."""
        return Names(*(frozenset(name + tail for name in names) for names in self))


def check_names(equations: PlasticSynapse, network: NetworkSpec) -> None:
    """Check that a network of this spec has every name in `equations`, and lets them change what they change.

    Raises
    ------
    ValueError
        That names the first name that is wrong, and those that are right.
    """
    for part, text in equations.model_dump(exclude_none=True).items():
        names = names_of(equations, network, part)
        changed, new = _given_values(text, part)
        local = new - names.known  # variables that the code makes for itself
        if unknown := sorted(_used(text, part) - names.known - local - _BUILT_IN):
            raise ValueError(
                f"learning.equations.{part} = {text!r} names {unknown[0]!r}, which this network does not have: "
                f"{nearest(unknown[0], names.known)}"
            )
        if fixed := sorted(changed - names.writable - local):
            raise ValueError(f"learning.equations.{part} = {text!r} changes {fixed[0]!r}, which is not to be changed")


def names_of(equations: PlasticSynapse, network: NetworkSpec, part: str) -> Names:
    """What one part of `equations` may use, other than units, functions and constants of Brian2.

    Variables that not all of the synapses have, as those of the neurons that inputs are not, are none of them.
    """
    neurons, linked, inputs, constants = _of_network(network.model_dump_json())
    neurons |= _defined(equations.neuron)
    if part in _OF_NEURONS:
        return neurons | constants
    neurons -= linked  # which synapses do not see
    common = neurons | neurons.tailed("_post") | Names(_SYNAPSES, frozenset()) | constants
    if part == "on_circuit":
        return common | neurons.tailed("_pre")
    senders = {"s": inputs, "h": neurons, "a": neurons}
    before, *others = [senders[block[0]].tailed("_pre") for block in network.present_blocks]
    for other in others:
        before &= other
    own = {"w", "jump"} if network.kernel.off_delay is None else {"w", "jump", "felt", "t_clear"}
    if any(word in (equations.synapse or "") for word in ("lastupdate", "(event-driven)")):
        own.add("lastupdate")
    return common | before | Names(frozenset(own), frozenset({"w"})) | _defined(equations.synapse)


@lru_cache(maxsize=16)
def _of_network(spec: str) -> tuple[Names, Names, Names, Names]:
    """The variables of neurons, those of them that are another group's, those of inputs, and the constants.

    `spec` in JSON.
    """
    network = NetworkSpec.model_validate_json(spec)
    kernel = network.kernel
    details = circuits.Details(network.refractory is not None, network.noise > 0, network.warm_up is not None)
    constants = {"rho_hat", "kappa_0", *circuits.CONSTANTS, *kernel.namespace()}
    if details.refractory:
        constants |= {"refractory_time", *circuits.BARRED_CONSTANTS}
    if details.warm_up:
        constants.add("warm_up")
    if details.noise:
        constants |= {"noise_sd", "noise_kept"}
    if kernel.off_delay is not None:
        constants.add("off_delay")
    neurons = circuits.neuron_equations(kernel, network.firing, network.inhibition, details) + GATE
    linked = frozenset(name for name, equation in Equations(neurons).items() if "linked" in equation.flags)
    always = Names(_OBJECT, frozenset())
    return (
        _defined(neurons) | always,
        Names(linked, frozenset()),
        _defined(circuits.input_equations(kernel, details)) | always,
        Names(frozenset(constants), frozenset()),
    )


def _defined(text: str | None) -> Names:
    equations = Equations(text or "")
    free = (
        name
        for name in equations
        if equations[name].type != SUBEXPRESSION and not {"constant", "linked"} & set(equations[name].flags)
    )
    return Names(frozenset(equations), frozenset(free))


def _used(text: str, part: str) -> set[str]:
    """Names in one part, but for those that it defines."""
    if part not in _EQUATIONS:
        return set(get_identifiers(text))
    equations = Equations(text)
    return set().union(*(equations[name].identifiers for name in equations))


def _given_values(text: str, part: str) -> tuple[set[str], set[str]]:
    """Names that the statements of a part change, and those that they give a new value to, whatever the old one."""
    nodes = [] if part in (*_EQUATIONS, "large") else ast.parse(text).body
    new = {ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign)}
    return new | {ast.unparse(node.target) for node in nodes if isinstance(node, ast.AugAssign)}, new
