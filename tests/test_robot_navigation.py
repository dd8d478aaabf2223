"""The robot on wheels: moves and rewards by hand, view, ways and noise; and its camera against a renderer's walls."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from scipy.stats import chi2

from rwta_sim.envs.starts import StartTask
from rwta_sim.errors import CameraError
from rwta_sim.loop.splits import reset_options

pytest.importorskip("pybullet")  # has no wheel for Python 3.12 and later
navigation = pytest.importorskip("rwta_sim.envs.robot_navigation")
_rooms = pytest.importorskip("rwta_sim.envs._rooms")
_bullet = pytest.importorskip("rwta_sim.envs._bullet")

AHEAD, LEFT, RIGHT, STEP_LEFT, STEP_RIGHT = range(5)


@pytest.fixture
def make():
    made = []

    def maker(*starts, **kwargs):
        kwargs = {"starts": list(starts), **kwargs} if starts else kwargs
        made.append(navigation.RobotNavigation(**kwargs))
        return made[-1]

    yield maker
    for env in made:
        env.close()


def still(make, *start, **kwargs):
    """An environment without noise, at a start."""
    env = make(start, move_noise=0, turn_noise=0, **kwargs)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    ("action", "pose"),
    [
        (AHEAD, (2.0, 2.25, 90)),
        (LEFT, (1.75, 2.0, 180)),
        (RIGHT, (2.25, 2.0, 0)),
        (STEP_LEFT, (1.75, 2.0, 90)),
        (STEP_RIGHT, (2.25, 2.0, 90)),
    ],
)
def test_moves_by_hand(make, action, pose):
    env = still(make, 2.0, 2.0, 90)
    *_, info = env.step(np.int64(action))
    np.testing.assert_allclose(info["pose"], pose, atol=1e-12)
    assert not info["blocked"]


def test_walls_and_furniture_block(make):
    """The west wall is 20 cm away, the radius; the table begins at y = 3.55."""
    env = still(make, 0.21, 2.5, 180)
    _, reward, ended, _, info = env.step(np.int64(AHEAD))
    assert (reward, ended, info["blocked"]) == (-5, False, True)
    np.testing.assert_allclose(info["pose"], (0.21, 2.5, 180))
    _, reward, _, _, info = still(make, 0.21, 2.5, 270).step(np.int64(RIGHT))  # turned, though not moved
    assert reward == -5
    np.testing.assert_allclose(info["pose"], (0.21, 2.5, 180))
    for y, blocked in ((3.09, False), (3.11, True)):
        env = still(make, 1.5, y, 90)
        assert env.step(np.int64(AHEAD))[4]["blocked"] is blocked


def test_reward_is_the_sign_of_the_ways_change(make):
    """In the west room the way leads east through the doorway."""
    rewards = [still(make, 2.0, 2.3, 90).step(np.int64(action))[1] for action in (RIGHT, LEFT, STEP_RIGHT, STEP_LEFT)]
    assert rewards == [1, -1, 1, -1]
    # South, too, brings it nearer as the crow flies: to the wall.
    far, near = (np.hypot(2.7 - 4.55, y - 0.35) for y in (1.4, 1.15))
    env = still(make, 2.7, 1.4, 270)
    assert near < far and env.step(np.int64(AHEAD))[1] == -1


@pytest.mark.parametrize(
    ("start", "seen"),
    [
        ((4.55, 1.8, 270), True),  # straight ahead, 1.45 m
        ((4.55, 1.9, 270), False),  # 1.55 m
        ((4.55, 1.8, 90), False),  # behind it
        ((4.55, 1.8, 270 + 37), True),  # the picture is 37.6 degrees wide to either side
        ((4.55, 1.8, 270 - 37), True),
        ((4.55, 1.8, 270 + 38), False),
        ((4.55, 1.8, 270 - 38), False),
        ((3.6, 0.9, 315), True),  # past the chest of drawers
        ((2.85, 0.85, 345), False),  # the wall between the rooms
    ],
)
def test_in_view(make, start, seen):
    assert still(make, *start).in_view() is seen


def test_low_things_do_not_hide_the_target():
    """A ray at the eye's height passes over the bed but not through the chest of drawers."""
    scene = _bullet.Scene("test")
    target = _rooms.furnish(scene)
    assert scene.hit((3.3, 0.42, _rooms.EYE), _rooms.TARGET) != target
    assert scene.hit((5.45, 4.3, _rooms.EYE), (5.45, 2.9, _rooms.EYE)) == -1
    scene.close()


def test_finding_it_ends_the_episode(make):
    env = still(make, 4.55, 2.2, 270)
    _, reward, ended, truncated, info = env.step(np.int64(AHEAD))
    assert (reward, ended, info["success"]) == (1, False, False)
    _, reward, ended, truncated, info = env.step(np.int64(AHEAD))
    assert (reward, ended, truncated, info["success"]) == (50, True, False, True)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(np.int64(AHEAD))


