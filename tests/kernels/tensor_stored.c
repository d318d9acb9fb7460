/*
 * What reads stored weights and caches: every type on every instruction set that this CPU has
 * against device_reference, at odd sizes. Inputs stand between NaNs or, weights, right before a
 * page that must not be touched; outputs' margins must stay. Errors are measured against
 *
 *     size = |x| |w| / sqrt(in)     (norms of the whole matrices)
 *
 * which is about |y| for independent x and w: 1e-5 exact, 2e-2 where x is rounded to 8 bits.
 */
#include "kernels/margins.h"
#include "tensor/cpu/simd.h"

#include <sys/mman.h>
#include <unistd.h>

static const struct simd *const sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
enum { SETS = 3 };

/* ---- weights before a forbidden page --------------------------------------------------------- */

struct walled {
    struct tensor t;
    char *base;
    size_t bytes; /* mapped */
};

static void put_half(uint8_t *to, float x)
{
    dtype_from_float(to, DTYPE_F16, &x, 1);
}

/* A block's scale and, where the type has one, its minimum. */
static void put_scales(uint8_t *b, enum dtype type, float scale, float minimum)
{
    put_half(b + (type == DTYPE_Q6_K ? 208 : 0), scale);
    if (type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K)
        put_half(b + 2, minimum);
}

/* Random bytes, but scales that are sensible; some of them negative. */
static void block_fill(uint8_t *b, enum dtype type, struct random *r)
{
    for (int64_t i = 0; i < dtype_bytes(type, dtype_block(type)); i++)
        b[i] = (uint8_t)random_next(r);
    float scale = 0.02f * random_normal(r);
    put_scales(b, type, scale, 0.1f * random_normal(r));
}

static void walled_new(struct walled *w, enum dtype type, int64_t out, int64_t in, struct random *r)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (size_t)dtype_bytes(type, out * in), whole = (bytes + page - 1) / page * page;
    w->bytes = whole + page;
    w->base = mmap(NULL, w->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(w->base != MAP_FAILED);
    assert_int_equal(mprotect(w->base + whole, page, PROT_NONE), 0);
    char *at = w->base + whole - bytes;
    int64_t block = dtype_block(type), step = dtype_bytes(type, block);
    for (int64_t i = 0; i < out * in / block; i++) {
        float x = random_normal(r);
        if (block > 1)
            block_fill((uint8_t *)at + i * step, type, r);
        else
            dtype_from_float(at + i * step, type, &x, 1);
    }
    w->t = (struct tensor){0};
    parameter_borrow(&w->t, 2, (int64_t[]){out, in}, type, at);
}

static void walled_free(struct walled *w)
{
    parameter_release(&w->t);
    munmap(w->base, w->bytes);
}

/* ---- products -------------------------------------------------------------------------------- */

static double norm(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void near(const char *what, const struct tensor *w, const float *found,
                 const float *expected, int64_t n, double limit)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
    if (!(sqrt(sum) <= limit)) /* so that NaN fails */
        fail_msg("%s, %s [%lld, %lld], %lld numbers: error %g, limit %g", what,
                 dtype_name(w->dtype), (long long)w->shape[0], (long long)w->shape[1], (long long)n,
                 sqrt(sum), limit);
}

static double size_of(const struct tensor *w, const float *x, int64_t rows)
{
    int64_t n = tensor_count(w), in = tensor_width(w);
    float *numbers = malloc((size_t)n * sizeof *numbers);
    assert_non_null(numbers);
    dtype_to_float(numbers, w->dtype, w->stored, n);
    double size = norm(numbers, n) * norm(x, rows * in) / sqrt((double)in);
    free(numbers);
    return size;
}

/* y of a plain type that is stored, in bfloat16, is that of the same numbers as floats: both are
   packed, where they can be. */
static void same_as_floats(const struct tensor *t, const float *y, const float *x,
                           const float *bias, int64_t rows, double size)
{
    struct error err;
    struct tensor floats = {0};
    int64_t n = rows * tensor_rows(t);
    float *expected = malloc((size_t)n * sizeof *expected);
    assert_non_null(expected);
    assert_int_equal(parameter_init(&floats, t->dims, t->shape, &err), 0);
    parameter_read(floats.data, t, 0, tensor_count(t));
    device_cpu.linear(expected, x, &floats, bias, rows, PRECISION_BF16);
    near("as floats, bf16", t, y, expected, n, (tensor_width(t) % 2 ? 2e-2 : 1e-5) * size);
    parameter_release(&floats);
    free(expected);
}

