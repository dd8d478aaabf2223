// A network of winner-take-all circuits from event to event, without a time step: see network.py, and plain.py for the
// same in Python, number for number.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

struct Stream {
    double (*next)(void *); // uniform in [0, 1)
    void *state;
    double exponential(double mean) { return -std::log(1.0 - next(state)) * mean; }
};

// Connections whose weights are a matrix: a projection, or a group of one that is packed.
struct Projection {
    int64_t from_inputs, source, n_source, target, n_target;
    const int32_t *targets; // from `target` on, ascending; null: all of them
    double gain;
    const void *w; // (n_source, n_target)
};

struct Network {
    int64_t inputs, neurons, circuits, projections, parts, single, credits, logs;
    double rho_hat, jump, duration, refractory, noise, noise_rate;
    double delay[3]; // of what inputs, hidden and action neurons send
    double rate[2]; // of the decay of each part of the kernel
    const int64_t *starts;
    const Projection *projection;
    const int64_t *outgoing;  // projections of sender i: `onto` from outgoing[i] to outgoing[i + 1]
    const int32_t *onto;
    const double *b, *current; // current from the inputs, or zeros
    double *x_inputs, *x;      // parts rows each: what is felt, times exp(rate (t - origin))
    void *u;                   // the same, in the precision of the weights; with room for a circuit behind it
    double *t_spike, *eta, *gain;
    double *counts, *last, *q, *q_last, *potential; // of the decision
};

struct Decision {
    double end;             // its length; times count from its start
    int64_t afresh;         // whether it starts from nothing
    const double *drive;    // of inputs that spike, or null
    Stream for_inputs, for_circuits;
    double tau_e, since;    // eligibilities fade with tau_e (0: they do not), and begin at `since`
    int64_t causal_hidden, causal_action; // credit only before the last action spike; only that one
    int64_t pairs;          // credit spikes by a_plus, and note every spike, for pairs of spikes; not scores
    double a_plus;
    int64_t race;           // spikes of one action neuron that end it; 0: none do
    int64_t noted, posts;   // told of it: how long its journal is
    double took;            // and when it ended
    int64_t traced;         // inputs whose traces are read
    double steps_but_one;   // of a clocked network
    int64_t room;           // for the journal, behind what is read
};

// Spikes under way: those that are still to be felt, and those that are to be taken back.
struct Queue {
    std::vector<double> t;
    std::vector<int32_t> who;
    size_t head = 0;
    bool due(double before) const { return head < t.size() && t[head] <= before; }
    // In the order of time, of equal times the earlier spike first: delays differ between senders.
    void push(double time, int32_t i) {
        size_t at = t.size();
        while (at > head && t[at - 1] > time) at--;
        t.insert(t.begin() + at, time), who.insert(who.begin() + at, i);
    }
    void clear() { t.clear(), who.clear(), head = 0; }
    void shift(double by) {
        t.erase(t.begin(), t.begin() + head), who.erase(who.begin(), who.begin() + head), head = 0;
        for (double &time : t) time -= by;
    }
};

// Rows of weights that are still to be added to potentials: four at a time, so that these are read and written once.
struct Waiting {
    const void *row[4];
    double by[2][4]; // what each is multiplied by, for each part of the kernel
    int64_t count = 0;
};

// Spikes of a group in decisions that are over, until somebody takes them.
struct Log {
    std::vector<double> t;
    std::vector<int32_t> i;
    std::vector<int64_t> counts; // of each decision
    // Those of a decision, but for times at which nobody fired.
    void add(const std::vector<double> &times, const std::vector<int32_t> &who) {
        const size_t before = t.size();
        for (size_t k = 0; k < who.size(); k++)
            if (who[k] >= 0) t.push_back(times[k]), i.push_back(who[k]);
        counts.push_back(int64_t(t.size() - before));
    }
    void copy(double *times, int32_t *who, int64_t *of_decisions) const {
        std::copy(t.begin(), t.end(), times), std::copy(i.begin(), i.end(), who);
        std::copy(counts.begin(), counts.end(), of_decisions);
    }
    void clear() { t.clear(), i.clear(), counts.clear(); }
};

