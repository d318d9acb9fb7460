/*
 * Part of simd_body.h: y = x W^T + bias, and what follows (linear_part), in bfloat16 (AVX-512 BF16)
 * with a weight that was laid out for it once. The columns of y are cut into panels of PANEL; the
 * weight of a panel is
 *
 *     w[u][j] = (W[first + j][2 u], W[first + j][2 u + 1])      u < in / 2, j < its width
 *
 * one pair ("unit", simd_tile.h) after the other, the last panel as wide as whole vectors, missing
 * columns zero. So a panel is read once from end to end for each block of up to PANEL_ROWS rows,
 * whose 6 x 4 vectors of sums stay in registers. A thread has one panel at a time, which its cache
 * holds, and fetches the next one little by little.
 * `in` must be even.
 */

#if HAS_BF16
enum { PANEL = 64, PANEL_ROWS = 6 };

struct panels {
    float *y; /* [rows, out] */
    const unit *x, *w;
    const float *bias, *add; /* or NULL; add [rows, out] */
    bool gelu, more;         /* more: y += instead of y = */
    int64_t rows, units, out;
};

static int64_t panels_bytes(int64_t in, int64_t out)
{
    return whole(out) * in * (int64_t)sizeof(uint16_t);
}

/* 32 units of all columns at a time, so that lines of the weight and of the panel are used whole.
 */
static void panel_fill(unit *to, enum dtype type, const char *weight, int64_t in, int64_t count,
                       int64_t wide)
{
    enum { UNITS = 32 };
    const int64_t stride = dtype_bytes(type, in);
    float numbers[2 * UNITS];
    for (int64_t from = 0; from < in / 2; from += UNITS) {
        int64_t n = minimum(UNITS, in / 2 - from);
        for (int64_t j = 0; j < wide; j++) {
            unit pairs[UNITS] = {0};
            if (j < count) {
                dequantise(numbers, type, weight + j * stride + dtype_bytes(type, 2 * from), 2 * n);
                to_bf16_row((uint16_t *)pairs, numbers, 2 * n);
            }
            for (int64_t u = 0; u < n; u++)
                to[(from + u) * wide + j] = pairs[u];
        }
    }
}

static void panels_fill(void *to, enum dtype type, const void *weight, int64_t in, int64_t out)
{
#pragma omp parallel for if (in * out > PARALLEL_LIMIT) schedule(static)
    for (int64_t first = 0; first < out; first += PANEL) {
        int64_t count = minimum(PANEL, out - first);
        panel_fill((unit *)to + first * (in / 2), type,
                   (const char *)weight + first * dtype_bytes(type, in), in, count, whole(count));
    }
}

INLINE __mmask16 lanes_of(int64_t left)
{
    return left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* What follows, in n columns, while the sums are in the cache. */
INLINE void panel_end(const struct panels *p, int64_t first, int64_t row, int rows, const int64_t n)
{
    for (int64_t at = row * p->out + first; rows > 0; rows--, at += p->out) {
        float *y = p->y + at, density;
        if (p->gelu)
#pragma omp simd private(density)
            for (int64_t j = 0; j < n; j++)
                y[j] *= normal_below(y[j], &density);
        if (p->add)
#pragma omp simd
            for (int64_t j = 0; j < n; j++)
                y[j] += p->add[at + j];
    }
}

/* rows x vectors of one panel; `next`: what to fetch meanwhile, `stride` bytes each step */
INLINE void panel_block(const struct panels *p, const unit *w, int64_t first, int64_t row,
                        const char *next, int64_t stride, const int rows, const int vectors)
{
    vec sum[PANEL_ROWS][PANEL / LANES], right[PANEL / LANES];
    const int64_t units = p->units;
    const unit *x = p->x + row * units;
    float *y = p->y + row * p->out + first;
    UNROLL for (int v = 0; v < vectors; v++)
    {
        right[v] = p->bias ? _mm512_maskz_loadu_ps(lanes_of(p->out - first - v * LANES),
                                                   p->bias + first + v * LANES)
                           : vec_set(0);
        UNROLL for (int r = 0; r < rows; r++) sum[r][v] =
            p->more ? _mm512_maskz_loadu_ps(lanes_of(p->out - first - v * LANES),
                                            y + r * p->out + v * LANES)
                    : right[v];
    }
    for (int64_t u = 0; u < units; u++, w += vectors * LANES, next += stride) {
        UNROLL for (int v = 0; v < vectors; v++) right[v] = vec_load(w + v * LANES);
        __builtin_prefetch(next, 0, 2);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec left = vec_set(x[r * units + u]);
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
                vec_pairs(left, right[v], sum[r][v]);
        }
    }
    UNROLL for (int v = 0; v < vectors; v++)
    {
        __mmask16 lanes = lanes_of(p->out - first - v * LANES);
        UNROLL for (int r = 0; r < rows; r++)
            _mm512_mask_storeu_ps(y + r * p->out + v * LANES, lanes, sum[r][v]);
    }
}

