/*
 * How long the encoders take, with published weights or, at published sizes, random ones:
 *
 *     whisper    Whisper base: 80 mels, d 512, 6 layers, 8 heads, ffn 2048
 *     avhubert   AV-HuBERT large: stem 64, trunk 64 128 256 512, d 1024, 24 layers, 16 heads, ffn
 * 4096
 *
 *     bench-encoder_speed whisper|avhubert [FILE|FOLDER] [frames] [bf16|f32] [runs] [kernels]
 *
 * frames: of log-mel (100 a second, default 3000) or pictures (25 a second, default 75). Prints
 * median and best of `runs` after one to warm up; with `kernels` also where the time of the best
 * run went, by kernel, which adds a clock reading to each call; and in bfloat16 how far the result
 * is from float32's. OMP_NUM_THREADS says how many threads; with 1 it counts CPU time, so that what
 * else runs on the machine matters little. encoder_pytorch.py measures the same shape in PyTorch.
 */
#include "timing.h"

#include "base/random.h"
#include "models/avhubert.h"
#include "models/part.h"
#include "models/whisper.h"
#include "tensor/device.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 1000 };

static const struct whisper_config whisper_base = {
    .mels = 80, .d = 512, .layers = 6, .heads = 8, .ffn = 2048, .positions = 1500};
static const struct avhubert_config avhubert_large = {.stem = 64,
                                                      .widths = {64, 128, 256, 512},
                                                      .blocks = {2, 2, 2, 2},
                                                      .d = 1024,
                                                      .layers = 24,
                                                      .heads = 16,
                                                      .ffn = 4096,
                                                      .position_kernel = 128,
                                                      .position_groups = 16,
                                                      .audio_branch_zeros = true};

/* ---- kernels, timed ----------------------------------------------------------------------- */

/* Those that an encoder without a tape calls. */
#define KERNELS(X)                                                                                 \
    X(linear,                                                                                      \
      (float *y, const float *x, struct tensor *w, const float *b, int64_t n, enum precision p),   \
      (y, x, w, b, n, p))                                                                          \
    X(linears,                                                                                     \
      (const struct linear_part *parts, int count, const float *x, int64_t n, enum precision p),   \
      (parts, count, x, n, p))                                                                     \
    X(convolution,                                                                                 \
      (float *y, const float *x, const float *w, const float *b,                                   \
       const struct convolution_sizes *s),                                                         \
      (y, x, w, b, s))                                                                             \
    X(convolution_frozen,                                                                          \
      (float *y, const float *x, struct tensor *w, const struct convolution_end *e,                \
       const struct convolution_sizes *s),                                                         \
      (y, x, w, e, s))                                                                             \
    X(attention,                                                                                   \
      (float *y, float *log_sum, const float *q, const float *k, const float *v,                   \
       const struct attention *a, int64_t rows, int64_t d, enum precision p),                      \
      (y, log_sum, q, k, v, a, rows, d, p))                                                        \
    X(layer_norm,                                                                                  \
      (float *y, float *mean, float *rstd, const float *x, const float *w, const float *b,         \
       const struct norm_sizes *s),                                                                \
      (y, mean, rstd, x, w, b, s))                                                                 \
    X(gelu, (float *y, const float *x, int64_t n), (y, x, n))                                      \
    X(add, (float *y, const float *a, const float *b, int64_t n), (y, a, b, n))                    \
    X(add_scaled, (float *y, const float *x, float f, int64_t n), (y, x, f, n))                    \
    X(scale, (float *y, const float *x, float f, int64_t n), (y, x, f, n))                         \
    X(fill, (float *y, float x, int64_t n), (y, x, n))                                             \
    X(prelu, (float *y, const float *x, const float *slope, int64_t rows, int64_t width),          \
      (y, x, slope, rows, width))                                                                  \
    X(add_periodic,                                                                                \
      (float *y, const float *x, const float *table, int64_t rows, int64_t width, int64_t period), \
      (y, x, table, rows, width, period))                                                          \
    X(gather_rows, (float *y, const float *x, const int32_t *index, int64_t n, int64_t width),     \
      (y, x, index, n, width))                                                                     \
    X(copy_columns,                                                                                \
      (float *to, int64_t to_stride, const float *from, int64_t stride, bool add, int64_t rows,    \
       int64_t width),                                                                             \
      (to, to_stride, from, stride, add, rows, width))                                             \
    X(pool_rows,                                                                                   \
      (float *y, const float *x, const struct span *spans, int count, int rate, int64_t width),    \
      (y, x, spans, count, rate, width))                                                           \
    X(max_pool,                                                                                    \
      (float *y, int32_t *argmax, const float *x, int64_t n, int64_t h, int64_t w,                 \
       int64_t channels, int kernel, int stride, int pad),                                         \
      (y, argmax, x, n, h, w, channels, kernel, stride, pad))

