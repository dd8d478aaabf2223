"""rwta_sim: spiking winner-take-all circuits in Brian2 that act and learn in a closed loop."""

from rwta_sim import _moved, _rooms  # noqa: F401  (first: others import from the rooms)
from rwta_sim._version import __version__
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.envs import register_all
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.record import TrainingRecord, record
from rwta_sim.lab.recordings import Recording
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.training import resume, train
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.system import System
from rwta_sim.models import preset, tasks

register_all()

__all__ = [
    "Agent",
    "DoubleExponential",
    "Experiment",
    "Exponential",
    "NetworkSpec",
    "RWTANetwork",
    "Recording",
    "Rectangular",
    "RunFolder",
    "System",
    "TrainingRecord",
    "__version__",
    "preset",
    "record",
    "resume",
    "tasks",
    "train",
]
