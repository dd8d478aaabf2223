"""The competition within circuits as one pass: a Brian2 `Function` in C++, Cython and NumPy.

`equations.py` writes lateral inhibition and the categorical draw as sums over Synapses, which is how to read them, but
a sum costs a look-up and an exponential per synapse. Here the same is done in one pass over the potentials of all
circuits: the softmax of each circuit, relative to its largest potential, and, in one_hot firing, the winner, the first
neuron at which the cumulative sum of q exceeds the circuit's uniform random number. Same numbers from the same random
numbers, to rounding (tests/test_competition.py).

Where neurons can be barred from firing (refractory ones, whose potential is BARRED), every circuit's largest potential
is taken as -U_MAX at the least: the q of the barred are then 0, also where all of a circuit are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from brian2 import Function, NeuronGroup, get_device

from rwta_sim.circuit.equations import U_MAX

__all__ = ["competition", "fires"]

#: Group and variable of each array that a competition works on.
_Arrays = dict[str, tuple[NeuronGroup, str]]


def _fires(uniform: np.ndarray, x: np.ndarray) -> np.ndarray:
    return uniform < -np.expm1(-x)


#: Whether a neuron with escape rate rho fires in a step, given a uniform random number: with probability
#: 1 - exp(-rho*dt). As rho*dt is never less than that, most neurons need no exponential.
fires = Function(_fires, arg_units=[1, 1], return_unit=bool, return_type="boolean")
fires.implementations.add_numpy_implementation(_fires, discard_units=True)
fires.implementations.add_implementation(
    "cpp",
    """
    static inline bool _rwta_fires(double uniform, double x) {
        return uniform < x && uniform < -std::expm1(-x);
    }
    """,
    name="_rwta_fires",
)
fires.implementations.add_implementation(
    "cython",
    """
    from libc.math cimport expm1 as _rwta_expm1
    cdef inline bint _rwta_fires(double uniform, double x) noexcept:
        return uniform < x and uniform < -_rwta_expm1(-x)
    """,
    name="_rwta_fires",
)

#: exp(x) for x <= 0 in a form that compilers vectorise; 0 below -708. The reduction is Cody and Waite's:
#: exp(x) = 2^n exp(r), |r| <= ln(2)/2, with ln(2) in two parts; exp(r) is its Taylor series of degree 13
#: (remainder 4e-18).
_EXP_CPP = """
static inline double _rwta_exp(double x) {
#ifdef __FMA__
    const double bounded = x < -708.0 ? -708.0 : x;
    const double n = __builtin_rint(bounded * 1.4426950408889634);
    double r = __builtin_fma(n, -6.93147180369123816490e-01, bounded);
    r = __builtin_fma(n, -1.90821492927058770002e-10, r);
    double p = 1.0/6227020800.0;
    p = __builtin_fma(p, r, 1.0/479001600.0);
    p = __builtin_fma(p, r, 1.0/39916800.0);
    p = __builtin_fma(p, r, 1.0/3628800.0);
    p = __builtin_fma(p, r, 1.0/362880.0);
    p = __builtin_fma(p, r, 1.0/40320.0);
    p = __builtin_fma(p, r, 1.0/5040.0);
    p = __builtin_fma(p, r, 1.0/720.0);
    p = __builtin_fma(p, r, 1.0/120.0);
    p = __builtin_fma(p, r, 1.0/24.0);
    p = __builtin_fma(p, r, 1.0/6.0);
    p = __builtin_fma(p, r, 0.5);
    p = __builtin_fma(p, r, 1.0);
    p = __builtin_fma(p, r, 1.0);
    int64_t bits = (int64_t(int32_t(n)) + 1023) << 52;
    double scale;
    __builtin_memcpy(&scale, &bits, 8);
    return x < -708.0 ? 0.0 : p * scale;
#else
    return std::exp(x);
#endif
}
"""

_CPP = """
// `count` circuits of `size` neurons each: potentials u become probabilities; size is a constant wherever it is called.
static inline __attribute__((always_inline)) void _rwta_circuits(int count, int size, double* __restrict u,
                                  const double* __restrict draw, int32_t* __restrict winner, int32_t first) {
    for (int c = 0; c < count; c++) {
        double* __restrict v = u + c * size;
        double largest = %LOWEST%;
        for (int i = 1; i < size; i++) largest = v[i] > largest ? v[i] : largest;
        for (int i = 0; i < size; i++) v[i] -= largest;
    }
    for (int i = 0; i < count * size; i++) u[i] = _rwta_exp(u[i]);
    for (int c = 0; c < count; c++) {
        double* __restrict v = u + c * size;
        double Z = 0.0;
        for (int i = 0; i < size; i++) Z += v[i];
        const double scale = 1.0 / %TOTAL%;
        for (int i = 0; i < size; i++) v[i] *= scale;
        if (winner) {
            double below = v[0];
            int i = 0;
            while (draw[c] >= below && i < size - 1) below += v[++i];%BACK%
            winner[c] = first + c * size + i;
        }
    }
}
static inline int32_t _rwta_compete(int32_t circuits) {
%CALLS%
    return circuits;
}
"""

_CYTHON = """
from libc.math cimport exp as _rwta_c_exp
cdef int _rwta_compete(int circuits) noexcept:
    global %GLOBALS%
    cdef int c, i, low, high
    cdef double largest, Z, below
    cdef double* u = <double*> _namespace_rwta_q
    for c in range(circuits):
        low, high = _namespace_rwta_starts[c], _namespace_rwta_starts[c + 1]
        largest = %LOWEST%
        for i in range(low + 1, high):
            largest = max(largest, u[i])
        Z = 0
        for i in range(low, high):
            u[i] = _rwta_c_exp(u[i] - largest)
            Z += u[i]
        for i in range(low, high):
            u[i] *= 1/%TOTAL%
