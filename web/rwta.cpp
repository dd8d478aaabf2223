// The network of the page: the package's own sources, and what Python does around them, for one preset (preset.h).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "cartpole.h"
#include "preset.h" // made by scripts/make_page.py from the preset
#include "seeding.h"

namespace events {
#include "../rwta_sim/circuit/events/advance.cpp"
}
namespace critic {
#include "../rwta_sim/learning/critics/linear_td.cpp"
}
namespace rule {
#include "../rwta_sim/learning/rules/post.cpp"
}
namespace optimiser {
#include "../rwta_sim/learning/outer_update.cpp"
}
namespace learning {
#include "../rwta_sim/learning/one_call.cpp"
}

namespace {

const int FEATURES = 4, ACTIONS = 2, INPUTS = COPIES * CELLS * FEATURES;

double uniform(void *generator) { return static_cast<Generator *>(generator)->uniform(); }

typedef std::vector<double> Numbers;

struct Weights {
    Numbers sh, ha, b;
};

struct Page {
    const int circuits, hidden, neurons;
    const uint32_t seed;
    std::vector<int64_t> starts, outgoing;
    std::vector<int32_t> onto;
    Weights now, best, whole;         // `whole`: as they were before a lesion
    Weights squares;                  // of RMSNormalised
    std::vector<uint8_t> may_sh, may_ha; // 0 where a lesion cut a connection
    Numbers x_inputs, x, u, t_spike, eta, gain, current, counts, last, q, q_last, potential;
    Numbers theta, eligibility, rates, phi[4], factors[3], post, drive, rows;
    double one = 1.0, features[FEATURES] = {0, 0, 0, 0};
    events::Projection projections[2] = {};
    events::Network network = {};
    events::Decision decision = {};
    events::Past *past = nullptr;
    critic::Critic value = {};
    rule::Way way = {};
    rule::Network feedback = {};
    optimiser::Update updates[3] = {};
    optimiser::Step step = {};
    learning::Learning learner = {};
    Generator for_inputs, for_circuits, for_choices;
    CartPole cart;
    int64_t action = 0;
    double kernel[3] = {TAU, 0.0, 0.0}; // tau, rise (0: none), duration (0: none)

    Page(uint32_t seed, int circuits)
        : circuits(circuits), hidden(circuits * SIZE), neurons(hidden + ACTIONS), seed(seed) {
        for (int c = 0; c <= circuits; c++) starts.push_back(c * SIZE);
        starts.push_back(neurons);
        wire();
        draw();
        events::events_new(&past);
        connect();
        learn();
        set_kernel(TAU, 0.0, 0.0, RHO_HAT);
    }
    ~Page() { events::events_free(past); }

    // Inputs send by projection 0, hidden neurons by 1, action neurons by none.
    void wire() {
        for (int i = 0; i < INPUTS + neurons; i++) {
            outgoing.push_back(int64_t(onto.size()));
            if (i < INPUTS + hidden) onto.push_back(i < INPUTS ? 0 : 1);
        }
        outgoing.push_back(int64_t(onto.size()));
    }

    void draw() {
        now.sh.resize(INPUTS * hidden), now.ha.resize(hidden * ACTIONS), now.b.resize(neurons);
        may_sh.assign(now.sh.size(), 1), may_ha.assign(now.ha.size(), 1);
        Generator rng{SeedSequence(seed, {0})}; // seeding.Purpose.INITIAL
        for (int i = 0; i < INPUTS; i++)
            for (int k = 0; k < neurons; k++) { // drawn for action neurons too, and not used
                const double w = WEIGHT_SD * rng.normal();
                if (k < hidden) now.sh[i * hidden + k] = w;
            }
        best = whole = now;
        squares.sh.assign(now.sh.size(), 0.0), squares.ha.assign(now.ha.size(), 0.0), squares.b.assign(neurons, 0.0);
    }

