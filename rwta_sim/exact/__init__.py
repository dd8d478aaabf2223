"""Networks small enough to enumerate: exact probabilities and gradients, to hold rules and approximations against."""

from rwta_sim.exact import event_rules
from rwta_sim.exact.energy import ExactNetwork
from rwta_sim.exact.events import ExactEvents
from rwta_sim.exact.process import ExactProcess
from rwta_sim.exact.updates import Moments, cosines, update_moments

__all__ = ["ExactEvents", "ExactNetwork", "ExactProcess", "Moments", "cosines", "event_rules", "update_moments"]
