// A network of winner-take-all circuits from event to event, without a time step: see network.py, and plain.py for the
// same in Python, number for number.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

struct Stream {
    double (*next)(void *); // uniform in [0, 1)
    void *state;
    double exponential(double rate) { return -std::log(1.0 - next(state)) / rate; }
};

// Connections whose weights are a matrix: a projection, or a group of one that is packed.
struct Projection {
    int64_t from_inputs, source, n_source, target, n_target;
    const int32_t *targets; // from `target` on, ascending; null: all of them
    double gain;
    const void *w; // (n_source, n_target)
    double *e;     // eligibility, the same shape
};

struct Network {
    int64_t inputs, neurons, circuits, projections, parts, single, credits;
    double rho_hat, jump, duration, refractory, noise, noise_rate;
    double delay[3]; // of what inputs, hidden and action neurons send
    double rate[2]; // of the decay of each part of the kernel
    const int64_t *starts;
    const Projection *projection;
    const int64_t *outgoing;  // projections of sender i: `onto` from outgoing[i] to outgoing[i + 1]
    const int32_t *onto;
    const double *b, *current; // current from the inputs, or zeros
    double *x_inputs, *x, *u;  // parts rows each: what is felt, times exp(rate (t - origin))
    double *t_spike, *eta, *gain;
    double *counts, *last, *q, *q_last, *potential, *e_b, *post; // of the decision
};

struct Decision {
    double end;             // its length; times count from its start
    const double *drive;    // of inputs that spike, or null
    Stream for_inputs, for_circuits;
    double tau_e, since;    // eligibilities fade with tau_e (0: they do not), and begin at `since`
    int64_t causal_hidden, causal_action; // credit only before the last action spike; only that one
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
    void shift(double by) {
        t.erase(t.begin(), t.begin() + head), who.erase(who.begin(), who.begin() + head), head = 0;
        for (double &time : t) time -= by;
    }
};

struct Past {
    Queue late, ending;
    std::vector<double> input_t, circuit_t; // of this decision
    std::vector<int32_t> input_i, circuit_i, fired;
};

namespace {

struct Run {
    Network &n;
    Decision &d;
    Past &past;
    double origin, eta_t;

    double kept(int64_t part, double t) const { return std::exp(-n.rate[part] * (t - origin)); }
    static double sign(int64_t part) { return part ? -1.0 : 1.0; }

    void draw() {
        past.input_t.clear(), past.input_i.clear(), past.circuit_t.clear(), past.circuit_i.clear(), past.fired.clear();
        if (d.drive) {
            std::vector<double> upto(n.inputs);
            double total = 0.0;
            for (int64_t i = 0; i < n.inputs; i++) upto[i] = total += d.drive[i];
            if (total > 0.0)
                for (double t = d.for_inputs.exponential(n.rho_hat * total); t < d.end;
                     t += d.for_inputs.exponential(n.rho_hat * total)) {
                    const double at = d.for_inputs.next(d.for_inputs.state) * total;
                    const int64_t i = std::upper_bound(upto.begin(), upto.end(), at) - upto.begin();
                    past.input_t.push_back(t), past.input_i.push_back(int32_t(std::min(i, n.inputs - 1)));
                }
        }
        const double rate = n.rho_hat * double(n.circuits);
        for (double t = d.for_circuits.exponential(rate); t < d.end; t += d.for_circuits.exponential(rate)) {
            past.circuit_t.push_back(t);
            past.circuit_i.push_back(int32_t(d.for_circuits.next(d.for_circuits.state) * double(n.circuits)));
        }
    }

    // Sender i (inputs first, then neurons) is felt from t on by `amount`.
    template <class T> void feel(double t, int32_t i, double amount) {
        const bool input = i < n.inputs;
        const int64_t j = input ? i : i - n.inputs;
        for (int64_t part = 0; part < n.parts; part++) {
            const double scaled = amount * n.jump / kept(part, t);
            (input ? n.x_inputs + part * n.inputs : n.x + part * n.neurons)[j] += scaled;
            for (int64_t k = n.outgoing[i]; k < n.outgoing[i + 1]; k++) {
                const Projection &p = n.projection[n.onto[k]];
                const T *__restrict w = static_cast<const T *>(p.w) + (j - p.source) * p.n_target;
                double *__restrict u = n.u + part * n.neurons + p.target;
                const double by = p.gain * scaled;
                if (p.targets)
                    for (int64_t m = 0; m < p.n_target; m++) u[p.targets[m]] += double(w[m]) * by;
                else
                    for (int64_t m = 0; m < p.n_target; m++) u[m] += double(w[m]) * by;
            }
        }
    }

