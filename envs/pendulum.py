"""The inverted pendulum in MuJoCo, with a body that can be changed."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils import EzPickle

from rwta_sim.envs._checks import checked_action
from rwta_sim.envs._pole import BODIES, DENSITY, FORCES, LEAN, OBSERVATION_UNIT, STEP, TILT, Pole, check_noise

try:
    import mujoco
    from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
except (ImportError, DependencyNotInstalled) as error:
    raise ImportError("rwta_sim/InvertedPendulum-v0 needs MuJoCo: pip install 'rwta_sim[mujoco]'") from error

__all__ = ["InvertedPendulum"]


class InvertedPendulum(InvertedPendulumEnv):
    """Balance a pole on a cart that runs on a rail: Gymnasium's InvertedPendulum with the task of the SVPG paper.

    Observation: ``Box`` of x (m), angle (rad), and their speeds, unbounded. Action: ``Discrete(5)``, the force on the
    cart: -300, -150, 0, 150 or 300 N (control signals of -3 to 3, geared by 100) for 0.04 s.
    Reward: 1 per step. The episode terminates when the angle exceeds 0.2 rad; as registered, it is cut off after 200
    steps. An episode begins with position, angle and speeds uniform within `reset_noise_scale` of rest.

    Lengths of 0.16 to 4.80, thicknesses of 0.01 to 0.30, and both with length = 16 thickness are the paper's changes
    of the body. Bodies whose damping Gymnasium's time step of 0.02 s is too coarse for (of the paper's: length = 16
    thickness below 0.02) are simulated in smaller ones; a decision always lasts 0.04 s.

    Parameters
    ----------
    length, thickness : float
        Of the pole, in metres: from hinge to tip, 0.1 to 10, and the radius of its capsule, 0.005 to 1. Its density
        is 1,000 kg/m³. The paper trains on 1.5 and 0.05.
    reset_noise_scale : float
    **settings
        Those of Gymnasium's MujocoEnv: render_mode, width, height, camera_id and so on.

    Raises
    ------
    ValueError
        If length or thickness is outside its range.
    """

    #: What `rwta_sim.envs.changes.changes_of` tells.
    changes = BODIES
    #: Of noise; see `rwta_sim.loop.perturbed.unit`.
    observation_unit = OBSERVATION_UNIT

    def __init__(
        self, length: float = 1.5, thickness: float = 0.05, reset_noise_scale: float = 0.01, **settings: Any
    ) -> None:
        self._pole = Pole(length, thickness)
        check_noise(reset_noise_scale)
        self._substeps = self._pole.substeps(2.0)
        # Gymnasium's camera is made for a pole of 0.6 m.
        camera = {"distance": 1.5 * length + 1.2, "lookat": np.array([0.0, 0.0, length / 2]), "elevation": 0.0}
        settings.setdefault("default_camera_config", camera)
        super().__init__(frame_skip=2 * self._substeps, reset_noise_scale=reset_noise_scale, **settings)
        # Gymnasium's class has noted its own arguments for pickling.
        EzPickle.__init__(self, length, thickness, reset_noise_scale, **settings)
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(FORCES))

    def _initialize_simulation(self) -> tuple[Any, Any]:
        scene = ElementTree.parse(self.fullpath)
        pole, option = scene.find(".//geom[@name='cpole']"), scene.find("option")
        if pole is None or option is None:
            raise RuntimeError(f"{self.fullpath}: no geom 'cpole' or no option; expected Gymnasium's InvertedPendulum")
        pole.set("fromto", f"0 0 0 {LEAN} 0 {self._pole.length!r}")
        pole.set("size", repr(self._pole.thickness))
        pole.set("density", repr(DENSITY))
        option.set("timestep", repr(STEP / self._substeps))
        model = mujoco.MjModel.from_xml_string(ElementTree.tostring(scene.getroot(), encoding="unicode"))
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, self.width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, self.height)
        return model, mujoco.MjData(model)

    def step(  # type: ignore[override]  # discrete actions in place of forces
        self, action: np.int64
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push for 0.04 s."""
        force = FORCES[checked_action(action, len(FORCES))]
        self.do_simulation(np.array([force]), self.frame_skip)
        observation = self._get_obs()
        # NaN has fallen, too.
        fallen = not (np.isfinite(observation).all() and abs(observation[1]) <= TILT)
        if self.render_mode == "human":
            self.render()
        return observation, 1.0, fallen, False, {}

    def render(self) -> Any:
        """A picture by MuJoCo's renderer, which needs OpenGL."""
        try:
            return super().render()
        except Exception as error:  # what fails and how depends on drivers
            raise gym.error.Error(
                f"MuJoCo cannot render here ({type(error).__name__}: {error}): start Python with the environment "
                "variable MUJOCO_GL=egl, or osmesa where that library is installed"
            ) from error
