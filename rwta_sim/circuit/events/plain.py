"""A decision from event to event in Python: what advance.cpp does, number for number, where there is no compiler."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque

import numpy as np

from rwta_sim.circuit.events.state import Arrays, Constants, Fired, Span
from rwta_sim.circuit.projection import Projection
from rwta_sim.circuit.readout import Readout, Told
from rwta_sim.circuit.wiring import Weights

__all__ = ["Plain"]

#: Factors of traces beyond exp of this would overflow before long, in the bytes of a number.
_SPAN = {4: 40.0, 8: 200.0}


class Plain:
    """Advances a network.

    Parameters
    ----------
    weights : Weights
    constants : Constants
    arrays : Arrays
    gains : list of float
        Of each projection.
    """

    def __init__(self, weights: Weights, constants: Constants, arrays: Arrays, gains: list[float]) -> None:
        self._weights, self._is, self._has, self._gains = weights, constants, arrays, gains
        self._network = weights.network
        #: Rows of weights that are to be added to potentials, by projection and group, with their targets and factors:
        #: four at a time, as in compiled code.
        self._waiting: dict[tuple[int, int], list[tuple[np.ndarray, list[float]]]] = {}
        self._late: deque[tuple[float, int]] = deque()
        self._ending: deque[tuple[float, int]] = deque()
        self._noted: list[tuple[float, int]] = []
        self._posts: list[float] = []
        self._spikes: tuple[np.ndarray, ...] = ()
        self._log: list[tuple[np.ndarray, ...]] | None = None
        self._origin = self._eta_t = 0.0

    def point(self) -> None:
        """Nothing to do: weights are looked up whenever they are needed."""

    def clear(self) -> None:
        self._late.clear()
        self._ending.clear()

    def spikes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Times (s) and numbers of the inputs that fired in the last decision, and of the neurons."""
        input_t, input_i, circuit_t, fired = self._spikes
        spoke = fired >= 0
        return input_t, input_i, circuit_t[spoke], fired[spoke]

    def log(self) -> None:
        """From now on keep the spikes of every decision, for `logged`."""
        self._log = []

    def logged(self, drop: bool) -> tuple[Fired, Fired]:
        """Spikes that were kept, of inputs and neurons; and forget them, if they are to be dropped."""
        nothing = (np.empty(0), np.empty(0, np.int32)) * 2
        kept = self._log or []
        counts = [np.array([len(decision[k]) for decision in kept], np.int64) for k in (0, 2)]
        input_t, input_i, t, i = (np.concatenate(parts) for parts in zip(nothing, *kept, strict=True))
        if drop and kept:
            self._log = []
        return Fired(input_t, input_i, counts[0]), Fired(t, i, counts[1])

    def advance(self, span: Span, drive: np.ndarray | None, afresh: bool) -> float:
        """Go through a decision; see `Native.advance`."""
        if afresh:
            self._has.forget()
            self.clear()
        self._has.begin()
        self._noted.clear()
        self._posts.clear()
        self._span, self._drive, self._origin, self._eta_t = span, drive, 0.0, 0.0
        inputs, events, fired = self._inputs(), self._circuits(), []
        actions = [t for t, c in events if c == len(self._network.starts) - 2]
        last_action = actions[-1] if actions else math.inf  # an action that no spike made is drawn at the end
        i = k = 0
        self._end = span.end
        while self._end == span.end and (i < len(inputs) or k < len(events)):
            input_ = i < len(inputs) and (k == len(events) or inputs[i][0] < events[k][0])
            t, who = inputs[i] if input_ else events[k]
            self._deliver(t)
            self._in_range(t)
            if input_:
                self._spike(t, who)
                i += 1
            else:
                fired.append(self._fire(t, who, last_action))
                k += 1
        if self._end == span.end:
            self._deliver(span.end)
        inputs, events = inputs[:i], events[:k]
        self._finish()
        times, numbers = zip(*inputs, strict=True) if inputs else ((), ())
        self._spikes = (
            np.array(times, float),
            np.array(numbers, np.int32),
            np.array([t for t, _ in events], float),
            np.array(fired, np.int32),
        )
        if self._log is not None:
            self._log.append(self.spikes())
        return self._end

    # -- who fires when, but for the winners ---------------------------------------------------------

    def _inputs(self) -> list[tuple[float, int]]:
        span, found = self._span, []
        if self._drive is None:
            return []
        upto = np.cumsum(self._drive).tolist()
        rate = self._is.rho_hat * upto[-1]
        if rate > 0:
            t = self._wait(span.for_inputs, rate)
            while t < span.end:
                i = bisect_right(upto, span.for_inputs.random() * upto[-1])
                found.append((t, min(i, len(upto) - 1)))
                t += self._wait(span.for_inputs, rate)
        return found

    def _circuits(self) -> list[tuple[float, int]]:
        span, count, found = self._span, len(self._network.starts) - 1, []
        rate = self._is.rho_hat * count
        t = self._wait(span.for_circuits, rate)
        while t < span.end:
            found.append((t, int(span.for_circuits.random() * count)))
            t += self._wait(span.for_circuits, rate)
        return found

    @staticmethod
    def _wait(rng: np.random.Generator, rate: float) -> float:
        return -math.log(1.0 - rng.random()) * (1.0 / rate)

    # -- what spikes do ------------------------------------------------------------------------------

    def _kept(self, t: float) -> list[float]:
        return [math.exp(-rate * (t - self._origin)) for rate in self._is.rates]

    def _feel(self, t: float, i: int, amount: float) -> None:
        network, has = self._network, self._has
        input_ = i < network.n_inputs
        j = i if input_ else i - network.n_inputs
        if self._span.credits:
            self._noted.append((t, i if amount > 0 else -i - 1))
        scaled = [amount * self._is.jump / kept for kept in self._kept(t)]
        for part, by in enumerate(scaled):
            (has.x_inputs if input_ else has.x)[part, j] += by
        for number, (p, gain) in enumerate(zip(network.projections, self._gains, strict=True)):
            if (p.origin == "inputs") == input_ and p.source.start <= j < p.source.stop:
                found = _row(p, self._weights.weights[p.name], j - p.source.start)
                if found is None:
                    continue
                group, targets, row = found
                rows = self._waiting.setdefault((number, group), [])
                rows.append((row.copy(), [gain * by for by in scaled]))
                if len(rows) == 4:
                    self._add_four(p, targets, rows)

    def _add_four(self, p: Projection, targets: slice | np.ndarray, rows: list[tuple[np.ndarray, list[float]]]) -> None:
        for part, u in enumerate(self._has.u):
            a, b, c, d = (row * by[part] for row, by in rows)
            u[p.target][targets] += (a + b) + (c + d)
        rows.clear()

    def _settle(self) -> None:
        """Let no row wait."""
        for (number, group), rows in self._waiting.items():
            p = self._network.projections[number]
            targets = slice(None) if p.packing is None else list(p.packing.reached())[group][1]
            for row, by in rows:
                for part, u in enumerate(self._has.u):
                    u[p.target][targets] += row * by[part]
        self._waiting.clear()

    def _spike(self, t: float, i: int) -> None:
        constants, span, network = self._is, self._span, self._network
        if span.credits and span.pairs is not None and t >= span.since:
            self._noted.append((t, network.n_inputs + network.n_neurons + len(network.starts) - 1 + i))
            self._posts.append(math.exp((t - span.end) / span.tau_e) if span.tau_e > 0 else 1.0)
        delay = constants.delays[0 if i < network.n_inputs else 1 if i - network.n_inputs < network.action.start else 2]
        if delay > 0:
            _put(self._late, t + delay, i)
        else:
            self._feel(t, i, 1.0)
        if constants.duration > 0:
            _put(self._ending, t + delay + constants.duration, i)

    def _deliver(self, before: float) -> None:
        late, ending = self._late, self._ending
        while (late and late[0][0] <= before) or (ending and ending[0][0] <= before):
            first = bool(late) and (not ending or late[0][0] <= ending[0][0])
            t, i = (late if first else ending).popleft()
            self._in_range(t)
            self._feel(t, i, 1.0 if first else -1.0)

    def _in_range(self, t: float) -> None:
        if max(self._is.rates) * (t - self._origin) > _SPAN[self._has.u.itemsize]:
            self._rebase(t)

    def _rebase(self, t: float) -> None:
        self._settle()
        for part, kept in enumerate(self._kept(t)):
            for values in (self._has.x_inputs, self._has.x, self._has.u):
                values[part] *= kept
        self._origin = t

    # -- competition ---------------------------------------------------------------------------------

    def _barred(self, t: float, where: slice) -> np.ndarray:
        refractory = self._is.refractory
        return (t - self._has.t_spike[where] < refractory) & (refractory > 0)

    def _noise(self, t: float, where: slice) -> None:
        constants, eta = self._is, self._has.eta
        if constants.noise <= 0:
            return
        white = constants.noise_rate <= 0
        kept = 0.0 if white else math.exp(-constants.noise_rate * (t - self._eta_t))
        fresh = constants.noise * math.sqrt(1.0 - kept * kept)
        for k in range(where.start, where.stop) if white else range(eta.size):
            eta[k] = eta[k] * kept + fresh * self._normal()
        self._eta_t = t

    def _normal(self) -> float:
        rng = self._span.for_circuits
        r = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
        return r * math.cos(6.283185307179586 * rng.random())

    def _potentials(self, t: float, where: slice) -> None:
        has = self._has
        kept = self._kept(t)
        felt = has.u[0, where].astype(float) * kept[0]
        if len(kept) > 1:
            felt = felt - has.u[1, where].astype(float) * kept[1]
        u = ((self._weights.b[where] + has.current[where]) + has.eta[where]) + felt
        has.potential[where] = has.gain[where] * u

    def _compete(self, barred: np.ndarray, where: slice) -> bool:
        """q of a circuit from its potentials, and sums of what it is a share of; False if all are barred."""
        u = self._has.potential[where]
        grown = np.where(barred, 0.0, exponential(u))
        self._sums = _sums(grown)
        if not 1e-130 < self._sums[-1] < 1e130:  # potentials are counted from the largest one where they are large
            grown = np.where(barred, 0.0, exponential(u - u[~barred].max(initial=-np.inf)))
            self._sums = _sums(grown)
        total = float(self._sums[-1])
        if total == 0.0:
            return False
        self._has.q[where] = grown * (1.0 / total)
        return True

    def _fire(self, t: float, c: int, last_action: float) -> int:
        has, network, span = self._has, self._network, self._span
        where = slice(int(network.starts[c]), int(network.starts[c + 1]))
        self._noise(t, where)
        self._settle()
        self._potentials(t, where)
        if not self._compete(self._barred(t, where), where):
            return -1
        at = span.for_circuits.random() * float(self._sums[-1])
        winner = min(where.start + int((self._sums <= at).sum()), where.stop - 1)
        while has.q[winner] == 0 and winner > where.start:
            winner -= 1
        action = c == len(network.starts) - 2
        counts = (not span.causal_action or t >= last_action) if action else (not span.causal_hidden or t < last_action)
        if span.credits and counts and t >= span.since:
            self._credit(t, c, winner)
        has.last[where], has.q_last[where] = 0.0, has.q[where]
        has.last[winner] = 1.0
        has.counts[winner] += 1.0
        has.t_spike[winner] = t
        if action and 0 < span.race <= has.counts[winner]:
            self._end = t  # nobody will feel it
            return winner
        self._spike(t, network.n_inputs + winner)
        return winner

    def _credit(self, t: float, c: int, winner: int) -> None:
        """Note what the neurons of a circuit are credited with for a spike."""
        network, span = self._network, self._span
        weight = math.exp((t - span.end) / span.tau_e) if span.tau_e > 0 else 1.0
        where = range(int(network.starts[c]), int(network.starts[c + 1]))
        self._noted.append((t, network.n_inputs + network.n_neurons + c))
        for k in where:
            won, q = float(k == winner), float(self._has.q[k])
            self._posts.append(weight * (won - q if span.pairs is None else span.pairs[0] * won))

    def decide(
        self, span: Span, drive: np.ndarray | None, afresh: bool, steps: int
    ) -> tuple[float, Readout, tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
        """`advance`, `read` and, where there is one, `journal`."""
        took = self.advance(span, drive, afresh)
        return took, self.read(steps), self.journal() if span.credits else None

    def read(self, steps: int) -> Readout:
        """What the decision came to; arrays of their own."""
        has = self._has
        counts, last = has.counts.copy(), has.last.copy()
        action = self._network.action
        trace, input_trace = (x[0] - x[1] if len(x) > 1 else x[0].copy() for x in (has.x, has.x_inputs))
        return Readout(
            counts=counts,
            v=last,
            rates=(counts - last) / max(steps - 1, 1),
            spoke=self._network.circuit_sum(last),
            q=has.q.copy(),
            trace=trace,
            input_trace=np.empty(0) if self._network.spec.inputs == "current" else input_trace,
            told=Told.of(counts, last[action], has.q[action]),
        )

    def journal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the last decision; see `Journal`."""
        times, what = zip(*self._noted, strict=True) if self._noted else ((), ())
        return np.array(times, float), np.array(what, np.int32), np.array(self._posts, float)

    def _finish(self) -> None:
        has, network, end = self._has, self._network, self._end
        everyone = slice(0, network.n_neurons)
        self._rebase(end)
        self._noise(end, everyone)
        self._potentials(end, everyone)
        for low, high in zip(network.starts[:-1].tolist(), network.starts[1:].tolist(), strict=True):
            where = slice(low, high)
            won = end < self._span.end and high == network.n_neurons
            if (self._is.refractory > 0 or won) and has.last[where].any():
                has.q[where] = has.q_last[where]
            elif not self._compete(self._barred(end, where), where):
                self._compete(np.zeros(high - low, dtype=bool), where)
        has.t_spike -= end
        self._late = deque((t - end, i) for t, i in self._late)
        self._ending = deque((t - end, i) for t, i in self._ending)


def _put(queue: deque[tuple[float, int]], t: float, i: int) -> None:
    """In the order of time, of equal times the earlier spike first: delays differ between senders."""
    at = len(queue)
    while at > 0 and queue[at - 1][0] > t:
        at -= 1
    queue.insert(at, (t, i))


def exponential(x: np.ndarray) -> np.ndarray:
    """exp(x), to two units in the last place, for x from -700 to 700; beyond as of these. The operations of
    advance.cpp: a power of two, and the Taylor series of what is left."""
    x = np.where(x < -700.0, -700.0, np.where(x > 700.0, 700.0, x))
    shifted = x * 1.4426950408889634 + 6755399441055744.0  # rounds to the nearest integer
    n = shifted - 6755399441055744.0
    r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 + r) + r2 * (0.5 + r * (1.0 / 6))
    middle = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040))
    high = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800))
    top = 1.0 / 479001600 + r * (1.0 / 6227020800.0)
    power = ((shifted.view(np.int64) + 1023) << 52).view(np.float64)
    result: np.ndarray = (low + r4 * (middle + r4 * (high + r4 * top))) * power
    return result


def _sums(values: np.ndarray) -> np.ndarray:
    """Sums so far, by fours; shape (n,) rounded up to a multiple of eight."""
    fours = np.append(values, np.zeros(-values.size % 8)).reshape(-1, 4).cumsum(axis=1)
    before = np.append(0.0, fours[:-1, -1].cumsum())
    sums: np.ndarray = (before[:, None] + fours).ravel()
    return sums


def _row(p: Projection, w: np.ndarray, j: int) -> tuple[int, slice | np.ndarray, np.ndarray] | None:
    """Of source j of a projection, counted from its first: its group, its targets, and its weights."""
    if p.packing is None:
        return 0, slice(None), w[j]
    for group, (rows, targets, part) in enumerate(p.packing.groups(w)):
        if rows.start <= j < rows.stop:
            return group, targets, part[j - rows.start]
    return None
