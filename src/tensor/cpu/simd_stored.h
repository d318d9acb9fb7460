/*
 * Part of simd_body.h: products with weights of block types (dtype.h), read where they lie.
 *
 * x is rounded to 8 bits, a scale for each 32 numbers: x = s q, |q| <= 127. A weight is a small
 * integer with a scale for each 32 (Q6_K: 16) numbers: w = d (code - offset) or w = d code + m. So
 *
 *     y = sum over groups of  s d (sum of code q - offset sum of q)  +  m s (sum of q)
 *
 * where the inner sums are integers, four products a lane and instruction (vpdpbusd), beginning at
 * `start` = - offset sum of q.
 *
 * Without that instruction (AVX2, HAS_PAIRS), codes of few bits are added up in 16 bits as long as
 * they fit: 8 products of a nibble and a byte, 4 of five bits, 2 of six, before they are widened.
 *
 * LANES rows of the weight go side by side, a *panel*: one group of a panel is loaded as 16-byte
 * pieces of its rows and transposed, so that lane r of code[k] has the numbers 4 k .. 4 k + 3 of
 * row r. Nothing then need be summed across lanes, scales are decoded LANES at a time, and a group,
 * in registers, serves all rows of x. With many of those, the loads and transpositions don't
 * matter.
 */
#include "tensor/dtype_blocks.h"

enum {
    GROUP = 32,
    ROWS_AT_ONCE = 64, /* of x, whose bytes and sums stay in the first cache */
};

/* GROUP numbers of each row of a panel. */
struct group {
    ivec code[8];
    vec d[2], m; /* d[1]: of the second 16 */
};

/* What blocks of 256 begin with (Q6_K: end with): of 8 groups. */
struct group_head {
    ivec bytes[4];
    vec d, m;
};

INLINE ivec ivec_set(int32_t x)
{
    return (ivec){0} + x;
}

INLINE vec vec_of(ivec v)
{
    return __builtin_convertvector(v, vec);
}

INLINE int32_t dword(const void *from)
{
    int32_t x;
    memcpy(&x, from, sizeof x);
    return x;
}

/* The dword at `from` of each row. */
INLINE ivec dwords(const uint8_t *from, int64_t stride)
{
    ivec v;
    UNROLL for (int r = 0; r < LANES; r++) v[r] = dword(from + r * stride);
    return v;
}

/* ---- groups of each type ------------------------------------------------------------------- */

/* 16 bytes of each row: numbers 0 - 15 in the low nibbles, 16 - 31 in the high ones. */
INLINE void group_nibbles(struct group *g, const uint8_t *from, int64_t stride)
{
    ivec v[4];
    ivec_columns(v, from, stride);
    UNROLL for (int k = 0; k < 4; k++)
    {
        g->code[k] = v[k] & 0x0f0f0f0f;
        g->code[4 + k] = v[k] >> 4 & 0x0f0f0f0f;
    }
}

/* bit i of `bits` is the fifth of number i: four of them are spread over the bytes by a product. */
INLINE void group_fifth(struct group *g, ivec bits)
{
    UNROLL for (int k = 0; k < 8; k++) g->code[k] |=
        ((bits >> 4 * k & 15) * 0x00204081 & 0x01010101) << 4;
}

INLINE void group_q8_0(struct group *g, const uint8_t *b, int64_t stride)
{
    g->d[0] = vec_halves(dwords(b, stride));
    ivec_columns(g->code, b + 2, stride);
    ivec_columns(g->code + 4, b + 18, stride);
    if (BYTES_UNSIGNED)
        UNROLL for (int k = 0; k < 8; k++) g->code[k] ^= (int32_t)0x80808080;
}

/* The types of blocks of 32 with nibbles: d, perhaps m, perhaps 4 bytes of fifth bits, nibbles. */
INLINE void group_32(struct group *g, const uint8_t *b, int64_t stride, bool minima, bool fifth)
{
    ivec first = dwords(b, stride);
    int64_t at = minima ? 4 : 2;
    g->d[0] = vec_halves(first);
    if (minima)
        g->m = vec_halves(first >> 16);
    group_nibbles(g, b + at + (fifth ? 4 : 0), stride);
    if (fifth)
        group_fifth(g, dwords(b + at, stride));
}

