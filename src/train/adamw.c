#include "train/adamw.h"
#include "base/memory.h"

#include <math.h>

int adamw_init(struct adamw *a, const struct param_list *params, struct error *err)
{
    *a = (struct adamw){.params = params};
    a->moments = memory_new((size_t)params->count + 1, sizeof *a->moments);
    if (!a->moments)
        goto no_memory;
    for (int64_t i = 0; i < params->count; i++) {
        const struct tensor *t = params->entries[i].tensor;
        if (!t->grad)
            continue;
        a->moments[i].m = memory_new((size_t)tensor_count(t), sizeof(float));
        a->moments[i].v = memory_new((size_t)tensor_count(t), sizeof(float));
        if (!a->moments[i].m || !a->moments[i].v)
            goto no_memory;
    }
    return 0;
no_memory:
    adamw_release(a);
    return error_set(err, ERROR_MEMORY, "out of memory for the optimiser");
}

void adamw_release(struct adamw *a)
{
    for (int64_t i = 0; a->moments && i < a->params->count; i++) {
        memory_free(a->moments[i].m);
        memory_free(a->moments[i].v);
    }
    memory_free(a->moments);
    *a = (struct adamw){0};
}

void adamw_clear(struct adamw *a, const struct device *device)
{
    for (int64_t i = 0; i < a->params->count; i++) {
        struct tensor *t = a->params->entries[i].tensor;
        if (a->moments[i].m)
            device->fill(t->grad, 0, tensor_count(t));
    }
}

static double gradient_norm(const struct adamw *a, const struct device *device)
{
    double sum = 0;
    for (int64_t i = 0; i < a->params->count; i++) {
        const struct tensor *t = a->params->entries[i].tensor;
        if (a->moments[i].m)
            sum += device->sum_of_squares(t->grad, tensor_count(t));
    }
    return sqrt(sum);
}

double adamw_update(struct adamw *a, const struct device *device, const struct stage_config *stage,
                    double rate)
{
    double norm = gradient_norm(a, device);
    if (!isfinite(norm))
        return norm;
    a->step++;
    struct adamw_step s = {
        .rate = (float)rate,
        .beta1 = (float)stage->beta1,
        .beta2 = (float)stage->beta2,
        .eps = 1e-8f,
        .correction1 = (float)(1 - pow(stage->beta1, (double)a->step)),
        .correction2 = (float)(1 - pow(stage->beta2, (double)a->step)),
        .grad_scale = norm > stage->clip ? (float)(stage->clip / norm) : 1,
    };
    for (int64_t i = 0; i < a->params->count; i++) {
        const struct param_entry *p = &a->params->entries[i];
        struct tensor *t = p->tensor;
        if (!a->moments[i].m)
            continue;
        s.decay = param_decays(p->kind) ? (float)stage->decay : 0;
        device->adamw(t->data, a->moments[i].m, a->moments[i].v, t->grad, &s, tensor_count(t));
        parameter_changed(t);
    }
    return norm;
}
