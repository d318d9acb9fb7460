/*
 * From a batch that is padded to one length, x [items * frames, w], to its valid rows alone,
 * packed, and back with zeros where the padding was. When nothing is padded both are the identity.
 */
#ifndef NN_PACKING_H
#define NN_PACKING_H

#include "tensor/ops.h"

struct packing {
    int64_t items, frames, rows; /* rows: valid ones in all */
    struct span *spans;          /* [items], of the packed rows */
    int32_t *valid, *position; /* [rows] padded row of a packed one; [items * frames] packed row of
                                  a padded one, or -1; NULL where nothing is padded */
};

/* lengths[items], each <= frames, or NULL: all full. Memory of c->arena. */
void packing_init(struct packing *p, struct compute *c, int64_t items, int64_t frames,
                  const int64_t *lengths);
struct tensor *packing_pack(const struct packing *p, struct compute *c, struct tensor *x);
struct tensor *packing_unpack(const struct packing *p, struct compute *c, struct tensor *x);
/* Padded rows set to zero, layout kept (what a convolution over time has to see). */
struct tensor *packing_blank(const struct packing *p, struct compute *c, struct tensor *x);

#endif
