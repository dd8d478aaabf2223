// The local update of all weights after a decision, in one pass: the same numbers as Traces.step in NumPy, bit for bit,
// as every operation is the same and the compiler keeps them so. See update.py.
#include <cstdint>

struct Layer {
    const double *p, *y;
};

static inline double score(const Layer &layer, int64_t i, double temperature) {
    return (layer.y[i] + 1.0 - 2.0 * layer.p[i]) / temperature;
}

// modules[m], of size neurons each, with credit[m]; change: scratch, a number per hidden neuron.
extern "C" void coagent_update(int64_t n_inputs, int64_t n_modules, int64_t size, const double *x, const double *credit,
                               const double *p, const double *y, const double *p_outputs, const double *y_outputs,
                               double temperature, double rate, double share, double *inputs, double *modules,
                               double *bias, double *change) {
    const Layer hidden = {p, y}, outputs = {p_outputs, y_outputs};
    const int64_t n_hidden = n_modules * size;
    for (int64_t m = 0; m < n_modules; m++) {
        const double c = credit[m], of_output = score(outputs, m, temperature) * c;
        bias[m] += rate * of_output;
        for (int64_t j = m * size; j < (m + 1) * size; j++) {
            modules[j] += rate * (of_output * y[j]);
            change[j] = rate * share * (score(hidden, j, temperature) * c);
        }
    }
    if (!share) return;
    for (int64_t i = 0; i < n_inputs; i++, inputs += n_hidden) {
        if (x[i] == 0) continue;
        const double by = x[i];
        double *__restrict to = inputs;
        const double *__restrict from = change;
        for (int64_t j = 0; j < n_hidden; j++) to[j] += by * from[j];
    }
}
