/* Rows of keys and values per layer and slot; reordering by one layer's worth of scratch. */
#include "nn/kv_cache.h"

#include <assert.h>
#include <string.h>

int kv_cache_init(struct kv_cache *k, int layers, int slots, int64_t capacity, int width,
                  enum dtype dtype, struct error *err)
{
    assert(layers > 0 && slots > 0 && capacity > 0 && width > 0);
    assert(dtype == DTYPE_F32 || dtype == DTYPE_BF16);
    size_t size = (size_t)dtype_bytes(dtype, 1), layer, all,
           spare = 2 * (size_t)slots * sizeof *k->slot + 4096; /* and alignment */
    *k = (struct kv_cache){
        .layers = layers, .slots = slots, .width = width, .capacity = capacity, .dtype = dtype};
    if (__builtin_mul_overflow((size_t)slots * (size_t)width, (size_t)capacity, &layer) ||
        __builtin_mul_overflow(layer, (2 * (size_t)layers + 1) * size, &all) || all > SIZE_MAX / 2)
        return error_set(err, ERROR_MEMORY, "no memory for a cache of %d x %lld tokens", slots,
                         (long long)capacity);
    int rc = arena_init(&k->memory, all + spare, err);
    if (rc != 0)
        return rc;
    k->keys = arena_alloc(&k->memory, layer * (size_t)layers * size);
    k->values = arena_alloc(&k->memory, layer * (size_t)layers * size);
    k->scratch = arena_alloc(&k->memory, layer * size);
    k->slot = arena_alloc(&k->memory, 2 * (size_t)slots * sizeof *k->slot);
    memset(k->slot, 0, 2 * (size_t)slots * sizeof *k->slot);
    return 0;
}

void kv_cache_release(struct kv_cache *k)
{
    arena_release(&k->memory);
    *k = (struct kv_cache){0};
}

void kv_cache_clear(struct kv_cache *k)
{
    memset(k->slot, 0, (size_t)k->slots * sizeof *k->slot);
}

static size_t row_bytes(const struct kv_cache *k)
{
    return (size_t)dtype_bytes(k->dtype, k->width);
}

static void *slot_row(const struct kv_cache *k, void *numbers, int layer, int slot, int64_t row)
{
    int64_t at = ((int64_t)layer * k->slots + slot) * k->capacity + row;
    return (char *)numbers + (size_t)at * row_bytes(k);
}

/* Rows that slot i still has to copy to become its parent: those behind a common prompt. */
static int64_t first_new_row(const struct kv_cache *k, int i, int parent)
{
    const struct kv_slot *to = &k->slot[i], *from = &k->slot[parent];
    return to->prompt == from->prompt && to->prompt != 0 ? from->prompt_rows : 0;
}

static void reorder_numbers(struct kv_cache *k, void *numbers, int layer, const int32_t *parents,
                            int count)
{
    for (int pass = 0; pass < 2; pass++) /* all out, then all in: a parent may be overwritten */
        for (int i = 0; i < count; i++) {
            int64_t first = first_new_row(k, i, parents[i]);
            size_t bytes = (size_t)(k->slot[parents[i]].length - first) * row_bytes(k);
            void *scratch = slot_row(k, k->scratch, 0, i, first);
            if (parents[i] == i)
                continue;
            if (pass == 0)
                memcpy(scratch, slot_row(k, numbers, layer, parents[i], first), bytes);
            else
                memcpy(slot_row(k, numbers, layer, i, first), scratch, bytes);
        }
}

void kv_cache_reorder(struct kv_cache *k, const int32_t *parents, int count)
{
    assert(count <= k->slots);
    for (int layer = 0; layer < k->layers; layer++) {
        reorder_numbers(k, k->keys, layer, parents, count);
        reorder_numbers(k, k->values, layer, parents, count);
    }
    struct kv_slot *after = k->slot + k->slots;
    for (int i = 0; i < count; i++)
        after[i] = k->slot[parents[i]];
    memcpy(k->slot, after, (size_t)count * sizeof *after);
}

static struct tensor *layer_view(struct kv_cache *k, struct compute *c, void *numbers, int layer)
{
    struct tensor *t = arena_alloc(c->arena, sizeof *t);
    *t = (struct tensor){.dims = 2, .shape = {(int64_t)k->slots * k->capacity, k->width}};
    if (k->dtype == DTYPE_F32) {
        t->data = slot_row(k, numbers, layer, 0, 0);
    } else {
        t->stored = slot_row(k, numbers, layer, 0, 0);
        t->dtype = k->dtype;
    }
    return t;
}

struct tensor *kv_cache_keys(struct kv_cache *k, struct compute *c, int layer)
{
    return layer_view(k, c, k->keys, layer);
}

struct tensor *kv_cache_values(struct kv_cache *k, struct compute *c, int layer)
{
    return layer_view(k, c, k->values, layer);
}

void kv_cache_append(struct kv_cache *k, int layer, int slot, const float *keys,
                     const float *values, int64_t rows)
{
    int64_t length = k->slot[slot].length;
    assert(slot < k->slots && length + rows <= k->capacity);
    dtype_from_float(slot_row(k, k->keys, layer, slot, length), k->dtype, keys, rows * k->width);
    dtype_from_float(slot_row(k, k->values, layer, slot, length), k->dtype, values,
                     rows * k->width);
}

void kv_cache_advance(struct kv_cache *k, int slot, int64_t rows)
{
    k->slot[slot].length += rows;
}
