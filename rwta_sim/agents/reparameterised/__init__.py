"""Stochastic spiking neurons that learn by back-propagation through their noise, the reparameterisation trick."""

from rwta_sim.agents.reparameterised.experiment import ReparameterisedExperiment

__all__ = ["ReparameterisedExperiment"]
