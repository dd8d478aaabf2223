"""Softmax policies without spikes, linear or with hidden ReLU units: what spiking networks are compared with."""

from rwta_sim.agents.softmax.experiment import SoftmaxExperiment

__all__ = ["SoftmaxExperiment"]