def test_ways_against_breadth_first_search():
    """Ways with 16 directions are never longer than those with 4, nor shorter by more than sqrt 2."""
    rooms = _rooms.rooms()
    shape = rooms._free.shape
    steps = np.full(shape, -1)
    seeds = np.argwhere(rooms._lengths <= _rooms.REACH)
    straight = np.hypot(*np.moveaxis(rooms._cells - _rooms.TARGET[:2], -1, 0))
    seeds = [tuple(s) for s in seeds if straight[tuple(s)] == rooms._lengths[tuple(s)]]
    assert len(seeds) > 100
    queue = deque(seeds)
    for seed in seeds:
        steps[seed] = 0
    while queue:
        i, j = queue.popleft()
        for k, m in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if 0 <= k < shape[0] and 0 <= m < shape[1] and rooms._free[k, m] and steps[k, m] < 0:
                steps[k, m] = steps[i, j] + 1
                queue.append((k, m))
    reached = steps >= 0
    assert reached.sum() > 0.98 * rooms._free.sum()
    ways = rooms._lengths[reached]
    assert (ways >= 0.1 * steps[reached] / math.sqrt(2) - 0.1).all()
    assert (ways <= 0.1 * steps[reached] + _rooms.REACH + 1e-9).all()
    # Where the target can be seen from near by, the way is straight.
    assert rooms.distance(np.array([4.55, 1.55])) == pytest.approx(1.2, abs=0.02)


@pytest.mark.parametrize("split", ["train", "test"])
def test_greedy_on_the_ways_finds_it(make, split):
    """Without noise, actions whose pose comes nearest by a breadth-first search over poses, from every fourth start."""
    env = make(move_noise=0, turn_noise=0)
    for index in range(0, env.n_starts(split), 4):
        _, info = env.reset(options={"split": split, "index": index})
        path = search(env, info["pose"])
        env.reset(options={"split": split, "index": index})
        *_, last = (env.step(np.int64(action)) for action in path)
        assert last[4]["success"] and last[1] == 50 and len(path) <= 24


def search(env, pose):
    """Fewest actions from a pose until the target is in view; moves a robot by hand."""
    begin = (0, 0, round(pose[2] / 90) % 4)
    came, queue = {begin: []}, deque([begin])
    while queue:
        i, j, turns = here = queue.popleft()
        for action, (turn, side) in enumerate(navigation.ACTIONS):
            heading = (turns + round(turn / 90)) % 4
            way = (heading + round(side / 90)) % 4
            k, m = i + (1, 0, -1, 0)[way], j + (0, 1, 0, -1)[way]
            start, end = (pose[:2] + 0.25 * np.array(cell) for cell in ((i, j), (k, m)))
            there = (k, m, heading) if _rooms.rooms().passable(start, end) else (i, j, heading)
            if there in came:
                continue
            came[there] = [*came[here], action]
            env._place, env._heading = pose[:2] + 0.25 * np.array(there[:2]), 90.0 * heading
            if env.in_view():
                return came[there]
            queue.append(there)
    raise AssertionError(f"no way from {pose}")


def test_noise(make):
    """Sum of squares over 400 turns to the left, chi-square, two-sided false alarms 1e-4 each; means, 1e-4 each."""
    env = make((2.0, 2.3, 0))
    lengths, turns = [], []
    env.reset(seed=1)
    for _ in range(400):
        env.reset()
        x, y, heading = env.step(np.int64(LEFT))[4]["pose"]
        lengths.append(math.hypot(x - 2.0, y - 2.3) - 0.25)
        turns.append(heading - 90)
    for values, sd in ((lengths, 0.005), (turns, 0.5)):
        squares = (np.array(values) ** 2).sum() / sd**2
        assert chi2.ppf(5e-5, 400) < squares < chi2.isf(5e-5, 400)
        assert abs(np.mean(values)) < 3.9 * sd / math.sqrt(400)
    assert abs(np.corrcoef(lengths, turns)[0, 1]) < 3.9 / math.sqrt(400)
    env.reset(seed=1)
    assert env.step(np.int64(AHEAD))[4]["pose"][2] == 0  # who does not turn keeps the heading


