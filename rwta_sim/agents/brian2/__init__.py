"""A Brian2 network of the user's own as a system."""

from rwta_sim.agents.brian2.experiment import Brian2Experiment, BuilderSpec

__all__ = ["Brian2Experiment", "BuilderSpec"]
