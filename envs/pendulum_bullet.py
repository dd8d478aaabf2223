"""The same inverted pendulum in another simulator, PyBullet."""

from __future__ import annotations

import math
import weakref
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import check_render_mode, checked_action
from rwta_sim.envs._pole import (
    BODIES,
    CART_LENGTH,
    CART_MASS,
    CART_RADIUS,
    DAMPING,
    DECISION,
    FORCES,
    GEAR,
    GRAVITY,
    OBSERVATION_UNIT,
    RAIL,
    STEP,
    TILT,
    Pole,
    check_noise,
)

try:
    import pybullet
except ImportError as error:
    raise ImportError("rwta_sim/InvertedPendulumBullet-v0 needs PyBullet: pip install 'rwta_sim[pybullet]'") from error

__all__ = ["InvertedPendulumBullet"]

_SLIDER, _HINGE = 0, 1
_WIDTH, _HEIGHT = 160, 120
# Bullet's semi-implicit Euler errs by half a step; in 1 ms it stays near MuJoCo's Runge-Kutta of 20 ms.
_SUBSTEPS = 10


class InvertedPendulumBullet(gym.Env[np.ndarray, np.int64]):
    """The twin of `rwta_sim.envs.pendulum.InvertedPendulum`: same spaces, body, forces, rewards and time, by Bullet.

    Agreement: free of the rail's ends, both follow the equations of a cart and a pole; at the ends, at x = -1 and
    x = 1 m, each simulator stops the cart in its own way (Bullet at once, MuJoCo softly).

    Parameters
    ----------
    length, thickness, reset_noise_scale : float
        As for the twin.
    render_mode : None or "rgb_array"
        Pictures of 160 by 120 pixels from Bullet's software renderer, which needs no graphics driver.

    Raises
    ------
    ValueError
        If length or thickness is outside its range.
    """

    #: What `rwta_sim.envs.changes.changes_of` tells.
    changes = BODIES
    #: Of noise; see `rwta_sim.loop.perturbed.unit`.
    observation_unit = OBSERVATION_UNIT

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / DECISION)}  # noqa: RUF012  (Gymnasium's own)

    def __init__(
        self,
        length: float = 1.5,
        thickness: float = 0.05,
        reset_noise_scale: float = 0.01,
        render_mode: str | None = None,
    ) -> None:
        self._pole = Pole(length, thickness)
        check_noise(reset_noise_scale)
        check_render_mode(render_mode)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = spaces.Discrete(len(FORCES))
        self.render_mode = render_mode
        self._substeps = max(_SUBSTEPS, self._pole.substeps(0.25))
        self._noise = reset_noise_scale
        self._ready = False
        self._client = pybullet.connect(pybullet.DIRECT)
        self._disconnect = weakref.finalize(self, pybullet.disconnect, physicsClientId=self._client)
        self._body = self._build()

    def _build(self) -> int:
        here = {"physicsClientId": self._client}
        pybullet.setGravity(0, 0, -GRAVITY, **here)
        # Not Bullet's numSubSteps, through which it would hold the damping constant.
        pybullet.setTimeStep(STEP / self._substeps, **here)
        pole, shapes = self._pole, (-1, -1)
        centre = [math.sin(pole.lean) * pole.capsule_length / 2, 0, math.cos(pole.lean) * pole.capsule_length / 2]
        axis = pybullet.getQuaternionFromEuler([0, pole.lean, 0])
        if self.render_mode is not None:
            shapes = (
                self._shape(CART_RADIUS, CART_LENGTH, [0, 0, 0], [0, math.pi / 2, 0], [0.7, 0.7, 0, 1]),
                self._shape(pole.thickness, pole.capsule_length, centre, [0, pole.lean, 0], [0, 0.7, 0.7, 1]),
            )
        body = pybullet.createMultiBody(
            baseMass=0,
            linkMasses=[CART_MASS, pole.mass],
            linkCollisionShapeIndices=[-1, -1],
            linkVisualShapeIndices=list(shapes),
            linkPositions=[[0, 0, 0], [0, 0, 0]],
            linkOrientations=[[0, 0, 0, 1], [0, 0, 0, 1]],
            linkInertialFramePositions=[[0, 0, 0], centre],
            linkInertialFrameOrientations=[[0, 0, 0, 1], axis],
            linkParentIndices=[0, 1],
            linkJointTypes=[pybullet.JOINT_PRISMATIC, pybullet.JOINT_REVOLUTE],
            linkJointAxis=[[1, 0, 0], [0, 1, 0]],
            **here,
        )
        across, along = pole.inertia
        pybullet.changeDynamics(body, _HINGE, localInertiaDiagonal=[across, across, along], **here)
        for joint, end in ((_SLIDER, RAIL), (_HINGE, math.pi / 2)):
            # A joint comes with a motor that brakes, and a body with friction of the air.
            pybullet.setJointMotorControl2(body, joint, pybullet.VELOCITY_CONTROL, force=0, **here)
            pybullet.changeDynamics(body, joint, linearDamping=0, angularDamping=0, jointDamping=DAMPING, **here)
            pybullet.changeDynamics(body, joint, jointLowerLimit=-end, jointUpperLimit=end, **here)
        return int(body)

    def _shape(self, radius: float, length: float, centre: list[float], turn: list[float], colour: list[float]) -> int:
        return int(
            pybullet.createVisualShape(
                pybullet.GEOM_CAPSULE,
                radius=radius,
                length=length,
                rgbaColor=colour,
                visualFramePosition=centre,
                visualFrameOrientation=pybullet.getQuaternionFromEuler(turn),
                physicsClientId=self._client,
            )
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Stand the pole up, nearly."""
        super().reset(seed=seed)
        position = self.np_random.uniform(-self._noise, self._noise, 2)
        speed = self.np_random.uniform(-self._noise, self._noise, 2)
        self.set_state(position, speed)
        return self._observe(), {}

    def set_state(self, position: np.ndarray, speed: np.ndarray) -> None:
        """Put the cart and the pole at `position` (m, rad) with `speed` (m/s, rad/s), as MujocoEnv.set_state does."""
        for joint in (_SLIDER, _HINGE):
            pybullet.resetJointState(
                self._body, joint, float(position[joint]), float(speed[joint]), physicsClientId=self._client
            )
        self._ready = True

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push for 0.04 s."""
        if not self._ready:
            raise ResetNeeded("no episode has begun: call reset() first")
        force = GEAR * FORCES[checked_action(action, len(FORCES))]
        for _ in range(round(DECISION / STEP) * self._substeps):
            # Bullet forgets a torque after the step it was given for.
            pybullet.setJointMotorControl2(
                self._body, _SLIDER, pybullet.TORQUE_CONTROL, force=force, physicsClientId=self._client
            )
            pybullet.stepSimulation(physicsClientId=self._client)
        observation = self._observe()
        fallen = not (np.isfinite(observation).all() and abs(observation[1]) <= TILT)
        return observation, 1.0, fallen, False, {}

    def _observe(self) -> np.ndarray:
        (x, dx, *_), (angle, turning, *_) = pybullet.getJointStates(
            self._body, [_SLIDER, _HINGE], physicsClientId=self._client
        )
        return np.array([x, angle, dx, turning])

    def render(self) -> np.ndarray | None:
        """The pendulum from the side, shape (120, 160, 3), uint8."""
        if self.render_mode is None:
            return None
        reach = max(self._pole.length, RAIL)
        view = pybullet.computeViewMatrix([0, -1.4 * reach, 0.5 * reach], [0, 0, 0.4 * reach], [0, 0, 1])
        lens = pybullet.computeProjectionMatrixFOV(60, _WIDTH / _HEIGHT, 0.1 * reach, 10 * reach)
        picture = pybullet.getCameraImage(
            _WIDTH, _HEIGHT, view, lens, renderer=pybullet.ER_TINY_RENDERER, physicsClientId=self._client
        )[2]
        return np.asarray(picture, np.uint8).reshape(_HEIGHT, _WIDTH, 4)[:, :, :3].copy()

    def close(self) -> None:
        """Leave the simulator; a second call does nothing."""
        self._disconnect()
