/*
 * Part of simd_body.h: attention of new queries over a cache of bfloat16 keys and values, forward
 * only. As simd_attention.h, tile by tile of KEYS keys with a running softmax; but
 *
 *     a tile is widened to float32 once, for all `rows` = group * queries that share a key head
 *     keys are shared out in `parts` where there are fewer (sequence, key head) than threads can
 *     take evenly, and the parts put together at the end:
 *
 *         m = max m_p,  y = sum of exp(m_p - m) y_p / sum of exp(m_p - m) total_p
 */

enum { FEW_QUERIES = 12 }; /* rows up to which dot products beat transposing the keys */

struct cached {
    const struct attention *a;
    const float *q;
    const uint16_t *k, *v;
    float *y;
    int64_t d, wide, group, parts, most_rows; /* most_rows of all sequences */
    float *states; /* [sequences, kv_heads, parts][most_rows, wide + 2] */
    float scale;
};

/* What one thread works with. */
struct cached_work {
    float *q, *k, *v, *kt,
        *s; /* [most_rows, wide], [KEYS, wide] twice, [d, KEYS], [QUERIES, KEYS] */
};

static int64_t cached_floats(const struct cached *t)
{
    return t->most_rows * t->wide + 2 * KEYS * t->wide + t->wide * KEYS + QUERIES * KEYS;
}

static struct cached_work cached_work_at(const struct cached *t, float *floats)
{
    struct cached_work w = {.q = floats};
    w.k = w.q + t->most_rows * t->wide;
    w.v = w.k + KEYS * t->wide;
    w.kt = w.v + KEYS * t->wide;
    w.s = w.kt + t->wide * KEYS;
    return w;
}

static struct softmax_state cached_state(const struct cached *t, int64_t unit)
{
    struct softmax_state s = {.y = t->states + unit * t->most_rows * (t->wide + 2)};
    s.highest = s.y + t->most_rows * t->wide;
    s.total = s.highest + t->most_rows;
    return s;
}

/* to [rows, wide] = from [rows, d], zero padded */
static void widen_rows(float *to, const uint16_t *from, int64_t rows, int64_t d, int64_t wide,
                       int64_t stride)
{
    for (int64_t r = 0; r < rows; r++, to += wide, from += stride) {
#pragma omp simd
        for (int64_t i = 0; i < d; i++)
            to[i] = float_of_bits((int32_t)((uint32_t)from[i] << 16));
        for (int64_t i = d; i < wide; i++)
            to[i] = 0;
    }
}

/* Keys [key, key + n) for all rows; w holds them. Row i is query i % queries. */
static void cached_tile(const struct cached *t, struct softmax_state *state,
                        const struct cached_work *w, int sequence, int64_t key, int64_t n)
{
    const int64_t wide = t->wide, queries = t->a->q_spans[sequence].length;
    const int64_t rows = t->group * queries, keys = t->a->k_spans[sequence].length;
    int32_t column[WIDEST];
    for (int i = 0; i < WIDEST; i++)
        column[i] = i;
    for (int64_t from = 0; from < rows; from += QUERIES) {
        int64_t m = minimum(QUERIES, rows - from);
        const float *q = w->q + from * wide;
        float *y = state->y + from * wide;
        if (rows <= FEW_QUERIES)
            dots(&(struct dots){w->s, q, w->k, NULL, KEYS, wide, wide, m, wide, n});
        else
            tile_product(&(struct tile){w->s, q, w->kt, column, KEYS, wide, KEYS, m, whole(n), t->d,
                                        false, false});
        for (int64_t r = 0; r < m; r++) {
            int64_t seen = keys;
            if (t->a->causal)
                seen += (from + r) % queries - queries + 1;
            take_scores(w->s + r * KEYS, minimum(n, seen - key), whole(n), t->scale,
                        &state->highest[from + r], &state->total[from + r], y + r * wide, wide);
        }
        tile_product(
            &(struct tile){y, w->s, w->v, column, wide, KEYS, wide, m, wide, n, true, false});
    }
}

