/*
 * Part of simd_body.h: normalisation and other kernels with one number per column.
 *
 * Narrow rows (batch norm over 16 channels) are *folded*: f rows are taken as one of f * width, and
 * the per-column vectors are repeated f times, so that inner loops are long. Sums over rows: see
 * chunks_of in simd_math.h.
 */

enum { FOLD = 256 };

/* How wide a folded row is: at least FOLD, less than 2 FOLD unless width is. */
INLINE int64_t folded(int64_t width)
{
    return width < FOLD ? (FOLD + width - 1) / width * width : width;
}

/* v, or its repetition in buffer [2 * FOLD] */
static const float *fold(float *buffer, const float *v, int64_t width)
{
    int64_t wide = folded(width);
    if (wide == width)
        return v;
    for (int64_t i = 0; i < wide; i++)
        buffer[i] = v[i % width];
    return buffer;
}

/* to[c] += the sums of all chunks and of all repetitions */
static void unfold_partials(float *to, const float *partial, int64_t chunks, int64_t stride,
                            int64_t width)
{
    int64_t wide = folded(width);
    if (wide == width) {
        add_partials(to, partial, chunks, stride, width);
        return;
    }
    float sum[2 * FOLD] = {0};
    add_partials(sum, partial, chunks, stride, wide);
    for (int64_t i = 0; i < width; i++) {
        double total = 0;
        for (int64_t j = i; j < wide; j += width)
            total += sum[j];
        to[i] += (float)total;
    }
}

/* ---- rows --------------------------------------------------------------------------------- */

static void layer_norm(float *y, float *mean, float *rstd, const float *x, const float *w,
                       const float *b, const struct norm_sizes *s)
{
    const int64_t width = s->width;
#pragma omp parallel for if (s->rows * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t r = 0; r < s->rows; r++) {
        const float *from = x + r * width;
        float *to = y + r * width, square = 0;
        float m = row_sum(from, width) / (float)width;
#pragma omp simd reduction(+ : square)
        for (int64_t i = 0; i < width; i++)
            square += (from[i] - m) * (from[i] - m);
        float f = 1 / sqrtf(square / (float)width + s->eps);
        if (b) {
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                to[i] = (from[i] - m) * f * w[i] + b[i];
        } else {
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                to[i] = (from[i] - m) * f * w[i];
        }
        if (mean)
            mean[r] = m;
        if (rstd)
            rstd[r] = f;
    }
}

/* One row: h = (x - m) f; dx += f (dy w - average(dy w) - h average(dy w h)). centred: layer norm;
   else rms norm, where m = 0 and the first average is left out. */
INLINE void norm_row_backward(float *dx, const float *dy, const float *x, const float *w, float m,
                              float f, bool centred, int64_t width)
{
    float g = 0, gh = 0;
#pragma omp simd reduction(+ : g, gh)
    for (int64_t i = 0; i < width; i++) {
        float part = dy[i] * w[i];
        g += part;
        gh += part * ((x[i] - m) * f);
    }
    g = centred ? g / (float)width : 0;
    gh /= (float)width;
#pragma omp simd
    for (int64_t i = 0; i < width; i++)
        dx[i] += f * (dy[i] * w[i] - g - (x[i] - m) * f * gh);
}

/* dw [width] += sum dy h, db += sum dy; either may be NULL; mean NULL: all 0. */
static void norm_weights_backward(float *dw, float *db, const float *dy, const float *x,
                                  const float *mean, const float *rstd, const struct norm_sizes *s)
{
    const int64_t width = s->width, chunks = chunks_of(s->rows);
    float *partial = scratch_take(chunks * 2 * width * sizeof *partial);
#pragma omp parallel for if (s->rows * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t c = 0; c < chunks; c++) {
        float *pw = partial + c * 2 * width, *pb = pw + width;
        memset(pw, 0, 2 * width * sizeof *pw);
        for (int64_t r = c * CHUNK; r < minimum(s->rows, (c + 1) * CHUNK); r++) {
            const float *from = x + r * width, *g = dy + r * width;
            float m = mean ? mean[r] : 0, f = rstd[r];
#pragma omp simd
            for (int64_t i = 0; i < width; i++) {
                pw[i] += g[i] * ((from[i] - m) * f);
                pb[i] += g[i];
            }
        }
    }
    if (dw)
        add_partials(dw, partial, chunks, 2 * width, width);
    if (db)
        add_partials(db, partial + width, chunks, 2 * width, width);
    scratch_give(partial);
}

static void layer_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x,
                                const float *w, const float *mean, const float *rstd,
                                const struct norm_sizes *s)
{
    const int64_t width = s->width;
    if (dw || db)
        norm_weights_backward(dw, db, dy, x, mean, rstd, s);
#pragma omp parallel for if (s->rows * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t r = 0; r < (dx ? s->rows : 0); r++)
        norm_row_backward(dx + r * width, dy + r * width, x + r * width, w, mean[r], rstd[r], true,
                          width);
}

