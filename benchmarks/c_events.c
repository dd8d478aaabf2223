/* A recurrent winner-take-all network from event to event, written by hand for speed: how fast could it be?
 *
 * The model of rwta_sim/circuit/events (exponential kernel, spikes as inputs, no delays), with the arrays and the
 * single precision of c_loop.c. All event times of a decision are drawn first, 16 at a time; potentials are kept times
 * exp(t/tau), so that nothing decays; spikes of inputs between two events of circuits add their rows four at a time.
 */
#include "c_loop.c"
#include <math.h>

typedef struct {
    int64_t room;       /* for events of a decision */
    float duration, tau, rho_hat, jump; /* s, s, Hz; of a trace at a spike */
    const float *drive; /* pad_inputs: rates of the inputs in units of rho_hat */
    float *t;           /* room: times */
    float *grown;       /* room: exp(t/tau) */
    int32_t *who;       /* room: an input, or n_inputs + a circuit; after it fired, n_inputs + its neuron */
    int32_t *circuit;   /* room: of an event of a circuit */
    float *post;        /* (room, LANES): winner - q of events of circuits; written if it is to learn */
    int64_t learns, events;
} Events;

/* Draw who may fire when: one Poisson process for all; inputs are thinned from that of the most driven one. */
static void draw_events(const Network *net, Events *ev)
{
    float most = 0.0f;
    for (int64_t i = 0; i < net->n_inputs; i++)
        most = ev->drive[i] > most ? ev->drive[i] : most;
    const float from_inputs = most * net->n_inputs, all = from_inputs + net->n_circuits;
    const float wait = -1.0f / (all * ev->rho_hat);
    const int32_t n_in = net->n_inputs;
    const float per_input = most > 0.0f ? 1.0f / most : 0.0f;
    int64_t n = 0;
    for (float t = 0.0f;;) {
        uint32_t random[LANES], which[LANES], thin[LANES];
        float waits[LANES];
        draw(net->random, random);
        draw(net->random, which);
        draw(net->random, thin);
        for (int l = 0; l < LANES; l++)
            waits[l] = wait * logf(((int32_t)(random[l] >> 8) + 0.5f) * 0x1p-24f);
        for (int l = 0; l < LANES; l++) {
            t += waits[l];
            if (t >= ev->duration || n == ev->room) {
                ev->events = n;
                return;
            }
            const float at = (int32_t)(which[l] >> 8) * 0x1p-24f * all;
            int32_t who;
            if (at < from_inputs) {
                who = (int32_t)(at * per_input);
                who = who < n_in ? who : n_in - 1;
                if ((int32_t)(thin[l] >> 8) * 0x1p-24f * most >= ev->drive[who])
                    continue;
            } else {
                who = (int32_t)(at - from_inputs);
                who = n_in + (who < net->n_circuits ? who : (int32_t)net->n_circuits - 1);
            }
            ev->t[n] = t;
            ev->who[n++] = who;
        }
    }
}

static inline const float *row_of(const Network *net, int32_t sender)
{
    const int64_t j = sender;
    return j < net->n_inputs ? net->w_inputs + j * net->row : net->w_neurons + (j - net->n_inputs) * net->row;
}

/* I += the rows of spikes, each times jump*exp(t/tau); four at a time. */
static void add_scaled(const Network *net, const Events *ev, int64_t from, int64_t to)
{
    float *restrict I = __builtin_assume_aligned(net->I, 64);
    const int64_t row = net->row;
    for (; from + 4 <= to; from += 4) {
        const float *a = row_of(net, ev->who[from]), *b = row_of(net, ev->who[from + 1]);
        const float *c = row_of(net, ev->who[from + 2]), *d = row_of(net, ev->who[from + 3]);
        const float *g = ev->grown + from;
        for (int64_t j = 0; j < row; j += LANES)
            for (int l = 0; l < LANES; l++)
                I[j + l] += (g[0] * a[j + l] + g[1] * b[j + l]) + (g[2] * c[j + l] + g[3] * d[j + l]);
    }
    for (; from < to; from++) {
        const float *a = row_of(net, ev->who[from]), g = ev->grown[from];
        for (int64_t j = 0; j < row; j += LANES)
            for (int l = 0; l < LANES; l++)
                I[j + l] += g * a[j + l];
    }
}