/* Part `part` of the keys that one key head of one sequence has. */
static void cached_unit(const struct cached *t, int64_t unit, const struct cached_work *w)
{
    const struct attention *a = t->a;
    const int64_t part = unit % t->parts, item = unit / t->parts;
    const int sequence = (int)(item / a->kv_heads), kv = (int)(item % a->kv_heads);
    const struct span qs = a->q_spans[sequence], ks = a->k_spans[sequence];
    const int64_t rows = t->group * qs.length, q_stride = a->heads * t->d;
    const int64_t stride = a->kv_heads * t->d, at = ks.start * stride + kv * t->d;
    const int64_t tiles = (ks.length + KEYS - 1) / KEYS;
    const int64_t end = minimum(ks.length, tiles * (part + 1) / t->parts * KEYS);
    struct softmax_state state = cached_state(t, unit);
    memset(state.y, 0, (size_t)(rows * t->wide) * sizeof *state.y);
    for (int64_t i = 0; i < rows; i++) {
        state.highest[i] = -INFINITY;
        state.total[i] = 0;
    }
    for (int64_t head = 0; head < t->group; head++)
        copy_padded(w->q + head * qs.length * t->wide,
                    t->q + qs.start * q_stride + (kv * t->group + head) * t->d, qs.length, t->d,
                    t->wide, q_stride);
    for (int64_t key = tiles * part / t->parts * KEYS; key < end; key += KEYS) {
        int64_t n = minimum(KEYS, end - key);
        widen_rows(w->k, t->k + at + key * stride, n, t->d, t->wide, stride);
        widen_rows(w->v, t->v + at + key * stride, n, t->d, t->wide, stride);
        if (rows > FEW_QUERIES)
            transpose_keys(w->kt, w->k, n, t->d, t->wide);
        cached_tile(t, &state, w, sequence, key, n);
    }
}

/* Puts the parts of row i of one key head together; y is that row's place, d wide. */
static void cached_join(const struct cached *t, float *y, int64_t item, int64_t i)
{
    float highest = -INFINITY, total = 0;
    for (int64_t p = 0; p < t->parts; p++) {
        struct softmax_state s = cached_state(t, item * t->parts + p);
        highest = s.highest[i] > highest ? s.highest[i] : highest;
    }
    memset(y, 0, (size_t)t->d * sizeof *y);
    for (int64_t p = 0; p < t->parts; p++) {
        struct softmax_state s = cached_state(t, item * t->parts + p);
        float share = s.total[i] > 0 ? exp_fast(s.highest[i] - highest) : 0;
        total += share * s.total[i];
        if (share > 0)
#pragma omp simd
            for (int64_t j = 0; j < t->d; j++)
                y[j] += share * s.y[i * t->wide + j];
    }
    float factor = total > 0 ? 1 / total : 0;
#pragma omp simd
    for (int64_t j = 0; j < t->d; j++)
        y[j] *= factor;
}

static void cached_finish(const struct cached *t, int64_t item)
{
    const struct attention *a = t->a;
    const int sequence = (int)(item / a->kv_heads), kv = (int)(item % a->kv_heads);
    const struct span qs = a->q_spans[sequence];
    for (int64_t i = 0; i < t->group * qs.length; i++) {
        int64_t row = qs.start + i % qs.length, head = kv * t->group + i / qs.length;
        cached_join(t, t->y + (row * a->heads + head) * t->d, item, i);
    }
}

static void attention_cached(float *y, const float *q, const uint16_t *k, const uint16_t *v,
                             const struct attention *a, int64_t q_rows, int64_t d)
{
    const int64_t items = (int64_t)a->sequences * a->kv_heads, threads = omp_get_max_threads();
    struct cached t = {.a = a, .q = q, .k = k, .v = v, .y = y, .d = d, .wide = whole(d)};
    int64_t covered = 0, longest = 0, most = 0;
    for (int i = 0; i < a->sequences; i++) {
        int64_t queries = a->q_spans[i].length, keys = a->k_spans[i].length;
        covered += queries;
        most = queries > most ? queries : most;
        longest = keys > longest ? keys : longest;
    }
    if (covered < q_rows)
        memset(y, 0, (size_t)(q_rows * a->heads * d) * sizeof *y);
    bool even = items % threads == 0 || items > 8 * threads;
    t.group = a->heads / a->kv_heads;
    t.most_rows = most * t.group;
    t.parts = even || longest <= KEYS ? 1 : threads;
    t.scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)d);
    int64_t units = items * t.parts, floats = (cached_floats(&t) + 15) / 16 * 16;
    t.states = scratch_take((size_t)(units * t.most_rows * (t.wide + 2) + threads * floats + 16) *
                            sizeof *y);
    float *work = t.states + (units * t.most_rows * (t.wide + 2) + 15) / 16 * 16;
    if (attention_work(a, d) > 4 * PARALLEL_LIMIT) {
#pragma omp parallel
        {
            struct cached_work w = cached_work_at(&t, work + omp_get_thread_num() * floats);
#pragma omp for schedule(dynamic)
            for (int64_t unit = 0; unit < units; unit++)
                cached_unit(&t, unit, &w);
#pragma omp for schedule(static)
            for (int64_t item = 0; item < items; item++)
                cached_finish(&t, item);
        }
    } else {
        struct cached_work w = cached_work_at(&t, work);
        for (int64_t unit = 0; unit < units; unit++)
            cached_unit(&t, unit, &w);
        for (int64_t item = 0; item < items; item++)
            cached_finish(&t, item);
    }
    scratch_give(t.states);
}
