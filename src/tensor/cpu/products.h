/* Products and convolutions of device_cpu; see device.h. */
#ifndef TENSOR_CPU_PRODUCTS_H
#define TENSOR_CPU_PRODUCTS_H

#include "tensor/device.h"

void product_gemm(const struct gemm *g);
void product_linear(float *y, const float *x, struct tensor *weight, const float *bias,
                    int64_t rows, enum precision precision);
void product_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                     enum precision precision);
void product_linear_backward_input(float *dx, const float *dy, struct tensor *weight, int64_t rows,
                                   enum precision precision);
void product_pack_free(struct pack *pack);
void product_convolution(float *y, const float *x, const float *weight, const float *bias,
                         const struct convolution_sizes *s);
void product_convolution_frozen(float *y, const float *x, struct tensor *weight,
                                const struct convolution_end *end,
                                const struct convolution_sizes *s);
void product_convolution_backward_input(float *dx, const float *dy, const float *weight,
                                        const struct convolution_sizes *s);
void product_convolution_backward_weight(float *dweight, float *dbias, const float *dy,
                                         const float *x, const struct convolution_sizes *s);

#endif
