"""Random networks through plain Brian2 in one run, and through both engines in pieces, with states taken and restored.

Twelve networks here, three of them compiled; ``make nightly`` tries five hundred, all of them on both engines.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from brian2 import (
    Clock,
    EventMonitor,
    Network,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    ms,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.engines._random import seed_words

#: How many networks; on the compiled engine a quarter of them, as each takes its time to compile.
NETWORKS = int(os.environ.get("RWTA_SIM_NETWORKS", "12"))
COMPILED = NETWORKS if "RWTA_SIM_NETWORKS" in os.environ else NETWORKS // 4
STEPS = 120
DT = 0.1 * ms
SEED = np.random.SeedSequence(5)


# -- plans --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """A NeuronGroup; `drive` is where its input comes from."""

    size: int
    slow: bool
    drive: str
    refractory: str | None
    event: bool
    regularly: bool
    tau: int


@dataclass(frozen=True)
class Generator:
    """A SpikeGeneratorGroup, its spikes in steps; without a period if that is 0."""

    size: int
    spikes: list[tuple[int, int]]
    period: int


@dataclass(frozen=True)
class Wires:
    """Synapses from source number `source` to group number `target`, delays in steps: one, or one for each."""

    source: int
    target: int
    pairs: list[tuple[int, int]]
    delays: list[int]
    common_delay: bool
    plastic: bool
    summed: bool


@dataclass(frozen=True)
class Plan:
    """A network, and what happens to it: advances of some steps, each with what follows it."""

    groups: list[Group]
    generators: list[Generator]
    poisson: bool
    wires: list[Wires]
    ratio: float
    acts: list[tuple[int, str]]


def groups() -> st.SearchStrategy[Group]:
    return st.builds(
        Group,
        size=st.integers(1, 5),
        slow=st.booleans(),
        drive=st.sampled_from(["constant", "table", "grid"]),
        refractory=st.sampled_from([None, "1.03*ms", "v > 0.5", "(0.5 + 0.5*i)*ms"]),
        event=st.booleans(),
        regularly=st.booleans(),
        tau=st.integers(2, 9),
    )


@st.composite
def generators(draw: Any) -> Generator:
    size, period = draw(st.integers(1, 4)), draw(st.sampled_from([0, 7, 40]))
    last = (period or STEPS) - 1
    spikes = draw(st.sets(st.tuples(st.integers(0, last), st.integers(0, size - 1)), max_size=30))
    return Generator(size, [(neuron, step) for step, neuron in sorted(spikes)], period)


@st.composite
def plans(draw: Any) -> Plan:
    cells, spikes = draw(st.lists(groups(), min_size=1, max_size=3)), draw(st.lists(generators(), max_size=2))
    poisson = draw(st.booleans())
    sizes = [*(g.size for g in cells), *(g.size for g in spikes), *([3] if poisson else [])]
    wires = []
    for _ in range(draw(st.integers(0, 3))):
        source, target = draw(st.integers(0, len(sizes) - 1)), draw(st.integers(0, len(cells) - 1))
        ends = st.tuples(st.integers(0, sizes[source] - 1), st.integers(0, cells[target].size - 1))
        pairs = draw(st.lists(ends, min_size=1, max_size=12, unique=True))
        delays = draw(st.lists(st.integers(0, 15), min_size=len(pairs), max_size=len(pairs)))
        summed = draw(st.booleans()) and all(w.target != target or not w.summed for w in wires)
        wires.append(Wires(source, target, pairs, delays, draw(st.booleans()), draw(st.booleans()), summed))
    act = st.tuples(st.integers(0, 40), st.sampled_from(["go on", "save", "rewind", "begin afresh"]))
    acts = draw(st.lists(act, min_size=2, max_size=5))
    return Plan(cells, spikes, poisson, wires, draw(st.sampled_from([2.0, 5.0, 2.5])), acts)


# -- networks -----------------------------------------------------------------------------------------


class Built:
    """The network of a plan, and what is looked at."""

    def __init__(self, plan: Plan) -> None:
        self._fast = Clock(DT, name="fast")
        self._slow = Clock(plan.ratio * DT, name="slow")
        self.groups = [self._group(number, group) for number, group in enumerate(plan.groups)]
        sources = [*self.groups, *(self._generator(number, g) for number, g in enumerate(plan.generators))]
        if plan.poisson:
            sources.append(PoissonGroup(3, "(100 + 200*i)*Hz", clock=self._fast, name="poisson"))
        self.wires = [self._wires(number, wires, sources) for number, wires in enumerate(plan.wires)]
        first = self.groups[0]
        self.monitors = [
            *(SpikeMonitor(source, name=f"spikes_of_{source.name}") for source in sources),
            *(EventMonitor(g, "low", name=f"lows_of_{g.name}") for g in self.groups if "low" in g.events),
            StateMonitor(first, ["v", "twice"], record=[0, first.N - 1], name="states"),
            StateMonitor(first, "v", record=True, clock=self._slow, name="seldom"),
            PopulationRateMonitor(first, name="rates"),
        ]
        self.network = Network(*sources, *self.wires, *self.monitors, name="random_network")

    def _group(self, number: int, plan: Group) -> NeuronGroup:
        table = TimedArray(np.array([0.9, 1.7, 0.2, 1.1]), dt=2.3 * ms, name=f"table_{number}")
        grid = TimedArray(0.7 + 0.13 * np.arange(20).reshape(4, 5), dt=2 * ms, name=f"grid_{number}")
        drive = {"constant": "1.31", "table": "table(t)", "grid": "grid(t, i)"}[plan.drive]
        clock = self._slow if plan.slow and number else self._fast  # there is a group for each step
        frozen = "" if plan.refractory is None else " (unless refractory)"
        group = NeuronGroup(
            plan.size,
            f"""dv/dt = ({drive} + 0.037*i - v)/({plan.tau}*ms) : 1{frozen}
                total : 1
                heard : 1
                twice = 2*v : 1""",
            threshold="v > 0.737",
            reset="v = 0.011*i",
            refractory=False if plan.refractory is None else plan.refractory,
            events={"low": "v < 0.1"} if plan.event else {},
            method="euler",
            namespace={"table": table, "grid": grid},
            clock=clock,
            name=f"cells_{number}",
        )
        if plan.event:
            group.run_on_event("low", "heard += 0.001")
        if plan.regularly:
            group.run_regularly("v += 0.0173", clock=self._slow, name=f"regularly_{number}")
        return group

    def _generator(self, number: int, plan: Generator) -> SpikeGeneratorGroup:
        indices, steps = [i for i, _ in plan.spikes], np.array([step for _, step in plan.spikes], dtype=float)
        period = plan.period * DT
        return SpikeGeneratorGroup(
            plan.size, indices, steps * DT, period=period, clock=self._fast, name=f"generator_{number}"
        )

    def _wires(self, number: int, plan: Wires, sources: list[Any]) -> Synapses:
        target = self.groups[plan.target]
        model = ["w : 1"]
        on_pre, on_post = "v_post += 0.21*w; heard_post += 1", ""
        if plan.plastic:
            model.append("dx/dt = -x/(3*ms) : 1 (event-driven)")
            on_pre, on_post = f"{on_pre}; x += 1", "w += 0.05*x"
        if plan.summed:
            model.append("total_post = w : 1 (summed)")
        delay = plan.delays[0] * DT if plan.common_delay else None
        wires = Synapses(
            sources[plan.source],
            target,
            "\n".join(model),
            on_pre=on_pre,
            on_post=on_post or None,
            delay={"pre": delay} if plan.common_delay else None,
            method="exact",
            clock=self._fast,
            name=f"wires_{number}",
        )
        wires.connect(i=[i for i, _ in plan.pairs], j=[j for _, j in plan.pairs])
        wires.w = 0.4 + 0.07 * np.arange(len(plan.pairs))
        if not plan.common_delay:
            wires.pre.delay = np.array(plan.delays) * DT
        if plan.plastic:
            wires.post.delay = np.array(plan.delays[::-1]) * DT
        return wires

    def variables(self) -> dict[str, np.ndarray]:
        found = {f"{g.name}.{n}": getattr(g, f"{n}_")[:] for g in self.groups for n in ("v", "total", "heard")}
        for wires in self.wires:
            found |= {f"{wires.name}.{n}": getattr(wires, f"{n}_")[:] for n in ("w", "x") if n in wires.variables}
        return {name: np.array(values) for name, values in found.items()}


# -- comparing ----------------------------------------------------------------------------------------


def plain(plan: Plan) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What Brian2's `run` records, and comes to."""
    built = Built(plan)
    saved = np.random.get_state()  # noqa: NPY002
    np.random.set_state(np.random.RandomState(seed_words(SEED)).get_state())  # noqa: NPY002
    try:
        built.network.run(STEPS * DT, namespace={})
    finally:
        np.random.set_state(saved)  # noqa: NPY002
    recorded = {}
    for monitor in built.monitors:
        names = ["rate"] if isinstance(monitor, PopulationRateMonitor) else monitor.record_variables
        for name in {*names, "t"}:
            recorded[f"{monitor.name}.{name}"] = np.array(monitor.variables[name].get_value())
    return recorded, built.variables()


