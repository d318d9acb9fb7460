/*
 * What the CPU device takes from oneDNN: matrix products and convolutions. Operands are float32, or
 * bfloat16 that the caller has made (dense, same layouts); sums and results are float32.
 * Thread-safe. See device.h for the meaning of the sizes.
 */
#ifndef TENSOR_CPU_ONEDNN_H
#define TENSOR_CPU_ONEDNN_H

#include "tensor/device.h"

enum { ONEDNN_TEXT = 64 };

/* As struct gemm, but a and b are bfloat16 where precision is BF16. */
struct product {
    bool trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    float beta;
    const void *a, *b;
    const float *bias;
    float *c;
    enum precision precision;
};

/* These return false, having done nothing, when oneDNN refuses (no such kernel, no memory). */
bool onednn_product(const struct product *p);
/* x, dy, y channels last; weights are always float32 in the layout of device.h. */
bool onednn_convolution(float *y, const void *x, const float *weight, const float *bias,
                        const struct convolution_sizes *s);
/* dx is written, not added to. */
bool onednn_convolution_backward_input(float *dx, const void *dy, const float *weight,
                                       const struct convolution_sizes *s);
/* dweight is written, not added to. */
bool onednn_convolution_backward_weight(float *dweight, const void *dy, const void *x,
                                        const struct convolution_sizes *s);

/* Version and the instruction set that it uses at most, for people: "2.6.0, AVX-512 with BF16". */
void onednn_describe(char text[ONEDNN_TEXT]);

#endif