#define PANEL_BLOCK(rows, vectors)                                                                 \
    case rows:                                                                                     \
        panel_block(p, w, first, row, next, stride, rows, vectors);                                \
        break;

#define PANEL_BLOCKS(vectors)                                                                      \
    static void panel_blocks_##vectors(const struct panels *p, const unit *w, int64_t first,       \
                                       int64_t row, const char *next, int64_t stride, int rows)    \
    {                                                                                              \
        switch (rows) {                                                                            \
            PANEL_BLOCK(1, vectors)                                                                \
            PANEL_BLOCK(2, vectors)                                                                \
            PANEL_BLOCK(3, vectors)                                                                \
            PANEL_BLOCK(4, vectors)                                                                \
            PANEL_BLOCK(5, vectors)                                                                \
            PANEL_BLOCK(6, vectors)                                                                \
        }                                                                                          \
    }

PANEL_BLOCKS(1)
PANEL_BLOCKS(2)
PANEL_BLOCKS(3)
PANEL_BLOCKS(4)

/* Rows [from, to) of one panel. */
static void panel_rows(const struct panels *p, int64_t first, int64_t from, int64_t to)
{
    void (*const blocks[])(const struct panels *, const unit *, int64_t, int64_t, const char *,
                           int64_t,
                           int) = {panel_blocks_1, panel_blocks_2, panel_blocks_3, panel_blocks_4};
    const unit *w = p->w + first * p->units;
    const int64_t vectors = whole(minimum(PANEL, p->out - first)) / LANES;
    const int64_t count = (to - from + PANEL_ROWS - 1) / PANEL_ROWS;
    const int64_t stride = (vectors * LANES * (int64_t)sizeof(unit) + count - 1) / count;
    const char *next = (const char *)(w + vectors * LANES * p->units);
    for (int64_t row = from; row < to; next += stride * p->units) {
        int rows = rows_of_block(to - row, PANEL_ROWS);
        blocks[vectors - 1](p, w, first, row, next, stride, rows);
        if ((p->gelu || p->add) && first + PANEL <= p->out)
            panel_end(p, first, row, rows, PANEL);
        else if (p->gelu || p->add)
            panel_end(p, first, row, rows, p->out - first);
        row += rows;
    }
}

/* Threads take panels; where these are few, parts of the
   rows too. */
static void panels_compute(const struct panels *p)
{
    const int64_t rows = p->rows, in = 2 * p->units, out = p->out;
    const int64_t count = (out + PANEL - 1) / PANEL, threads = omp_get_max_threads();
    const int64_t parts = count % threads == 0 || rows < 8 * PANEL_ROWS ? 1 : threads;
    const int64_t most = (rows + parts - 1) / parts;
#pragma omp parallel for if (rows * in * out > 4 * PARALLEL_LIMIT || in * out > PARALLEL_LIMIT)    \
    schedule(static)
    for (int64_t item = 0; item < count * parts; item++) {
        int64_t from = item % parts * most;
        panel_rows(p, item / parts * PANEL, from, minimum(rows, from + most));
    }
}

static void panels_product(const struct linear_part *part, const uint16_t *x, const void *panels,
                           int64_t rows)
{
    panels_compute(&(struct panels){.y = part->y,
                                    .x = (const unit *)x,
                                    .w = panels,
                                    .bias = part->bias,
                                    .add = part->add,
                                    .gelu = part->gelu,
                                    .rows = rows,
                                    .units = tensor_width(part->weight) / 2,
                                    .out = tensor_rows(part->weight)});
}

static void panels_add(float *y, const uint16_t *x, const void *panels, int64_t rows, int64_t in,
                       int64_t out)
{
    panels_compute(&(struct panels){.y = y,
                                    .x = (const unit *)x,
                                    .w = panels,
                                    .more = true,
                                    .rows = rows,
                                    .units = in / 2,
                                    .out = out});
}
#endif
