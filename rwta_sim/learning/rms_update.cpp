// The update of one decision in a single pass over the weights: the outer product of pre- and postsynaptic factors, its
// mirror image where weights are symmetric, and the RMS-normalised step. The same numbers as Gradient and the
// optimiser in NumPy, bit for bit: every operation is the same, and without -ffast-math the compiler keeps it so.
#include <cmath>
#include <cstdint>
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
    void *w, *square;
    Packing packing; // groups = 0: a matrix
};

template <class T, bool mirrored, bool masked>
static void pass(const Update &u, T decay, T rest, T epsilon, T rate) {
    const double *__restrict post = u.post, *__restrict mirror_pre = u.mirror_pre;
    for (int64_t j = 0; j < u.rows; j++) {
        const uint8_t *__restrict mask = masked ? u.mask + j * u.columns : nullptr;
        T *__restrict w = static_cast<T *>(u.w) + j * u.columns;
        T *__restrict square = static_cast<T *>(u.square) + j * u.columns;
        const double pre = u.pre[j], mirror_post = mirrored ? u.mirror_post[j] : 0.0;
        for (int64_t k = 0; k < u.columns; k++) {
            T g = T(pre * post[k]);
            if (mirrored) g += T(mirror_post * mirror_pre[k]);
            if (masked) g *= T(mask[k]);
            const T s = square[k] * decay + g * g * rest;
            square[k] = s;
            w[k] += g / (std::sqrt(s) + epsilon) * rate;
        }
    }
}

// Of packed weights: group by group, with the factors of its targets side by side.
template <class T, bool mirrored> static void packed(const Update &u, T decay, T rest, T epsilon, T rate) {
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
        pass<T, mirrored, false>(group, decay, rest, epsilon, rate);
        group.w = static_cast<T *>(group.w) + group.rows * group.columns;
        group.square = static_cast<T *>(group.square) + group.rows * group.columns;
    }
}

template <class T> static void update(const Update &u, double decay, double epsilon, double rate) {
    if (u.packing.groups) {
        (u.mirror_pre ? packed<T, true> : packed<T, false>)(u, T(decay), T(1.0 - decay), T(epsilon), T(rate));
        return;
    }
    const auto run = u.mirror_pre ? (u.mask ? pass<T, true, true> : pass<T, true, false>)
                                  : (u.mask ? pass<T, false, true> : pass<T, false, false>);
    run(u, T(decay), T(1.0 - decay), T(epsilon), T(rate));
}

extern "C" void rms_update(const Update *updates, int64_t count, double decay, double epsilon, double rate) {
    for (int64_t i = 0; i < count; i++)
        (updates[i].single ? update<float> : update<double>)(updates[i], decay, epsilon, rate);
}