/* The 6-bit scale and minimum j of 8 (dtype_blocks.h, scale_min). */
INLINE void group_scale_min(struct group *g, const struct group_head *h, int64_t j)
{
    int at = 8 * (int)(j % 4);
    ivec a = h->bytes[1] >> at, b = h->bytes[2] >> at, c = h->bytes[3] >> at;
    ivec scale = j < 4 ? a & 63 : (c & 15) | (a >> 2 & 48);
    ivec low = j < 4 ? b & 63 : (c >> 4 & 15) | (b >> 2 & 48);
    g->d[0] = h->d * vec_of(scale);
    g->m = h->m * vec_of(low);
}

INLINE void group_45_k(struct group *g, struct group_head *h, const uint8_t *b, int64_t stride,
                       int64_t j, bool fifth)
{
    if (j == 0) {
        ivec_columns(h->bytes, b, stride);
        h->d = vec_halves(h->bytes[0]);
        h->m = -vec_halves(h->bytes[0] >> 16);
    }
    group_scale_min(g, h, j);
    const uint8_t *low = b + (fifth ? 48 : 16) + j / 2 * 32;
    int shift = 4 * (int)(j % 2);
    ivec_columns(g->code, low, stride);
    ivec_columns(g->code + 4, low + 16, stride);
    UNROLL for (int k = 0; k < 8; k++) g->code[k] = g->code[k] >> shift & 0x0f0f0f0f;
    if (fifth) {
        ivec high[8];
        ivec_columns(high, b + 16, stride);
        ivec_columns(high + 4, b + 32, stride);
        UNROLL for (int k = 0; k < 8; k++) g->code[k] |= (high[k] >> (int)j & 0x01010101) << 4;
    }
}

INLINE void group_6_k(struct group *g, struct group_head *h, const uint8_t *b, int64_t stride,
                      int64_t j)
{
    ivec high[8];
    int half = (int)j / 4, part = (int)j % 4, at = 16 * (part % 2);
    if (j == 0) {
        ivec_columns(h->bytes, b + 192, stride);
        h->d = vec_halves(dwords(b + 206, stride) >> 16);
    }
    const uint8_t *low = b + 64 * half + 32 * (part % 2);
    ivec_columns(g->code, low, stride);
    ivec_columns(g->code + 4, low + 16, stride);
    ivec_columns(high, b + 128 + 32 * half, stride);
    ivec_columns(high + 4, b + 144 + 32 * half, stride);
    UNROLL for (int k = 0; k < 8; k++) g->code[k] =
        (g->code[k] >> 4 * (part / 2) & 0x0f0f0f0f) | (high[k] >> 2 * part & 0x03030303) << 4;
    ivec scales = h->bytes[j / 2];
    g->d[0] = h->d * vec_of(scales << (24 - at) >> 24);
    g->d[1] = h->d * vec_of(scales << (16 - at) >> 24);
}

/* As dtype_bytes of a block, but known to the compiler. */
INLINE int64_t block_bytes(enum dtype type)
{
    static const uint8_t bytes[] = {
        [DTYPE_Q8_0] = 34, [DTYPE_Q4_0] = 18,  [DTYPE_Q4_1] = 20,  [DTYPE_Q5_0] = 22,
        [DTYPE_Q5_1] = 24, [DTYPE_Q4_K] = 144, [DTYPE_Q5_K] = 176, [DTYPE_Q6_K] = 210,
    };
    return bytes[type];
}

/* Group `index` of the panel whose rows begin at w. */
INLINE void group_load(struct group *g, struct group_head *h, const enum dtype type,
                       const uint8_t *w, int64_t stride, int64_t index)
{
    const uint8_t *b = w + index * block_bytes(type), *k = w + index / 8 * block_bytes(type);
    switch (type) {
    case DTYPE_Q4_0:
        group_32(g, b, stride, false, false);
        break;
    case DTYPE_Q4_1:
        group_32(g, b, stride, true, false);
        break;
    case DTYPE_Q5_0:
        group_32(g, b, stride, false, true);
        break;
    case DTYPE_Q5_1:
        group_32(g, b, stride, true, true);
        break;
    case DTYPE_Q4_K:
        group_45_k(g, h, k, stride, index % 8, false);
        break;
    case DTYPE_Q5_K:
        group_45_k(g, h, k, stride, index % 8, true);
        break;
    case DTYPE_Q6_K:
        group_6_k(g, h, k, stride, index % 8);
        break;
    default:
        group_q8_0(g, b, stride);
    }
}

