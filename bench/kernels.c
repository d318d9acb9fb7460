/*
 * How fast the CPU device's kernels are at the shapes that training and inference have: a table of
 * milliseconds (median and best of several runs) and GFLOP/s (GB/s for what is bound by memory),
 * in float32 and bfloat16.
 *
 *     bench-kernels [convolution | product | attention | rows]
 *
 * With OMP_NUM_THREADS=1 it counts CPU time, so that what else runs on the machine matters little.
 */
#include "timing.h"

#include "base/random.h"
#include "tensor/device.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7 };

struct run {
    void (*call)(const struct run *r);
    int64_t n[8]; /* sizes, by kernel */
    struct convolution_sizes conv;
    struct tensor weight;
    enum precision precision;
    float *a, *b, *c, *d, *e, *f, *g, *h;
};

static const struct device *device = &device_cpu;

static float *numbers(int64_t n)
{
    struct random r;
    float *x = memory_new((size_t)n, sizeof *x);
    if (!x) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    random_seed(&r, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)random_uniform(&r) - 0.5f;
    return x;
}

/* Times r->call; `work` in flops or bytes. */
static void measure(const struct run *r, const char *name, const char *shape, double work,
                    const char *unit)
{
    double times[RUNS], until = now() + 0.02;
    int64_t each = 0;
    do {
        r->call(r);
        each++;
    } while (now() < until);
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        for (int64_t j = 0; j < each; j++)
            r->call(r);
        times[i] = (now() - start) / (double)each;
    }
    double middle = median(times, RUNS);
    printf("| %-22s | %-34s | %-4s | %9.3f | %9.3f | %7.1f %s |\n", name, shape,
           r->precision == PRECISION_BF16 ? "bf16" : "f32", middle * 1e3, times[0] * 1e3,
           work / times[0] * 1e-9, unit);
    fflush(stdout);
}

/* ---- products ----------------------------------------------------------------------------- */

static void call_linear(const struct run *r)
{
    device->linear(r->c, r->a, (struct tensor *)&r->weight, NULL, r->n[0], r->precision);
}

static void call_gemm(const struct run *r) /* dw [out, in] += dy^T x */
{
    device->gemm(&(struct gemm){true, false, r->n[1], r->n[2], r->n[0], r->n[1], r->n[2], r->n[2],
                                1, r->a, r->b, NULL, r->c, r->precision});
}

static void call_gemm_input(const struct run *r) /* dx [rows, in] += dy w */
{
    device->gemm(&(struct gemm){false, false, r->n[0], r->n[2], r->n[1], r->n[1], r->n[2], r->n[2],
                                1, r->a, r->b, NULL, r->c, r->precision});
}

static void products(int64_t rows, int64_t in, int64_t out)
{
    struct error err;
    char shape[64];
    double work = 2.0 * (double)rows * (double)in * (double)out;
    int64_t most = in > out ? in : out;
    struct run r = {.n = {rows, out, in},
                    .a = numbers(rows * most),
                    .b = numbers(most * (rows > most ? rows : most)),
                    .c = numbers(most * (rows > most ? rows : most))};
    if (parameter_init(&r.weight, 2, (int64_t[]){out, in}, &err))
        exit(1);
    for (int64_t i = 0; i < in * out; i++)
        r.weight.data[i] = (float)(i % 17) - 8;
    snprintf(shape, sizeof shape, "%lld x %lld -> %lld", (long long)rows, (long long)in,
             (long long)out);
    for (int p = 0; p < 2; p++) {
        r.precision = p ? PRECISION_BF16 : PRECISION_F32;
        r.call = call_linear;
        r.weight.needs_grad = false;
        measure(&r, "linear, frozen", shape, work, "GFLOP/s");
        if (rows > 32) {
            r.weight.needs_grad = true;
            parameter_changed(&r.weight);
            measure(&r, "linear, trained", shape, work, "GFLOP/s");
            r.call = call_gemm_input;
            measure(&r, "linear, dx", shape, work, "GFLOP/s");
            r.call = call_gemm;
            measure(&r, "linear, dw", shape, work, "GFLOP/s");
        }
    }
    r.weight.needs_grad = false;
    parameter_release(&r.weight);
    memory_free(r.a), memory_free(r.b), memory_free(r.c);
}

static void call_convolution(const struct run *r)
{
    device->convolution(r->c, r->a, r->b, NULL, &r->conv);
}

static void call_backward_input(const struct run *r)
{
    device->convolution_backward_input(r->a, r->c, r->b, &r->conv);
}

static void call_backward_weight(const struct run *r)
{
    device->convolution_backward_weight(r->b, NULL, r->c, r->a, &r->conv);
}

