/*
 * The gradients of all trained parameters in one flat buffer, in the order of the parameter walk,
 * so that ranks can add theirs up (train/distributed) while the backward pass goes on:
 *
 *     walk     audio .. | video .. | projectors | LLM layer 0, 1 .. | experts 0, 1 ..
 *     buckets  [ 0 ][ 1 ][ 2 ] ..                                        [ count - 1 ]
 *                                                  <- backward, and sums set off, from the end
 *
 * A bucket's sum is set off when every use of the parameters in it has been walked back over
 * (tensor.h, tape.used), and those of the buckets behind it have been set off: all ranks need one
 * order, and a rank whose clips use no projector of some rate has no uses to wait for.
 */
#ifndef TRAIN_GRADIENTS_H
#define TRAIN_GRADIENTS_H

#include "models/params.h"
#include "tensor/device.h"
#include "train/distributed.h"

struct gradients {
    const struct param_list *params; /* borrowed */
    struct distributed *distributed; /* borrowed */
    float *values;                   /* [count]; each parameter at a multiple of 16 */
    int64_t count;
    int buckets, unsent; /* buckets [unsent, buckets) are on their way */
    int32_t *pending;    /* [buckets] uses that are not walked back over yet */
};

/* Takes over the gradients of the list's parameters that have one; zero. */
int gradients_init(struct gradients *g, const struct param_list *params,
                   struct distributed *distributed, struct error *err);
/* The parameters have no gradient afterwards: they are frozen. Also fine on a zeroed struct. */
void gradients_release(struct gradients *g);

void gradients_clear(struct gradients *g, const struct device *device);

/* Before the forward pass whose backward pass is the step's last on this rank: it will set sums
   off. */
void gradients_watch(struct gradients *g, struct tape *tape);
/* Between the two passes. */
void gradients_expect(struct gradients *g, const struct tape *tape);
/* After the backward pass (or without one, where the rank had nothing to train on): sets off what
   is left, waits. Every rank then has the sum of all ranks' gradients. */
void gradients_finish(struct gradients *g, struct tape *tape);

#endif
