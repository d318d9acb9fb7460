/* Products and convolutions of device_cpu against device_reference, float32 and bfloat16. */
#include "kernels/margins.h"
#include "tensor/cpu/simd.h"

#include <pthread.h>

static const enum precision precisions[] = {PRECISION_F32, PRECISION_BF16};

/* bfloat16 products are exact in float32, so with the same rounded operands only the order of sums
   differs; where the CPU has no bfloat16, device_cpu computes in float32. */
static double tolerance(enum precision p)
{
    return p == PRECISION_BF16 ? 2e-2 : 1e-5;
}

static void gemm_case(struct random *r, int64_t m, int64_t n, int64_t k, int flags)
{
    bool trans_a = flags & 1, trans_b = flags & 2, bias = flags & 4;
    float beta = flags & 8 ? (flags & 16 ? 1 : 0.5f) : 0;
    int64_t lda = (trans_a ? m : k) + (flags & 16 ? 3 : 0);
    int64_t ldb = (trans_b ? k : n) + (flags & 16 ? 5 : 0), ldc = n + (flags & 16 ? 2 : 0);
    int64_t a_count = lda * (trans_a ? k : m), b_count = ldb * (trans_b ? n : k);
    float *a = guarded(r, a_count, 1), *b = guarded(r, b_count, 1), *add = guarded(r, n, 1);
    for (int p = 0; p < 2; p++) {
        float *expected = guarded(r, m * ldc, 1), *found = guarded_copy(expected, m * ldc);
        struct gemm g = {trans_a,  trans_b,      m,    n, k, lda,
                         ldb,      ldc,          beta, a, b, bias ? add : NULL,
                         expected, precisions[p]};
        device_reference.gemm(&g);
        g.c = found;
        device_cpu.gemm(&g);
        check("gemm", found, expected, m * ldc, tolerance(precisions[p]));
    }
    release(a, a_count);
    release(b, b_count);
    release(add, n);
}

static void test_gemm(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 3, 7, 17, 31, 33, 64, 65};
    struct random r;
    random_seed(&r, 1);
    for (int flags = 0; flags < 32; flags++)
        for (int i = 0; i < 8; i++)
            gemm_case(&r, sizes[i], sizes[random_below(&r, 8)], sizes[random_below(&r, 8)], flags);
    gemm_case(&r, 1000, 33, 65, 0);
    gemm_case(&r, 33, 1000, 65, 2);
    gemm_case(&r, 7, 65, 1000, 3);
    gemm_case(&r, 300, 192, 200, 6);
    for (int flags = 0; flags < 32; flags++) /* sizes that bfloat16 computes in pieces */
        gemm_case(&r, 150, 70, 90, flags);
    gemm_case(&r, 65, 33, 300, 1 | 8);
}

static void test_few_rows(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {
        {1, 1, 1}, {3, 7, 17}, {4, 33, 31}, {7, 64, 65}, {8, 1000, 9}};
    const struct simd *sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
    struct random r;
    random_seed(&r, 4);
    for (int i = 0; i < 15; i++) {
        int64_t rows = sizes[i / 3][0], in = sizes[i / 3][1], out = sizes[i / 3][2];
        if (!simd_supported(sets[i % 3]))
            continue;
        struct tensor w = {.dims = 2, .shape = {out, in}, .data = guarded(&r, in * out, 1)};
        float *x = guarded(&r, rows * in, 1), *bias = guarded(&r, out, 1);
        float *y = guarded(&r, rows * out, 1), *expected = guarded(&r, rows * out, 1);
        device_reference.linear(expected, x, &w, bias, rows, PRECISION_F32);
        sets[i % 3]->few_rows(y, x, w.data, bias, rows, in, out);
        check("few_rows", y, expected, rows * out, 1e-5);
        release(w.data, in * out);
        release(x, rows * in);
        release(bias, out);
    }
}

