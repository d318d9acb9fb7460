/*
 * device_cpu: products and convolutions here (cpu.c, convolution.c), all else in the vectorised
 * kernels of the best instruction set that this CPU has (simd.h). One OpenMP pool for everything,
 * oneDNN included.
 *
 * device_cpu is a constant, so its entries are doors: each looks up the instruction set (a few
 * loads) and goes on.
 *
 * bfloat16 is used where the CPU multiplies it (AVX-512 BF16); elsewhere PRECISION_BF16 computes in
 * float32, which is at least as exact. So has_bf16 is always true.
 */
#include "tensor/cpu/simd.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/scratch.h"

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

static double sum_of_squares(const float *x, int64_t n)
{
    return kernels()->sum_of_squares(x, n);
}

/* ---- products ----------------------------------------------------------------------------- */

static bool use_bf16(enum precision precision)
{
    return precision == PRECISION_BF16 && simd_supported(&simd_avx512);
}

/* Scratch with rows [rows, width] in bfloat16. */
static uint16_t *rounded(const float *x, int64_t rows, int64_t width, int64_t stride)
{
    uint16_t *to = scratch_take(rows * width * sizeof *to);
    simd_best()->to_bf16(to, x, rows, width, stride);
    return to;
}

/* Multiplications of a product from which rounding its operands takes less time than it saves. */
enum { ROUNDING_PAYS = 50 * 50 * 50 };

static void gemm(const struct gemm *g)
{
    struct product p = {.trans_a = g->trans_a,
                        .trans_b = g->trans_b,
                        .m = g->m,
                        .n = g->n,
                        .k = g->k,
                        .lda = g->lda,
                        .ldb = g->ldb,
                        .ldc = g->ldc,
                        .beta = g->beta,
                        .a = g->a,
                        .b = g->b,
                        .bias = g->bias,
                        .c = g->c};
    uint16_t *a = NULL, *b = NULL;
    if (use_bf16(g->precision) && g->m * g->n * g->k >= ROUNDING_PAYS) {
        p.precision = PRECISION_BF16;
        p.lda = g->trans_a ? g->m : g->k;
        p.ldb = g->trans_b ? g->k : g->n;
        p.a = a = rounded(g->a, g->trans_a ? g->k : g->m, p.lda, g->lda);
        p.b = b = rounded(g->b, g->trans_b ? g->n : g->k, p.ldb, g->ldb);
    }
    if (!onednn_product(&p))
        device_reference.gemm(g);
    scratch_give(a);
    scratch_give(b);
}

/*
 * A frozen weight's pack: the weight in bfloat16, so that products need not round it each time and
 * a decoder's step reads half as much. (oneDNN's blocked layouts were no faster.)
 * Two threads may make it at once: the second one's is dropped.
 */
struct half_weight {
    struct pack pack;
    uint16_t *rows; /* [out, in], behind this struct */
};

