"""Learning: rules that turn what neurons did into factors, modulation, and optimisers."""

from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.rules import Decision, Factors, LastStep

__all__ = ["Decision", "Factors", "LastStep", "Learner", "LearningSpec"]
