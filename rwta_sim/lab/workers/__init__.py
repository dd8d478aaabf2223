"""Worker processes, here or on other machines: which there are, what they are handed, and what they do."""

from rwta_sim.lab.workers.cluster import Answer, Cluster, check_cluster, opened
from rwta_sim.lab.workers.tasks import Tasks

__all__ = ["Answer", "Cluster", "Tasks", "check_cluster", "opened"]
