/*
 * Part of simd_body.h: attention in tiles (Dao et al. 2022, "FlashAttention"). For each head, tiles
 * of KEYS keys are taken one after the other, and for each block of QUERIES queries
 *
 *     S = scale q k^T,  m' = max(m, rows of S),  P = exp(S - m')
 *     y = y exp(m - m') + P v,  total = total exp(m - m') + sums of P
 *
 * so that only QUERIES x KEYS scores exist at a time; y / total at the end. Backward has the log of
 * the denominators, so P = exp(S - log_sum) comes at once, and with D = dy . y
 *
 *     dv += P^T dy,  dS = scale P (dy v^T - D),  dq += dS k,  dk += dS^T q
 *
 * One thread takes one (sequence, key head) at a time, with the `group` of query heads that share
 * it. Rows of heads are copied to scratch as a whole number of vectors (`wide`), the padding zero;
 * k and v also transposed where the product asks for it. A single query (a decoder's step) is bound
 * by reading the cache, so there k is read in place.
 */

enum { KEYS = 64, QUERIES = 48, WIDEST = 512 };

struct head {
    const struct attention *a;
    const float *q, *k, *v; /* at the head's first row and column */
    int64_t q_at, k_at;     /* where that is in q, k, v */
    int64_t group, queries, keys, d, wide, q_stride, k_stride;
    float scale;            /* > 0 */
    int32_t column[WIDEST]; /* 0 1 2 ... */
    int32_t down[QUERIES];  /* 0 KEYS 2 KEYS ... */
};

/* Keys that query j of the head sees. */
INLINE int64_t seen(const struct head *h, int64_t j)
{
    if (!h->a->causal)
        return h->keys;
    int64_t n = h->keys - h->queries + j + 1;
    return n < 0 ? 0 : n;
}

/* to [rows, wide] = from [rows, d], zero padded */
static void copy_padded(float *to, const float *from, int64_t rows, int64_t d, int64_t wide,
                        int64_t stride)
{
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * wide, from + r * stride, d * sizeof *to);
        memset(to + r * wide + d, 0, (wide - d) * sizeof *to);
    }
}

/* to [d, KEYS] = the transpose of from [rows, d], zero padded; by squares of 8, kind to the cache.
 */
static void transpose_keys(float *to, const float *from, int64_t rows, int64_t d, int64_t stride)
{
    if (rows < KEYS)
        memset(to, 0, d * KEYS * sizeof *to);
    for (int64_t r = 0; r < rows; r += 8)
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = r; j < minimum(rows, r + 8); j++)
                to[i * KEYS + j] = from[j * stride + i];
}

static void head_init(struct head *h, const struct attention *a, const float *q, const float *k,
                      const float *v, int64_t item, int64_t d)
{
    int s = (int)(item / a->kv_heads), kv = (int)(item % a->kv_heads);
    h->a = a;
    h->queries = a->q_spans[s].length;
    h->keys = a->k_spans[s].length;
    h->d = d;
    h->wide = whole(d);
    h->q_stride = a->heads * d;
    h->k_stride = a->kv_heads * d;
    h->group = a->heads / a->kv_heads;
    h->q_at = a->q_spans[s].start * h->q_stride + kv * h->group * d;
    h->k_at = a->k_spans[s].start * h->k_stride + kv * d;
    h->q = q + h->q_at;
    h->k = k + h->k_at;
    h->v = v + h->k_at;
    h->scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)d);
    for (int i = 0; i < WIDEST; i++)
        h->column[i] = i;
    for (int i = 0; i < QUERIES; i++)
        h->down[i] = i * KEYS;
}

/* Row i of the softmax's running state takes in `count` of n scores s, which become
   exp(scale s - m); the others 0. */
INLINE void take_scores(float *s, int64_t count, int64_t n, float scale, float *highest,
                        float *total, float *y, int64_t wide)
{
    float m = count > 0 ? scale * row_max(s, count) : -INFINITY;
    m = m > *highest ? m : *highest;
    float shrink = *highest == m ? 1 : exp_fast(*highest - m);
#pragma omp simd
    for (int64_t j = 0; j < n; j++) { /* n: whole vectors */
        float p = exp_fast(scale * s[j] - m);
        s[j] = j < count ? p : 0;
    }
    *total = *total * shrink + row_sum(s, n);
    *highest = m;
    if (shrink != 1)
#pragma omp simd
        for (int64_t i = 0; i < wide; i++)
            y[i] *= shrink;
}

