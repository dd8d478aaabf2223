// The eligibilities of a decision from its journal, backwards in time: see journal.py, and there the same in Python,
// number for number. T is the precision of the weights.
#include <cmath>
#include <cstdint>
#include <vector>

// Connections whose weights are a matrix: a projection, or a group of one that is packed.
struct Way {
    int64_t source, target, n_target;
    const int32_t *targets; // from `target` on; null: all of them
    void *e;                // (n_source, n_target)
};

struct Network {
    int64_t inputs, neurons, circuits, parts, single;
    double jump, rate[2];
    const int64_t *starts, *outgoing; // ways of sender i: `onto` from outgoing[i] to outgoing[i + 1]
    const int32_t *onto;
    const Way *ways;
};

struct Journal {
    int64_t events, posts;
    const double *t;
    const int32_t *what;
    const double *post;
    const double *x_inputs, *x; // traces at the start, or null
    double end;
    int64_t pairs; // posts are of pairs of spikes, and biases do not learn
    double a_minus;
};

template <class T> struct Credit {
    const Network &n;
    const Journal &journal;
    double scale, origin, *bias;
    std::vector<T> later; // (parts, neurons): posts times exp(-rate (t - origin)), of all that happened later
    double grown[2];

    Credit(const Network &n, const Journal &journal, double scale, double *bias)
        : n(n), journal(journal), scale(scale), origin(journal.end), bias(bias), later(n.parts * n.neurons) {}

    void at(double t) {
        for (int64_t part = 0; part < n.parts; part++) grown[part] = std::exp(n.rate[part] * (t - origin));
    }

    void in_range(double t) {
        const double fastest = n.parts > 1 && n.rate[1] > n.rate[0] ? n.rate[1] : n.rate[0];
        if (fastest * (origin - t) > (sizeof(T) == 4 ? 40.0 : 200.0)) {
            for (int64_t part = 0; part < n.parts; part++)
                for (int64_t k = 0; k < n.neurons; k++) later[part * n.neurons + k] *= T(grown[part]);
            origin = t;
            at(t);
        }
    }

    // The row of a sender of `way` grows by by[0]*first - by[1]*second.
    void add(const Way &way, int64_t j, const double *by, const T *first, const T *second) const {
        T *__restrict e = static_cast<T *>(way.e) + (j - way.source) * way.n_target;
        const T *__restrict a = first + way.target, *__restrict b = second + way.target, f = T(by[0]), g = T(by[1]);
        if (way.targets && n.parts > 1)
            for (int64_t m = 0; m < way.n_target; m++) e[m] += f * a[way.targets[m]] - g * b[way.targets[m]];
        else if (way.targets)
            for (int64_t m = 0; m < way.n_target; m++) e[m] += f * a[way.targets[m]];
        else if (n.parts > 1)
            for (int64_t m = 0; m < way.n_target; m++) e[m] += f * a[m] - g * b[m];
        else
            for (int64_t m = 0; m < way.n_target; m++) e[m] += f * a[m];
    }

    void add(int64_t i, const double *by, const T *values) const {
        for (int64_t k = n.outgoing[i]; k < n.outgoing[i + 1]; k++)
            add(n.ways[n.onto[k]], i < n.inputs ? i : i - n.inputs, by, values, values + (n.parts - 1) * n.neurons);
    }

    // post x trace: the trace of a spike meets all posts after it.
    void backwards() {
        const double *post = journal.post + journal.posts;
        double by[2] = {0.0, 0.0};
        for (int64_t k = journal.events - 1; k >= 0; k--) {
            const int64_t what = journal.what[k], senders = n.inputs + n.neurons;
            if (what >= senders + n.circuits) { // a spike, see `forwards`
                post--;
                continue;
            }
            at(journal.t[k]);
            in_range(journal.t[k]);
            if (what >= senders) {
                const int64_t low = n.starts[what - senders], size = n.starts[what - senders + 1] - low;
                post -= size;
                for (int64_t l = 0; l < size; l++) {
                    const double change = scale * post[l];
                    if (!journal.pairs) bias[low + l] += change;
                    for (int64_t part = 0; part < n.parts; part++)
                        later[part * n.neurons + low + l] += T(change / grown[part]);
                }
                continue;
            }
            const double jump = what < 0 ? -n.jump : n.jump;
            for (int64_t part = 0; part < n.parts; part++) by[part] = jump * grown[part];
            add(what < 0 ? -what - 1 : what, by, later.data());
        }
        if (!journal.x) return;
        at(0.0);
        for (int64_t i = 0; i < n.inputs + n.neurons; i++) {
            const double *x = i < n.inputs ? journal.x_inputs + i : journal.x + i - n.inputs;
            const int64_t width = i < n.inputs ? n.inputs : n.neurons;
            if (x[0] == 0.0) continue;
            for (int64_t part = 0; part < n.parts; part++) by[part] = x[part * width] * grown[part];
            add(i, by, later.data());
        }
    }
};

// -a_minus S_j x_k: a spike of j meets the traces of those it projects to.
template <class T> static void forwards(const Credit<T> &credit, const Network &n, const Journal &journal, double scale) {
    const int64_t senders = n.inputs + n.neurons;
    const double *post = journal.post, fastest = n.parts > 1 && n.rate[1] > n.rate[0] ? n.rate[1] : n.rate[0];
    double origin = 0.0, left[2], by[2] = {0.0, 0.0};
    std::vector<T> x(n.parts * n.neurons);
    if (journal.x)
        for (int64_t k = 0; k < n.parts * n.neurons; k++) x[k] = T(journal.x[k]);
    for (int64_t k = 0; k < journal.events; k++) {
        const int64_t what = journal.what[k];
        const double t = journal.t[k];
        const bool far = fastest * (t - origin) > (sizeof(T) == 4 ? 40.0 : 200.0);
        for (int64_t part = 0; part < n.parts; part++) {
            left[part] = std::exp(-n.rate[part] * (t - origin));
            if (!far) continue;
            for (int64_t j = 0; j < n.neurons; j++) x[part * n.neurons + j] *= T(left[part]);
            left[part] = 1.0;
        }
        if (far) origin = t;
        if (what >= senders + n.circuits) {
            const double factor = -journal.a_minus * scale * *post++;
            for (int64_t part = 0; part < n.parts; part++) by[part] = factor * left[part];
            credit.add(what - senders - n.circuits, by, x.data());
        } else if (what >= senders) {
            post += n.starts[what - senders + 1] - n.starts[what - senders];
        } else {
            const int64_t j = (what < 0 ? -what - 1 : what) - n.inputs;
            if (j < 0) continue;
            const double jump = what < 0 ? -n.jump : n.jump;
            for (int64_t part = 0; part < n.parts; part++) x[part * n.neurons + j] += T(jump / left[part]);
        }
    }
}

template <class T> static void credit(const Network &n, const Journal &j, double scale, double *bias) {
    Credit<T> credit(n, j, scale, bias);
    credit.backwards();
    if (j.pairs) forwards(credit, n, j, scale);
}

// e += scale * eligibility, and so for the biases.
extern "C" void events_credit(const Network *network, const Journal *journal, double scale, double *bias) {
    (network->single ? credit<float> : credit<double>)(*network, *journal, scale, bias);
}
