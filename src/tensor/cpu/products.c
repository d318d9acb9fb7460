/*
 * Products: who computes which, and in what precision. oneDNN does most (onednn.h); own kernels do
 * few rows and frozen weights in bfloat16 (simd.h); all by measurement (docs/performance.md).
 *
 * bfloat16 operands are rounded copies in scratch. oneDNN compiles code for each new size of a
 * bfloat16 product, which takes as long as a small product and stays in memory, and batches of
 * clips seldom have the same number of rows. So sizes are made to come again: rounded copies that
 * are summed over (the rows of a weight's gradient) are padded with zero rows to a multiple of
 * ROUND; of those that are not, a multiple of ROUND is computed in place and the rest, padded, in
 * scratch.
 */
#include "tensor/cpu/products.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/products_parts.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"
#include "tensor/cpu/stored.h"

#include <string.h>

enum {
    FEW_ROWS = 8, /* up to which dot products are faster than oneDNN, in float32 */
    ROUND = 64,   /* rows */
    ROUND_REST = 16,
    ROUNDING_PAYS = 50 * 50 * 50 /* multiplications from which bfloat16 is faster */
};

bool product_halves(enum precision precision)
{
    return precision == PRECISION_BF16 && simd_supported(&simd_avx512);
}

uint16_t *product_rounded(const float *x, int64_t rows, int64_t width, int64_t stride,
                          int64_t padded)
{
    uint16_t *to = scratch_take(padded * width * sizeof *to);
    simd_best()->to_bf16(to, x, rows, width, stride);
    memset(to + rows * width, 0, (padded - rows) * width * sizeof *to);
    return to;
}

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
    int64_t whole = p->m / ROUND * ROUND, rest = p->m - whole;
    struct product part = *p;
    part.m = whole;
    if (whole && !onednn_product(&part))
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
    uint16_t *a =
        product_rounded(g->a, a_rows, p.lda, g->lda, sum_rows ? p.k : up_to(a_rows, ROUND_REST));
    uint16_t *b = product_rounded(g->b, b_rows, p.ldb, g->ldb, sum_rows ? p.k : b_rows);
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
    bool half = product_halves(g->precision) && g->m * g->n * g->k >= ROUNDING_PAYS;
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

const void *product_packed(struct tensor *weight, struct pack **place,
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
    bool pack = product_halves(precision) && weight->parameter && !weight->needs_grad &&
                (across ? tensor_rows(weight) : tensor_width(weight)) % 2 == 0 &&
                !(weight->stored && dtype_block(weight->dtype) > 1);
    return pack ? product_packed(weight, across ? &weight->across : &weight->pack, NULL) : NULL;
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
            half = half ? half : product_rounded(x, rows, in, in, rows);
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
        uint16_t *half = product_rounded(dy, rows, out, out, rows);
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
