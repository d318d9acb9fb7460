/*
 * THE hardware contract: a device is a table of kernels. ops.c allocates results, records the tape
 * and calls these; nothing else above tensor/ does (but the optimiser, for the last three).
 *
 * Conventions: outputs first, then inputs, then sizes. All numbers float32, contiguous unless a
 * leading dimension is given. *_backward kernels ADD into d-pointers (dx, dw, ...), any of which
 * may be NULL: not wanted. Kernels cannot fail and keep no state of theirs but caches.
 * cpu/reference.c implements every entry as textbook loops and is the truth for all others.
 */
#ifndef TENSOR_DEVICE_H
#define TENSOR_DEVICE_H

#include "tensor/ops.h"

/* C [m, n] = op(A) op(B) + beta C (+ bias[n] on every row). op(A) is m x k, op(B) is k x n;
   trans_a: A is stored k x m; trans_b: B is stored n x k. lda.. count elements between rows. */
struct gemm {
    bool trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    float beta;
    const float *a, *b, *bias; /* bias NULL: none */
    float *c;
    enum precision precision;
};

struct convolution_sizes {
    int64_t batch, in[3], channels, out[3], filters, kernel[3]; /* depth, height, width */
    struct convolution shape;
    enum precision precision;
};

/* What becomes of a convolution's sums: prelu(scale sum + bias + add, slope), where scale, bias and
   slope are [filters] and add is as the result; NULL: without. */
struct convolution_end {
    const float *scale, *bias, *add, *slope;
};

struct norm_sizes {
    int64_t rows, width;
    float eps;
};

/* op_ctc's arguments, as there */
struct ctc_sequences {
    int count;
    int32_t blank;
    const int32_t *labels;
    const struct span *spans, *label_spans; /* [count]: of logits' rows, of labels */
    const float *weight;                    /* [count], or NULL: 1 / count each */
};

struct adamw_step {
    float rate, beta1, beta2, eps, decay;
    float correction1, correction2; /* 1 - beta^t */
    float grad_scale;               /* clipping */
};

/* What a device's own packed copy of a weight begins with, so that whoever drops it needs no device
   at hand: weight->pack->device->pack_free(weight->pack). */
struct pack {
    const struct device *device;
};

/* One of several products with the same x: y [rows, out] = x W^T + bias, or (gelu) gelu of that; to
   which `add` comes, as the result, where it is not NULL. */
struct linear_part {
    float *y;
    struct tensor *weight;
    const float *bias, *add;
    bool gelu;
};

struct device {
    const char *name;
    bool has_bf16;

    /* ---- products ---- */
    void (*gemm)(const struct gemm *g);
    /* y [rows, out] = x W^T + bias. The weight may be `stored` in any dtype (tensor.h); else, when
       it is a parameter and no gradient of it is wanted, the device may pack it once
       (weight->pack). PRECISION_F32: with the very numbers that are stored; BF16: the device may
       round x to 8 bits with a scale per block of 32, where the weight is of a block type. */
    void (*linear)(float *y, const float *x, struct tensor *weight, const float *bias, int64_t rows,
                   enum precision precision);
    /* linear, and what follows, for each of parts[count <= LINEARS_MOST]: what is done to x is done
       once */
    void (*linears)(const struct linear_part *parts, int count, const float *x, int64_t rows,
                    enum precision precision);
    /* dx += dy W; the weight of a parameter whose gradient is not wanted may be packed for it once
       (weight->across) */
    void (*linear_backward_input)(float *dx, const float *dy, struct tensor *weight, int64_t rows,
                                  enum precision precision);
    void (*pack_free)(struct pack *pack);
    void (*convolution)(float *y, const float *x, const float *weight, const float *bias,
                        const struct convolution_sizes *s);
    /* Forward only, the weight as linear's: a parameter without gradient may be packed once. */
    void (*convolution_frozen)(float *y, const float *x, struct tensor *weight,
                               const struct convolution_end *end,
                               const struct convolution_sizes *s);
    void (*convolution_backward_input)(float *dx, const float *dy, const float *weight,
                                       const struct convolution_sizes *s);
    void (*convolution_backward_weight)(float *dweight, float *dbias, const float *dy,
                                        const float *x, const struct convolution_sizes *s);
    /* log_sum [q_rows, heads] is written (log sum of exp(scale q.k)) and read by backward; may be
       NULL forward. d: width of a head. a->scale 0 means 1 / sqrt(d), as in ops.h. */
    void (*attention)(float *y, float *log_sum, const float *q, const float *k, const float *v,
                      const struct attention *a, int64_t q_rows, int64_t d,
                      enum precision precision);
    /* The same with keys and values in bfloat16, forward only: a decoder's cache. */
    void (*attention_cached)(float *y, const float *q, const uint16_t *k, const uint16_t *v,
                             const struct attention *a, int64_t q_rows, int64_t d);
    void (*attention_backward)(float *dq, float *dk, float *dv, const float *dy, const float *y,
                               const float *log_sum, const float *q, const float *k, const float *v,
                               const struct attention *a, int64_t q_rows, int64_t d,
                               enum precision precision);

