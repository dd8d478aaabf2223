"""Networks small enough to enumerate: exact probabilities and gradients, to hold rules and approximations against."""

from rwta_sim.exact.energy import ExactNetwork
from rwta_sim.exact.process import ExactProcess
from rwta_sim.exact.updates import Moments, cosines, update_moments

__all__ = ["ExactNetwork", "ExactProcess", "Moments", "cosines", "update_moments"]
