/*
 * Attention, forward and backward, of every instruction set against device_reference: one query
 * over a cache, few queries over many keys, packed sequences, grouped heads, causal or not, heads
 * of odd width, rows outside all spans.
 */
#include "kernels/margins.h"
#include "tensor/cpu/simd.h"

struct sizes {
    int heads, kv_heads, d, sequences;
    bool causal;
    struct span q[3], k[3];
};

static const struct sizes cases[] = {
    {1, 1, 1, 1, false, {{0, 1}}, {{0, 1}}},
    {2, 1, 32, 1, true, {{0, 1}}, {{0, 200}}},
    {4, 2, 7, 2, true, {{0, 3}, {3, 17}}, {{0, 9}, {9, 17}}},
    {3, 3, 33, 2, false, {{2, 31}, {40, 65}}, {{0, 64}, {70, 33}}},
    {4, 1, 64, 3, true, {{0, 1}, {1, 1}, {2, 1}}, {{5, 65}, {70, 1}, {100, 130}}},
    {2, 2, 128, 1, true, {{0, 150}}, {{0, 150}}},
    {8, 2, 48, 2, true, {{0, 50}, {50, 100}}, {{0, 50}, {50, 100}}},
    {1, 1, 17, 1, true, {{0, 7}}, {{0, 3}}}, /* the first queries see nothing */
    {2, 2, 64, 2, false, {{0, 300}, {300, 0}}, {{0, 300}, {300, 0}}},
    {60, 1, 16, 1, false, {{0, 1}}, {{0, 33}}},
    {3, 1, 65, 1, true, {{1, 260}}, {{3, 391}}}, /* tiles, parts and odd pairs */
    {1, 1, 31, 2, false, {{0, 9}, {9, 193}}, {{0, 129}, {129, 1}}},
    {2, 2, 16, 1, true, {{0, 40}}, {{0, 25}}},   /* bfloat16 queries that see nothing */
    {8, 8, 16, 1, true, {{0, 530}}, {{0, 541}}}, /* heads enough for long parts */
};

static void forward_and_back(const struct device *d, const struct sizes *s, struct random *r)
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
    int64_t nq = q_rows * s->heads * s->d, nk = k_rows * s->kv_heads * s->d;
    int64_t sums = q_rows * s->heads;
    float *q = guarded(r, nq, 1), *k = guarded(r, nk, 1), *v = guarded(r, nk, 1);
    float *dy = guarded(r, nq, 1), *y_true = guarded(r, nq, 1), *y = guarded(r, nq, 1);
    float *sum_true = guarded(r, sums, 1), *sum = guarded_copy(sum_true, sums);
    device_reference.attention(y_true, sum_true, q, k, v, &a, q_rows, s->d, PRECISION_F32);
    d->attention(y, NULL, q, k, v, &a, q_rows, s->d, PRECISION_F32);
    compare("attention without log_sum", y, y_true, nq, 1e-5);
    d->attention(y, sum, q, k, v, &a, q_rows, s->d, PRECISION_F32);
    compare("attention", y, y_true, nq, 1e-5);
    compare("log_sum", sum, sum_true, sums, 1e-5);
    d->attention(y, NULL, q, k, v, &a, q_rows, s->d, PRECISION_BF16);
    compare("attention in bfloat16", y, y_true, nq, 2e-2);
    d->attention(y, sum, q, k, v, &a, q_rows, s->d, PRECISION_BF16);
    compare("attention to be recorded", y, y_true, nq, 1e-5);
    compare("log_sum to be recorded", sum, sum_true, sums, 1e-5);
    float *dq_true = guarded(r, nq, 1), *dk_true = guarded(r, nk, 1), *dv_true = guarded(r, nk, 1);
    float *dq = guarded_copy(dq_true, nq), *dk = guarded_copy(dk_true, nk);
    float *dv = guarded_copy(dv_true, nk);
    device_reference.attention_backward(dq_true, dk_true, dv_true, dy, y_true, sum_true, q, k, v,
                                        &a, q_rows, s->d, PRECISION_F32);
    d->attention_backward(dq, NULL, NULL, dy, y_true, sum_true, q, k, v, &a, q_rows, s->d,
                          PRECISION_F32);
    d->attention_backward(NULL, dk, NULL, dy, y_true, sum_true, q, k, v, &a, q_rows, s->d,
                          PRECISION_F32);
    d->attention_backward(NULL, NULL, dv, dy, y_true, sum_true, q, k, v, &a, q_rows, s->d,
                          PRECISION_F32);
    check("attention dq", dq, dq_true, nq, 2e-5);
    check("attention dk", dk, dk_true, nk, 2e-5);
    check("attention dv", dv, dv_true, nk, 2e-5);
    check("attention", y, y_true, nq, 1e-5);
    release(q, nq), release(k, nk), release(v, nk), release(dy, nq);
    release(sum, sums), release(sum_true, sums);
}

static void test_attention(void **state)
{
    (void)state;
    const struct device *devices[] = {&simd_avx512.device, &simd_avx2.device, &simd_generic.device,
                                      &device_cpu};
    const bool have[] = {simd_supported(&simd_avx512), simd_supported(&simd_avx2), true, true};
    struct random r;
    random_seed(&r, 11);
    for (int i = 0; i < 4; i++)
        for (size_t j = 0; have[i] && j < sizeof cases / sizeof *cases; j++)
            forward_and_back(devices[i], &cases[j], &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