    template <class T> void spike(double t, int32_t i) {
        const double delay = n.delay[i < n.inputs ? 0 : i - n.inputs < n.starts[n.circuits - 1] ? 1 : 2];
        if (delay > 0.0)
            past.late.push(t + delay, i);
        else
            feel<T>(t, i, 1.0);
        if (n.duration > 0.0) past.ending.push(t + delay + n.duration, i);
    }

    // Traces and currents in units of a later time, before their factors overflow.
    void rebase(double t) {
        for (int64_t part = 0; part < n.parts; part++) {
            const double kept_ = kept(part, t);
            for (int64_t i = 0; i < n.inputs; i++) n.x_inputs[part * n.inputs + i] *= kept_;
            for (int64_t i = 0; i < n.neurons; i++) n.x[part * n.neurons + i] *= kept_;
            for (int64_t i = 0; i < n.neurons; i++) n.u[part * n.neurons + i] *= kept_;
        }
        origin = t;
    }

    void in_range(double t) {
        if (std::max(n.rate[0], n.parts > 1 ? n.rate[1] : 0.0) * (t - origin) > 200.0) rebase(t);
    }

    // Potentials of the neurons from `low` to `high`, into n.potential.
    void potentials(double t, int64_t low, int64_t high) {
        double scale[2];
        for (int64_t part = 0; part < n.parts; part++) scale[part] = kept(part, t);
        for (int64_t k = low; k < high; k++) {
            double u = n.b[k] + n.current[k];
            for (int64_t part = 0; part < n.parts; part++) u += sign(part) * (n.u[part * n.neurons + k] * scale[part]);
            n.potential[k] = n.gain[k] * (u + n.eta[k]);
        }
    }

    bool barred(double t, int64_t k) const { return n.refractory > 0.0 && t - n.t_spike[k] < n.refractory; }

