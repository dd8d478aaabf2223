"""Equilibrium propagation: a network that settles learns from what settles otherwise once it is nudged."""

from rwta_sim.agents.ep.experiment import EPExperiment

__all__ = ["EPExperiment"]
