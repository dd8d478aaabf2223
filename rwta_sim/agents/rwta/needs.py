"""What memory an experiment takes, reckoned from its settings before anything is built.

It is less than what is taken in the end, but of its size: large arrays, not the program itself, nor what is
short-lived.
"""

from __future__ import annotations

from rwta_sim.agents.rwta.experiment import RWTAExperiment
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.learning import PlasticSynapse
from rwta_sim.memory import Need

__all__ = ["network_needs", "training_needs"]

#: Bytes of the variables of a neuron, of a pair of indices, and of a pair in a list of Python's.
_NEURON, _ENDPOINTS, _PAIR = 100, 8, 64
#: Bytes of a number that tells whether a pair of circuits is connected, and of the answer.
_DRAWN = 9
#: Bytes of the time and the sender of a spike.
_EVENT = 12
#: Arrays of the shapes of all weights that optimisers keep, those that checkpoints hold first.
_OPTIMISER_ARRAYS = {"sgd": (0, 0), "rms": (1, 0), "adam": (2, 3)}

_HISTORY_ADVICE = "lower decision.steps, or choose a learning.rule.kind that reads no history, like last_step"


def network_needs(experiment: RWTAExperiment, n_inputs: int, n_actions: int) -> list[Need]:
    """What a network takes on an engine, or as a mean field, with `n_inputs` inputs and `n_actions` actions."""
    spec, n = experiment.network, experiment.network.n_hidden + n_actions
    of_inputs, of_neurons = _connections(spec, n_inputs, n_actions)
    advice = "lower network.hidden_circuits, network.hidden_size or encoder.copies, or take away network.blocks"
    structure = _structure(spec, n_inputs)
    count = f"{of_inputs + of_neurons:,} weights of {n_inputs:,} inputs and {n:,} neurons"
    if experiment.dynamics == "rate":
        return [Need(count, 5 * of_neurons + 4 * of_inputs, advice), *structure]
    width = 4 if spec.precision == "single" else 8
    if experiment.engine.name == "events":
        kept = width + 8 * (experiment.event_credit() is not None)
        firing = spec.hidden_circuits + 1 + (n_inputs if spec.inputs == "spikes" else 0)
        events = Need(
            "the events of a decision",
            int(_EVENT * firing * spec.spikes_per_step * experiment.decision.steps),
            "lower network.rho_hat, decision.steps or encoder.copies",
        )
        return [Need(count, _NEURON * n + kept * of_inputs + (kept + 1) * of_neurons, advice), events, *structure]
    plasticity = experiment.learning.plasticity(spec)
    each = width + _synapse_bytes(spec, plasticity)
    of_input = width if spec.inputs == "current" else each
    needs = [Need(count, _NEURON * n + of_input * of_inputs + (each + 1) * of_neurons, advice), *structure]
    draws = spec.firing == "one_hot" or experiment.decision.go_signal
    if (within := _within_circuits(spec, n_actions, plasticity, draws)) > 0:
        needs.append(Need("synapses within circuits", within, "lower network.hidden_size or network.hidden_circuits"))
    if rows := _history_rows(experiment):
        values = 3 if _records_traces(experiment) else 2
        recorded = rows * (8 * values * n + (4 + 8 * (values - 2)) * n_inputs)
        needs.append(Need(f"the history of {rows:,} steps", recorded, _HISTORY_ADVICE))
    return needs


def training_needs(experiment: RWTAExperiment, n_inputs: int, n_actions: int) -> list[Need]:
    """What a training takes: the networks of all replicas, and what learns."""
    spec, spiking = experiment.network, experiment.dynamics == "spiking"
    needs, replicas = network_needs(experiment, n_inputs, n_actions), experiment.training.replicas
    copies = (replicas - 1) * sum(need.bytes for need in needs) if spiking else 0
    if copies:
        needs.append(Need(f"the networks of {replicas - 1} more replicas", copies, "lower training.replicas"))
    saved, unsaved = _OPTIMISER_ARRAYS[experiment.learning.optimiser.kind]
    weights = sum(_connections(spec, n_inputs, n_actions)) * (8 if spiking and spec.precision == "double" else 4)
    needs.append(
        Need("the optimiser, and a checkpoint", weights * (2 * saved + unsaved + 1), "lower network.hidden_circuits")
    )
    if remembered := experiment.learning.modulation.remembered:
        # What the critic reads before and after each, and what is replayed of it.
        row = 20 * n_inputs + 8 * n_actions + (8 * (spec.n_hidden + n_actions) if spiking else 0)
        needs.append(Need(f"{remembered:,} remembered decisions", remembered * row, "lower learning.modulation.size"))
    if (rows := _history_rows(experiment)) and spiking:
        n = spec.n_hidden + n_actions
        # The weights of the steps, copies of the history, and what each step feels of each other.
        filtering = 0 if _records_traces(experiment) else 24 * rows**2
        needs.append(Need(f"credit for {rows:,} steps", 24 * rows * n + filtering, _HISTORY_ADVICE))
    return needs


def _connections(spec: NetworkSpec, n_inputs: int, n_actions: int) -> tuple[int, int]:
    """How many from inputs, and from neurons: those that sparsity leaves in the mean."""
    size = {"s": n_inputs, "h": spec.n_hidden, "a": n_actions}
    sizes = {block: size[block[0]] * size[block[1]] for block in spec.present_blocks}
    of_inputs = sum(count for block, count in sizes.items() if block[0] == "s")
    of_neurons = sum(sizes.values()) - of_inputs
    return round(of_inputs * (1 - spec.input_sparsity)), round(of_neurons * (1 - spec.sparsity))


def _structure(spec: NetworkSpec, n_inputs: int) -> list[Need]:
    """What it takes to draw which circuits are connected."""
    circuits = spec.hidden_circuits + 1
    pairs = circuits**2 * (spec.sparsity > 0) + circuits * n_inputs * (spec.input_sparsity > 0)
    return [Need(f"{pairs:,} pairs to draw", _DRAWN * pairs, "lower network.hidden_circuits")] if pairs else []


def _synapse_bytes(spec: NetworkSpec, plasticity: PlasticSynapse | None) -> int:
    """Of a synapse, besides its weight: its neurons, its place in each pathway, the variables of its plasticity."""
    pathways = 1 if spec.kernel.off_delay is None else 2
    variables = 0
    if plasticity is not None:
        pathways += sum(bool(code) for code in (plasticity.on_pre, plasticity.on_post, plasticity.settle))
        variables = len(plasticity.variables("synapse"))
    return _ENDPOINTS + 4 * pathways + 8 * variables


def _within_circuits(spec: NetworkSpec, n_actions: int, plasticity: PlasticSynapse | None, draws: bool) -> int:
    pairs, neurons = sum(size**2 for size in (*spec.hidden_sizes, n_actions)), spec.n_hidden + n_actions
    ladder = _PAIR * pairs // 2 if spec.inhibition == "equations" and draws else 0
    remembers = spec.refractory is not None and spec.firing == "poisson"
    every = remembers + (plasticity is not None and bool(plasticity.on_circuit))
    return ladder + every * (_ENDPOINTS + 4) * pairs + neurons**2 * bool(every)


def _history_rows(experiment: RWTAExperiment) -> int:
    learning = experiment.learning
    keeps = learning.rule.needs_history and learning.apply == "factors" and experiment.engine.name != "events"
    return experiment.decision.steps if keeps else 0


def _records_traces(experiment: RWTAExperiment) -> bool:
    return experiment.decision.clear == "episode" or experiment.network.tau_spread > 0
