"""Recurrent winner-take-all networks as systems: from spikes, or as their mean field."""

from rwta_sim.agents.rwta.experiment import RWTAExperiment
from rwta_sim.agents.rwta.system import RWTASystem

__all__ = ["RWTAExperiment", "RWTASystem"]
