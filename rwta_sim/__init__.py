"""rwta_sim: spiking winner-take-all circuits in Brian2 that act and learn in a closed loop."""

from rwta_sim import _rooms  # noqa: F401  (first: others import from the rooms)
from rwta_sim._version import __version__
from rwta_sim.agent import Agent
from rwta_sim.bridge import Bridge
from rwta_sim.config import Experiment
from rwta_sim.envs import register_all
from rwta_sim.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.models import preset, tasks
from rwta_sim.network import RWTANetwork
from rwta_sim.runs import RunFolder
from rwta_sim.spec import NetworkSpec
from rwta_sim.training import resume, train

register_all()

__all__ = [
    "Agent",
    "Bridge",
    "DoubleExponential",
    "Experiment",
    "Exponential",
    "NetworkSpec",
    "RWTANetwork",
    "Rectangular",
    "RunFolder",
    "__version__",
    "preset",
    "resume",
    "tasks",
    "train",
]
