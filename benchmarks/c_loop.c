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
        int want_q = step == steps - 1;
        if (want_q && !net->one_hot) /* the draw of spikes does not need all of them */
            for (int64_t c = 0; c < net->n_circuits; c++)
                softmax(net, c, 0, 1);
        int64_t active = fire_inputs(net, 0);
        add_rows(net, net->one_hot ? fire_one_hot(net, active, want_q) : fire_poisson(net, active));
    }
}
