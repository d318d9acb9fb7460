/*
 * The vectorised kernels, once per instruction set. simd_body.h is the code, in C loops and a few
 * vector types; simd_avx512.c, simd_avx2.c and simd_generic.c are ten lines each that compile it
 * for their set. simd_best chooses by what the CPU says it has.
 */
#ifndef TENSOR_CPU_SIMD_H
#define TENSOR_CPU_SIMD_H

#include "tensor/device.h"

struct simd {
    struct device device; /* every entry but those of products and convolutions */
    /* rows of `width` floats, `stride` apart, to dense bfloat16 (nearest, ties to even) */
    void (*to_bf16)(uint16_t *to, const float *from, int64_t rows, int64_t width, int64_t stride);
    /* y [rows, out] = x [rows, in] w [out, in]^T + bias, for few rows */
    void (*few_rows)(float *y, const float *x, const float *w, const float *bias, int64_t rows,
                     int64_t in, int64_t out);
    /* A linear_part in bfloat16, any number of rows, with a weight [out, in] that panels_fill laid
       out, from a plain type, in panels_bytes of memory (64-byte aligned); in even. NULL where
       there is no bfloat16. */
    int64_t (*panels_bytes)(int64_t in, int64_t out);
    void (*panels_fill)(void *panels, enum dtype type, const void *weight, int64_t in, int64_t out);
    void (*panels_product)(const struct linear_part *part, const uint16_t *x, const void *panels,
                           int64_t rows);
    /* y [rows, out] += x [rows, in] w [out, in]^T, likewise */
    void (*panels_add)(float *y, const uint16_t *x, const void *panels, int64_t rows, int64_t in,
                       int64_t out);
    /* Stored weights: numbers written out (whole blocks); y = x w^T + bias, for few rows; and
       linear_parts with block types (one for all), x rounded to 8 bits, for any number of rows;
       there `add` may be y. */
    void (*dequantise)(float *to, enum dtype type, const void *from, int64_t count);
    void (*few_rows_stored)(float *y, const float *x, const struct tensor *weight,
                            const float *bias, int64_t rows);
    void (*linear_rounded)(const struct linear_part *parts, int count, const float *x,
                           int64_t rows);
    /* A weight laid out once for direct_convolution, as `packed` (else NULL): how much memory it
       takes, 64-byte aligned (0: not made for this shape), and doing it. */
    int64_t (*direct_bytes)(const struct convolution_sizes *s);
    void (*direct_fill)(void *packed, const float *weight, const struct convolution_sizes *s);
    /* y [rows, filters] = prelu(scale y + bias + add, slope) */
    void (*convolution_end)(float *y, const struct convolution_end *end, int64_t rows,
                            int64_t filters);
    /* As in device.h, but false, having done nothing, for shapes that they are not made for. */
    bool (*direct_convolution)(float *y, const float *x, const float *weight, const void *packed,
                               const struct convolution_end *end,
                               const struct convolution_sizes *s);
    bool (*direct_backward_input)(float *dx, const float *dy, const float *weight,
                                  const struct convolution_sizes *s);
    bool (*direct_backward_weight)(float *dweight, const float *dy, const float *x,
                                   const struct convolution_sizes *s);
};

extern const struct simd simd_avx512, simd_avx2, simd_generic;

const struct simd *simd_best(void);
bool simd_supported(const struct simd *s);
const char *simd_name(const struct simd *s); /* of the instruction set, for people */

#endif
