/*
 * Part of simd_body.h: numbers that vectorise. Each function is plain arithmetic without branches
 * or table look-ups, so that a loop marked `omp simd` around it becomes vector code.
 *
 * exp: x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) by its Taylor polynomial of degree 7 (error 5e-9),
 * times 2^n through the exponent bits. Relative error about 1e-7; 0 below -87.3, and no more than
 * exp(88.3), just inside of float32.
 * Phi (the normal distribution): erf by Abramowitz & Stegun 7.1.26, |error| <= 1.5e-7.
 * sin, cos: angle - n pi/2 in double, then the cephes single precision polynomials on |r| <= pi/4.
 * Rounding to the nearest integer is adding and subtracting 1.5 * 2^23 (double: 1.5 * 2^52).
 */
#include "tensor/cpu/scratch.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#define PARALLEL_LIMIT 32768 /* elements from which a second thread pays */
/* A statement for each r of [0, count), by all threads where it is much. Not by an `if` clause:
   with one, libgomp ends even a region of one thread with a system call, which a decoder's step of
   one row would make hundreds of times. */
#define SHARE(much, r, count, statement)                                                           \
    do {                                                                                           \
        if (much) {                                                                                \
            _Pragma("omp parallel for schedule(static)") for (int64_t r = 0; r < (count); r++)     \
                statement;                                                                         \
        } else {                                                                                   \
            for (int64_t r = 0; r < (count); r++)                                                  \
                statement;                                                                         \
        }                                                                                          \
    } while (0)

#define INLINE static inline __attribute__((always_inline))

INLINE float float_of_bits(int32_t bits)
{
    union {
        int32_t i;
        float f;
    } u = {.i = bits};
    return u.f;
}

INLINE float exp_fast(float x)
{
    const float round = 12582912.0f;
    float clamped = x < -87.3f ? -87.3f : x > 88.3f ? 88.3f : x;
    float n = (clamped * 1.44269504f + round) - round;
    float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    float y = p * float_of_bits((int32_t)(((uint32_t)(int32_t)n + 127) << 23));
    return x < -87.3f ? 0 : y;
}

/* Phi(x), and the density at x through the exponential that both need. */
INLINE float normal_below(float x, float *density)
{
    float e = exp_fast(-0.5f * x * x), z = fabsf(x) * 0.70710678f;
    float t = 1 / (1 + 0.3275911f * z);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    float above = 0.5f * p * t * e; /* (1 - erf z) / 2 */
    *density = 0.39894228f * e;
    return x < 0 ? above : 1 - above;
}

INLINE float sigmoid(float x)
{
    return 1 / (1 + exp_fast(-x));
}

INLINE void sine_cosine(double angle, float *sine, float *cosine)
{
    const double round = 6755399441055744.0;
    double n = (angle * 0.63661977236758134308 + round) - round;
    float r = (float)(angle - n * 1.57079632679489661923), r2 = r * r;
    int32_t quarter = (int32_t)n;
    float s = r + r * r2 * (-1.6666654611e-1f + r2 * (8.3321608736e-3f - r2 * 1.9515295891e-4f));
    float c =
        1 - 0.5f * r2 +
        r2 * r2 *
            (4.166664568298827e-2f + r2 * (-1.388731625493765e-3f + r2 * 2.443315711809948e-5f));
    float first = quarter & 1 ? c : s, second = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -first : first;
    *cosine = (quarter + 1) & 2 ? -second : second;
}

INLINE float row_max(const float *x, int64_t n)
{
    vec most = vec_set(-INFINITY);
    float part[LANES], highest = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        most = vec_max(vec_load(x + i), most);
    vec_store(part, most);
    for (int j = 0; j < LANES; j++)
        highest = part[j] > highest ? part[j] : highest;
    for (; i < n; i++)
        highest = x[i] > highest ? x[i] : highest;
    return highest;
}

INLINE float row_sum(const float *x, int64_t n)
{
    vec sum = vec_set(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum += vec_load(x + i);
    float total = vec_sum(sum);
    for (; i < n; i++)
        total += x[i];
    return total;
}

INLINE float row_dot(const float *a, const float *b, int64_t n)
{
    vec sum = vec_set(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum = vec_fma(vec_load(a + i), vec_load(b + i), sum);
    float total = vec_sum(sum);
    for (; i < n; i++)
        total += a[i] * b[i];
    return total;
}

/* Sums over rows are made chunk by chunk (CHUNK rows, one partial each) and the partials added in
   order, so that they don't depend on the number of threads, and hardly on the number of rows. */
enum { CHUNK = 64 };

INLINE int64_t chunks_of(int64_t rows)
{
    return (rows + CHUNK - 1) / CHUNK;
}

INLINE int64_t minimum(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* n numbers in whole vectors */
INLINE int64_t whole(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* to[i] += sum over chunks of partial[chunk * stride + i] */
static void add_partials(float *to, const float *partial, int64_t chunks, int64_t stride,
                         int64_t width)
{
#pragma omp parallel for if (chunks * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t from = 0; from < width; from += CHUNK) {
        double sum[CHUNK] = {0};
        int64_t n = minimum(CHUNK, width - from);
        for (int64_t c = 0; c < chunks; c++)
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                sum[i] += partial[c * stride + from + i];
        for (int64_t i = 0; i < n; i++)
            to[from + i] += (float)sum[i];
    }
}
