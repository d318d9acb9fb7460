/*
 * Products and convolutions: who computes which, and in what precision. oneDNN does most
 * (onednn.h); own kernels do few rows, one channel, groups, and bfloat16 convolutions (simd.h); all
 * by measurement (docs/performance.md).
 *
 * bfloat16 operands are rounded copies in scratch. oneDNN compiles code for each new size, which
 * takes as long as a small product, and batches of clips seldom have the same number of rows. So
 * sizes are made to come again: rounded copies that are summed over (the rows of a weight's
 * gradient) are padded with zero rows to a multiple of ROUND; of those that are not, a multiple of
 * ROUND is computed in place and the rest, padded, in scratch.
 */
#include "tensor/cpu/products.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/cpu/stored.h"

#include <string.h>

enum {
    FEW_ROWS = 8, /* up to which dot products are faster than oneDNN, in float32 */
    ROUND = 64,   /* rows */
    ROUND_REST = 16,
    ROUND_BATCH = 16,            /* pictures */
    ROUNDING_PAYS = 50 * 50 * 50 /* multiplications from which bfloat16 is faster */
};

static bool use_bf16(enum precision precision)
{
    return precision == PRECISION_BF16 && simd_supported(&simd_avx512);
}

static int64_t up_to(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Scratch with x [rows, width] in bfloat16, and zero rows up to `padded`. */
static uint16_t *rounded(const float *x, int64_t rows, int64_t width, int64_t stride,
                         int64_t padded)
{
    uint16_t *to = scratch_take(padded * width * sizeof *to);
    simd_best()->to_bf16(to, x, rows, width, stride);
    memset(to + rows * width, 0, (padded - rows) * width * sizeof *to);
    return to;
}

/* ---- products ----------------------------------------------------------------------------- */

/* c [rows, n] = from + beta c */
static void put_rows(float *c, int64_t ldc, const float *from, int64_t rows, int64_t n, float beta)
{
    const struct device *d = &simd_best()->device;
    for (int64_t r = 0; r < rows && beta != 0 && beta != 1; r++)
        d->scale(c + r * ldc, c + r * ldc, beta, n);
    d->copy_columns(c, ldc, from, n, beta != 0, rows, n);
}

/* A product whose a, in bfloat16 and not transposed, has zero rows up to a multiple of ROUND_REST.
 */
static bool product_by_rows(const struct product *p)
{
    int64_t whole = p->m < ROUND ? p->m : p->m / ROUND * ROUND, rest = p->m - whole;
    struct product part = *p;
    part.m = whole;
    if (!onednn_product(&part))
        return false;
    if (!rest)
        return true;
    part.m = up_to(rest, ROUND_REST);
    part.a = (const uint16_t *)p->a + whole * p->lda;
    part.c = scratch_take(part.m * p->n * sizeof *part.c);
    part.ldc = p->n;
    part.beta = 0;
    bool done = onednn_product(&part);
    if (done)
        put_rows(p->c + whole * p->ldc, p->ldc, part.c, rest, p->n, p->beta);
    scratch_give(part.c);
    return done;
}

static bool gemm_bf16(const struct gemm *g, struct product p)
{
    int64_t a_rows = g->trans_a ? g->k : g->m, b_rows = g->trans_b ? g->n : g->k;
    bool sum_rows = g->trans_a && !g->trans_b; /* a weight's gradient: k counts rows */
    if (sum_rows)
        p.k = up_to(g->k, ROUND);
    p.precision = PRECISION_BF16;
    p.lda = g->trans_a ? g->m : g->k;
    p.ldb = g->trans_b ? g->k : g->n;
    uint16_t *a = rounded(g->a, a_rows, p.lda, g->lda, sum_rows ? p.k : up_to(a_rows, ROUND_REST));
    uint16_t *b = rounded(g->b, b_rows, p.ldb, g->ldb, sum_rows ? p.k : b_rows);
    p.a = a;
    p.b = b;
    bool done = g->trans_a ? onednn_product(&p) : product_by_rows(&p);
    scratch_give(a);
    scratch_give(b);
    return done;
}

void product_gemm(const struct gemm *g)
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
    bool half = use_bf16(g->precision) && g->m * g->n * g->k >= ROUNDING_PAYS;
    if (!(half ? gemm_bf16(g, p) : onednn_product(&p)))
        device_reference.gemm(g);
}

/*
 * A frozen weight's pack: the weight in the layout that its kernel wants (simd_panels.h,
 * simd_direct.h), in bfloat16 where that computes in it; so that it need not be laid out each time,
 * and a decoder's step reads half as much.
 * Two threads may make it at once: the second one's is dropped.
 */
struct packed_weight {
    struct pack pack;
    int64_t bytes; /* of its numbers, behind this struct: another layout has another size */
};