static void rms_norm_row(float *y, float *rstd, const float *x, const float *w, int64_t width,
                         float eps)
{
    float f = 1 / sqrtf(row_dot(x, x, width) / (float)width + eps);
#pragma omp simd
    for (int64_t i = 0; i < width; i++)
        y[i] = x[i] * f * w[i];
    if (rstd)
        *rstd = f;
}

static void rms_norm(float *y, float *rstd, const float *x, const float *w,
                     const struct norm_sizes *s)
{
    const int64_t width = s->width;
    SHARE(s->rows * width > PARALLEL_LIMIT, r, s->rows,
          rms_norm_row(y + r * width, rstd ? rstd + r : NULL, x + r * width, w, width, s->eps));
}

static void rms_norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                              const float *rstd, const struct norm_sizes *s)
{
    const int64_t width = s->width;
    if (dw)
        norm_weights_backward(dw, NULL, dy, x, NULL, rstd, s);
#pragma omp parallel for if (s->rows * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t r = 0; r < (dx ? s->rows : 0); r++)
        norm_row_backward(dx + r * width, dy + r * width, x + r * width, w, 0, rstd[r], false,
                          width);
}

/* ---- columns ------------------------------------------------------------------------------ */

/* Mean and sum of squared differences of each column over one chunk of folded rows; the last row
   may be short. */
static void chunk_moments(float *mean, float *square, const float *x, int64_t n, int64_t wide)
{
    int64_t rows = n / wide, rest = n % wide;
    memset(mean, 0, 2 * wide * sizeof *mean);
    for (int64_t i = 0; i < n; i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++)
            mean[j] += x[i + j];
    }
    float more = 1 / (float)(rows + 1), all = rows ? 1 / (float)rows : 0;
#pragma omp simd
    for (int64_t j = 0; j < wide; j++)
        mean[j] *= j < rest ? more : all;
    for (int64_t i = 0; i < n; i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++)
            square[j] += (x[i + j] - mean[j]) * (x[i + j] - mean[j]);
    }
}

/* Chunks are joined as Chan, Golub, LeVeque 1979: with d the difference of two means,
   M = M1 + M2 + d^2 n1 n2 / n. partial [chunks, 2, wide] */
static void column_moments(float *mean, float *var, const float *x, const struct norm_sizes *s)
{
    const int64_t width = s->width, wide = folded(width), n = s->rows * width;
    const int64_t size = CHUNK * wide, chunks = (n + size - 1) / size;
    float *partial = scratch_take((chunks + 1) * 2 * wide * sizeof *partial);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t c = 0; c < chunks; c++)
        chunk_moments(partial + c * 2 * wide, partial + c * 2 * wide + wide, x + c * size,
                      minimum(size, n - c * size), wide);
#pragma omp parallel for if (chunks * wide > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < width; i++) {
        double count = 0, m = 0, square = 0;
        for (int64_t c = 0; c < chunks; c++) {
            int64_t length = minimum(size, n - c * size);
            for (int64_t j = i; j < wide; j += width) {
                double more = (double)(length / wide + (j < length % wide));
                if (more == 0)
                    continue;
                double d = partial[c * 2 * wide + j] - m, total = count + more;
                m += d * more / total;
                square += partial[c * 2 * wide + wide + j] + d * d * count * more / total;
                count = total;
            }
        }
        mean[i] = (float)m;
        var[i] = (float)(square / (double)s->rows);
    }
    scratch_give(partial);
}

static void column_norm(float *y, const float *x, const float *mean, const float *rstd,
                        const float *w, const float *b, const struct norm_sizes *s)
{
    const int64_t width = s->width, wide = folded(width), n = s->rows * width;
    float buffer[4][2 * FOLD];
    const float *m = fold(buffer[0], mean, width), *f = fold(buffer[1], rstd, width);
    const float *g = fold(buffer[2], w, width), *add = fold(buffer[3], b, width);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++)
            y[i + j] = (x[i + j] - m[j]) * f[j] * g[j] + add[j];
    }
}

/* partial [chunks, 2, wide]: sum dy, sum dy h */
static void column_sums(float *partial, const float *dy, const float *x, const float *m,
                        const float *f, int64_t n, int64_t wide)
{
    const int64_t size = CHUNK * wide;
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t from = 0; from < n; from += size) {
        float *sum = partial + from / size * 2 * wide, *sum_h = sum + wide;
        memset(sum, 0, 2 * wide * sizeof *sum);
        for (int64_t i = from; i < minimum(n, from + size); i += wide) {
            int64_t length = minimum(wide, n - i);
#pragma omp simd
            for (int64_t j = 0; j < length; j++) {
                sum[j] += dy[i + j];
                sum_h[j] += dy[i + j] * ((x[i + j] - m[j]) * f[j]);
            }
        }
    }
}

