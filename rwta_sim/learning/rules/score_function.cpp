// The score function of poisson firing, step by step and circuit by circuit: see score_function.py.
#include <cmath>
#include <cstdint>

// All arrays but `starts`: (steps, neurons), neurons = starts[circuits].
extern "C" void poisson_score(const double *q, const double *spikes, double *out, const double *weights,
                              const int64_t *starts, int64_t circuits, int64_t steps, double spikes_per_step) {
    const int64_t neurons = starts[circuits];
    for (int64_t t = 0; t < steps; t++, q += neurons, spikes += neurons, weights += neurons, out += neurons)
        for (int64_t c = 0; c < circuits; c++) {
            double sum = 0.0;
            for (int64_t i = starts[c]; i < starts[c + 1]; i++) {
                const double y = q[i] * spikes_per_step;
                out[i] = -y;
                if (spikes[i] != 0.0) out[i] += y > 0.0 ? y / -std::expm1(-y) : 1.0;
                sum += out[i];
            }
            for (int64_t i = starts[c]; i < starts[c + 1]; i++) out[i] = weights[i] * (out[i] - q[i] * sum);
        }
}
