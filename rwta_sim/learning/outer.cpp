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

extern "C" void add_rows(int64_t single, void *out, const void *change, const int32_t *neurons, const int32_t *counts,
              int64_t steps, int64_t columns) {
    if (single)
        rows(static_cast<float *>(out), static_cast<const float *>(change), neurons, counts, steps, columns);
    else
        rows(static_cast<double *>(out), static_cast<const double *>(change), neurons, counts, steps, columns);
}
