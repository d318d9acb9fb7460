/*
 * Part of simd_body.h: products with few rows, which are bound by reading the weight once.
 *
 *     y[r][o] = sum over i of x[r][i] w[o][i]  (+ bias[o])
 *
 * by dot products of rows, 4 x 4 at a time: 16 running sums, 8 loads for 16 multiplications. In
 * float32; simd_panels.h is for bfloat16.
 */

struct dots {
    float *y;
    const float *x, *w;
    const float *bias; /* NULL: none */
    int64_t y_stride, x_stride, w_stride, rows, in, out;
};

/* n < LANES numbers, zeros behind them. */
INLINE vec vec_load_some(const float *from, int64_t n)
{
    float part[LANES] = {0};
    memcpy(part, from, (size_t)n * sizeof *part);
    return vec_load(part);
}

INLINE void dots_block(const struct dots *t, int64_t row, int64_t out, const int rows,
                       const int outs)
{
    const float *x = t->x + row * t->x_stride;
    const float *w = t->w + out * t->w_stride;
    float *y = t->y + row * t->y_stride + out;
    vec sum[4][4], right[4];
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int o = 0; o < outs; o++) sum[r][o] = vec_set(0);
    }
    for (; i + LANES <= t->in; i += LANES) {
        UNROLL for (int o = 0; o < outs; o++) right[o] = vec_load(w + o * t->w_stride + i);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec left = vec_load(x + r * t->x_stride + i);
            UNROLL for (int o = 0; o < outs; o++) sum[r][o] = vec_fma(left, right[o], sum[r][o]);
        }
    }
    if (i < t->in) {
        int64_t n = t->in - i;
        UNROLL for (int o = 0; o < outs; o++) right[o] = vec_load_some(w + o * t->w_stride + i, n);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec left = vec_load_some(x + r * t->x_stride + i, n);
            UNROLL for (int o = 0; o < outs; o++) sum[r][o] = vec_fma(left, right[o], sum[r][o]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int o = 0; o < outs; o++) y[r * t->y_stride + o] =
            vec_sum(sum[r][o]) + (t->bias ? t->bias[out + o] : 0);
    }
}

/* Four outputs (or, where fewer are left, one at a time) for all rows. */
#define DOTS_OUTS(block, outs)                                                                     \
    for (; row + 4 <= t->rows; row += 4)                                                           \
        block(t, row, out, 4, outs);                                                               \
    switch (t->rows - row) {                                                                       \
    case 3:                                                                                        \
        block(t, row, out, 3, outs);                                                               \
        break;                                                                                     \
    case 2:                                                                                        \
        block(t, row, out, 2, outs);                                                               \
        break;                                                                                     \
    case 1:                                                                                        \
        block(t, row, out, 1, outs);                                                               \
        break;                                                                                     \
    }

static void dots_4(const struct dots *t, int64_t out)
{
    int64_t row = 0;
    DOTS_OUTS(dots_block, 4)
}

static void dots_1(const struct dots *t, int64_t out)
{
    int64_t row = 0;
    DOTS_OUTS(dots_block, 1)
}

static void dots(const struct dots *t)
{
    int64_t out = 0;
    for (; out + 4 <= t->out; out += 4)
        dots_4(t, out);
    for (; out < t->out; out++)
        dots_1(t, out);
}

/* y [rows, out] = x [rows, in] w [out, in]^T + bias; both dense. */
static void few_rows(float *y, const float *x, const float *w, const float *bias, int64_t rows,
                     int64_t in, int64_t out)
{
    const struct dots t = {y, x, w, bias, out, in, in, rows, in, out};
#pragma omp parallel for if (in * out > PARALLEL_LIMIT) schedule(static)
    for (int64_t o = 0; o < out; o += 4) {
        if (o + 4 <= out)
            dots_4(&t, o);
        else
            for (int64_t i = o; i < out; i++)
                dots_1(&t, i);
    }
}