def test_starts(make):
    from scipy.spatial import Delaunay

    train, held_out = np.array(navigation.TRAINING_STARTS), np.array(navigation.HELD_OUT_STARTS)
    validation = np.array(navigation.VALIDATION_STARTS)
    assert (len(train), len(validation), len(held_out)) == (30, 11, 8)
    every = np.concatenate([train, validation, held_out])
    assert len(np.unique(every[:, :2], axis=0)) == 49
    assert (Delaunay(train[:, :2]).find_simplex(every[30:, :2]) >= 0).all()
    assert set(train[:, 2]) == {0, 90, 180, 270}
    env = make()
    assert isinstance(env, StartTask)
    shown = [env.reset(options=reset_options(env, "test", i))[1]["pose"] for i in range(10)]
    np.testing.assert_allclose(shown, held_out[[0, 1, 2, 3, 4, 5, 6, 7, 0, 1]])
    shown = [env.reset(options=reset_options(env, "validation", i))[1]["pose"] for i in range(12)]
    np.testing.assert_allclose(shown, validation[[*range(11), 0]])
    env.reset(seed=0)
    # A start is never drawn with probability 30 (29/30)^1000 = 6e-14.
    assert {tuple(env.reset()[1]["pose"]) for _ in range(1000)} == set(navigation.TRAINING_STARTS)


def test_empty_room_against_the_renderer():
    """`shell` and boxes of Bullet's renderer name the same wall for all but border pixels."""
    scene = _bullet.Scene("test")
    w, d, h = _rooms.WIDTH, _rooms.DEPTH, _rooms.HEIGHT
    for half, centre in (
        ((0.05, d), (-0.05, d / 2)),
        ((0.05, d), (w + 0.05, d / 2)),
        ((w, 0.05), (w / 2, -0.05)),
        ((w, 0.05), (w / 2, d + 0.05)),
    ):
        scene.box((*half, h / 2), (*centre, h / 2), 0.5)
    size = (60, 80)
    lens, tangents = _bullet.lens(size, 60, 0.05, 10), navigation._tangents(size)
    for x, y, degrees in ((3.0, 2.0, 20), (0.5, 0.5, 70), (5.0, 3.9, 200), (2.0, 1.0, 300), (5.5, 0.6, 145)):
        heading = math.radians(degrees)
        eye = np.array([x, y, _rooms.EYE])
        _, empty = scene.grey(size, _bullet.look(eye, eye + np.array([math.cos(heading), math.sin(heading), 0])), lens)
        room = _rooms.shell(np.array([x, y]), heading, *tangents)
        off_wall = (room == np.float32(_rooms.FLOOR)) | (room == np.float32(_rooms.CEILING))
        assert (off_wall != empty).mean() < 0.02
        assert 0 < empty.mean() < 0.7
    scene.close()


def test_shell_by_hand():
    """From the middle of the floor towards x: the east wall is 3 m away, its upper edge at tan = 1.33 / 3."""
    room = _rooms.shell(
        np.array([3.0, 2.25]), 0.0, np.array([-1.0, 0.0, 1.0]), np.array([[0.45], [0.44], [-0.29], [-0.30]])
    )
    _, east, south, north = np.float32(_rooms.WALL_GREYS)
    np.testing.assert_array_equal(room[:, 1], np.float32([_rooms.CEILING, east, east, _rooms.FLOOR]))
    np.testing.assert_array_equal(room[1:3, [0, 2]], [[north, south]] * 2)


def test_target_is_where_geometry_puts_it(make):
    """From 1.4 m ahead the brightest patch is in the middle; 15 degrees aside, 15 degrees aside."""
    for turn in (-15, 0, 15):
        env = still(make, 4.55, 1.75, 270 + turn)
        picture = env._look()
        expected = 39.5 + math.tan(math.radians(turn)) * 30 / math.tan(math.pi / 6)
        first = round(expected) - 9
        # South wall, stand and floor are darker than the ball's darkest side, 0.97 * 0.65.
        rows, columns = np.nonzero(picture[18:35, first : first + 19] > 0.6)
        assert 50 < len(rows) < 200
        assert abs(columns.mean() + first - expected) < 1


def test_image_options(make):
    env = make(encoding="on_off", frames=2, size=(30, 40))
    assert env.reset(seed=0)[0].shape == env.observation_space.shape == (4, 30, 40)


def test_several_at_once(make):
    one, two = make(), make(render_mode="rgb_array")
    first = one.reset(seed=3)[0]
    two.reset(seed=4)
    picture = two.render()
    assert picture.shape == (180, 240, 3) and picture.dtype == np.uint8
    two.close()
    two.close()
    np.testing.assert_array_equal(one.reset(seed=3)[0], first)
    with pytest.raises(CameraError, match="make the environment anew"):
        two.reset(seed=0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"starts": "tain"}, "did you mean 'train'"),
        ({"starts": [(0.1, 0.1, 0)]}, r"start \(0.1, 0.1, 0\): expected \(x, y, heading\)"),
        ({"starts": [(2.0, 2.0)]}, "expected"),
        ({"move_noise": -1}, "at least 0"),
        ({"turn_noise": math.nan}, "finite"),
        ({"encoding": "opponent"}, "RobotNavigation sees grey"),
    ],
)
def test_wrong_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        navigation.RobotNavigation(**kwargs)
