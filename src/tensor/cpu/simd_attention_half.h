/*
 * Part of simd_attention.h: attention in bfloat16 (AVX-512 BF16), forward only, where nothing is
 * recorded for a backward. The sums of both products, the softmax and its running state are
 * float32; q, k, v and P are rounded.
 *
 * The keys and values of a head are laid out once as pairs ("units", simd_tile.h), in tiles of
 * TILE keys: those of k side by side along d, those of v along the keys,
 *
 *     k[u][j] = (K[j][2 u], K[j][2 u + 1])     v[p][c] = (V[2 p][c], V[2 p + 1][c])
 *
 * which stays in the second-level cache while blocks of BLOCK queries go over all of it. Threads
 * take (sequence, key head, part of the queries).
 * exp(x) = 2^(x log2 e): 2^f by the polynomial of degree 3 through the Chebyshev nodes of [0, 1]
 * (relative error 1e-4, where rounding P costs 2e-3), times 2^floor by vscalefps.
 */

enum { TILE = 128, BLOCK = 24, PART = 192, LONG_PART = 512 };

struct half_head {
    const struct head *h;
    int64_t units;       /* of a row of q or k */
    unit *k, *v, *q, *p; /* [tiles][units, TILE], [tiles][TILE / 2, wide], [BLOCK, units], P */
    float *s, *y;        /* [BLOCK, TILE], [BLOCK, wide] */
    float highest[BLOCK], total[BLOCK];
};

/* Scratch of one thread, in floats: a unit is as large. */
static int64_t half_floats(const struct attention *a, int64_t d)
{
    int64_t keys = 0;
    for (int s = 0; s < a->sequences; s++)
        keys = keys > a->k_spans[s].length ? keys : a->k_spans[s].length;
    int64_t tiles = (keys + TILE - 1) / TILE, units = (d + 1) / 2, wide = whole(d);
    int64_t floats = tiles * TILE * (units + wide / 2) + BLOCK * (units + wide + 2 * TILE);
    return (floats + 15) / 16 * 16;
}

static void half_init(struct half_head *f, const struct head *h, float *work)
{
    int64_t tiles = (h->keys + TILE - 1) / TILE;
    f->h = h;
    f->units = (h->d + 1) / 2;
    f->k = work;
    f->v = f->k + tiles * TILE * f->units;
    f->s = f->v + tiles * TILE / 2 * h->wide;
    f->p = f->s + BLOCK * TILE;
    f->y = f->p + BLOCK * TILE;
    f->q = f->y + BLOCK * h->wide;
}

/* A row of d numbers to units, an odd one with a zero. */
INLINE void half_row(unit *to, const float *from, int64_t d)
{
    to_bf16_row((uint16_t *)to, from, d);
    if (d % 2)
        ((uint16_t *)to)[d] = 0;
}

/* One tile of n keys; columns up to whole vectors are zero. */
static void half_keys(const struct half_head *f, unit *to, int64_t key, int64_t n)
{
    unit row[WIDEST];
    for (int64_t j = 0; j < whole(n); j++) {
        if (j < n)
            half_row(row, f->h->k + (key + j) * f->h->k_stride, f->h->d);
        else
            memset(row, 0, f->units * sizeof *row);
        for (int64_t u = 0; u < f->units; u++)
            to[u * TILE + j] = row[u];
    }
}

static void half_values(const struct half_head *f, unit *to, int64_t key, int64_t n)
{
    static const uint16_t places[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                        21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                        11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i interleave = _mm512_loadu_si512(places);
    const struct head *h = f->h;
    for (int64_t j = 0; j < n; j += 2, to += h->wide) {
        const float *first = h->v + (key + j) * h->k_stride;
        for (int64_t i = 0; i < h->wide; i += LANES) {
            __mmask16 lanes = lanes_of(h->d - i);
            vec low = _mm512_maskz_loadu_ps(lanes, first + i);
            vec high =
                j + 1 < n ? _mm512_maskz_loadu_ps(lanes, first + h->k_stride + i) : vec_set(0);
            __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
            _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(interleave, both));
        }
    }
}

/* 2^x for x <= 0 */
INLINE vec half_exp2(vec x)
{
    vec f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF), p = vec_set(0.07896726f);
    p = vec_fma(p, f, vec_set(0.22469316f));
    p = vec_fma(p, f, vec_set(0.69632477f));
    p = vec_fma(p, f, vec_set(0.99990029f));
    return _mm512_scalef_ps(p, x);
}

/* Row r takes in the scores of `count` keys of n: P in bfloat16, zero beyond `count` up to whole
   pairs of vectors. factor: scale log2 e. */
