/*
 * AdamW (Loshchilov, Hutter 2019) over the parameters of a list that have a gradient. Decay goes to
 * weights, not to biases, norms and slopes (nn/param.h). Gradients are clipped by their
 * global norm (system.md section 3).
 */
#ifndef TRAIN_ADAMW_H
#define TRAIN_ADAMW_H

#include "models/params.h"
#include "tensor/device.h"
#include "train/train_config.h"

struct moments {
    float *m, *v; /* [elements]; NULL where the parameter is frozen */
};

struct adamw {
    const struct param_list *params; /* borrowed */
    struct moments *moments;         /* [params->count] */
    int64_t step;                    /* updates made */
};

int adamw_init(struct adamw *a, const struct param_list *params, struct error *err);
void adamw_release(struct adamw *a); /* also fine on a zeroed struct */

/* Sets all gradients to zero. */
void adamw_clear(struct adamw *a, const struct device *device);
/* One update at `rate`; returns the gradient norm before clipping. When it is not finite nothing is
   changed. */
double adamw_update(struct adamw *a, const struct device *device, const struct stage_config *stage,
                    double rate);

#endif
