// Sums of outer products where there are connections, in the precision T of the packed weights: see packed_outer.py.
#include <algorithm>
#include <cstdint>
#include <vector>

struct Packing { // see projection.py
    int64_t groups;
    const int64_t *rows, *columns;
    const int32_t *targets;
};

// By source: where its weights begin, and its group.
struct Row {
    int64_t begin, group;
};

static std::vector<Row> rows_of(const Packing &p) {
    std::vector<Row> rows;
    int64_t begin = 0;
    for (int64_t g = 0; g < p.groups; g++)
        for (int64_t i = p.rows[g]; i < p.rows[g + 1]; i++, begin += p.columns[g + 1] - p.columns[g])
            rows.push_back({begin, g});
    return rows;
}

// out[connections of the neurons of step t] += change[t], spike by spike.
template <class T>
static void of_spikes(T *out, const Packing &p, const T *change, const int32_t *neurons, const int32_t *counts,
                      int64_t steps, int64_t columns) {
    const std::vector<Row> rows = rows_of(p);
    for (int64_t t = 0; t < steps; t++, change += columns)
        for (int64_t k = 0; k < counts[t]; k++) {
            const Row &row = rows[*neurons++];
            const int32_t *__restrict targets = p.targets + p.columns[row.group];
            const int64_t n = p.columns[row.group + 1] - p.columns[row.group];
            T *__restrict to = out + row.begin;
            for (int64_t j = 0; j < n; j++) to[j] += change[targets[j]];
        }
}

// out = pre x post, of one row.
template <class T> static void of_row(T *out, const Packing &p, const double *pre, const double *post) {
    std::vector<double> gathered;
    for (int64_t g = 0; g < p.groups; g++) {
        const int32_t *targets = p.targets + p.columns[g];
        const int64_t n = p.columns[g + 1] - p.columns[g];
        gathered.resize(n);
        for (int64_t j = 0; j < n; j++) gathered[j] = post[targets[j]];
        for (int64_t i = p.rows[g]; i < p.rows[g + 1]; i++, out += n)
            for (int64_t j = 0; j < n; j++) out[j] = T(pre[i] * gathered[j]);
    }
}

extern "C" void packed_spikes(int64_t single, void *out, const Packing *p, int64_t size, const void *change,
                              const int32_t *neurons, const int32_t *counts, int64_t steps, int64_t columns) {
    if (single) {
        std::fill_n(static_cast<float *>(out), size, 0.0f);
        of_spikes(static_cast<float *>(out), *p, static_cast<const float *>(change), neurons, counts, steps, columns);
    } else {
        std::fill_n(static_cast<double *>(out), size, 0.0);
        of_spikes(static_cast<double *>(out), *p, static_cast<const double *>(change), neurons, counts, steps, columns);
    }
}

extern "C" void packed_row(int64_t single, void *out, const Packing *p, const double *pre, const double *post) {
    if (single)
        of_row(static_cast<float *>(out), *p, pre, post);
    else
        of_row(static_cast<double *>(out), *p, pre, post);
}
