// Sums of outer products added to a matrix in place, in the precision T of the matrix: see outer.py.
#include <cstdint>

// out[neurons of step t] += change[t], spike by spike.
template <class T>
static void rows(T *out, const T *change, const int32_t *neurons, const int32_t *counts, int64_t steps,
                 int64_t columns) {
    for (int64_t t = 0; t < steps; t++, change += columns) {
        const T *__restrict from = change;
        for (int64_t k = 0; k < counts[t]; k++) {
            T *__restrict to = out + *neurons++ * columns;
            for (int64_t j = 0; j < columns; j++) to[j] += from[j];
        }
    }
}

// out += outer(pre, post).
template <class T> static void rank_one(T *out, const T *pre, const T *post, int64_t n, int64_t columns) {
    for (int64_t i = 0; i < n; i++, out += columns) {
        T *__restrict to = out;
        if (pre[i] != T(0))
            for (int64_t j = 0; j < columns; j++) to[j] += pre[i] * post[j];
    }
}

// w += rate*(g + g transposed), where mask is not 0; both halves get the same sums, bit for bit. Block by block, because
// the transposed one is read across its rows.
template <class T> static void mirrored(T *w, const T *g, const uint8_t *mask, int64_t n, T rate) {
    const int64_t SIDE = 32;
    T block[SIDE][SIDE];
    for (int64_t i0 = 0; i0 < n; i0 += SIDE)
        for (int64_t j0 = 0; j0 < n; j0 += SIDE) {
            const int64_t height = n - i0 < SIDE ? n - i0 : SIDE, width = n - j0 < SIDE ? n - j0 : SIDE;
            for (int64_t j = 0; j < width; j++)
                for (int64_t i = 0; i < height; i++) block[i][j] = g[(j0 + j) * n + i0 + i];
            for (int64_t i = 0; i < height; i++) {
                const int64_t at = (i0 + i) * n + j0;
                T *__restrict to = w + at;
                for (int64_t j = 0; j < width; j++) {
                    const T sum = g[at + j] + block[i][j];
                    to[j] += mask && !mask[at + j] ? T(0) : rate * sum;
                }
            }
        }
}

extern "C" {
void add_rows(int64_t single, void *out, const void *change, const int32_t *neurons, const int32_t *counts,
              int64_t steps, int64_t columns) {
    if (single)
        rows(static_cast<float *>(out), static_cast<const float *>(change), neurons, counts, steps, columns);
    else
        rows(static_cast<double *>(out), static_cast<const double *>(change), neurons, counts, steps, columns);
}

void add_rank_one(int64_t single, void *out, const void *pre, const void *post, int64_t n, int64_t columns) {
    if (single)
        rank_one(static_cast<float *>(out), static_cast<const float *>(pre), static_cast<const float *>(post), n, columns);
    else
        rank_one(static_cast<double *>(out), static_cast<const double *>(pre), static_cast<const double *>(post), n,
                 columns);
}

void add_mirrored(int64_t single, void *w, const void *g, const uint8_t *mask, int64_t n, double rate) {
    if (single)
        mirrored(static_cast<float *>(w), static_cast<const float *>(g), mask, n, float(rate));
    else
        mirrored(static_cast<double *>(w), static_cast<const double *>(g), mask, n, rate);
}
}
