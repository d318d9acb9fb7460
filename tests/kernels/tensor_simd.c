/*
 * Every kernel of every instruction set that this CPU has against device_reference: odd sizes,
 * unaligned, NaN around inputs, margins around outputs intact; gradients are added to what is
 * there, and NULL means not wanted.
 */
#include "kernels/margins.h"
#include "tensor/cpu/simd.h"

static const int64_t sizes[] = {1, 3, 7, 17, 31, 33, 64, 65, 1000};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const double tolerance = 1e-5;

typedef void test_body(const struct device *d, struct random *r);

static void each_set(test_body *body)
{
    const struct simd *sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
    for (int i = 0; i < 3; i++) {
        struct random r;
        random_seed(&r, 7);
        if (simd_supported(sets[i]))
            body(&sets[i]->device, &r);
    }
}

/* Calls `statement` with d = the reference and out = expected, then the device and found. */
#define AGAINST(what, n, statement)                                                                \
    do {                                                                                           \
        float *expected_ = guarded(r, n, 1), *found_ = guarded_copy(expected_, n);                 \
        const struct device *device_ = d;                                                          \
        {                                                                                          \
            const struct device *d = &device_reference;                                            \
            float *out = expected_;                                                                \
            (void)d, statement;                                                                    \
        }                                                                                          \
        {                                                                                          \
            const struct device *d = device_;                                                      \
            float *out = found_;                                                                   \
            (void)d, statement;                                                                    \
        }                                                                                          \
        check(what, found_, expected_, n, tolerance);                                              \
    } while (0)

static void elementwise(const struct device *d, struct random *r)
{
    static const int64_t more[] = {1, 3, 7, 17, 31, 33, 64, 65, 1000, 70001};
    for (int i = 0; i < 10; i++) {
        int64_t n = more[i];
        float *x = guarded(r, n, 3), *g = guarded(r, n, 1), *u = guarded(r, n, 1);
        AGAINST("relu", n, d->relu(out, x, n));
        AGAINST("relu_backward", n, d->relu_backward(out, g, x, n));
        AGAINST("gelu", n, d->gelu(out, x, n));
        AGAINST("gelu_backward", n, d->gelu_backward(out, g, x, n));
        AGAINST("swiglu", n, d->swiglu(out, x, u, n));
        AGAINST("swiglu_backward gate", n, d->swiglu_backward(out, NULL, g, x, u, n));
        AGAINST("swiglu_backward up", n, d->swiglu_backward(NULL, out, g, x, u, n));
        AGAINST("add", n, d->add(out, x, u, n));
        AGAINST("add_scaled", n, d->add_scaled(out, x, 0.3f, n));
        AGAINST("scale", n, d->scale(out, x, -0.7f, n));
        AGAINST("multiply_add", n, d->multiply_add(out, x, u, n));
        AGAINST("fill", n, d->fill(out, 2, n));
        double sum = d->sum_of_squares(x, n), expected = device_reference.sum_of_squares(x, n);
        assert_true(fabs(sum - expected) <= 1e-6 * expected);
        release(x, n);
        release(g, n);
        release(u, n);
    }
}

/* What overflows or underflows in the middle of an exponential still has the right limit. */
static void extremes(const struct device *d, struct random *r)
{
    (void)r;
    const float x[8] = {-1e4f, -200, -90, -30, 30, 90, 200, 1e4f};
    float y[8], ones[8] = {1, 1, 1, 1, 1, 1, 1, 1}, expected[8];
    d->gelu(y, x, 8);
    device_reference.gelu(expected, x, 8);
    compare("gelu", y, expected, 8, 1e-6);
    d->swiglu(y, x, ones, 8);
    device_reference.swiglu(expected, x, ones, 8);
    compare("swiglu", y, expected, 8, 1e-6);
    d->softmax(y, x, 1, 8);
    device_reference.softmax(expected, x, 1, 8);
    compare("softmax", y, expected, 8, 1e-6);
}

