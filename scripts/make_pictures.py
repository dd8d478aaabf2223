"""Remake the pictures of the README (docs/pictures) from a training run.

python scripts/make_pictures.py              # trains CartPole, seed 0, into runs/pictures first
python scripts/make_pictures.py --run RUN    # from a run that is there already
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import rwta_sim
from rwta_sim.analysis import draw_figures, save_film
from rwta_sim.lab.display import TrainingDisplay
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run folder to draw; default: train one")
    folder = parser.parse_args().run
    if folder is None:
        folder = Path("runs/pictures")
        with TrainingDisplay("pictures") as display:
            rwta_sim.train(rwta_sim.preset("cartpole"), folder, report=display)
    run = RunFolder.open(folder)
    recording = record_episode(run, frames=True)
    run.save_recording({name: array for name, array in recording.items() if name != "frames"})
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in draw_figures(run):
        shutil.copy(path, PICTURES / path.name)
    save_film(recording, PICTURES / "watch.gif", decisions=60, fps=15)


if __name__ == "__main__":
    main()
