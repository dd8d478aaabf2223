// Postsynaptic factors of one decision, by rule: see post.py.
#include <algorithm>
#include <cstdint>
#include <vector>

// Connections among neurons whose weights are a matrix: a projection, or a group of one that is packed.
struct Way {
    int64_t source, n_source, target, n_target;
    const int32_t *targets; // from `target` on; null: all of them
    const void *w;          // (n_source, n_target)
};

struct Network {
    int64_t neurons, circuits, ways, single;
    const int64_t *starts;
    const Way *way;
    int64_t depth;
    double epsilon; // settled when a step changes less than this times the largest score
};

extern "C" void last_step_post(const Network *n, const double *q, const double *v, const double *spoke, double *post) {
    for (int64_t k = 0; k < n->neurons; k++) post[k] = (v[k] - q[k]) * spoke[k];
}

namespace {

// out[j] += sum_k w_jk g_k, in four sums side by side.
template <class T> void backwards(const Way &way, const double *g, double *out, std::vector<double> &gathered) {
    const double *__restrict at = g + way.target;
    if (way.targets) {
        gathered.resize(way.n_target);
        for (int64_t m = 0; m < way.n_target; m++) gathered[m] = at[way.targets[m]];
        at = gathered.data();
    }
    int64_t low = 0, high = way.n_target; // at first only the action circuit has something to say
    while (low < high && at[low] == 0.0) low++;
    while (high > low && at[high - 1] == 0.0) high--;
    for (int64_t j = 0; j < way.n_source && low < high; j++) {
        const T *__restrict w = static_cast<const T *>(way.w) + j * way.n_target;
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
        int64_t m = low;
        for (; m + 4 <= high; m += 4)
            a += double(w[m]) * at[m], b += double(w[m + 1]) * at[m + 1], c += double(w[m + 2]) * at[m + 2],
                d += double(w[m + 3]) * at[m + 3];
        for (; m < high; m++) a += double(w[m]) * at[m];
        out[way.source + j] += (a + b) + (c + d);
    }
}

} // namespace

// lambda of Feedback: `MeanField.adjoint` of one row, whose score is v - q in the action circuit.
extern "C" void feedback_post(const Network *network, const double *q, const double *v, const double *, double *post) {
    const Network &n = *network;
    static thread_local std::vector<double> back, gathered;
    const int64_t action = n.starts[n.circuits - 1];
    const auto score = [&](int64_t k) { return k < action ? 0.0 : v[k] - q[k]; };
    double largest = 0.0;
    for (int64_t k = 0; k < n.neurons; k++) post[k] = score(k), largest = std::max(largest, std::abs(post[k]));
    for (int64_t step = 0; step < n.depth - 1; step++) {
        back.assign(n.neurons, 0.0);
        for (int64_t i = 0; i < n.ways; i++)
            (n.single ? backwards<float> : backwards<double>)(n.way[i], post, back.data(), gathered);
        double change = 0.0;
        for (int64_t c = 0; c < n.circuits; c++) { // J = diag(q) - q q^T
            double sum = 0.0;
            for (int64_t k = n.starts[c]; k < n.starts[c + 1]; k++) sum += q[k] * back[k];
            for (int64_t k = n.starts[c]; k < n.starts[c + 1]; k++) {
                const double total = score(k) + (q[k] * back[k] - q[k] * sum);
                change = std::max(change, std::abs(total - post[k]));
                post[k] = total;
            }
        }
        if (step < n.depth - 2 && change <= n.epsilon * largest) break;
    }
}
