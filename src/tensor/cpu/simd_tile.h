/*
 * Part of simd_body.h: the small product that attention and the direct convolutions are made of.
 *
 *     C[i][j] (+)= sum over p < k of A(i, p) B[p][j]      i < m, j < n, n a multiple of LANES
 *     A(i, p) = a[i * row + column[p]]
 *
 * A is read one unit at a time (and broadcast), so it may be anything that these two offsets reach:
 * a matrix, its transpose, or the pixels under a moving window. B and C are rows of vectors,
 * b_stride and c_stride units apart. Blocks of ROWS_n x n vectors of C stay in registers: 24 of
 * AVX-512's 32, 12 of the 16 that the others have.
 *
 * A unit is a float, or (`pairs`, AVX-512 BF16) two bfloat16 side by side, which are multiplied one
 * by one and both added; C is float32 always.
 */

#if LANES == 16
enum { ROWS_1 = 14, ROWS_2 = 12, ROWS_4 = 6 };
#else
enum { ROWS_1 = 8, ROWS_2 = 6 };
#endif

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if !HAS_BF16
#define vec_pairs vec_fma /* never called */
#endif

typedef float __attribute__((may_alias)) unit;

struct tile {
    float *c;
    const unit *a, *b;
    const int32_t *column; /* [k] */
    int64_t c_stride, row, b_stride, m, n, k;
    bool add_to; /* to C */
    bool pairs;
};

/* rows x vectors of C; both are constants where this is inlined. */
INLINE void tile_block(const struct tile *t, int64_t i, int64_t j, const int rows,
                       const int vectors, const bool pairs)
{
    vec sum[14][4], right[4];
    const int64_t row = t->row, b_stride = t->b_stride, c_stride = t->c_stride, k = t->k;
    const int32_t *column = t->column;
    const unit *a = t->a + i * row, *b = t->b + j;
    float *c = t->c + i * c_stride + j;
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
            t->add_to ? vec_load(c + r * c_stride + v * LANES) : vec_set(0);
    }
    for (int64_t p = 0; p < k; p++, b += b_stride) {
        const unit *at = a + column[p];
        UNROLL for (int v = 0; v < vectors; v++) right[v] = vec_load(b + v * LANES);
        UNROLL for (int r = 0; r < rows; r++)
        {
            vec left = vec_set(at[r * row]);
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
                pairs ? vec_pairs(left, right[v], sum[r][v]) : vec_fma(left, right[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int v = 0; v < vectors; v++) vec_store(c + r * c_stride + v * LANES, sum[r][v]);
    }
}

#define BLOCK(rows, vectors)                                                                       \
    case rows:                                                                                     \
        if (HAS_BF16 && t->pairs)                                                                  \
            tile_block(t, i, j, rows, vectors, true);                                              \
        else                                                                                       \
            tile_block(t, i, j, rows, vectors, false);                                             \
        break;

/* The rows of C are shared out evenly over as few blocks as there can be. */
INLINE int rows_of_block(int64_t left, int most)
{
    int64_t blocks = (left + most - 1) / most;
    return (int)((left + blocks - 1) / blocks);
}

static void tile_1(const struct tile *t, int64_t j)
{
    for (int64_t i = 0; i < t->m;) {
        int rows = rows_of_block(t->m - i, ROWS_1);
        switch (rows) {
            BLOCK(1, 1)
            BLOCK(2, 1)
            BLOCK(3, 1)
            BLOCK(4, 1)
            BLOCK(5, 1)
            BLOCK(6, 1)
            BLOCK(7, 1)
            BLOCK(8, 1)
#if LANES == 16
            BLOCK(9, 1)
            BLOCK(10, 1)
            BLOCK(11, 1)
            BLOCK(12, 1)
            BLOCK(13, 1)
            BLOCK(14, 1)
#endif
        }
        i += rows;
    }
}

static void tile_2(const struct tile *t, int64_t j)
{
    for (int64_t i = 0; i < t->m;) {
        int rows = rows_of_block(t->m - i, ROWS_2);
        switch (rows) {
            BLOCK(1, 2)
            BLOCK(2, 2)
            BLOCK(3, 2)
            BLOCK(4, 2)
            BLOCK(5, 2)
            BLOCK(6, 2)
#if LANES == 16
            BLOCK(7, 2)
            BLOCK(8, 2)
            BLOCK(9, 2)
            BLOCK(10, 2)
            BLOCK(11, 2)
            BLOCK(12, 2)
#endif
        }
        i += rows;
    }
}

#if LANES == 16
static void tile_4(const struct tile *t, int64_t j)
{
    for (int64_t i = 0; i < t->m;) {
        int rows = rows_of_block(t->m - i, ROWS_4);
        switch (rows) {
            BLOCK(1, 4)
            BLOCK(2, 4)
            BLOCK(3, 4)
            BLOCK(4, 4)
            BLOCK(5, 4)
            BLOCK(6, 4)
        }
        i += rows;
    }
}
#endif

static void tile_product(const struct tile *t)
{
    int64_t j = 0;
#if LANES == 16
    for (; j + 4 * LANES <= t->n; j += 4 * LANES)
        tile_4(t, j);
#endif
    for (; j + 2 * LANES <= t->n; j += 2 * LANES)
        tile_2(t, j);
    for (; j < t->n; j += LANES)
        tile_1(t, j);
}
