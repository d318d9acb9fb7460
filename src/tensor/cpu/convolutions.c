/*
 * Convolutions: who computes which, as measured (docs/performance.md). The direct kernels (simd.h)
 * do one channel and groups, which oneDNN is slow at, and in bfloat16 all whose filters fill two
 * vectors and whose rows are not too short (or, forward, of which there are pictures enough);
 * oneDNN all others, so most of float32.
 *
 * oneDNN compiles code for each new size, tens of KB that stay, and clips seldom have the same
 * length. So it is given few sizes (few_step): of many pictures as many, the direct kernel does the
 * rest; one clip's time is padded with zeros.
 */
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/products_parts.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"

#include <string.h>

enum { ROUND_BATCH = 16 }; /* pictures */

static bool prefer_direct(const struct convolution_sizes *s, int64_t filters, int64_t row)
{
    enum { SHORT_ROW = 4, MANY = 12 };
    if (s->shape.groups > 1)
        return true;
    if (!product_halves(s->precision))
        return false;
    return s->channels == 1 || (filters >= 32 && (row > SHORT_ROW || s->batch >= MANY));
}

/* The precision for oneDNN: rounding costs more than it saves where each number is used in few
   products. */
static struct convolution_sizes for_onednn(const struct convolution_sizes *s)
{
    struct convolution_sizes f = *s;
    int64_t window = s->kernel[0] * s->kernel[1] * s->kernel[2] * s->channels / s->shape.groups;
    f.precision = product_halves(s->precision) && window >= 32 ? PRECISION_BF16 : PRECISION_F32;
    return f;
}

/* The steps between the sizes near n that convolutions are given: 8 up to 128, then eight sizes
   from each power of two to the next. */
static int64_t few_step(int64_t n)
{
    int64_t step = 8;
    while (n > 16 * step)
        step *= 2;
    return step;
}

static int64_t input_size(const struct convolution_sizes *s) /* numbers of one picture */
{
    return s->in[0] * s->in[1] * s->in[2] * s->channels;
}

static int64_t output_size(const struct convolution_sizes *s)
{
    return s->out[0] * s->out[1] * s->out[2] * s->filters;
}

/* x [batch, size] as it is, or (then *made is to be given back) a copy, in bfloat16 where
   `precision` says so, with zeros up to `padded`. */
static const void *operand(const float *x, int64_t batch, int64_t size, int64_t padded,
                           enum precision precision, void **made)
{
    *made = NULL;
    if (precision == PRECISION_BF16)
        return *made = product_rounded(x, batch, size, size, padded);
    if (padded == batch)
        return x;
    float *copy = *made = scratch_take(padded * size * sizeof *copy);
    memcpy(copy, x, batch * size * sizeof *copy);
    memset(copy + batch * size, 0, (padded - batch) * size * sizeof *copy);
    return copy;
}

/* Padding is for batches of many pictures: a few more must not matter. */
static int64_t padded_batch(const struct convolution_sizes *s)
{
    return s->batch < 4 * ROUND_BATCH ? s->batch : up_to(s->batch, ROUND_BATCH);
}

/* Of the batch, `whole` in place; the direct kernel takes the rest, where it can. */
static bool convolve_batch(float *y, const float *x, const float *weight, const float *bias,
                           const struct convolution_sizes *s, int64_t whole)
{
    struct convolution_sizes f = for_onednn(s), rest = *s;
    const struct convolution_end end = {.bias = bias};
    f.batch = whole;
    rest.batch -= whole;
    if (rest.batch &&
        !simd_best()->direct_convolution(y + whole * output_size(s), x + whole * input_size(s),
                                         weight, NULL, &end, &rest))
        f.batch = s->batch;
    if (!f.batch)
        return true;
    void *made;
    const void *in = operand(x, f.batch, input_size(s), f.batch, f.precision, &made);
    bool done = onednn_convolution(y, in, weight, bias, &f);
    scratch_give(made);
    return done;
}

/* Of one clip whose time is the given axis, its first: zeros behind its end change nothing before
   it. */
static bool convolve_clip(float *y, const float *x, const float *weight, const float *bias,
                          const struct convolution_sizes *s, int time)
{
    struct convolution_sizes f = for_onednn(s);
    const int64_t frames = s->in[time], padded = up_to(frames, few_step(frames));
    f.in[time] = padded;
    f.out[time] = (padded + 2 * s->shape.pad[time] - s->kernel[time]) / s->shape.stride[time] + 1;
    void *made;
    const void *in = operand(x, frames, input_size(s) / frames, padded, f.precision, &made);
    const bool longer = f.out[time] > s->out[time];
    float *to = longer ? scratch_take(output_size(&f) * sizeof *to) : y;
    bool done = onednn_convolution(to, in, weight, bias, &f);
    if (done && longer)
        memcpy(y, to, output_size(s) * sizeof *y);
    scratch_give(longer ? to : NULL);
    scratch_give(made);
    return done;
}

