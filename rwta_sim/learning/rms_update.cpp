// The update of one decision in a single pass over the weights: the outer product of pre- and postsynaptic factors, its
// mirror image where weights are symmetric, and the RMS-normalised step. The same numbers as Gradient and the
// optimiser in NumPy, bit for bit: every operation is the same, and without -ffast-math the compiler keeps it so.
#include <cmath>
#include <cstdint>

struct Update {
    int64_t rows, columns, single;
    const double *pre, *post;                // row and column factors
    const double *mirror_post, *mirror_pre;  // row and column factors of the mirror image, or null
    const uint8_t *mask;                     // or null
    void *w, *square;
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

template <class T> static void update(const Update &u, double decay, double epsilon, double rate) {
    const auto run = u.mirror_pre ? (u.mask ? pass<T, true, true> : pass<T, true, false>)
                                  : (u.mask ? pass<T, false, true> : pass<T, false, false>);
    run(u, T(decay), T(1.0 - decay), T(epsilon), T(rate));
}

extern "C" void rms_update(const Update *updates, int64_t count, double decay, double epsilon, double rate) {
    for (int64_t i = 0; i < count; i++)
        (updates[i].single ? update<float> : update<double>)(updates[i], decay, epsilon, rate);
}
