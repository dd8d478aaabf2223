// Plain gradient ascent on one decision or episode, in place: see ascent.py. T is the precision of the weights.
#include <cstdint>
#include <cstring>

struct Way { // a projection
    int64_t from_inputs, source, n_source, target, n_target;
    int64_t mirrored; // w += rate*mask*(g + g transposed), not rate*mask*g
    void *w, *g;      // g: null where rows are added to w itself
    const uint8_t *mask;
    double gain;
    int64_t size; // of w and g
    // Packed, else null: targets of each source from first[source] on, weights from begin[source] to begin[source + 1];
    // and where the mirror image of each is.
    const int32_t *targets;
    const int64_t *first, *begin, *transposition;
};

struct Rows { // presynaptic factors: spikes as events; or dense, spikes or the traces of a single row
    int64_t rows, n, traces;
    const double *dense;
    const int32_t *neurons, *counts;
    const double *post; // what goes with them, (rows, n_post)
};

template <class T> static inline void add(T *__restrict to, const T *__restrict from, int64_t n) {
    for (int64_t j = 0; j < n; j++) to[j] += from[j];
}

template <class T> static inline void add(T *__restrict to, const T *__restrict from, T factor, int64_t n) {
    for (int64_t j = 0; j < n; j++) to[j] += factor * from[j];
}

// out = rate*post, filtered backwards in time by kappa within every decision of `steps` rows:
// f(s) = sum_{t > s} kappa(t - s) post(t). Step s is done before it is overwritten: nobody later needs its post.
template <class T>
static void prepare(T *out, const Rows &r, const double *kappa, int64_t steps, int64_t columns, T rate) {
    for (int64_t j = 0; j < r.rows * columns; j++) out[j] = rate * T(r.post[j]);
    if (r.traces) return;
    for (int64_t first = 0; first < r.rows; first += steps)
        for (int64_t s = 0; s < steps; s++) {
            T *f = out + (first + s) * columns;
            std::memset(f, 0, columns * sizeof(T));
            for (int64_t t = s + 1; t < steps; t++)
                if (kappa[t - s - 1] != 0.0) add(f, out + (first + t) * columns, T(kappa[t - s - 1]), columns);
        }
}

// The weights of a source += change at its targets.
template <class T> static inline void add_row(T *out, const Way &way, int64_t source, const T *change) {
    if (!way.targets) {
        add(out + source * way.n_target, change, way.n_target);
        return;
    }
    const int32_t *__restrict targets = way.targets + way.first[source];
    T *__restrict to = out + way.begin[source];
    for (int64_t j = 0; j < way.begin[source + 1] - way.begin[source]; j++) to[j] += change[targets[j]];
}

template <class T> static inline void add_row(T *out, const Way &way, int64_t source, const T *change, T factor) {
    if (!way.targets) {
        add(out + source * way.n_target, change, factor, way.n_target);
        return;
    }
    const int32_t *__restrict targets = way.targets + way.first[source];
    T *__restrict to = out + way.begin[source];
    for (int64_t j = 0; j < way.begin[source + 1] - way.begin[source]; j++) to[j] += factor * change[targets[j]];
}

template <class T> static void add_rows(T *out, const Way &way, const Rows &r, const T *change, int64_t columns) {
    const int64_t end = way.source + way.n_source;
    const int32_t *events = r.neurons;
    change += way.target;
    for (int64_t t = 0; t < r.rows; t++, change += columns) {
        if (events) {
            for (int64_t k = 0; k < r.counts[t]; k++) {
                const int64_t i = *events++;
                if (i >= way.source && i < end) add_row(out, way, i - way.source, change);
            }
            continue;
        }
        const double *here = r.dense + t * r.n;
        for (int64_t i = way.source; i < end; i++) {
            if (here[i] == 0.0) continue;
            if (r.traces)
                add_row(out, way, i - way.source, change, T(here[i]));
            else
                add_row(out, way, i - way.source, change);
        }
    }
}

// w += gain*mask*(g + g transposed): both halves get the same sums, bit for bit. Block by block, because the transposed
// one is read across its rows.
template <class T> static void add_mirrored(const Way &way) {
    const int64_t SIDE = 32, n = way.n_source;
    T *w = static_cast<T *>(way.w), block[SIDE][SIDE];
    const T *g = static_cast<const T *>(way.g), gain = T(way.gain);
    const uint8_t *__restrict mask = way.mask;
    for (int64_t i0 = 0; i0 < n; i0 += SIDE)
        for (int64_t j0 = 0; j0 < n; j0 += SIDE) {
            const int64_t height = n - i0 < SIDE ? n - i0 : SIDE, width = n - j0 < SIDE ? n - j0 : SIDE;
            for (int64_t j = 0; j < width; j++)
                for (int64_t i = 0; i < height; i++) block[i][j] = g[(j0 + j) * n + i0 + i];
            for (int64_t i = 0; i < height; i++) {
                const int64_t at = (i0 + i) * n + j0;
                T *__restrict to = w + at;
                for (int64_t j = 0; j < width; j++) {
                    const T sum = gain * (g[at + j] + block[i][j]);
                    to[j] += mask ? sum * T(mask[at + j]) : sum;
                }
            }
        }
}