    void connect() {
        x_inputs.resize(2 * INPUTS), x.resize(2 * neurons), u.resize(2 * neurons + SIZE + 16);
        t_spike.assign(neurons, -INFINITY), gain.assign(neurons, 1.0);
        for (Numbers *a : {&eta, &current, &counts, &last, &q, &q_last, &potential, &post}) a->resize(neurons);
        drive.resize(INPUTS), rows.resize(6 * neurons + INPUTS + 3);
        projections[0] = {1, 0, INPUTS, 0, hidden, nullptr, 1.0, now.sh.data()};
        projections[1] = {0, 0, hidden, hidden, ACTIONS, nullptr, 1.0, now.ha.data()};
        network.inputs = INPUTS, network.neurons = neurons, network.circuits = circuits + 1, network.projections = 2;
        network.starts = starts.data(), network.projection = projections;
        network.outgoing = outgoing.data(), network.onto = onto.data();
        network.b = now.b.data(), network.current = current.data(), network.x_inputs = x_inputs.data();
        network.x = x.data(), network.u = u.data(), network.t_spike = t_spike.data(), network.eta = eta.data();
        network.gain = gain.data(), network.counts = counts.data(), network.last = last.data(), network.q = q.data();
        network.q_last = q_last.data(), network.potential = potential.data();
        decision.end = TIME, decision.traced = INPUTS, decision.steps_but_one = STEPS - 1;
        decision.since = -INFINITY;
        decision.for_inputs = {uniform, &for_inputs}, decision.for_circuits = {uniform, &for_circuits};
    }

    void learn() {
        way = {0, hidden, hidden, ACTIONS, nullptr, now.ha.data()};
        feedback = {neurons, circuits + 1, 1, 0, starts.data(), &way, DEPTH, 10 * std::numeric_limits<double>::epsilon()};
        factors[0].resize(INPUTS), factors[1].resize(neurons), factors[2].resize(neurons);
        updates[0] = outer(INPUTS, hidden, factors[0].data(), factors[2].data(), may_sh.data(), now.sh, squares.sh);
        updates[1] = outer(hidden, ACTIONS, factors[1].data(), factors[2].data() + hidden, may_ha.data(), now.ha, squares.ha);
        updates[2] = outer(1, neurons, &one, factors[2].data(), nullptr, now.b, squares.b);
        step.updates = 3, step.inputs = INPUTS, step.neurons = neurons, step.update = updates;
        step.pre_inputs = factors[0].data(), step.pre_neurons = factors[1].data(), step.post = factors[2].data();
        step.decay = RMS_DECAY, step.epsilon = RMS_EPSILON;
        fourier();
        learner.td_error = [](void *c, const double *f, double r, int64_t ended, int64_t learns, double *told) {
            critic::critic_learn(static_cast<critic::Critic *>(c), f, r, ended, learns, told);
        };
        learner.post_of = [](const void *n, const double *q, const double *v, const double *spoke, double *post) {
            rule::feedback_post(static_cast<const rule::Network *>(n), q, v, spoke, post);
        };
        learner.step = [](const void *s, const double *inputs, const double *traces, const double *post, double modulation,
                          double rate) {
            optimiser::outer_update(static_cast<const optimiser::Step *>(s), inputs, traces, post, modulation, rate);
        };
        learner.critic = &value, learner.rule = &feedback, learner.optimiser = &step, learner.post = post.data();
        learner.neurons = neurons, learner.traced = INPUTS, learner.action = hidden;
    }

    static optimiser::Update outer(int rows, int columns, const double *pre, const double *post, const uint8_t *mask,
                                   Numbers &w, Numbers &square) {
        optimiser::Update update = {};
        update.rows = rows, update.columns = columns, update.pre = pre, update.post = post, update.mask = mask;
        update.w = w.data(), update.square = square.data();
        return update;
    }

    // cos(pi c.s) of c in {0, ..., ORDER}^4, the last dimension fastest; rates of Konidaris et al. 2011.
    void fourier() {
        const int base = ORDER + 1, n = base * base * base * base;
        theta.assign(n, 0.0), eligibility.assign(n, 0.0), rates.resize(n);
        for (Numbers &room : phi) room.assign(n, 0.0);
        for (int c = 0; c < n; c++) {
            double square = 0.0;
            for (int rest = c, k = 0; k < FEATURES; k++, rest /= base) square += double(rest % base) * double(rest % base);
            rates[c] = CRITIC_RATE / (c ? std::sqrt(square) : 1.0);
        }
        value = {critic::PRODUCTS, FEATURES, n, ORDER, GAMMA, GAMMA * LAMBDA, theta.data(), eligibility.data(), rates.data(),
                 phi[0].data(), phi[1].data(), phi[2].data(), phi[3].data()};
    }

