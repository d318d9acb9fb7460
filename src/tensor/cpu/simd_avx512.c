/* The kernels of simd_body.h for AVX-512 with BF16 (Zen 4, Sapphire Rapids and later). */
#include "tensor/cpu/simd.h"

#include <immintrin.h>

#define SIMD_TABLE simd_avx512
#define LANES 16
#define HAS_BF16 1
typedef __m512 vec;
#define vec_load _mm512_loadu_ps
#define vec_store _mm512_storeu_ps
#define vec_set _mm512_set1_ps
#define vec_fma _mm512_fmadd_ps
#define vec_max _mm512_max_ps
#define vec_sum _mm512_reduce_add_ps

static inline __m512 vec_pairs(__m512 a, __m512 b, __m512 c)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

#include "tensor/cpu/simd_body.h"
