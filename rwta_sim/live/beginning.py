"""What a live simulation begins with: a task, or what a run learned."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.trust import check_modules
from rwta_sim.loop.experiment import Experiment

__all__ = ["Beginning"]


class Beginning(NamedTuple):
    """What a live simulation begins with, and comes back to.

    Attributes
    ----------
    experiment : Experiment
    name : str
        For people and for recordings.
    checkpoint : Checkpoint or None
        Parameters, and what learning depends on; None: from nothing.
    learns : bool
        Whether it learns until somebody says otherwise.
    """

    experiment: Experiment
    name: str
    checkpoint: Checkpoint | None = None
    learns: bool = True

    @classmethod
    def of_task(cls, experiment: Experiment) -> Beginning:
        """To be trained from nothing."""
        experiment.check_libraries()
        return cls(experiment, f"{experiment.task}-seed{experiment.seed}")

    @classmethod
    def of_run(cls, path: Path | str, trust: bool = False) -> Beginning:
        """A copy of the best weights of a run, which stays as it is.

        Raises
        ------
        RwtaSimError
            As for `Agent.load`.
        """
        run = RunFolder.open(path)
        check_modules(run.experiment, run.path, trust)
        run.experiment.check_libraries()
        return cls(run.experiment, run.path.resolve().name, run.best(), learns=False)