/* A frozen weight gives the same as a trained one, before and after it changes. */
static void test_linear(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 17, 33}, {1, 1000, 65},  {4, 64, 96},   {8, 128, 130},
                                       {9, 31, 7},  {65, 200, 192}, {128, 96, 64}, {1000, 33, 31}};
    struct random r;
    struct error err;
    random_seed(&r, 2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t rows = sizes[i][0], in = sizes[i][1], out = sizes[i][2];
        for (int flags = 0; flags < 8; flags++) {
            enum precision p = precisions[flags & 1];
            struct tensor w = {0};
            assert_int_equal(parameter_init(&w, 2, (int64_t[]){out, in}, &err), 0);
            assert_int_equal(parameter_train(&w, flags & 2, &err), 0);
            float *x = guarded(&r, rows * in, 1), *bias = guarded(&r, out, 1);
            for (int pass = 0; pass < 3; pass++) {
                float *y = guarded(&r, rows * out, 1), *expected = guarded(&r, rows * out, 1);
                for (int64_t j = 0; pass != 1 && j < in * out; j++)
                    w.data[j] = random_normal(&r);
                parameter_changed(&w);
                const float *b = flags & 4 ? bias : NULL;
                device_reference.linear(expected, x, &w, b, rows, p);
                device_cpu.linear(y, x, &w, b, rows, p);
                device_cpu.linear(y, x, &w, b, rows, p);
                check("linear", y, expected, rows * out, tolerance(p));
            }
            parameter_release(&w);
            release(x, rows * in);
            release(bias, out);
        }
    }
}

/* The direct kernels of every instruction set, where they take the shape at all; each output starts
   as what the reference started with. */
struct truth {
    const float *x, *w, *bias, *dy, *y, *dx, *dx_before, *dw, *dw_before;
    int64_t x_count, w_count, y_count;
    double tolerance;
};

static int direct_case(struct random *r, const struct convolution_sizes *s, const struct truth *t)
{
    const struct simd *sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
    int taken = 0;
    for (int i = 0; i < 3; i++) {
        if (!simd_supported(sets[i]))
            continue;
        float *y = guarded(r, t->y_count, 1), *dx = guarded_copy(t->dx_before, t->x_count);
        float *dw = guarded_copy(t->dw_before, t->w_count);
        const struct convolution_end end = {.bias = t->bias};
        if (sets[i]->direct_convolution(y, t->x, t->w, NULL, &end, s) && ++taken)
            compare("direct_convolution", y, t->y, t->y_count, t->tolerance);
        if (sets[i]->direct_backward_input(dx, t->dy, t->w, s) && ++taken)
            compare("direct_backward_input", dx, t->dx, t->x_count, t->tolerance);
        if (sets[i]->direct_backward_weight(dw, t->dy, t->x, s) && ++taken)
            compare("direct_backward_weight", dw, t->dw, t->w_count, t->tolerance);
        release(y, t->y_count);
        release(dx, t->x_count);
        release(dw, t->w_count);
    }
    return taken;
}

/* With what follows, the weight packed at the first call; y_true is the convolution plus bias. */
static void frozen_case(struct random *r, const struct convolution_sizes *s, const struct truth *t)
{
    struct error err;
    struct tensor w = {0};
    const int64_t n = s->filters;
    float *scale = guarded(r, n, 1), *bias = guarded(r, n, 1), *slope = guarded(r, n, 1);
    float *add = guarded(r, t->y_count, 1);
    assert_int_equal(parameter_init(&w, 5,
                                    (int64_t[]){n, s->kernel[0], s->kernel[1], s->kernel[2],
                                                s->channels / s->shape.groups},
                                    &err),
                     0);
    memcpy(w.data, t->w, t->w_count * sizeof *w.data);
    for (int flags = 0; flags < 16; flags += flags ? 7 : 1) { /* none, scale, bias, all */
        const struct convolution_end end = {flags & 1 ? scale : NULL, flags & 8 ? bias : NULL,
                                            flags & 2 ? add : NULL, flags & 4 ? slope : NULL};
        float *y = guarded(r, t->y_count, 1), *y_true = guarded(r, t->y_count, 1);
        device_reference.convolution_frozen(y_true, t->x, &w, &end, s);
        device_cpu.convolution_frozen(y, t->x, &w, &end, s);
        device_cpu.convolution_frozen(y, t->x, &w, &end, s);
        check("convolution_frozen", y, y_true, t->y_count, t->tolerance);
    }
    parameter_release(&w);
    release(scale, n), release(bias, n), release(slope, n), release(add, t->y_count);
}

