/* What products.c and convolutions.c share. */
#ifndef TENSOR_CPU_PRODUCTS_PARTS_H
#define TENSOR_CPU_PRODUCTS_PARTS_H

#include "tensor/device.h"

/* Whether this processor computes that in bfloat16. */
bool product_halves(enum precision precision);

/* Scratch with x [rows, width] in bfloat16, and zero rows up to `padded`. */
uint16_t *product_rounded(const float *x, int64_t rows, int64_t width, int64_t stride,
                          int64_t padded);

/* The pack in `place` of a weight, made if need be: for a convolution of sizes s, or, s NULL, for
   products in bfloat16. NULL: no memory, no such kernel, or it is packed for another one. */
const void *product_packed(struct tensor *weight, struct pack **place,
                           const struct convolution_sizes *s);

static inline int64_t up_to(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

#endif
