// NumPy's seeds and random numbers: SeedSequence, PCG64, uniform and normal numbers, bit for bit (numpy.random).
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "ziggurat.h" // made by scripts/make_page.py: WIDTH, INSIDE, HEIGHT, EDGE of 256 layers

// SeedSequence(seed, spawn_key=key).
class SeedSequence {
    static const int SIZE = 4;
    uint32_t pool[SIZE];

    static uint32_t scrambled(uint32_t x, uint32_t &constant, uint32_t factor) {
        x ^= constant;
        constant *= factor;
        x *= constant;
        return x ^ x >> 16;
    }
    static uint32_t mixed(uint32_t x, uint32_t y) {
        const uint32_t z = 0xca01f9ddu * x - 0x4973f715u * y;
        return z ^ z >> 16;
    }

  public:
    SeedSequence(uint32_t seed, std::initializer_list<uint32_t> key) {
        std::vector<uint32_t> words = {seed};
        if (key.size()) words.resize(SIZE); // so that no key means what a longer seed does
        words.insert(words.end(), key);
        uint32_t constant = 0x43b0d7e5u;
        const uint32_t factor = 0x931e8875u;
        for (size_t i = 0; i < SIZE; i++) pool[i] = scrambled(i < words.size() ? words[i] : 0, constant, factor);
        for (int from = 0; from < SIZE; from++)
            for (int to = 0; to < SIZE; to++)
                if (from != to) pool[to] = mixed(pool[to], scrambled(pool[from], constant, factor));
        for (size_t i = SIZE; i < words.size(); i++)
            for (int to = 0; to < SIZE; to++) pool[to] = mixed(pool[to], scrambled(words[i], constant, factor));
    }

    std::vector<uint32_t> state(int count) const {
        std::vector<uint32_t> words(count);
        uint32_t constant = 0x8b51f9ddu;
        for (int i = 0; i < count; i++) words[i] = scrambled(pool[i % SIZE], constant, 0x58f38dedu);
        return words;
    }
};

// Generator(PCG64(seed)).
class Generator {
    typedef unsigned __int128 Wide;
    Wide state = 0, step = 1;

    static Wide joined(uint64_t high, uint64_t low) { return Wide(high) << 64 | low; }
    void advance() { state = state * joined(2549297995355413924ull, 4865540595714422341ull) + step; }

  public:
    Generator() {}
    explicit Generator(const SeedSequence &seed) {
        const std::vector<uint32_t> words = seed.state(8);
        uint64_t part[4];
        for (int i = 0; i < 4; i++) part[i] = uint64_t(words[2 * i + 1]) << 32 | words[2 * i];
        step = joined(part[2], part[3]) << 1 | 1;
        advance();
        state += joined(part[0], part[1]);
        advance();
    }

    uint64_t whole() {
        advance();
        const uint64_t x = uint64_t(state >> 64) ^ uint64_t(state);
        const unsigned turn = unsigned(state >> 122);
        return x >> turn | x << (-turn & 63);
    }
    double uniform() { return double(whole() >> 11) * (1.0 / 9007199254740992.0); }

    double normal() { // Marsaglia and Tsang 2000
        for (;;) {
            uint64_t bits = whole();
            const int layer = int(bits & 255);
            const bool negative = bits >> 8 & 1;
            bits = bits >> 9 & 0xfffffffffffffull;
            const double x = negative ? -(double(bits) * WIDTH[layer]) : double(bits) * WIDTH[layer];
            if (bits < INSIDE[layer]) return x;
            if (layer == 0)
                for (;;) {
                    const double beyond = -(1.0 / EDGE) * std::log1p(-uniform()), y = -std::log1p(-uniform());
                    if (y + y > beyond * beyond) return bits >> 8 & 1 ? -(EDGE + beyond) : EDGE + beyond;
                }
            if ((HEIGHT[layer - 1] - HEIGHT[layer]) * uniform() + HEIGHT[layer] < std::exp(-0.5 * x * x)) return x;
        }
    }
};