struct Past {
    Queue late, ending;
    Log of_inputs, of_neurons;
    std::vector<double> input_t, circuit_t; // of this decision
    std::vector<int32_t> input_i, circuit_i, fired;
    std::vector<double> noted_t, posts; // the journal of this decision, see journal.py
    std::vector<int32_t> noted;
    std::vector<double> upto;               // sums of the drive
    std::vector<int32_t> guide;             // where in `upto` to begin to look
    // Of each circuit `slot` numbers, a multiple of 8, which the compiler can take at once: potentials but for what is
    // felt, exp(u) at its last competition; and of the one that competes sums of these.
    int64_t slot = 0;
    std::vector<double> base, grown, sums, totals; // totals: one number each
    std::vector<int32_t> winner;                   // of each circuit the neuron that fired last, or -1
    std::vector<Waiting> waiting;           // of each projection
    std::vector<int32_t> unfinished;        // of which some may wait
};

namespace {

// exp(x), to two units in the last place, for x from -700 to 700; beyond as of these. The same operations as in
// plain.py, and such that the compiler can do several at a time.
inline double exponential(double x) {
    x = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    const double shifted = x * 1.4426950408889634 + 6755399441055744.0; // rounds to the nearest integer
    const double n = shifted - 6755399441055744.0;
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    const double r2 = r * r, r4 = r2 * r2;
    const double low = (1.0 + r) + r2 * (0.5 + r * (1.0 / 6));
    const double middle = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
    const double high = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800));
    const double top = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
    const double p = low + r4 * (middle + r4 * (high + r4 * top));
    int64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = int64_t(uint64_t(bits + 1023) << 52); // what is left of the constant is shifted out
    double power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

struct Run {
    Network &n;
    Decision &d;
    Past &past;
    double origin, eta_t, end;
    double kept_t, kept_at[2]; // the last time that `kept` was asked for, and what it came to

    Run(Network &n, Decision &d, Past &past) : n(n), d(d), past(past), origin(0.0), eta_t(0.0), end(d.end), kept_t(NAN) {
        past.waiting.resize(n.projections);
        int64_t largest = 0;
        for (int64_t c = 0; c < n.circuits; c++) largest = std::max(largest, n.starts[c + 1] - n.starts[c]);
        past.slot = (largest + 7) / 8 * 8;
        past.base.resize(n.circuits * past.slot), past.grown.resize(past.base.size()), past.sums.resize(past.slot);
        past.totals.resize(n.circuits), past.winner.resize(n.circuits);
    }

    // What is left at t of each part of a trace since `origin`.
    const double *kept(double t) {
        if (t != kept_t) {
            for (int64_t part = 0; part < n.parts; part++) kept_at[part] = std::exp(-n.rate[part] * (t - origin));
            kept_t = t;
        }
        return kept_at;
    }
    static double sign(int64_t part) { return part ? -1.0 : 1.0; }

    // Sums of the drive, and for each of as many equal parts of their total as there are inputs, where it begins.
    double prepare_inputs() {
        past.upto.resize(n.inputs), past.guide.resize(n.inputs);
        double total = 0.0;
        for (int64_t i = 0; i < n.inputs; i++) past.upto[i] = total += d.drive[i];
        const double part = total / double(n.inputs);
        int64_t i = 0;
        for (int64_t k = 0; k < n.inputs; k++) {
            while (i < n.inputs - 1 && past.upto[i] <= double(k) * part) i++;
            past.guide[k] = int32_t(i);
        }
        return total;
    }

    // The first input whose sum is above a number drawn between 0 and their total.
    int32_t input() {
        const double *upto = past.upto.data(), drawn = d.for_inputs.next(d.for_inputs.state);
        const double at = drawn * upto[n.inputs - 1];
        int64_t i = past.guide[std::min(int64_t(drawn * double(n.inputs)), n.inputs - 1)];
        while (i > 0 && upto[i - 1] > at) i--;
        while (i < n.inputs - 1 && upto[i] <= at) i++;
        return int32_t(i);
    }

    // Nothing has happened in the decision; and nothing is felt, if it starts afresh.
    template <class T> void begin() {
        if (d.afresh) {
            std::fill_n(n.x_inputs, n.parts * n.inputs, 0.0);
            std::fill_n(n.x, n.parts * n.neurons, 0.0), std::fill_n(felt<T>(0), n.parts * n.neurons, T(0));
            std::fill_n(n.t_spike, n.neurons, -INFINITY);
            past.late.clear(), past.ending.clear();
        }
        std::fill_n(n.counts, n.neurons, 0.0), std::fill_n(n.last, n.neurons, 0.0);
        past.noted_t.clear(), past.noted.clear(), past.posts.clear();
        std::fill(past.winner.begin(), past.winner.end(), -1);
        for (int64_t c = 0; c < n.circuits; c++) lay(c);
    }

