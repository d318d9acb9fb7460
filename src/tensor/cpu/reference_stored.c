#include "tensor/cpu/reference.h"
#include "tensor/cpu/scratch.h"

#include <string.h>

/* The weight's numbers; *made is to be given back. */
static const float *numbers(const struct tensor *t, float **made)
{
    *made = NULL;
    if (!t->stored)
        return t->data;
    *made = scratch_take(sizeof **made * (size_t)tensor_count(t));
    dtype_to_float(*made, t->dtype, t->stored, tensor_count(t));
    return *made;
}

void reference_linear(float *y, const float *x, struct tensor *weight, const float *bias,
                      int64_t rows, enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    float *made;
    device_reference.gemm(&(struct gemm){.trans_b = true,
                                         .m = rows,
                                         .n = out,
                                         .k = in,
                                         .lda = in,
                                         .ldb = in,
                                         .ldc = out,
                                         .a = x,
                                         .b = numbers(weight, &made),
                                         .bias = bias,
                                         .c = y,
                                         .precision = precision});
    scratch_give(made);
}

void reference_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                       enum precision precision)
{
    for (int i = 0; i < count; i++) {
        const struct linear_part *p = &parts[i];
        int64_t n = rows * tensor_rows(p->weight);
        reference_linear(p->y, x, p->weight, p->bias, rows, precision);
        if (p->gelu)
            device_reference.gelu(p->y, p->y, n);
        if (p->add)
            device_reference.add(p->y, p->y, p->add, n);
    }
}

void reference_linear_backward_input(float *dx, const float *dy, struct tensor *weight,
                                     int64_t rows, enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    float *made;
    device_reference.gemm(&(struct gemm){.m = rows,
                                         .n = in,
                                         .k = out,
                                         .lda = out,
                                         .ldb = in,
                                         .ldc = in,
                                         .beta = 1,
                                         .a = dy,
                                         .b = numbers(weight, &made),
                                         .c = dx,
                                         .precision = precision});
    scratch_give(made);
}

void reference_gather_stored(float *y, const struct tensor *table, const int32_t *index,
                             int64_t count)
{
    int64_t width = tensor_width(table), bytes = dtype_bytes(table->dtype, width);
    for (int64_t i = 0; i < count; i++)
        if (index[i] < 0)
            memset(y + i * width, 0, sizeof *y * (size_t)width);
        else
            dtype_to_float(y + i * width, table->dtype,
                           (const char *)table->stored + index[i] * bytes, width);
}

void reference_attention_cached(float *y, const float *q, const uint16_t *k, const uint16_t *v,
                                const struct attention *a, int64_t q_rows, int64_t d)
{
    int64_t rows = 0, width = a->kv_heads * d;
    for (int i = 0; i < a->sequences; i++) {
        int64_t end = a->k_spans[i].start + a->k_spans[i].length;
        rows = rows > end ? rows : end;
    }
    float *floats = scratch_take(2 * sizeof *floats * (size_t)(rows * width));
    dtype_to_float(floats, DTYPE_BF16, k, rows * width);
    dtype_to_float(floats + rows * width, DTYPE_BF16, v, rows * width);
    device_reference.attention(y, NULL, q, floats, floats + rows * width, a, q_rows, d,
                               PRECISION_F32);
    scratch_give(floats);
}