class Played:
    """A plan on an engine: what monitors recorded, drained piece by piece, and where it ended."""

    def __init__(self, plan: Plan, make: Any) -> None:
        self._plan, self._make = plan, make
        self._begin()
        self._engine.seed(SEED)
        self._pieces: list[dict[str, np.ndarray]] = [self._drained()]
        saved = self._engine.state(), list(self._pieces)
        for steps, act in [*plan.acts, (STEPS, "go on")]:
            self._engine.advance(min(steps, STEPS - self._engine.steps_done))
            self._pieces.append(self._drained())
            if act == "save":
                saved = self._engine.state(), list(self._pieces)
            elif act != "go on":
                if act == "begin afresh":
                    self._begin()
                self._engine.set_state(saved[0])
                self._pieces = list(saved[1])
        self.recorded = {name: np.concatenate([piece[name] for piece in self._pieces]) for name in self._pieces[0]}
        self.variables = self.built.variables()
        assert round(self.built.network.t / DT) == STEPS
        self._engine.close()

    def _begin(self) -> None:
        self._engine = self._make()
        with self._engine.building():
            self.built = Built(self._plan)
        self._engine.prepare(self.built.network, namespace={})

    def _drained(self) -> dict[str, np.ndarray]:
        drained = {monitor.name: self._engine.drain(monitor) for monitor in self.built.monitors}
        return {f"{name}.{part}": values for name, parts in drained.items() for part, values in parts.items()}


def check(plan: Plan, make: Any) -> None:
    """Spikes to the step, and values to rounding."""
    recorded, variables = plain(plan)
    played = Played(plan, make)
    for expected, found in ((recorded, played.recorded), (variables, played.variables)):
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


FOUND = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.slow
@settings(FOUND, max_examples=NETWORKS)
@given(plans())
def test_runtime_engine(plan):
    check(plan, lambda: RuntimeEngine("numpy"))


@pytest.mark.slow
@settings(FOUND, max_examples=COMPILED, phases=[Phase.generate])
@given(plans())
def test_compiled_engine(plan):
    check(plan, CompiledEngine)
