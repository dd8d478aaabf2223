"""Learning: rules that turn what neurons did into factors, modulation, and optimisers."""

from rwta_sim.learning.decision import Decision, Factors, History
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.rate_learner import RateLearner

__all__ = ["Decision", "Factors", "History", "Learner", "LearningSpec", "RateLearner"]
