/*
 * Entries of device_reference that are not in reference.c. Those that take `stored` tensors
 * (tensor.h) write the numbers out as float32, then run the plain kernel; other devices fall back
 * to them.
 */
#ifndef TENSOR_CPU_REFERENCE_H
#define TENSOR_CPU_REFERENCE_H

#include "tensor/device.h"

/* ---- reference_products.c ---- */

void reference_gemm(const struct gemm *g);
void reference_pack_free(struct pack *pack);
void reference_convolution(float *y, const float *x, const float *weight, const float *bias,
                           const struct convolution_sizes *s);
void reference_convolution_frozen(float *y, const float *x, struct tensor *weight,
                                  const struct convolution_end *end,
                                  const struct convolution_sizes *s);
void reference_convolution_backward_input(float *dx, const float *dy, const float *weight,
                                          const struct convolution_sizes *s);
void reference_convolution_backward_weight(float *dweight, float *dbias, const float *dy,
                                           const float *x, const struct convolution_sizes *s);
void reference_attention(float *y, float *log_sum, const float *q, const float *k, const float *v,
                         const struct attention *a, int64_t q_rows, int64_t d,
                         enum precision precision);
void reference_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y,
                                  const float *log_sum, const float *q, const float *k,
                                  const float *v, const struct attention *a, int64_t q_rows,
                                  int64_t d, enum precision precision);

/* ---- reference_ctc.c ---- */

float reference_ctc(float *dlogits, const float *logits, const struct ctc_sequences *s,
                    int64_t rows, int64_t width);

/* ---- reference_stored.c ---- */

void reference_linear(float *y, const float *x, struct tensor *weight, const float *bias,
                      int64_t rows, enum precision precision);
void reference_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                       enum precision precision);
void reference_linear_backward_input(float *dx, const float *dy, struct tensor *weight,
                                     int64_t rows, enum precision precision);
void reference_gather_stored(float *y, const struct tensor *table, const int32_t *index,
                             int64_t count);
void reference_attention_cached(float *y, const float *q, const uint16_t *k, const uint16_t *v,
                                const struct attention *a, int64_t q_rows, int64_t d);

#endif