void product_convolution(float *y, const float *x, const float *weight, const float *bias,
                         const struct convolution_sizes *s)
{
    const struct convolution_end end = {.bias = bias};
    if (prefer_direct(s, s->filters, s->out[2]) &&
        simd_best()->direct_convolution(y, x, weight, NULL, &end, s))
        return;
    const bool deep = s->in[0] > 1, flat = !deep && s->in[1] == 1; /* over time; else pictures */
    const int64_t rest = deep || flat ? 0 : s->batch % few_step(s->batch);
    if (!(s->batch == 1 && (deep || flat) ? convolve_clip(y, x, weight, bias, s, deep ? 0 : 2)
                                          : convolve_batch(y, x, weight, bias, s, s->batch - rest)))
        device_reference.convolution(y, x, weight, bias, s);
}

void product_convolution_frozen(float *y, const float *x, struct tensor *weight,
                                const struct convolution_end *end,
                                const struct convolution_sizes *s)
{
    const struct simd *simd = simd_best();
    const bool direct =
        prefer_direct(s, s->filters, s->out[2]) && weight->parameter && !weight->needs_grad;
    const void *pack = direct ? product_packed(weight, &weight->pack, s) : NULL;
    if (pack && simd->direct_convolution(y, x, weight->data, pack, end, s))
        return;
    product_convolution(y, x, weight->data, NULL, s);
    simd->convolution_end(y, end, s->batch * output_size(s) / s->filters, s->filters);
}

void product_convolution_backward_input(float *dx, const float *dy, const float *weight,
                                        const struct convolution_sizes *s)
{
    if (!dx || (prefer_direct(s, s->channels, s->in[2]) &&
                simd_best()->direct_backward_input(dx, dy, weight, s)))
        return;
    struct convolution_sizes f = for_onednn(s);
    void *made;
    if (f.precision == PRECISION_BF16)
        f.batch = padded_batch(s);
    const void *in = operand(dy, s->batch, output_size(s), f.batch, f.precision, &made);
    float *t = scratch_take(f.batch * input_size(s) * sizeof *t);
    if (onednn_convolution_backward_input(t, in, weight, &f))
        simd_best()->device.add(dx, dx, t, s->batch * input_size(s));
    else
        device_reference.convolution_backward_input(dx, dy, weight, s);
    scratch_give(t);
    scratch_give(made);
}

/* Of 1x1 windows that step over pixels, which oneDNN 2.6 gets wrong for AVX2: the pixels that
   count, and one product. */
static bool strided_backward_weight(float *dweight, const float *dy, const float *x,
                                    const struct convolution_sizes *s)
{
    const struct convolution *c = &s->shape;
    bool strided = false, window = c->groups > 1;
    for (int i = 0; i < 3; i++) {
        strided = strided || c->stride[i] > 1;
        window = window || s->kernel[i] > 1 || c->pad[i] > 0;
    }
    if (!strided || window)
        return false;
    int64_t rows = s->batch * output_size(s) / s->filters, row = 0;
    float *some = scratch_take(sizeof *some * (size_t)(rows * s->channels));
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t d = 0; d < s->out[0]; d++)
            for (int64_t h = 0; h < s->out[1]; h++)
                for (int64_t w = 0; w < s->out[2]; w++) {
                    int64_t at = (b * s->in[0] + d * c->stride[0]) * s->in[1] + h * c->stride[1];
                    at = at * s->in[2] + w * c->stride[2];
                    memcpy(some + row++ * s->channels, x + at * s->channels,
                           sizeof *some * (size_t)s->channels);
                }
    product_gemm(&(struct gemm){.trans_a = true,
                                .m = s->filters,
                                .n = s->channels,
                                .k = rows,
                                .lda = s->filters,
                                .ldb = s->channels,
                                .ldc = s->channels,
                                .beta = 1,
                                .a = dy,
                                .b = some,
                                .c = dweight,
                                .precision = s->precision});
    scratch_give(some);
    return true;
}

void product_convolution_backward_weight(float *dweight, float *dbias, const float *dy,
                                         const float *x, const struct convolution_sizes *s)
{
    const struct simd *simd = simd_best();
    if (dbias)
        simd->device.add_periodic_backward(dbias, dy, s->batch * output_size(s) / s->filters,
                                           s->filters, 1);
    if (!dweight || (s->shape.groups > 1 && simd->direct_backward_weight(dweight, dy, x, s)) ||
        strided_backward_weight(dweight, dy, x, s))
        return;
    struct convolution_sizes f = for_onednn(s);
    void *made_x, *made_dy;
    int64_t n =
        s->filters * s->kernel[0] * s->kernel[1] * s->kernel[2] * s->channels / s->shape.groups;
    if (f.precision == PRECISION_BF16)
        f.batch = padded_batch(s);
    const void *in_x = operand(x, s->batch, input_size(s), f.batch, f.precision, &made_x);
    const void *in_dy = operand(dy, s->batch, output_size(s), f.batch, f.precision, &made_dy);
    float *t = scratch_take(n * sizeof *t);
    if (onednn_convolution_backward_weight(t, in_dy, in_x, &f))
        simd->device.add(dweight, dweight, t, n);
    else
        device_reference.convolution_backward_weight(dweight, NULL, dy, x, s);
    scratch_give(t);
    scratch_give(made_dy);
    scratch_give(made_x);
}