template <class T> static void add_transposed(const Way &way) {
    T *w = static_cast<T *>(way.w);
    const T *g = static_cast<const T *>(way.g), gain = T(way.gain);
    for (int64_t k = 0; k < way.size; k++) w[k] += gain * (g[k] + g[way.transposition[k]]);
}

template <class T> static void add_masked(const Way &way) {
    T *w = static_cast<T *>(way.w);
    const T *g = static_cast<const T *>(way.g), gain = T(way.gain);
    const uint8_t *__restrict mask = way.mask;
    for (int64_t k = 0; k < way.size; k++) w[k] += mask ? gain * g[k] * T(mask[k]) : gain * g[k];
}

template <class T>
static void ascend(const Way *ways, int64_t n_ways, const Rows *sides, const double *kappa, int64_t steps,
                   int64_t columns, T rate, T *scratch) {
    T *change[2] = {scratch + sides[1].rows * columns, scratch}; // of the neurons, of the inputs
    prepare(change[1], sides[1], kappa, steps, columns, rate);
    const bool same = sides[0].post == sides[1].post && sides[0].traces == sides[1].traces;
    if (same)
        change[0] = change[1];
    else
        prepare(change[0], sides[0], kappa, steps, columns, rate);
    for (int64_t i = 0; i < n_ways; i++) {
        const Way &way = ways[i];
        T *out = static_cast<T *>(way.g ? way.g : way.w);
        if (way.g) std::memset(out, 0, way.size * sizeof(T));
        add_rows(out, way, sides[way.from_inputs], change[way.from_inputs], columns);
        if (way.mirrored && way.transposition)
            add_transposed<T>(way);
        else if (way.mirrored)
            add_mirrored<T>(way);
        else if (way.g)
            add_masked<T>(way);
    }
}

// sides: neurons, inputs; scratch: room for (rows of both, columns) numbers; kappa of `steps` numbers.
extern "C" void ascend(int64_t single, const Way *ways, int64_t n_ways, const Rows *sides, const double *kappa,
                       int64_t steps, int64_t columns, double rate, void *scratch, double *bias) {
    for (int64_t t = 0; t < sides[0].rows; t++)
        for (int64_t j = 0; j < columns; j++) bias[j] += rate * sides[0].post[t * columns + j];
    if (single)
        ascend(ways, n_ways, sides, kappa, steps, columns, float(rate), static_cast<float *>(scratch));
    else
        ascend(ways, n_ways, sides, kappa, steps, columns, rate, static_cast<double *>(scratch));
}

struct Ascent {
    int64_t single, n_ways, inputs, neurons;
    const Way *ways;
    void *scratch; // room for two rows of the neurons
    double *bias;
};

// Along the traces of one row.
extern "C" void ascend_row(const Ascent *ascent, const double *pre_inputs, const double *pre_neurons, const double *post,
                           double modulation, double rate) {
    const Ascent &a = *ascent;
    const Rows sides[2] = {{1, a.neurons, 1, pre_neurons, nullptr, nullptr, post},
                           {1, a.inputs, 1, pre_inputs, nullptr, nullptr, post}};
    ascend(a.single, a.ways, a.n_ways, sides, nullptr, 1, a.neurons, modulation * rate, a.scratch, a.bias);
}

// The change that `g` holds, without a gain; of projections without `g` there is none to make.
extern "C" void ascend_along(int64_t single, const Way *ways, int64_t n_ways) {
    for (int64_t i = 0; i < n_ways; i++) {
        const Way &way = ways[i];
        if (!way.g) continue;
        if (way.mirrored && way.transposition)
            (single ? add_transposed<float> : add_transposed<double>)(way);
        else if (way.mirrored)
            (single ? add_mirrored<float> : add_mirrored<double>)(way);
        else
            (single ? add_masked<float> : add_masked<double>)(way);
    }
}

// Along eligibilities, which other compiled code adds to weights, or to `g`, and to biases.
extern "C" void ascend_eligibility(const Ascent *ascent, void (*add)(const void *, const void *, double, double *),
                                   const void *creditor, const void *journal, double scale) {
    const Ascent &a = *ascent;
    for (int64_t i = 0; i < a.n_ways; i++)
        if (a.ways[i].g) std::memset(a.ways[i].g, 0, a.ways[i].size * (a.single ? sizeof(float) : sizeof(double)));
    add(creditor, journal, scale, a.bias);
    ascend_along(a.single, a.ways, a.n_ways);
}
