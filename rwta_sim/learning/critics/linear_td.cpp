// TD(lambda) of a value that is linear in features: see linear.py and linear_td.py.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

// What phi(s) is, as in linear_td.py.
enum Basis { ONE, ITSELF, WITH_ONE, COSINES, PRODUCTS };

struct Critic {
    int64_t basis, n_features, n, order;
    double gamma, decay;
    double *theta, *eligibility;
    const double *rates;
    double *phi, *next;     // of the last observation, and room for another
    double *real, *imaginary; // room for exp(i pi c.s) of some dimensions
};

namespace {

// cos(pi c.s) of c in {0, ..., order}^d, the last dimension fastest: the real parts of products over dimensions of
// exp(i pi s)**c.
void products(const Critic &c, const double *s, double *phi) {
    const int64_t base = c.order + 1;
    int64_t count = 1;
    c.real[0] = 1.0, c.imaginary[0] = 0.0;
    for (int64_t dimension = 0; dimension < c.n_features; dimension++) {
        const double angle = 3.141592653589793 * s[dimension], x = std::cos(angle), y = std::sin(angle);
        const bool last = dimension == c.n_features - 1;
        double *re = last ? phi : c.real;
        for (int64_t k = count - 1; k >= 0; k--) { // from behind: what is read is not yet overwritten
            double a = c.real[k], b = c.imaginary[k];
            for (int64_t power = 0; power < base; power++) {
                re[k * base + power] = a;
                if (!last) c.imaginary[k * base + power] = b;
                const double turned = a * x - b * y;
                b = a * y + b * x, a = turned;
            }
        }
        count *= base;
    }
}

// Dimension by dimension: 1, then cos(pi k s) of k in {1, ..., order}.
void cosines(const Critic &c, const double *s, double *phi) {
    phi[0] = 1.0;
    for (int64_t dimension = 0; dimension < c.n_features; dimension++)
        for (int64_t k = 1; k <= c.order; k++)
            phi[1 + dimension * c.order + k - 1] = std::cos(3.141592653589793 * double(k) * s[dimension]);
}

void look(const Critic &c, const double *s, double *phi) {
    if (c.basis == PRODUCTS)
        products(c, s, phi);
    else if (c.basis == COSINES)
        cosines(c, s, phi);
    else if (c.basis != ONE)
        std::memcpy(phi, s, c.n_features * sizeof(double));
    if (c.basis == ONE || c.basis == WITH_ONE) phi[c.n - 1] = 1.0;
}

// In four sums side by side.
double value(const Critic &c, const double *phi) {
    const double *__restrict theta = c.theta;
    double sums[4] = {0.0, 0.0, 0.0, 0.0};
    int64_t k = 0;
    for (; k + 4 <= c.n; k += 4)
        for (int64_t l = 0; l < 4; l++) sums[l] += theta[k + l] * phi[k + l];
    for (; k < c.n; k++) sums[0] += theta[k] * phi[k];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

} // namespace

extern "C" void critic_begin(Critic *critic, const double *features) {
    std::memset(critic->eligibility, 0, critic->n * sizeof(double));
    look(*critic, features, critic->phi);
}

extern "C" void critic_value(Critic *critic, const double *features, double *found) {
    look(*critic, features, critic->next);
    *found = value(*critic, critic->next);
}

extern "C" void critic_learn(Critic *critic, const double *features, double reward, int64_t terminated, int64_t learns,
                             double *told) {
    const Critic &c = *critic;
    const double now = value(c, c.phi);
    look(c, features, c.next);
    const double following = terminated ? 0.0 : value(c, c.next), delta = reward + c.gamma * following - now;
    if (learns) {
        double *__restrict theta = c.theta, *__restrict eligibility = c.eligibility;
        const double *__restrict phi = c.phi, *__restrict rates = c.rates;
        for (int64_t k = 0; k < c.n; k++) {
            eligibility[k] = eligibility[k] * c.decay + phi[k];
            theta[k] += delta * rates[k] * eligibility[k];
        }
    }
    std::swap(critic->phi, critic->next);
    *told = delta;
}