    // q of a circuit from its potentials; false if all are barred.
    bool compete(double t, int64_t low, int64_t high, bool bars, double *q) {
        double largest = -INFINITY, total = 0.0;
        for (int64_t k = low; k < high; k++)
            if (!(bars && barred(t, k))) largest = std::max(largest, n.potential[k]);
        for (int64_t k = low; k < high; k++) {
            q[k] = bars && barred(t, k) ? 0.0 : std::exp(n.potential[k] - largest);
            total += q[k];
        }
        if (!(total > 0.0)) return false;
        for (int64_t k = low; k < high; k++) q[k] /= total;
        return true;
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

    void credit(double t, int64_t low, int64_t high) {
        const double weight = d.tau_e > 0.0 ? std::exp((t - d.end) / d.tau_e) : 1.0;
        for (int64_t k = low; k < high; k++) n.e_b[k] += n.post[k] = weight * n.post[k];
        double scale[2];
        for (int64_t part = 0; part < n.parts; part++) scale[part] = kept(part, t);
        for (int64_t l = 0; l < n.projections; l++) {
            const Projection &p = n.projection[l];
            // Which of its targets are in the circuit: neighbours, in either layout.
            int64_t from = std::max(low - p.target, int64_t(0)), to = std::min(high - p.target, p.n_target);
            if (p.targets) {
                from = std::lower_bound(p.targets, p.targets + p.n_target, low - p.target) - p.targets;
                to = std::lower_bound(p.targets, p.targets + p.n_target, high - p.target) - p.targets;
            }
            if (from >= to || (p.from_inputs && !d.drive)) continue; // currents: what they credit is the sum of posts
            const double *x = p.from_inputs ? n.x_inputs : n.x;
            const int64_t width = p.from_inputs ? n.inputs : n.neurons;
            for (int64_t j = 0; j < p.n_source; j++) {
                double pre = 0.0;
                for (int64_t part = 0; part < n.parts; part++)
                    pre += sign(part) * (x[part * width + p.source + j] * scale[part]);
                if (pre == 0.0) continue;
                double *__restrict e = p.e + j * p.n_target;
                const double *__restrict post = n.post + p.target + (p.targets ? p.targets[from] - from : 0);
                for (int64_t k = from; k < to; k++) e[k] += pre * post[k];
            }
        }
    }

    template <class T> void fire(double t, int32_t c, double last_action) {
        const int64_t low = n.starts[c], high = n.starts[c + 1];
        noise(t, low, high);
        potentials(t, low, high);
        if (!compete(t, low, high, true, n.q)) { // all are barred
            past.fired.push_back(-1);
            return;
        }
        const double at = d.for_circuits.next(d.for_circuits.state);
        double upto = n.q[low];
        int64_t winner = low;
        while (at >= upto && winner < high - 1) upto += n.q[++winner];
        while (n.q[winner] == 0.0 && winner > low) winner--;
        const bool action = c == n.circuits - 1;
        const bool counts = action ? !d.causal_action || t >= last_action : !d.causal_hidden || t < last_action;
        if (n.credits && counts && t >= d.since) {
            for (int64_t k = low; k < high; k++) n.post[k] = double(k == winner) - n.q[k];
            credit(t, low, high);
        }
        for (int64_t k = low; k < high; k++) n.last[k] = 0.0, n.q_last[k] = n.q[k];
        n.last[winner] = 1.0;
        n.counts[winner] += 1.0;
        n.t_spike[winner] = t;
        past.fired.push_back(int32_t(winner));
        spike<T>(t, int32_t(n.inputs + winner));
    }

    template <class T> void deliver(double before) {
        while (past.late.due(before) || past.ending.due(before)) {
            const bool late = past.late.due(before);
            const bool ends = past.ending.due(before);
            const bool begin = late && (!ends || past.late.t[past.late.head] <= past.ending.t[past.ending.head]);
            Queue &queue = begin ? past.late : past.ending;
            in_range(queue.t[queue.head]);
            feel<T>(queue.t[queue.head], queue.who[queue.head], begin ? 1.0 : -1.0);
            queue.head++;
        }
    }

    template <class T> void run() {
        draw();
        double last_action = INFINITY; // an action that no spike made is drawn at the end
        for (size_t k = 0; k < past.circuit_t.size(); k++)
            if (past.circuit_i[k] == n.circuits - 1) last_action = past.circuit_t[k];
        size_t i = 0, k = 0;
        while (i < past.input_t.size() || k < past.circuit_t.size()) {
            const bool input = i < past.input_t.size() && (k == past.circuit_t.size() || past.input_t[i] < past.circuit_t[k]);
            const double t = input ? past.input_t[i] : past.circuit_t[k];
            deliver<T>(t);
            in_range(t);
            if (input)
                spike<T>(t, past.input_i[i++]);
            else
                fire<T>(t, past.circuit_i[k++], last_action);
        }
        deliver<T>(d.end);
        finish();
    }

    void finish() {
        rebase(d.end);
        noise(d.end, 0, n.neurons);
        potentials(d.end, 0, n.neurons);
        for (int64_t c = 0; c < n.circuits; c++) {
            const int64_t low = n.starts[c], high = n.starts[c + 1];
            double spoke = 0.0;
            for (int64_t k = low; k < high; k++) spoke += n.last[k];
            // Of neurons that may be barred after it, a spike's own probabilities.
            if (n.refractory > 0.0 && spoke > 0.0)
                std::copy(n.q_last + low, n.q_last + high, n.q + low);
            else if (!compete(d.end, low, high, true, n.q))
                compete(d.end, low, high, false, n.q);
        }
        for (int64_t k = 0; k < n.neurons; k++) n.t_spike[k] -= d.end;
        past.late.shift(d.end), past.ending.shift(d.end);
    }
};

} // namespace

extern "C" void events_new(Past **past) { *past = new Past; }
extern "C" void events_free(Past *past) { delete past; }
extern "C" void events_clear(Past *past) { *past = Past(); }

extern "C" void events_advance(Network *network, Decision *decision, Past *past) {
    Run run = {*network, *decision, *past, 0.0, 0.0};
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
