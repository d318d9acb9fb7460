/*
 * The mean of the last checkpoints: weights that a falling learning rate still shakes lie around a
 * better place than any of them (Izmailov et al. 2018, arXiv 1803.05407; auto_avsr averages its
 * last ten). A stage with "average": k keeps what it trains at its last k validations in
 *
 *     OUTPUT/average/STEP.safetensors     float32
 *
 * and takes their mean at its end. Running statistics of batch norm are averaged with the rest.
 */
#ifndef TRAIN_AVERAGE_H
#define TRAIN_AVERAGE_H

#include "models/params.h"

/* A stage begins: what an earlier one, or an earlier run, kept is deleted; the folder is made. */
int average_start(const char *folder, struct error *err);
/* Keeps the parameters that have a gradient, and running statistics, as those of a step; the oldest
   are deleted, so that at most `most` are there. The same step again is written over. */
int average_keep(const char *folder, const struct param_list *params, int64_t step, int most,
                 struct error *err);
/* The parameters that have a gradient, and running statistics, become the mean of all that is
   kept. *count (may be NULL): of how many; 0: nothing is kept, nothing changes. */
int average_take(const char *folder, const struct param_list *params, int *count,
                 struct error *err);

#endif
