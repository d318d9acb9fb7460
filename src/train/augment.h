/*
 * From a sample to one training example. In this order:
 *
 *     cut and splice  words may come from other clips of the same speaker (same place in a sentence
 *                     of as many words), so that a fixed grammar's sentences are not learned by
 *                     heart; cuts on the 25 fps grid, sound and picture together; margins around
 *     speed           sound and picture resampled by one factor (pitch moves along: other voices)
 *     noise           babble at a random SNR (media/noise), gain
 *     log-mel         of the whole excerpt; then a smooth random curve over mels, masks
 *     pictures        shift, zoom, rotation, flip in one bilinear warp 96x96 -> 88x88, contrast,
 *                     masks, (x / 255 - 0.421) / 0.165 (reference-constants 4b)
 *
 * All randomness comes from one struct random, so an example is a function of (sample, seed).
 */
#ifndef TRAIN_AUGMENT_H
#define TRAIN_AUGMENT_H

#include "features/logmel.h"
#include "media/noise.h"
#include "train/excerpt.h"

/* When a token is said, ms from the beginning. */
struct token_time {
    double start, end;
};

struct example {
    int64_t frames;       /* at 25 fps; audio states are 2 times as many */
    int64_t mel_rows;     /* 4 frames; with audio.exact_window 2 positions: silence behind */
    float *mel;           /* [mel_rows, mels] or NULL: no sound, or not wanted */
    float *pictures;      /* [frames, 88, 88] normalised, or NULL */
    float *audio_states;  /* [2 frames, d]: what the frozen encoder made of it, where that is */
    float *video_states;  /* [frames, d]    cached (train/features_cache); else NULL */
    int32_t *audio_label; /* [2 frames] class at the centre of each 20 ms; -1: unknown */
    int32_t *video_label; /* [frames] */
    int32_t *ids;         /* [id_count] tokens of the transcript */
    int id_count;
    struct token_time *times; /* [id_count], or NULL: not known */
};

struct augment {
    const struct dataset *dataset;
    const struct train_config *config;
    const struct tokenizer *tokenizer;
    const struct logmel *logmel;
    const struct noise *noise; /* NULL: none */
    int mels;
};

/* streams: of train/excerpt.h. Thread-safe on one `augment`; the example's memory is its own, freed
 * by example_release. */
int augment_example(struct example *e, const struct augment *augment, const struct sample *sample,
                    unsigned streams, const struct stage_config *stage, int64_t step,
                    struct random *random, struct error *err);
void example_release(struct example *e);

#endif