static void optimiser(const struct device *d, struct random *r)
{
    const struct adamw_step step = {1e-2f, 0.9f, 0.98f, 1e-8f, 0.1f, 0.1f, 0.02f, 0.5f};
    for (int i = 0; i < SIZES; i++) {
        int64_t n = sizes[i];
        float *grad = guarded(r, n, 1);
        float *w[2], *m[2], *v[2];
        w[0] = guarded(r, n, 1), m[0] = guarded(r, n, 0.1f), v[0] = guarded(r, n, 0.1f);
        for (int64_t j = 0; j < n; j++)
            v[0][j] = fabsf(v[0][j]);
        w[1] = guarded_copy(w[0], n), m[1] = guarded_copy(m[0], n), v[1] = guarded_copy(v[0], n);
        device_reference.adamw(w[0], m[0], v[0], grad, &step, n);
        d->adamw(w[1], m[1], v[1], grad, &step, n);
        check("adamw w", w[1], w[0], n, tolerance);
        check("adamw m", m[1], m[0], n, tolerance);
        check("adamw v", v[1], v[0], n, tolerance);
        release(grad, n);
    }
}

static void norms(const struct device *d, struct random *r, int64_t rows, int64_t width)
{
    const struct norm_sizes s = {rows, width, 1e-5f};
    int64_t n = rows * width, most = rows > width ? rows : width;
    float *x = guarded(r, n, 2), *g = guarded(r, n, 1), *w = guarded(r, width, 1);
    float *b = guarded(r, width, 1), *mean = guarded(r, most, 1), *rstd = guarded(r, most, 1);
    float *none = guarded(r, most, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] += 3;
    AGAINST("layer_norm", n, d->layer_norm(out, mean, rstd, x, w, b, &s));
    AGAINST("layer_norm mean", rows, d->layer_norm(g, out, NULL, x, w, NULL, &s));
    AGAINST("layer_norm rstd", rows, d->layer_norm(g, NULL, out, x, w, b, &s));
    device_reference.layer_norm(g, mean, rstd, x, w, b, &s);
    AGAINST("layer_norm dx", n, d->layer_norm_backward(out, 0, 0, g, x, w, mean, rstd, &s));
    AGAINST("layer_norm dw", width, d->layer_norm_backward(0, out, 0, g, x, w, mean, rstd, &s));
    AGAINST("layer_norm db", width, d->layer_norm_backward(0, 0, out, g, x, w, mean, rstd, &s));
    AGAINST("rms_norm", n, d->rms_norm(out, NULL, x, w, &s));
    AGAINST("rms_norm rstd", rows, d->rms_norm(g, out, x, w, &s));
    device_reference.rms_norm(g, rstd, x, w, &s);
    AGAINST("rms_norm dx", n, d->rms_norm_backward(out, NULL, g, x, w, rstd, &s));
    AGAINST("rms_norm dw", width, d->rms_norm_backward(NULL, out, g, x, w, rstd, &s));
    AGAINST("column mean", width, d->column_moments(out, none, x, &s));
    AGAINST("column var", width, d->column_moments(none, out, x, &s));
    device_reference.column_moments(mean, rstd, x, &s);
    for (int64_t i = 0; i < width; i++)
        rstd[i] = 1 / sqrtf(rstd[i] + 1e-2f);
    AGAINST("column_norm", n, d->column_norm(out, x, mean, rstd, w, b, &s));
    for (int through = 0; through < 2; through++) {
        bool t = through;
        AGAINST("column dx", n, d->column_norm_backward(out, 0, 0, g, x, mean, rstd, w, t, &s));
        AGAINST("column dw", width, d->column_norm_backward(0, out, 0, g, x, mean, rstd, w, t, &s));
        AGAINST("column db", width, d->column_norm_backward(0, 0, out, g, x, mean, rstd, w, t, &s));
    }
    AGAINST("prelu", n, d->prelu(out, x, w, rows, width));
    AGAINST("prelu dx", n, d->prelu_backward(out, NULL, g, x, w, rows, width));
    AGAINST("prelu dslope", width, d->prelu_backward(NULL, out, g, x, w, rows, width));
    release(x, n), release(g, n), release(w, width), release(b, width);
    release(mean, most), release(rstd, most), release(none, most);
}

static void all_norms(const struct device *d, struct random *r)
{
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            if (sizes[i] * sizes[j] <= 65000)
                norms(d, r, sizes[i], sizes[j]);
    norms(d, r, 5000, 16);
    norms(d, r, 100, 1000);
}

