"""How a decision is taken: its steps, and the action that the spikes of the action circuit choose."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from rwta_sim.seeding import Purpose
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["DecisionSpec", "Decoder", "choose_action"]

Decoder = Literal["last_spike", "most_spikes"]


class DecisionSpec(Settings):
    """How a decision is taken.

    **gain**: what the potentials of the action circuit are multiplied by in episodes that nothing is learned from, its
    inverse temperature: the same competition, more certain of what it prefers. Learning needs to explore, and stays at
    1. What the locus coeruleus is thought to do when an animal exploits what it knows (Aston-Jones and Cohen 2005,
    Annu. Rev. Neurosci. 28:403).

    **go_signal**: the action circuit is held silent until the last step of a decision, in which exactly one of its
    neurons fires, drawn from its q: motor output waits for a go cue, as in delayed-response tasks. The spike that acts
    is then never older than the decision's end, while without it a last spike at 100 Hz is 10 ms old in the mean; and
    q of the action circuit is the probability of the action, exactly.
    """

    steps: PositiveInt = Field(10, le=1_000_000, description="time steps in a decision")
    decoder: Decoder = Field("last_spike", description="last_spike or most_spikes of the action circuit")
    readout: Literal["spikes", "argmax"] = Field(
        "spikes",
        description="what evaluations and validations act on: the spikes, as in learning, or argmax of q",
    )
    gain: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="factor of the action circuit's potentials in evaluations and validations; while learning it is 1",
    )
    go_signal: bool = Field(
        False,
        description="the action circuit is silent until the last step of a decision, in which one of it fires",
    )
    clear: Literal["decision", "episode"] = Field(
        "decision", description="when traces and currents start from zero: at each decision or each episode"
    )
    race: PositiveInt | None = Field(
        None,
        description="spikes of one action neuron that end a decision; `steps` is then the deadline. Default: none do",
    )
    time_cost: float = Field(
        0.0, ge=0, le=1e6, description="what a second of a decision costs of the reward that is learned from, in a race"
    )

    @model_validator(mode="after")
    def _circuit_can_speak(self) -> DecisionSpec:
        if self.go_signal and self.decoder != "last_spike":
            raise ValueError(
                "go_signal leaves the action circuit one spike in a decision, so there is nothing to count: set "
                f"decision.decoder = 'last_spike', got {self.decoder!r}"
            )
        if self.race is None:
            if self.time_cost > 0:
                raise ValueError(
                    f"time_cost = {self.time_cost:g}: decisions that no spike ends all take the same time: set "
                    "decision.race, or leave it out"
                )
            return self
        if self.race > self.steps:
            raise ValueError(
                f"race = {self.race}: so many spikes of one neuron cannot come before the deadline of steps = "
                f"{self.steps}: raise decision.steps"
            )
        if self.go_signal:
            raise ValueError("race and go_signal both say when the action circuit speaks: leave one out")
        if self.clear != "decision":
            raise ValueError("race needs clear = 'decision': the spike that ends it is not felt by a later decision")
        return self

    def gain_for(self, purpose: Purpose) -> float:
        """The gain in an episode: 1 in those of training."""
        return 1.0 if purpose is Purpose.TRAINING else self.gain


def choose_action(
    decoder: Decoder, last: np.ndarray, counts: np.ndarray, q: np.ndarray, rng: np.random.Generator
) -> int:
    """Index of the chosen action neuron.

    Parameters
    ----------
    decoder : {"last_spike", "most_spikes"}
    last : ndarray, shape (n_actions,)
        Who fired last in the action circuit (ties share the one, all zero if silent).
    counts : ndarray, shape (n_actions,)
        Spikes of the decision.
    q : ndarray, shape (n_actions,)
        Firing probabilities: who would fire next, asked where the circuit stayed silent.
    rng : numpy.random.Generator
        Breaks ties.
    """
    score = (last if decoder == "last_spike" else counts).tolist()  # a handful: faster than NumPy
    best = max(score)
    if best <= 0:
        return int(rng.choice(q.size, p=q / q.sum()))
    winners = [i for i, value in enumerate(score) if value == best]
    return winners[0] if len(winners) == 1 else int(rng.choice(winners))