/* Scratch of one thread, in floats. */
static int64_t attention_floats(const struct attention *a, int64_t d, bool backward)
{
    int64_t wide = whole(d), rows = 1;
    for (int s = 0; s < a->sequences; s++)
        rows = rows > a->q_spans[s].length ? rows : a->q_spans[s].length;
    rows *= a->heads / a->kv_heads;
    int64_t floats = backward ? 5 * KEYS * wide + 2 * QUERIES * KEYS + rows * (3 * wide + 1)
                              : 2 * KEYS * wide + QUERIES * KEYS + rows * (wide + 2);
    return (floats + 15) / 16 * 16;
}

/* The running softmax of [group * queries] rows. */
struct softmax_state {
    float *y, *highest, *total; /* [rows, wide], [rows], [rows] */
};

/* One query head, the keys of one tile. */
static void tile_forward(const struct head *h, struct softmax_state *state, int64_t head,
                         int64_t key, int64_t n, const float *kt, const float *v, float *s)
{
    const float *q = h->q + head * h->d;
    for (int64_t i = 0; i < h->queries; i += QUERIES) {
        int64_t m = minimum(QUERIES, h->queries - i), row = head * h->queries + i;
        float *y = state->y + row * h->wide;
        if (seen(h, i + m - 1) <= key)
            continue;
        tile_product(&(struct tile){s, q + i * h->q_stride, kt, h->column, KEYS, h->q_stride, KEYS,
                                    m, whole(n), h->d, false, false});
        for (int64_t r = 0; r < m; r++)
            take_scores(s + r * KEYS, minimum(n, seen(h, i + r) - key), whole(n), h->scale,
                        &state->highest[row + r], &state->total[row + r], y + r * h->wide, h->wide);
        tile_product(
            &(struct tile){y, s, v, h->column, h->wide, KEYS, h->wide, m, h->wide, n, true, false});
    }
}

/* One query in each head of the group: k and (where its rows are whole vectors) v are read where
   they lie. */
static void tile_step(const struct head *h, struct softmax_state *state, int64_t key, int64_t n,
                      float *copy, float *s)
{
    const float *v = h->v + key * h->k_stride;
    int64_t v_stride = h->k_stride;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < h->d; i += 16)
            __builtin_prefetch(v + j * v_stride + i);
    if (h->wide != h->d) {
        copy_padded(copy, v, n, h->d, h->wide, v_stride);
        v = copy;
        v_stride = h->wide;
    }
    for (int64_t from = 0; from < h->group; from += QUERIES) {
        int64_t m = minimum(QUERIES, h->group - from);
        float *y = state->y + from * h->wide;
        dots(&(struct dots){s, h->q + from * h->d, h->k + key * h->k_stride, NULL, KEYS, h->d,
                            h->k_stride, m, h->d, n});
        for (int64_t r = 0; r < m; r++) {
            take_scores(s + r * KEYS, n, whole(n), h->scale, &state->highest[from + r],
                        &state->total[from + r], y + r * h->wide, h->wide);
        }
        tile_product(&(struct tile){y, s, v, h->column, h->wide, KEYS, v_stride, m, h->wide, n,
                                    true, false});
    }
}

static void head_forward(const struct head *h, float *work, float *y, float *log_sum)
{
    const int64_t wide = h->wide, rows = h->group * h->queries;
    float *kt = work, *v = kt + wide * KEYS, *s = v + wide * KEYS;
    struct softmax_state state = {.y = s + QUERIES * KEYS};
    state.highest = state.y + rows * wide;
    state.total = state.highest + rows;
    memset(state.y, 0, rows * wide * sizeof *y);
    memset(state.total, 0, rows * sizeof *y);
    for (int64_t i = 0; i < rows; i++)
        state.highest[i] = -INFINITY;
    for (int64_t key = 0; key < h->keys; key += KEYS) {
        int64_t n = minimum(KEYS, h->keys - key);
        if (h->queries == 1) {
            tile_step(h, &state, key, n, v, s);
            continue;
        }
        copy_padded(v, h->v + key * h->k_stride, n, h->d, wide, h->k_stride);
        transpose_keys(kt, h->k + key * h->k_stride, n, h->d, h->k_stride);
        for (int64_t head = 0; head < h->group; head++)
            tile_forward(h, &state, head, key, n, kt, v, s);
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t head = i / h->queries, query = i % h->queries;
        float total = state.total[i], factor = total > 0 ? 1 / total : 0;
        float *to = y + h->q_at + query * h->q_stride + head * h->d;
#pragma omp simd
        for (int64_t j = 0; j < h->d; j++)
            to[j] = state.y[i * wide + j] * factor;
        if (log_sum)
            log_sum[(h->q_at + query * h->q_stride) / h->d + head] =
                total > 0 ? state.highest[i] + logf(total) : 0;
    }
}

