/*
 * Part of simd_direct.h: 3x3 convolutions with stride 1 in bfloat16 (AVX-512 BF16), forward, by
 * Winograd's F(2x2, 3x3) (Lavin & Gray 2016): 16 multiplications for 4 outputs instead of 36. Of
 * each 4x4 window d, two apart, and each 3x3 kernel g
 *
 *     V = B^T d B,  U = G g G^T,  M_p[o] = sum over channels of U_p[o] V_p  (p < 16),  y = A^T M A
 *
 *     B^T d = d0 - d2, d1 + d2, d2 - d1, d1 - d3      A^T m = m0 + m1 + m2, m1 - m2 - m3
 *     G g = g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2
 *
 * so M is 16 products (simd_panels.h) of as many rows as there are windows. U is made once, where
 * weights are packed; V and M exist for a few pictures at a time, which the second-level cache
 * holds. Sums of four numbers are rounded instead of the numbers, so the result is about twice as
 * far from float32's as the direct kernel's.
 */

enum { POINTS = 16, WINDOWS = 36 };

static bool winograd_suits(const struct convolution_sizes *s)
{
    const int64_t *k = s->kernel;
    const struct convolution *c = &s->shape;
    return k[0] == 1 && k[1] == 3 && k[2] == 3 && c->groups == 1 && s->in[0] == 1 &&
           c->stride[1] == 1 && c->stride[2] == 1 && c->pad[0] == 0 && c->pad[1] == 1 &&
           c->pad[2] == 1 && s->out[2] >= 5 && s->channels % LANES == 0 &&
           s->filters % LANES == 0 && s->channels >= 2 * LANES && s->filters >= 2 * LANES;
}

