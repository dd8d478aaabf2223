"""Classification tasks: parity against counting, digits against scikit-learn, IDX files and MNIST against bytes."""

from __future__ import annotations

import gzip
import struct
import sys
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import sklearn.datasets
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from scipy.stats import chi2

import rwta_sim.envs.mnist
from rwta_sim.envs.digits import Digits, _load
from rwta_sim.envs.idx import read_idx
from rwta_sim.envs.mnist import MNIST
from rwta_sim.envs.parity import Parity
from rwta_sim.envs.patterns import SPLITS, Patterns, PatternTask
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.loop.splits import reset_options


def shown(env: PatternTask, split: str, index: int) -> tuple[np.ndarray, int]:
    pattern, _ = env.reset(options={"split": split, "index": index})
    return pattern, env.step(np.int64(0))[4]["label"]


class TestPatternTask:
    def test_one_decision(self):
        env = Parity(2, right_reward=1.0, wrong_reward=-1.0)
        for index, label in enumerate([0, 1, 1, 0]):
            for action in (0, 1):
                pattern, info = env.reset(options={"split": "test", "index": index})
                assert info == {} and pattern.dtype == np.float32
                after, *rest = env.step(np.int64(action))
                correct = action == label
                assert rest == [1.0 if correct else -1.0, True, False, {"correct": correct, "label": label}]
                np.testing.assert_array_equal(after, pattern)

    def test_draws_uniformly_from_the_training_split(self):
        """Chi-square of 8,000 draws, false alarms 1e-4; the training split is the first 6 of 8 patterns."""
        rows = np.linspace(0, 1, 8)[:, None]
        labels = np.arange(8)
        parts = {"train": slice(6), "validation": slice(6, 7), "test": slice(7, 8)}
        env = PatternTask({name: Patterns(rows[part], labels[part]) for name, part in parts.items()}, 8)
        assert [env.n_patterns(split) for split in SPLITS] == [6, 1, 1]
        env.reset(seed=3)
        seen = [round(7 * float(env.reset()[0][0])) for _ in range(8000)]
        counts = np.bincount(seen, minlength=8)
        assert counts[6:].sum() == 0
        assert ((counts[:6] - 8000 / 6) ** 2 / (8000 / 6)).sum() < chi2.isf(1e-4, 5)
        assert env.reset(options={"split": "test"})[0] == 1

    def test_finished_episode(self):
        env = Parity()
        for act in (lambda: env.step(np.int64(0)), Parity(render_mode="rgb_array").render):
            with pytest.raises(ResetNeeded):
                act()
        env.reset(seed=0)
        env.step(np.int64(0))
        with pytest.raises(ResetNeeded, match="one decision"):
            env.step(np.int64(0))

    def test_patterns_cannot_be_changed_through_an_observation(self):
        env = Digits()
        first, _ = env.reset(options={"index": 0})
        kept = first.copy()
        first[:] = 0
        np.testing.assert_array_equal(env.step(np.int64(0))[0], kept)
        np.testing.assert_array_equal(env.reset(options={"index": 0})[0], kept)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"split": "tset"}, "unknown split 'tset': did you mean 'test'"),
            ({"spilt": "test"}, "unknown option 'spilt': did you mean 'split'"),
            ({"index": 8}, r"index 8: expected a whole number from 0 to 7"),
            ({"index": -1}, "index -1"),
            ({"index": 1.0}, r"index 1\.0"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            Parity(3).reset(options=options)

    @pytest.mark.parametrize("rewards", [(0.0, 0.0), (1.0, 2.0), (float("nan"), 0.0), (1.0, -float("inf"))])
    def test_bad_rewards(self, rewards):
        with pytest.raises(ValueError, match="expected two finite numbers"):
            Parity(right_reward=rewards[0], wrong_reward=rewards[1])

    @pytest.mark.parametrize(
        ("values", "labels", "message"),
        [
            (np.full((2, 3), 1.5), np.zeros(2, int), r"expected \[0, 1\]"),
            (np.array([[0.0, np.nan]]), np.zeros(1, int), r"expected \[0, 1\]"),
            (np.zeros((2, 3)), np.zeros(3, int), r"expected \(n, \.\.\.\) and \(n,\)"),
            (np.zeros((2, 3)), np.zeros(2), "expected whole numbers"),
            (np.zeros((2, 3)), np.array([0, -1]), "expected whole numbers"),
            (np.zeros((2, 3)), np.array([0, 2]), "label 2 in split 'train': expected 0 to 1"),
            (np.zeros((0, 3)), np.zeros(0, int), "'train' has no patterns"),
        ],
    )
    def test_bad_patterns(self, values, labels, message):
        with pytest.raises(ValueError, match=message):
            PatternTask(dict.fromkeys(SPLITS, Patterns(values, labels)), 2)

    def test_bad_splits(self):
        one, other = (Patterns(np.zeros((1, n)), np.zeros(1, int)) for n in (2, 3))
        with pytest.raises(ValueError, match="expected train, validation, test"):
            PatternTask({"train": one}, 2)
        with pytest.raises(ValueError, match="another shape"):
            PatternTask({"train": one, "validation": one, "test": other}, 2)

    def test_render_mode(self):
        with pytest.raises(ValueError, match="render_mode = 'human'"):
            Parity(render_mode="human")
        env = Parity()
        env.reset(seed=0)
        assert env.render() is None


class TestParity:
    @pytest.mark.parametrize("n_bits", [1, 3, 16])
    def test_every_pattern(self, n_bits):
        env = Parity(n_bits)
        assert {env.n_patterns(split) for split in SPLITS} == {2**n_bits}
        for index in {0, 1, 2**n_bits - 1, 2**n_bits * 2 // 3}:
            pattern, label = shown(env, "validation", index)
            text = f"{index:0{n_bits}b}"
            assert "".join(str(int(bit)) for bit in pattern) == text
            assert label == text.count("1") % 2

    def test_xor(self):
        env = gym.make("rwta_sim/XOR-v0").unwrapped
        for index in range(4):
            (a, b), label = shown(env, "train", index)
            assert label == (a != b)

    @pytest.mark.parametrize("n_bits", [-1, 17, 2.5, "3", None])
    def test_bad_sizes(self, n_bits):
        with pytest.raises(ValueError, match=r"n_bits = .*expected 1 to 16"):
            Parity(n_bits)

    def test_zero_bits(self):
        with pytest.raises(ValueError, match="parity of zero bits"):
            Parity(0)

    def test_picture(self):
        env = Parity(4, render_mode="rgb_array")
        env.reset(options={"index": 0b0110})
        picture = env.render()
        assert picture.shape == (32, 128, 3)
        np.testing.assert_array_equal(picture[16, 16::32, 1], [0, 255, 255, 0])


class TestDigits:
    def test_split(self):
        """Every image is in one split, where scikit-learn's order puts it, and every class is well represented."""
        env, data = Digits(), sklearn.datasets.load_digits()
        assert [env.n_patterns(split) for split in SPLITS] == [1200, 199, 398]
        train = [i for i in range(1797) if i % 9 < 6]
        for position in (0, 5, 6, 1199):
            pattern, label = shown(env, "train", position)
            np.testing.assert_array_equal(pattern, data.images[train[position]] / 16)
            assert label == data.target[train[position]]
        patterns = _load()
        images = np.concatenate([patterns[split].values for split in SPLITS])
        assert sorted(image.tobytes() for image in images) == sorted(i.astype(np.uint8).tobytes() for i in data.images)
        for split in SPLITS:
            share = np.bincount(patterns[split].labels) / np.bincount(data.target)
            assert abs(share / (env.n_patterns(split) / 1797) - 1).max() < 1 / 3

    def test_picture(self):
        env = Digits(render_mode="rgb_array")
        pattern, _ = env.reset(options={"split": "test", "index": 7})
        picture = env.render()
        assert picture.shape == (128, 128, 3)
        np.testing.assert_allclose(picture[8::16, 8::16, 0], pattern * 255, atol=0.5)

    def test_without_scikit_learn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(ImportError, match=r"pip install 'rwta_sim\[digits\]'"):
            _load.__wrapped__()


def idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


class TestIdx:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_round_trip(self, dtype, pack, tmp_path):
        array = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
        (tmp_path / "file").write_bytes(pack(idx(array)))
        read = read_idx(tmp_path / "file")
        np.testing.assert_array_equal(read, array)
        assert not read.flags.writeable

    def test_bytes_by_hand(self, tmp_path):
        (tmp_path / "file").write_bytes(bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 1, 0, 0xFF, 0xFE]))
        assert read_idx(tmp_path / "file").tolist() == [256, -2]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", r"not an IDX file: it begins with the bytes \(none\)"),
            (b"\0\0\x08", "not an IDX file: it begins with the bytes 00 00 08"),
            (b"PK\x03\x04 a zip", "not an IDX file: it begins with the bytes 50 4b 03 04"),
            (b"\0\0\x07\x01" + bytes(8), "not an IDX file"),
            (b"\0\0\x08\0" + bytes(8), "not an IDX file"),
            (b"\0\0\x08\x03" + bytes(11), "truncated: 15 bytes, expected 16"),
            (idx(np.zeros((3, 4), "u1"))[:-1], "truncated: 23 bytes, expected 24 for 3 x 4 elements"),
            (idx(np.zeros((3, 4), "u1")) + b"\0", "bytes after the end: 25 bytes, expected 24"),
            (b"\0\0\x0e\x03" + b"\xff" * 12, "truncated: 16 bytes, expected 6"),
            (
                gzip.compress(idx(np.zeros(9, "u1")) + b"!", mtime=0),
                "bytes after the end: 18 bytes unpacked, expected 17",
            ),
            (gzip.compress(idx(np.arange(99, dtype="u1")), mtime=0)[:-20], "gzip file is damaged"),
            (gzip.compress(idx(np.arange(99, dtype="u1")), mtime=0)[:40] + b"?" * 80, "gzip file is damaged"),
            (b"\x1f\x8b\x07" + bytes(20), "gzip file is damaged"),
        ],
    )
    def test_damage(self, content, message, tmp_path):
        (tmp_path / "some-file").write_bytes(content)
        with pytest.raises(ValueError, match=f"some-file: .*{message}"):
            read_idx(tmp_path / "some-file")

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read_idx(tmp_path / "nowhere")


FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


@pytest.fixture
def folder(tmp_path):
    """12 training and 3 test images, the test files gzipped, one with a dot in its name."""
    rng = np.random.default_rng(0)
    for name, n in zip(FILES, (12, 12, 3, 3), strict=True):
        array = rng.integers(256, size=(n, 28, 28)) if "images" in name else rng.integers(10, size=n)
        content = idx(array.astype("u1"))
        if name.startswith("t10k"):
            name, content = name.replace("images-idx", "images.idx") + ".gz", gzip.compress(content, mtime=0)
        (tmp_path / name).write_bytes(content)
    return tmp_path


class TestMNIST:
    def test_reads_a_folder(self, folder):
        env = MNIST(folder)
        check_env(env, skip_render_check=True)
        assert [env.n_patterns(split) for split in SPLITS] == [10, 2, 3]  # the last sixth validates
        images = read_idx(folder / FILES[0])
        labels = read_idx(folder / FILES[1])
        for split, index, at in [("train", 0, 0), ("train", 9, 9), ("validation", 0, 10), ("validation", 1, 11)]:
            pattern, label = shown(env, split, index)
            np.testing.assert_allclose(pattern, images[at] / 255, rtol=1e-6)
            assert label == labels[at]
        pattern, label = shown(env, "test", 2)
        np.testing.assert_allclose(pattern, read_idx(folder / "t10k-images.idx3-ubyte.gz")[2] / 255, rtol=1e-6)
        assert label == read_idx(folder / "t10k-labels-idx1-ubyte.gz")[2]

    def test_validation_is_at_most_5000(self, tmp_path):
        for name, n in zip(FILES, (30_600, 30_600, 1, 1), strict=True):
            (tmp_path / name).write_bytes(idx(np.zeros((n, 28, 28) if "images" in name else n, "u1")))
        env = MNIST(tmp_path)
        assert [env.n_patterns(split) for split in SPLITS] == [25_600, 5000, 1]

    def test_a_single_image(self, tmp_path):
        for name in FILES:
            (tmp_path / name).write_bytes(idx(np.ones((1, 28, 28) if "images" in name else 1, "u1")))
        env = gym.make("rwta_sim/MNIST-v0", folder=str(tmp_path)).unwrapped
        assert [env.n_patterns(split) for split in SPLITS] == [1, 0, 1]
        with pytest.raises(ValueError, match="'validation' has no patterns"):
            env.reset(options={"split": "validation"})
        with pytest.raises(EnvironmentFailure, match="MNIST has no validation patterns"):
            reset_options(env, "validation", 0)
        assert reset_options(env, "test", 3) == {"split": "test", "index": 0}

    def test_read_once(self, folder):
        first = MNIST(folder)
        for file in folder.iterdir():
            file.unlink()
        second = MNIST(str(folder))
        assert second._splits["train"].values is first._splits["train"].values
        assert second._splits["train"].values.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            second._splits["train"].values[0] = 0

    def test_picture(self, folder):
        env = MNIST(folder, render_mode="rgb_array")
        env.reset(options={"index": 3})
        picture = env.render()
        np.testing.assert_array_equal(picture[::4, ::4, 2], read_idx(folder / FILES[0])[3])

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            (FILES[0], np.zeros((11, 28, 28), "u1"), "11 images but .*12 labels"),
            (FILES[0], np.zeros((12, 28, 27), "u1"), r"uint8 of shape \(12, 28, 27\), expected uint8 images"),
            (FILES[0], np.zeros((12, 784), "u1"), r"shape \(12, 784\), expected"),
            (FILES[0], np.zeros((12, 28, 28), "f4"), "float32 of shape"),
            (FILES[0], np.zeros((0, 28, 28), "u1"), "n at least 1"),
            (FILES[1], np.zeros((12, 1), "u1"), r"expected uint8 labels of shape \(n,\)"),
            (FILES[1], np.zeros(12, "i4"), "int32 of shape"),
            (FILES[1], np.array([0] * 7 + [10] + [3] * 4, "u1"), "label 7 is 10, expected 0 to 9"),
        ],
    )
    def test_wrong_content(self, folder, name, array, message):
        (folder / name).write_bytes(idx(array))
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            MNIST(folder)

    def test_truncated_in_a_folder(self, folder):
        file = folder / FILES[0]
        file.write_bytes(file.read_bytes()[:5000])
        with pytest.raises(ValueError, match="train-images-idx3-ubyte: truncated: 5000 bytes, expected 9424"):
            MNIST(folder)

    @pytest.mark.parametrize("gone", FILES)
    def test_missing_file(self, folder, gone):
        next(file for file in folder.iterdir() if file.name.replace(".idx", "-idx").startswith(gone)).unlink()
        with pytest.raises(FileNotFoundError, match=f"expected one of {gone}, .*it holds t"):
            MNIST(folder)

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="it holds nothing"):
            MNIST(tmp_path)
        with pytest.raises(FileNotFoundError, match="does not exist"):
            MNIST(tmp_path / "nowhere")
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError, match="is no folder"):
            MNIST(tmp_path / "file")