/* Numbers to be multiplied and added, which is what decides whether threads pay. */
static int64_t attention_work(const struct attention *a, int64_t d)
{
    int64_t work = 0;
    for (int s = 0; s < a->sequences; s++)
        work += a->q_spans[s].length * a->k_spans[s].length * d * a->heads;
    return work;
}

#if HAS_BF16
#include "tensor/cpu/simd_attention_half.h"
#endif

static void attention(float *y, float *log_sum, const float *q, const float *k, const float *v,
                      const struct attention *a, int64_t q_rows, int64_t d,
                      enum precision precision)
{
    const int64_t items = (int64_t)a->sequences * a->kv_heads;
    const int64_t floats = attention_floats(a, d, false);
    int64_t covered = 0, longest = 0;
    for (int s = 0; s < a->sequences; s++) {
        covered += a->q_spans[s].length;
        longest = longest > a->q_spans[s].length ? longest : a->q_spans[s].length;
    }
    if (covered < q_rows)
        memset(y, 0, q_rows * a->heads * d * sizeof *y);
#if HAS_BF16
    if (precision == PRECISION_BF16 && !log_sum && longest >= 8) {
        attention_half(y, q, k, v, a, d, longest);
        return;
    }
#endif
    (void)precision; /* backward recomputes the scores in float32, so forward has the same */
    float *work = scratch_take(omp_get_max_threads() * floats * sizeof *work);
#pragma omp parallel for if (attention_work(a, d) > 4 * PARALLEL_LIMIT) schedule(dynamic)
    for (int64_t item = 0; item < items; item++) {
        struct head h;
        head_init(&h, a, q, k, v, item, d);
        head_forward(&h, work + omp_get_thread_num() * floats, y, log_sum);
    }
    scratch_give(work);
}

/* ---- backward ----------------------------------------------------------------------------- */

/* Scratch of one thread: tiles of k, v and their gradients; q, dy, dq of the whole group. */
struct head_gradient {
    float *kt, *vt, *k, *dk, *dv, *p, *ds; /* [.., KEYS] or [KEYS, wide]; [QUERIES, KEYS] */
    float *q, *dy, *dq, *dy_y;             /* [group * queries, wide]; [group * queries] */
};

static void gradient_init(struct head_gradient *g, const struct head *h, float *work,
                          const float *dy, const float *y)
{
    const int64_t tile = KEYS * h->wide, rows = h->group * h->queries;
    g->kt = work;
    g->vt = g->kt + tile;
    g->k = g->vt + tile;
    g->dk = g->k + tile;
    g->dv = g->dk + tile;
    g->p = g->dv + tile;
    g->ds = g->p + QUERIES * KEYS;
    g->q = g->ds + QUERIES * KEYS;
    g->dy = g->q + rows * h->wide;
    g->dq = g->dy + rows * h->wide;
    g->dy_y = g->dq + rows * h->wide;
    memset(g->dq, 0, rows * h->wide * sizeof *work);
    for (int64_t head = 0; head < h->group; head++) {
        int64_t first = head * h->queries, at = h->q_at + head * h->d;
        copy_padded(g->q + first * h->wide, h->q + head * h->d, h->queries, h->d, h->wide,
                    h->q_stride);
        copy_padded(g->dy + first * h->wide, dy + at, h->queries, h->d, h->wide, h->q_stride);
        for (int64_t i = 0; i < h->queries; i++)
            g->dy_y[first + i] = row_dot(dy + at + i * h->q_stride, y + at + i * h->q_stride, h->d);
    }
}

