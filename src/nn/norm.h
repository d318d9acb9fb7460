/* Normalisation of each row: layer norm (weight, bias) or RMS norm (weight alone). */
#ifndef NN_NORM_H
#define NN_NORM_H

#include "nn/param.h"
#include "tensor/ops.h"

struct norm {
    struct tensor weight, bias; /* [width]; bias undeclared: RMS norm */
    float eps;
};

void norm_init_layer(struct norm *n, int64_t width); /* eps 1e-5 */
void norm_init_rms(struct norm *n, int64_t width, float eps);
void norm_params(struct norm *n, struct param_visitor *v, const char *name);
struct tensor *norm_forward(struct norm *n, struct compute *c, struct tensor *x);

#endif