INLINE int group_offset(enum dtype type)
{
    return type == DTYPE_Q8_0   ? 128 * BYTES_UNSIGNED
           : type == DTYPE_Q4_0 ? 8
           : type == DTYPE_Q5_0 ? 16
           : type == DTYPE_Q6_K ? 32
                                : 0;
}

INLINE bool group_minima(enum dtype type)
{
    return type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K;
}

INLINE int group_parts(enum dtype type) /* that have scales of their own */
{
    return type == DTYPE_Q6_K ? 2 : 1;
}

/* Dots of codes that 16 bits hold the sum of; 0: not even one. */
INLINE int group_together(enum dtype type)
{
    return type == DTYPE_Q8_0                                               ? 0
           : type == DTYPE_Q6_K                                             ? 2
           : type == DTYPE_Q5_0 || type == DTYPE_Q5_1 || type == DTYPE_Q5_K ? 4
                                                                            : 8;
}

/* start + the products of GROUP / parts numbers, from dword `first` on. */
INLINE ivec group_dots(const struct group *g, const int8_t *q, int32_t start, int first, int dots,
                       int together)
{
    ivec n = ivec_set(start), more = {0};
#if HAS_PAIRS
    if (together > 0) {
        UNROLL for (int k = first; k < first + dots; k += together)
        {
            pairs sum = {0};
            UNROLL for (int i = k; i < k + together; i++) sum =
                pairs_dot(sum, g->code[i], ivec_set(dword(q + 4 * i)));
            n += pairs_widen(sum);
        }
        return n;
    }
#endif
    (void)together;
    UNROLL for (int k = first; k < first + dots; k += 2)
    {
        n = ivec_dot(n, g->code[k], ivec_set(dword(q + 4 * k)));
        more = ivec_dot(more, g->code[k + 1], ivec_set(dword(q + 4 * k + 4)));
    }
    return n + more;
}

/* ---- x --------------------------------------------------------------------------------------- */

typedef int8_t byte_lanes __attribute__((vector_size(LANES)));

/* x in 8 bits, ready for weights of one type. For each ROWS_AT_ONCE rows (the last ones: as many
   as there are) one group of all of them after the other, in the order of use. */
struct rounded {
    int64_t rows, in, groups;
    int parts;
    int8_t *q;      /* [rows * groups, GROUP] */
    float *scale;   /* [rows * groups] */
    float *sum;     /* [rows * groups]: scale times sum of q */
    int32_t *start; /* [rows * groups, parts]: - offset times sum of q */
};

/* Magnitudes are compared as bits, so that a number that is none makes the scale none. half[i]: the
   sum of q[16 i .. 16 i + 15]. */
INLINE float round_group(int8_t *q, int32_t half[2], const float *x)
{
    const vec round = vec_set(12582912.0f);
    ivec most = {0};
    int32_t highest = 0;
    vec sum[2] = {vec_set(0), vec_set(0)};
    UNROLL for (int i = 0; i < GROUP; i += LANES)
    {
        ivec bits = (ivec)vec_load(x + i) & 0x7fffffff, higher = bits > most;
        most = (bits & higher) | (most & ~higher);
    }
    UNROLL for (int i = 0; i < LANES; i++) highest = most[i] > highest ? most[i] : highest;
    float largest = float_of_bits(highest);
    if (highest >= 0x7f800000) { /* infinite, or none: so is what comes of it */
        memset(q, 0, GROUP);
        half[0] = half[1] = 0;
        return largest - largest;
    }
    const vec inverse = vec_set(largest > 0 ? 127 / largest : 0);
    UNROLL for (int i = 0; i < GROUP; i += LANES)
    {
        vec whole_number = (vec_load(x + i) * inverse + round) - round;
        byte_lanes bytes =
            __builtin_convertvector(__builtin_convertvector(whole_number, ivec), byte_lanes);
        memcpy(q + i, &bytes, sizeof bytes);
        sum[i / (GROUP / 2)] += whole_number;
    }
    half[0] = (int32_t)vec_sum(sum[0]);
    half[1] = (int32_t)vec_sum(sum[1]);
    return largest / 127;
}

