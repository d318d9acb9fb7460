/*
 * Frequencies of the rotary embedding: theta^(-2 i / head_dim), i < head_dim / 2. Llama 3 stretches
 * them: wavelengths beyond original / low positions are `factor` times longer, those below
 * original / high stay, in between it blends linearly in original / wavelength.
 */
#ifndef NN_ROPE_H
#define NN_ROPE_H

struct rope {
    float theta;
    float factor, low, high; /* factor 1: no scaling */
    int original;
};

void rope_frequencies(float *inverse, int head_dim, const struct rope *r); /* [head_dim / 2] */

#endif
