"""Deep Q-learning, by spiking neurons (DSQN) or by ReLU units (DQN) of the same number."""

from rwta_sim.agents.dsqn.experiment import DQNExperiment, DSQNExperiment

__all__ = ["DQNExperiment", "DSQNExperiment"]
