"""Examples of Brian2's documentation, on the compiled engine as on the runtime engine.

The reference is Brian2's NumPy target: interpreted, so it shares no generated code with the compiled engine and costs
no compilation (`test_compiled.py` has the Cython target). Both draw the same Mersenne Twister numbers in the same
order, so stochastic examples agree exactly too.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pytest
from brian2 import (
    Cylinder,
    EventMonitor,
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    PopulationRateMonitor,
    SpatialNeuron,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
    TimedArray,
    cm,
    linked_var,
    metre,
    ms,
    msiemens,
    mV,
    nA,
    ohm,
    second,
    siemens,
    uF,
    um,
)

from rwta_sim.engines import CompiledEngine, RuntimeEngine

needs_scipy = pytest.mark.skipif(find_spec("scipy") is None, reason="Brian2's NumPy cables need SciPy")


class Example(NamedTuple):
    """A network with what it records, and the variables that tell where it ends."""

    network: Network
    monitors: list[Any]
    variables: list[tuple[Any, str]]


def cuba() -> Example:
    """CUBA (Brette et al. 2007, after Vogels and Abbott 2005): 400 neurons instead of 4,000, connections from NumPy."""
    constants = {"taum": 20 * ms, "taue": 5 * ms, "taui": 10 * ms, "Vt": -50 * mV, "Vr": -60 * mV, "El": -49 * mV}
    weights = {"we": (60 * 0.27 / 10) * mV, "wi": (-20 * 4.5 / 10) * mV}
    neurons = NeuronGroup(
        400,
        """dv/dt  = (ge + gi - (v - El))/taum : volt (unless refractory)
           dge/dt = -ge/taue : volt
           dgi/dt = -gi/taui : volt""",
        threshold="v > Vt",
        reset="v = Vr",
        refractory=5 * ms,
        method="exact",
        namespace=constants,
        name="neurons",
    )
    rng = np.random.default_rng(1)
    neurons.v = -60 * mV + rng.random(400) * 10 * mV
    excitatory = Synapses(neurons, neurons, on_pre="ge += we", namespace=weights, name="excitatory")
    inhibitory = Synapses(neurons, neurons, on_pre="gi += wi", namespace=weights, name="inhibitory")
    connected = rng.random((400, 400)) < 0.2
    for synapses, sources in ((excitatory, np.arange(400) < 320), (inhibitory, np.arange(400) >= 320)):
        i, j = np.nonzero(connected & sources[:, None])
        synapses.connect(i=i, j=j)
    spikes = SpikeMonitor(neurons, name="spikes")
    network = Network(neurons, excitatory, inhibitory, spikes, name="example")
    return Example(network, [spikes], [(neurons, "v"), (neurons, "ge"), (neurons, "lastspike")])


def stdp() -> Example:
    """Spike-timing dependent plasticity (Song, Miller and Abbott 2000): 200 inputs at 60 Hz instead of 1,000 at 15."""
    gmax = 0.05
    constants = {"taum": 10 * ms, "Ee": 0 * mV, "El": -74 * mV, "taue": 5 * ms, "vt": -54 * mV, "vr": -60 * mV}
    plasticity = {"taupre": 20 * ms, "taupost": 20 * ms, "gmax": gmax, "dApre": 0.01 * gmax, "dApost": -0.0105 * gmax}
    inputs = PoissonGroup(200, rates=60 * Hz, name="inputs")
    neurons = NeuronGroup(
        1,
        """dv/dt = (ge*(Ee - v) + El - v)/taum : volt
           dge/dt = -ge/taue : 1""",
        threshold="v > vt",
        reset="v = vr",
        method="euler",
        namespace=constants,
        name="neurons",
    )
    neurons.v = -60 * mV
    synapses = Synapses(
        inputs,
        neurons,
        """w : 1
           dApre/dt = -Apre/taupre : 1 (event-driven)
           dApost/dt = -Apost/taupost : 1 (event-driven)""",
        on_pre="""ge += w
                  Apre += dApre
                  w = clip(w + Apost, 0, gmax)""",
        on_post="""Apost += dApost
                   w = clip(w + Apre, 0, gmax)""",
        namespace=plasticity,
        name="synapses",
    )
    synapses.connect()
    synapses.w = np.random.default_rng(2).random(200) * gmax
    weights = StateMonitor(synapses, "w", record=[0, 1], name="weights")
    spikes = SpikeMonitor(neurons, name="spikes")
    network = Network(inputs, neurons, synapses, weights, spikes, name="example")
    return Example(network, [weights, spikes], [(synapses, "w"), (synapses, "Apre"), (neurons, "v")])


def jeffress() -> Example:
    """Jeffress' model of sound localisation: a delay for each synapse, noise, and sound from a TimedArray."""
    max_delay = 20 * cm / (300 * metre / second)
    sound = TimedArray(10 * np.random.default_rng(3).normal(size=5000), dt=0.02 * ms, name="sound")
    constants = {"tau_ear": 1 * ms, "sigma_ear": 0.1, "angular_speed": 2 * np.pi / second, "sound": sound}
    ears = NeuronGroup(
        2,
        """dx/dt = (sound(t - delay) - x)/tau_ear + sigma_ear*(2/tau_ear)**.5*xi : 1 (unless refractory)
           delay = distance*sin(theta) : second
           distance : second
           dtheta/dt = angular_speed : radian""",
        threshold="x > 1",
        reset="x = 0",
        refractory=2.5 * ms,
        method="euler",
        dt=0.02 * ms,
        namespace=constants,
        name="ears",
    )
    ears.distance = [-0.5 * max_delay, 0.5 * max_delay]
    ears.theta = 0.5
    neurons = NeuronGroup(
        30,
        "dv/dt = -v/tau + sigma*(2/tau)**.5*xi : 1",
        threshold="v > 1",
        reset="v = 0",
        method="euler",
        clock=ears.clock,
        namespace={"tau": 1 * ms, "sigma": 0.1},
        name="neurons",
    )
    synapses = Synapses(ears, neurons, on_pre="v += .5", name="synapses")
    synapses.connect()
    steps = np.arange(30) / 29 * 1.1 * float(max_delay)
    synapses.delay = np.concatenate([steps, steps[::-1]]) * second
    spikes = SpikeMonitor(neurons, name="spikes")
    traces = StateMonitor(ears, "delay", record=True, name="traces")
    network = Network(ears, neurons, synapses, spikes, traces, name="example")
    return Example(network, [spikes, traces], [(ears, "x"), (neurons, "v"), (ears, "delay"), (synapses, "delay")])


