/* Part of simd_body.h: moving rows, pooling, softmax, experts, the loss. */

#define ROWS _Pragma("omp parallel for if (rows * width > PARALLEL_LIMIT) schedule(static)")

INLINE void add_row(float *y, const float *x, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void gather_rows(float *y, const float *x, const int32_t *index, int64_t rows, int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        if (index[r] < 0)
            memset(y + r * width, 0, width * sizeof *y);
        else
            memcpy(y + r * width, x + index[r] * width, width * sizeof *y);
    }
}

/* Rows may meet, so threads share out columns. */
static void scatter_add_rows(float *dx, const float *dy, const int32_t *index, int64_t rows,
                             int64_t width)
{
    ROWS for (int64_t from = 0; from < width; from += CHUNK)
    {
        int64_t n = minimum(CHUNK, width - from);
        for (int64_t r = 0; r < rows; r++)
            if (index[r] >= 0)
                add_row(dx + index[r] * width + from, dy + r * width + from, n);
    }
}

static void copy_columns(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                         bool add_to, int64_t rows, int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        if (add_to)
            add_row(to + r * to_stride, from + r * from_stride, width);
        else
            memcpy(to + r * to_stride, from + r * from_stride, width * sizeof *to);
    }
}

static void pool_rows(float *y, const float *x, const struct span *spans, int count, int rate,
                      int64_t width)
{
    const float share = 1 / (float)rate;
    for (int s = 0; s < count; s++) {
        const float *span = x + spans[s].start * width;
        const int64_t rows = spans[s].length / rate;
        ROWS for (int64_t r = 0; r < rows; r++)
        {
            float *to = y + r * width;
            const float *from = span + r * rate * width;
            memcpy(to, from, width * sizeof *to);
            for (int j = 1; j < rate; j++)
                add_row(to, from + j * width, width);
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                to[i] *= share;
        }
        y += rows * width;
    }
}

static void pool_rows_backward(float *dx, const float *dy, const struct span *spans, int count,
                               int rate, int64_t width)
{
    const float share = 1 / (float)rate;
    for (int s = 0; s < count; s++) {
        float *span = dx + spans[s].start * width;
        const int64_t rows = spans[s].length / rate;
        ROWS for (int64_t r = 0; r < rows * rate; r++)
        {
            float *to = span + r * width;
            const float *from = dy + r / rate * width;
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                to[i] += share * from[i];
        }
        dy += rows * width;
    }
}

/* ---- pictures ----------------------------------------------------------------------------- */

struct window {
    int64_t first_y, last_y, first_x, last_x; /* inside the picture, last not included */
};

typedef int32_t lanes __attribute__((vector_size(4 * LANES)));

INLINE lanes either(lanes mask, lanes a, lanes b)
{
    return (mask & a) | (~mask & b);
}

/* LANES channels of one output pixel, in registers: `from` is the first of them in the window, and
   `at` its index in x. argmax may be NULL. */
INLINE void max_of_lanes(float *y, int32_t *argmax, const float *from, int64_t at, int64_t high,
                         int64_t wide, int64_t w, int64_t channels)
{
    lanes step, best = (lanes)vec_load(from), where;
    for (int i = 0; i < LANES; i++)
        step[i] = i;
    step += (int32_t)at;
    where = step;
    for (int64_t py = 0; py < high; py++) {
        for (int64_t px = 0; px < wide; px++) {
            int64_t offset = (py * w + px) * channels;
            vec here = vec_load(from + offset);
            lanes larger = (lanes)(here > (vec)best);
            best = either(larger, (lanes)here, best);
            where = either(larger, step + (int32_t)offset, where);
        }
    }
    vec_store(y, (vec)best);
    if (argmax)
        memcpy(argmax, &where, sizeof where);
}