static int convolution_case(struct random *r, struct convolution_sizes s)
{
    int64_t x_count = s.batch * s.channels, y_count = s.batch * s.filters;
    int64_t w_count = s.filters * s.channels / s.shape.groups;
    for (int i = 0; i < 3; i++) {
        s.out[i] = (s.in[i] + 2 * s.shape.pad[i] - s.kernel[i]) / s.shape.stride[i] + 1;
        x_count *= s.in[i];
        y_count *= s.out[i];
        w_count *= s.kernel[i];
    }
    float *x = guarded(r, x_count, 1), *w = guarded(r, w_count, 1), *b = guarded(r, s.filters, 1);
    float *dy = guarded(r, y_count, 1);
    int taken = 0;
    for (int p = 0; p < 2; p++) {
        s.precision = precisions[p];
        double t = 3 * tolerance(s.precision); /* its reference sums tap by tap in float */
        float *bias = p ? b : NULL;
        float *y = guarded(r, y_count, 1), *y_true = guarded(r, y_count, 1);
        device_reference.convolution(y_true, x, w, bias, &s);
        device_cpu.convolution(y, x, w, bias, &s);
        compare("convolution", y, y_true, y_count, t);
        float *dx = guarded(r, x_count, 1), *dx_true = guarded_copy(dx, x_count);
        float *dx_before = guarded_copy(dx, x_count);
        device_reference.convolution_backward_input(dx_true, dy, w, &s);
        device_cpu.convolution_backward_input(dx, dy, w, &s);
        device_cpu.convolution_backward_input(NULL, dy, w, &s);
        compare("convolution_backward_input", dx, dx_true, x_count, t);
        float *dw = guarded(r, w_count, 1), *dw_true = guarded_copy(dw, w_count);
        float *dw_before = guarded_copy(dw, w_count);
        float *db = guarded(r, s.filters, 1), *db_true = guarded_copy(db, s.filters);
        device_reference.convolution_backward_weight(dw_true, db_true, dy, x, &s);
        device_cpu.convolution_backward_weight(dw, NULL, dy, x, &s);
        device_cpu.convolution_backward_weight(NULL, db, dy, x, &s);
        compare("convolution_backward_weight", dw, dw_true, w_count, t);
        const struct truth truth = {x,       w,         bias,    dy,        y_true,
                                    dx_true, dx_before, dw_true, dw_before, x_count,
                                    w_count, y_count,   t};
        taken += direct_case(r, &s, &truth);
        frozen_case(r, &s, &truth);
        check("convolution_backward_bias", db, db_true, s.filters, 3e-5);
        release(y, y_count), release(y_true, y_count);
        release(dx, x_count), release(dx_true, x_count), release(dx_before, x_count);
        release(dw, w_count), release(dw_true, w_count), release(dw_before, w_count);
    }
    release(x, x_count);
    release(w, w_count);
    release(b, s.filters);
    release(dy, y_count);
    return taken;
}

