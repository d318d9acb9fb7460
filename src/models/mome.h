/*
 * The MoME modules of all LLM layers (nn/experts.h is one of them). They are a part of their own
 * beside the frozen LLM: names layers.N.{down,up,router}.weight; the layer at N runs module N in
 * parallel to its attention, its feed-forward or itself (config.placement).
 */
#ifndef MODELS_MOME_H
#define MODELS_MOME_H

#include "models/config.h"
#include "nn/experts.h"

struct mome {
    struct mome_config config;
    struct experts *layers; /* [count]; NULL where placement is none */
    int count;
};

/* routers: how many each module has (1, or one per rate pair) */
int mome_init(struct mome *m, const struct mome_config *config, int layers, int d, int routers,
              struct error *err);
void mome_release(struct mome *m); /* tensors are released by a walk before */
void mome_params(struct mome *m, struct param_visitor *v);

#endif
