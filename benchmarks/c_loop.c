/* A recurrent winner-take-all network, written by hand for speed: how fast could it be?
 *
 * The same model and the same order of a step as rwta_sim/circuits.py: decay of traces and currents, softmax of each
 * circuit, spikes, then the rows of weights and the jumps of the traces. Everything is single precision. Loops over
 * LANES or over a padded row have no branches, so that the compiler turns them into vector instructions.
 */
#include <stdint.h>
#include <string.h>

enum { LANES = 16, MASK = 32, MAX_EVENTS = 8 }; /* a circuit has LANES neurons at the most */
#define NOBODY (-1e30f) /* potential of a neuron that a circuit does not have */
#define TINY 1e-30f     /* a trace below this is zero: denormal numbers are slow */

typedef struct {
    int64_t n_inputs, n_neurons, n_circuits; /* real sizes */
    int64_t pad_inputs, row;                 /* padded: multiples of MASK and of LANES */
    int64_t one_hot;                         /* firing mode */
    float decay, kappa_0;
    const int32_t *start, *size; /* of each circuit */
    const uint16_t *rate;        /* pad_inputs: spike probability of an input per step, in 1/65536 */
    const float *w_inputs;       /* (n_inputs, row): weights of an input to all neurons */
    const float *w_neurons;      /* (n_neurons, row) */
    const float *b, *nothing;    /* row: biases; zeros */
    const uint32_t *events;      /* MAX_EVENTS: 2^32 P(at most k events of a circuit in a step) */
    float *I, *u, *q;            /* row + LANES */
    float *x_inputs, *x;         /* pad_inputs, row: traces kappa*S */
    int64_t *n_spikes, *n_input_spikes;
    int64_t *t_spike;            /* row: step of the last spike */
    const float **active;        /* room for the rows of one step, and 8 */
    uint32_t (*random)[LANES];   /* 4 of them: one xoshiro128++ per lane */
    int64_t t;
    /* For learning; nothing is recorded if `room` is 0. */
    int64_t room, step;          /* steps there is room for, and the one to be recorded */
    const float **spikes_in, **spikes; /* rows of weights of who fired, step after step, of inputs and neurons */
    int64_t *ends_in, *ends;     /* room: where each step's end in these */
    float *factors;              /* (room, row): S - q of a step, then the rows that spikes add */
    float *seen_in, *seen;       /* pad_inputs, row: traces as the last step's potentials saw them */
    float *gradient, *filter;    /* (n_neurons, row), (2, row) */
    const uint8_t *mask;         /* (n_neurons, row): 0 within a circuit and beyond the neurons */
} Network;

static inline uint32_t rotate(uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }

/* One number from each of the LANES streams. */
static inline void draw(uint32_t (*s)[LANES], uint32_t *out)
{
    for (int l = 0; l < LANES; l++) {
        out[l] = rotate(s[0][l] + s[3][l], 7) + s[0][l];
        uint32_t t = s[1][l] << 9;
        s[2][l] ^= s[0][l];
        s[3][l] ^= s[1][l];
        s[1][l] ^= s[2][l];
        s[0][l] ^= s[3][l];
        s[2][l] ^= t;
        s[3][l] = rotate(s[3][l], 11);
    }
}

