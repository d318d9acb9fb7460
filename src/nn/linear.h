/* y = x W^T + b. */
#ifndef NN_LINEAR_H
#define NN_LINEAR_H

#include "nn/param.h"
#include "tensor/ops.h"

struct linear {
    struct tensor weight, bias; /* [out, in], [out] or undeclared */
};

void linear_init(struct linear *l, int64_t in, int64_t out, bool bias);
void linear_params(struct linear *l, struct param_visitor *v, const char *name,
                   enum param_kind kind); /* of the weight */
struct tensor *linear_forward(struct linear *l, struct compute *c, struct tensor *x);
/* y[i] of l[i], of one x, count <= LINEARS_MOST */
void linears_forward(struct linear *const *l, int count, struct compute *c, struct tensor **y,
                     struct tensor *x);

/* gelu of that where asked, plus `add` or NULL: one op where nothing is recorded */
struct tensor *linear_followed(struct linear *l, struct compute *c, struct tensor *x, bool gelu,
                               struct tensor *add);

/* The bias as ops want it: NULL where there is none. */
static inline struct tensor *param_or_null(struct tensor *t)
{
    return t->dims > 0 ? t : NULL;
}

#endif
