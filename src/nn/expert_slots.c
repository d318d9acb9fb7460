#include "nn/expert_slots.h"
#include "base/memory.h"

#include <assert.h>

int expert_slots_init(struct expert_slots *s, int layers, int routed, struct error *err)
{
    *s = (struct expert_slots){0};
    if (!layers || !routed)
        return 0;
    s->count = memory_new((size_t)layers * (size_t)routed, sizeof *s->count);
    if (!s->count)
        return error_set(err, ERROR_MEMORY, "out of memory");
    s->layers = layers;
    s->routed = routed;
    return 0;
}

void expert_slots_release(struct expert_slots *s)
{
    memory_free(s->count);
    *s = (struct expert_slots){0};
}

void expert_slots_choose(struct expert_slots *s, const int32_t *chosen, int64_t all, int active,
                         struct span rows)
{
    for (int layer = 0; layer < s->layers; layer++) {
        double *count = s->count + (int64_t)layer * s->routed;
        const int32_t *k = chosen + (layer * all + rows.start) * active;
        for (int64_t i = 0; i < rows.length * active; i++)
            if (k[i] >= 0)
                count[k[i]]++;
    }
}

void expert_slots_join(struct expert_slots *s, struct expert_slots *others)
{
    if (!s->count) {
        *s = *others;
        *others = (struct expert_slots){0};
        return;
    }
    assert(!others->count || (others->layers == s->layers && others->routed == s->routed));
    for (int64_t i = 0; i < (int64_t)others->layers * others->routed; i++)
        s->count[i] += others->count[i];
    expert_slots_release(others);
}

void expert_slots_share(double *share, const struct expert_slots *s)
{
    for (int layer = 0; layer < s->layers; layer++, share += s->routed) {
        const double *count = s->count + (int64_t)layer * s->routed;
        double all = 0;
        for (int i = 0; i < s->routed; i++)
            all += count[i];
        for (int i = 0; i < s->routed; i++)
            share[i] = all > 0 ? count[i] / all : 0;
    }
}