/* u of one circuit; see softmax. */
static inline void potentials(Network *net, int64_t circuit, float shrunk)
{
    const int32_t start = net->start[circuit];
    for (int l = 0; l < LANES; l++)
        net->u[start + l] = net->I[start + l] * shrunk + net->b[start + l];
}

void c_events_play(Network *net, Events *ev)
{
    draw_events(net, ev);
    const float rate = 1.0f / ev->tau, jump = ev->jump;
    const int64_t n = ev->events;
    for (int64_t k = 0; k < n; k++)
        ev->grown[k] = jump * expf(ev->t[k] * rate);
    int64_t waiting = 0;
    for (int64_t k = 0; k < n; k++) {
        const int32_t who = ev->who[k];
        if (who < net->n_inputs) {
            net->x_inputs[who] += ev->grown[k];
            net->n_input_spikes[who]++;
            __builtin_prefetch(row_of(net, who));
            continue;
        }
        add_scaled(net, ev, waiting, k);
        const int32_t c = who - net->n_inputs;
        uint32_t random[LANES];
        draw(net->random, random);
        potentials(net, c, jump / ev->grown[k]);
        const int32_t winner = softmax(net, c, random[0], ev->learns);
        if (ev->learns) {
            float *post = ev->post + k * LANES;
            const int32_t start = net->start[c], size = net->size[c];
            for (int l = 0; l < LANES; l++)
                post[l] = l < size ? -net->q[start + l] : 0.0f;
            post[winner - start] += 1.0f;
            ev->circuit[k] = c;
        }
        net->x[winner] += ev->grown[k];
        net->n_spikes[winner]++;
        ev->who[k] = (int32_t)net->n_inputs + winner;
        add_scaled(net, ev, k, k + 1);
        waiting = k + 1;
    }
    add_scaled(net, ev, waiting, n);
    const float shrunk = expf(-ev->duration * rate);
    for (int64_t j = 0; j < net->row; j++)
        net->I[j] *= shrunk, net->x[j] *= shrunk;
    for (int64_t i = 0; i < net->pad_inputs; i++)
        net->x_inputs[i] *= shrunk;
    for (int64_t c = 0; c < net->n_circuits; c++) {
        potentials(net, c, 1.0f);
        softmax(net, c, 0, 1);
    }
}

/* w += rate * sum over events of circuits of trace x (winner - q), for a decision that began without traces. Backwards
 * in time: the posts of all later events, each times exp(-t/tau), are what a spike's row grows by. */
void c_events_learn(Network *net, Events *ev, float rate)
{
    const int64_t row = net->row;
    float *later = net->filter, *b = (float *)net->b;
    memset(later, 0, (row + LANES) * sizeof(float));
    memset(net->gradient, 0, net->n_neurons * row * sizeof(float));
    for (int64_t k = ev->events - 1; k >= 0; k--) {
        const int64_t who = ev->who[k];
        const float grown = ev->grown[k];
        if (who < net->n_inputs) {
            add((float *)net->w_inputs + who * row, later, row, grown);
            continue;
        }
        add(net->gradient + (who - net->n_inputs) * row, later, row, grown);
        const float factor = rate * ev->jump / grown, *post = ev->post + k * LANES;
        const int32_t start = net->start[ev->circuit[k]];
        for (int l = 0; l < LANES; l++) {
            later[start + l] += factor * post[l];
            b[start + l] += rate * post[l];
        }
    }
    add_mirrored(net);
}
