/* The modules as a part with its own walk; llama.c runs them. */
#include "models/mome.h"

int mome_init(struct mome *m, const struct mome_config *config, int layers, int d, int routers,
              struct error *err)
{
    *m = (struct mome){.config = *config};
    if (config->placement == MOME_NONE)
        return 0;
    m->layers = memory_new((size_t)layers, sizeof *m->layers);
    if (!m->layers)
        return error_set(err, ERROR_MEMORY, "no memory for %d modules of experts", layers);
    m->count = layers;
    struct experts_sizes sizes = {.width = d,
                                  .routed = config->routed,
                                  .active = config->active,
                                  .shared = config->shared,
                                  .bottleneck = config->bottleneck,
                                  .routers = routers,
                                  .biases = config->biases,
                                  .renormalise = config->renormalise};
    for (int i = 0; i < layers; i++)
        experts_init(&m->layers[i], &sizes);
    return 0;
}

void mome_release(struct mome *m)
{
    memory_free(m->layers);
    m->layers = NULL;
    m->count = 0;
}

void mome_params(struct mome *m, struct param_visitor *v)
{
    for (int i = 0; i < m->count; i++) {
        size_t mark = param_enter(v, "layers.%d.", i);
        experts_params(&m->layers[i], v);
        param_leave(v, mark);
    }
}
