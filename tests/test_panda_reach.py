"""The robot arm: geometry and rewards by hand, the shortest ways, and what its camera sees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from rwta_sim.envs.starts import StartTask
from rwta_sim.errors import CameraError
from rwta_sim.loop.splits import reset_options

pybullet = pytest.importorskip("pybullet")  # has no wheel for Python 3.12 and later
panda = pytest.importorskip("rwta_sim.envs.panda_reach")

EAST, WEST, NORTH, SOUTH, DOWN = range(5)
START, OFFSET = np.array([0.679, 0.078, 1.02]), np.array([0.105, 0.002, 0.137])


@pytest.fixture
def make():
    made = []

    def maker(*args, **kwargs):
        made.append(panda.PandaReach(*args, **kwargs))
        return made[-1]

    yield maker
    for env in made:
        env.close()


def play(env, actions):
    """Rewards, tips and the last info."""
    steps = [env.step(np.int64(action)) for action in actions]
    return [step[1] for step in steps], np.array([step[4]["tip"] for step in steps]), steps[-1]


def test_rewards_by_hand(make):
    """A cube 5 cm east and 1 cm south of the tip: one move of 3 cm leaves 2 cm, and four moves down reach it."""
    env = make(positions=[(0.729, 0.068)])
    _, info = env.reset(seed=0)
    np.testing.assert_allclose(info["tip"], START)
    np.testing.assert_allclose(info["cube"], [0.729, 0.068, 0.775])
    # East and back, 1 cm south becomes 2 cm north, then down: nearer, farther, farther, nearer, ...
    rewards, tips, last = play(env, [EAST, WEST, SOUTH, EAST, DOWN, DOWN, DOWN, DOWN])
    assert rewards == [1, 0, 0, 1, 1, 1, 1, 10]
    np.testing.assert_allclose(tips[2], START + np.array([0, -0.03, 0]), atol=1e-12)
    np.testing.assert_allclose(tips[-1], START + np.array([0.03, -0.03, -0.20]), atol=1e-12)
    assert last[2:4] == (True, False) and last[4]["success"]
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(np.int64(0))


@pytest.mark.parametrize(
    ("action", "moves", "end"),
    [(EAST, 5, 0.829), (WEST, 4, 0.559), (NORTH, 7, 0.288), (SOUTH, 5, -0.072), (DOWN, 4, 0.82)],
)
def test_moves_out_of_the_box_are_refused(make, action, moves, end):
    env = make(positions=[(0.80, 0.25)] if action in (WEST, SOUTH) else [(0.60, -0.05)])
    env.reset(seed=0)
    rewards, tips, _ = play(env, [action] * (moves + 2))
    axis = action // 2
    assert len(np.unique(tips[:, axis].round(9))) == moves
    np.testing.assert_allclose(tips[moves - 1 :, axis], end)
    assert rewards[moves:] == [0, 0]


def test_nearness_is_strict(make):
    """3 cm away in y is not there yet, 2.9 cm is."""
    for y, ends in ((0.108, False), (0.107, True)):
        env = make(positions=[(0.679, y)])
        env.reset(seed=0)
        assert play(env, [DOWN] * 4)[2][2] is ends


def test_shortest_paths_reach_the_goal(make):
    """By replay, and of a length by hand: moves until less than 3 cm are left, in x and in y, and four down."""
    env = make()
    lengths = []
    for split in ("train", "test"):
        for index in range(env.n_starts(split)):
            _, info = env.reset(options={"split": split, "index": index})
            away = np.abs(info["cube"][:2] - START[:2])
            path = env.shortest_path(info["cube"][:2])
            assert len(path) == 4 + np.ceil(np.maximum(away - 0.03 + 1e-9, 0) / 0.03).sum()
            rewards, _, last = play(env, path)
            assert last[4]["success"] and rewards == [1] * (len(path) - 1) + [10]
            lengths.append(len(path))
    assert np.mean(lengths[:45]) == pytest.approx(7.4, abs=0.05) and np.mean(lengths[45:]) == pytest.approx(6.6)


def test_positions(make):
    """45, 12 and 5, all different and on the field, those that do not train inside the hull of those that do."""
    from scipy.spatial import Delaunay

    train, held_out = np.array(panda.TRAINING_POSITIONS), np.array(panda.HELD_OUT_POSITIONS)
    validation = np.array(panda.VALIDATION_POSITIONS)
    assert (len(train), len(validation), len(held_out)) == (45, 12, 5)
    every = np.concatenate([train, validation, held_out])
    assert len(np.unique(every, axis=0)) == 62
    assert (every >= (0.6, -0.05)).all() and (every <= (0.8, 0.25)).all()
    assert (Delaunay(train).find_simplex(every[45:]) >= 0).all()
    env = make()
    assert isinstance(env, StartTask)
    shown = [env.reset(options=reset_options(env, "test", i))[1]["cube"][:2] for i in range(7)]
    np.testing.assert_allclose(shown, held_out[[0, 1, 2, 3, 4, 0, 1]])
    shown = [env.reset(options=reset_options(env, "validation", i))[1]["cube"][:2] for i in range(13)]
    np.testing.assert_allclose(shown, [*validation, validation[0]])
    named = ("train", "validation", "held_out", "all")
    assert [make(positions=name).n_starts("test") for name in named] == [45, 12, 5, 50]
    env.reset(seed=0)
    drawn = {tuple(env.reset()[1]["cube"][:2]) for _ in range(1000)}
    # A position is never drawn with probability (44/45)^1000 = 2e-10.
    assert drawn == set(panda.TRAINING_POSITIONS)


def test_camera_sees_the_cube_where_geometry_puts_it(make):
    """The bright pixels' middle against the projection of the cube's top, by hand, within a pixel."""
    env = make(positions="all")
    down, up = np.array([-0.226, 0, -0.974]), np.array([0.974, 0, -0.226])
    right = np.cross(down, up)
    for index in range(0, 50, 7):
        picture, info = env.reset(options={"index": index})
        top = info["cube"] + np.array([0, 0, 0.025]) - (START + OFFSET)
        scale = 32 / np.tan(np.pi / 6) / (top @ down)
        expected = 31.5 - top @ up * scale, 31.5 + top @ right * scale
        bright = np.argwhere(picture > 0.8)
        assert 40 < len(bright) < 120
        assert np.abs(bright.mean(0) - expected).max() < 1
        assert picture[-8:].min() == 0  # the fingers are black


def test_table_is_larger_than_the_view():
    """Every corner of the picture, from every corner of the box, meets the table's plane within 0.7 m of its middle."""
    down, up = np.array([-0.226, 0, -0.974]), np.array([0.974, 0, -0.226])
    right, tangent = np.cross(down, up), np.tan(np.pi / 6)
    for x in (0.55, 0.85):
        for y in (-0.10, 0.30):
            eye = np.array([x, y, 1.02]) + OFFSET
            for a in (-1, 1):
                for b in (-1, 1):
                    ray = down + tangent * (a * up + b * right)
                    assert ray[2] < 0
                    assert np.abs((eye + ray * (0.75 - eye[2]) / ray[2])[:2] - (0.65, 0.1)).max() < 0.7


