/*
 * A data set (train/import.h) made ready for training, in a folder:
 *
 *     OUT/manifest.tsv     path, text, words_ms and, where there are splits, split
 *     OUT/SPLIT.tsv        the same, of one split each
 *     OUT/dropped.tsv      path, reason, detail: what was left out
 *     OUT/clips, pieces    prepared clips (train/prepare_clip.h)
 *     OUT/work/I-of-N.tsv  what was done (train/prepare_journal.h)
 *
 * A clip is done again only if its file, its sound, the cuts or the options have changed. With
 * shards, each run does every n-th clip; whichever finds that nothing is left to do writes the
 * lists. So runs may be killed, repeated, or begun anew with another number of shards.
 */
#ifndef TRAIN_PREPARE_H
#define TRAIN_PREPARE_H

#include "train/import.h"
#include "train/prepare_clip.h"

struct prepare_options {
    const char *source, *output;
    enum import_format format;
    const char *split; /* only that one's clips; NULL: all */
    enum prepare_streams streams;
    int32_t most_ms;   /* longest clip; a multiple of 40, at least 480 */
    int shard, shards; /* shard 1 .. shards */
    int jobs;          /* threads */
    /* After every clip of this run; a return other than 0 cancels. `left_out` of `done`. */
    int (*report)(void *arg, int64_t done, int64_t total, int64_t left_out);
    void *arg;
};

struct prepare_summary {
    enum import_format format;
    int64_t clips;          /* of the data set, with what the importer left out */
    int64_t done;           /* by this run */
    int64_t waiting;        /* for other shards; 0: the lists are written */
    int64_t kept, files;    /* clips, and what was made of them (more, where some are cut) */
    double hours;           /* of these files */
    int64_t dropped[DROPS]; /* clips by reason */
    int64_t pieces_dropped; /* of clips that are kept in part */
    int64_t without_words;  /* files whose words' times reach beyond the end, and were left out */
};

int prepare(struct prepare_summary *summary, const struct prepare_options *options,
            struct error *err);

#endif
