"""Tasks whose episodes begin at one of a list of places, some of them held out from training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rwta_sim.envs._checks import chosen_split
from rwta_sim.envs.patterns import SPLITS
from rwta_sim.errors import nearest

__all__ = ["StartTask", "Starts"]


@runtime_checkable
class StartTask(Protocol):
    """What training and evaluation ask of an environment with held-out starts.

    ``reset(options={"split": split, "index": i})`` begins an episode at start i of a split; validation and evaluation
    take the starts of theirs one after the other.
    """

    def n_starts(self, split: str) -> int:
        """How many starts a split has."""
        ...


class Starts:
    """Places where an episode may begin.

    Parameters
    ----------
    known : dict
        The task's own lists, "train", "validation" and "held_out", without a place in common: weights that are chosen
        where they were trained are told to be good where they were never tried.
    chosen : None, "train", "validation", "held_out", "all" or a list of places
        None: each list is a split, "held_out" tests. Else, every split is what is named; "all" are those that train
        and test.
    name : str
        Of that parameter, for messages.
    check : callable
        Takes a place of the user's list, returns it as a tuple, or raises ValueError.
    """

    def __init__(self, known: Mapping[str, Sequence[Any]], chosen: Any, name: str, check: Callable[[Any], Any]) -> None:
        train, held_out = known["train"], known["held_out"]
        if chosen is None:
            self._splits = {"train": train, "validation": known["validation"], "test": held_out}
            return
        if isinstance(chosen, str):
            lists = {**known, "all": [*train, *held_out]}
            if chosen not in lists:
                raise ValueError(f"{name} = {chosen!r}: {nearest(chosen, lists)}, or give a list")
            places: Sequence[Any] = lists[chosen]
        else:
            try:
                places = [check(place) for place in chosen]
            except TypeError as error:
                raise ValueError(
                    f"{name} = {chosen!r}: expected 'train', 'validation', 'held_out', 'all' or a list"
                ) from error
        if not places:
            raise ValueError(f"{name} is an empty list: expected at least one place")
        self._splits = dict.fromkeys(SPLITS, places)

    def count(self, split: str) -> int:
        """How many places a split has."""
        if split not in self._splits:
            raise ValueError(f"unknown split {split!r}: {nearest(str(split), self._splits)}")
        return len(self._splits[split])

    def choose(self, options: dict[str, Any] | None, rng: np.random.Generator) -> Any:
        """The place that reset options name; without an index one drawn from the split, by default "train".

        Raises
        ------
        ValueError
            If an option or split is unknown, or the index is not one of it.
        """
        split, index = chosen_split(options or {}, self.count, "starts")
        places = self._splits[split]
        return places[int(rng.integers(len(places)))] if index is None else places[index]