static void winograd_fill(void *packed, const float *weight, const struct convolution_sizes *s)
{
    static const float g[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
    const int64_t in = s->channels, out = s->filters;
    float *u = scratch_take(in * out * sizeof *u);
    for (int p = 0; p < POINTS; p++) {
        memset(u, 0, in * out * sizeof *u);
        for (int64_t i = 0; i < out * 9; i++) {
            const float by = g[p / 4][i % 9 / 3] * g[p % 4][i % 3], *from = weight + i * in;
            float *to = u + i / 9 * in;
#pragma omp simd
            for (int64_t c = 0; c < in; c++)
                to[c] += by * from[c];
        }
        panels_fill((char *)packed + p * panels_bytes(in, out), DTYPE_F32, u, in, out);
    }
    scratch_give(u);
}

/* B^T of four vectors `step` apart. */
INLINE void winograd_window(vec *d, int step)
{
    vec a = d[0] - d[2 * step], b = d[step] + d[2 * step];
    vec c = d[2 * step] - d[step], e = d[step] - d[3 * step];
    d[0] = a, d[step] = b, d[2 * step] = c, d[3 * step] = e;
}

/* One window whose corner is pixel (row, column) of x [h, w, channels] to v [POINTS][..] */
INLINE void winograd_in(uint16_t *v, int64_t stride, const float *x, int64_t row, int64_t column,
                        const struct convolution_sizes *s)
{
    for (int64_t c = 0; c < s->channels; c += LANES) {
        vec d[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++)
        {
            int64_t y = row + i / 4, at = column + i % 4;
            bool in = y >= 0 && y < s->in[1] && at >= 0 && at < s->in[2];
            d[i] = in ? vec_load(x + (y * s->in[2] + at) * s->channels + c) : vec_set(0);
        }
        UNROLL for (int i = 0; i < 4; i++) winograd_window(d + i, 4);
        UNROLL for (int i = 0; i < 4; i++) winograd_window(d + 4 * i, 1);
        UNROLL for (int i = 0; i < POINTS; i++)
        {
            __m256bh half = _mm512_cvtneps_pbh(d[i]);
            memcpy(v + i * stride + c, &half, sizeof half);
        }
    }
}

/* prelu(scale y + bias + add, slope) at one pixel, filters [o, o + LANES) */
INLINE vec winograd_end(vec y, const struct convolution_end *end, int64_t o, int64_t at)
{
    y = vec_fma(y, end->scale ? vec_load(end->scale + o) : vec_set(1),
                end->bias ? vec_load(end->bias + o) : vec_set(0));
    if (end->add)
        y += vec_load(end->add + at);
    if (end->slope)
        y = _mm512_mask_mul_ps(y, _mm512_cmp_ps_mask(y, vec_set(0), _CMP_LT_OQ), y,
                               vec_load(end->slope + o));
    return y;
}

/* The four outputs of a window, at pixel (row, column) of the picture that starts at y[at]. */
INLINE void winograd_out(float *y, int64_t at, const float *m, int64_t stride, int64_t row,
                         int64_t column, const struct convolution_end *end,
                         const struct convolution_sizes *s)
{
    for (int64_t o = 0; o < s->filters; o += LANES) {
        vec t[2][4];
        UNROLL for (int i = 0; i < 4; i++)
        {
            vec m0 = vec_load(m + i * stride + o), m1 = vec_load(m + (4 + i) * stride + o);
            vec m2 = vec_load(m + (8 + i) * stride + o), m3 = vec_load(m + (12 + i) * stride + o);
            t[0][i] = m0 + m1 + m2;
            t[1][i] = m1 - m2 - m3;
        }
        for (int i = 0; i < 2 && row + i < s->out[1]; i++) {
            int64_t pixel = at + ((row + i) * s->out[2] + column) * s->filters + o;
            vec_store(y + pixel, winograd_end(t[i][0] + t[i][1] + t[i][2], end, o, pixel));
            pixel += s->filters;
            if (column + 1 < s->out[2])
                vec_store(y + pixel, winograd_end(t[i][1] - t[i][2] - t[i][3], end, o, pixel));
        }
    }
}

/* Pictures [from, to); v [POINTS, windows, channels], m [POINTS, windows, filters]. */
static void winograd_pictures(float *y, const float *x, const void *packed,
                              const struct convolution_end *end, const struct convolution_sizes *s,
                              int64_t from, int64_t to, uint16_t *v, float *m)
{
    const int64_t wide = (s->out[2] + 1) / 2, each = (s->out[1] + 1) / 2 * wide;
    const int64_t rows = (to - from) * each, in = s->channels, out = s->filters;
    for (int64_t i = 0; i < rows; i++)
        winograd_in(v + i * in, rows * in, x + (from + i / each) * s->in[1] * s->in[2] * in,
                    i % each / wide * 2 - 1, i % wide * 2 - 1, s);
    for (int p = 0; p < POINTS; p++) {
        const struct panels product = {
            .y = m + p * rows * out,
            .x = (const unit *)(v + p * rows * in),
            .w = (const unit *)((const char *)packed + p * panels_bytes(in, out)),
            .rows = rows,
            .units = in / 2,
            .out = out};
        for (int64_t first = 0; first < out; first += PANEL)
            panel_rows(&product, first, 0, rows);
    }
    for (int64_t i = 0; i < rows; i++)
        winograd_out(y, (from + i / each) * s->out[1] * s->out[2] * out, m + i * out, rows * out,
                     i % each / wide * 2, i % wide * 2, end, s);
}

static void winograd(float *y, const float *x, const void *packed,
                     const struct convolution_end *end, const struct convolution_sizes *s)
{
    const int64_t each = (s->out[1] + 1) / 2 * ((s->out[2] + 1) / 2);
    const int64_t most = (WINDOWS + each - 1) / each, chunks = (s->batch + most - 1) / most;
    const int64_t v_floats = POINTS * most * each * s->channels / 2;
    const int64_t floats = v_floats + POINTS * most * each * s->filters;
    float *work = scratch_take(omp_get_max_threads() * floats * sizeof *work);
#pragma omp parallel for if (chunks > 1) schedule(static)
    for (int64_t i = 0; i < chunks; i++) {
        float *mine = work + omp_get_thread_num() * floats;
        winograd_pictures(y, x, packed, end, s, i * s->batch / chunks, (i + 1) * s->batch / chunks,
                          (uint16_t *)mine, mine + v_floats);
    }
    scratch_give(work);
}
