/*
 * device_cpu: products and convolutions from products.c and convolutions.c, all else from the
 * vectorised kernels of the best instruction set that this CPU has (simd.h). One OpenMP pool for
 * everything, oneDNN included.
 *
 * device_cpu is a constant, so its entries are doors: each looks up the instruction set (a few
 * loads) and goes on.
 *
 * bfloat16 is used where the CPU multiplies it (AVX-512 BF16); elsewhere PRECISION_BF16 computes in
 * float32, which is at least as exact. So has_bf16 is always true.
 */
#include "tensor/cpu/simd.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/stored.h"

/* ---- doors -------------------------------------------------------------------------------- */

#define DOOR(name, parameters, arguments)                                                          \
    static void name parameters                                                                    \
    {                                                                                              \
        kernels()->name arguments;                                                                 \
    }

static const struct device *kernels(void)
{
    return &simd_best()->device;
}

DOOR(attention,
     (float *y, float *log_sum, const float *q, const float *k, const float *v,
      const struct attention *a, int64_t q_rows, int64_t d, enum precision precision),
     (y, log_sum, q, k, v, a, q_rows, d, precision))
DOOR(attention_cached,
     (float *y, const float *q, const uint16_t *k, const uint16_t *v, const struct attention *a,
      int64_t q_rows, int64_t d),
     (y, q, k, v, a, q_rows, d))
DOOR(attention_backward,
     (float *dq, float *dk, float *dv, const float *dy, const float *y, const float *log_sum,
      const float *q, const float *k, const float *v, const struct attention *a, int64_t q_rows,
      int64_t d, enum precision precision),
     (dq, dk, dv, dy, y, log_sum, q, k, v, a, q_rows, d, precision))
DOOR(layer_norm,
     (float *y, float *mean, float *rstd, const float *x, const float *w, const float *b,
      const struct norm_sizes *s),
     (y, mean, rstd, x, w, b, s))
DOOR(layer_norm_backward,
     (float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
      const float *mean, const float *rstd, const struct norm_sizes *s),
     (dx, dw, db, dy, x, w, mean, rstd, s))
DOOR(rms_norm, (float *y, float *rstd, const float *x, const float *w, const struct norm_sizes *s),
     (y, rstd, x, w, s))
DOOR(rms_norm_backward,
     (float *dx, float *dw, const float *dy, const float *x, const float *w, const float *rstd,
      const struct norm_sizes *s),
     (dx, dw, dy, x, w, rstd, s))
DOOR(column_moments, (float *mean, float *var, const float *x, const struct norm_sizes *s),
     (mean, var, x, s))
DOOR(column_norm,
     (float *y, const float *x, const float *mean, const float *rstd, const float *w,
      const float *b, const struct norm_sizes *s),
     (y, x, mean, rstd, w, b, s))
DOOR(column_norm_backward,
     (float *dx, float *dw, float *db, const float *dy, const float *x, const float *mean,
      const float *rstd, const float *w, bool through_statistics, const struct norm_sizes *s),
     (dx, dw, db, dy, x, mean, rstd, w, through_statistics, s))
DOOR(relu, (float *y, const float *x, int64_t n), (y, x, n))
DOOR(relu_backward, (float *dx, const float *dy, const float *x, int64_t n), (dx, dy, x, n))
DOOR(gelu, (float *y, const float *x, int64_t n), (y, x, n))
DOOR(gelu_backward, (float *dx, const float *dy, const float *x, int64_t n), (dx, dy, x, n))
DOOR(prelu, (float *y, const float *x, const float *slope, int64_t rows, int64_t width),
     (y, x, slope, rows, width))
DOOR(prelu_backward,
     (float *dx, float *dslope, const float *dy, const float *x, const float *slope, int64_t rows,
      int64_t width),
     (dx, dslope, dy, x, slope, rows, width))
DOOR(swiglu, (float *y, const float *gate, const float *up, int64_t n), (y, gate, up, n))
DOOR(swiglu_backward,
     (float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n),
     (dgate, dup, dy, gate, up, n))
DOOR(add, (float *y, const float *a, const float *b, int64_t n), (y, a, b, n))
DOOR(add_scaled, (float *y, const float *x, float factor, int64_t n), (y, x, factor, n))
DOOR(scale, (float *y, const float *x, float factor, int64_t n), (y, x, factor, n))
DOOR(multiply_add, (float *y, const float *a, const float *b, int64_t n), (y, a, b, n))
DOOR(add_periodic,
     (float *y, const float *x, const float *table, int64_t rows, int64_t width, int64_t period),
     (y, x, table, rows, width, period))
DOOR(add_periodic_backward,
     (float *dtable, const float *dy, int64_t rows, int64_t width, int64_t period),
     (dtable, dy, rows, width, period))
DOOR(rope,
     (float *y, const float *x, const int32_t *position, const float *inverse_frequency, float sign,
      bool add_to, int64_t rows, int heads, int64_t d),
     (y, x, position, inverse_frequency, sign, add_to, rows, heads, d))
