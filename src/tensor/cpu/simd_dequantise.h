/*
 * Part of simd_body.h: stored numbers (dtype.h) written out as float32, with the loops of
 * dtype_blocks.h; and products of few rows of x with them, exact: four rows of the weight at a time
 * are written out, which stay in the first cache.
 */
#include "tensor/dtype_blocks.h"

#define EACH_BLOCK(type, numbers, bytes, block)                                                    \
    case type:                                                                                     \
        for (int64_t i = 0; i < count / numbers; i++)                                              \
            block(to + i * numbers, b + i * bytes);                                                \
        break;

/* count: whole blocks */
static void dequantise(float *to, enum dtype type, const void *from, int64_t count)
{
    const uint8_t *b = from;
    switch (type) {
        EACH_BLOCK(DTYPE_Q8_0, 32, 34, q8_0)
        EACH_BLOCK(DTYPE_Q4_0, 32, 18, q4_0)
        EACH_BLOCK(DTYPE_Q4_1, 32, 20, q4_1)
        EACH_BLOCK(DTYPE_Q5_0, 32, 22, q5_0)
        EACH_BLOCK(DTYPE_Q5_1, 32, 24, q5_1)
        EACH_BLOCK(DTYPE_Q4_K, 256, 144, q4_k)
        EACH_BLOCK(DTYPE_Q5_K, 256, 176, q5_k)
        EACH_BLOCK(DTYPE_Q6_K, 256, 210, q6_k)
    case DTYPE_F16:
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = half_to_float(load16(b + 2 * i));
        break;
    case DTYPE_BF16:
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = from_bits((uint32_t)load16(b + 2 * i) << 16);
        break;
    default:
        dtype_to_float(to, type, from, count);
    }
}

/* y [rows, out] = x w^T + bias */
static void few_rows_stored(float *y, const float *x, const struct tensor *weight,
                            const float *bias, int64_t rows)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    int64_t stride = dtype_bytes(weight->dtype, in), floats = whole(4 * in);
    const uint8_t *w = weight->stored;
    float *work = scratch_take((size_t)(omp_get_max_threads() * floats) * sizeof *work);
#pragma omp parallel for if (in * out > PARALLEL_LIMIT) schedule(static)
    for (int64_t o = 0; o < out; o += 4) {
        float *four = work + omp_get_thread_num() * floats;
        int64_t n = minimum(4, out - o);
        for (int64_t i = 0; i < n * stride; i += 64)
            __builtin_prefetch(w + (o + 4) * stride + i);
        for (int64_t i = 0; i < n; i++)
            dequantise(four + i * in, weight->dtype, w + (o + i) * stride, in);
        dots(&(struct dots){y + o, x, four, bias ? bias + o : NULL, out, in, in, rows, in, n});
    }
    scratch_give(work);
}
