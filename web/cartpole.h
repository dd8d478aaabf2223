// CartPole-v1 as Gymnasium's classic_control/cartpole.py has it: Barto, Sutton and Anderson 1983, in Euler steps.
#pragma once
#include <cmath>
#include <cstdint>

#include "seeding.h"

struct CartPole {
    static constexpr double X = 2.4, ANGLE = 12 * 2 * 3.141592653589793 / 360;
    static const int LIMIT = 500;
    double state[4] = {0, 0, 0, 0}; // x, its velocity, angle, its velocity
    int steps = 0;

    void reset(uint32_t seed) {
        Generator rng{SeedSequence(seed, {})};
        const double low = -0.05, high = 0.05;
        for (double &s : state) s = low + (high - low) * rng.uniform();
        steps = 0;
    }

    // `push`: what somebody else adds to the cart's own force. Returns whether the pole fell.
    bool step(int action, double push) {
        const double gravity = 9.8, pole = 0.1, total = pole + 1.0, length = 0.5, moment = pole * length, tau = 0.02;
        const double force = (action == 1 ? 10.0 : -10.0) + push;
        const double cosine = std::cos(state[2]), sine = std::sin(state[2]);
        const double temp = (force + moment * (state[3] * state[3]) * sine) / total;
        const double turning =
            (gravity * sine - cosine * temp) / (length * (4.0 / 3.0 - pole * (cosine * cosine) / total));
        const double going = temp - moment * turning * cosine / total;
        state[0] = state[0] + tau * state[1], state[1] = state[1] + tau * going;
        state[2] = state[2] + tau * state[3], state[3] = state[3] + tau * turning;
        steps++;
        return state[0] < -X || state[0] > X || state[2] < -ANGLE || state[2] > ANGLE;
    }
    bool over() const { return steps >= LIMIT; }
    double seen(int k) const { return double(float(state[k])); } // an observation is in single precision
};
