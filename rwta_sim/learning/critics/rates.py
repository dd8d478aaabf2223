"""A critic that is linear in the firing rates of the hidden circuits."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from rwta_sim.errors import RwtaSimError
from rwta_sim.learning.critics.base import Critic, CriticInputs, Transitions
from rwta_sim.learning.critics.linear import LinearTD, LinearTDSettings

__all__ = ["Rates", "RatesTD"]


class Rates(LinearTDSettings):
    """V(s_t) = theta_0 + sum_j theta_j r_j, r_j the firing rate of hidden neuron j in decision t.

    One linear unit reads the spikes of the network itself. Its weights change by the broadcast TD error times a trace
    of their own presynaptic rates, local as in spiking actor-critics with a dopamine-like TD signal (Potjans, Morrison
    and Diesmann 2009; Frémaux, Sprekeler and Gerstner 2013, eq. 17, where the critic's neurons spike too and their
    spikes are a further factor). r counts spikes per step, but of each circuit the last spike: that one is what a rule
    credits, and a baseline that depends on it would turn its own sign into what is learned (see below). Without spikes
    r is q, what it is in the mean.

    The value of a state is known once its decision is taken, so TD errors are told at the end of the episode. No
    decision follows the last one: where the episode was cut short, the value that the last one read also stands for the
    state after it.

    Rules that credit the spikes of many steps are refused. Each spike of neuron j that is both credited and counted
    changes its own modulation by ``-theta_j/steps``: whatever the rewards, neurons learn not to fire the more the value
    rests on them. In symmetric networks this was seen to outweigh what was to be learned.

    ``rate`` times ``1 + sum_j r_j**2``, which is at most 1 plus the number of hidden circuits, has to stay well below
    2.
    """

    kind: Literal["rates"] = "rates"
    online: ClassVar[bool] = False
    reads_rates: ClassVar[bool] = True

    def make(self, inputs: CriticInputs) -> RatesTD:
        """The critic for a network's hidden neurons.

        Raises
        ------
        RwtaSimError
            If there are none.
        """
        if inputs.n_hidden == 0:
            raise RwtaSimError("critic.kind = 'rates' reads hidden circuits: set network.hidden_circuits")
        return RatesTD(self, inputs.n_hidden)


class RatesTD(Critic):
    """TD(lambda) on firing rates.

    Parameters
    ----------
    settings : LinearTDSettings
    n_hidden : int
        Hidden neurons, the first of all.
    """

    def __init__(self, settings: LinearTDSettings, n_hidden: int) -> None:
        self.gamma = settings.gamma
        n = n_hidden + 1
        one = np.eye(1, n, n - 1)[0]
        self._reader = LinearTD(
            settings, lambda rates: np.append(rates[:n_hidden], 1.0), np.full(n, settings.rate), one
        )

    def value(self, rates: np.ndarray) -> float:
        """V of a decision with these firing rates, shape (n_neurons,)."""
        return self._reader.value(rates)

    def td_errors(self, episode: Transitions, rng: np.random.Generator) -> np.ndarray:
        rates = [r for r in episode.rates if r is not None]
        if len(rates) < len(episode.rewards):
            raise ValueError("critic.kind = 'rates' needs decisions that tell firing rates, as those of actors do")
        return self._reader.follow([*rates, rates[-1]], episode.rewards, episode.terminated)

    def state(self) -> dict[str, np.ndarray]:
        return self._reader.state()
