/*
 * Where somebody speaks: voice activity, for each frame of 40 ms, as a stream.
 *
 *     input   log10 of 40 mel powers (features/logmel), mean of the frame's four hops
 *     net     three convolutions over time, 5 taps, dilation 1, 2, 4, 48 channels, ReLU; then
 *             one logit: it sees VOICE_CONTEXT frames on both sides
 *
 * Sounds that are no speech (music, noise, silence) are what it was trained to tell apart, which
 * an energy threshold can't; speech in noise it finds down to about 0 dB. Weights, 132 KB, are
 * built into the program from models/voice; tools/train-voice.py made them.
 *
 *     voice_push(v, pcm, samples, err);  ...  voice_finish(v, err);
 *     while (voice_pop(v, &probability)) ...    a frame, in order
 */
#ifndef FEATURES_VOICE_H
#define FEATURES_VOICE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    VOICE_CONTEXT = 14, /* frames: 560 ms */
    VOICE_BLOCK = 5,    /* frames that are looked at together */
    VOICE_PUSH = 16000, /* samples at a time, at most */
};

struct voice;

int voice_new(struct voice **v, struct error *err);
void voice_free(struct voice *v); /* NULL is fine */

/* Sound at 16 kHz; what it decides is popped before the next push. Frames come out once the
   VOICE_CONTEXT + VOICE_BLOCK that follow are there, or no more come. */
int voice_push(struct voice *v, const float *pcm, int64_t samples, struct error *err);
int voice_finish(struct voice *v, struct error *err); /* a frame that is not full counts as one */
bool voice_pop(struct voice *v, float *probability);

#endif