/* exp(x) for x <= 0, to two units in the last place; zero means exp(-87). */
static inline float exp_negative(float x)
{
    x = x < -87.0f ? -87.0f : x;
    int32_t n = (int32_t)(x * 1.44269504f - 0.5f); /* nearest, because x <= 0 */
    float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = (n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* One circuit: q if wanted, and the neuron that a categorical draw from q picks. */
static inline int32_t softmax(const Network *net, int64_t circuit, uint32_t random, int want_q)
{
    const int32_t start = net->start[circuit], size = net->size[circuit];
    float e[LANES], top = NOBODY, sum = 0.0f, cumulative = 0.0f;
    /* Unrolled, these loops would not be vectorised. */
#pragma GCC unroll 1
    for (int j = 0; j < LANES; j++) {
        float u = net->u[start + j];
        e[j] = j < size ? u : NOBODY;
        top = e[j] > top ? e[j] : top;
    }
#pragma GCC unroll 1
    for (int j = 0; j < LANES; j++) {
        e[j] = exp_negative(e[j] - top); /* next to nothing for nobody */
        sum += e[j];
    }
    const float bound = (float)(random >> 8) * 0x1p-24f * sum;
    int32_t winner = 0;
    for (int j = 0; j < size - 1; j++) { /* rounding may leave the sum out of reach: the last neuron, then */
        cumulative += e[j];
        winner += cumulative <= bound;
    }
    if (want_q)
        for (int j = 0; j < size; j++)
            net->q[start + j] = e[j] / sum;
    return start + winner;
}

/* Bit i: input i fires, its 16 random bits are below its rate. */
static inline uint32_t below(const uint16_t *random, const uint16_t *rate)
{
    uint32_t mask = 0;
    for (int i = 0; i < MASK; i++)
        mask |= (uint32_t)(random[i] < rate[i]) << i;
    return mask;
}

/* The inputs that fire; returns how many rows are active. */
static int64_t fire_inputs(Network *net, int64_t active)
{
    union { uint32_t whole[LANES]; uint16_t half[MASK]; } random;
    for (int64_t i = 0; i < net->pad_inputs; i += MASK) {
        draw(net->random, random.whole);
        for (uint32_t mask = below(random.half, net->rate + i); mask; mask &= mask - 1) {
            int64_t input = i + __builtin_ctz(mask);
            net->x_inputs[input] += net->kappa_0;
            net->n_input_spikes[input]++;
            net->active[active++] = net->w_inputs + input * net->row;
        }
    }
    return active;
}

/* Neuron `neuron` fires; returns how many rows are active. */
static inline int64_t spike(Network *net, int32_t neuron, int64_t active)
{
    net->x[neuron] += net->kappa_0;
    net->n_spikes[neuron]++;
    net->t_spike[neuron] = net->t;
    net->active[active] = net->w_neurons + neuron * net->row;
    return active + 1;
}

/* Every circuit fires once; returns how many rows are active. */
static int64_t fire_one_hot(Network *net, int64_t active, int want_q)
{
    uint32_t random[LANES];
    for (int64_t c = 0; c < net->n_circuits; c++) {
        if (c % LANES == 0)
            draw(net->random, random);
        active = spike(net, softmax(net, c, random[c % LANES], want_q), active);
    }
    return active;
}

/* The events of a circuit are Poisson with mean rho_hat*dt, and each picks a neuron from q. Thinned so, the events of
 * neuron i are independent and Poisson with mean rho_hat*q_i*dt: equal in distribution to an independent draw per
 * neuron, which fires with probability 1 - exp(-rho_hat*q_i*dt). Returns how many rows are active. */
static int64_t fire_poisson(Network *net, int64_t active)
{
    uint32_t random[LANES], choice[LANES];
    for (int64_t c = 0; c < net->n_circuits; c += LANES) {
        int64_t lanes = net->n_circuits - c < LANES ? net->n_circuits - c : LANES;
        uint32_t mask = 0;
        draw(net->random, random);
        for (int l = 0; l < LANES; l++)
            mask |= (uint32_t)(random[l] > net->events[0]) << l;
        for (mask &= (1u << lanes) - 1; mask; mask &= mask - 1) {
            int l = __builtin_ctz(mask);
            draw(net->random, choice);
            for (int k = 0; k < MAX_EVENTS && random[l] > net->events[k]; k++) {
                int32_t neuron = softmax(net, c + l, choice[k], 0);
                if (net->t_spike[neuron] != net->t) /* two events of one neuron in a step are one spike */
                    active = spike(net, neuron, active);
            }
        }
    }
    return active;
}

/* currents += kappa_0 * (the active rows), four at a time so that a piece of the currents stays in registers. */
static void add_rows(const Network *net, int64_t active)
{
    float *restrict I = __builtin_assume_aligned(net->I, 64);
    const float kappa_0 = net->kappa_0;
    const float **w = net->active;
    const int64_t row = net->row;
    for (; active % 4; active++)
        w[active] = net->nothing;
    for (int64_t k = 0; k < active; k += 4) {
        const float *a = w[k], *b = w[k + 1], *c = w[k + 2], *d = w[k + 3];
        for (int64_t j = 0; j < row; j += LANES) {
            for (int l = 0; l < LANES; l++)
                I[j + l] += kappa_0 * ((a[j + l] + b[j + l]) + (c[j + l] + d[j + l]));
        }
    }
}

/* The step's spikes, and S - q of all neurons; q of all circuits has been computed. */
static void record(Network *net, int64_t inputs, int64_t all)
{
    const int64_t step = net->step++;
    float *factor = net->factors + step * net->row;
    int64_t in = step ? net->ends_in[step - 1] : 0, own = step ? net->ends[step - 1] : 0;
    memcpy(net->spikes_in + in, net->active, inputs * sizeof *net->active);
    memcpy(net->spikes + own, net->active + inputs, (all - inputs) * sizeof *net->active);
    net->ends_in[step] = in + inputs;
    net->ends[step] = own + all - inputs;
    for (int64_t j = 0; j < net->row; j++)
        factor[j] = -net->q[j];
    for (int64_t k = inputs; k < all; k++)
        factor[(net->active[k] - net->w_neurons) / net->row] += 1.0f;
}

static inline void decay(float *x, int64_t n, float factor)
{
    for (int64_t i = 0; i < n; i++) {
        float y = x[i] * factor;
        x[i] = y < TINY ? 0.0f : y;
    }
}

void c_loop_run(Network *net, int64_t steps)
{
    for (int64_t step = 0; step < steps; step++, net->t++) {
        decay(net->x_inputs, net->pad_inputs, net->decay);
        decay(net->x, net->row, net->decay);
        for (int64_t j = 0; j < net->row; j++) {
            net->I[j] *= net->decay;
            net->u[j] = net->I[j] + net->b[j];
        }
        int want_q = net->room || step == steps - 1;
        if (want_q && !net->one_hot) /* the draw of spikes does not need all of them */
            for (int64_t c = 0; c < net->n_circuits; c++)
                softmax(net, c, 0, 1);
        if (net->room && step == steps - 1) {
            memcpy(net->seen_in, net->x_inputs, net->pad_inputs * sizeof(float));
            memcpy(net->seen, net->x, net->row * sizeof(float));
        }
        int64_t inputs = fire_inputs(net, 0);
        int64_t active = net->one_hot ? fire_one_hot(net, inputs, want_q) : fire_poisson(net, inputs);
        if (net->room)
            record(net, inputs, active);
        add_rows(net, active);
    }
}

static inline void add(float *restrict to, const float *restrict from, int64_t n, float factor)
{
    for (int64_t j = 0; j < n; j++)
        to[j] += factor * from[j];
}

/* w_neurons += the gradient and its mirror image: connections among neurons are symmetric. */
static void add_mirrored(Network *net)
{
    enum { SIDE = 16 };
    float *w = (float *)net->w_neurons, block[SIDE][SIDE];
    const float *g = net->gradient;
    const int64_t n = net->n_neurons, row = net->row;
    for (int64_t i0 = 0; i0 < n; i0 += SIDE)
        for (int64_t j0 = 0; j0 < n; j0 += SIDE) {
            int64_t height = n - i0 < SIDE ? n - i0 : SIDE, width = n - j0 < SIDE ? n - j0 : SIDE;
            for (int64_t j = 0; j < width; j++)
                for (int64_t i = 0; i < SIDE; i++)
                    block[i][j] = g[(j0 + j) * row + i0 + i];
            for (int64_t i = 0; i < height; i++)
                for (int64_t j = 0; j < width; j++) {
                    int64_t at = (i0 + i) * row + j0 + j;
                    w[at] += net->mask[at] ? g[at] + block[i][j] : 0.0f;
                }
        }
}

/* w += rate * sum over steps of trace x (S - q), as plain gradient ascent on the recorded steps. The factors are filtered
 * backwards in time, f(s) = decay*(kappa_0*d(s + 1) + f(s + 1)); then each presynaptic spike adds a row. With
 * `last_step` only the last one counts, and each neuron's trace adds a row. */
void c_loop_learn(Network *net, float rate, int64_t last_step)
{
    const int64_t steps = net->step, row = net->row, n = net->n_neurons;
    float *b = (float *)net->b, *d = net->factors;
    float *w_in = (float *)net->w_inputs; /* constant for whoever simulates */
    net->step = 0;
    memset(net->gradient, 0, n * row * sizeof(float));
    if (last_step) {
        d += (steps - 1) * row;
        add(b, d, row, rate);
        for (int64_t i = 0; i < net->n_inputs; i++)
            if (net->seen_in[i] != 0.0f)
                add(w_in + i * row, d, row, rate * net->seen_in[i]);
        for (int64_t i = 0; i < n; i++)
            if (net->seen[i] != 0.0f)
                add(net->gradient + i * row, d, row, rate * net->seen[i]);
        add_mirrored(net);
        return;
    }
    float *before = net->filter, *after = before + row; /* d(s + 1) and f(s + 1) */
    memset(before, 0, 2 * row * sizeof(float));
    for (int64_t s = steps - 1; s >= 0; s--) {
        float *here = d + s * row;
        add(b, here, row, rate);
        for (int64_t j = 0; j < row; j++) { /* here becomes f(s); before keeps d(s) for the step before it */
            float own = here[j];
            after[j] = net->decay * (net->kappa_0 * before[j] + after[j]);
            here[j] = rate * after[j];
            before[j] = own;
        }
        for (int64_t k = s ? net->ends_in[s - 1] : 0; k < net->ends_in[s]; k++)
            add((float *)net->spikes_in[k], here, row, 1.0f);
        for (int64_t k = s ? net->ends[s - 1] : 0; k < net->ends[s]; k++)
            add(net->gradient + (net->spikes[k] - net->w_neurons), here, row, 1.0f);
    }
    add_mirrored(net);
}
