"""The inverted pendulum, in both simulators, against the equations of a cart and a pole."""

from __future__ import annotations

import copy
import importlib
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rwta_sim.envs._pole import CART_MASS, DAMPING, GEAR, GRAVITY, Pole

FORCES = np.array([-300.0, -150.0, 0.0, 150.0, 300.0])
MUJOCO, BULLET = "rwta_sim/InvertedPendulum-v0", "rwta_sim/InvertedPendulumBullet-v0"
BODIES = [(1.5, 0.05), (0.6, 0.049), (0.16, 0.05), (4.8, 0.05), (1.5, 0.01), (1.5, 0.3), (0.16, 0.01), (4.8, 0.3)]
SWEEPS = {
    "length": [(0.16 + 0.08 * i, 0.05) for i in range(59)],
    "thickness": [(1.5, 0.01 + 0.005 * i) for i in range(59)],
    "both": [(16 * (0.01 + 0.005 * i), 0.01 + 0.005 * i) for i in range(59)],
}


def make(name: str, length: float = 1.5, thickness: float = 0.05, **settings: Any) -> Any:
    return registered(name, length=length, thickness=thickness, **settings).unwrapped


def registered(name: str, **settings: Any) -> gym.Env:
    if name == BULLET:
        pytest.importorskip("pybullet")  # has no wheel for Python 3.12 and later
    return gym.make(name, **settings)


def slopes(state: np.ndarray, force: float, pole: Pole) -> np.ndarray:
    """Time derivative of (x, angle, speed, turning) of a cart and a pole without rail ends.

    With a the angle of the pole's axis, l the way to its centre, and L = M x'²/2 + m (x'² + 2 l x' a' cos a + l² a'²)/2
    + I a'²/2 - m g l cos a, Lagrange's equations with force F and damping d on either joint are
    (M + m) x'' + m l a'' cos a = F - d x' + m l a'² sin a and m l x'' cos a + (I + m l²) a'' = m g l sin a - d a'.
    """
    _, angle, speed, turning = state
    m, l, axis = pole.mass, pole.capsule_length / 2, angle + pole.lean  # noqa: E741
    coupling = m * l * np.cos(axis)
    inertia = np.array([[CART_MASS + m, coupling], [coupling, pole.inertia[0] + m * l**2]])
    push = force - DAMPING * speed + m * l * turning**2 * np.sin(axis)
    fall = m * GRAVITY * l * np.sin(axis) - DAMPING * turning
    return np.array([speed, turning, *np.linalg.solve(inertia, [push, fall])])


def follow(state: np.ndarray, force: float, pole: Pole, steps: int) -> np.ndarray:
    """0.04 s of Runge and Kutta's classical method."""
    h = 0.04 / steps
    for _ in range(steps):
        k1 = slopes(state, force, pole)
        k2 = slopes(state + h / 2 * k1, force, pole)
        k3 = slopes(state + h / 2 * k2, force, pole)
        k4 = slopes(state + h * k3, force, pole)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state


def compare(env: Any, pole: Pole, steps: int, actions: np.ndarray) -> np.ndarray:
    """Largest distances in (x, angle, speed, turning) between the environment and the equations."""
    state = np.array([0.02, 0.05, 0.1, -0.05])
    env.reset(seed=0)
    env.set_state(state[:2], state[2:])
    worst = np.zeros(4)
    for action in actions:
        state = follow(state, FORCES[action], pole, steps)
        worst = np.maximum(worst, np.abs(env.step(action)[0] - state))
        assert abs(state[0]) < 0.95, "at the rail's end the equations do not hold"
    return worst


ACTIONS = np.random.default_rng(0).integers(5, size=20)


@pytest.mark.parametrize("body", BODIES)
def test_mujoco_follows_the_equations(body):
    """20 decisions, to rounding: MuJoCo integrates by the same method with the same steps."""
    pole = Pole(*body)
    worst = compare(make(MUJOCO, *body), pole, 2 * pole.substeps(2.0), ACTIONS)
    assert worst.max() < 1e-9


# Poles of up to 0.6 m fall within 20 uncontrolled decisions, and then errors grow with them: fewer.
@pytest.mark.parametrize(("body", "decisions"), [*((body, 20) for body in BODIES if body[0] > 1), ((0.6, 0.049), 10)])
def test_bullet_follows_the_equations(body, decisions):
    """Bullet's method is of first order: within 5 mm and 5 mrad, 10 mm/s and 10 mrad/s of equations solved finely."""
    worst = compare(make(BULLET, *body), Pole(*body), 40, ACTIONS[:decisions])
    assert worst[:2].max() < 5e-3 and worst[2:].max() < 1e-2


