"""Recordings of a live simulation, in the package's own format."""

from __future__ import annotations

from pathlib import Path

from rwta_sim.errors import RunError, one_line
from rwta_sim.lab.record import described, free_recording
from rwta_sim.lab.recorder import Recorder
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.cast import Cast
from rwta_sim.loop.probes import choose

__all__ = ["recorder_of"]


def recorder_of(cast: Cast, beginning: Beginning, learns: bool, folder: Path) -> Recorder:
    """Who records what is played from now on, with every spike that can be; beside other recordings in `folder`.

    Raises
    ------
    RunError
        If nothing can be written there.
    """
    system, name = cast.agent.system, beginning.name
    chosen = choose(cast.probes, system.probes())
    checkpoint = "none" if beginning.checkpoint is None else beginning.checkpoint.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = free_recording(folder, name)
        meta = described(name, cast.agent, checkpoint, chosen, None, learns)
        critic = cast.unlearned is None
        return Recorder(system, cast.stage, path, chosen, meta, learns, values=critic, source=cast.tap)
    except OSError as error:
        raise RunError(f"no recording: {one_line(error)}; choose another folder with --recordings") from error
