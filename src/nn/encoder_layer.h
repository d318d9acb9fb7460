/*
 * The pre-norm transformer layer that both encoders are made of (their published files even use the
 * same names for it):
 *
 *     h = x + dropout(attention(norm(x)))        every row sees all rows of its sequence
 *     y = h + dropout(fc2(gelu(fc1(norm(h)))))
 *
 * x, y [rows, d], packed.
 */
#ifndef NN_ENCODER_LAYER_H
#define NN_ENCODER_LAYER_H

#include "nn/attention.h"
#include "nn/norm.h"

struct encoder_layer {
    struct norm attention_norm, ffn_norm;
    struct self_attention attention;
    struct linear fc1, fc2;
    float dropout;
};

void encoder_layer_init(struct encoder_layer *l, int d, int heads, int ffn, bool k_bias,
                        float dropout);
void encoder_layer_params(struct encoder_layer *l, struct param_visitor *v);
struct tensor *encoder_layer_forward(struct encoder_layer *l, struct compute *c, struct tensor *x,
                                     const struct span *spans, int count);

#endif