static void column_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x,
                                 const float *mean, const float *rstd, const float *w,
                                 bool through_statistics, const struct norm_sizes *s)
{
    const int64_t width = s->width, wide = folded(width), n = s->rows * width;
    const int64_t chunks = (n + CHUNK * wide - 1) / (CHUNK * wide);
    float *scratch = scratch_take((chunks * 2 + 5) * wide * sizeof *scratch);
    float *a = scratch, *ah = a + width, *coefficient = scratch + 2 * wide, buffer[5][2 * FOLD];
    const float *m = fold(buffer[0], mean, width), *f = fold(buffer[1], rstd, width);
    column_sums(scratch + 5 * wide, dy, x, m, f, n, wide);
    memset(a, 0, 2 * width * sizeof *a);
    unfold_partials(a, scratch + 5 * wide, chunks, 2 * wide, width);
    unfold_partials(ah, scratch + 6 * wide, chunks, 2 * wide, width);
    for (int64_t i = 0; i < width; i++) {
        if (dw)
            dw[i] += ah[i];
        if (db)
            db[i] += a[i];
        a[i] = through_statistics ? a[i] / (float)s->rows : 0;
        ah[i] = through_statistics ? ah[i] / (float)s->rows : 0;
        coefficient[i] = rstd[i] * w[i];
    }
    const float *average = fold(buffer[2], a, width), *average_h = fold(buffer[3], ah, width);
    const float *g = fold(buffer[4], coefficient, width);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < (dx ? n : 0); i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++) {
            float h = (x[i + j] - m[j]) * f[j];
            dx[i + j] += (dy[i + j] - average[j] - h * average_h[j]) * g[j];
        }
    }
    scratch_give(scratch);
}

static void prelu(float *y, const float *x, const float *slope, int64_t rows, int64_t width)
{
    const int64_t wide = folded(width), n = rows * width;
    float buffer[2 * FOLD];
    const float *s = fold(buffer, slope, width);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++)
            y[i + j] = x[i + j] > 0 ? x[i + j] : s[j] * x[i + j];
    }
}

/* One pass for both gradients; one that is not wanted goes to a row of scratch. */
static void prelu_backward(float *dx, float *dslope, const float *dy, const float *x,
                           const float *slope, int64_t rows, int64_t width)
{
    const int64_t wide = folded(width), n = rows * width, size = CHUNK * wide;
    const int64_t chunks = (n + size - 1) / size;
    float *partial = scratch_take((chunks + 1) * wide * sizeof *partial), buffer[2 * FOLD];
    const float *s = fold(buffer, slope, width);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t from = 0; from < n; from += size) {
        float *sum = partial + from / size * wide;
        memset(sum, 0, wide * sizeof *sum);
        for (int64_t i = from; i < minimum(n, from + size); i += wide) {
            int64_t length = minimum(wide, n - i);
            const float *g = dy + i, *at = x + i;
            float *to = dx ? dx + i : NULL;
            if (dx) {
#pragma omp simd
                for (int64_t j = 0; j < length; j++)
                    to[j] += at[j] > 0 ? g[j] : s[j] * g[j];
            }
#pragma omp simd
            for (int64_t j = 0; j < length; j++)
                sum[j] += at[j] > 0 ? 0 : g[j] * at[j];
        }
    }
    if (dslope)
        unfold_partials(dslope, partial, chunks, wide, width);
    scratch_give(partial);
}

static void add_periodic(float *y, const float *x, const float *table, int64_t rows, int64_t width,
                         int64_t period)
{
    const int64_t step = period * width, wide = folded(step), n = rows * width;
    float buffer[2 * FOLD];
    const float *t = fold(buffer, table, step);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i += wide) {
        int64_t length = minimum(wide, n - i);
#pragma omp simd
        for (int64_t j = 0; j < length; j++)
            y[i + j] = x[i + j] + t[j];
    }
}

static void add_periodic_backward(float *dtable, const float *dy, int64_t rows, int64_t width,
                                  int64_t period)
{
    const int64_t step = period * width, wide = folded(step), n = rows * width;
    const int64_t size = CHUNK * wide, chunks = (n + size - 1) / size;
    float *partial = scratch_take((chunks + 1) * wide * sizeof *partial);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t from = 0; from < n; from += size) {
        float *sum = partial + from / size * wide;
        memset(sum, 0, wide * sizeof *sum);
        for (int64_t i = from; i < minimum(n, from + size); i += wide) {
            int64_t length = minimum(wide, n - i);
#pragma omp simd
            for (int64_t j = 0; j < length; j++)
                sum[j] += dy[i + j];
        }
    }
    unfold_partials(dtable, partial, chunks, wide, step);
    scratch_give(partial);
}
