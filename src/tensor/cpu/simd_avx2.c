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

/* ---- bytes, four to a lane (simd_stored.h) ---- */

typedef int32_t ivec __attribute__((vector_size(32)));
#define BYTES_UNSIGNED 0
#define HAS_PAIRS 1

/* 16 bytes of rows 0 and 4 */
static inline __m256i ivec_half(const uint8_t *from, int64_t stride)
{
    __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)from));
    return _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(from + 4 * stride)), 1);
}

/* to[k]: dword k of 16 bytes, of each of 8 rows */
static inline void ivec_columns(ivec *to, const uint8_t *from, int64_t stride)
{
    __m256i r0 = ivec_half(from, stride), r1 = ivec_half(from + stride, stride);
    __m256i r2 = ivec_half(from + 2 * stride, stride), r3 = ivec_half(from + 3 * stride, stride);
    __m256i a = _mm256_unpacklo_epi32(r0, r1), b = _mm256_unpackhi_epi32(r0, r1);
    __m256i c = _mm256_unpacklo_epi32(r2, r3), d = _mm256_unpackhi_epi32(r2, r3);
    to[0] = (ivec)_mm256_unpacklo_epi64(a, c);
    to[1] = (ivec)_mm256_unpackhi_epi64(a, c);
    to[2] = (ivec)_mm256_unpacklo_epi64(b, d);
    to[3] = (ivec)_mm256_unpackhi_epi64(b, d);
}

/* sum + the four products of code and x in each lane; |code| <= 128, |x| <= 127, so that pairs of
   products stay within 16 bits */
static inline ivec ivec_dot(ivec sum, ivec code, ivec x)
{
    __m256i size = _mm256_abs_epi8((__m256i)code);
    __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8((__m256i)x, (__m256i)code));
    return sum + (ivec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The same for code of 0 .. 127, summed in pairs; the caller knows that they fit. */
typedef int16_t pairs __attribute__((vector_size(32)));

static inline pairs pairs_dot(pairs sum, ivec code, ivec x)
{
    return sum + (pairs)_mm256_maddubs_epi16((__m256i)code, (__m256i)x);
}

static inline ivec pairs_widen(pairs sum)
{
    return (ivec)_mm256_madd_epi16((__m256i)sum, _mm256_set1_epi16(1));
}

/* the half float in the low bits of each lane */
static inline __m256 vec_halves(ivec v)
{
    __m256i low = _mm256_and_si256((__m256i)v, _mm256_set1_epi32(0xffff));
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

#include "tensor/cpu/simd_body.h"