def test_box_is_within_the_arms_reach():
    """Bullet's inverse kinematics of its Panda, with the hand down, come within 1 mm at the corners of the box."""
    data = pytest.importorskip("pybullet_data")
    client = pybullet.connect(pybullet.DIRECT)
    try:
        pybullet.setAdditionalSearchPath(data.getDataPath(), physicsClientId=client)
        arm = pybullet.loadURDF(
            "franka_panda/panda.urdf", [0.182, 0.05, 0.75], useFixedBase=True, physicsClientId=client
        )
        hand, ready = 11, [0, 0.4, 0, -2.0, 0, 2.4, 0.785]
        for x in (0.559, 0.829):
            for y in (-0.072, 0.288):
                for z in (0.82, 1.02):
                    for joint, angle in enumerate(ready):
                        pybullet.resetJointState(arm, joint, angle, physicsClientId=client)
                    for _ in range(20):  # from where the last solution is
                        angles = pybullet.calculateInverseKinematics(
                            arm, hand, [x, y, z], [1, 0, 0, 0], maxNumIterations=200, physicsClientId=client
                        )
                        for joint in range(7):
                            pybullet.resetJointState(arm, joint, angles[joint], physicsClientId=client)
                    state = pybullet.getLinkState(arm, hand, computeForwardKinematics=1, physicsClientId=client)
                    assert np.abs(np.array(state[4]) - (x, y, z)).max() < 1e-3
                    assert abs(np.array(state[5]) @ (1, 0, 0, 0)) > 0.9999
    finally:
        pybullet.disconnect(client)