static void convolutions(const char *name, struct convolution_sizes s, bool input)
{
    int64_t x = s.batch * s.channels, y = s.batch * s.filters;
    int64_t w = s.filters * s.channels / s.shape.groups;
    char shape[64], label[64];
    for (int i = 0; i < 3; i++) {
        s.out[i] = (s.in[i] + 2 * s.shape.pad[i] - s.kernel[i]) / s.shape.stride[i] + 1;
        x *= s.in[i];
        y *= s.out[i];
        w *= s.kernel[i];
    }
    snprintf(shape, sizeof shape, "%lldx%lldx%lldx%lld %lld->%lld k%lld s%d", (long long)s.batch,
             (long long)s.in[0], (long long)s.in[1], (long long)s.in[2], (long long)s.channels,
             (long long)s.filters, (long long)s.kernel[2], s.shape.stride[2]);
    double work = 2.0 * (double)y * (double)w / (double)s.filters;
    struct run r = {.conv = s, .a = numbers(x), .b = numbers(w), .c = numbers(y)};
    for (int p = 0; p < 2; p++) {
        r.precision = r.conv.precision = p ? PRECISION_BF16 : PRECISION_F32;
        r.call = call_convolution;
        measure(&r, name, shape, work, "GFLOP/s");
        r.call = call_backward_input;
        snprintf(label, sizeof label, "%s dx", name);
        if (input)
            measure(&r, label, shape, work, "GFLOP/s");
        r.call = call_backward_weight;
        snprintf(label, sizeof label, "%s dw", name);
        measure(&r, label, shape, work, "GFLOP/s");
    }
    memory_free(r.a), memory_free(r.b), memory_free(r.c);
}

/* ---- attention ---------------------------------------------------------------------------- */

static struct attention attention_of(const struct run *r, struct span *spans)
{
    int64_t sequences = r->n[0], queries = r->n[1], keys = r->n[2];
    for (int64_t i = 0; i < sequences; i++) {
        spans[i] = (struct span){i * queries, queries};
        spans[sequences + i] = (struct span){i * keys, keys};
    }
    return (struct attention){(int)r->n[3], (int)r->n[4],     false, 0, (int)sequences,
                              spans,        spans + sequences};
}

static void call_attention(const struct run *r)
{
    struct span spans[128];
    struct attention a = attention_of(r, spans);
    device->attention(r->d, r->precision == PRECISION_BF16 ? NULL : r->e, r->a, r->b, r->c, &a,
                      r->n[0] * r->n[1], r->n[5], r->precision);
}

static void call_attention_backward(const struct run *r)
{
    struct span spans[128];
    struct attention a = attention_of(r, spans);
    device->attention_backward(r->f, r->g, r->h, r->d, r->d, r->e, r->a, r->b, r->c, &a,
                               r->n[0] * r->n[1], r->n[5], r->precision);
}

static void attentions(int64_t sequences, int64_t queries, int64_t keys, int64_t heads,
                       int64_t kv_heads, int64_t d)
{
    int64_t q = sequences * queries * heads * d, k = sequences * keys * kv_heads * d;
    double work = 4.0 * (double)(sequences * queries * keys) * (double)(heads * d);
    char shape[64];
    struct run r = {.n = {sequences, queries, keys, heads, kv_heads, d},
                    .a = numbers(q),
                    .b = numbers(k),
                    .c = numbers(k),
                    .d = numbers(q),
                    .e = numbers(q),
                    .f = numbers(q),
                    .g = numbers(k),
                    .h = numbers(k)};
    snprintf(shape, sizeof shape, "%lld x %lld over %lld, %lld/%lld heads of %lld",
             (long long)sequences, (long long)queries, (long long)keys, (long long)heads,
             (long long)kv_heads, (long long)d);
    r.call = call_attention;
    if (queries == 1) {
        measure(&r, "attention, one query", shape, 8.0 * (double)k, "GB/s");
    } else {
        measure(&r, "attention, recorded", shape, work, "GFLOP/s");
        r.precision = PRECISION_BF16;
        measure(&r, "attention", shape, work, "GFLOP/s");
        r.precision = PRECISION_F32;
        r.call = call_attention_backward;
        measure(&r, "attention backward", shape, 2.5 * work, "GFLOP/s");
    }
    memory_free(r.a), memory_free(r.b), memory_free(r.c), memory_free(r.d);
    memory_free(r.e), memory_free(r.f), memory_free(r.g), memory_free(r.h);
}

/* ---- rows --------------------------------------------------------------------------------- */