    void draw() {
        past.input_t.clear(), past.input_i.clear(), past.circuit_t.clear(), past.circuit_i.clear(), past.fired.clear();
        if (d.drive) {
            const double total = prepare_inputs();
            if (total > 0.0)
                for (double wait = 1.0 / (n.rho_hat * total), t = d.for_inputs.exponential(wait); t < d.end;
                     t += d.for_inputs.exponential(wait))
                    past.input_t.push_back(t), past.input_i.push_back(input());
        }
        const double wait = 1.0 / (n.rho_hat * double(n.circuits));
        for (double t = d.for_circuits.exponential(wait); t < d.end; t += d.for_circuits.exponential(wait)) {
            past.circuit_t.push_back(t);
            past.circuit_i.push_back(int32_t(d.for_circuits.next(d.for_circuits.state) * double(n.circuits)));
        }
    }

    template <class T> T *felt(int64_t part) const { return static_cast<T *>(n.u) + part * n.neurons; }

    // Sender i (inputs first, then neurons) is felt from t on by `amount`.
    template <class T> void feel(double t, int32_t i, double amount) {
        const bool input = i < n.inputs;
        const int64_t j = input ? i : i - n.inputs;
        if (n.credits) note(t, amount > 0.0 ? i : -i - 1);
        double scaled[2];
        const double *left = kept(t);
        for (int64_t part = 0; part < n.parts; part++) {
            scaled[part] = amount * n.jump / left[part];
            (input ? n.x_inputs + part * n.inputs : n.x + part * n.neurons)[j] += scaled[part];
        }
        for (int64_t k = n.outgoing[i]; k < n.outgoing[i + 1]; k++) {
            const int32_t number = n.onto[k];
            const Projection &p = n.projection[number];
            Waiting &rows = past.waiting[number];
            if (rows.count == 0) past.unfinished.push_back(number);
            rows.row[rows.count] = static_cast<const T *>(p.w) + (j - p.source) * p.n_target;
            for (int64_t part = 0; part < n.parts; part++) rows.by[part][rows.count] = p.gain * scaled[part];
            if (++rows.count == 4) add_four<T>(p, rows);
        }
    }

    template <class T> void add_four(const Projection &p, Waiting &rows) {
        const T *__restrict a = static_cast<const T *>(rows.row[0]), *__restrict b = static_cast<const T *>(rows.row[1]);
        const T *__restrict c = static_cast<const T *>(rows.row[2]), *__restrict e = static_cast<const T *>(rows.row[3]);
        for (int64_t part = 0; part < n.parts; part++) {
            T *__restrict u = felt<T>(part) + p.target;
            const T f = T(rows.by[part][0]), g = T(rows.by[part][1]), h = T(rows.by[part][2]), i = T(rows.by[part][3]);
            if (p.targets)
                for (int64_t m = 0; m < p.n_target; m++)
                    u[p.targets[m]] += (a[m] * f + b[m] * g) + (c[m] * h + e[m] * i);
            else
                for (int64_t m = 0; m < p.n_target; m++) u[m] += (a[m] * f + b[m] * g) + (c[m] * h + e[m] * i);
        }
        rows.count = 0;
    }

    // Let no row wait.
    template <class T> void settle() {
        for (const int32_t number : past.unfinished) {
            const Projection &p = n.projection[number];
            Waiting &rows = past.waiting[number];
            for (int64_t k = 0; k < rows.count; k++) {
                const T *__restrict w = static_cast<const T *>(rows.row[k]);
                for (int64_t part = 0; part < n.parts; part++) {
                    T *__restrict u = felt<T>(part) + p.target;
                    const T by = T(rows.by[part][k]);
                    if (p.targets)
                        for (int64_t m = 0; m < p.n_target; m++) u[p.targets[m]] += w[m] * by;
                    else
                        for (int64_t m = 0; m < p.n_target; m++) u[m] += w[m] * by;
                }
            }
            rows.count = 0;
        }
        past.unfinished.clear();
    }