class TestFetching:
    """Without a folder scikit-learn fetches; here it is replaced, so that no test needs a network."""

    @pytest.fixture(autouse=True)
    def _forget(self):
        rwta_sim.envs.mnist._fetch.cache_clear()
        yield
        rwta_sim.envs.mnist._fetch.cache_clear()

    def test_order(self, monkeypatch, tmp_path):
        asked = []
        images = np.zeros((70_000, 784), np.uint8)
        images[:, 5] = np.arange(70_000) % 251
        labels = (np.arange(70_000) % 10).astype(str)

        def fetch(*args, **kwargs):
            asked.append((args, kwargs["version"], kwargs["as_frame"], kwargs["data_home"]))
            return SimpleNamespace(data=images, target=labels)

        monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
        env = MNIST(data_home=tmp_path)
        MNIST(data_home=tmp_path)
        assert asked == [(("mnist_784",), 1, False, str(tmp_path))]
        assert [env.n_patterns(split) for split in SPLITS] == [55_000, 5000, 10_000]
        for split, index, at in [("train", 54_999, 54_999), ("validation", 1, 55_001), ("test", 9999, 69_999)]:
            pattern, label = shown(env, split, index)
            assert (round(float(pattern[0, 5]) * 255), label) == (at % 251, at % 10)

    def test_no_network(self, monkeypatch):
        def fetch(*args, **kwargs):
            raise urllib.error.URLError("Name or service not known")

        monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
        with pytest.raises(OSError, match=r"could not be fetched.*not known.*a folder with the four IDX files"):
            MNIST()

    def test_other_data(self, monkeypatch):
        empty = SimpleNamespace(data=np.zeros((3, 784)), target=np.array(["1"] * 3))
        monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *args, **kwargs: empty)
        with pytest.raises(OSError, match=r"shape \(3, 784\), expected \(70000, 784\)"):
            MNIST()

    def test_without_scikit_learn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(ImportError, match=r"rwta_sim\[digits\].*or give rwta_sim/MNIST-v0 a folder"):
            MNIST()


def test_home_is_understood(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert MNIST(Path("~") / folder.name).n_patterns("test") == 3
