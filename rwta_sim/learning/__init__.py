"""Learning: rules that turn what neurons did into factors, modulation, and optimisers."""

from rwta_sim.learning.decision import Decision, Eligibility, Factors, History
from rwta_sim.learning.equations import PlasticSynapse
from rwta_sim.learning.learner import Learner, LearningSpec

__all__ = ["Decision", "Eligibility", "Factors", "History", "Learner", "LearningSpec", "PlasticSynapse"]
