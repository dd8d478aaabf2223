"""Learning: rules that turn what neurons did into factors, modulation, and optimisers."""

from rwta_sim.circuit.evidence import Eligibility, History
from rwta_sim.circuit.plasticity import PlasticSynapse
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.learner import Learner
from rwta_sim.learning.learner_base import LearnerBase
from rwta_sim.learning.recent_learner import RecentLearner
from rwta_sim.learning.rollout_learner import RolloutLearner
from rwta_sim.learning.spec import LearningSpec

__all__ = [
    "Decision",
    "Eligibility",
    "Factors",
    "History",
    "Learner",
    "LearnerBase",
    "LearningSpec",
    "PlasticSynapse",
    "RecentLearner",
    "RolloutLearner",
]