def changing_input() -> Example:
    """Tutorial 3, changing things during a run: Hodgkin-Huxley, a random current every 10 ms, and one in a table."""
    area = 20000 * um**2
    table = TimedArray(np.array([0.0, 5.0, -3.0]) * nA, dt=7 * ms, name="table")
    constants = {
        "Cm": 1 * uF * cm**-2 * area,
        "gl": 5e-5 * siemens * cm**-2 * area,
        "El": -65 * mV,
        "EK": -90 * mV,
        "ENa": 50 * mV,
        "g_na": 100 * msiemens * cm**-2 * area,
        "g_kd": 30 * msiemens * cm**-2 * area,
        "VT": -63 * mV,
        "table": table,
    }
    neurons = NeuronGroup(
        1,
        """dv/dt = (gl*(El-v) - g_na*(m*m*m)*h*(v-ENa) - g_kd*(n*n*n*n)*(v-EK) + I + table(t))/Cm : volt
           dm/dt = 0.32*(mV**-1)*(13.*mV-v+VT)/(exp((13.*mV-v+VT)/(4.*mV))-1.)/ms*(1-m)
                   -0.28*(mV**-1)*(v-VT-40.*mV)/(exp((v-VT-40.*mV)/(5.*mV))-1.)/ms*m : 1
           dn/dt = 0.032*(mV**-1)*(15.*mV-v+VT)/(exp((15.*mV-v+VT)/(5.*mV))-1.)/ms*(1.-n)
                   -.5*exp((10.*mV-v+VT)/(40.*mV))/ms*n : 1
           dh/dt = 0.128*exp((17.*mV-v+VT)/(18.*mV))/ms*(1.-h)-4./(1+exp((40.*mV-v+VT)/(5.*mV)))/ms*h : 1
           I : amp""",
        threshold="v > -40*mV",
        refractory="v > -40*mV",
        method="exponential_euler",
        namespace=constants,
        name="neurons",
    )
    neurons.v = -65 * mV
    neurons.run_regularly("I = rand()*50*nA", dt=10 * ms, name="change")
    spikes = SpikeMonitor(neurons, variables="v", name="spikes")
    states = StateMonitor(neurons, ["v", "I"], record=True, dt=0.5 * ms, name="states")
    network = Network(neurons, spikes, states, name="example")
    return Example(network, [spikes, states], [(neurons, "v"), (neurons, "I"), (neurons, "h")])


