"""Sweeps: many runs from one file, on all cores or a cluster, each in a folder of its own."""

from rwta_sim.lab.sweep.display import SweepDisplay
from rwta_sim.lab.sweep.driver import Count, sweep
from rwta_sim.lab.sweep.estimate import Estimate, estimate
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.points import Point, check, points_of
from rwta_sim.lab.sweep.spec import Sweep

__all__ = [
    "Count",
    "Estimate",
    "Point",
    "Sweep",
    "SweepDisplay",
    "SweepFolder",
    "check",
    "estimate",
    "points_of",
    "sweep",
]
