"""Sweeps: many runs from one file, on all cores or a cluster, each in a folder of its own."""

from rwta_sim.lab.sweep.display import SweepDisplay
from rwta_sim.lab.sweep.driver import Count, sweep
from rwta_sim.lab.sweep.estimate import Estimate, estimate
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.points import Point, check, points_of
from rwta_sim.lab.sweep.searching import check_search, search, study_of
from rwta_sim.lab.sweep.spec import SearchSpec, Sweep

__all__ = [
    "Count",
    "Estimate",
    "Point",
    "SearchSpec",
    "Sweep",
    "SweepDisplay",
    "SweepFolder",
    "check",
    "check_search",
    "estimate",
    "points_of",
    "search",
    "study_of",
    "sweep",
]
