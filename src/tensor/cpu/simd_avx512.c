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

/* ---- bytes, four to a lane (simd_stored.h) ---- */

typedef int32_t ivec __attribute__((vector_size(64)));
#define BYTES_UNSIGNED 1
#define HAS_PAIRS 0

/* 16 bytes of rows 0, 4, 8 and 12 */
static inline __m512i ivec_quarter(const uint8_t *from, int64_t stride)
{
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)from));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(from + 4 * stride)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(from + 8 * stride)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(from + 12 * stride)), 3);
}

/* to[k]: dword k of 16 bytes, of each of 16 rows */
static inline void ivec_columns(ivec *to, const uint8_t *from, int64_t stride)
{
    __m512i r0 = ivec_quarter(from, stride), r1 = ivec_quarter(from + stride, stride);
    __m512i r2 = ivec_quarter(from + 2 * stride, stride);
    __m512i r3 = ivec_quarter(from + 3 * stride, stride);
    __m512i a = _mm512_unpacklo_epi32(r0, r1), b = _mm512_unpackhi_epi32(r0, r1);
    __m512i c = _mm512_unpacklo_epi32(r2, r3), d = _mm512_unpackhi_epi32(r2, r3);
    to[0] = (ivec)_mm512_unpacklo_epi64(a, c);
    to[1] = (ivec)_mm512_unpackhi_epi64(a, c);
    to[2] = (ivec)_mm512_unpacklo_epi64(b, d);
    to[3] = (ivec)_mm512_unpackhi_epi64(b, d);
}

/* sum + the four products of code (unsigned) and x (signed) in each lane */
static inline ivec ivec_dot(ivec sum, ivec code, ivec x)
{
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)code, (__m512i)x);
}

/* the half float in the low bits of each lane */
static inline __m512 vec_halves(ivec v)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)v));
}

#include "tensor/cpu/simd_body.h"
