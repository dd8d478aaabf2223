"""Lesions and stimulation: what is left is the network that was built without the lesioned part."""

from __future__ import annotations

import json

import numpy as np
import pytest
from brian2 import ms
from click.testing import CliRunner
from conftest import Loop, poisson_spec
from scipy.stats import chi2_contingency

import rwta_sim
from rwta_sim import cli
from rwta_sim.agents.rwta.perturb import perturb
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.errors import ConfigError

FIRING = {"one_hot": {}, "poisson": {"firing": "poisson", "rho_hat": poisson_spec().rho_hat}}


def loop_of(firing="one_hot", circuits=3, **changes):
    """Three circuits of three; weights of every block, with those that stay the same in every variant."""
    spec = NetworkSpec(
        hidden_circuits=circuits, hidden_size=3, kernel=Exponential(tau=5 * ms), weight_sd=0.8, **FIRING[firing]
    ).model_copy(update=changes)
    loop = Loop(spec, n_inputs=4, seed=1)
    loop.arrays.p[:] = 0.4
    return loop


def spikes_of(loop, steps=300):
    return loop.each_step(steps, loop.arrays.fired)


def hit(loop, name, target, seed=0):
    neurons = perturb(loop.arrays, name, target, np.random.default_rng(seed))
    loop.arrays.refresh_currents()
    return neurons


@pytest.mark.parametrize("firing", FIRING)
@pytest.mark.parametrize(("block", "left"), [("sh", ("sa", "hh", "ha", "ah")), ("hh", ("sh", "sa", "ha", "ah"))])
def test_a_block_that_is_cut_was_never_there(firing, block, left):
    """The same random numbers, so the same spikes, bit for bit."""
    whole, without = loop_of(firing), loop_of(firing, blocks=left)
    without.arrays.set_weights({name: w for name, w in whole.arrays.blocks().items() if name != block})
    before = spikes_of(loop_of(firing))
    hit(whole, "lesion", block)
    cut = spikes_of(whole)
    np.testing.assert_array_equal(cut, spikes_of(without))
    assert (cut != before).any()


@pytest.mark.parametrize("name", ["lesion", "silence"])
def test_a_circuit_without_connections_changes_nothing_for_the_others(name):
    """Against a network of one circuit less: who fires in the others, given who fired in the step before, in 4,000
    steps; a chi-square test for each of 3 circuits, false alarm 1e-3 each. Without the lesion it shows (p < 1e-6)."""
    whole, lesioned, smaller = loop_of(), loop_of(), loop_of(circuits=2)
    theirs = {n: w.copy() for n, w in whole.arrays.blocks().items()}
    keep = np.array([0, 1, 2, 3, 4, 5])
    kept = {"sh": theirs["sh"][:, keep], "sa": theirs["sa"], "hh": theirs["hh"][np.ix_(keep, keep)]}
    kept |= {"ha": theirs["ha"][keep], "ah": theirs["ah"][:, keep], "b": np.append(theirs["b"][keep], [0.0, 0.0])}
    smaller.arrays.set_weights(kept)
    hit(lesioned, name, "circuit:2")
    counts = [spikes_of(loop, 4000)[:, [*keep, -2, -1]] for loop in (whole, lesioned, smaller)]

    def worst(a, b):
        found = []
        for where in (slice(0, 3), slice(3, 6), slice(6, 8)):
            pair = [c[:, where].argmax(axis=1) for c in (a, b)]
            table = [np.bincount(w[1:] * 3 + w[:-1], minlength=9) for w in pair]
            table = np.array(table)[:, np.sum(table, axis=0) > 20]
            found.append(chi2_contingency(table).pvalue)
        return min(found)

    assert worst(counts[1], counts[2]) > 1e-3
    assert worst(counts[0], counts[2]) < 1e-6


@pytest.mark.parametrize("firing", FIRING)
def test_destroyed_neurons_never_fire_and_the_others_share(firing):
    """A circuit goes on at its rate: in one_hot firing one spike in each step, in poisson firing 30 in 300 steps of
    1 ms at 100 Hz (mean of 6 circuits' 60 s within 4 standard errors, false alarm 1e-4)."""
    loop = loop_of(firing)
    neurons = hit(loop, "lesion", "neurons:0.3")
    assert neurons.size == 3
    fired = spikes_of(loop, 3000)
    assert not fired[:, neurons].any()
    per_circuit = np.add.reduceat(fired.sum(axis=0), loop.network.starts[:-1])
    if firing == "one_hot":
        np.testing.assert_array_equal(per_circuit, 3000)
    else:
        assert abs(per_circuit.mean() - 300) < 4 * np.sqrt(300 / per_circuit.size)


