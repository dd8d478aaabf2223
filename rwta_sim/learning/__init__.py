"""Learning: rules that turn what neurons did into factors, modulation, and optimisers."""

from rwta_sim.learning.decision import Decision, Eligibility, Factors, History
from rwta_sim.learning.equations import PlasticSynapse
from rwta_sim.learning.learner import Learner, LearningSpec
from rwta_sim.learning.rate_learner import RateLearner

__all__ = [
    "Decision",
    "Eligibility",
    "Factors",
    "History",
    "Learner",
    "LearningSpec",
    "PlasticSynapse",
    "RateLearner",
]