def lif_curve() -> Example:
    """The f-I curve of the integrate-and-fire neuron, with its refractoriness and three monitors."""
    neurons = NeuronGroup(
        50,
        """dv/dt = (v0 - v)/tau : volt (unless refractory)
           v0 : volt""",
        threshold="v > 10*mV",
        reset="v = 0*mV",
        refractory=5 * ms,
        method="exact",
        namespace={"tau": 10 * ms},
        name="neurons",
    )
    neurons.v0 = "i*20*mV/(N - 1)"
    spikes = SpikeMonitor(neurons, name="spikes")
    states = StateMonitor(neurons, ["v", "not_refractory"], record=[0, 30, 49], when="end", name="states")
    rate = PopulationRateMonitor(neurons, name="rate")
    network = Network(neurons, spikes, states, rate, name="example")
    return Example(network, [spikes, states, rate], [(neurons, "v"), (neurons, "v0"), (spikes, "count")])


def everything() -> Example:
    """One network of what the examples above do not use; all named, so that its code is always the same."""
    generator = SpikeGeneratorGroup(
        5, [0, 2, 4, 1, 3, 2], [0.2, 0.5, 0.5, 1.0, 1.7, 2.0] * ms, period=3 * ms, name="generator"
    )
    noise = PoissonGroup(6, rates="(50 + 40*i)*Hz", name="noise")
    group = NeuronGroup(
        7,
        """dv/dt = (drive + gain*total - v)/(4*ms) + 0.05*xi/sqrt(ms) : 1 (unless refractory)
           drive = 0.8 + 0.1*sin(2*pi*t/(9*ms)) + 0.05*label : 1 (constant over dt)
           double_v = 2*v : 1
           total : 1
           held : second
           gain : 1 (shared)
           label : integer (constant)
           high : boolean
           hits : integer""",
        threshold="v > 1 and t - lastspike > 0.3*ms",
        reset="v -= 1",
        refractory="held",
        events={"dip": "v < 0.2"},
        method="euler",
        name="group",
    )
    group.run_on_event("dip", "v += 0.3; hits += 1")
    group.set_event_schedule("dip", when="after_resets")
    group.gain = 0.2
    group.held = "(0.1 + 0.2*i)*ms"
    group.label = "i % 3"
    group.run_regularly("high = v > 0.5", dt=1 * ms, name="look")
    follower = NeuronGroup(3, "seen : 1 (linked)\ncopy = seen*2 : 1\ny : 1", name="follower")
    follower.seen = linked_var(group, "v", index=np.array([4, 0, 4]))
    follower.run_regularly("y += copy", clock=group.clock, name="follow")

    strikes = Synapses(generator, group, on_pre="v_post += 0.3", delay=0.2 * ms, name="strikes")
    strikes.connect(i=[0, 2, 4, 1, 3], j=[0, 2, 4, 6, 6])
    wires = Synapses(
        Subgroup(noise, 1, 4, name="some_noise"),
        Subgroup(group, 2, 7, name="rest"),
        """w : 1
           du/dt = -u/(3*ms) : 1 (clock-driven)
           strength = w*gain_post*(1 + v_post) : 1
           total_post = u : 1 (summed)""",
        on_pre={"pre": "u += w", "late": "v_post += 0.1*w"},
        on_post="w *= 0.99",
        delay={"late": 0.7 * ms},
        method="exact",
        name="wires",
    )
    wires.connect(i=[0, 0, 1, 2, 2, 1], j=[0, 1, 1, 4, 2, 3])
    wires.w = [0.1, 0.5, 0.3, 0.2, 0.9, 0.4]
    wires.pre.delay = [0.1, 0.9, 0.0, 0.4, 2.5, 1.3] * ms
    rain = Synapses(noise, group, on_pre="v_post += 0.2", name="rain")
    rain.connect(j="i for _ in range(1)")
    rain.delay = "(1 + i)*0.3*ms"
    rain.pre.order = 2

    single = NeuronGroup(2, "dz/dt = -z/(10*ms) : 1", dtype={"z": np.float32}, method="exact", name="single")
    single.z = 1
    monitors = [
        SpikeMonitor(group, variables=["v"], name="spikes"),
        SpikeMonitor(Subgroup(group, 3, 5, name="two"), name="some_spikes"),
        SpikeMonitor(generator, name="generator_spikes"),
        SpikeMonitor(noise, record=False, name="counts"),
        EventMonitor(group, "dip", variables=["v", "hits"], name="dips"),
        StateMonitor(group, ["v", "double_v", "drive", "high", "label"], record=[1, 5], dt=0.3 * ms, name="states"),
        StateMonitor(wires, ["w", "u"], record=[0, 3], name="synapse_states"),
        PopulationRateMonitor(Subgroup(group, 2, 6, name="four"), name="rate"),
    ]
    network = Network(generator, noise, group, follower, strikes, wires, rain, single, *monitors, name="example")
    variables = [(group, name) for name in ("v", "total", "hits", "high", "lastspike", "gain")]
    variables += [(follower, "y"), (wires, "w"), (wires, "u"), (single, "z"), (monitors[3], "count")]
    return Example(network, monitors, variables)


