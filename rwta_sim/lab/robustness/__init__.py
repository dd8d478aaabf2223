"""The robustness suite: an agent under noise, loss and change, level by level; see docs/robustness.md."""

from rwta_sim.lab.robustness.families import Family, families_of
from rwta_sim.lab.robustness.suite import Suite, robustness
from rwta_sim.lab.robustness.table import Cell, Row, Table, read_rows

__all__ = ["Cell", "Family", "Row", "Suite", "Table", "families_of", "read_rows", "robustness"]