    // Have the weights of a sender at hand soon.
    template <class T> void fetch(int32_t i) const {
        for (int64_t k = n.outgoing[i]; k < n.outgoing[i + 1]; k++) {
            const Projection &p = n.projection[n.onto[k]];
            const char *row = reinterpret_cast<const char *>(static_cast<const T *>(p.w) + (i - p.source) * p.n_target);
            for (int64_t at = 0; at < p.n_target * int64_t(sizeof(T)); at += 64) __builtin_prefetch(row + at);
        }
    }

    template <class T> void spike(double t, int32_t i) {
        if (n.credits && d.pairs && t >= d.since) {
            note(t, n.inputs + n.neurons + n.circuits + i);
            past.posts.push_back(d.tau_e > 0.0 ? std::exp((t - d.end) / d.tau_e) : 1.0);
        }
        const double delay = n.delay[i < n.inputs ? 0 : i - n.inputs < n.starts[n.circuits - 1] ? 1 : 2];
        if (delay > 0.0)
            past.late.push(t + delay, i);
        else
            feel<T>(t, i, 1.0);
        if (n.duration > 0.0) past.ending.push(t + delay + n.duration, i);
    }

    // Traces and currents in units of a later time, before their factors overflow.
    template <class T> void rebase(double t) {
        settle<T>();
        const double *left = kept(t);
        for (int64_t part = 0; part < n.parts; part++) {
            for (int64_t i = 0; i < n.inputs; i++) n.x_inputs[part * n.inputs + i] *= left[part];
            for (int64_t i = 0; i < n.neurons; i++) n.x[part * n.neurons + i] *= left[part];
            for (int64_t i = 0; i < n.neurons; i++) felt<T>(part)[i] *= T(left[part]);
        }
        origin = t;
        kept_t = NAN;
    }

    template <class T> void in_range(double t) {
        if (std::max(n.rate[0], n.parts > 1 ? n.rate[1] : 0.0) * (t - origin) > (sizeof(T) == 4 ? 40.0 : 200.0))
            rebase<T>(t);
    }

    // Potentials of the neurons from `low` to `high`, into n.potential; no row may wait.
    template <class T> void potentials(double t, int64_t low, int64_t high) {
        const double *left = kept(t), first = left[0], second = n.parts > 1 ? left[1] : 0.0;
        const double *__restrict b = n.b, *__restrict current = n.current, *__restrict eta = n.eta, *__restrict gain = n.gain;
        const T *__restrict u = felt<T>(0), *__restrict v = felt<T>(n.parts - 1);
        double *__restrict out = n.potential;
        for (int64_t k = low; k < high; k++)
            out[k] = gain[k] * (((b[k] + current[k]) + eta[k]) + (double(u[k]) * first - double(v[k]) * second));
    }

    bool barred(double t, int64_t k) const { return n.refractory > 0.0 && t - n.t_spike[k] < n.refractory; }

    // Potentials but for what is felt, into the slot of circuit c.
    void lay(int64_t c) {
        const int64_t low = n.starts[c], size = n.starts[c + 1] - low;
        double *base = past.base.data() + c * past.slot;
        for (int64_t k = 0; k < past.slot; k++)
            base[k] = k < size ? (n.b[low + k] + n.current[low + k]) + n.eta[low + k] : -1e5;
    }

    // exp(u) of circuit c at t, those barred zero, and their sums; the total is zero if all are barred.
    template <class T> double compete(double t, int64_t c, bool bars) {
        const int64_t low = n.starts[c], size = n.starts[c + 1] - low, slot = past.slot;
        const double *left = kept(t), first = left[0], second = n.parts > 1 ? left[1] : 0.0;
        const double *__restrict base = past.base.data() + c * slot, gain = n.gain[low]; // one gain in a circuit
        const T *__restrict u = felt<T>(0) + low, *__restrict v = felt<T>(n.parts - 1) + low; // with room behind them
        double *__restrict e = past.grown.data() + c * slot;
        for (int64_t k = 0; k < slot; k += 8)
            for (int64_t l = k; l < k + 8; l++)
                e[l] = exponential(gain * (base[l] + (double(u[l]) * first - double(v[l]) * second)));
        double total = sum(e, size, t, low, bars);
        if (total > 1e-130 && total < 1e130) return total;
        // Potentials are counted from the largest one where they are large.
        double largest = -INFINITY;
        for (int64_t k = 0; k < size; k++) {
            e[k] = gain * (base[k] + (double(u[k]) * first - double(v[k]) * second));
            if (!(bars && barred(t, low + k))) largest = std::max(largest, e[k]);
        }
        for (int64_t k = 0; k < size; k++) e[k] = exponential(e[k] - largest);
        return sum(e, size, t, low, bars);
    }