static void rows_of(const struct device *d, struct random *r, int64_t rows, int64_t width)
{
    int64_t n = rows * width, period = rows < 5 ? rows : 5;
    float *x = guarded(r, n, 2), *g = guarded(r, n, 1), *p = guarded(r, n, 1);
    float *table = guarded(r, period * width, 1);
    int32_t index[1000];
    for (int64_t i = 0; i < rows; i++)
        index[i] = (int32_t)random_below(r, rows + 1) - 1;
    AGAINST("gather_rows", n, d->gather_rows(out, x, index, rows, width));
    AGAINST("scatter_add_rows", n, d->scatter_add_rows(out, x, index, rows, width));
    int64_t part = (width + 1) / 2;
    AGAINST("copy_columns", n, d->copy_columns(out, width, x, width, false, rows, part));
    AGAINST("copy_columns add", n, d->copy_columns(out, width, x, width, true, rows, part));
    AGAINST("add_periodic", n, d->add_periodic(out, x, table, rows, width, period));
    AGAINST("add_periodic_backward", period * width,
            d->add_periodic_backward(out, x, rows, width, period));
    const struct span spans[] = {{0, rows / 3}, {rows / 3, 0}, {rows / 3, rows - rows / 3}};
    for (int rate = 1; rate < 6; rate += 2) {
        int64_t pooled = spans[0].length / rate + spans[2].length / rate;
        AGAINST("pool_rows", pooled * width, d->pool_rows(out, x, spans, 3, rate, width));
        AGAINST("pool_rows_backward", n, d->pool_rows_backward(out, x, spans, 3, rate, width));
    }
    AGAINST("softmax", n, d->softmax(out, x, rows, width));
    device_reference.softmax(p, x, rows, width);
    AGAINST("softmax_backward", n, d->softmax_backward(out, g, p, rows, width));
    int32_t target[1000];
    for (int64_t i = 0; i < rows; i++)
        target[i] = (int32_t)random_below(r, width + 1) - 1;
    target[0] = 0;
    for (int i = 0; i < 4 && width > 1; i++) { /* of one class both are 0 but for rounding */
        const float *weight = i & 1 ? p : NULL, smoothing = i & 2 ? 0.1f : 0;
        AGAINST("cross_entropy", n,
                d->cross_entropy(out, x, target, weight, smoothing, rows, width));
        AGAINST("cross_entropy loss", 1,
                *out = d->cross_entropy(NULL, x, target, weight, smoothing, rows, width));
    }
    release(x, n), release(g, n), release(p, n), release(table, period * width);
}

static void all_rows(const struct device *d, struct random *r)
{
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            if (sizes[i] * sizes[j] <= 65000)
                rows_of(d, r, sizes[i], sizes[j]);
}

static void rope(const struct device *d, struct random *r)
{
    static const int64_t cases[][3] = {
        {1, 1, 2}, {3, 2, 6}, {17, 3, 64}, {65, 4, 128}, {7, 1, 200}};
    for (int i = 0; i < 5; i++) {
        int64_t rows = cases[i][0], heads = cases[i][1], width = cases[i][2];
        int64_t n = rows * heads * width;
        float *x = guarded(r, n, 1), *frequency = guarded(r, width / 2, 1);
        int32_t position[65];
        for (int64_t j = 0; j < rows; j++)
            position[j] = (int32_t)random_below(r, 100000);
        for (int64_t j = 0; j < width / 2; j++)
            frequency[j] = powf(10000, -2 * (float)j / (float)width);
        AGAINST("rope", n, d->rope(out, x, position, frequency, 1, false, rows, heads, width));
        AGAINST("rope add", n, d->rope(out, x, position, frequency, -1, true, rows, heads, width));
        float *in_place = guarded_copy(x, n), *expected = guarded(r, n, 1);
        device_reference.rope(expected, x, position, frequency, 1, false, rows, heads, width);
        d->rope(in_place, in_place, position, frequency, 1, false, rows, heads, width);
        check("rope in place", in_place, expected, n, tolerance);
        release(x, n);
        release(frequency, width / 2);
    }
}

