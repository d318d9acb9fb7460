/*
 * A stack of layers without a tape needs nothing of a layer but its result: so each layer's memory
 * is given back behind it, and the same (cache-warm) pages serve them all.
 */
#ifndef NN_KEEP_H
#define NN_KEEP_H

#include "tensor/tensor.h"

/* y: result of a layer that began at arena mark `mark`, from x of the same shape, which the caller
   owns. Recording: y. Else: y's numbers put into x, the arena rewound. */
struct tensor *layer_keep(struct compute *c, size_t mark, struct tensor *x, struct tensor *y);

#endif
