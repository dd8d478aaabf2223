// out[neurons of step t] += change[t], spike by spike: see spikes.py.
#include <cstdint>

template <class T>
static void add(T *out, const T *change, const int32_t *neurons, const int32_t *counts, int64_t rows, int64_t columns) {
    for (int64_t t = 0; t < rows; t++, change += columns) {
        const T *__restrict from = change;
        for (int64_t k = 0; k < counts[t]; k++) {
            T *__restrict to = out + *neurons++ * columns;
            for (int64_t j = 0; j < columns; j++) to[j] += from[j];
        }
    }
}

extern "C" void add_rows(int64_t single, void *out, const void *change, const int32_t *neurons, const int32_t *counts,
                         int64_t rows, int64_t columns) {
    if (single)
        add(static_cast<float *>(out), static_cast<const float *>(change), neurons, counts, rows, columns);
    else
        add(static_cast<double *>(out), static_cast<const double *>(change), neurons, counts, rows, columns);
}
