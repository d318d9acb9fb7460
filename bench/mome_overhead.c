/*
 * What the experts cost: prefill of 300 tokens by an LLM of Llama-3.2-1B's shape (random weights;
 * the vocabulary cut to 16384 to save memory, the head on the last token only), alone and with
 * MoME-23/4, b 12. Runs are interleaved, so that what else the machine does hits both; medians and
 * the ratio of neighbouring runs are printed.
 *
 *     bench-mome_overhead [mhsa | ffn | layer] [f32 | bf16] [rounds]
 *
 * Takes about 6 GB. With OMP_NUM_THREADS=1 it counts CPU time.
 */
#include "timing.h"

#include "models/llama.h"
#include "models/params.h"
#include "tensor/device.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 300, MOST_ROUNDS = 100 };

static const struct llama_config shape = {.vocab = 16384,
                                          .d = 2048,
                                          .layers = 16,
                                          .heads = 32,
                                          .kv_heads = 8,
                                          .head_dim = 64,
                                          .ffn = 8192,
                                          .rope_theta = 500000,
                                          .norm_eps = 1e-5f,
                                          .rope_factor = 32,
                                          .rope_low = 1,
                                          .rope_high = 4,
                                          .rope_original = 8192,
                                          .tied = true};

struct bench {
    struct llama llm;
    struct mome mome;
    struct arena arena;
    struct compute c;
};

/* Random enough for time, and quicker than normal numbers: multiples of 2^-12 within +-1/32. */
static void fill(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    (void)v, (void)name;
    uint32_t state = 1;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        state = state * 1664525u + 1013904223u;
        t->data[i] = kind == PARAM_SCALE ? 1 : (float)((int)(state >> 24) - 128) / 4096;
    }
    parameter_changed(t);
}

static void walk(struct bench *b, struct param_visitor *v)
{
    llama_params(&b->llm, v);
    mome_params(&b->mome, v);
}

static int prepare(struct bench *b, enum mome_placement placement, enum precision precision,
                   struct error *err)
{
    const struct mome_config experts = {.placement = placement,
                                        .routed = 23,
                                        .active = 4,
                                        .shared = 1,
                                        .bottleneck = 12,
                                        .biases = true};
    struct param_allocator allocator;
    struct param_visitor filler = {.visit = fill};
    int rc;
    if ((rc = llama_init(&b->llm, &shape, err)) != 0 ||
        (rc = mome_init(&b->mome, &experts, shape.layers, shape.d, 1, err)) != 0 ||
        (rc = arena_init(&b->arena, ARENA_DEFAULT_LIMIT, err)) != 0)
        return rc;
    param_allocator_init(&allocator, err);
    walk(b, &allocator.visitor);
    if (allocator.code == 0)
        walk(b, &filler);
    b->c = (struct compute){.device = &device_cpu, .arena = &b->arena, .precision = precision};
    return allocator.code;
}

/* Seconds of one prefill. */
static double prefill(struct bench *b, struct mome *mome)
{
    int32_t ids[TOKENS], position[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = i * 37 % shape.vocab;
        position[i] = i;
    }
    struct llama_rows rows = {.spans = &(struct span){0, TOKENS},
                              .sequences = 1,
                              .position = position,
                              .runs = &(struct rate_run){TOKENS, 0},
                              .run_count = 1};
    double start = now();
    struct tensor *x = llama_embed(&b->llm, &b->c, ids, TOKENS);
    x = llama_forward(&b->llm, mome, &b->c, x, &rows);
    llama_head(&b->llm, &b->c, op_slice_rows(&b->c, x, TOKENS - 1, 1));
    double seconds = now() - start;
    arena_rewind(&b->arena, 0);
    return seconds;
}

static void measure(struct bench *b, int rounds)
{
    double alone[MOST_ROUNDS], with[MOST_ROUNDS], ratio[MOST_ROUNDS];
    prefill(b, NULL); /* packs the weights */
    prefill(b, &b->mome);
    for (int i = 0; i < rounds; i++) {
        alone[i] = prefill(b, NULL);
        with[i] = prefill(b, &b->mome);
        ratio[i] = with[i] / alone[i];
    }
    printf("%d tokens, %d layers, d %d, %s on %s, %d threads, %d rounds\n", TOKENS, shape.layers,
           shape.d, b->c.precision == PRECISION_BF16 && b->c.device->has_bf16 ? "bf16" : "f32",
           b->c.device->name, omp_get_max_threads(), rounds);
    double a = median(alone, rounds), w = median(with, rounds);
    printf("  bare LLM          %8.1f ms\n", 1e3 * a);
    printf("  with MoME-23/4    %8.1f ms\n", 1e3 * w);
    printf("  ratio of medians  %8.3f\n", w / a);
    printf("  median of ratios  %8.3f\n", median(ratio, rounds));
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct error err = {0};
    enum mome_placement placement = MOME_MHSA;
    enum precision precision = PRECISION_BF16;
    int rounds = 9;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "ffn") == 0)
            placement = MOME_FFN;
        else if (strcmp(argv[i], "layer") == 0)
            placement = MOME_LAYER;
        else if (strcmp(argv[i], "f32") == 0)
            precision = PRECISION_F32;
        else if (atoi(argv[i]) > 0 && atoi(argv[i]) <= MOST_ROUNDS)
            rounds = atoi(argv[i]);
    }
    int rc = prepare(&b, placement, precision, &err);
    if (rc == 0)
        measure(&b, rounds);
    else
        fprintf(stderr, "%s\n", err.message);
    struct param_visitor releaser;
    param_releaser_init(&releaser);
    walk(&b, &releaser);
    llama_release(&b.llm);
    mome_release(&b.mome);
    arena_release(&b.arena);
    return rc != 0;
}