    /* ---- normalisation; mean, rstd [rows] (batch norm: [width]) are saved for backward, NULL
       where there is none ---- */
    void (*layer_norm)(float *y, float *mean, float *rstd, const float *x, const float *w,
                       const float *b, const struct norm_sizes *s);
    void (*layer_norm_backward)(float *dx, float *dw, float *db, const float *dy, const float *x,
                                const float *w, const float *mean, const float *rstd,
                                const struct norm_sizes *s);
    void (*rms_norm)(float *y, float *rstd, const float *x, const float *w,
                     const struct norm_sizes *s);
    void (*rms_norm_backward)(float *dx, float *dw, const float *dy, const float *x, const float *w,
                              const float *rstd, const struct norm_sizes *s);
    /* var: of the population (divided by rows) */
    void (*column_moments)(float *mean, float *var, const float *x, const struct norm_sizes *s);
    /* y = (x - mean) * rstd * w + b, per column */
    void (*column_norm)(float *y, const float *x, const float *mean, const float *rstd,
                        const float *w, const float *b, const struct norm_sizes *s);
    /* batch statistics: gradient through mean and rstd as well (through_statistics) */
    void (*column_norm_backward)(float *dx, float *dw, float *db, const float *dy, const float *x,
                                 const float *mean, const float *rstd, const float *w,
                                 bool through_statistics, const struct norm_sizes *s);

    /* ---- element-wise ---- */
    void (*relu)(float *y, const float *x, int64_t n);
    void (*relu_backward)(float *dx, const float *dy, const float *x, int64_t n);
    void (*gelu)(float *y, const float *x, int64_t n);
    void (*gelu_backward)(float *dx, const float *dy, const float *x, int64_t n);
    void (*prelu)(float *y, const float *x, const float *slope, int64_t rows, int64_t width);
    void (*prelu_backward)(float *dx, float *dslope, const float *dy, const float *x,
                           const float *slope, int64_t rows, int64_t width);
    void (*swiglu)(float *y, const float *gate, const float *up, int64_t n);
    void (*swiglu_backward)(float *dgate, float *dup, const float *dy, const float *gate,
                            const float *up, int64_t n);
    void (*add)(float *y, const float *a, const float *b, int64_t n);
    void (*add_scaled)(float *y, const float *x, float factor, int64_t n); /* y += factor x */
    void (*scale)(float *y, const float *x, float factor, int64_t n);
    void (*multiply_add)(float *y, const float *a, const float *b, int64_t n); /* y += a b */
    /* y[r] = x[r] + table[r % period] */
    void (*add_periodic)(float *y, const float *x, const float *table, int64_t rows, int64_t width,
                         int64_t period);
    void (*add_periodic_backward)(float *dtable, const float *dy, int64_t rows, int64_t width,
                                  int64_t period);
    /* rotates each head's pairs (i, i + d/2) by sign * position * inverse_frequency[i];
       add: y += instead of y = (backward: sign -1, add) */
    void (*rope)(float *y, const float *x, const int32_t *position, const float *inverse_frequency,
                 float sign, bool add, int64_t rows, int heads, int64_t d);

    /* ---- rows ---- */
    void (*gather_rows)(float *y, const float *x, const int32_t *index, int64_t count,
                        int64_t width);
    /* y[i] = row index[i] of a table that is `stored` (tensor.h) */
    void (*gather_stored)(float *y, const struct tensor *table, const int32_t *index,
                          int64_t count);
    void (*scatter_add_rows)(float *dx, const float *dy, const int32_t *index, int64_t count,
                             int64_t width);
    /* copies (or adds) a [rows, width] block between matrices of row strides to_stride, from_stride
     */
    void (*copy_columns)(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                         bool add, int64_t rows, int64_t width);
    void (*pool_rows)(float *y, const float *x, const struct span *spans, int count, int rate,
                      int64_t width);
    void (*pool_rows_backward)(float *dx, const float *dy, const struct span *spans, int count,
                               int rate, int64_t width);

    /* ---- pictures: x [n, h, w, channels]; argmax [outputs]: index into x, or NULL ---- */
    void (*max_pool)(float *y, int32_t *argmax, const float *x, int64_t n, int64_t h, int64_t w,
                     int64_t channels, int kernel, int stride, int pad);
    void (*max_pool_backward)(float *dx, const float *dy, const int32_t *argmax, int64_t outputs,
                              int64_t n,
                              int64_t x_per_n); /* outputs in all; x_per_n = h w channels */

    /* ---- experts and losses ---- */
    void (*softmax)(float *y, const float *x, int64_t rows, int64_t width);
    void (*softmax_backward)(float *dx, const float *dy, const float *y, int64_t rows,
                             int64_t width);
    /* chosen [rows, k]: indices of the k largest, ties to the lower index */
    void (*top_k)(float *gates, int32_t *chosen, const float *scores, int k, bool renormalise,
                  int64_t rows, int64_t width);
    void (*top_k_backward)(float *dscores, const float *dgates, const float *gates,
                           const float *scores, const int32_t *chosen, int k, bool renormalise,
                           int64_t rows, int64_t width);
    void (*gate_experts)(float *y, const float *h, const float *gates, int64_t rows, int shared,
                         int routed, int b);
    void (*gate_experts_backward)(float *dh, float *dgates, const float *dy, const float *h,
                                  const float *gates, int64_t rows, int shared, int routed, int b);
    /* returns the loss; dlogits (may be NULL) is WRITTEN with the gradient for upstream 1 */
    float (*cross_entropy)(float *dlogits, const float *logits, const int32_t *target,
                           const float *weight, float smoothing, int64_t rows, int64_t width);
    float (*ctc)(float *dlogits, const float *logits, const struct ctc_sequences *s, int64_t rows,
                 int64_t width); /* the same */

    /* ---- optimiser ---- */
    void (*adamw)(float *w, float *m, float *v, const float *grad, const struct adamw_step *s,
                  int64_t n);
    double (*sum_of_squares)(const float *x, int64_t n);
    void (*fill)(float *x, float value, int64_t n);
};

extern const struct device device_reference; /* textbook loops, one thread */
extern const struct device device_cpu;       /* oneDNN and SIMD, OpenMP */

#endif
