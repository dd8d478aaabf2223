// From what a decision came to, to changed weights: see one_call.py. The pieces are compiled functions of their own.
#include <algorithm>
#include <cmath>
#include <cstdint>

struct Learning {
    void (*td_error)(void *, const double *features, double reward, int64_t terminated, int64_t learns, double *told);
    void *critic;
    void (*post_of)(const void *, const double *q, const double *v, const double *spoke, double *post);
    const void *rule;
    void (*step)(const void *, const double *pre_inputs, const double *pre_neurons, const double *post,
                 double modulation, double rate);
    const void *optimiser;
    void (*along)(const void *, void (*add)(const void *, const void *, double, double *), const void *creditor,
                  const void *journal, double scale); // of eligibilities, in place of post_of and step
    void (*add)(const void *, const void *, double, double *);
    const void *creditor;
    int64_t neurons, traced, action; // inputs with traces; the first action neuron
    int64_t probabilities;           // presynaptic factors are q and the drive, not traces
    double *post;
    double told, modulation; // TD error and modulation of the last decision
};

namespace {

void modulate(Learning &l, const double *rows, const double *features, int64_t chosen, double reward, int64_t terminated,
              double entropy) {
    const double *q = rows + 4 * l.neurons, *numbers = rows + 6 * l.neurons + l.traced;
    l.td_error(l.critic, features, reward, terminated, 1, &l.told);
    l.modulation = l.told;
    if (entropy != 0.0) l.modulation += entropy * (-std::log(std::max(q[l.action + chosen], 1e-300)) - numbers[1]);
}

} // namespace

// rows: as Readout.of_rows lays them out; drive: what inputs without traces, or a rule of probabilities, go by.
extern "C" void learn_at_once(Learning *learning, const double *rows, const double *drive, const double *features,
                              int64_t chosen, double reward, int64_t terminated, double entropy, double rate) {
    Learning &l = *learning;
    const int64_t n = l.neurons;
    const double *v = rows + n, *spoke = rows + 3 * n, *q = rows + 4 * n, *trace = rows + 5 * n;
    const double *input_trace = rows + 6 * n;
    l.post_of(l.rule, q, v, spoke, l.post);
    modulate(l, rows, features, chosen, reward, terminated, entropy);
    const bool by_drive = l.probabilities || l.traced == 0;
    l.step(l.optimiser, by_drive ? drive : input_trace, l.probabilities ? q : trace, l.post, l.modulation, rate);
}

// The same from a journal, of which `creditor` makes eligibilities.
extern "C" void learn_along(Learning *learning, const double *rows, const void *journal, const double *features,
                            int64_t chosen, double reward, int64_t terminated, double entropy, double rate) {
    Learning &l = *learning;
    modulate(l, rows, features, chosen, reward, terminated, entropy);
    l.along(l.optimiser, l.add, l.creditor, journal, rate * l.modulation);
}