/* From scores and dP to P and dS, one query. */
INLINE void score_gradient(float *p, float *ds, int64_t count, int64_t n, float scale,
                           float log_sum, float dy_y)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float e = exp_fast(scale * p[j] - log_sum);
        p[j] = j < count ? e : 0;
        ds[j] = scale * p[j] * (ds[j] - dy_y);
    }
}

static void tile_backward(const struct head *h, const struct head_gradient *g, int64_t head,
                          int64_t key, int64_t n, const float *log_sum)
{
    const int64_t wide = h->wide;
    for (int64_t i = 0; i < h->queries; i += QUERIES) {
        int64_t m = minimum(QUERIES, h->queries - i), row = head * h->queries + i;
        const float *q = g->q + row * wide, *dy = g->dy + row * wide;
        if (seen(h, i + m - 1) <= key)
            continue;
        tile_product(&(struct tile){g->p, q, g->kt, h->column, KEYS, wide, KEYS, m, whole(n), h->d,
                                    false, false});
        tile_product(&(struct tile){g->ds, dy, g->vt, h->column, KEYS, wide, KEYS, m, whole(n),
                                    h->d, false, false});
        for (int64_t r = 0; r < m; r++)
            score_gradient(g->p + r * KEYS, g->ds + r * KEYS, minimum(n, seen(h, i + r) - key),
                           whole(n), h->scale,
                           log_sum[(h->q_at + (i + r) * h->q_stride) / h->d + head],
                           g->dy_y[row + r]);
        tile_product(
            &(struct tile){g->dv, g->p, dy, h->down, wide, 1, wide, n, wide, m, true, false});
        tile_product(
            &(struct tile){g->dk, g->ds, q, h->down, wide, 1, wide, n, wide, m, true, false});
        tile_product(&(struct tile){g->dq + row * wide, g->ds, g->k, h->column, wide, KEYS, wide, m,
                                    wide, n, true, false});
    }
}

static void add_padded(float *to, const float *from, int64_t rows, int64_t d, int64_t wide,
                       int64_t stride)
{
    for (int64_t r = 0; r < rows; r++)
        add_row(to + r * stride, from + r * wide, d);
}

static void head_backward(const struct head *h, const struct head_gradient *g, float *dq, float *dk,
                          float *dv, const float *log_sum)
{
    const int64_t wide = h->wide, d = h->d;
    for (int64_t key = 0; key < h->keys; key += KEYS) {
        int64_t n = minimum(KEYS, h->keys - key), at = key * h->k_stride;
        transpose_keys(g->kt, h->k + at, n, d, h->k_stride);
        transpose_keys(g->vt, h->v + at, n, d, h->k_stride);
        copy_padded(g->k, h->k + at, n, d, wide, h->k_stride);
        memset(g->dk, 0, 2 * KEYS * wide * sizeof *g->dk); /* and dv */
        for (int64_t head = 0; head < h->group; head++)
            tile_backward(h, g, head, key, n, log_sum);
        if (dk)
            add_padded(dk + h->k_at + at, g->dk, n, d, wide, h->k_stride);
        if (dv)
            add_padded(dv + h->k_at + at, g->dv, n, d, wide, h->k_stride);
    }
    for (int64_t head = 0; head < (dq ? h->group : 0); head++)
        add_padded(dq + h->q_at + head * d, g->dq + head * h->queries * wide, h->queries, d, wide,
                   h->q_stride);
}

static void attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y,
                               const float *log_sum, const float *q, const float *k, const float *v,
                               const struct attention *a, int64_t q_rows, int64_t d,
                               enum precision precision)
{
    const int64_t items = (int64_t)a->sequences * a->kv_heads;
    const int64_t floats = attention_floats(a, d, true);
    (void)precision, (void)q_rows;
    float *work = scratch_take(omp_get_max_threads() * floats * sizeof *work);
#pragma omp parallel for if (attention_work(a, d) > 2 * PARALLEL_LIMIT) schedule(dynamic)
    for (int64_t item = 0; item < items; item++) {
        struct head h;
        struct head_gradient g;
        head_init(&h, a, q, k, v, item, d);
        gradient_init(&g, &h, work + omp_get_thread_num() * floats, dy, y);
        head_backward(&h, &g, dq, dk, dv, log_sum);
    }
    scratch_give(work);
}
