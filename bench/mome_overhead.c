/*
 * What the experts cost: prefill of 300 tokens by an LLM of Llama-3.2-1B's shape (random weights;
 * the vocabulary cut to 16384 to save memory, the head on the last token only), then 30 steps
 * behind them of 1 beam and 30 more of 5, alone and with MoME-23/4, b 12. LoRA that is merged into
 * the weights costs what the LLM alone does. Runs are interleaved, so that what else the machine
 * does hits both; medians and the ratio of neighbouring runs are printed.
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

enum { TOKENS = 300, STEPS = 30, BEAMS = 5, MOST_ROUNDS = 100 };

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
    struct kv_cache cache; /* of BEAMS slots */
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
        (rc = arena_init(&b->arena, ARENA_DEFAULT_LIMIT, err)) != 0 ||
        (rc = kv_cache_init(&b->cache, shape.layers, BEAMS, TOKENS + 2 * STEPS,
                            shape.kv_heads * shape.head_dim,
                            precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16, err)) != 0)
        return rc;
    param_allocator_init(&allocator, err);
    walk(b, &allocator.visitor);
    if (allocator.code == 0)
        walk(b, &filler);
    b->c = (struct compute){.device = &device_cpu, .arena = &b->arena, .precision = precision};
    return allocator.code;
}

/* Seconds of `count` sequences' next rows, `length` each, behind what the cache holds of them. */
static double forward(struct bench *b, struct mome *mome, int count, int length)
{
    int32_t ids[TOKENS], position[TOKENS], last[BEAMS];
    struct span spans[BEAMS];
    for (int i = 0; i < count * length; i++) {
        ids[i] = i * 37 % shape.vocab;
        position[i] = (int32_t)b->cache.slot[i / length].length + i % length;
    }
    for (int i = 0; i < count; i++) {
        spans[i] = (struct span){i * length, length};
        last[i] = (i + 1) * length - 1;
    }
    struct llama_rows rows = {.spans = spans,
                              .sequences = count,
                              .position = position,
                              .runs = &(struct rate_run){count * length, 0},
                              .run_count = 1,
                              .cache = &b->cache,
                              .past = b->cache.slot[0].length > 0};
    double start = now();
    struct tensor *x = llama_embed(&b->llm, &b->c, ids, count * length);
    x = llama_forward(&b->llm, mome, &b->c, x, &rows);
    llama_head(&b->llm, &b->c, op_gather_rows(&b->c, x, last, count));
    double seconds = now() - start;
    arena_rewind(&b->arena, 0);
    return seconds;
}

enum part { PREFILL, ONE_BEAM, ALL_BEAMS, PARTS };

/* Seconds of the prefill, and of a step of one beam and then, further on, of all. */
static void run(struct bench *b, struct mome *mome, double *seconds)
{
    kv_cache_clear(&b->cache);
    seconds[PREFILL] = forward(b, mome, 1, TOKENS);
    for (int part = ONE_BEAM, beams = 1; part <= ALL_BEAMS; part++, beams = BEAMS) {
        kv_cache_reorder(&b->cache, (const int32_t[BEAMS]){0}, beams);
        seconds[part] = 0;
        for (int i = 0; i < STEPS; i++)
            seconds[part] += forward(b, mome, beams, 1) / STEPS;
    }
}

static void measure(struct bench *b, int rounds)
{
    static const char *const names[PARTS] = {"prefill", "step, 1 beam", "step, 5 beams"};
    static double alone[PARTS][MOST_ROUNDS], with[PARTS][MOST_ROUNDS], ratio[PARTS][MOST_ROUNDS];
    double seconds[PARTS];
    run(b, NULL, seconds); /* packs the weights */
    run(b, &b->mome, seconds);
    for (int i = 0; i < rounds; i++) {
        double other[PARTS];
        run(b, NULL, seconds);
        run(b, &b->mome, other);
        for (int part = 0; part < PARTS; part++) {
            alone[part][i] = seconds[part];
            with[part][i] = other[part];
            ratio[part][i] = other[part] / seconds[part];
        }
    }
    printf("%d tokens, %d layers, d %d, %s on %s, %d threads, %d rounds\n", TOKENS, shape.layers,
           shape.d, b->c.precision == PRECISION_BF16 && b->c.device->has_bf16 ? "bf16" : "f32",
           b->c.device->name, omp_get_max_threads(), rounds);
    printf("%-14s %14s %16s %16s %16s\n", "", "bare LLM, ms", "MoME-23/4, ms", "ratio of medians",
           "median of ratios");
    for (int part = 0; part < PARTS; part++) {
        double a = median(alone[part], rounds), w = median(with[part], rounds);
        printf("%-14s %14.2f %16.2f %16.3f %16.3f\n", names[part], 1e3 * a, 1e3 * w, w / a,
               median(ratio[part], rounds));
    }
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
    kv_cache_release(&b.cache);
    arena_release(&b.arena);
    return rc != 0;
}
