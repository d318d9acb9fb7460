/*
 * Textbook versions of what takes `stored` tensors (tensor.h): the numbers are written out as
 * float32, then the plain kernel runs. Entries of device_reference, and what other devices fall
 * back to.
 */
#ifndef TENSOR_CPU_REFERENCE_STORED_H
#define TENSOR_CPU_REFERENCE_STORED_H

#include "tensor/device.h"

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
