"""Coagents: every neuron a reinforcement-learning agent of its own (Aenugu 2020)."""

from rwta_sim.agents.coagents.experiment import CoagentExperiment, CoagentLearningSpec, CoagentNetworkSpec

__all__ = ["CoagentExperiment", "CoagentLearningSpec", "CoagentNetworkSpec"]
