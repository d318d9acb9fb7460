/*
 * What frozen encoders make of the training clips, computed once and kept on disk, where a stage
 * asks for so many fixed augmentations of each clip ("copies") instead of new ones in every step.
 *
 * One file per (clip, copy, modality) in CACHE/features, named by a hash of all that its numbers
 * depend on: the clip's samples or crops, the encoder's weights and window, the precision, and,
 * where any augmentation touches the stream, its settings, the noise and the copy. Other
 * settings thus mean other files; old ones are never read by mistake.
 *
 *     offset  bytes
 *     0       8      "MOMEFEAT"
 *     8       4      version
 *     12      4      width d
 *     16      8      rows
 *     24      8      key
 *     32      8      hash of the payload
 *     40             bfloat16 states[rows][d]
 *
 * all little-endian. Written to a temporary and renamed, so that processes may share a folder.
 */
#ifndef TRAIN_FEATURES_CACHE_H
#define TRAIN_FEATURES_CACHE_H

#include "models/recognizer.h"
#include "train/augment.h"
#include "train/draw.h"

struct features_cache {
    char *folder;      /* NULL: the stage keeps nothing */
    unsigned streams;  /* EXCERPT_SOUND, EXCERPT_PICTURES: of frozen encoders */
    uint64_t start[2]; /* hash of what all clips of a modality have in common */
    bool touched[2];   /* some augmentation reaches this modality: copies differ */
    int64_t width[2];
    const struct augment *augment;
    const struct stage_config *stage;
};

/* `augment` and `stage` are borrowed. precision: what the encoders compute in. */
int features_cache_init(struct features_cache *f, struct recognizer *r,
                        const struct augment *augment, const struct stage_config *stage,
                        enum precision precision, struct error *err);
void features_cache_release(struct features_cache *f); /* also fine on a zeroed struct */

/* The randomness that a clip's copy is augmented with, whatever the step and the other clips. */
void features_cache_seed(struct random *random, const struct draw *draw);

/* Makes what is missing. progress: done and total of files, as they are made; a return other than 0
   cancels. c says device and precision. */
int features_cache_fill(const struct features_cache *f, struct recognizer *r,
                        const struct compute *c, const struct dataset_progress *progress,
                        struct error *err);

/* The states of a drawn example: sets e->audio_states, e->video_states. Thread-safe. */
int features_cache_read(const struct features_cache *f, struct example *e, const struct draw *draw,
                        struct error *err);

#endif
