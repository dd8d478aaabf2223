"""Remake the pictures of the README (docs/pictures) from a training run.

python scripts/make_pictures.py              # trains CartPole, seed 0, into runs/pictures first
python scripts/make_pictures.py --run RUN    # from a run that is there already
python scripts/make_pictures.py --run RUN --only raster --name coagents_raster    # one picture, for another page
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import rwta_sim
from rwta_sim import Agent
from rwta_sim.analysis import draw_figures, draw_lesions, save_film
from rwta_sim.lab.display import TrainingDisplay
from rwta_sim.lab.evaluation import result
from rwta_sim.lab.lesions import lesion_curve
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder

#: Of the film: its length, and when the hidden neurons' connections to the actions are cut.
DECISIONS, CUT = 80, 40
PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run folder to draw; default: train one")
    parser.add_argument("--only", choices=("raster", "rates", "tuning"), help="the one figure that is drawn of --run")
    parser.add_argument("--name", help="of that picture, without .png; default: that of the figure")
    arguments = parser.parse_args()
    folder = arguments.run
    if arguments.only:
        if folder is None:
            parser.error("--only draws a run that is there: say which by --run")
        return one(folder, arguments.only, arguments.name or arguments.only)
    if folder is None:
        folder = Path("runs/pictures")
        with TrainingDisplay("pictures") as display:
            rwta_sim.train(rwta_sim.preset("cartpole"), folder, report=display)
    run = RunFolder.open(folder)
    run.save_recording(record_episode(run))
    with Agent.load(run) as agent:
        by_chance = result(agent.play(random=True))["mean_return"]
    lesions = draw_lesions(run, lesion_curve(run, seeds=10), "circuits", by_chance)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in (*draw_figures(run), lesions):
        shutil.copy(path, PICTURES / path.name)
    cut = record_episode(run, frames=True, decisions=DECISIONS, perturbations=[("lesion", "ha")], after=CUT)
    save_film(cut, PICTURES / "watch.gif", DECISIONS, fps=10, window=20, note="hidden to action cut")


def one(folder: Path, figure: str, name: str) -> None:
    """One figure of a run, recorded anew, as a picture of this name."""
    run = RunFolder.open(folder)
    run.save_recording(record_episode(run))
    (path,) = (path for path in draw_figures(run) if path.stem == figure)
    shutil.copy(path, PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
