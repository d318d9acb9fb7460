/*
 * `mome train`: the stages of a configuration, one after the other, from random weights or from
 * where a run stopped.
 *
 * The output folder:
 *
 *     tokenizer.json          learned from transcripts.txt when the run starts from nothing
 *     checkpoint.safetensors  weights (but those that lie in other files), heads, AdamW's moments,
 *                             stage and step; written every save_seconds (five minutes), at the end
 *                             of each stage and on a stop, atomically
 *     log.jsonl               one object a step, and one a validation
 *     best/                   the model folder with the lowest validation WER of the last stage
 *                             (without validation: the model at its end)
 *     average/                what a stage with "average" keeps of its last validations
 *
 * All randomness of a step is drawn from (seed, stage, step), so a resumed run does exactly what an
 * uninterrupted one does. Of several ranks (train/distributed) the first alone writes; the folder
 * must be one that all can read.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "train/objective.h"

struct train_report {
    const char *stage;
    int stage_index, stage_count;
    int64_t step, steps; /* of the stage, step from 1 */
    struct measures measures;
    double gradient_norm, rate;
    int clips; /* of this step */
    double clips_per_second;
    double seconds_left;   /* of this stage */
    double validation_wer; /* -1: none at this step */
    double best_wer;       /* so far; -1: none */
};

struct train_options {
    bool resume;        /* go on from the output folder's checkpoint, if it is there */
    int64_t most_steps; /* stop after so many steps in this call; 0: no limit (for tests) */
    struct distributed *distributed; /* NULL: this process alone; else collective */
    /* On rank 0, after each step, and each validation. A return other than 0 saves and stops:
       ERROR_CANCELLED. */
    int (*step)(void *arg, const struct train_report *report);
    /* While clips are read, and for remarks (text not NULL). As dataset_progress. */
    int (*load)(void *arg, int done, int total, const char *text);
    /* While frozen encoders' features are made (train/features_cache); the same. */
    int (*encode)(void *arg, int done, int total, const char *text);
    void *arg;
};

int train(const struct train_config *config, const struct train_options *options,
          struct error *err);

#endif
