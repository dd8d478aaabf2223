"""Lesions of a network of coagents: changes of its weights, nothing else.

Nothing is taken out of the network, so that all that is left draws the same random numbers as before.
"""

from __future__ import annotations

import re

import numpy as np

from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.agents.targets import check_known, number, share
from rwta_sim.errors import ConfigError

__all__ = ["MUTE", "PERTURBATIONS", "perturb"]

#: Bias, in units of the temperature, of a neuron that cannot fire.
MUTE = -1e6

PERTURBATIONS = {
    "lesion": "destroy actor:K, module:K.A (actor K's for action A), actors:SHARE, modules:SHARE, or neurons:SHARE of "
    "the hidden ones: no connections, and no votes",
    "silence": "keep hidden neurons from firing, by neurons:SHARE, or all of actor:K or module:K.A; outputs go on",
}
_TARGET = re.compile(r"(?:(actor):(\d{1,6})|(module):(\d{1,6})\.(\d{1,6})|(actors|modules|neurons):([0-9.eE+-]+))")


def perturb(
    parameters: Parameters, actors: int, temperature: float, name: str, target: str, rng: np.random.Generator
) -> None:
    """Change weights and biases in place, as `PERTURBATIONS` says.

    Parameters
    ----------
    parameters : Parameters
    actors : int
    temperature : float
    name : str
        One of `PERTURBATIONS`.
    target : str
        Of what; as there.
    rng : numpy.random.Generator
        Draws what a share hits.

    Raises
    ------
    ConfigError
        If there is no such perturbation, or no such target in this network; then nothing has changed.
    """
    check_known(name, PERTURBATIONS)
    n_outputs, n_hidden = parameters.bias.size, parameters.modules.size
    outputs, neurons = _hit(f"{name} {target!r}", target, (actors, n_outputs // actors), n_hidden, rng)
    if name == "lesion":
        parameters.modules[neurons] = 0.0
        parameters.inputs[:, neurons] = 0.0
        parameters.bias[outputs] = MUTE * temperature
        _cut(parameters, neurons, deaf_only=False)
    else:
        parameters.inputs[:-1, neurons] = 0.0
        parameters.inputs[-1, neurons] = MUTE * temperature
        _cut(parameters, neurons, deaf_only=True)


def _cut(parameters: Parameters, neurons: np.ndarray, deaf_only: bool) -> None:
    """What hidden neurons hear of one another; and, unless they are to be `deaf_only`, what others hear of them."""
    if parameters.recurrent is None:
        return
    block, place = np.divmod(neurons, parameters.recurrent.shape[1])
    parameters.recurrent[block, :, place] = 0.0
    if not deaf_only:
        parameters.recurrent[block, place] = 0.0


def _hit(
    asked: str, target: str, shape: tuple[int, int], n_hidden: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the outputs and of the hidden neurons that a target names."""
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ConfigError(f"{asked}: expected actor:K, module:K.A, actors:SHARE, modules:SHARE or neurons:SHARE")
    (n_actors, n_actions), n_outputs = shape, shape[0] * shape[1]
    kind = found[1] or found[3] or found[6]
    modules = np.arange(n_outputs).reshape(shape)
    if kind == "actor":
        outputs = modules[number(asked, "an actor", found[2], n_actors)]
    elif kind == "module":
        actor, action = number(asked, "an actor", found[4], n_actors), number(asked, "an action", found[5], n_actions)
        outputs = modules[actor, [action]]
    else:
        count = {"actors": n_actors, "modules": n_outputs, "neurons": n_hidden}[kind]
        chosen = np.sort(rng.permutation(count)[: round(share(asked, found[7]) * count)])
        if kind == "neurons":
            return np.empty(0, np.int64), chosen
        outputs = modules[chosen].reshape(-1) if kind == "actors" else chosen
    size = n_hidden // n_outputs
    return outputs, (outputs[:, None] * size + np.arange(size)).reshape(-1)