def test_image_options(make):
    assert make(encoding="on_off", frames=2, size=(32, 32)).observation_space.shape == (4, 32, 32)
    env = make(size=(32, 48), motion=True)
    picture, _ = env.reset(seed=0)
    assert picture.shape == (3, 32, 48) and not picture[1:].any()
    assert env.step(np.int64(EAST))[0][1:].any()


def test_several_at_once(make):
    """One environment's cube is not another's, and closing one leaves the other."""
    one, two = make(positions=[(0.6, 0.0)]), make(positions=[(0.8, 0.2)], render_mode="rgb_array")
    alone = make(positions=[(0.6, 0.0)]).reset(seed=0)[0]
    two.reset(seed=0)
    np.testing.assert_array_equal(one.reset(seed=0)[0], alone)
    picture = two.render()
    assert picture.shape == (120, 160, 3) and picture.dtype == np.uint8
    two.step(np.int64(DOWN))
    assert (two.render() != picture).any()
    two.close()
    two.close()
    np.testing.assert_array_equal(one.reset(seed=0)[0], alone)
    with pytest.raises(CameraError, match="make the environment anew"):
        two.reset(seed=0)


def test_camera_that_returns_nothing(make, monkeypatch):
    env = make()
    env.reset(seed=0)
    for answer in (None, (0, 0, np.empty(0, np.uint8)), (64, 63, np.zeros((64, 63, 4), np.uint8))):
        with monkeypatch.context() as patch:
            patch.setattr(pybullet, "getCameraImage", lambda *args, answer=answer, **kwargs: answer)
            with pytest.raises(CameraError, match="PandaReach: the camera returned"):
                env.step(np.int64(0))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"positions": "heldout"}, "did you mean 'held_out'"),
        ({"positions": []}, "empty list"),
        ({"positions": 3}, "expected 'train'"),
        ({"positions": [(0.5, 0.1)]}, r"position \(0.5, 0.1\): expected \(x, y\) with x from 0.6"),
        ({"positions": [(0.7,)]}, "expected"),
        ({"encoding": "rgb"}, "PandaReach sees grey"),
        ({"encodin": "grey"}, "encodin"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_wrong_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        panda.PandaReach(**kwargs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"index": 45}, "from 0 to 44"),
        ({"index": 0.5}, "from 0 to 44"),
        ({"indx": 1}, "did you mean 'index'"),
    ],
)
def test_wrong_options(make, options, message):
    with pytest.raises(ValueError, match=message):
        make().reset(options=options)


def test_threads(make):
    """Two at once, each in a thread of its own, see what they see alone."""
    actions = np.random.default_rng(0).integers(4, size=40)  # never down: the episode goes on

    def pictures(env):
        return np.stack([env.reset(seed=5)[0], *(env.step(action)[0] for action in actions)])

    alone = pictures(make())
    envs = [make(), make()]
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(pictures, envs):
            np.testing.assert_array_equal(result, alone)