static void call_moments(const struct run *r)
{
    device->column_moments(r->d, r->e, r->a, &(struct norm_sizes){r->n[0], r->n[1], 1e-5f});
}

static void call_column_norm(const struct run *r)
{
    device->column_norm(r->b, r->a, r->d, r->e, r->f, r->g,
                        &(struct norm_sizes){r->n[0], r->n[1], 1e-5f});
}

static void call_column_norm_backward(const struct run *r)
{
    device->column_norm_backward(r->b, r->g, r->h, r->c, r->a, r->d, r->e, r->f, true,
                                 &(struct norm_sizes){r->n[0], r->n[1], 1e-5f});
}

static void call_prelu(const struct run *r)
{
    device->prelu(r->b, r->a, r->f, r->n[0], r->n[1]);
}

static void call_prelu_backward(const struct run *r)
{
    device->prelu_backward(r->b, r->g, r->c, r->a, r->f, r->n[0], r->n[1]);
}

static void call_layer_norm(const struct run *r)
{
    device->layer_norm(r->b, r->d, r->e, r->a, r->f, r->g,
                       &(struct norm_sizes){r->n[0], r->n[1], 1e-5f});
}

static void call_layer_norm_backward(const struct run *r)
{
    device->layer_norm_backward(r->b, r->g, r->h, r->c, r->a, r->f, r->d, r->e,
                                &(struct norm_sizes){r->n[0], r->n[1], 1e-5f});
}

static void call_gelu(const struct run *r)
{
    device->gelu(r->b, r->a, r->n[0] * r->n[1]);
}

static void call_gelu_backward(const struct run *r)
{
    device->gelu_backward(r->b, r->c, r->a, r->n[0] * r->n[1]);
}

static void call_swiglu(const struct run *r)
{
    device->swiglu(r->b, r->a, r->c, r->n[0] * r->n[1]);
}

static void call_softmax(const struct run *r)
{
    device->softmax(r->b, r->a, r->n[0], r->n[1]);
}

static void call_cross_entropy(const struct run *r)
{
    int32_t target[4096];
    for (int64_t i = 0; i < r->n[0]; i++)
        target[i] = (int32_t)(i % r->n[1]);
    device->cross_entropy(r->b, r->a, target, NULL, 0, r->n[0], r->n[1]);
}

static void rows_run(const char *name, void (*call)(const struct run *), int64_t rows,
                     int64_t width, int passes)
{
    char shape[64];
    int64_t most = rows > width ? rows : width;
    struct run r = {.call = call,
                    .n = {rows, width},
                    .a = numbers(rows * width),
                    .b = numbers(rows * width),
                    .c = numbers(rows * width),
                    .d = numbers(most),
                    .e = numbers(most),
                    .f = numbers(most),
                    .g = numbers(most),
                    .h = numbers(most)};
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)rows, (long long)width);
    measure(&r, name, shape, 4.0 * passes * (double)(rows * width), "GB/s");
    memory_free(r.a), memory_free(r.b), memory_free(r.c), memory_free(r.d);
    memory_free(r.e), memory_free(r.f), memory_free(r.g), memory_free(r.h);
}

static void call_max_pool(const struct run *r)
{
    device->max_pool(r->b, (int32_t *)r->c, r->a, r->n[0], r->n[1], r->n[1], r->n[2], 3, 2, 1);
}

static void call_max_pool_backward(const struct run *r)
{
    int64_t outputs = r->n[0] * (r->n[1] / 2) * (r->n[1] / 2) * r->n[2];
    device->max_pool_backward(r->a, r->b, (int32_t *)r->c, outputs, r->n[0],
                              r->n[1] * r->n[1] * r->n[2]);
}

static void pools(int64_t pictures, int64_t size, int64_t channels)
{
    char shape[64];
    int64_t n = pictures * size * size * channels;
    struct run r = {.call = call_max_pool,
                    .n = {pictures, size, channels},
                    .a = numbers(n),
                    .b = numbers(n / 4),
                    .c = numbers(n / 4)};
    snprintf(shape, sizeof shape, "%lld x %lld x %lld x %lld", (long long)pictures, (long long)size,
             (long long)size, (long long)channels);
    measure(&r, "max_pool", shape, 6.0 * (double)n, "GB/s");
    r.call = call_max_pool_backward;
    measure(&r, "max_pool backward", shape, 10.0 * (double)n, "GB/s");
    memory_free(r.a), memory_free(r.b), memory_free(r.c);
}

/* ---- the table ---------------------------------------------------------------------------- */

static const char *wanted = "";

static bool want(const char *group)
{
    return strstr(group, wanted) != NULL;
}