/* Three products of one x are what they are one by one, to the bit. */
static void several_case(struct tensor *t, const float *x, const float *bias, int64_t rows)
{
    int64_t n = rows * tensor_rows(t);
    float *y = malloc(4 * (size_t)n * sizeof *y), *alone = y + 3 * n;
    assert_non_null(y);
    for (enum precision p = PRECISION_F32; p <= PRECISION_BF16; p++) {
        struct linear_part parts[3] = {{.y = y, .weight = t, .bias = bias},
                                       {.y = y + n, .weight = t},
                                       {.y = y + 2 * n, .weight = t, .bias = bias}};
        device_cpu.linears(parts, 3, x, rows, p);
        for (int i = 0; i < 3; i++) {
            device_cpu.linear(alone, x, t, parts[i].bias, rows, p);
            assert_memory_equal(parts[i].y, alone, (size_t)n * sizeof *y);
        }
    }
    free(y);
}

/* With gelu, with a sum to add to, with both. */
static void followed_case(struct tensor *t, const float *x, const float *bias, int64_t rows,
                          double size, struct random *r)
{
    int64_t n = rows * tensor_rows(t);
    float *add = guarded(r, n, 1), *expected = guarded(r, n, 1), *y = guarded(r, n, 1);
    for (int flags = 1; flags < 4; flags++)
        for (enum precision p = PRECISION_F32; p <= PRECISION_BF16; p++) {
            struct linear_part part = {.y = expected,
                                       .weight = t,
                                       .bias = bias,
                                       .add = flags & 2 ? add : NULL,
                                       .gelu = flags & 1};
            device_reference.linears(&part, 1, x, rows, PRECISION_F32);
            part.y = y;
            device_cpu.linears(&part, 1, x, rows, p);
            near("followed", t, y, expected, n, (p == PRECISION_BF16 ? 3e-2 : 2e-5) * size);
        }
    release(add, n), release(expected, n), release(y, n);
}

static void linear_case(struct walled *w, int64_t rows, bool bias, struct random *r)
{
    struct tensor *t = &w->t;
    int64_t in = tensor_width(t), out = tensor_rows(t), n = rows * out;
    float *x = guarded(r, rows * in, 1), *b = guarded(r, out, 1), *with = bias ? b : NULL;
    float *expected = guarded(r, n, 1), *y = guarded(r, n, 1);
    double size = size_of(t, x, rows);
    device_reference.linear(expected, x, t, with, rows, PRECISION_F32);
    for (int i = 0; i < SETS; i++) {
        if (!simd_supported(sets[i]))
            continue;
        sets[i]->few_rows_stored(y, x, t, with, rows);
        near("few_rows_stored", t, y, expected, n, 1e-5 * size);
        if (dtype_block(t->dtype) == 1)
            continue;
        sets[i]->linear_rounded(&(struct linear_part){.y = y, .weight = t, .bias = with}, 1, x,
                                rows);
        near("linear_rounded", t, y, expected, n, 2e-2 * size);
    }
    device_cpu.linear(y, x, t, with, rows, PRECISION_F32);
    near("linear, f32", t, y, expected, n, 1e-5 * size);
    device_cpu.linear(y, x, t, with, rows, PRECISION_BF16);
    near("linear, bf16", t, y, expected, n, 2e-2 * size);
    if (dtype_block(t->dtype) == 1)
        same_as_floats(t, y, x, with, rows, size);
    several_case(t, x, b, rows);
    followed_case(t, x, with, rows, size, r);
    release(x, rows * in), release(b, out), release(expected, n), release(y, n);
}

static void backward_case(struct walled *w, int64_t rows, struct random *r)
{
    struct tensor *t = &w->t;
    int64_t in = tensor_width(t), out = tensor_rows(t), n = rows * in;
    float *dy = guarded(r, rows * out, 1), *expected = guarded(r, n, 1);
    float *dx = guarded_copy(expected, n), *half = guarded_copy(expected, n);
    device_reference.linear_backward_input(expected, dy, t, rows, PRECISION_F32);
    device_cpu.linear_backward_input(dx, dy, t, rows, PRECISION_F32);
    near("backward, f32", t, dx, expected, n, 1e-5 * norm(expected, n));
    device_cpu.linear_backward_input(half, dy, t, rows, PRECISION_BF16);
    near("backward, bf16", t, half, expected, n, 2e-2 * norm(expected, n));
    release(dy, rows * out), release(expected, n), release(dx, n), release(half, n);
}

