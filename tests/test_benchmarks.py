"""The benchmarks measure what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import reproduction
import results
from c_check import compare
from event_loop import agreement
from loop_cases import Case
from loop_table import write_section

from rwta_sim import cli, preset
from rwta_sim.loop.tree import kinds_first


@pytest.mark.parametrize("mode", ["poisson", pytest.param("one_hot", marks=pytest.mark.nightly)])
def test_the_c_loop_is_the_same_network(mode):
    """Mean spikes, traces and q of 69 neurons and 4 inputs agree over 1000 independent decisions of 20 steps.

    z of the difference of means for each of 215; seeds are fixed, and others would fail one time in 10,000.
    """
    agreement = compare(Case("S1", mode, weight_sd=1.0), decisions=1000)
    assert agreement.means == 3 * 69 + 2 * 4
    assert agreement.holds, str(agreement)


def test_the_c_event_loop_is_the_same_network():
    """69 means over 1,000 decisions against `EventNetwork`, false alarm 1e-4 (see benchmarks/event_loop.py)."""
    assert "largest |z|" in agreement(1000)


def test_table(monkeypatch, tmp_path):
    """Sections are written one by one; the others stay."""
    monkeypatch.setattr("loop_table.TABLE", tmp_path / "closed_loop.json")
    section = {"command": "python x.py", "machine": "a machine", "versions": {"python": "3"}, "text": ["How."]}
    speed = {"what": "decisions per second", "median": 1234.5, "lowest": 1e3, "highest": 2e3}
    path = {"network": "S1", "mode": "poisson", "path": "c_loop", "precision": "single", "us_per_step": 0.1234}
    path |= {"us_per_step_min": 0.1, "us_per_step_max": 0.2, "decisions_per_second": 4e5, "relative_to_compiled": 0.5}
    write_section("loop", {**section, "networks": {"S1": "4 inputs"}, "rows": [path]})
    write_section("training", {**section, "rows": [speed]})
    assert list(json.loads((tmp_path / "closed_loop.json").read_text())) == ["loop", "training"]
    text = (tmp_path / "closed_loop.md").read_text()
    assert "| c_loop (single) | 0.123 | 0.1–0.2 | 400,000 | 0.5 |" in text
    assert "| decisions per second | 1,234 | 1,000–2,000 |" in text
    assert np.char.count(text, "Command: `python x.py`") == 2


def test_results_table():
    """Two seeds of a row with two evaluations: mean, spread and lowest of each, and every seed's own line."""
    common = {"episodes": 9, "decisions": 90, "cpu_seconds": 3.0, "decisions_per_second": 30.0, "engine": "compiled"}
    runs = [
        {"row": "digits, lockstep", "seed": seed, "values": {"": 0.97 + seed / 50, "rate": 0.9}, "seconds": 4.0 + seed}
        for seed in (1, 0)
    ]
    runs = [{**run, **common} for run in runs]
    text = results.markdown({"runs": runs, "machine": "m", "load": "idle", "versions": {"python": "3"}})
    row = "| digits, lockstep | `--model svpg-lockstep` | accuracy | spikes"
    assert f"{row}, argmax of q | 2 | 0.9800 ± 0.0141 | 0.9700 | ≥ 0.97 | – | 4, 5 | 3 |" in text
    assert f"{row.replace('spikes', 'rate')} | 2 | 0.9000 ± 0.0000 | 0.9000 |" in text
    assert "| 0 | 0.9700 | 0.9000 | 9 | 90 | 4 | 3 | 30 |" in text
    assert "mountaincar" not in text


def test_results_of_circuits_that_live():
    """What is read from spikes beside argmax, lesion and chance, with the rates and bits of the neurons."""
    signs = {"readout": "last_spike", "others": {"argmax": 497.0}}
    signs |= {"firing_rates": {"mean": 13.0, "highest": 40.0}, "circuits": {"told_bits": 0.5}}
    run = {"row": "cartpole", "episodes": 9, "decisions": 90, "seconds": 1.0, "cpu_seconds": 3.0}
    run |= {"decisions_per_second": 30.0, "engine": "compiled"}
    runs = [
        {**run, "seed": seed, "signs": signs, "values": {"": best, "lesion ha": 20.0 + seed, "random": 22.0}}
        for seed, best in enumerate((500.0, 490.0))
    ]
    text = results.markdown({"runs": runs, "machine": "m", "load": "idle", "versions": {"python": "3"}})
    assert "| cartpole |  | mean_return | spikes, last_spike | 2 | 495.00 ± 7.07 | 490.00 | ≥ 495 |" in text
    line = (
        "| cartpole | 2 | 495.00 ± 7.07 | 490.00 | 497.00 ± 0.00 | 20.5 ± 1.0 | 22.0 ± 0.0 | 13.0 | 40 | 0.50 | 0.50 |"
    )
    assert line in text


def test_rows_of_the_results_have_presets():
    for row in (*results.ROWS.values(), *reproduction.ROWS.values()):
        model = row.train[row.train.index("--model") + 1] if "--model" in row.train else None
        assert preset(row.task, model).task == row.task


def test_options_of_the_results_train_what_their_sweep_does():
    """The command line with a row's options has the experiment of the sweep's point."""
    points = {point.label: point for point in results.wanted_of(list(results.ROWS), [10**6], "/a b")}
    assert set(points) == set(results.ROWS)
    for name, row in results.ROWS.items():
        pairs = list(zip(row.train[::2], row.train[1::2], strict=True))
        model = dict(pairs).get("--model")
        given = {option[2:]: cli._value(text) for option, text in pairs if option != "--model"}
        if row.task == "mnist":
            given["environment.kwargs.folder"] = "/a b"
        assert preset(row.task, model).changed(kinds_first(given)).changed(seed=10**6) == points[name].experiment()