@pytest.mark.parametrize("body", BODIES)
def test_simulators_agree(body):
    """From the same tilt under the same forces; 20 decisions (6 of poles that fall), within 5 mm and 5 mrad.

    8 mrad for the shortest, whose damping is nearly too fast for MuJoCo's own time step.
    """
    a, b = make(MUJOCO, *body), make(BULLET, *body)
    for env in (a, b):
        env.reset(seed=0)
        env.set_state(np.array([0.0, 0.03]), np.zeros(2))
    speeds = []
    for action in ACTIONS[: 20 if body[0] > 1 else 6]:
        one, other = a.step(action)[0], b.step(action)[0]
        assert np.abs(one - other)[:2].max() < (5e-3 if body != (0.16, 0.05) else 8e-3)
        speeds.append(one[2])
    assert np.ptp(speeds) > 0.2  # it has moved


def test_errors_of_bullet_vanish_with_its_steps():
    """Half the step, half the error: what is left between the simulators is the method, not the body."""
    errors = []
    for substeps in (10, 20, 40):
        env = make(BULLET)
        env._substeps = substeps
        import pybullet

        pybullet.setTimeStep(0.02 / substeps, physicsClientId=env._client)
        errors.append(compare(env, Pole(1.5, 0.05), 40, ACTIONS)[:2].max())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("body", [*BODIES, (0.1, 0.005), (10.0, 1.0), (0.1, 1.0)])
def test_masses_and_inertia_are_mujocos(body):
    """MuJoCo works them out of the shapes itself."""
    model, pole = make(MUJOCO, *body).model, Pole(*body)
    np.testing.assert_allclose(model.body_mass[1:], [CART_MASS, pole.mass])
    np.testing.assert_allclose(np.sort(model.body_inertia[2]), np.sort([*pole.inertia, pole.inertia[0]]))
    assert model.actuator_gear[0, 0] == GEAR
    np.testing.assert_array_equal(model.dof_damping, DAMPING)
    assert model.opt.gravity[2] == -GRAVITY


def test_stock_body_is_gymnasiums():
    """At Gymnasium's own length and thickness every number is that of its InvertedPendulum-v5."""
    ours, stock = make(MUJOCO, 0.6, 0.049), gym.make("InvertedPendulum-v5")
    np.testing.assert_array_equal(ours.reset(seed=4)[0], stock.reset(seed=4)[0])
    for action in (4, 3, 0, 2, 1):
        np.testing.assert_array_equal(ours.step(action)[0], stock.step([FORCES[action] / 100])[0])


@pytest.mark.parametrize("sweep", SWEEPS)
def test_published_bodies(sweep):
    """Every body of the sweep falls as the equations say: from 0.01 rad, without force, for 3 decisions."""
    for body in SWEEPS[sweep]:
        env, pole = make(MUJOCO, *body), Pole(*body)
        assert env.dt == pytest.approx(0.04)
        env.reset(seed=0)
        state = np.array([0.0, 0.01, 0.0, 0.0])
        env.set_state(state[:2], state[2:])
        for _ in range(3):
            state = follow(state, 0.0, pole, 40 * pole.substeps(2.0))
            observation = env.step(2)[0]
        np.testing.assert_allclose(observation, state, rtol=0, atol=2e-4)


def test_only_two_published_bodies_need_smaller_steps():
    """Elsewhere the numbers are those of Gymnasium's own time step."""
    smaller = [body for bodies in SWEEPS.values() for body in bodies if Pole(*body).substeps(2.0) > 1]
    assert [round(thickness, 3) for _, thickness in smaller] == [0.01, 0.015]
    assert all(body in SWEEPS["both"] for body in smaller)