static void gather_case(struct walled *w, struct random *r)
{
    struct tensor *t = &w->t;
    int64_t width = tensor_width(t), last = tensor_rows(t) - 1;
    const int32_t index[] = {(int32_t)last, -1, 0, (int32_t)(last / 2), (int32_t)last};
    enum { COUNT = sizeof index / sizeof *index };
    float *expected = guarded(r, COUNT * width, 1), *y = guarded(r, COUNT * width, 1);
    device_reference.gather_stored(expected, t, index, COUNT);
    device_cpu.gather_stored(y, t, index, COUNT);
    compare("gather", y, expected, COUNT * width, 1e-6);
    for (int i = 0; i < SETS; i++)
        if (simd_supported(sets[i])) {
            sets[i]->dequantise(y, t->dtype, t->stored, width);
            device_reference.gather_stored(expected, t, (int32_t[]){0}, 1);
            compare("dequantise", y, expected, width, 1e-6);
        }
    release(expected, COUNT * width), release(y, COUNT * width);
}

static void test_stored(void **state)
{
    enum { MOST = 300000 }; /* products, so that this takes seconds */
    static const int64_t ins[] = {32, 64, 96, 256, 512, 576, 768, 1, 7, 66};
    static const int64_t outs[] = {1, 7, 33, 65, 96, 300}; /* 300: more than a chunk */
    static const int64_t rows[] = {1, 2, 3, 5, 7, 15, 16, 17, 33, 100};
    struct random r;
    (void)state;
    random_seed(&r, 3);
    for (int type = DTYPE_F16; type < DTYPE_OTHER; type++)
        for (int i = 0; i < 10; i++)
            for (int o = 0; o < 6; o++) {
                struct walled w;
                if (ins[i] % dtype_block((enum dtype)type) || (outs[o] == 300 && ins[i] > 256))
                    continue;
                walled_new(&w, (enum dtype)type, outs[o], ins[i], &r);
                for (int k = 0; k < 10; k++)
                    if (rows[k] * outs[o] * ins[i] <= MOST)
                        linear_case(&w, rows[k], k % 2 == 0, &r);
                backward_case(&w, rows[(i + o) % 10], &r);
                gather_case(&w, &r);
                walled_free(&w);
            }
}

/* A number that is none, or infinite, in x is seen in y. */
static void test_not_numbers(void **state)
{
    enum { IN = 64, OUT = 20 };
    struct random r;
    struct walled w;
    (void)state;
    random_seed(&r, 4);
    walled_new(&w, DTYPE_Q8_0, OUT, IN, &r);
    for (int i = 0; i < SETS; i++)
        for (int k = 0; k < 2; k++) {
            float x[IN] = {1}, y[OUT];
            x[40] = k ? INFINITY : NAN;
            if (!simd_supported(sets[i]))
                continue;
            sets[i]->linear_rounded(&(struct linear_part){.y = y, .weight = &w.t}, 1, x, 1);
            for (int o = 0; o < OUT; o++)
                assert_false(isfinite(y[o]));
        }
    walled_free(&w);
}

/* All bits of the codes are set, and x is as large as its scale: the largest sums there can be. */
static void largest_case(enum dtype type, struct random *r)
{
    enum { OUT = 19, IN = 256 };
    struct walled w;
    float x[IN], y[OUT], expected[OUT];
    const int64_t block = dtype_block(type), bytes = dtype_bytes(type, block);
    walled_new(&w, type, OUT, IN, r);
    for (int64_t i = 0; i < OUT * IN / block; i++) {
        uint8_t *b = (uint8_t *)w.t.stored + i * bytes;
        memset(b, 0xff, (size_t)bytes);
        put_scales(b, type, 1, 0);
    }
    for (int sign = -1; sign < 2; sign += 2) {
        for (int i = 0; i < IN; i++)
            x[i] = (float)sign;
        device_reference.linear(expected, x, &w.t, NULL, 1, PRECISION_F32);
        for (int i = 0; i < SETS; i++) {
            if (!simd_supported(sets[i]))
                continue;
            sets[i]->linear_rounded(&(struct linear_part){.y = y, .weight = &w.t}, 1, x, 1);
            near("largest sums", &w.t, y, expected, OUT, 1e-5 * norm(expected, OUT));
        }
    }
    walled_free(&w);
}