static struct convolution_sizes picture(int64_t size, int64_t in, int64_t out, int64_t kernel,
                                        int stride)
{
    int pad = (int)kernel / 2;
    return (struct convolution_sizes){.batch = 200,
                                      .in = {1, size, size},
                                      .channels = in,
                                      .filters = out,
                                      .kernel = {1, kernel, kernel},
                                      .shape = {{1, stride, stride}, {0, pad, pad}, 1}};
}

static struct convolution_sizes sequence(int64_t batch, int64_t time, int64_t in, int64_t out,
                                         int64_t kernel, int stride, int groups)
{
    return (struct convolution_sizes){.batch = batch,
                                      .in = {1, 1, time},
                                      .channels = in,
                                      .filters = out,
                                      .kernel = {1, 1, kernel},
                                      .shape = {{1, 1, stride}, {0, 0, (int)kernel / 2}, groups}};
}

static struct convolution_sizes stem(int64_t filters)
{
    return (struct convolution_sizes){.batch = 4,
                                      .in = {50, 88, 88},
                                      .channels = 1,
                                      .filters = filters,
                                      .kernel = {5, 7, 7},
                                      .shape = {{1, 2, 2}, {2, 3, 3}, 1}};
}

static void all_convolutions(void)
{
    convolutions("stem", stem(16), false);
    convolutions("stem", stem(64), false);
    convolutions("3x3", picture(22, 16, 16, 3, 1), true);
    convolutions("3x3", picture(22, 16, 32, 3, 2), true);
    convolutions("3x3", picture(11, 32, 32, 3, 1), true);
    convolutions("3x3", picture(11, 32, 64, 3, 2), true);
    convolutions("3x3", picture(6, 64, 64, 3, 1), true);
    convolutions("3x3", picture(6, 64, 128, 3, 2), true);
    convolutions("3x3", picture(3, 128, 128, 3, 1), true);
    convolutions("3x3", picture(22, 64, 64, 3, 1), true);
    convolutions("1x1", picture(22, 16, 32, 1, 2), true);
    convolutions("1-D", sequence(1, 3000, 80, 192, 3, 1, 1), true);
    convolutions("1-D", sequence(8, 300, 80, 192, 3, 1, 1), true);
    convolutions("1-D", sequence(8, 300, 192, 192, 3, 2, 1), true);
    convolutions("positional", sequence(8, 50, 256, 256, 128, 1, 16), true);
    convolutions("positional", sequence(1, 375, 1024, 1024, 128, 1, 16), true);
}

static void all_products(void)
{
    products(1200, 192, 192);
    products(1200, 192, 768);
    products(1200, 768, 192);
    products(1200, 768, 768);
    products(300, 2048, 2048);
    products(300, 2048, 300);
    products(40, 256, 1024);
    products(1, 256, 1024);
    products(1, 2048, 8192);
    products(5, 2048, 8192);
    products(15, 2048, 8192);
}

static void all_attention(void)
{
    attentions(8, 150, 150, 4, 4, 48);
    attentions(8, 50, 50, 4, 4, 64);
    attentions(1, 1500, 1500, 12, 12, 64);
    attentions(4, 100, 100, 32, 8, 64);
    attentions(1, 1, 300, 32, 8, 64);
    attentions(15, 1, 300, 32, 8, 64);
}

static void all_rows(void)
{
    rows_run("column_moments", call_moments, 200 * 44 * 44, 16, 1);
    rows_run("column_norm", call_column_norm, 200 * 44 * 44, 16, 2);
    rows_run("column_norm backward", call_column_norm_backward, 200 * 44 * 44, 16, 6);
    rows_run("prelu", call_prelu, 200 * 44 * 44, 16, 2);
    rows_run("prelu backward", call_prelu_backward, 200 * 44 * 44, 16, 4);
    pools(200, 44, 16);
    rows_run("layer_norm", call_layer_norm, 1200, 192, 2);
    rows_run("layer_norm backward", call_layer_norm_backward, 1200, 192, 4);
    rows_run("gelu", call_gelu, 1200, 768, 2);
    rows_run("gelu backward", call_gelu_backward, 1200, 768, 4);
    rows_run("swiglu", call_swiglu, 1200, 768, 3);
    rows_run("softmax", call_softmax, 1200, 150, 2);
    rows_run("cross_entropy", call_cross_entropy, 400, 32000, 2);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        wanted = argv[1];
    printf("| kernel | shape | type | median ms | best ms | rate |\n|---|---|---|---|---|---|\n");
    if (want("convolution"))
        all_convolutions();
    if (want("product"))
        all_products();
    if (want("attention"))
        all_attention();
    if (want("rows"))
        all_rows();
    return 0;
}
