/* Rotary frequencies, with Llama 3's scaling (Hugging Face "rope_type": "llama3"). */
#include "nn/rope.h"

#include <math.h>

static double rope_scale(double frequency, const struct rope *r)
{
    double turns = r->original * frequency / (2 * M_PI); /* over the original positions */
    if (turns < r->low)
        return frequency / r->factor;
    if (turns > r->high)
        return frequency;
    double blend = (turns - r->low) / (r->high - r->low);
    return (1 - blend) * frequency / r->factor + blend * frequency;
}

void rope_frequencies(float *inverse, int head_dim, const struct rope *r)
{
    for (int i = 0; i < head_dim / 2; i++) {
        double frequency = pow(r->theta, -2.0 * i / head_dim);
        inverse[i] = (float)(r->factor == 1 ? frequency : rope_scale(frequency, r));
    }
}