    // Sums of exp(u) so far, by fours; those barred become zero.
    double sum(double *e, int64_t size, double t, int64_t low, bool bars) {
        if (bars && n.refractory > 0.0)
            for (int64_t k = 0; k < size; k++) e[k] = barred(t, low + k) ? 0.0 : e[k];
        for (int64_t k = size; k < past.slot; k++) e[k] = 0.0;
        double *sums = past.sums.data(), before = 0.0;
        for (int64_t k = 0; k < past.slot; k += 4) {
            const double a = e[k], b = a + e[k + 1], c = b + e[k + 2], d = c + e[k + 3];
            sums[k] = before + a, sums[k + 1] = before + b, sums[k + 2] = before + c, sums[k + 3] = before + d;
            before += d;
        }
        return before;
    }

    // The first whose sum is above `at`, counted from 0.
    int64_t chosen(double at, int64_t c) const {
        int64_t found = 0;
        for (int64_t k = 0; k < past.slot; k += 8)
            for (int64_t l = k; l < k + 8; l++) found += past.sums[l] <= at;
        found = std::min(found, n.starts[c + 1] - n.starts[c] - 1);
        while (past.grown[c * past.slot + found] == 0.0 && found > 0) found--;
        return found;
    }

    // q from exp(u) of circuit c.
    void share(int64_t c, double total, double *q) const {
        const int64_t low = n.starts[c], size = n.starts[c + 1] - low;
        const double *e = past.grown.data() + c * past.slot, share = 1.0 / total;
        for (int64_t k = 0; k < size; k++) q[low + k] = e[k] * share;
    }

    // Noise at t: an Ornstein-Uhlenbeck process seen at the circuits' spikes, or new each time without a time constant.
    void noise(double t, int64_t low, int64_t high) {
        if (!(n.noise > 0.0)) return;
        const bool white = !(n.noise_rate > 0.0);
        // One that lasts moves for all neurons at once: they share the time of the last look.
        const int64_t from = white ? low : 0, to = white ? high : n.neurons;
        const double kept_ = white ? 0.0 : std::exp(-n.noise_rate * (t - eta_t));
        const double fresh = n.noise * std::sqrt(1.0 - kept_ * kept_);
        for (int64_t k = from; k < to; k++) n.eta[k] = n.eta[k] * kept_ + fresh * normal();
        eta_t = t;
    }

    double normal() { // Box and Muller 1958
        const double r = std::sqrt(-2.0 * std::log(1.0 - d.for_circuits.next(d.for_circuits.state)));
        return r * std::cos(6.283185307179586 * d.for_circuits.next(d.for_circuits.state));
    }

    // Note what each neuron of circuit c is credited with for its spike at t: times the trace of whoever is felt.
    void credit(double t, int64_t c, int64_t winner, double total) {
        const double weight = d.tau_e > 0.0 ? std::exp((t - d.end) / d.tau_e) : 1.0;
        note(t, n.inputs + n.neurons + c);
        const double *e = past.grown.data() + c * past.slot, share = 1.0 / total;
        const int64_t low = n.starts[c], size = n.starts[c + 1] - low, old = past.posts.size();
        past.posts.resize(old + size);
        double *post = past.posts.data() + old;
        for (int64_t k = 0; k < size; k++) {
            const double v = double(low + k == winner);
            post[k] = weight * (d.pairs ? d.a_plus * v : v - e[k] * share);
        }
    }

    void note(double t, int64_t what) { past.noted_t.push_back(t), past.noted.push_back(int32_t(what)); }

