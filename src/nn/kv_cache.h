/*
 * Keys and values of past tokens. keys and values are [layers][slots][capacity, width], bfloat16
 * or, to compute in float32 throughout, float32; a slot is one sequence (a request, later a beam).
 * One layer of all slots is one tensor [slots * capacity, width], so the attention op reads it in
 * place by spans.
 *
 * Beams are slots: kv_cache_reorder makes slot i what slot parents[i] was. Slots that descend from
 * one prefill hold equal rows up to the prefill's length; those rows are not copied again.
 */
#ifndef NN_KV_CACHE_H
#define NN_KV_CACHE_H

#include "tensor/tensor.h"

struct kv_slot {
    int64_t length;      /* rows that are filled */
    int64_t prompt;      /* which prefill its first rows are from (0: none) ... */
    int64_t prompt_rows; /* ... and how many they are */
    int pair;            /* of the request's rates (nn/rate_run.h) */
};

struct kv_cache {
    int layers, slots, width;
    int64_t capacity;
    enum dtype dtype;              /* DTYPE_BF16 or DTYPE_F32 */
    void *keys, *values, *scratch; /* scratch: [slots, capacity, width] */
    struct kv_slot *slot;          /* [slots], and as many again for reordering */
    int64_t prompts;               /* prefills so far */
    struct arena memory;           /* of all of it: rows that are never filled take none */
};

int kv_cache_init(struct kv_cache *k, int layers, int slots, int64_t capacity, int width,
                  enum dtype dtype, struct error *err);
void kv_cache_release(struct kv_cache *k);
void kv_cache_clear(struct kv_cache *k); /* all slots empty; memory kept */

/* parents[i] < slots, i < count <= slots. Right after a prefill into slot 0, parents of all zeros
   makes `count` beams of it. */
void kv_cache_reorder(struct kv_cache *k, const int32_t *parents, int count);

/* For the model: views of one layer, and the rows of a sequence put behind a slot's end
   (its length grows by kv_cache_advance, once all layers have theirs). */
struct tensor *kv_cache_keys(struct kv_cache *k, struct compute *c, int layer);
struct tensor *kv_cache_values(struct kv_cache *k, struct compute *c, int layer);
void kv_cache_append(struct kv_cache *k, int layer, int slot, const float *keys,
                     const float *values, int64_t rows);
void kv_cache_advance(struct kv_cache *k, int slot, int64_t rows);

#endif