static void round_row(const struct rounded *t, const float *x, int64_t row, int offset)
{
    const int64_t first = row / ROWS_AT_ONCE * ROWS_AT_ONCE;
    const int64_t together = minimum(ROWS_AT_ONCE, t->rows - first);
    for (int64_t g = 0; g < t->groups; g++) {
        int64_t at = first * t->groups + g * together + row - first;
        int32_t half[2];
        t->scale[at] = round_group(t->q + at * GROUP, half, x + row * t->in + g * GROUP);
        t->sum[at] = t->scale[at] * (float)(half[0] + half[1]);
        t->start[at * t->parts] = -offset * (t->parts == 2 ? half[0] : half[0] + half[1]);
        if (t->parts == 2)
            t->start[at * 2 + 1] = -offset * half[1];
    }
}

/* In scratch: q is to be given back. */
static struct rounded rounded_new(const float *x, int64_t rows, int64_t in, enum dtype type)
{
    struct rounded t = {.rows = rows, .in = in, .groups = in / GROUP, .parts = group_parts(type)};
    int64_t scales = rows * t.groups;
    t.q = scratch_take((size_t)(rows * in) + (size_t)(scales * (2 + t.parts)) * sizeof *t.scale);
    t.scale = (float *)(t.q + rows * in);
    t.sum = t.scale + scales;
    t.start = (int32_t *)(t.sum + scales);
    SHARE(rows * in > PARALLEL_LIMIT, r, rows, round_row(&t, x, r, group_offset(type)));
    return t;
}

/* ---- the product ----------------------------------------------------------------------------- */

/* sum[i]: of row `row` + i of x and the panel whose rows begin at w. */
INLINE void panel_sums(vec *sum, const struct rounded *x, int64_t row, int64_t rows,
                       const enum dtype type, const uint8_t *w, int64_t stride)
{
    struct group_head head = {0};
    const int parts = group_parts(type), dots = 8 / group_parts(type);
    const int together = group_together(type);
    const bool blocks_of_256 = type >= DTYPE_Q4_K;
    const int64_t bytes = LANES * block_bytes(type) / (blocks_of_256 ? 8 : 1); /* of a group */
    const uint8_t *next = w + (LANES + LANES / 2) * stride;                    /* by measurement */
    for (int64_t i = 0; i < rows; i++)
        sum[i] = vec_set(0);
    for (int64_t b = 0; b < x->groups; b++) {
        struct group g;
        for (int64_t i = 0; i < bytes; i += 64) /* to the second cache: the first holds one panel */
            __builtin_prefetch(next + b * bytes + i, 0, 2);
        group_load(&g, &head, type, w, stride, b);
        for (int64_t i = 0; i < rows; i++) {
            int64_t at = row * x->groups + b * rows + i;
            const int8_t *q = x->q + at * GROUP;
            vec scale = vec_set(x->scale[at]), total = sum[i];
            UNROLL for (int p = 0; p < parts; p++)
            {
                ivec n = group_dots(&g, q, x->start[at * parts + p], p * dots, dots, together);
                total = vec_fma(vec_of(n), g.d[p] * scale, total);
            }
            if (group_minima(type))
                total = vec_fma(g.m, vec_set(x->sum[at]), total);
            sum[i] = total;
        }
    }
}

typedef void panel_function(vec *sum, const struct rounded *x, int64_t row, int64_t rows,
                            const uint8_t *w, int64_t stride);