    template <class T> void fire(double t, int32_t c, double last_action) {
        if (n.noise > 0.0) {
            noise(t, n.starts[c], n.starts[c + 1]);
            lay(c);
        }
        settle<T>();
        const double total = compete<T>(t, c, true);
        if (total == 0.0) { // all are barred
            past.fired.push_back(-1);
            return;
        }
        const int64_t winner = n.starts[c] + chosen(d.for_circuits.next(d.for_circuits.state) * total, c);
        const bool action = c == n.circuits - 1;
        const bool counts = action ? !d.causal_action || t >= last_action : !d.causal_hidden || t < last_action;
        if (n.credits && counts && t >= d.since) credit(t, c, winner, total);
        past.totals[c] = total, past.winner[c] = int32_t(winner);
        if (n.refractory > 0.0) share(c, total, n.q_last); // later all may be barred, and leave none
        n.counts[winner] += 1.0;
        n.t_spike[winner] = t;
        past.fired.push_back(int32_t(winner));
        if (action && d.race > 0 && n.counts[winner] >= double(d.race)) {
            end = t; // nobody will feel it
            return;
        }
        spike<T>(t, int32_t(n.inputs + winner));
    }

    template <class T> void deliver(double before) {
        while (past.late.due(before) || past.ending.due(before)) {
            const bool late = past.late.due(before);
            const bool ends = past.ending.due(before);
            const bool begin = late && (!ends || past.late.t[past.late.head] <= past.ending.t[past.ending.head]);
            Queue &queue = begin ? past.late : past.ending;
            in_range<T>(queue.t[queue.head]);
            feel<T>(queue.t[queue.head], queue.who[queue.head], begin ? 1.0 : -1.0);
            queue.head++;
        }
    }

    template <class T> void run() {
        begin<T>();
        draw();
        double last_action = INFINITY; // an action that no spike made is drawn at the end
        for (size_t k = 0; k < past.circuit_t.size(); k++)
            if (past.circuit_i[k] == n.circuits - 1) last_action = past.circuit_t[k];
        size_t i = 0, k = 0;
        while (end == d.end && (i < past.input_t.size() || k < past.circuit_t.size())) {
            const bool input = i < past.input_t.size() && (k == past.circuit_t.size() || past.input_t[i] < past.circuit_t[k]);
            const double t = input ? past.input_t[i] : past.circuit_t[k];
            deliver<T>(t);
            in_range<T>(t);
            if (input) {
                if (i + 2 < past.input_i.size()) fetch<T>(past.input_i[i + 2]);
                spike<T>(t, past.input_i[i++]);
            }
            else
                fire<T>(t, past.circuit_i[k++], last_action);
        }
        if (end == d.end)
            deliver<T>(end);
        else
            past.input_t.resize(i), past.input_i.resize(i), past.circuit_t.resize(k), past.circuit_i.resize(k);
        finish<T>();
    }

    template <class T> void finish() {
        rebase<T>(end);
        noise(end, 0, n.neurons);
        potentials<T>(end, 0, n.neurons);
        for (int64_t c = 0; c < n.circuits; c++) {
            const int32_t winner = past.winner[c];
            if (winner >= 0) {
                n.last[winner] = 1.0;
                if (!(n.refractory > 0.0)) share(c, past.totals[c], n.q_last);
            }
            // Of neurons that may be barred after it, and of a race that is won, a spike's own probabilities.
            const bool won = end < d.end && c == n.circuits - 1;
            if (winner >= 0 && (n.refractory > 0.0 || won)) {
                std::copy(n.q_last + n.starts[c], n.q_last + n.starts[c + 1], n.q + n.starts[c]);
                continue;
            }
            lay(c);
            double total = compete<T>(end, c, true);
            if (total == 0.0) total = compete<T>(end, c, false);
            share(c, total, n.q);
        }
        for (int64_t k = 0; k < n.neurons; k++) n.t_spike[k] -= end;
        past.late.shift(end), past.ending.shift(end);
        d.took = end;
        if (n.logs) past.of_inputs.add(past.input_t, past.input_i), past.of_neurons.add(past.circuit_t, past.fired);
        d.noted = int64_t(past.noted.size()), d.posts = int64_t(past.posts.size());
    }
};

} // namespace

extern "C" void events_new(Past **past) { *past = new Past; }
extern "C" void events_free(Past *past) { delete past; }
extern "C" void events_clear(Past *past) { past->late.clear(), past->ending.clear(); }

extern "C" void events_advance(Network *network, Decision *decision, Past *past) {
    Run run(*network, *decision, *past);
    if (network->single)
        run.run<float>();
    else
        run.run<double>();
}