    // rise > 0: double exponential; duration > 0: rectangular; see circuit/events/state.py.
    void set_kernel(double tau, double rise, double duration, double rho_hat) {
        network.parts = rise > 0.0 ? 2 : 1;
        network.rate[0] = duration > 0.0 ? 0.0 : 1 / tau, network.rate[1] = rise > 0.0 ? 1 / rise : 0.0;
        const double integral = duration > 0.0 ? duration : rise > 0.0 ? tau - rise : tau;
        network.duration = duration, network.rho_hat = rho_hat, network.jump = 1.0 / (rho_hat * integral);
    }

    // -- an episode ------------------------------------------------------------------------------------

    void begin(uint32_t purpose, uint32_t number) {
        const uint32_t where = SeedSequence(seed, {purpose, number, 0}).state(1)[0] & 0x7fffffffu;
        for_inputs = Generator(SeedSequence(seed, {purpose, number, 1, 0}));
        for_circuits = Generator(SeedSequence(seed, {purpose, number, 1, 1}));
        for_choices = Generator(SeedSequence(seed, {purpose, number, 2}));
        events::events_clear(past);
        cart.reset(where);
        look();
    }

    void look() {
        for (int k = 0; k < FEATURES; k++) {
            const double scaled = (cart.seen(k) - LOW[k]) * (1.0 / (HIGH[k] - LOW[k]));
            features[k] = std::min(std::max(scaled, 0.0), 1.0);
        }
    }

    // Tuning curves, dimension after dimension; then the copies of all of them.
    void excite() {
        const double width = WIDTH_OF_CURVES / (CELLS - 1), apart = 1.0 / (CELLS - 1);
        for (int k = 0; k < FEATURES; k++)
            for (int cell = 0; cell < CELLS; cell++) {
                const double z = (features[k] - (cell == CELLS - 1 ? 1.0 : cell * apart)) / width;
                drive[k * CELLS + cell] = std::exp(z * z * -0.5);
            }
        for (int copy = 1; copy < COPIES; copy++)
            std::copy(drive.begin(), drive.begin() + FEATURES * CELLS, drive.begin() + copy * FEATURES * CELLS);
    }

    int decide() {
        events::events_decide(&network, &decision, past, drive.data(), 1, rows.data());
        double *v = rows.data() + neurons, *spoke = rows.data() + 3 * neurons;
        const double *told = rows.data() + 6 * neurons + INPUTS;
        action = int64_t(told[2]);
        if (action < 0) { // nobody fired: drawn from q, and counts as a spike
            action = drawn();
            v[hidden + action] = 1.0;
            std::fill(spoke + hidden, spoke + neurons, 1.0);
        }
        return int(action);
    }

    int64_t drawn() { // as Generator.choice does
        const double *q = rows.data() + 4 * neurons + hidden, sum = q[0] + q[1], first = q[0] / sum;
        return for_choices.uniform() < first / (first + q[1] / sum) ? 0 : 1;
    }

    void learn_from(double reward, bool fell, double entropy, double rate) {
        learning::learn_at_once(&learner, rows.data(), nullptr, features, action, reward, fell, entropy, rate);
    }

    // -- what one does to it ---------------------------------------------------------------------------

    void cut(bool circuits_too) {
        const int end = circuits_too ? circuits / 2 * SIZE : hidden; // half of the circuits, or all onto the actions
        for (int j = 0; j < end; j++) {
            for (int a = 0; a < ACTIONS; a++) may_ha[j * ACTIONS + a] = 0;
            for (int i = 0; circuits_too && i < INPUTS; i++) may_sh[i * hidden + j] = 0;
        }
        whole = now;
        take_away(now.sh, may_sh), take_away(now.ha, may_ha);
    }
    static void take_away(Numbers &w, const std::vector<uint8_t> &may) {
        for (size_t k = 0; k < w.size(); k++) w[k] = may[k] ? w[k] : 0.0;
    }