/* One output pixel, all channels; `first` is the index of the picture's first number in x. */
INLINE void max_of_window(float *y, int32_t *argmax, const float *x, const struct window *v,
                          int64_t first, int64_t w, int64_t channels)
{
    const int64_t high = v->last_y - v->first_y, wide = v->last_x - v->first_x;
    int64_t c = 0, start = first + (v->first_y * w + v->first_x) * channels;
    for (; c + LANES <= channels; c += LANES)
        max_of_lanes(y + c, argmax ? argmax + c : NULL, x + start + c, start + c, high, wide, w,
                     channels);
    for (; c < channels; c++) {
        int64_t best = start + c;
        for (int64_t i = 0; i < high * wide; i++) {
            int64_t at = start + (i / wide * w + i % wide) * channels + c;
            best = x[at] > x[best] ? at : best;
        }
        y[c] = x[best];
        if (argmax)
            argmax[c] = (int32_t)best;
    }
}

static void max_pool(float *y, int32_t *argmax, const float *x, int64_t n, int64_t h, int64_t w,
                     int64_t channels, int kernel, int stride, int pad)
{
    const int64_t out_h = (h + 2 * pad - kernel) / stride + 1;
    const int64_t out_w = (w + 2 * pad - kernel) / stride + 1;
#pragma omp parallel for if (n * h * w * channels > PARALLEL_LIMIT) schedule(static)
    for (int64_t row = 0; row < n * out_h; row++) {
        int64_t from_y = row % out_h * stride - pad;
        struct window v = {from_y < 0 ? 0 : from_y, minimum(h, from_y + kernel), 0, 0};
        for (int64_t ox = 0; ox < out_w; ox++) {
            int64_t from_x = ox * stride - pad, at = (row * out_w + ox) * channels;
            v.first_x = from_x < 0 ? 0 : from_x;
            v.last_x = minimum(w, from_x + kernel);
            max_of_window(y + at, argmax ? argmax + at : NULL, x, &v,
                          row / out_h * h * w * channels, w, channels);
        }
    }
}

static void max_pool_backward(float *dx, const float *dy, const int32_t *argmax, int64_t outputs,
                              int64_t n, int64_t x_per_n)
{
    const int64_t each = n > 0 ? outputs / n : 0;
#pragma omp parallel for if (n * x_per_n > PARALLEL_LIMIT) schedule(static)
    for (int64_t p = 0; p < n; p++)
        for (int64_t i = p * each; i < (p + 1) * each; i++)
            dx[argmax[i]] += dy[i];
}

/* ---- experts and losses ------------------------------------------------------------------- */

/* y = exp(x - highest); returns the sum. */
INLINE float exp_row(float *y, const float *x, float highest, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = exp_fast(x[i] - highest);
    return row_sum(y, n);
}

static void softmax(float *y, const float *x, int64_t rows, int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const float *from = x + r * width;
        float *to = y + r * width;
        float factor = 1 / exp_row(to, from, row_max(from, width), width);
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            to[i] *= factor;
    }
}

static void softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                             int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const float *g = dy + r * width, *p = y + r * width;
        float *to = dx + r * width, average = row_dot(g, p, width);
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            to[i] += p[i] * (g[i] - average);
    }
}

/* The index of the largest score that is not among the picks; ties to the lower. */
INLINE int32_t next_best(const float *scores, int64_t width, const int32_t *picks, int count)
{
    int32_t best = -1;
    for (int32_t i = 0; i < width; i++) {
        bool taken = best >= 0 && !(scores[i] > scores[best]);
        for (int j = 0; j < count && !taken; j++)
            taken = picks[j] == i;
        best = taken ? best : i;
    }
    return best;
}

static void top_k(float *gates, int32_t *chosen, const float *scores, int k, bool renormalise,
                  int64_t rows, int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const float *s = scores + r * width;
        float *g = gates + r * width, sum = 0;
        int32_t *picks = chosen + r * k;
        memset(g, 0, width * sizeof *g);
        for (int j = 0; j < k; j++) {
            picks[j] = next_best(s, width, picks, j);
            g[picks[j]] = s[picks[j]];
            sum += s[picks[j]];
        }
        for (int j = 0; renormalise && j < k; j++)
            g[picks[j]] /= sum;
    }
}

