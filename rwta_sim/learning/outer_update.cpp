// The update of one decision in a single pass over the weights: the outer product of pre- and postsynaptic factors, its
// mirror image where weights are symmetric, and the step of an optimiser that keeps running means. The same numbers as
// Gradient and the optimiser in NumPy, bit for bit: every operation is the same, and without -ffast-math the compiler
// keeps it so.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

struct Packing { // see projection.py
    int64_t groups;
    const int64_t *rows, *columns;
    const int32_t *targets;
};

struct Update {
    int64_t rows, columns, single;
    const double *pre, *post;                // row and column factors
    const double *mirror_post, *mirror_pre;  // row and column factors of the mirror image, or null
    const uint8_t *mask;                     // or null
    void *w, *square, *mean;                 // mean: of Adam
    Packing packing; // groups = 0: a matrix
};

struct Step {
    int64_t updates, adam, inputs, neurons;
    const Update *update;
    double *pre_inputs, *pre_neurons, *post; // what the updates view
    double decay, mean_decay, epsilon;
    double *steps; // of Adam, so far
};

namespace {

template <class T> struct RMS {
    T decay, rest, epsilon, rate;
    RMS(const Step &s, double rate) : decay(T(s.decay)), rest(T(1.0 - s.decay)), epsilon(T(s.epsilon)), rate(T(rate)) {}
    T step(T g, T &square, T &) const {
        square = square * decay + g * g * rest;
        return g / (std::sqrt(square) + epsilon) * rate;
    }
};

template <class T> struct Adam {
    T decay, rest, mean_decay, mean_rest, epsilon, rate, correction;
    Adam(const Step &s, double rate)
        : decay(T(s.decay)), rest(T(1.0 - s.decay)), mean_decay(T(s.mean_decay)), mean_rest(T(1.0 - s.mean_decay)),
          epsilon(T(s.epsilon)), rate(T(rate / (1.0 - std::pow(s.mean_decay, *s.steps)))),
          correction(T(1.0 / (1.0 - std::pow(s.decay, *s.steps)))) {}
    T step(T g, T &square, T &mean) const {
        mean = mean * mean_decay + g * mean_rest;
        square = square * decay + g * g * rest;
        return mean / (std::sqrt(square * correction) + epsilon) * rate;
    }
};

template <class T, class Optimiser, bool mirrored, bool masked> void pass(const Update &u, const Optimiser &optimiser) {
    const double *__restrict post = u.post, *__restrict mirror_pre = u.mirror_pre;
    for (int64_t j = 0; j < u.rows; j++) {
        const uint8_t *__restrict mask = masked ? u.mask + j * u.columns : nullptr;
        T *__restrict w = static_cast<T *>(u.w) + j * u.columns;
        T *__restrict square = static_cast<T *>(u.square) + j * u.columns;
        T *__restrict mean = u.mean ? static_cast<T *>(u.mean) + j * u.columns : square;
        const double pre = u.pre[j], mirror_post = mirrored ? u.mirror_post[j] : 0.0;
        for (int64_t k = 0; k < u.columns; k++) {
            T g = T(pre * post[k]);
            if (mirrored) g += T(mirror_post * mirror_pre[k]);
            if (masked) g *= T(mask[k]);
            w[k] += optimiser.step(g, square[k], mean[k]);
        }
    }
}

// Of packed weights: group by group, with the factors of its targets side by side.
template <class T, class Optimiser, bool mirrored> void packed(const Update &u, const Optimiser &optimiser) {
    std::vector<double> post, mirror_pre;
    Update group = u;
    for (int64_t g = 0; g < u.packing.groups; g++) {
        const int32_t *targets = u.packing.targets + u.packing.columns[g];
        group.rows = u.packing.rows[g + 1] - u.packing.rows[g];
        group.columns = u.packing.columns[g + 1] - u.packing.columns[g];
        post.resize(group.columns);
        mirror_pre.resize(group.columns);
        for (int64_t k = 0; k < group.columns; k++) {
            post[k] = u.post[targets[k]];
            if (mirrored) mirror_pre[k] = u.mirror_pre[targets[k]];
        }
        group.pre = u.pre + u.packing.rows[g];
        group.post = post.data();
        if (mirrored) group.mirror_post = u.mirror_post + u.packing.rows[g], group.mirror_pre = mirror_pre.data();
        pass<T, Optimiser, mirrored, false>(group, optimiser);
        const int64_t size = group.rows * group.columns;
        group.w = static_cast<T *>(group.w) + size, group.square = static_cast<T *>(group.square) + size;
        if (group.mean) group.mean = static_cast<T *>(group.mean) + size;
    }
}

template <class T, class Optimiser> void update(const Update &u, const Optimiser &optimiser) {
    if (u.packing.groups)
        (u.mirror_pre ? packed<T, Optimiser, true> : packed<T, Optimiser, false>)(u, optimiser);
    else
        (u.mirror_pre ? (u.mask ? pass<T, Optimiser, true, true> : pass<T, Optimiser, true, false>)
                      : (u.mask ? pass<T, Optimiser, false, true> : pass<T, Optimiser, false, false>))(u, optimiser);
}

template <template <class> class Optimiser> void all(const Step &s, double rate) {
    const Optimiser<float> single(s, rate);
    const Optimiser<double> whole(s, rate);
    for (int64_t i = 0; i < s.updates; i++)
        if (s.update[i].single)
            update<float>(s.update[i], single);
        else
            update<double>(s.update[i], whole);
}

} // namespace

extern "C" void outer_update(const Step *step, const double *pre_inputs, const double *pre_neurons, const double *post,
                             double modulation, double rate) {
    const Step &s = *step;
    std::memcpy(s.pre_inputs, pre_inputs, s.inputs * sizeof(double));
    std::memcpy(s.pre_neurons, pre_neurons, s.neurons * sizeof(double));
    for (int64_t k = 0; k < s.neurons; k++) s.post[k] = post[k] * modulation;
    if (s.adam) *s.steps += 1.0;
    (s.adam ? all<Adam> : all<RMS>)(s, rate);
}
