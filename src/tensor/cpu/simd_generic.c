/* The kernels of simd_body.h in plain C with vectors of four (SSE2, NEON, whatever there is). */
#include "tensor/cpu/simd.h"

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

#include "tensor/cpu/simd_body.h"