DOOR(gather_rows, (float *y, const float *x, const int32_t *index, int64_t count, int64_t width),
     (y, x, index, count, width))
DOOR(scatter_add_rows,
     (float *dx, const float *dy, const int32_t *index, int64_t count, int64_t width),
     (dx, dy, index, count, width))
DOOR(copy_columns,
     (float *to, int64_t to_stride, const float *from, int64_t from_stride, bool add_to,
      int64_t rows, int64_t width),
     (to, to_stride, from, from_stride, add_to, rows, width))
DOOR(pool_rows,
     (float *y, const float *x, const struct span *spans, int count, int rate, int64_t width),
     (y, x, spans, count, rate, width))
DOOR(pool_rows_backward,
     (float *dx, const float *dy, const struct span *spans, int count, int rate, int64_t width),
     (dx, dy, spans, count, rate, width))
DOOR(max_pool,
     (float *y, int32_t *argmax, const float *x, int64_t n, int64_t h, int64_t w, int64_t channels,
      int kernel, int stride, int pad),
     (y, argmax, x, n, h, w, channels, kernel, stride, pad))
DOOR(max_pool_backward,
     (float *dx, const float *dy, const int32_t *argmax, int64_t outputs, int64_t n,
      int64_t x_per_n),
     (dx, dy, argmax, outputs, n, x_per_n))
DOOR(softmax, (float *y, const float *x, int64_t rows, int64_t width), (y, x, rows, width))
DOOR(softmax_backward, (float *dx, const float *dy, const float *y, int64_t rows, int64_t width),
     (dx, dy, y, rows, width))
DOOR(top_k,
     (float *gates, int32_t *chosen, const float *scores, int k, bool renormalise, int64_t rows,
      int64_t width),
     (gates, chosen, scores, k, renormalise, rows, width))
DOOR(top_k_backward,
     (float *dscores, const float *dgates, const float *gates, const float *scores,
      const int32_t *chosen, int k, bool renormalise, int64_t rows, int64_t width),
     (dscores, dgates, gates, scores, chosen, k, renormalise, rows, width))
DOOR(gate_experts,
     (float *y, const float *h, const float *gates, int64_t rows, int shared, int routed, int b),
     (y, h, gates, rows, shared, routed, b))
DOOR(gate_experts_backward,
     (float *dh, float *dgates, const float *dy, const float *h, const float *gates, int64_t rows,
      int shared, int routed, int b),
     (dh, dgates, dy, h, gates, rows, shared, routed, b))
DOOR(adamw,
     (float *w, float *m, float *v, const float *grad, const struct adamw_step *s, int64_t n),
     (w, m, v, grad, s, n))
DOOR(fill, (float *x, float value, int64_t n), (x, value, n))

static float cross_entropy(float *dlogits, const float *logits, const int32_t *target,
                           const float *weight, float smoothing, int64_t rows, int64_t width)
{
    return kernels()->cross_entropy(dlogits, logits, target, weight, smoothing, rows, width);
}

static float ctc(float *dlogits, const float *logits, const struct ctc_sequences *s, int64_t rows,
                 int64_t width)
{
    return kernels()->ctc(dlogits, logits, s, rows, width);
}

static double sum_of_squares(const float *x, int64_t n)
{
    return kernels()->sum_of_squares(x, n);
}

const struct device device_cpu = {
    .name = "cpu",
    .has_bf16 = true,
    .gemm = product_gemm,
    .linear = product_linear,
    .linears = product_linears,
    .linear_backward_input = product_linear_backward_input,
    .pack_free = product_pack_free,
    .convolution = product_convolution,
    .convolution_frozen = product_convolution_frozen,
    .convolution_backward_input = product_convolution_backward_input,
    .convolution_backward_weight = product_convolution_backward_weight,
    .attention = attention,
    .attention_cached = attention_cached,
    .attention_backward = attention_backward,
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .column_moments = column_moments,
    .column_norm = column_norm,
    .column_norm_backward = column_norm_backward,
    .relu = relu,
    .relu_backward = relu_backward,
    .gelu = gelu,
    .gelu_backward = gelu_backward,
    .prelu = prelu,
    .prelu_backward = prelu_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .add = add,
    .add_scaled = add_scaled,
    .scale = scale,
    .multiply_add = multiply_add,
    .add_periodic = add_periodic,
    .add_periodic_backward = add_periodic_backward,
    .rope = rope,
    .gather_rows = gather_rows,
    .gather_stored = stored_gather,
    .scatter_add_rows = scatter_add_rows,
    .copy_columns = copy_columns,
    .pool_rows = pool_rows,
    .pool_rows_backward = pool_rows_backward,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .top_k = top_k,
    .top_k_backward = top_k_backward,
    .gate_experts = gate_experts,
    .gate_experts_backward = gate_experts_backward,
    .adamw = adamw,
    .fill = fill,
    .cross_entropy = cross_entropy,
    .ctc = ctc,
    .sum_of_squares = sum_of_squares,
};
