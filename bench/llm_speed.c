/*
 * How fast the language model alone runs, with frozen weights as they are stored: SmolLM2-135M's
 * shape (30 layers of 576, 9 heads on 3 key heads, feed-forward 1536, vocabulary 49152, tied), from
 * a file, or random weights of a type. Medians of `rounds`:
 *
 *     prefill    512 tokens, the head for the last one
 *     greedy     64 tokens behind a prompt of 32, one row a step
 *     beam 5     the same with five rows a step, which change places before each
 *
 *     bench-llm_speed [FILE.gguf | folder | q8_0 | q4_0] [f32 | bf16] [rounds]
 *
 * With OMP_NUM_THREADS=1 it counts CPU time. The same with llama.cpp: docs/performance.md.
 */
#include "timing.h"

#include "models/llama.h"
#include "models/part.h"
#include "tensor/device.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PREFILL = 512, PROMPT = 32, STEPS = 64, BEAMS = 5, MOST_ROUNDS = 100 };

static const struct llama_config smollm2 = {.vocab = 49152,
                                            .d = 576,
                                            .layers = 30,
                                            .heads = 9,
                                            .kv_heads = 3,
                                            .head_dim = 64,
                                            .ffn = 1536,
                                            .rope_theta = 100000,
                                            .norm_eps = 1e-5f,
                                            .rope_factor = 1,
                                            .tied = true};

struct bench {
    struct llama llm;
    struct part *part; /* NULL: random weights */
    struct kv_cache cache;
    struct arena arena, weights;
    struct compute c;
    int64_t weight_bytes;
    double load_seconds;
};

/* ---- weights --------------------------------------------------------------------------------- */

struct random_weights {
    struct param_visitor visitor;
    struct arena *arena;
    enum dtype type;
};

/* Matrices: blocks of normal numbers over sqrt(d), again and again; norms: ones. */
static void fill(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    enum { SOME = 4096 };
    const struct random_weights *w = (struct random_weights *)v;
    enum dtype type = kind == PARAM_SCALE ? DTYPE_F32 : w->type;
    int64_t bytes = dtype_bytes(type, tensor_count(t)), part = dtype_bytes(type, SOME);
    char *stored = arena_alloc(w->arena, (size_t)(bytes > part ? bytes : part));
    float some[SOME];
    struct random r;
    (void)name;
    random_seed(&r, 1);
    for (int i = 0; i < SOME; i++)
        some[i] = kind == PARAM_SCALE ? 1 : random_normal(&r) / 24;
    dtype_from_float(stored, type, some, SOME);
    for (int64_t at = part; at < bytes; at += part)
        memcpy(stored + at, stored, (size_t)(bytes - at < part ? bytes - at : part));
    parameter_borrow(t, t->dims, (int64_t[]){t->shape[0], t->shape[1]}, type, stored);
}

static int load_random(struct bench *b, enum dtype type, struct error *err)
{
    struct random_weights w = {{.visit = fill}, &b->weights, type};
    int rc = llama_init(&b->llm, &smollm2, err);
    if (rc == 0)
        llama_params(&b->llm, &w.visitor);
    return rc;
}

static int load_file(struct bench *b, const char *path, struct error *err)
{
    static struct recognizer_config config;
    struct part_report report = {0};
    struct param_list list;
    int rc;
    config_default(&config);
    param_list_init(&list, err);
    if ((rc = part_open(&b->part, PART_LLM, path, err)) == 0 &&
        (rc = part_config(b->part, &config, err)) == 0 &&
        (rc = llama_init(&b->llm, &config.llm, err)) == 0) {
        llama_params(&b->llm, &list.visitor);
        rc = list.code ? list.code : part_load(b->part, &list, &report, err);
    }
    part_report_release(&report);
    param_list_release(&list);
    return rc;
}

static void count_bytes(struct bench *b)
{
    struct param_list list;
    struct error err = {0};
    param_list_init(&list, &err);
    llama_params(&b->llm, &list.visitor);
    for (int64_t i = 0; i < list.count; i++) {
        const struct tensor *t = list.entries[i].tensor;
        b->weight_bytes += dtype_bytes(t->stored ? t->dtype : DTYPE_F32, tensor_count(t));
    }
    param_list_release(&list);
}

/* ---- what is measured ------------------------------------------------------------------------ */

static int32_t largest(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int32_t)best;
}

/* Tokens after each other into slot 0, emptied before; returns the likeliest next one. */
static int32_t prefill(struct bench *b, int count)
{
    int32_t ids[PREFILL], position[PREFILL];
    for (int i = 0; i < count; i++) {
        ids[i] = i * 37 % b->llm.config.vocab;
        position[i] = i;
    }
    kv_cache_clear(&b->cache);
    b->cache.slot[0] = (struct kv_slot){.prompt = ++b->cache.prompts, .prompt_rows = count};
    struct llama_rows rows = {.spans = &(struct span){0, count},
                              .sequences = 1,
                              .position = position,
                              .cache = &b->cache};
    struct tensor *x = llama_embed(&b->llm, &b->c, ids, count);
    x = llama_forward(&b->llm, NULL, &b->c, x, &rows);
    x = llama_head(&b->llm, &b->c, op_slice_rows(&b->c, x, count - 1, 1));
    int32_t next = largest(x->data, tensor_width(x));
    arena_rewind(&b->arena, 0);
    return next;
}