#define NUMBER(name, parameters, arguments) KERNEL_##name,
enum { KERNELS(NUMBER) KERNEL_COUNT };
#define NAME(name, parameters, arguments) #name,
static const char *const kernel_names[] = {KERNELS(NAME)};
static double kernel_seconds[KERNEL_COUNT];

#define TIMED(name, parameters, arguments)                                                         \
    static void timed_##name parameters                                                            \
    {                                                                                              \
        double start = now();                                                                      \
        device_cpu.name arguments;                                                                 \
        kernel_seconds[KERNEL_##name] += now() - start;                                            \
    }
KERNELS(TIMED)

static struct device timed_device(void)
{
    struct device d = device_cpu;
#define REPLACE(name, parameters, arguments) d.name = timed_##name;
    KERNELS(REPLACE)
    return d;
}

/* ---- the encoders ------------------------------------------------------------------------- */

struct bench {
    struct whisper whisper;
    struct avhubert avhubert;
    bool video;
    const char *path; /* NULL: random weights */
    struct part *part;
    int64_t frames;
    float *input;
    struct arena arena;
    struct compute c;
};

static void must(int rc, const struct error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* Memory, and numbers of the size that a trained model's have: normal ones would take longer to
   make than to use. */
static void make(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    (void)v, (void)name;
    struct error err;
    int64_t shape[TENSOR_MAX_DIMS], count = tensor_count(t);
    memcpy(shape, t->shape, sizeof shape);
    must(parameter_init(t, t->dims, shape, &err), &err);
    uint32_t state = 1;
    float reach = 1.7f / sqrtf((float)(count / shape[0]));
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float x = reach * ((float)(state >> 8) / (1 << 23) - 1);
        t->data[i] = kind == PARAM_SCALE || kind == PARAM_VARIANCE ? 1 : x;
    }
    parameter_changed(t);
}

static void visit(struct bench *b, struct param_visitor *v)
{
    if (b->video)
        avhubert_params(&b->avhubert, v);
    else
        whisper_params(&b->whisper, v);
}

static void load(struct bench *b)
{
    static struct recognizer_config config;
    struct error err;
    struct param_list list;
    struct part_report report = {0};
    struct param_visitor maker = {.visit = make};
    config.audio = whisper_base;
    config.video = avhubert_large;
    if (b->path) {
        must(part_open(&b->part, b->video ? PART_VIDEO : PART_AUDIO, b->path, &err), &err);
        must(part_config(b->part, &config, &err), &err);
    }
    if (b->video)
        must(avhubert_init(&b->avhubert, &config.video, &err), &err);
    else
        must(whisper_init(&b->whisper, &config.audio, &err), &err);
    if (!b->path) {
        visit(b, &maker);
        return;
    }
    param_list_init(&list, &err);
    visit(b, &list.visitor);
    must(list.code, &err);
    must(part_load(b->part, &list, &report, &err), &err);
    part_report_release(&report);
    param_list_release(&list);
}

static void prepare(struct bench *b, enum precision precision)
{
    struct error err;
    struct random r;
    load(b);
    int64_t width = b->video ? CONFIG_PICTURE * CONFIG_PICTURE : b->whisper.config.mels;
    must(arena_init(&b->arena, ARENA_DEFAULT_LIMIT, &err), &err);
    b->input = memory_new((size_t)(b->frames * width), sizeof *b->input);
    random_seed(&r, 1);
    for (int64_t i = 0; i < b->frames * width; i++)
        b->input[i] = 2 * (float)random_uniform(&r) - 1;
    b->c = (struct compute){.device = &device_cpu, .arena = &b->arena, .precision = precision};
}

static struct tensor *encode(struct bench *b)
{
    const int64_t side = CONFIG_PICTURE;
    arena_rewind(&b->arena, 0);
    if (b->video)
        return avhubert_forward(
            &b->avhubert, &b->c,
            tensor_from(&b->c, b->input, TENSOR_SHAPE(1, b->frames, side, side, 1)), NULL);
    return whisper_forward(
        &b->whisper, &b->c,
        tensor_from(&b->c, b->input, TENSOR_SHAPE(1, b->frames, b->whisper.config.mels)), NULL);
}

/* The relative distance (of norms) between the results in bfloat16 and float32. */
static double distance(struct bench *b)
{
    struct tensor *y = encode(b);
    int64_t n = tensor_count(y);
    double apart = 0, size = 0;
    float *half = memory_new((size_t)n, sizeof *half);
    memcpy(half, y->data, (size_t)n * sizeof *half);
    b->c.precision = PRECISION_F32;
    y = encode(b);
    b->c.precision = PRECISION_BF16;
    for (int64_t i = 0; i < n; i++) {
        apart += pow((double)half[i] - (double)y->data[i], 2);
        size += pow((double)y->data[i], 2);
    }
    memory_free(half);
    return sqrt(apart / size);
}

static void measure(struct bench *b, int runs, bool kernels)
{
    struct device timed = timed_device();
    double times[MOST_RUNS], best[KERNEL_COUNT] = {0}, least = INFINITY, counted = 0;
    if (kernels)
        b->c.device = &timed;
    encode(b);
    for (int i = 0; i < runs; i++) {
        memset(kernel_seconds, 0, sizeof kernel_seconds);
        double start = now();
        encode(b);
        times[i] = now() - start;
        if (times[i] < least) {
            least = times[i];
            memcpy(best, kernel_seconds, sizeof best);
        }
    }
    double middle = median(times, runs);
    printf("%s, %lld frames, %s, %d thread%s: median %.1f ms, best %.1f ms of %d\n",
           b->part    ? part_description(b->part)
           : b->video ? "avhubert large, random weights"
                      : "whisper base, random weights",
           (long long)b->frames, b->c.precision == PRECISION_BF16 ? "bf16" : "f32",
           omp_get_max_threads(), omp_get_max_threads() > 1 ? "s" : " (CPU time)", middle * 1e3,
           least * 1e3, runs);
    for (int i = 0; kernels && i < KERNEL_COUNT; i++) {
        counted += best[i];
        if (best[i] > 0)
            printf("  %-14s %8.2f ms\n", kernel_names[i], best[i] * 1e3);
    }
    if (kernels)
        printf("  %-14s %8.2f ms\n", "else", (least - counted) * 1e3);
}

static void drop(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    (void)v, (void)name, (void)kind;
    parameter_release(t);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct param_visitor dropper = {.visit = drop};
    bool kernels = false;
    int64_t numbers[2] = {0, 7}; /* frames, runs */
    int given = 0;
    enum precision precision = PRECISION_BF16;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "avhubert"))
            b.video = true;
        else if (!strcmp(argv[i], "f32"))
            precision = PRECISION_F32;
        else if (!strcmp(argv[i], "kernels"))
            kernels = true;
        else if (atoll(argv[i]) > 0 && given < 2)
            numbers[given++] = atoll(argv[i]);
        else if (strcmp(argv[i], "whisper") && strcmp(argv[i], "bf16"))
            b.path = argv[i];
    }
    b.frames = numbers[0] ? numbers[0] : b.video ? 75 : 2 * whisper_base.positions;
    if (numbers[1] > MOST_RUNS || (!b.video && whisper_frames(b.frames) > whisper_base.positions)) {
        fprintf(stderr, "at most %d runs and %d frames of log-mel\n", MOST_RUNS,
                2 * whisper_base.positions);
        return 1;
    }
    prepare(&b, precision);
    measure(&b, (int)numbers[1], kernels);
    b.c.device = &device_cpu;
    if (precision == PRECISION_BF16)
        printf("  bf16 is %.2e away from f32\n", distance(&b));
    visit(&b, &dropper);
    if (b.video)
        avhubert_release(&b.avhubert);
    else
        whisper_release(&b.whisper);
    part_close(b.part);
    memory_free(b.input);
    arena_release(&b.arena);
    return 0;
}