static const uint16_t *packed(struct tensor *weight)
{
    struct pack *found = __atomic_load_n(&weight->pack, __ATOMIC_ACQUIRE);
    if (found)
        return ((struct half_weight *)found)->rows;
    int64_t count = tensor_count(weight);
    struct half_weight *made = memory_new(1, 64 + count * sizeof *made->rows);
    if (!made)
        return NULL;
    made->pack.device = &device_cpu;
    made->rows = (uint16_t *)((char *)made + 64);
    simd_best()->to_bf16(made->rows, weight->data, 1, count, count);
    if (__atomic_compare_exchange_n(&weight->pack, &found, &made->pack, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return made->rows;
    memory_free(made);
    return ((struct half_weight *)found)->rows;
}

static void pack_free(struct pack *pack)
{
    memory_free(pack);
}

/* Rows up to which dot products are faster than oneDNN (docs/performance.md). */
enum { FEW_ROWS = 8, FEW_ROWS_BF16 = 16 };

static void linear_bf16(float *y, const float *x, const uint16_t *weight, const float *bias,
                        int64_t rows, int64_t in, int64_t out)
{
    uint16_t *a = rounded(x, rows, in, in);
    if (rows <= FEW_ROWS_BF16)
        simd_best()->few_rows_bf16(y, a, weight, bias, rows, in, out);
    else
        onednn_product(&(struct product){.trans_b = true,
                                         .m = rows,
                                         .n = out,
                                         .k = in,
                                         .lda = in,
                                         .ldb = in,
                                         .ldc = out,
                                         .a = a,
                                         .b = weight,
                                         .bias = bias,
                                         .c = y,
                                         .precision = PRECISION_BF16});
    scratch_give(a);
}

static void linear(float *y, const float *x, struct tensor *weight, const float *bias, int64_t rows,
                   enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    bool pack = use_bf16(precision) && weight->parameter && !weight->needs_grad;
    const uint16_t *half = pack ? packed(weight) : NULL;
    if (half)
        linear_bf16(y, x, half, bias, rows, in, out);
    else if (rows <= FEW_ROWS)
        simd_best()->few_rows(y, x, weight->data, bias, rows, in, out);
    else
        gemm(&(struct gemm){.trans_b = true,
                            .m = rows,
                            .n = out,
                            .k = in,
                            .lda = in,
                            .ldb = in,
                            .ldc = out,
                            .a = x,
                            .b = weight->data,
                            .bias = bias,
                            .c = y,
                            .precision = precision});
}

static int64_t outputs_of(const struct convolution_sizes *s)
{
    return s->batch * s->out[0] * s->out[1] * s->out[2];
}

static int64_t inputs_of(const struct convolution_sizes *s)
{
    return s->batch * s->in[0] * s->in[1] * s->in[2];
}

/* x as it is, or (then *made is to be given back) as bfloat16; s->precision says which. */
static const void *operand(const float *x, int64_t rows, int64_t width,
                           const struct convolution_sizes *s, uint16_t **made)
{
    *made = s->precision == PRECISION_BF16 ? rounded(x, rows, width, width) : NULL;
    return *made ? (const void *)*made : x;
}

/*
 * Who computes a convolution, as measured (docs/performance.md): the direct kernels where there is
 * one channel or there are groups, which oneDNN is slow at, and in bfloat16 wherever rows of output
 * are not too short and filters fill two vectors; oneDNN all others, so most of float32.
 */
static bool prefer_direct(const struct convolution_sizes *s, int64_t filters, int64_t row)
{
    if (s->shape.groups > 1)
        return true;
    return use_bf16(s->precision) && (s->channels == 1 || (filters >= 32 && row > 4));
}

/* The precision for oneDNN: rounding costs more than it saves where each number is used in few
   products. */
static struct convolution_sizes for_onednn(const struct convolution_sizes *s)
{
    struct convolution_sizes f = *s;
    int64_t window = s->kernel[0] * s->kernel[1] * s->kernel[2] * s->channels / s->shape.groups;
    f.precision = use_bf16(s->precision) && window >= 32 ? PRECISION_BF16 : PRECISION_F32;
    return f;
}

static void convolution(float *y, const float *x, const float *weight, const float *bias,
                        const struct convolution_sizes *s)
{
    if (prefer_direct(s, s->filters, s->out[2]) &&
        simd_best()->direct_convolution(y, x, weight, bias, s))
        return;
    struct convolution_sizes f = for_onednn(s);
    uint16_t *made;
    const void *in = operand(x, inputs_of(s), s->channels, &f, &made);
    if (!onednn_convolution(y, in, weight, bias, &f))
        device_reference.convolution(y, x, weight, bias, s);
    scratch_give(made);
}

static void convolution_backward_input(float *dx, const float *dy, const float *weight,
                                       const struct convolution_sizes *s)
{
    if (!dx || (prefer_direct(s, s->channels, s->in[2]) &&
                simd_best()->direct_backward_input(dx, dy, weight, s)))
        return;
    struct convolution_sizes f = for_onednn(s);
    uint16_t *made;
    int64_t n = inputs_of(s) * s->channels;
    const void *in = operand(dy, outputs_of(s), s->filters, &f, &made);
    float *t = scratch_take(n * sizeof *t);
    if (onednn_convolution_backward_input(t, in, weight, &f))
        add(dx, dx, t, n);
    else
        device_reference.convolution_backward_input(dx, dy, weight, s);
    scratch_give(t);
    scratch_give(made);
}

static void convolution_backward_weight(float *dweight, float *dbias, const float *dy,
                                        const float *x, const struct convolution_sizes *s)
{
    if (dbias)
        add_periodic_backward(dbias, dy, outputs_of(s), s->filters, 1);
    if (!dweight || (s->shape.groups > 1 && simd_best()->direct_backward_weight(dweight, dy, x, s)))
        return;
    struct convolution_sizes f = for_onednn(s);
    uint16_t *made_x, *made_dy;
    int64_t n =
        s->filters * s->kernel[0] * s->kernel[1] * s->kernel[2] * s->channels / s->shape.groups;
    const void *in_x = operand(x, inputs_of(s), s->channels, &f, &made_x);
    const void *in_dy = operand(dy, outputs_of(s), s->filters, &f, &made_dy);
    float *t = scratch_take(n * sizeof *t);
    if (onednn_convolution_backward_weight(t, in_dy, in_x, &f))
        add(dweight, dweight, t, n);
    else
        device_reference.convolution_backward_weight(dweight, NULL, dy, x, s);
    scratch_give(t);
    scratch_give(made_dy);
    scratch_give(made_x);
}

const struct device device_cpu = {
    .name = "cpu",
    .has_bf16 = true,
    .gemm = gemm,
    .linear = linear,
    .pack_free = pack_free,
    .convolution = convolution,
    .convolution_backward_input = convolution_backward_input,
    .convolution_backward_weight = convolution_backward_weight,
    .attention = attention,
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
    .sum_of_squares = sum_of_squares,
};
