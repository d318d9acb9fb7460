/*
 * From one encoder's rows at one rate to the LLM's: pool (average, or stack, each `rate` rows, the
 * remainder dropped), then Linear, ReLU, Linear [, LayerNorm]. Names: 0, 2, 3, as published in
 * sequential containers.
 */
#ifndef MODELS_PROJECTOR_H
#define MODELS_PROJECTOR_H

#include "models/config.h"
#include "nn/linear.h"
#include "nn/norm.h"

struct projector {
    int rate;
    bool stack;
    struct linear in, out;
    struct norm norm; /* undeclared where the configuration has none */
};

void projector_init(struct projector *p, const struct projector_config *config, int rate,
                    int d_encoder, int d_llm);
void projector_params(struct projector *p, struct param_visitor *v);
/* `to`, declared with the same shapes and without numbers, gets those of `from`. */
int projector_copy(struct projector *to, const struct projector *from, struct error *err);
/* states [rows, d_encoder], spans[count] of it -> [sum of length / rate, d_llm], packed. Where
   frames are averaged, `rate` may be another than the projector's own. */
struct tensor *projector_forward(struct projector *p, struct compute *c, struct tensor *states,
                                 const struct span *spans, int count, int rate);

#endif