static void top_k_backward(float *dscores, const float *dgates, const float *gates,
                           const float *scores, const int32_t *chosen, int k, bool renormalise,
                           int64_t rows, int64_t width)
{
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const int32_t *picks = chosen + r * k;
        float sum = renormalise ? 0 : 1, average = 0;
        for (int j = 0; renormalise && j < k; j++) {
            sum += scores[r * width + picks[j]];
            average += dgates[r * width + picks[j]] * gates[r * width + picks[j]];
        }
        for (int j = 0; j < k; j++)
            dscores[r * width + picks[j]] += (dgates[r * width + picks[j]] - average) / sum;
    }
}

static void gate_experts(float *y, const float *h, const float *gates, int64_t rows, int shared,
                         int routed, int b)
{
    const int64_t width = (int64_t)(shared + routed) * b;
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const float *from = h + r * width + shared * b;
        float *to = y + r * width + shared * b;
        memcpy(to - shared * b, from - shared * b, shared * b * sizeof *to);
        for (int e = 0; e < routed; e++, from += b, to += b) {
            const float gate = gates[r * routed + e];
#pragma omp simd
            for (int i = 0; i < b; i++)
                to[i] = from[i] * gate;
        }
    }
}

static void gate_experts_backward(float *dh, float *dgates, const float *dy, const float *h,
                                  const float *gates, int64_t rows, int shared, int routed, int b)
{
    const int64_t width = (int64_t)(shared + routed) * b;
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        if (dh)
            add_row(dh + r * width, dy + r * width, shared * b);
        for (int e = 0; e < routed; e++) {
            const int64_t at = r * width + (shared + e) * b;
            const float gate = gates[r * routed + e];
            if (dgates)
                dgates[r * routed + e] += row_dot(dy + at, h + at, b);
            if (!dh)
                continue;
#pragma omp simd
            for (int i = 0; i < b; i++)
                dh[at + i] += dy[at + i] * gate;
        }
    }
}

/* One row: its loss; the gradient into d (may be NULL). q = rest everywhere + 1 - smoothing at the
   target. */
static double cross_entropy_row(float *d, const float *x, int32_t target, double factor,
                                float smoothing, int64_t width)
{
    float rest = smoothing / (float)width, highest = row_max(x, width), sum = 0, x_sum = 0;
    if (d) {
        sum = exp_row(d, x, highest, width);
        float share = (float)factor / sum, less = (float)factor * rest;
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            d[i] = share * d[i] - less;
        d[target] -= (float)factor * (1 - smoothing);
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < width; i++)
            sum += exp_fast(x[i] - highest);
    }
#pragma omp simd reduction(+ : x_sum)
    for (int64_t i = 0; i < width; i++)
        x_sum += x[i] - highest;
    float total = logf(sum);
    return factor * ((1 - smoothing) * ((double)total - (x[target] - highest)) +
                     (double)rest * ((double)total * (double)width - x_sum));
}

static float cross_entropy(float *dlogits, const float *logits, const int32_t *target,
                           const float *weight, float smoothing, int64_t rows, int64_t width)
{
    int64_t counted = 0;
    double total = 0, *loss = scratch_take((rows + 1) * sizeof *loss);
    for (int64_t r = 0; r < rows; r++)
        counted += target[r] >= 0;
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        float *d = dlogits ? dlogits + r * width : NULL;
        double factor = weight ? weight[r] : 1 / (double)counted;
        loss[r] = 0;
        if (target[r] >= 0)
            loss[r] = cross_entropy_row(d, logits + r * width, target[r], factor, smoothing, width);
        else if (d)
            memset(d, 0, width * sizeof *d);
    }
    for (int64_t r = 0; r < rows; r++)
        total += loss[r];
    scratch_give(loss);
    return (float)total;
}
