/*
 * An excerpt: sound, mouth pictures and timed words of (a piece of) a sample, cut and spliced on
 * the 25 fps grid, optionally played faster or slower. The raw material of an example.
 */
#ifndef TRAIN_EXCERPT_H
#define TRAIN_EXCERPT_H

#include "train/dataset.h"

struct excerpt {
    int64_t frames;
    float *pcm;     /* [frames * FRAME_SAMPLES] or NULL */
    uint8_t *mouth; /* [frames, 96, 96] or NULL */
    struct timed_word *words;
    int word_count;
};

/* The streams that an excerpt is wanted with: what a sample has else, is not copied. */
enum { EXCERPT_SOUND = 1, EXCERPT_PICTURES = 2 };
/* The cuts are the same whatever the streams. */
int excerpt_make(struct excerpt *x, const struct dataset *d, const struct sample *sample,
                 unsigned streams, double splice, const struct augment_config *augment,
                 struct random *random, struct error *err);
/* Plays it `factor` times as fast: frames' = frames / factor; pictures by nearest, sound by cubic
   interpolation (so that pitch and formants move along). */
int excerpt_change_speed(struct excerpt *x, double factor, struct error *err);
void excerpt_release(struct excerpt *x);

#endif
