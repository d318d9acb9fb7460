/* The kernels of simd_body.h in plain C with vectors of four (SSE2, NEON, whatever there is). */
#include "tensor/cpu/simd.h"
#include "tensor/dtype_blocks.h"

#include <string.h>

#define SIMD_TABLE simd_generic
#define LANES 4
#define HAS_BF16 0
typedef float vec __attribute__((vector_size(16)));

static inline vec vec_load(const float *x)
{
    vec v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void vec_store(float *x, vec v)
{
    memcpy(x, &v, sizeof v);
}

static inline vec vec_set(float x)
{
    return (vec){x, x, x, x};
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

static inline vec vec_max(vec a, vec b) /* b where a is not a number */
{
    typedef int lanes __attribute__((vector_size(16)));
    lanes larger = a > b;
    return (vec)((larger & (lanes)a) | (~larger & (lanes)b));
}

static inline float vec_sum(vec v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/* ---- bytes, four to a lane (simd_stored.h) ---- */

typedef int32_t ivec __attribute__((vector_size(16)));
#define BYTES_UNSIGNED 0
#define HAS_PAIRS 0

/* to[k]: dword k of 16 bytes, of each of 4 rows */
static inline void ivec_columns(ivec *to, const uint8_t *from, int64_t stride)
{
    int32_t row[4][4];
    for (int j = 0; j < 4; j++)
        memcpy(row[j], from + j * stride, sizeof row[j]);
    for (int k = 0; k < 4; k++)
        to[k] = (ivec){row[0][k], row[1][k], row[2][k], row[3][k]};
}

/* sum + the four products of code and x, signed, in each lane */
static inline ivec ivec_dot(ivec sum, ivec code, ivec x)
{
    ivec pairs = (code << 16 >> 24) * (x << 16 >> 24) + (code << 24 >> 24) * (x << 24 >> 24);
    return sum + pairs + (code >> 24) * (x >> 24) + (code << 8 >> 24) * (x << 8 >> 24);
}

/* the half float in the low bits of each lane */
static inline vec vec_halves(ivec v)
{
    return (vec){half_to_float((uint16_t)v[0]), half_to_float((uint16_t)v[1]),
                 half_to_float((uint16_t)v[2]), half_to_float((uint16_t)v[3])};
}

#include "tensor/cpu/simd_body.h"
