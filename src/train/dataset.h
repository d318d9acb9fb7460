/*
 * The training clips, decoded once (features/clip_cache) and held in memory: sound as float 16 kHz,
 * mouth crops as bytes, the transcript, and, where the manifest has word times, the words with
 * their classes for the auxiliary frame loss (class 0 is silence; the words of all sources in
 * alphabetical order follow). Streams that the model has no encoder for are not read; clips that
 * cannot be trained on (unreadable, too short, longer than the encoders take, word times beyond the
 * end) are told of and left out.
 */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include "base/random.h"
#include "features/clip.h"
#include "train/train_config.h"

#define FRAME_MS 40 /* at 25 fps */

struct timed_word {
    int start_ms, end_ms;
    int label;  /* class of the frame loss */
    char *text; /* borrowed from the dataset */
};

struct sample {
    struct clip clip;
    uint64_t sound_hash, mouth_hash; /* of the clip's samples, of its crops */
    char *path, *text;
    int source;
    struct timed_word *words; /* [word_count]; 0: the manifest has no times */
    int word_count;
};

struct dataset {
    struct sample *samples;
    int count, capacity;
    int source_start[TRAIN_MAX_SOURCES + 1]; /* samples of source s: [start[s], start[s + 1]) */
    double source_share[TRAIN_MAX_SOURCES];  /* cumulative chance of drawing from source 0 .. s */
    char **labels;                           /* [label_count] words; labels[0] = "" is silence */
    int label_count;
};

/* Called as clips are read; a return other than 0 cancels (ERROR_CANCELLED). `note`, when not NULL,
   tells of a clip or a manifest line that was left out, and why. */
struct dataset_progress {
    int (*report)(void *arg, int done, int total, const char *note);
    void *arg;
};

/* Reads all sources. */
int dataset_load(struct dataset *d, const struct train_config *config,
                 const struct dataset_progress *progress, struct error *err);
void dataset_release(struct dataset *d);

/* Length at 25 fps: what both streams have, where both are there. */
int64_t sample_frames(const struct sample *s);

/* A sample by the sources' weights. */
const struct sample *dataset_draw(const struct dataset *d, struct random *random);
/* The first of four draws that is up to half longer or shorter, else the nearest: batches of
   similar clips waste little padding, and sources stay mixed (batch norm sees all of them). */
const struct sample *dataset_draw_near(const struct dataset *d, const struct sample *like,
                                       struct random *random);
/* Another sample of the same source with as many timed words, or `like` itself. */
const struct sample *dataset_draw_like(const struct dataset *d, const struct sample *like,
                                       struct random *random);

#endif
