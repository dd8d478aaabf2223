// What a decision came to, in one pass over the state of a network: see readout.py.
#include <cmath>
#include <cstdint>
#include <cstring>

struct State {
    int64_t neurons, circuits, inputs; // inputs: 0 where they have no traces
    const int64_t *starts;             // of the circuits, and their end
    const int32_t *fired;              // who fired in the last step, and at [neurons] how many; null in poisson firing
    const double *t_spike, *n_spikes, *q, *seen, *input_seen;
    double *out; // rows of `neurons`: counts, v, rates, spoke, q, trace; the inputs' traces; `Told`
};

static void circuit_of_last_spikes(const State &s, int64_t from, int64_t to, double since, double *v) {
    double latest = s.t_spike[from];
    int64_t ties = 0;
    for (int64_t i = from + 1; i < to; i++) latest = s.t_spike[i] > latest ? s.t_spike[i] : latest;
    if (!(latest > since)) return;
    for (int64_t i = from; i < to; i++) ties += s.t_spike[i] == latest;
    for (int64_t i = from; i < to; i++)
        if (s.t_spike[i] == latest) v[i] = 1.0 / double(ties);
}

// Spikes, entropy of the action circuit's q, and which of its neurons fired last by itself, or -1.
static void tell(const State &s, const double *counts, const double *v, const double *q, double *told) {
    told[0] = told[1] = 0.0, told[2] = -1.0;
    for (int64_t i = 0; i < s.neurons; i++) told[0] += counts[i];
    const int64_t from = s.starts[s.circuits - 1];
    for (int64_t i = from; i < s.neurons; i++) {
        if (q[i] != 0.0) told[1] -= q[i] * std::log(q[i]);
        if (v[i] == 1.0) told[2] = double(i - from);
    }
}

extern "C" void read_out(const State *state, double since, double steps_but_one) {
    const State &s = *state;
    const int64_t n = s.neurons;
    double *counts = s.out, *v = counts + n, *rates = v + n, *spoke = rates + n, *q = spoke + n, *trace = q + n;
    std::memset(v, 0, n * sizeof(double));
    if (s.fired)
        for (int64_t k = 0; k < s.fired[n]; k++) v[s.fired[k]] = 1.0;
    for (int64_t c = 0; c < s.circuits; c++) {
        const int64_t from = s.starts[c], to = s.starts[c + 1];
        if (!s.fired) circuit_of_last_spikes(s, from, to, since, v);
        bool silent = !s.fired;
        for (int64_t i = from; i < to; i++) silent = silent && v[i] == 0.0;
        for (int64_t i = from; i < to; i++) spoke[i] = silent ? 0.0 : 1.0;
    }
    for (int64_t i = 0; i < n; i++) {
        counts[i] = s.n_spikes[i];
        rates[i] = (counts[i] - v[i]) / steps_but_one;
    }
    std::memcpy(q, s.q, n * sizeof(double));
    std::memcpy(trace, s.seen, n * sizeof(double));
    if (s.inputs) std::memcpy(trace + n, s.input_seen, s.inputs * sizeof(double));
    tell(s, counts, v, q, trace + n + s.inputs);
}