INLINE void half_scores(struct half_head *f, int64_t r, int64_t count, int64_t n, float factor)
{
    const float *s = f->s + r * TILE;
    float *y = f->y + r * f->h->wide;
    uint16_t *p = (uint16_t *)(f->p + r * TILE / 2);
    vec most = vec_set(-INFINITY), sum = vec_set(0);
    for (int64_t j = 0; j < count; j += LANES)
        most = _mm512_mask_max_ps(most, lanes_of(count - j), most, vec_load(s + j));
    float m = count > 0 ? factor * _mm512_reduce_max_ps(most) : -INFINITY;
    if (m > f->highest[r]) {
        vec shrink = half_exp2(vec_set(f->highest[r] - m));
        f->total[r] *= _mm512_cvtss_f32(shrink);
        for (int64_t i = 0; i < f->h->wide; i += LANES)
            vec_store(y + i, vec_load(y + i) * shrink);
        f->highest[r] = m;
    }
    const vec least = vec_set(-f->highest[r]), by = vec_set(factor);
    for (int64_t j = 0; j < n; j += 2 * LANES) {
        vec low = vec_set(0), high = vec_set(0);
        if (j < count)
            low = _mm512_maskz_mov_ps(lanes_of(count - j),
                                      half_exp2(vec_fma(vec_load(s + j), by, least)));
        if (j + LANES < count)
            high = _mm512_maskz_mov_ps(lanes_of(count - j - LANES),
                                       half_exp2(vec_fma(vec_load(s + j + LANES), by, least)));
        sum += low + high;
        _mm512_storeu_si512(p + j, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    f->total[r] += vec_sum(sum);
}

/* m queries of one head, from query i on, over all keys. */
static void half_block(struct half_head *f, int64_t head, int64_t i, int64_t m)
{
    const struct head *h = f->h;
    const float factor = h->scale * 1.44269504f;
    for (int64_t r = 0; r < m; r++) {
        half_row(f->q + r * f->units, h->q + (i + r) * h->q_stride + head * h->d, h->d);
        f->highest[r] = -INFINITY;
        f->total[r] = 0;
    }
    memset(f->y, 0, m * h->wide * sizeof *f->y);
    for (int64_t key = 0; key < seen(h, i + m - 1); key += TILE) {
        int64_t n = minimum(TILE, h->keys - key), units = (n + 1) / 2;
        tile_product(&(struct tile){f->s, f->q, f->k + key * f->units, h->column, TILE, f->units,
                                    TILE, m, whole(n), f->units, false, true});
        for (int64_t r = 0; r < m; r++)
            half_scores(f, r, minimum(n, seen(h, i + r) - key), n, factor);
        tile_product(&(struct tile){f->y, f->p, f->v + key / 2 * h->wide, h->column, h->wide,
                                    TILE / 2, h->wide, m, h->wide, units, true, true});
    }
}

/* Queries [from, to) of all heads of the group. */
static void half_forward(struct half_head *f, int64_t from, int64_t to, float *y)
{
    const struct head *h = f->h;
    for (int64_t key = 0; key < seen(h, to - 1); key += TILE) {
        int64_t n = minimum(TILE, h->keys - key);
        half_keys(f, f->k + key * f->units, key, n);
        half_values(f, f->v + key / 2 * h->wide, key, n);
    }
    for (int64_t head = 0; head < h->group; head++)
        for (int64_t i = from; i < to; i += BLOCK) {
            int64_t m = minimum(BLOCK, to - i);
            half_block(f, head, i, m);
            for (int64_t r = 0; r < m; r++) {
                float *out = y + h->q_at + (i + r) * h->q_stride + head * h->d;
                float factor = f->total[r] > 0 ? 1 / f->total[r] : 0;
                for (int64_t j = 0; j < h->d; j++)
                    out[j] = f->y[r * h->wide + j] * factor;
            }
        }
}

/* Parts of the queries are as many as make threads equally busy and leave the laying out of keys
   a small part of the work; of causal ones the last, longest, first. */
static void attention_half(float *y, const float *q, const float *k, const float *v,
                           const struct attention *a, int64_t d, int64_t longest)
{
    const int64_t floats = half_floats(a, d), heads = (int64_t)a->sequences * a->kv_heads;
    const bool enough = (longest + LONG_PART - 1) / LONG_PART * heads >= 4 * omp_get_max_threads();
    const int64_t part = enough ? LONG_PART : PART, parts = (longest + part - 1) / part;
    const int64_t items = heads * parts;
    float *work = scratch_take(omp_get_max_threads() * floats * sizeof *work);
#pragma omp parallel for if (attention_work(a, d) > 4 * PARALLEL_LIMIT) schedule(dynamic)
    for (int64_t item = 0; item < items; item++) {
        struct head h;
        struct half_head f;
        head_init(&h, a, q, k, v, item / parts, d);
        half_init(&f, &h, work + omp_get_thread_num() * floats);
        int64_t each = (h.queries + parts - 1) / parts, from = (parts - 1 - item % parts) * each;
        if (from < h.queries)
            half_forward(&f, from, minimum(h.queries, from + each), y);
    }
    scratch_give(work);
}