static void test_convolution(void **state)
{
    (void)state;
    /* batch, in, channels, out (computed), filters, kernel, {stride, pad, groups}, precision */
    static const struct convolution_sizes cases[] = {
        {1, {1, 1, 1}, 1, {0}, 1, {1, 1, 1}, {{1, 1, 1}, {0, 0, 0}, 1}, 0},
        {2, {6, 20, 20}, 1, {0}, 16, {5, 7, 7}, {{1, 2, 2}, {2, 3, 3}, 1}, 0},
        {1, {7, 17, 13}, 1, {0}, 33, {5, 7, 7}, {{1, 2, 2}, {2, 3, 3}, 1}, 0},
        {1, {3, 88, 88}, 1, {0}, 16, {5, 7, 7}, {{1, 2, 2}, {2, 3, 3}, 1}, 0},
        {1, {4, 6, 5}, 3, {0}, 7, {3, 3, 3}, {{2, 1, 1}, {1, 1, 1}, 1}, 0},
        {3, {1, 22, 22}, 16, {0}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {3, {1, 11, 11}, 16, {0}, 32, {1, 3, 3}, {{1, 2, 2}, {0, 1, 1}, 1}, 0},
        {2, {1, 22, 22}, 32, {0}, 64, {1, 3, 3}, {{1, 2, 2}, {0, 1, 1}, 1}, 0},
        {5, {1, 3, 3}, 128, {0}, 128, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {70, {1, 3, 3}, 16, {0}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {67, {1, 4, 3}, 16, {0}, 17, {1, 3, 3}, {{1, 2, 2}, {0, 1, 1}, 1}, 0},
        {3, {1, 11, 11}, 32, {0}, 64, {1, 1, 1}, {{1, 2, 2}, {0, 0, 0}, 1}, 0},
        {2, {1, 9, 7}, 5, {0}, 3, {1, 3, 2}, {{1, 2, 1}, {0, 1, 0}, 1}, 0},
        {2, {1, 1, 65}, 80, {0}, 96, {1, 1, 3}, {{1, 1, 1}, {0, 0, 1}, 1}, 0},
        {2, {1, 1, 64}, 33, {0}, 31, {1, 1, 3}, {{1, 1, 2}, {0, 0, 1}, 1}, 0},
        {2, {1, 1, 50}, 64, {0}, 64, {1, 1, 16}, {{1, 1, 1}, {0, 0, 8}, 4}, 0},
        {1, {1, 1, 33}, 96, {0}, 96, {1, 1, 31}, {{1, 1, 1}, {0, 0, 15}, 16}, 0},
        {1, {1, 12, 10}, 6, {0}, 6, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 6}, 0},
        {1, {1, 5, 5}, 32, {0}, 32, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {3, {1, 7, 12}, 48, {0}, 80, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {13, {1, 6, 6}, 32, {0}, 96, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {50, {1, 3, 3}, 64, {0}, 80, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, 0},
        {12, {3, 5, 4}, 32, {0}, 64, {3, 3, 3}, {{1, 2, 1}, {1, 1, 1}, 2}, 0},
        {12, {1, 1, 6}, 7, {0}, 48, {1, 1, 5}, {{1, 1, 2}, {0, 0, 2}, 1}, 0},
    };
    struct random r;
    random_seed(&r, 3);
    int taken = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        taken += convolution_case(&r, cases[i]);
    assert_true(taken >= 10);
}

/* Threads that share one immutable weight, the same sizes and so the same caches. */
struct worker {
    pthread_t thread;
    struct tensor *weight;
    const float *x, *expected;
    bool wrong;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct convolution_sizes s = {
        1, {1, 8, 8}, 16, {1, 8, 8}, 16, {1, 3, 3}, {{1, 1, 1}, {0, 1, 1}, 1}, PRECISION_F32};
    float y[40 * 48], z[2][8 * 8 * 16];
    for (int i = 0; i < 50; i++) {
        device_cpu.linear(y, w->x, w->weight, NULL, 40, PRECISION_BF16);
        for (int j = 0; j < 40 * 48; j++)
            w->wrong = w->wrong || !(fabsf(y[j] - w->expected[j]) <= 0.5f);
        device_cpu.convolution(z[i > 0], w->x, w->weight->data, NULL, &s);
        w->wrong = w->wrong || (i > 0 && memcmp(z[0], z[1], sizeof z[0]));
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct random r;
    struct error err;
    struct tensor weight = {0};
    struct worker workers[4];
    float expected[40 * 48];
    random_seed(&r, 5);
    assert_int_equal(parameter_init(&weight, 2, (int64_t[]){48, 64}, &err), 0);
    for (int i = 0; i < 48 * 64; i++)
        weight.data[i] = random_normal(&r);
    float *x = guarded(&r, 40 * 64, 1);
    device_reference.linear(expected, x, &weight, NULL, 40, PRECISION_BF16);
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.weight = &weight, .x = x, .expected = expected};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].wrong);
    }
    parameter_release(&weight);
    release(x, 40 * 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm),    cmocka_unit_test(test_few_rows),
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
