/* SwiGLU feed-forward of Llama: down(silu(gate(x)) * up(x)). The encoders' GELU one is two lines of
   encoder_layer.c. */
#ifndef NN_FEEDFORWARD_H
#define NN_FEEDFORWARD_H

#include "nn/linear.h"

struct swiglu {
    struct linear gate, up, down; /* d -> width, d -> width, width -> d */
};

void swiglu_init(struct swiglu *f, int d, int width);
void swiglu_params(struct swiglu *f, struct param_visitor *v, const char *name,
                   enum param_kind kind);
struct tensor *swiglu_forward(struct swiglu *f, struct compute *c, struct tensor *x);

#endif
