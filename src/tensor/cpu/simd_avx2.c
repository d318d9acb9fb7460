/* The kernels of simd_body.h for AVX2 with FMA (Haswell, Zen and later). */
#include "tensor/cpu/simd.h"

#include <immintrin.h>

#define SIMD_TABLE simd_avx2
#define LANES 8
#define HAS_BF16 0
typedef __m256 vec;
#define vec_load _mm256_loadu_ps
#define vec_store _mm256_storeu_ps
#define vec_set _mm256_set1_ps
#define vec_max _mm256_max_ps
#define vec_fma _mm256_fmadd_ps

static inline float vec_sum(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

#include "tensor/cpu/simd_body.h"
