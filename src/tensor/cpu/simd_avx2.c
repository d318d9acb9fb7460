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
#define vec_fma _mm256_fmadd_ps
#include "tensor/cpu/simd_body.h"