enum { PACK_HEADER = 64 };

static void fill_panels(void *to, const struct tensor *w)
{
    simd_best()->panels_fill(to, w->stored ? w->dtype : DTYPE_F32, w->stored ? w->stored : w->data,
                             tensor_width(w), tensor_rows(w));
}

/* The same of the transposed weight, some columns of the weight at a time. */
static void fill_panels_across(void *to, const struct tensor *w)
{
    enum { COLUMNS = 64 }; /* whole panels */
    const int64_t in = tensor_width(w), out = tensor_rows(w);
    const int64_t bytes = simd_best()->panels_bytes(out, COLUMNS);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < in; first += COLUMNS) {
        int64_t n = in - first < COLUMNS ? in - first : COLUMNS;
        float *turned = scratch_take(sizeof(float) * (size_t)(COLUMNS * out)), some[COLUMNS];
        for (int64_t r = 0; r < out; r++) {
            parameter_read(some, w, r * in + first, n);
            for (int64_t i = 0; i < n; i++)
                turned[i * out + r] = some[i];
        }
        simd_best()->panels_fill((char *)to + first / COLUMNS * bytes, DTYPE_F32, turned, out, n);
        scratch_give(turned);
    }
}

/* The pack in `place` of a weight, made if need be: for a convolution of sizes s, or, s NULL, for
   products in bfloat16. NULL: no memory, no such kernel, or it is packed for another one. */