/* One more token for each of the first `count` slots; replaced by the likeliest next ones. */
static void step(struct bench *b, int32_t *tokens, int count)
{
    struct span spans[BEAMS];
    int32_t position[BEAMS];
    for (int i = 0; i < count; i++) {
        spans[i] = (struct span){i, 1};
        position[i] = (int32_t)b->cache.slot[i].length;
    }
    struct llama_rows rows = {
        .spans = spans, .sequences = count, .position = position, .cache = &b->cache, .past = true};
    struct tensor *x = llama_embed(&b->llm, &b->c, tokens, count);
    x = llama_head(&b->llm, &b->c, llama_forward(&b->llm, NULL, &b->c, x, &rows));
    for (int i = 0; i < count; i++)
        tokens[i] = largest(x->data + i * tensor_width(x), tensor_width(x));
    arena_rewind(&b->arena, 0);
}

static double seconds_prefill(struct bench *b)
{
    double start = now();
    prefill(b, PREFILL);
    return now() - start;
}

/* STEPS steps of `rows` sequences that begin with one prompt; the prompt is not counted. */
static double seconds_decode(struct bench *b, int rows)
{
    static const int32_t first[BEAMS] = {0}, swapped[BEAMS] = {1, 0, 3, 2, 2};
    int32_t tokens[BEAMS], token = prefill(b, PROMPT);
    for (int i = 0; i < rows; i++)
        tokens[i] = (token + i) % b->llm.config.vocab;
    double start = now();
    for (int i = 0; i < STEPS; i++) {
        if (rows > 1)
            kv_cache_reorder(&b->cache, i == 0 ? first : swapped, rows);
        step(b, tokens, rows);
    }
    return now() - start;
}

static void measure(struct bench *b, int rounds)
{
    double fill_up[MOST_ROUNDS], greedy[MOST_ROUNDS], beams[MOST_ROUNDS];
    struct rusage use;
    prefill(b, PREFILL);
    for (int i = 0; i < rounds; i++) {
        fill_up[i] = seconds_prefill(b);
        greedy[i] = seconds_decode(b, 1);
        beams[i] = seconds_decode(b, BEAMS);
    }
    double p = median(fill_up, rounds), g = median(greedy, rounds), f = median(beams, rounds);
    getrusage(RUSAGE_SELF, &use);
    printf("%s, %s, %d threads, %d rounds, medians\n",
           b->part ? part_description(b->part) : "random weights",
           b->c.precision == PRECISION_BF16 ? "bf16" : "f32", omp_get_max_threads(), rounds);
    printf("  load              %8.1f ms\n", 1e3 * b->load_seconds);
    printf("  prefill %d       %8.1f ms   %8.1f tokens/s\n", PREFILL, 1e3 * p, PREFILL / p);
    printf("  greedy, %d        %8.1f ms   %8.1f tokens/s   %5.1f GB/s of weights\n", STEPS,
           1e3 * g, STEPS / g, 1e-9 * (double)b->weight_bytes * STEPS / g);
    printf("  beam %d, %d steps  %8.1f ms   %8.1f steps/s\n", BEAMS, STEPS, 1e3 * f, STEPS / f);
    printf("  peak memory       %8.1f MB   %8.2f x the weights\n", 1e-3 * (double)use.ru_maxrss,
           1.024e3 * (double)use.ru_maxrss / (double)b->weight_bytes);
}

static int run(struct bench *b, const char *weights, int rounds, struct error *err)
{
    const size_t limit = ARENA_DEFAULT_LIMIT;
    enum dtype type;
    int rc;
    if ((rc = arena_init(&b->arena, limit, err)) != 0 ||
        (rc = arena_init(&b->weights, limit, err)) != 0)
        return rc;
    double start = clock_seconds();
    rc = dtype_from_name(&type, weights) ? load_random(b, type, err) : load_file(b, weights, err);
    b->load_seconds = clock_seconds() - start;
    const struct llama_config *config = &b->llm.config;
    if (rc != 0 ||
        (rc = kv_cache_init(&b->cache, config->layers, BEAMS, PREFILL,
                            config->kv_heads * config->head_dim,
                            b->c.precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16, err)) != 0)
        return rc;
    b->c.device = &device_cpu;
    b->c.arena = &b->arena;
    count_bytes(b);
    measure(b, rounds);
    return 0;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct error err = {0};
    struct param_visitor releaser;
    const char *weights = "q8_0";
    int rounds = 9;
    b.c.precision = PRECISION_BF16;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "f32") == 0 || strcmp(argv[i], "bf16") == 0)
            b.c.precision = strcmp(argv[i], "f32") == 0 ? PRECISION_F32 : PRECISION_BF16;
        else if (atoi(argv[i]) > 0 && atoi(argv[i]) <= MOST_ROUNDS)
            rounds = atoi(argv[i]);
        else
            weights = argv[i];
    }
    int rc = run(&b, weights, rounds, &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.message);
    param_releaser_init(&releaser);
    if (b.llm.layers)
        llama_params(&b.llm, &releaser);
    llama_release(&b.llm);
    kv_cache_release(&b.cache);
    part_close(b.part);
    arena_release(&b.arena);
    arena_release(&b.weights);
    return rc != 0;
}