def cable() -> Example:
    """A passive cable with a current at one end."""
    cable = SpatialNeuron(
        Cylinder(length=100 * um, diameter=2 * um, n=5),
        """Im = gl*(-70*mV - v) : amp/meter**2
           I : amp (point current)
           gl : siemens/meter**2""",
        Cm=1 * uF / cm**2,
        Ri=100 * ohm * cm,
        method="exponential_euler",
        name="cable",
    )
    cable.v = -70 * mV
    cable.gl = 1e-4 * siemens / cm**2
    cable.I = [0.1, 0, 0, 0, 0] * nA
    states = StateMonitor(cable, "v", record=True, dt=1 * ms, name="states")
    return Example(Network(cable, states, name="example"), [states], [(cable, "v")])


def recorded(monitor: Any) -> dict[str, np.ndarray]:
    names = monitor.record_variables if hasattr(monitor, "record_variables") else ("rate",)
    names = {*names, *(["t"] if getattr(monitor, "record", True) is not False else [])}
    return {f"{monitor.name}.{name}": np.array(getattr(monitor, f"{name}_")) for name in sorted(names)}


def results(engine: Any, build: Callable[[], Example], chunks: list[int]) -> dict[str, np.ndarray]:
    with engine.building():
        example = build()
    engine.prepare(example.network)
    engine.seed(np.random.SeedSequence(7))
    for steps in chunks:
        engine.advance(steps)
    found = {key: values for monitor in example.monitors for key, values in recorded(monitor).items()}
    for owner, name in example.variables:
        found[f"{owner.name}.{name}"] = np.array(engine.view(owner, name))
    return found


@pytest.mark.parametrize(
    ("build", "target", "steps"),
    [
        pytest.param(cuba, "numpy", 500, marks=pytest.mark.nightly),
        (stdp, "numpy", 3000),
        pytest.param(jeffress, "numpy", 1500, marks=pytest.mark.nightly),
        pytest.param(changing_input, "numpy", 450, marks=pytest.mark.nightly),
        pytest.param(lif_curve, "numpy", 700, marks=pytest.mark.nightly),
        (everything, "numpy", 600),
        pytest.param(cable, "numpy", 200, marks=[needs_scipy, pytest.mark.nightly], id="cable-numpy-200"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_same_as_the_runtime_engine(build, target, steps):
    """Spikes equal, values to 1e-10; in uneven chunks equal to the last bit."""
    reference = results(RuntimeEngine(target), build, [steps])
    whole = results(CompiledEngine(), build, [steps])
    chunks = results(CompiledEngine(), build, [1, 13, 0, 100, steps - 114])
    assert reference.keys() == whole.keys()
    for name, values in reference.items():
        assert values.size, name
        np.testing.assert_array_equal(chunks[name], whole[name], err_msg=name)
        if values.dtype.kind == "f":
            np.testing.assert_allclose(whole[name], values, rtol=1e-10, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(whole[name], values, err_msg=name)
