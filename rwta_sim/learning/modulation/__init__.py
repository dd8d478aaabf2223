"""Modulation, the third factor, one kind per file: one scalar per decision, broadcast to every synapse."""

from typing import Annotated

from pydantic import Field

from rwta_sim.learning.modulation.base import Modulation
from rwta_sim.learning.modulation.episode_advantage import EpisodeAdvantage
from rwta_sim.learning.modulation.ppo import PPO
from rwta_sim.learning.modulation.recent import Recent
from rwta_sim.learning.modulation.scale import Scale
from rwta_sim.learning.modulation.shuffle import Control, Shuffle
from rwta_sim.learning.modulation.td_error import TDError

__all__ = [
    "PPO",
    "Control",
    "EpisodeAdvantage",
    "Modulation",
    "ModulationSpec",
    "Recent",
    "Scale",
    "Shuffle",
    "TDError",
]

ModulationSpec = Annotated[TDError | EpisodeAdvantage | PPO | Recent, Field(discriminator="kind")]