// How many spikes of inputs, and events of circuits, the decision had; and, into arrays of these sizes, what they were.
extern "C" void events_counts(Past *past, int64_t *counts) {
    counts[0] = int64_t(past->input_t.size()), counts[1] = int64_t(past->circuit_t.size());
}
extern "C" void events_copy(Past *past, double *input_t, int32_t *input_i, double *circuit_t, int32_t *fired) {
    std::copy(past->input_t.begin(), past->input_t.end(), input_t);
    std::copy(past->input_i.begin(), past->input_i.end(), input_i);
    std::copy(past->circuit_t.begin(), past->circuit_t.end(), circuit_t);
    std::copy(past->fired.begin(), past->fired.end(), fired);
}
// How many decisions are logged, with how many spikes of inputs and neurons; into arrays of these sizes, what they
// were; and to forget them.
extern "C" void events_logged(Past *past, int64_t *sizes) {
    sizes[0] = int64_t(past->of_neurons.counts.size());
    sizes[1] = int64_t(past->of_inputs.t.size()), sizes[2] = int64_t(past->of_neurons.t.size());
}
extern "C" void events_copy_log(Past *past, double *input_t, int32_t *input_i, int64_t *input_counts, double *t, int32_t *i,
                                int64_t *counts) {
    past->of_inputs.copy(input_t, input_i, input_counts), past->of_neurons.copy(t, i, counts);
}
extern "C" void events_drop_log(Past *past) { past->of_inputs.clear(), past->of_neurons.clear(); }
// What the decision came to, as Readout tells it: rows of `neurons` numbers, the inputs' traces if they have any, and
// spikes, entropy and last spike as in readout.cpp.
extern "C" void events_read(const Network *network, const Decision *decision, double *out) {
    const Network &n = *network;
    const int64_t traced = decision->traced;
    const double steps_but_one = decision->steps_but_one;
    double *counts = out, *v = counts + n.neurons, *rates = v + n.neurons, *spoke = rates + n.neurons;
    double *q = spoke + n.neurons, *trace = q + n.neurons, *input_trace = trace + n.neurons;
    std::copy(n.counts, n.counts + n.neurons, counts), std::copy(n.last, n.last + n.neurons, v);
    std::copy(n.q, n.q + n.neurons, q);
    for (int64_t k = 0; k < n.neurons; k++) rates[k] = (counts[k] - v[k]) / steps_but_one;
    for (int64_t c = 0; c < n.circuits; c++) {
        double any = 0.0;
        for (int64_t k = n.starts[c]; k < n.starts[c + 1]; k++) any += v[k];
        std::fill(spoke + n.starts[c], spoke + n.starts[c + 1], any);
    }
    const double *x = n.x, *y = n.x_inputs;
    for (int64_t k = 0; k < n.neurons; k++) trace[k] = n.parts > 1 ? x[k] - x[n.neurons + k] : x[k];
    for (int64_t i = 0; i < traced; i++) input_trace[i] = n.parts > 1 ? y[i] - y[n.inputs + i] : y[i];
    double *told = input_trace + traced;
    told[0] = told[1] = 0.0, told[2] = -1.0;
    for (int64_t k = 0; k < n.neurons; k++) told[0] += counts[k];
    const int64_t from = n.starts[n.circuits - 1];
    for (int64_t k = from; k < n.neurons; k++) {
        if (q[k] != 0.0) told[1] -= q[k] * std::log(q[k]);
        if (v[k] == 1.0) told[2] = double(k - from);
    }
}

// The journal of the last decision, as long as it told: times, posts, then what happened, in halves of numbers.
extern "C" void events_journal(Past *past, double *out) {
    out = std::copy(past->noted_t.begin(), past->noted_t.end(), out);
    out = std::copy(past->posts.begin(), past->posts.end(), out);
    if (!past->noted.empty()) std::memcpy(out, past->noted.data(), past->noted.size() * sizeof(int32_t));
}

// A decision as a whole: what it came to, and behind that its journal, if there is room.
extern "C" void events_decide(Network *network, Decision *decision, Past *past, const double *drive, int64_t afresh,
                              double *out) {
    decision->drive = drive, decision->afresh = afresh;
    events_advance(network, decision, past);
    events_read(network, decision, out);
    const int64_t wanted = decision->noted + decision->posts + (decision->noted + 1) / 2;
    if (network->credits && wanted <= decision->room)
        events_journal(past, out + 6 * network->neurons + decision->traced + 3);
}
