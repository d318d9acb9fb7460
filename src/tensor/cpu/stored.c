/* Stored weights: who computes which product, by measurement (docs/performance.md). */
#include "tensor/cpu/stored.h"
#include "tensor/cpu/products.h"
#include "tensor/cpu/scratch.h"
#include "tensor/cpu/simd.h"

#include <string.h>

enum {
    CHUNK = 256,    /* rows of a weight, whose floats then fit the second cache */
    FEW_ROWS = 8,   /* of x */
    PARALLEL = 4096 /* numbers from which threads pay */
};

static const char *stored_row(const struct tensor *t, int64_t row)
{
    return (const char *)t->stored + dtype_bytes(t->dtype, tensor_width(t)) * row;
}

/* Rows [first, first + rows) as floats. */
static void chunk_read(float *to, const struct tensor *t, int64_t first, int64_t rows)
{
    const struct simd *simd = simd_best();
    int64_t width = tensor_width(t);
#pragma omp parallel for if (rows * width > PARALLEL) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        simd->dequantise(to + r * width, t->dtype, stored_row(t, first + r), width);
}

static float *chunk_new(const struct tensor *t)
{
    return scratch_take(sizeof(float) * CHUNK * (size_t)tensor_width(t));
}

static int64_t chunk_rows(const struct tensor *t, int64_t first)
{
    int64_t left = tensor_rows(t) - first;
    return left < CHUNK ? left : CHUNK;
}

static void linear_chunks(float *y, const float *x, const struct tensor *weight, const float *bias,
                          int64_t rows, enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    float *chunk = chunk_new(weight);
    for (int64_t o = 0; o < out; o += CHUNK) {
        chunk_read(chunk, weight, o, chunk_rows(weight, o));
        product_gemm(&(struct gemm){.trans_b = true,
                                    .m = rows,
                                    .n = chunk_rows(weight, o),
                                    .k = in,
                                    .lda = in,
                                    .ldb = in,
                                    .ldc = out,
                                    .a = x,
                                    .b = chunk,
                                    .bias = bias ? bias + o : NULL,
                                    .c = y + o,
                                    .precision = precision});
    }
    scratch_give(chunk);
}

void stored_linear(float *y, const float *x, const struct tensor *weight, const float *bias,
                   int64_t rows, enum precision precision)
{
    const struct simd *simd = simd_best();
    if (precision == PRECISION_BF16 && dtype_block(weight->dtype) > 1)
        simd->linear_rounded(
            &(struct linear_part){.y = y, .weight = (struct tensor *)weight, .bias = bias}, 1, x,
            rows);
    else if (rows <= FEW_ROWS)
        simd->few_rows_stored(y, x, weight, bias, rows);
    else
        linear_chunks(y, x, weight, bias, rows, precision);
}

bool stored_linears(const struct linear_part *parts, int count, const float *x, int64_t rows,
                    enum precision precision)
{
    for (int i = 0; i < count; i++) {
        const struct tensor *w = parts[i].weight;
        if (!w->stored || w->dtype != parts[0].weight->dtype || dtype_block(w->dtype) == 1 ||
            precision != PRECISION_BF16)
            return false;
    }
    simd_best()->linear_rounded(parts, count, x, rows);
    return true;
}

/* ---- back ---------------------------------------------------------------------------------- */

/* weight->across: the transposed weight, in 8 bits, so that a gradient goes back as x comes. */
struct turned_weight {
    struct pack pack;
    struct tensor weight; /* Q8_0 [in, out], behind this struct */
};

enum { GROUP = 32 }; /* numbers of Q8_0 with one scale */

static void turned_fill(char *to, const struct tensor *w)
{
    const int64_t in = tensor_width(w), out = tensor_rows(w);
    const int64_t row = dtype_bytes(DTYPE_Q8_0, out), block = dtype_bytes(DTYPE_Q8_0, GROUP);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < out; first += GROUP) {
        float *some = scratch_take(sizeof *some * (size_t)(GROUP * in)), column[GROUP];
        for (int64_t r = 0; r < GROUP; r++)
            simd_best()->dequantise(some + r * in, w->dtype, stored_row(w, first + r), in);
        for (int64_t i = 0; i < in; i++) {
            for (int64_t r = 0; r < GROUP; r++)
                column[r] = some[r * in + i];
            dtype_from_float(to + i * row + first / GROUP * block, DTYPE_Q8_0, column, GROUP);
        }
        scratch_give(some);
    }
}

/* Made if need be; NULL: no memory, or rows that are not whole groups. Two threads may make it at
   once: the second one's is dropped. */
static struct tensor *turned(struct tensor *w)
{
    const int64_t in = tensor_width(w), out = tensor_rows(w);
    struct pack *found = __atomic_load_n(&w->across, __ATOMIC_ACQUIRE);
    if (!found && out % GROUP == 0) {
        struct turned_weight *made =
            memory_new(1, sizeof *made + (size_t)dtype_bytes(DTYPE_Q8_0, in * out));
        if (!made)
            return NULL;
        turned_fill((char *)(made + 1), w);
        made->pack.device = &device_cpu;
        parameter_borrow(&made->weight, TENSOR_SHAPE(in, out), DTYPE_Q8_0, made + 1);
        if (__atomic_compare_exchange_n(&w->across, &found, &made->pack, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            found = &made->pack;
        else
            memory_free(made);
    }
    return found ? &((struct turned_weight *)found)->weight : NULL;
}

void stored_linear_backward_input(float *dx, const float *dy, struct tensor *weight, int64_t rows,
                                  enum precision precision)
{
    int64_t in = tensor_width(weight), out = tensor_rows(weight);
    bool round = precision == PRECISION_BF16 && dtype_block(weight->dtype) > 1;
    struct tensor *across = round && weight->parameter ? turned(weight) : NULL;
    if (across) {
        simd_best()->linear_rounded(&(struct linear_part){.y = dx, .weight = across, .add = dx}, 1,
                                    dy, rows);
        return;
    }
    float *chunk = chunk_new(weight);
    for (int64_t o = 0; o < out; o += CHUNK) {
        chunk_read(chunk, weight, o, chunk_rows(weight, o));
        product_gemm(&(struct gemm){.m = rows,
                                    .n = in,
                                    .k = chunk_rows(weight, o),
                                    .lda = out,
                                    .ldb = in,
                                    .ldc = in,
                                    .beta = 1,
                                    .a = dy + o,
                                    .b = chunk,
                                    .c = dx,
                                    .precision = precision});
    }
    scratch_give(chunk);
}

void stored_gather(float *y, const struct tensor *table, const int32_t *index, int64_t count)
{
    const struct simd *simd = simd_best();
    int64_t width = tensor_width(table);
    for (int64_t i = 0; i < count; i++)
        if (index[i] < 0)
            memset(y + i * width, 0, sizeof *y * (size_t)width);
        else
            simd->dequantise(y + i * width, table->dtype, stored_row(table, index[i]), width);
}
