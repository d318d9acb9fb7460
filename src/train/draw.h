/*
 * What a step trains on, drawn from (seed, stage, step) alone, so that whoever makes the examples
 * (this process or another, now or after a resume) makes the same ones:
 *
 *   clips   a first one by the sources' weights, then others of similar length, until there are
 *           `batch` of them or their frames are more than `frames`
 *   tasks   each with its share, of those that the clip's streams and the model allow; if none was
 *           drawn, the richest
 *   pairs   all rate pairs of a task, or `pairs` different ones of them
 *   copy    which of the clip's fixed augmentations it is, where the stage has them
 */
#ifndef TRAIN_DRAW_H
#define TRAIN_DRAW_H

#include "models/config.h"
#include "train/dataset.h"

enum { DRAW_MOST_ASKS = CONFIG_MAX_RATES * (CONFIG_MAX_RATES + 2) };

/* One use of an example: a request to come. A rate is 0 where the task lacks the modality. */
struct ask {
    enum task task;
    int audio_rate, video_rate;
    double weight; /* of its loss: the task's times the pair's */
};

struct draw {
    const struct sample *sample;
    int copy; /* 0 .. stage->copies - 1 */
    int ask_count;
    struct ask asks[DRAW_MOST_ASKS];
};

/* draws has room for stage->batch; returns how many there are, at least 1. */
int draw_step(struct draw *draws, const struct dataset *dataset, const struct train_config *config,
              const struct stage_config *stage, struct random *random);

/* What all losses of a step are divided by: the sum of the asks' weights. */
double draw_weight(const struct draw *draws, int count);
/* Whether an ask before this one is for the same rate: one projector run serves both. */
bool draw_asked_before(const struct draw *draw, int ask, bool video);

#endif