    // Connections that were cut have the weights again that they had.
    void heal() {
        give_back(now.sh, may_sh, whole.sh), give_back(now.ha, may_ha, whole.ha);
        std::fill(may_sh.begin(), may_sh.end(), 1), std::fill(may_ha.begin(), may_ha.end(), 1);
    }
    static void give_back(Numbers &w, const std::vector<uint8_t> &may, const Numbers &whole) {
        for (size_t k = 0; k < w.size(); k++) w[k] = may[k] ? w[k] : whole[k];
    }

    // The best weights are kept without a lesion, and taken with it.
    void keep() {
        copy(now, best);
        give_back(best.sh, may_sh, whole.sh), give_back(best.ha, may_ha, whole.ha);
    }
    void take() {
        copy(best, now), copy(best, whole);
        take_away(now.sh, may_sh), take_away(now.ha, may_ha);
    }

    static void copy(const Weights &from, Weights &to) { // arrays stay where they are
        std::copy(from.sh.begin(), from.sh.end(), to.sh.begin()), std::copy(from.ha.begin(), from.ha.end(), to.ha.begin());
        std::copy(from.b.begin(), from.b.end(), to.b.begin());
    }
};

std::unique_ptr<Page> page;
std::vector<double> times;
std::vector<int32_t> who;
int64_t spikes[2];

} // namespace

extern "C" {

void rwta_build(uint32_t seed, int circuits) { page = std::make_unique<Page>(seed, circuits); }
void rwta_kernel(double tau, double rise, double duration, double rho_hat) {
    page->set_kernel(tau, rise, duration, rho_hat);
}
// A new episode; purpose as in rwta_sim/seeding.py. The critic hears of it if it is one of training.
void rwta_begin(uint32_t purpose, uint32_t number, int learns) {
    page->begin(purpose, number);
    if (learns) critic::critic_begin(&page->value, page->features);
}
// A decision on what is seen, or on a drive that was written to rwta_drive().
int rwta_decide(int driven) {
    if (!driven) page->excite();
    return page->decide();
}
// The cart moves; 1: the pole fell or the cart left, 2: the episode is as long as it may be.
int rwta_move(double push) {
    const bool fell = page->cart.step(int(page->action), push);
    page->look();
    return fell ? 1 : page->cart.over() ? 2 : 0;
}
void rwta_learn(double reward, int fell, double entropy, double rate) { page->learn_from(reward, fell, entropy, rate); }

void rwta_cut(int circuits_too) { page->cut(circuits_too); }
void rwta_heal() { page->heal(); }
void rwta_stimulate(int neuron, double amount) {
    std::fill(page->current.begin(), page->current.end(), 0.0);
    if (neuron >= 0) page->current[neuron] = amount;
}
void rwta_keep() { page->keep(); }
void rwta_take() { page->take(); }

double *rwta_state() { return page->cart.state; }
double *rwta_drive() { return page->drive.data(); }
double *rwta_rows() { return page->rows.data(); }
double *rwta_post() { return page->post.data(); }
double *rwta_told() { return &page->learner.told; } // TD error, then modulation
double *rwta_sh() { return page->now.sh.data(); }
double *rwta_ha() { return page->now.ha.data(); }
double *rwta_b() { return page->now.b.data(); }
double *rwta_theta() { return page->theta.data(); }
int rwta_features() { return int(page->theta.size()); }

// Spikes of the last decision: how many of inputs and of neurons; then times (s) and numbers, the inputs' first.
int64_t *rwta_spikes() {
    events::events_counts(page->past, spikes);
    times.resize(spikes[0] + spikes[1]), who.resize(times.size());
    events::events_copy(page->past, times.data(), who.data(), times.data() + spikes[0], who.data() + spikes[0]);
    return spikes;
}
double *rwta_times() { return times.data(); }
int32_t *rwta_who() { return who.data(); }
}