static const void *packed(struct tensor *weight, struct pack **place,
                          const struct convolution_sizes *s)
{
    const struct simd *simd = simd_best();
    const int64_t in = tensor_width(weight), out = tensor_rows(weight);
    const bool across = place == &weight->across;
    const int64_t bytes = s        ? simd->direct_bytes(s)
                          : across ? simd->panels_bytes(out, in)
                                   : simd->panels_bytes(in, out);
    struct pack *found = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (!found) {
        struct packed_weight *made = bytes ? memory_new(1, PACK_HEADER + (size_t)bytes) : NULL;
        if (!made)
            return NULL;
        *made = (struct packed_weight){{&device_cpu}, bytes};
        if (s)
            simd->direct_fill((char *)made + PACK_HEADER, weight->data, s);
        else if (across)
            fill_panels_across((char *)made + PACK_HEADER, weight);
        else
            fill_panels((char *)made + PACK_HEADER, weight);
        if (__atomic_compare_exchange_n(place, &found, &made->pack, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            found = &made->pack;
        else
            memory_free(made);
    }
    return ((struct packed_weight *)found)->bytes == bytes ? (char *)found + PACK_HEADER : NULL;
}

void product_pack_free(struct pack *pack)
{
    memory_free(pack);
}

/* A weight's panels, those of the transposed one where `across`, packed if need be; NULL where it
   has none. */
static const void *panels_of(struct tensor *weight, bool across, enum precision precision)
{
    bool pack = use_bf16(precision) && weight->parameter && !weight->needs_grad &&
                (across ? tensor_rows(weight) : tensor_width(weight)) % 2 == 0 &&
                !(weight->stored && dtype_block(weight->dtype) > 1);
    return pack ? packed(weight, across ? &weight->across : &weight->pack, NULL) : NULL;
}

/* y = x W^T + bias where W has no panels. */
static void linear_unpacked(const struct linear_part *p, const float *x, int64_t rows,
                            enum precision precision)
{
    int64_t in = tensor_width(p->weight), out = tensor_rows(p->weight);
    if (p->weight->stored)
        stored_linear(p->y, x, p->weight, p->bias, rows, precision);
    else if (rows <= FEW_ROWS)
        simd_best()->few_rows(p->y, x, p->weight->data, p->bias, rows, in, out);
    else
        product_gemm(&(struct gemm){.trans_b = true,
                                    .m = rows,
                                    .n = out,
                                    .k = in,
                                    .lda = in,
                                    .ldb = in,
                                    .ldc = out,
                                    .a = x,
                                    .b = p->weight->data,
                                    .bias = p->bias,
                                    .c = p->y,
                                    .precision = precision});
}

static void linear_end(const struct linear_part *p, int64_t rows)
{
    int64_t n = rows * tensor_rows(p->weight);
    if (p->gelu)
        simd_best()->device.gelu(p->y, p->y, n);
    if (p->add)
        simd_best()->device.add(p->y, p->y, p->add, n);
}

void product_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                     enum precision precision)
{
    bool done = stored_linears(parts, count, x, rows, precision);
    uint16_t *half = NULL;
    for (int i = 0; i < count; i++) {
        const struct linear_part *p = &parts[i];
        const void *panels = done ? NULL : panels_of(p->weight, false, precision);
        int64_t in = tensor_width(p->weight);
        if (panels) {
            half = half ? half : rounded(x, rows, in, in, rows);
            simd_best()->panels_product(p, half, panels, rows);
            continue;
        }
        if (done)
            continue;
        linear_unpacked(p, x, rows, precision);
        linear_end(p, rows);
    }
    scratch_give(half);
}

void product_linear(float *y, const float *x, struct tensor *weight, const float *bias,
                    int64_t rows, enum precision precision)
{
    const struct linear_part part = {.y = y, .weight = weight, .bias = bias};
    product_linears(&part, 1, x, rows, precision);
}

void product_linear_backward_input(float *dx, const float *dy, struct tensor *weight, int64_t rows,
                                   enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    const void *panels = panels_of(weight, true, precision);
    if (panels) {
        uint16_t *half = rounded(dy, rows, out, out, rows);
        simd_best()->panels_add(dx, half, panels, rows, out, in);
        scratch_give(half);
        return;
    }
    if (weight->stored) {
        stored_linear_backward_input(dx, dy, weight, rows, precision);
        return;
    }
    product_gemm(&(struct gemm){.m = rows,
                                .n = in,
                                .k = out,
                                .lda = out,
                                .ldb = in,
                                .ldc = in,
                                .beta = 1,
                                .a = dy,
                                .b = weight->data,
                                .c = dx,
                                .precision = precision});
}

/* ---- convolutions ------------------------------------------------------------------------- */

/*
 * Who computes a convolution, as measured (docs/performance.md): the direct kernels where there is
 * one channel or there are groups, which oneDNN is slow at, and in bfloat16 wherever filters fill
 * two vectors and rows are not too short (or, forward, there are pictures enough); oneDNN all
 * others, so most of float32.
 */
static bool prefer_direct(const struct convolution_sizes *s, int64_t filters, int64_t row)
{
    enum { SHORT_ROW = 4, MANY = 12 };
    if (s->shape.groups > 1)
        return true;
    if (!use_bf16(s->precision))
        return false;
    return s->channels == 1 || (filters >= 32 && (row > SHORT_ROW || s->batch >= MANY));
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

static int64_t input_size(const struct convolution_sizes *s) /* numbers of one picture */
{
    return s->in[0] * s->in[1] * s->in[2] * s->channels;
}

static int64_t output_size(const struct convolution_sizes *s)
{
    return s->out[0] * s->out[1] * s->out[2] * s->filters;
}

/* x [batch, size] as it is, or (then *made is to be given back) in bfloat16, with zero pictures up
   to `padded`; s->precision says which. */
static const void *operand(const float *x, int64_t batch, int64_t size, int64_t padded,
                           enum precision precision, uint16_t **made)
{
    *made = precision == PRECISION_BF16 ? rounded(x, batch, size, size, padded) : NULL;
    return *made ? (const void *)*made : x;
}

/* Padding is for batches of many pictures: a few more must not matter. */
static int64_t padded_batch(const struct convolution_sizes *s)
{
    return s->batch < 4 * ROUND_BATCH ? s->batch : up_to(s->batch, ROUND_BATCH);
}

/* What oneDNN computes of a batch in bfloat16: `whole` pictures in place; the direct kernel takes
   the rest. */
void product_convolution(float *y, const float *x, const float *weight, const float *bias,
                         const struct convolution_sizes *s)
{
    const struct simd *simd = simd_best();
    const struct convolution_end end = {.bias = bias};
    if (prefer_direct(s, s->filters, s->out[2]) &&
        simd->direct_convolution(y, x, weight, NULL, &end, s))
        return;
    struct convolution_sizes f = for_onednn(s), rest = *s;
    uint16_t *made;
    if (f.precision == PRECISION_BF16 && f.batch >= 4 * ROUND_BATCH)
        f.batch = f.batch / ROUND_BATCH * ROUND_BATCH;
    rest.batch -= f.batch;
    if (rest.batch &&
        !simd->direct_convolution(y + f.batch * output_size(s), x + f.batch * input_size(s), weight,
                                  NULL, &end, &rest))
        f.batch = s->batch;
    const void *in = operand(x, f.batch, input_size(s), f.batch, f.precision, &made);
    if (!onednn_convolution(y, in, weight, bias, &f))
        device_reference.convolution(y, x, weight, bias, s);
    scratch_give(made);
}

void product_convolution_frozen(float *y, const float *x, struct tensor *weight,
                                const struct convolution_end *end,
                                const struct convolution_sizes *s)
{
    const struct simd *simd = simd_best();
    const bool direct =
        prefer_direct(s, s->filters, s->out[2]) && weight->parameter && !weight->needs_grad;
    const void *pack = direct ? packed(weight, &weight->pack, s) : NULL;
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
    uint16_t *made;
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
    uint16_t *made_x, *made_dy;
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
