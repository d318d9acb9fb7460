/*
 * Products with `stored` weights (tensor.h) and rows of stored tables, on the CPU: the entries of
 * device_cpu for them. A weight is never written out in float32 as a whole:
 *
 *     F16, BF16, PRECISION_BF16    packed (products.c), where the CPU multiplies bfloat16
 *     block type, PRECISION_BF16   in place, x in 8 bits (simd_stored.h); back likewise, through a
 *                                  transposed copy that is made once, in 8 bits
 *     few rows of x                a few rows of the weight at a time (simd_dequantise.h)
 *     else                         CHUNK rows of the weight at a time, then product_gemm
 */
#ifndef TENSOR_CPU_STORED_H
#define TENSOR_CPU_STORED_H

#include "tensor/device.h"

void stored_linear(float *y, const float *x, const struct tensor *weight, const float *bias,
                   int64_t rows, enum precision precision);
/* All at once, where all weights are of one block type and x is rounded; else false. */
bool stored_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                    enum precision precision);
/* dx += dy W */
void stored_linear_backward_input(float *dx, const float *dy, struct tensor *weight, int64_t rows,
                                  enum precision precision);
void stored_gather(float *y, const struct tensor *table, const int32_t *index, int64_t count);

#endif