@pytest.mark.parametrize("name", [MUJOCO, BULLET])
class TestBoth:
    def test_rewards_and_fall(self, name):
        """Pushed to one side the pole falls; the step in which it does is rewarded, too."""
        env = make(name)
        observation, _ = env.reset(seed=0)
        assert np.abs(observation).max() < 0.01 and np.ptp(observation) > 0
        total, fallen = 0.0, False
        while not fallen:
            assert abs(observation[1]) <= 0.2
            observation, reward, fallen, truncated, _ = env.step(4)
            assert not truncated
            total += reward
        assert observation[1] < -0.2 and 3 <= total < 20

    def test_balanced_it_is_cut_off_at_200(self, name):
        """A linear feedback, cut to five forces, holds it up."""
        env = registered(name)
        observation, _ = env.reset(seed=0)
        for step in range(200):
            drive = observation @ [0.5, 20.0, 1.0, 6.0]
            observation, reward, fallen, truncated, _ = env.step(int(np.abs(FORCES / 100 - 3 * drive).argmin()))
            assert (reward, fallen, truncated) == (1.0, False, step == 199)

    def test_rail_ends(self, name):
        env = make(name)
        env.reset(seed=0)
        x = [env.step(4)[0][0] for _ in range(40)]
        assert 0.95 < max(x) < 1.1

    def test_first_states(self, name):
        env = make(name, reset_noise_scale=0.1)
        env.reset(seed=0)
        states = np.array([env.reset()[0] for _ in range(500)])
        # The largest of 500 uniform numbers is below 0.97 of the bound with chance 2e-7, in 8 corners 2e-6.
        assert (states.max(axis=0) > 0.097).all() and (states.min(axis=0) < -0.097).all()
        assert np.abs(states).max() <= 0.1
        still = make(name, reset_noise_scale=0.0)
        np.testing.assert_array_equal(still.reset(seed=0)[0], 0)

    @pytest.mark.parametrize("parameter", ["length", "thickness"])
    @pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e9, 1e-9, "1", None, True])
    def test_bad_bodies(self, name, parameter, value):
        with pytest.raises(ValueError, match=f"{parameter} = {value!r}: expected .* to .* metres"):
            make(name, **{parameter: value})

    @pytest.mark.parametrize("scale", [-0.1, 0.2, float("nan")])
    def test_bad_noise(self, name, scale):
        with pytest.raises(ValueError, match="reset_noise_scale"):
            make(name, reset_noise_scale=scale)


def test_copies_keep_the_body():
    env = make(MUJOCO, 3.0, 0.1, reset_noise_scale=0.02)
    twin = copy.deepcopy(env)
    np.testing.assert_array_equal(twin.model.body_mass, env.model.body_mass)
    np.testing.assert_array_equal(twin.reset(seed=1)[0], env.reset(seed=1)[0])


def test_bullet_needs_a_reset_and_closes_twice():
    env = make(BULLET)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.close()
    env.close()


def test_bullet_picture():
    env = make(BULLET, render_mode="rgb_array")
    env.reset(seed=0)
    upright = env.render()
    assert upright.shape == (120, 160, 3) and upright.dtype == np.uint8
    env.set_state(np.array([0.5, 0.15]), np.zeros(2))
    tilted = env.render().astype(int)
    # The pole is the one thing without red; leaning to the right, its upper end is right of its lower end.
    rows, columns = np.nonzero((tilted[:, :, 0] < 30) & (tilted[:, :, 1] > 60))
    assert len(rows) > 50
    assert columns[rows < np.median(rows)].mean() > columns[rows > np.median(rows)].mean() > 80


def test_mujoco_camera_sees_the_pole():
    """The whole of it, whatever its length: Gymnasium's camera is made for 0.6 m."""
    camera = make(MUJOCO, length=4.8).mujoco_renderer.default_cam_config
    half = camera["distance"] * np.tan(np.radians(45 / 2))  # MuJoCo's field of view is 45 degrees
    assert camera["lookat"][2] + half > 4.85 and camera["lookat"][2] - half < -0.2


def test_mujoco_cannot_render_everywhere(monkeypatch):
    env = make(MUJOCO, render_mode="rgb_array")
    env.reset(seed=0)

    def fail(mode: str) -> None:
        raise AttributeError("no context")

    monkeypatch.setattr(env.mujoco_renderer, "render", fail)
    with pytest.raises(gym.error.Error, match=r"AttributeError: no context.*MUJOCO_GL=egl"):
        env.render()


@pytest.mark.parametrize(
    ("module", "package"),
    [("pendulum", "mujoco"), ("pendulum_bullet", "pybullet"), ("_bullet", "pybullet")],
    ids=["mujoco", "pybullet", "robots"],
)
def test_without_the_simulator(module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"rwta_sim.envs.{module}", raising=False)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=rf"pip install 'rwta_sim\[{package}\]'"):
        importlib.import_module(f"rwta_sim.envs.{module}")
