/*
 * What a configuration will cost, before it starts: `mome train --dry-run`. A few clips of each
 * source, taken evenly, are read (into the cache, where the run finds them again), and each stage
 * makes three steps on them with the model as it will be; nothing else is left behind. So times and
 * activations are measured on this machine, not modelled:
 *
 *     counted      parameters, memory of weights, gradients and moments, disk
 *     drawn        what steps consist of: clips, tokens at each rate, rows of the LLM
 *     multiplied   arithmetic (eval/cost): forward 1; gradient of what goes in 1 where something
 *                  before it learns; gradient of weights 1 where they learn; cached encoders 0
 *     measured     seconds a step, once warm; the arena's peak
 *
 * Whole clips are counted; a stage that cuts excerpts is cheaper by as much.
 */
#ifndef TRAIN_DRY_RUN_H
#define TRAIN_DRY_RUN_H

#include "train/dataset.h"

enum { DRY_MOST_PARTS = 10 };

struct dry_part {
    const char *name;
    int64_t parameters;
    double bytes;  /* as it lies in memory, or in the file it is mapped from */
    unsigned part; /* enum train_part; 0: always frozen */
};

/* What a clip becomes at a rate: tokens, on average. */
struct dry_rate {
    bool video;
    int rate;
    double tokens;
};

struct dry_stage {
    const char *name;
    unsigned parts;                                        /* trained */
    int64_t trained;                                       /* parameters */
    double gradient_bytes, moment_bytes, activation_bytes; /* activations: measured, this stage */
    double recomputed;       /* share of the steps whose layers ran again, by memory_gb */
    double features_bytes;   /* on disk, of frozen encoders; 0: not kept */
    double features_seconds; /* to make them, once */
    double clips;            /* a step */
    double rows;             /* through the LLM, a step */
    double flops;            /* a step */
    double seconds;          /* a step, measured */
    int64_t steps;
    double steps_an_epoch;
};

struct dry_run {
    int part_count, rate_count, stage_count;
    struct dry_part parts[DRY_MOST_PARTS];
    struct dry_rate rates[2 * CONFIG_MAX_RATES];
    struct dry_stage stages[TRAIN_MAX_STAGES];
    int64_t clips;                        /* lines of all manifests */
    int probed;                           /* of them, read here */
    double clip_seconds;                  /* mean length */
    double prompt_tokens, text_tokens;    /* mean of a clip: around the media; of the transcript */
    double clips_bytes;                   /* of all clips, in memory and as much on disk */
    double checkpoint_bytes, model_bytes; /* on disk: the largest checkpoint; best/ */
    double peak_bytes;                    /* of this process, measured */
};

/* progress: clips read and steps made, of all. */
int dry_run(struct dry_run *report, const struct train_config *config,
            const struct dataset_progress *progress, struct error *err);

#endif