def test_a_driven_neuron_always_wins():
    loop = loop_of()
    assert hit(loop, "drive", "circuit:1=neuron:2").tolist() == [5]
    fired = spikes_of(loop, 50)
    assert fired[1:, 5].all() and fired[:, 6:9].sum() == 50


def test_a_share_of_the_circuits_is_stuck():
    """In each that is hit one neuron always fires; a larger share hits them too."""
    some, all_ = (hit(loop := loop_of(), "drive", f"circuits:{share}", 3) for share in (0.7, 1))
    assert some.size == 2 and all_.size == 3 and set(some) < set(all_)
    assert (all_ // 3).tolist() == [0, 1, 2]
    assert spikes_of(loop, 50)[1:, all_].all()
    assert len({tuple(hit(loop_of(), "drive", "circuits:1", seed)) for seed in range(9)}) > 3
    assert hit(loop_of(), "drive", "circuits:0").size == 0


def test_silence_keeps_what_comes_in():
    """And takes what goes out; a lesion takes both."""
    loop = loop_of()
    before = {name: block.copy() for name, block in loop.arrays.blocks().items()}
    hit(loop, "silence", "circuit:0")
    after = loop.arrays.blocks()
    assert not after["hh"][:3].any() and not after["ha"][:3].any()
    for name in ("sh", "ah"):
        np.testing.assert_array_equal(after[name], before[name])
    hit(loop, "lesion", "circuit:0")
    assert not loop.arrays.blocks()["sh"][:, :3].any()


def test_shares_are_drawn_from_the_seed():
    first, same, other = (hit(loop_of(), "lesion", "neurons:0.5", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert first.size == 4 and not np.array_equal(first, other)
    assert hit(loop_of(), "lesion", "circuits:0.7").size == 6
    assert hit(loop_of(), "lesion", "circuits:0").size == 0


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("lesion", "hx", "expected a block (sh, sa, hh, ha, ah), circuit:K"),
        ("lesion", "circuit:3", "expected the number of a hidden circuit, from 0 to 2"),
        ("lesion", "circuit:-1", "expected the number of a hidden circuit"),
        ("lesion", "circuit:1.0", "expected the number of a hidden circuit"),
        ("lesion", "neurons:1.5", "expected a share from 0 to 1, got 1.5"),
        ("lesion", "neurons:nan", "expected a block"),
        ("silence", "ha", "circuit:K"),
        ("drive", "circuit:1", "expected circuit:K=neuron:I"),
        ("drive", "circuits:2", "expected a share from 0 to 1"),
        ("drive", "circuit:1=neuron:3", "expected a neuron from 0 to 2"),
        ("lesoin", "ha", "did you mean 'lesion'"),
    ],
)
def test_what_is_not_there(name, target, says):
    loop = loop_of()
    before = {n: block.copy() for n, block in loop.arrays.blocks().items()}
    with pytest.raises(ConfigError) as error:
        hit(loop, name, target)
    assert says in str(error.value)
    for n, block in loop.arrays.blocks().items():
        np.testing.assert_array_equal(block, before[n])


def test_a_block_that_this_network_has_not():
    with pytest.raises(ConfigError, match="no such block; it has sh, ha"):
        hit(loop_of(blocks=("sh", "ha"), symmetric=False), "lesion", "hh")


def test_evaluate_with_lesions(cue, tmp_path):
    """A network that reads its cue through the direct path needs that path; nothing on disk changes."""
    run = tmp_path / "run"
    rwta_sim.train(cue.changed({"training.episodes": 40, "training.target": None}), run)
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def evaluate(*options):
        result = CliRunner().invoke(cli.cli, ["evaluate", str(run), "--episodes", "10", "--json", *options])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    whole, cut = evaluate(), evaluate("--lesion", "sa", "--lesion", "sh")
    assert whole["perturbations"] == [] and cut["perturbations"] == ["lesion sa", "lesion sh"]
    assert whole["mean_return"] > 15 and cut["mean_return"] < 10  # of 20; four actions alike give 5
    driven = evaluate("--drive", "circuit:0=neuron:1", "--silence", "circuits:0.5")
    assert driven["perturbations"] == ["drive circuit:0=neuron:1", "silence circuits:0.5"]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files


def test_a_system_that_declares_none(tmp_path):
    with rwta_sim.Agent(rwta_sim.preset("cue", "random")) as agent:
        with pytest.raises(ConfigError, match="RandomSystem declares no perturbations"):
            agent.perturb("lesion", "ha")