static void test_largest_sums_fit(void **state)
{
    struct random r;
    (void)state;
    random_seed(&r, 6);
    for (int type = DTYPE_Q8_0; type < DTYPE_OTHER; type++)
        largest_case((enum dtype)type, &r);
}

/* ---- attention over a cache ------------------------------------------------------------------ */

struct cached_case {
    int heads, kv_heads, d, sequences;
    bool causal;
    struct span q[3], k[3];
};

static const struct cached_case cases[] = {
    {1, 1, 1, 1, false, {{0, 1}}, {{0, 1}}},
    {9, 3, 64, 1, true, {{0, 1}}, {{0, 97}}},
    {9, 3, 64, 1, true, {{0, 1}}, {{3, 700}}},
    {2, 1, 32, 1, true, {{0, 1}}, {{0, 64}}},
    {4, 2, 7, 2, true, {{0, 3}, {3, 17}}, {{0, 9}, {9, 17}}},
    {3, 3, 33, 2, false, {{2, 31}, {40, 65}}, {{0, 64}, {70, 133}}},
    {4, 1, 64, 3, true, {{0, 1}, {1, 1}, {2, 1}}, {{5, 65}, {70, 1}, {100, 130}}},
    {6, 2, 128, 1, true, {{0, 50}}, {{0, 250}}},
    {1, 1, 17, 1, true, {{0, 7}}, {{0, 3}}}, /* the first queries see nothing */
    {15, 5, 64, 2, true, {{0, 5}, {5, 0}}, {{0, 300}, {300, 0}}},
    {60, 1, 16, 1, false, {{0, 1}}, {{0, 333}}},
};

static void cached(const struct device *device, const struct cached_case *s, struct random *r)
{
    int64_t q_rows = 0, k_rows = 0;
    for (int i = 0; i < s->sequences; i++) {
        int64_t q_end = s->q[i].start + s->q[i].length, k_end = s->k[i].start + s->k[i].length;
        q_rows = q_end > q_rows ? q_end : q_rows;
        k_rows = k_end > k_rows ? k_end : k_rows;
    }
    q_rows += 2; /* outside all spans */
    const struct attention a = {s->heads,     s->kv_heads, s->causal, s->d == 33 ? 0.3f : 0,
                                s->sequences, s->q,        s->k};
    int64_t nq = q_rows * s->heads * s->d, nk = k_rows * s->kv_heads * s->d, all = nk + 2 * MARGIN;
    float *q = guarded(r, nq, 1), *k = guarded(r, nk, 1), *v = guarded(r, nk, 1);
    float *expected = guarded(r, nq, 1), *y = guarded_copy(expected, nq);
    uint16_t *halves = malloc(2 * (size_t)all * sizeof *halves); /* with the margins, NaN */
    assert_non_null(halves);
    dtype_from_float(halves, DTYPE_BF16, k - MARGIN, all);
    dtype_from_float(halves + all, DTYPE_BF16, v - MARGIN, all);
    const uint16_t *k16 = halves + MARGIN, *v16 = k16 + all;
    device_reference.attention_cached(expected, q, k16, v16, &a, q_rows, s->d);
    device->attention_cached(y, q, k16, v16, &a, q_rows, s->d);
    check("attention_cached", y, expected, nq, 1e-5);
    release(q, nq), release(k, nk), release(v, nk);
    free(halves);
}

static void test_cached(void **state)
{
    struct random r;
    (void)state;
    random_seed(&r, 5);
    for (int i = 0; i < SETS; i++)
        for (size_t j = 0; simd_supported(sets[i]) && j < sizeof cases / sizeof *cases; j++)
            cached(&sets[i]->device, &cases[j], &r);
    for (size_t j = 0; j < sizeof cases / sizeof *cases; j++)
        cached(&device_cpu, &cases[j], &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored), cmocka_unit_test(test_not_numbers),
        cmocka_unit_test(test_largest_sums_fit), cmocka_unit_test(test_cached)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
