/*
 * A run's state in one file: "model.NAME" (heads too), "adamw.m.NAME", "adamw.v.NAME" and, as JSON,
 * the stage, the step and the best validation so far. Moments are those of the stage that runs; at
 * a stage's start (step 0) there are none.
 */
#ifndef TRAIN_TRAIN_CHECKPOINT_H
#define TRAIN_TRAIN_CHECKPOINT_H

#include "train/adamw.h"

struct train_position {
    int stage;
    int64_t step;    /* steps of the stage that are done */
    double best_wer; /* -1: none yet */
    uint64_t seed;
};

int train_checkpoint_save(const char *path, const struct param_list *params, const struct adamw *a,
                          const struct train_position *position, struct error *err);
/* The position alone. */
int train_checkpoint_position(struct train_position *position, const char *path, struct error *err);
/* Weights; and moments where a is not NULL. */
int train_checkpoint_load(const char *path, const struct param_list *params, struct adamw *a,
                          struct error *err);

#endif
