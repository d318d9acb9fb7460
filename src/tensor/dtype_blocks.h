/*
 * Blocks of stored types (dtype.h) to float32: the loops themselves, in a header because dtype.c
 * compiles them for any machine and tensor/cpu for each instruction set.
 */
#ifndef TENSOR_DTYPE_BLOCKS_H
#define TENSOR_DTYPE_BLOCKS_H

#include <stdint.h>
#include <string.h>

static inline float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Without branches: the exponent is set right by a product, which is exact for subnormals too. */
static inline float half_to_float(uint16_t h)
{
    uint32_t rest = (uint32_t)(h & 0x7fff) << 13;
    uint32_t bits = to_bits(from_bits(rest) * 0x1p112f);
    bits |= rest >= 0x0f800000 ? 0x7f800000u : 0;
    return from_bits(bits | (uint32_t)(h & 0x8000) << 16);
}

/* ---- blocks of 32 -------------------------------------------------------------------------- */

static inline void q8_0(float *out, const uint8_t *b)
{
    float d = half_to_float(load16(b));
#pragma omp simd
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)b[2 + i];
}

/* d (q - offset) + m, the low nibbles of 16 bytes first; high: bit i is the fifth of number i. */
static inline void nibbles(float *out, const uint8_t *low, uint32_t high, float d, int offset,
                           float m)
{
#pragma omp simd
    for (int i = 0; i < 16; i++)
        out[i] = d * (float)((int)((low[i] & 15) | (high >> i & 1) << 4) - offset) + m;
#pragma omp simd
    for (int i = 0; i < 16; i++)
        out[i + 16] = d * (float)((int)(low[i] >> 4 | (high >> (i + 16) & 1) << 4) - offset) + m;
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void q4_0(float *out, const uint8_t *b)
{
    nibbles(out, b + 2, 0, half_to_float(load16(b)), 8, 0);
}

static inline void q4_1(float *out, const uint8_t *b)
{
    nibbles(out, b + 4, 0, half_to_float(load16(b)), 0, half_to_float(load16(b + 2)));
}

static inline void q5_0(float *out, const uint8_t *b)
{
    nibbles(out, b + 6, load32(b + 2), half_to_float(load16(b)), 16, 0);
}

static inline void q5_1(float *out, const uint8_t *b)
{
    nibbles(out, b + 8, load32(b + 4), half_to_float(load16(b)), 0, half_to_float(load16(b + 2)));
}

/* ---- blocks of 256 ------------------------------------------------------------------------- */

/* Scale and minimum j of 8, 6 bits each, of the 12 bytes s. */
static inline void scale_min(int j, const uint8_t *s, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *minimum = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* Groups of 32; groups 2 g and 2 g + 1 are the low and high nibbles of the same 32 bytes. high:
   NULL, or 32 bytes whose bit j belongs to group j. */
static inline void q45_k(float *out, const uint8_t *b, const uint8_t *high, const uint8_t *low)
{
    float d = half_to_float(load16(b)), dmin = half_to_float(load16(b + 2));
    for (int j = 0; j < 8; j++) {
        int scale, minimum;
        scale_min(j, b + 4, &scale, &minimum);
        float a = d * (float)scale, m = dmin * (float)minimum;
        int shift = 4 * (j % 2);
        const uint8_t *nibble = low + j / 2 * 32;
#pragma omp simd
        for (int i = 0; i < 32; i++) {
            int fifth = high ? high[i] >> j & 1 : 0;
            out[j * 32 + i] = a * (float)((nibble[i] >> shift & 15) | fifth << 4) - m;
        }
    }
}

static inline void q4_k(float *out, const uint8_t *b)
{
    q45_k(out, b, NULL, b + 16);
}

static inline void q5_k(float *out, const uint8_t *b)
{
    q45_k(out, b, b + 16, b + 48);
}

static inline void q6_k(float *out, const uint8_t *b)
{
    const uint8_t *scales = b + 192;
    float d = half_to_float(load16(b + 208));
    for (int half = 0; half < 2; half++) {
        for (int part = 0; part < 8; part++) { /* 16 numbers each */
            const uint8_t *low = b + 64 * half + 16 * (part % 4);
            const uint8_t *high = b + 128 + 32 * half + 16 * (part % 2);
            float a = d * (float)(int8_t)scales[8 * half + part];
            int low_shift = 4 * (part / 4), high_shift = 2 * (part / 2);
#pragma omp simd
            for (int i = 0; i < 16; i++) {
                int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                out[128 * half + 16 * part + i] = a * (float)(q - 32);
            }
        }
    }
}

#endif
