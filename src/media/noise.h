/*
 * Noise mixed into speech at a chosen ratio, by energy over the whole utterance:
 *
 *     mix = speech + g * noise,    g = sqrt(E_speech / (E_noise * 10^(snr_db / 10)))
 *
 * E are mean squares over the utterance and over the piece of noise that is laid under it. The
 * piece starts at a sample drawn from `seed` (the same seed, the same mix) and wraps around where
 * the noise is shorter than what is left. Should the mix leave [-1, 1], all of it is scaled to fit,
 * which keeps the ratio.
 */
#ifndef MEDIA_NOISE_H
#define MEDIA_NOISE_H

#include "base/error.h"

#include <stdint.h>

struct noise {
    float *pcm; /* [samples], 16 kHz mono; owned */
    int64_t samples;
};

/* Reads the sound of any media file, up to an hour of it. */
int noise_load(struct noise *noise, const char *path, struct error *err);
void noise_release(struct noise *noise);

/* Mixes in place. Returns g; 0, with pcm unchanged, where there is nothing to mix: noise NULL or
   empty, a silent utterance, a silent piece of noise, or snr_db not finite (infinity = clean). */
double noise_mix(float *pcm, int64_t samples, const struct noise *noise, double snr_db,
                 uint64_t seed);

#endif
