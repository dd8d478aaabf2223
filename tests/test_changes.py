"""Changed bodies and dynamics: against the equations of motion, and nothing where the number is the normal one."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from conftest import Scripted

import rwta_sim  # noqa: F401  (registers the environments)
from rwta_sim.envs.changes import Change, changes_of

CLASSIC = ["CartPole-v1", "MountainCar-v0", "Acrobot-v1", "rwta_sim/CartPolePositions-v0"]


def changed(task, name, level):
    with gym.make(task) as env:
        change = changes_of(env)[name]
    env = gym.make(task, **change.arguments(level))
    change.apply(env.unwrapped, level)
    return env


def cartpole_step(state, push, gravity=9.8, force=10.0, cart=1.0, pole=0.1, length=0.5):
    """Barto, Sutton and Anderson (1983), without friction: one step of Euler's method of 0.02 s."""
    x, v, angle, turning = state
    total, sin, cos = cart + pole, np.sin(angle), np.cos(angle)
    inner = (push * force + pole * length * turning**2 * sin) / total
    bend = (gravity * sin - cos * inner) / (length * (4 / 3 - pole * cos**2 / total))
    acceleration = inner - pole * length * bend * cos / total
    return np.array([x, angle, v, turning])[[0, 2, 1, 3]] + 0.02 * np.array([v, acceleration, turning, bend])


@pytest.mark.parametrize(
    ("name", "level", "means"),
    [
        ("gravity", 19.6, {"gravity": 19.6}),
        ("force", 5.0, {"force": 5.0}),
        ("cart-mass", 3.0, {"cart": 3.0}),
        ("pole-mass", 0.4, {"pole": 0.4}),
        ("pole-length", 1.0, {"length": 1.0}),
    ],
)
def test_cartpole_moves_by_its_equations(name, level, means):
    env = changed("CartPole-v1", name, level)
    for seed, action in ((0, 0), (1, 1)):
        state = env.reset(seed=seed, options={"low": -0.1, "high": 0.1})[0].astype(float)
        found = env.step(action)[0]
        np.testing.assert_allclose(found, cartpole_step(state, 2 * action - 1, **means), atol=1e-6)
        assert np.abs(found - cartpole_step(state, 2 * action - 1)).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "level", "force", "gravity"), [("force", 0.002, 0.002, 0.0025), ("gravity", 0.005, 0.001, 0.005)]
)
def test_mountain_car_moves_by_its_equations(name, level, force, gravity):
    """Moore (1990), as in Sutton and Barto: v += force (a - 1) - gravity cos 3x."""
    env = changed("MountainCar-v0", name, level)
    x, v = env.reset(seed=0)[0].astype(float)
    found = env.step(2)[0]
    assert found[1] == pytest.approx(v + force - gravity * np.cos(3 * x), abs=1e-7)


def energy(env, mass, length):
    """Of the acrobot, with its inertia of 1 about each centre of mass and gravity of 9.8."""
    a, b, da, db = env.unwrapped.state
    first = np.array([np.sin(a), -np.cos(a)]) * length / 2
    second = 2 * first + np.array([np.sin(a + b), -np.cos(a + b)]) * length / 2
    v1 = np.array([np.cos(a), np.sin(a)]) * da * length / 2
    v2 = 2 * v1 + np.array([np.cos(a + b), np.sin(a + b)]) * (da + db) * length / 2
    kinetic = mass * (v1 @ v1 + v2 @ v2) / 2 + (da**2 + (da + db) ** 2) / 2
    return kinetic + mass * 9.8 * (first[1] + second[1])


@pytest.mark.parametrize(("name", "mass", "length"), [("mass", 2.0, 1.0), ("length", 1.0, 1.5)])
def test_acrobot_without_torque_keeps_its_energy(name, mass, length):
    """Which that of another body is not: the equations of motion are those of the changed one."""
    env = changed("Acrobot-v1", name, mass if name == "mass" else length)
    env.reset(seed=0)
    env.unwrapped.state = np.array([0.6, -0.4, 0.0, 0.0])
    with_it, without = [], []
    for _ in range(8):
        with_it.append(energy(env, mass, length))
        without.append(energy(env, 1.0, 1.0))
        env.step(1)
    assert np.ptp(with_it) < 0.1 < 0.5 < np.ptp(without)


@pytest.mark.parametrize("task", CLASSIC)
def test_the_normal_number_changes_nothing(task):
    with gym.make(task) as env:
        names = list(changes_of(env))
    assert names
    for name in names:
        bare = gym.make(task)
        change = changes_of(bare)[name]
        assert change.normal in change.levels
        env = changed(task, name, change.normal)
        np.testing.assert_array_equal(bare.reset(seed=2)[0], env.reset(seed=2)[0])
        for action in (0, 1, 1, 0, 0, 1):
            a, b = bare.step(action), env.step(action)
            assert a[0].tobytes() == b[0].tobytes() and a[1:3] == b[1:3]


@pytest.mark.parametrize("task", ["InvertedPendulum", "InvertedPendulumBullet"])
def test_bodies_of_the_pendulum(task):
    """The paper's grids, and the same episode with the normal body given by name."""
    pytest.importorskip("mujoco" if task == "InvertedPendulum" else "pybullet")
    with gym.make(f"rwta_sim/{task}-v0") as bare:
        changes = changes_of(bare)
        assert [len(change.levels) for change in changes.values()] == [59, 59, 57]
        assert changes["length"].levels[:2] == (0.16, 0.24) and changes["length"].levels[-1] == 4.8
        assert changes["body"].arguments(0.1) == {"length": 1.6, "thickness": 0.1}
        for name in ("length", "thickness"):
            env = changed(f"rwta_sim/{task}-v0", name, changes[name].normal)
            np.testing.assert_array_equal(bare.reset(seed=2)[0], env.reset(seed=2)[0])
            for action in (0, 1, 4, 3):
                assert bare.step(action)[0].tobytes() == env.step(action)[0].tobytes()
            env.close()


def test_what_a_users_environment_declares():
    class Heavy(Scripted):
        changes: ClassVar = {"mass": Change("mass", "kg", 1.0, (0.5, 2.0), arguments=lambda level: {"mass": level})}

    assert list(changes_of(Heavy())) == ["mass"]
    assert changes_of(Scripted()) == {}
    Heavy.changes = ["mass"]
    with pytest.raises(TypeError, match=r"Heavy.changes = .* expected a dictionary"):
        changes_of(Heavy())
