"""Environments that tell of patterns or places of their own for training, validation and testing.

Such an environment declares a method ``n_patterns(split)`` (classification: one pattern, one decision) or
``n_starts(split)`` (places where an episode begins), and takes ``reset(options={"split": split, "index": i})``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from rwta_sim.errors import EnvironmentFailure

__all__ = ["pattern_count", "reset_options"]


def pattern_count(env: gym.Env, split: str) -> int | None:
    """How many patterns a classification task has in a split; None for any other environment.

    Raises
    ------
    EnvironmentFailure
        If it has none.
    """
    count = getattr(env.unwrapped, "n_patterns", None)
    if count is None:
        return None
    found = int(count(split))
    if not found:
        raise EnvironmentFailure(f"{type(env.unwrapped).__name__} has no {split} patterns: give it more of them")
    return found


def reset_options(env: gym.Env, split: str, episode: int) -> dict[str, Any] | None:
    """Options for `env.reset`: the patterns or starts of `split` one after the other, where a task has such."""
    count = pattern_count(env, split)
    if count is None and (starts := getattr(env.unwrapped, "n_starts", None)) is not None:
        count = int(starts(split))
    return None if count is None else {"split": split, "index": episode % count}