%WINNER%
    return circuits
"""

_CYTHON_WINNER = """
        below, i = u[low], low
        while _namespace_rwta_draw[c] >= below and i < high - 1:
            i += 1
            below += u[i]%BACK%
        _namespace_rwta_winner[c] = i
"""


#: In C++ and in Cython: the least of a circuit's largest potential, its sum, and what to do where a cumulative sum is
#: rounded to less than 1 and the draw is not: without barred neurons the last one wins.
_USUAL = {"cpp": ("v[0]", "Z", ""), "cython": ("u[low]", "Z", "")}
_BARRED = {
    "cpp": (
        f"v[0] > {-U_MAX} ? v[0] : {-U_MAX}",
        "(Z > 0.0 ? Z : 1.0)",
        "\n            while (i > 0 && v[i] == 0.0) i--;",
    ),
    "cython": (
        f"max(u[low], {-U_MAX})",
        "(Z if Z > 0 else 1)",
        "\n        while i > low and u[i] == 0:\n            i -= 1",
    ),
}


def _filled(code: str, parts: tuple[str, str, str]) -> str:
    for name, part in zip(("LOWEST", "TOTAL", "BACK"), parts, strict=True):
        code = code.replace(f"%{name}%", part)
    return code


def competition(
    starts: np.ndarray, neurons: NeuronGroup, inhibition: NeuronGroup, draws: bool, bars: bool = False
) -> Function:
    """The function ``compete(N)``: turns the potentials in `q` of `neurons` into probabilities, and draws the winners.

    Parameters
    ----------
    starts : ndarray of int, shape (n_circuits + 1,)
        Circuit c is ``neurons[starts[c]:starts[c + 1]]``.
    neurons : NeuronGroup
        With the variable `q`, which holds the potentials before the call.
    inhibition : NeuronGroup
        One neuron per circuit; if `draws`, with the variables `draw` (uniform in [0, 1)) and `winner` (set by the call
        to the index of the neuron that fires).
    draws : bool
    bars : bool
        Whether neurons may have the potential BARRED.

    Returns
    -------
    Function
        To be called once per step, in scalar code, with the number of circuits, which it also returns.
    """
    arrays: _Arrays = {"q": (neurons, "q")}
    if draws:
        arrays |= {"draw": (inhibition, "draw"), "winner": (inhibition, "winner")}
    in_numpy = _in_numpy(starts, arrays, bars)
    compete = Function(
        in_numpy, arg_units=[1], arg_types=["integer"], return_unit=1, return_type="integer", stateless=False
    )
    compete.implementations.add_numpy_implementation(in_numpy)
    compete.implementations.add_dynamic_implementation(
        "cpp", _cpp(starts, arrays, bars), namespace=lambda owner: {}, name="_rwta_compete"
    )
    compete.implementations.add_dynamic_implementation(
        "cython",
        lambda owner: _cython(list(arrays), bars),
        namespace=lambda owner: {
            "_rwta_starts": starts.astype(np.int32),
            **{f"_rwta_{name}": _values(arrays, name) for name in arrays},
        },
        name="_rwta_compete",
    )
    return compete


def _values(arrays: _Arrays, name: str) -> np.ndarray:
    group, variable = arrays[name]
    found: np.ndarray = group.variables[variable].get_value()
    return found


def _in_numpy(starts: np.ndarray, arrays: _Arrays, bars: bool) -> Callable[[Any], Any]:
    low = starts[:-1]
    circuit = np.repeat(np.arange(low.size), np.diff(starts))
    softmax, winner = (_softmax_of_the_free, _winner_of_the_free) if bars else (_softmax, _winner)

    def compete(circuits: Any) -> Any:
        q = _values(arrays, "q")
        softmax(q, low, circuit)
        if "draw" in arrays:
            _values(arrays, "winner")[:] = winner(q, _values(arrays, "draw"), low, circuit)
        return circuits

    return compete


def _softmax(q: np.ndarray, low: np.ndarray, circuit: np.ndarray) -> None:
    np.exp(q - np.maximum.reduceat(q, low)[circuit], out=q)
    q *= (1 / np.add.reduceat(q, low))[circuit]


def _winner(q: np.ndarray, draw: np.ndarray, low: np.ndarray, circuit: np.ndarray) -> np.ndarray:
    """The first neuron of each circuit whose cumulative sum of q exceeds the draw, or else the last."""
    total = np.cumsum(q)
    below = total - q - (total - q)[low][circuit]  # of the neurons before, within the circuit
    passed = np.add.reduceat((draw[circuit] >= below + q).astype(int), low)
    return np.asarray(np.minimum(low + passed, np.append(low[1:], q.size) - 1))


def _softmax_of_the_free(q: np.ndarray, low: np.ndarray, circuit: np.ndarray) -> None:
    np.exp(q - np.maximum(np.maximum.reduceat(q, low), -U_MAX)[circuit], out=q)
    total = np.add.reduceat(q, low)
    q *= (1 / np.where(total > 0, total, 1.0))[circuit]


def _winner_of_the_free(q: np.ndarray, draw: np.ndarray, low: np.ndarray, circuit: np.ndarray) -> np.ndarray:
    """The first neuron of each circuit whose cumulative sum of q exceeds the draw, or else the last with q > 0."""
    total, index = np.cumsum(q), np.arange(q.size)
    upto = total - (total - q)[low][circuit]
    last = np.maximum.reduceat(np.where(q > 0, index, low[circuit]), low)
    first = np.minimum.reduceat(np.where((q > 0) & (draw[circuit] < upto), index, q.size), low)
    winner: np.ndarray = np.minimum(first, last)
    return winner


def _cpp(starts: np.ndarray, arrays: _Arrays, bars: bool) -> Callable[[Any], str]:
    """Code that knows the sizes of the circuits, so that the compiler can unroll their loops."""
    sizes = np.diff(starts)
    changes = [0, *(np.flatnonzero(np.diff(sizes)) + 1), sizes.size]

    def code(owner: Any) -> str:
        device = get_device()
        name = {
            key: f"brian::{device.get_array_name(group.variables[variable])}"
            for key, (group, variable) in arrays.items()
        }
        calls = []
        for circuit, end in pairwise(changes):
            first, size, count = int(starts[circuit]), int(sizes[circuit]), end - circuit
            drawing = (
                f"{name['draw']} + {circuit}, {name['winner']} + {circuit}" if "draw" in name else "nullptr, nullptr"
            )
            calls.append(f"    _rwta_circuits({count}, {size}, {name['q']} + {first}, {drawing}, {first});")
        parts = (_BARRED if bars else _USUAL)["cpp"]
        return _EXP_CPP + _filled(_CPP.replace("%CALLS%", "\n".join(calls)), parts)

    return code


def _cython(names: list[str], bars: bool) -> str:
    variables = ", ".join(f"_namespace_rwta_{name}" for name in ["starts", *names])
    code = _CYTHON.replace("%GLOBALS%", variables)
    code = code.replace("%WINNER%", _CYTHON_WINNER if "draw" in names else "")
    return _filled(code, (_BARRED if bars else _USUAL)["cython"])