def test_reparameterised_table():
    """Rows by units and task; means, deviations and the lowest over seeds; medians of what it cost."""
    torch = pytest.importorskip("torch")
    import reparameterised

    costs = {"decisions": 5000, "seconds": 10.0, "cpu_seconds": 9.0}
    runs = [
        {"task": task, "units": units, "seed": seed, "noisy": 1.0, "lesion": 2.0, "random": 3.0, **costs}
        for task, units, seed in (("xor", "Concrete", 0), ("xor", "straight-through", 0), ("cartpole", "Concrete", 1))
    ]
    runs = [{**run, "greedy": 480.0} for run in [*runs, {**runs[2], "seed": 0}]]
    runs[-1]["greedy"] = 500.0
    found = {"runs": runs, "machine": "m", "load": "idle", "versions": {"torch": torch.__version__}}
    lines = [line for line in reparameterised.text(found).splitlines() if line.startswith(("| xor", "| cartpole"))]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| xor", "straight-through", "1"],
        ["| cartpole", "Concrete", "2"],
        ["| xor", "Concrete", "1"],
    ]
    assert "| 2 | 490.0 ± 14.1 | 480.0 | ≥ 475 | 1.0 ± 0.0 | 2.0 ± 0.0 | 3.0 ± 0.0 | 5,000 | 10 | 9 |" in lines[1]


def test_rivals_table():
    """A run of `ppo` is two rows, as it is and as spikes; means, deviations and the lowest over seeds."""
    pytest.importorskip("torch")
    import rivals

    costs = {"decisions": 5000, "seconds": 10.0, "cpu_seconds": 9.0}
    runs = [
        {"task": "inverted-pendulum", "model": "ppo", "seed": seed, **costs, "scores": scores}
        for seed, scores in enumerate(
            {"ppo": {"best": best, "drawn": 100.0}, "converted": {"best": best - 50, "drawn": 100.0}}
            for best in (200.0, 190.0)
        )
    ]
    runs.append(
        {"task": "digits", "model": "bptt", "seed": 0, **costs, "scores": {"bptt": {"best": 0.9, "drawn": 0.5}}}
    )
    lines = rivals.rows({"runs": runs})[2:]
    assert lines == [
        "| `inverted-pendulum` | `ppo` | 2 | 195.00 ± 7.07 | 190.00 | 100.00 ± 0.00 | 199.95 ± 0.13 | 5,000 | 9 |",
        "| `inverted-pendulum` | `converted` | 2 | 145.00 ± 7.07 | 140.00 | – | 190.79 ± 27.64 | 5,000 | 9 |",
        "| `digits` | `bptt` | 1 | 0.9000 | 0.9000 | 0.5000 | – | 5,000 | 9 |",
    ]


def test_the_gradients_of_the_figure():
    """Ten cases: all noise is in the cells, and Concrete units at a low temperature have nearly the exact gradient. The
    score function's noise is that of 20,000 samples within 4 %, some 5 standard errors."""
    torch = pytest.importorskip("torch")
    import reparameterised_gradients as gradients

    for seed in gradients.SEEDS:
        case = gradients.Case(seed)
        assert case._noise(0.1)[1].sum() == pytest.approx(1, abs=1e-9)
        assert case.bias_and_noise(gradients.concrete, 0.02)[0] < 0.04
    rng, z = np.random.default_rng(0), case.z.numpy()
    y = np.where(rng.random((20_000, gradients.HIDDEN)) < 1 / (1 + np.exp(-2 * z)), 1.0, -1.0)
    worth = case.worth(torch.tensor(y)).detach().numpy()
    samples = (worth - worth.mean())[:, None] * (y - np.tanh(z))
    noise = np.sqrt(samples.var(axis=0).sum()) / np.linalg.norm(case.exact)
    assert noise == pytest.approx(case.score_noise, rel=0.04)


def test_reproduction_table(monkeypatch, tmp_path):
    """Two seeds of a row evaluated both ways: in the full table, seed by seed, and in the page between its markers."""
    monkeypatch.setattr(reproduction, "TABLE", tmp_path / "table.json")
    monkeypatch.setattr(reproduction, "PAGE", tmp_path / "page.md")
    reproduction.PAGE.write_text("before\n<!-- reproduction -->\nold\n<!-- end of reproduction -->\nafter\n")
    run = {"row": "inverted-pendulum", "episodes": 300, "decisions": 20000, "cpu_seconds": 90.4}
    for seed, rate in enumerate((200.0, 199.0)):
        reproduction.add({**run, "seed": seed, "values": {"": rate, "spiking": 150.0 + seed}}, "idle")
    row = "| 2 | 199.50 ± 0.71 | 199.00 | 199.87 ± 0.27 |"
    text, page = reproduction.TABLE.with_suffix(".md").read_text(), reproduction.PAGE.read_text()
    assert f"`--model svpg-published` | mean_return | rate {row} ≥ 199.5 | 300 | 20,000 | 90 |" in text
    assert "| inverted-pendulum | 1 | 199.0000 | 151.0000 | – | – | 300 | 20000 | 90 |" in text
    assert f"| inverted-pendulum | mean_return | rate {row}\n" in page and "| spikes | 2 | 150.50 ± 0.71 |" in page
    assert page.startswith("before") and page.endswith("after\n") and "old" not in page and "cartpole" not in page


def test_kwargs_of_a_preset_are_kept():
    row = results.Row("mnist", train=["--model", "svpg-bmvc"])
    assert reproduction.kwargs(row, folder="/a b") == '{right_reward = 0.0, wrong_reward = -1.0, folder = "/a b"}'