#define PANEL_FUNCTION(type)                                                                       \
    static void panel_##type(vec *sum, const struct rounded *x, int64_t row, int64_t rows,         \
                             const uint8_t *w, int64_t stride)                                     \
    {                                                                                              \
        panel_sums(sum, x, row, rows, DTYPE_##type, w, stride);                                    \
    }

PANEL_FUNCTION(Q8_0)
PANEL_FUNCTION(Q4_0)
PANEL_FUNCTION(Q4_1)
PANEL_FUNCTION(Q5_0)
PANEL_FUNCTION(Q5_1)
PANEL_FUNCTION(Q4_K)
PANEL_FUNCTION(Q5_K)
PANEL_FUNCTION(Q6_K)

static panel_function *const panel_functions[] = {
    [DTYPE_Q8_0] = panel_Q8_0, [DTYPE_Q4_0] = panel_Q4_0, [DTYPE_Q4_1] = panel_Q4_1,
    [DTYPE_Q5_0] = panel_Q5_0, [DTYPE_Q5_1] = panel_Q5_1, [DTYPE_Q4_K] = panel_Q4_K,
    [DTYPE_Q5_K] = panel_Q5_K, [DTYPE_Q6_K] = panel_Q6_K,
};

struct stored_product {
    float *y;
    const struct rounded *x;
    const uint8_t *w, *last; /* last: the rows of the last panel, zero rows behind them */
    const float *bias, *add; /* as linear_part's, like gelu */
    bool gelu;
    enum dtype type;
    int64_t stride, out, panels, first; /* first: panels of the products before this one */
    uint8_t *copy;                      /* of the last panel, or NULL */
};

/* The sums of one row of x and one panel, and what follows, to y. */
INLINE void panel_store(const struct stored_product *p, int64_t row, int64_t panel, vec sum)
{
    int64_t first = panel * LANES, n = minimum(LANES, p->out - first), at = row * p->out + first;
    float part[LANES], density;
    if (n == LANES && !p->gelu) {
        if (p->bias)
            sum += vec_load(p->bias + first);
        if (p->add)
            sum += vec_load(p->add + at);
        vec_store(p->y + at, sum);
        return;
    }
    vec_store(part, sum);
    for (int64_t i = 0; p->bias && i < n; i++)
        part[i] += p->bias[first + i];
    if (p->gelu)
#pragma omp simd private(density)
        for (int64_t i = 0; i < LANES; i++)
            part[i] *= normal_below(part[i], &density);
    for (int64_t i = 0; i < n; i++)
        p->y[at + i] = part[i] + (p->add ? p->add[at + i] : 0);
}

static void panel_product(const struct stored_product *p, int64_t panel)
{
    vec sum[ROWS_AT_ONCE];
    const uint8_t *w = panel == p->panels - 1 ? p->last : p->w + panel * LANES * p->stride;
    for (int64_t row = 0; row < p->x->rows; row += ROWS_AT_ONCE) {
        int64_t rows = minimum(ROWS_AT_ONCE, p->x->rows - row);
        panel_functions[p->type](sum, p->x, row, rows, w, p->stride);
        for (int64_t i = 0; i < rows; i++)
            panel_store(p, row + i, panel, sum[i]);
    }
}

static struct stored_product stored_product_new(const struct linear_part *part,
                                                const struct rounded *x)
{
    const struct tensor *w = part->weight;
    int64_t out = tensor_rows(w), left = out % LANES;
    struct stored_product p = {.y = part->y,
                               .x = x,
                               .w = w->stored,
                               .bias = part->bias,
                               .add = part->add,
                               .gelu = part->gelu,
                               .type = w->dtype,
                               .stride = dtype_bytes(w->dtype, x->in),
                               .out = out,
                               .panels = (out + LANES - 1) / LANES};
    p.last = p.w + (p.panels - 1) * LANES * p.stride;
    if (left) {
        p.copy = scratch_take((size_t)(LANES * p.stride));
        memcpy(p.copy, p.last, (size_t)(left * p.stride));
        memset(p.copy + left * p.stride, 0, (size_t)((LANES - left) * p.stride));
        p.last = p.copy;
    }
    return p;
}

/* Each part, x rounded to 8 bits; w of a block type. add may be y. */
static void linear_rounded(const struct linear_part *parts, int count, const float *x, int64_t rows)
{
    int64_t in = tensor_width(parts->weight), panels = 0;
    struct rounded rounded = rounded_new(x, rows, in, parts->weight->dtype);
    struct stored_product p[LINEARS_MOST];
    for (int i = 0; i < count; i++) {
        p[i] = stored_product_new(&parts[i], &rounded);
        p[i].first = panels;
        panels += p[i].panels;
    }
#pragma omp parallel for if (panels * LANES * in > PARALLEL_LIMIT) schedule(guided, 4)
    for (int64_t panel = 0; panel < panels; panel++) {
        int i = count - 1;
        while (panel < p[i].first)
            i--;
        panel_product(&p[i], panel - p[i].first);
    }
    for (int i = 0; i < count; i++)
        scratch_give(p[i].copy);
    scratch_give(rounded.q);
}
