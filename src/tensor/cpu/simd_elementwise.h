/* Part of simd_body.h: element-wise kernels, the optimiser, and bfloat16 conversion. */

/* A statement for each i of [0, n); see SHARE. */
#define EACH(statement)                                                                            \
    do {                                                                                           \
        if (n > PARALLEL_LIMIT) {                                                                  \
            _Pragma("omp parallel for simd schedule(static)") for (int64_t i = 0; i < n; i++)      \
                statement;                                                                         \
        } else {                                                                                   \
            _Pragma("omp simd") for (int64_t i = 0; i < n; i++) statement;                         \
        }                                                                                          \
    } while (0)

static void relu(float *y, const float *x, int64_t n)
{
    EACH(y[i] = x[i] > 0 ? x[i] : 0);
}

static void relu_backward(float *dx, const float *dy, const float *x, int64_t n)
{
    EACH(dx[i] += x[i] > 0 ? dy[i] : 0);
}

INLINE float gelu_of(float x)
{
    float density;
    return x * normal_below(x, &density);
}

INLINE float gelu_slope(float x)
{
    float density, below = normal_below(x, &density);
    return below + x * density;
}

static void gelu(float *y, const float *x, int64_t n)
{
    EACH(y[i] = gelu_of(x[i]));
}

static void gelu_backward(float *dx, const float *dy, const float *x, int64_t n)
{
    EACH(dx[i] += dy[i] * gelu_slope(x[i]));
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
    EACH(y[i] = gate[i] * sigmoid(gate[i]) * up[i]);
}

INLINE float silu_slope(float x)
{
    float s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

static void swiglu_gate(float *dgate, const float *dy, const float *gate, const float *up,
                        int64_t n)
{
    EACH(dgate[i] += dy[i] * up[i] * silu_slope(gate[i]));
}

static void swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate,
                            const float *up, int64_t n)
{
    if (dgate)
        swiglu_gate(dgate, dy, gate, up, n);
    if (!dup)
        return;
    EACH(dup[i] += dy[i] * gate[i] * sigmoid(gate[i]));
}

static void add(float *y, const float *a, const float *b, int64_t n)
{
    EACH(y[i] = a[i] + b[i]);
}

static void add_scaled(float *y, const float *x, float factor, int64_t n)
{
    EACH(y[i] += factor * x[i]);
}

static void scale(float *y, const float *x, float factor, int64_t n)
{
    EACH(y[i] = factor * x[i]);
}

static void multiply_add(float *y, const float *a, const float *b, int64_t n)
{
    EACH(y[i] += a[i] * b[i]);
}

static void fill(float *x, float value, int64_t n)
{
    EACH(x[i] = value);
}

/* Each row by the angles of its position, the same for all heads: 64 pairs at a time. */
static void rope_row(float *y, const float *x, int32_t position, const float *inverse_frequency,
                     float sign, bool add_to, int heads, int64_t d)
{
    for (int64_t from = 0; from < d / 2; from += 64) {
        float sine[64], cosine[64];
        int64_t n = minimum(64, d / 2 - from);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            sine_cosine((double)position * inverse_frequency[from + i], &sine[i], &cosine[i]);
            sine[i] *= sign;
        }
        for (int h = 0; h < heads; h++) {
            const float *first = x + h * d + from, *second = first + d / 2;
            float *to = y + h * d + from, *to2 = to + d / 2;
            if (add_to) {
#pragma omp simd
                for (int64_t i = 0; i < n; i++) {
                    to[i] += first[i] * cosine[i] - second[i] * sine[i];
                    to2[i] += second[i] * cosine[i] + first[i] * sine[i];
                }
            } else {
#pragma omp simd
                for (int64_t i = 0; i < n; i++) {
                    float a = first[i], b = second[i]; /* y may be x */
                    to[i] = a * cosine[i] - b * sine[i];
                    to2[i] = b * cosine[i] + a * sine[i];
                }
            }
        }
    }
}

static void rope(float *y, const float *x, const int32_t *position, const float *inverse_frequency,
                 float sign, bool add_to, int64_t rows, int heads, int64_t d)
{
    SHARE(rows * heads * d > PARALLEL_LIMIT, r, rows,
          rope_row(y + r * heads * d, x + r * heads * d, position[r], inverse_frequency, sign,
                   add_to, heads, d));
}

static void adamw(float *w, float *m, float *v, const float *grad, const struct adamw_step *s,
                  int64_t n)
{
    const struct adamw_step a = *s;
    const float m_scale = 1 / a.correction1, v_scale = 1 / a.correction2;
#pragma omp parallel for simd if (parallel : n > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * a.grad_scale;
        m[i] = a.beta1 * m[i] + (1 - a.beta1) * g;
        v[i] = a.beta2 * v[i] + (1 - a.beta2) * g * g;
        float step = m[i] * m_scale / (sqrtf(v[i] * v_scale) + a.eps);
        w[i] -= a.rate * (step + a.decay * w[i]);
    }
}

/* Blocks of 4096 in float, their sums in double, in order. */
static double sum_of_squares(const float *x, int64_t n)
{
    int64_t blocks = (n + 4095) / 4096;
    float *sums = scratch_take((blocks + 1) * sizeof *sums);
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        const float *part = x + b * 4096;
        sums[b] = row_dot(part, part, minimum(4096, n - b * 4096));
    }
    double total = 0;
    for (int64_t b = 0; b < blocks; b++)
        total += sums[b];
    scratch_give(sums);
    return total;
}

static void to_bf16_row(uint16_t *to, const float *from, int64_t n)
{
    int64_t i = 0;
#if HAS_BF16
    for (; i + 32 <= n; i += 32) {
        __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
        memcpy(to + i, &v, sizeof v);
    }
#endif
#pragma omp simd
    for (int64_t j = i; j < n; j++) {
        union {
            float f;
            uint32_t i;
        } u = {.f = from[j]};
        to[j] = (uint16_t)((u.i + 0x7fff + ((u.i >> 16) & 1)) >> 16);
    }
}

/* Dense rows are one long row, cut where threads may share it. */
static void to_bf16(uint16_t *to, const float *from, int64_t rows, int64_t width, int64_t stride)
{
    int64_t n = rows * width;
    if (stride == width) {
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
        for (int64_t i = 0; i < n; i += 8192)
            to_bf16_row(to + i, from + i, minimum(8192, n - i));
    } else {
#pragma omp parallel for if (n > PARALLEL_LIMIT) schedule(static)
        for (int64_t r = 0; r < rows; r++)
            to_bf16_row(to + r * width, from + r * stride, width);
    }
}