static void pool(const struct device *d, struct random *r)
{
    /* n h w channels kernel stride pad */
    static const int cases[][7] = {{1, 1, 1, 1, 1, 1, 0},
                                   {2, 7, 5, 3, 3, 2, 1},
                                   {3, 44, 44, 16, 3, 2, 1},
                                   {1, 9, 8, 33, 2, 2, 0},
                                   {2, 5, 5, 17, 3, 1, 1}};
    for (int i = 0; i < 5; i++) {
        const int *c = cases[i];
        int64_t x_per_n = (int64_t)c[1] * c[2] * c[3];
        int64_t outputs = (int64_t)c[0] * ((c[1] + 2 * c[6] - c[4]) / c[5] + 1) *
                          ((c[2] + 2 * c[6] - c[4]) / c[5] + 1) * c[3];
        float *x = guarded(r, c[0] * x_per_n, 1), *g = guarded(r, outputs, 1);
        float *y = guarded(r, outputs, 1), *expected = guarded(r, outputs, 1);
        int32_t *at = malloc(2 * outputs * sizeof *at), *at_true = at + outputs;
        device_reference.max_pool(expected, at_true, x, c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
        d->max_pool(y, NULL, x, c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
        compare("max_pool without argmax", y, expected, outputs, 0);
        d->max_pool(y, at, x, c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
        check("max_pool", y, expected, outputs, 0);
        assert_memory_equal(at, at_true, outputs * sizeof *at);
        AGAINST("max_pool_backward", c[0] * x_per_n,
                d->max_pool_backward(out, g, at_true, outputs, c[0], x_per_n));
        free(at);
        release(x, c[0] * x_per_n);
        release(g, outputs);
    }
}

static void experts(const struct device *d, struct random *r)
{
    /* rows shared routed b k */
    static const int cases[][5] = {{1, 1, 4, 3, 2},    {17, 0, 7, 1, 7},     {65, 1, 23, 12, 4},
                                   {33, 2, 31, 17, 1}, {1000, 1, 23, 12, 4}, {3, 3, 1, 5, 1}};
    for (int i = 0; i < 12; i++) {
        int rows = cases[i / 2][0], shared = cases[i / 2][1], routed = cases[i / 2][2];
        int b = cases[i / 2][3], k = cases[i / 2][4];
        int64_t n = (int64_t)rows * (shared + routed) * b, scores_count = (int64_t)rows * routed;
        bool renormalise = i & 1;
        float *h = guarded(r, n, 1), *g = guarded(r, n, 1), *scores = guarded(r, scores_count, 1);
        float *gates = guarded(r, scores_count, 1), *dgates = guarded(r, scores_count, 1);
        int32_t *chosen = malloc(2 * (size_t)rows * k * sizeof *chosen), *again = chosen + rows * k;
        for (int64_t j = 0; j < scores_count; j++) /* some are equal */
            scores[j] = 0.1f + (float)random_below(r, 8);
        AGAINST("top_k", scores_count, d->top_k(out, again, scores, k, renormalise, rows, routed));
        device_reference.top_k(gates, chosen, scores, k, renormalise, rows, routed);
        d->top_k(gates, again, scores, k, renormalise, rows, routed);
        assert_memory_equal(chosen, again, (size_t)rows * k * sizeof *chosen);
        AGAINST(
            "top_k_backward", scores_count,
            d->top_k_backward(out, dgates, gates, scores, chosen, k, renormalise, rows, routed));
        AGAINST("gate_experts", n, d->gate_experts(out, h, gates, rows, shared, routed, b));
        AGAINST("gate_experts dh", n,
                d->gate_experts_backward(out, NULL, g, h, gates, rows, shared, routed, b));
        AGAINST("gate_experts dgates", scores_count,
                d->gate_experts_backward(NULL, out, g, h, gates, rows, shared, routed, b));
        free(chosen);
        release(h, n), release(g, n), release(scores, scores_count);
        release(gates, scores_count), release(dgates, scores_count);
    }
}

static void bf16(const struct simd *s)
{
    struct random r;
    random_seed(&r, 9);
    for (int i = 0; i < SIZES; i++) {
        int64_t n = sizes[i], rows = 3, stride = n + 2 * (i % 2);
        float *x = guarded(&r, rows * stride, 1);
        uint16_t to[3 * 1000 + 1];
        to[rows * n] = 12345;
        s->to_bf16(to, x, rows, n, stride);
        assert_int_equal(to[rows * n], 12345);
        for (int64_t j = 0; j < rows * n; j++) {
            uint32_t bits;
            memcpy(&bits, &x[j / n * stride + j % n], sizeof bits);
            assert_int_equal(to[j], (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
        }
        release(x, rows * stride);
    }
}

#define TEST(name, body)                                                                           \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        each_set(body);                                                                            \
    }

TEST(test_elementwise, elementwise)
TEST(test_extremes, extremes)
TEST(test_optimiser, optimiser)
TEST(test_norms, all_norms)
TEST(test_rows, all_rows)
TEST(test_rope, rope)
TEST(test_pool, pool)
TEST(test_experts, experts)

static void test_bf16(void **state)
{
    (void)state;
    const struct simd *sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
    for (int i = 0; i < 3; i++)
        if (simd_supported(sets[i]))
            bf16(sets[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_optimiser),   cmocka_unit_test(test_norms),
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_pool),        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
