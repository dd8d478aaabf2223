"""Leaky integrate-and-fire neurons that learn by back-propagation through time with surrogate gradients."""

from rwta_sim.agents.bptt.experiment import BPTTExperiment

__all__ = ["BPTTExperiment"]
