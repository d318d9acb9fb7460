#include "train/gradients.h"
#include "base/memory.h"

#include <assert.h>

enum {
    ALIGNMENT = 16,  /* floats: as parameters' own memory */
    BUCKET = 1 << 16 /* floats: 256 KiB, where the cost of a message no longer counts */
};

static int64_t rounded(int64_t count)
{
    return (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int gradients_init(struct gradients *g, const struct param_list *params,
                   struct distributed *distributed, struct error *err)
{
    int64_t at = 0;
    *g = (struct gradients){.params = params, .distributed = distributed};
    for (int64_t i = 0; i < params->count; i++)
        if (params->entries[i].tensor->grad)
            g->count += rounded(tensor_count(params->entries[i].tensor));
    g->buckets = (int)((g->count + BUCKET - 1) / BUCKET);
    g->unsent = g->buckets;
    g->values = memory_new((size_t)g->count + 1, sizeof *g->values);
    g->pending = memory_new((size_t)g->buckets + 1, sizeof *g->pending);
    if (!g->values || !g->pending) {
        memory_free(g->values);
        memory_free(g->pending);
        *g = (struct gradients){0};
        return error_set(err, ERROR_MEMORY, "out of memory for the gradients");
    }
    for (int64_t i = 0; i < params->count; i++) {
        struct tensor *t = params->entries[i].tensor;
        if (!t->grad)
            continue;
        memory_free(t->grad);
        t->grad = g->values + at;
        at += rounded(tensor_count(t));
    }
    return 0;
}

static bool is_ours(const struct gradients *g, const float *grad)
{
    return grad && grad >= g->values && grad < g->values + g->count;
}

void gradients_release(struct gradients *g)
{
    for (int64_t i = 0; g->values && i < g->params->count; i++) {
        struct tensor *t = g->params->entries[i].tensor;
        if (is_ours(g, t->grad)) {
            t->grad = NULL;
            t->needs_grad = false;
        }
    }
    memory_free(g->values);
    memory_free(g->pending);
    *g = (struct gradients){0};
}

void gradients_clear(struct gradients *g, const struct device *device)
{
    device->fill(g->values, 0, g->count);
}

/* The first and last bucket that a parameter's gradient lies in. */
static int first_bucket(const struct gradients *g, const struct tensor *t)
{
    assert(is_ours(g, t->grad));
    return (int)((t->grad - g->values) / BUCKET);
}

static int last_bucket(const struct gradients *g, const struct tensor *t)
{
    return (int)((t->grad - g->values + tensor_count(t) - 1) / BUCKET);
}

static void send_next(struct gradients *g)
{
    int64_t start = (int64_t)--g->unsent * BUCKET, left = g->count - start;
    distributed_start_sum(g->distributed, g->values + start, left < BUCKET ? left : BUCKET);
}

static void on_used(void *arg, struct tensor *parameter)
{
    struct gradients *g = arg;
    for (int b = first_bucket(g, parameter); b <= last_bucket(g, parameter); b++)
        g->pending[b]--;
    while (g->unsent > 0 && g->pending[g->unsent - 1] == 0)
        send_next(g);
    distributed_progress(g->distributed);
}

void gradients_watch(struct gradients *g, struct tape *tape)
{
    if (g->distributed->ranks < 2)
        return;
    tape->used = on_used;
    tape->used_arg = g;
}

void gradients_expect(struct gradients *g, const struct tape *tape)
{
    for (int b = 0; b < g->buckets; b++)
        g->pending[b] = 0;
    for (int64_t i = 0; i < tape->use_count; i++) {
        const struct tensor *t = tape->uses[i].parameter;
        for (int b = first_bucket(g, t); b <= last_bucket(g, t); b++)
            g->pending[b]++;
    }
}

void gradients_finish(struct gradients *g, struct tape *tape)
{
    tape->used = NULL;
    while (g->unsent > 0)
        send_next(g);
    distributed_wait(g->distributed);
    g->unsent = g->buckets;
}
