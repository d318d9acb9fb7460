/* Stored number types: block by block, in plain C. Layouts are in dtype.h. */
#include "tensor/dtype.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int block, bytes;
} types[] = {
    [DTYPE_F32] = {"F32", 1, 4},       [DTYPE_F16] = {"F16", 1, 2},
    [DTYPE_BF16] = {"BF16", 1, 2},     [DTYPE_Q8_0] = {"Q8_0", 32, 34},
    [DTYPE_Q4_0] = {"Q4_0", 32, 18},   [DTYPE_Q4_1] = {"Q4_1", 32, 20},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22},   [DTYPE_Q5_1] = {"Q5_1", 32, 24},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144}, [DTYPE_Q5_K] = {"Q5_K", 256, 176},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210}, [DTYPE_OTHER] = {"other", 1, 1},
};

const char *dtype_name(enum dtype type)
{
    return types[type].name;
}

bool dtype_from_name(enum dtype *type, const char *name)
{
    for (int i = 0; i < DTYPE_OTHER; i++)
        if (strcasecmp(name, types[i].name) == 0) {
            *type = (enum dtype)i;
            return true;
        }
    return false;
}

int64_t dtype_block(enum dtype type)
{
    return types[type].block;
}

int64_t dtype_bytes(enum dtype type, int64_t count)
{
    assert(count % types[type].block == 0);
    return count / types[type].block * types[type].bytes;
}

/* ---- 16-bit floats ------------------------------------------------------------------------- */

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent)
        return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float x = (float)mantissa * 0x1p-24f;
    return sign ? -x : x;
}

static uint16_t float_to_half(float x)
{
    uint16_t sign = (uint16_t)(to_bits(x) >> 16 & 0x8000);
    float a = fabsf(x);
    if (isnan(a))
        return sign | 0x7e00;
    if (a >= 65520.0f)
        return sign | 0x7c00;
    if (a < 0x1p-14f)
        return sign | (uint16_t)lrintf(a * 0x1p24f);
    uint32_t bits = to_bits(a);
    bits += 0xfff + (bits >> 13 & 1);
    return sign | (uint16_t)((bits >> 13) - (112 << 10));
}

static uint16_t float_to_bf16(float x)
{
    uint32_t bits = to_bits(x);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- blocks of 32 -------------------------------------------------------------------------- */

static void q8_0(float *out, const uint8_t *b)
{
    float d = half_to_float(load16(b));
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)b[2 + i];
}

static void q4_0(float *out, const uint8_t *b)
{
    float d = half_to_float(load16(b));
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((b[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void q4_1(float *out, const uint8_t *b)
{
    float d = half_to_float(load16(b)), m = half_to_float(load16(b + 2));
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(b[4 + i] & 15) + m;
        out[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

/* high: 32 bits, bit i is the fifth of number i. */
static void q5(float *out, const uint8_t *high, const uint8_t *low, float d, int offset, float m)
{
    for (int i = 0; i < 32; i++) {
        int q = (low[i % 16] >> 4 * (i / 16) & 15) | (high[i / 8] >> i % 8 & 1) << 4;
        out[i] = d * (float)(q - offset) + m;
    }
}

static void q5_0(float *out, const uint8_t *b)
{
    q5(out, b + 2, b + 6, half_to_float(load16(b)), 16, 0);
}

static void q5_1(float *out, const uint8_t *b)
{
    q5(out, b + 4, b + 8, half_to_float(load16(b)), 0, half_to_float(load16(b + 2)));
}

/* ---- blocks of 256 ------------------------------------------------------------------------- */

/* Scale and minimum j of 8, 6 bits each, of the 12 bytes s. */
static void scale_min(int j, const uint8_t *s, int *scale, int *minimum)
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
static void q45_k(float *out, const uint8_t *b, const uint8_t *high, const uint8_t *low)
{
    float d = half_to_float(load16(b)), dmin = half_to_float(load16(b + 2));
    for (int j = 0; j < 8; j++) {
        int scale, minimum;
        scale_min(j, b + 4, &scale, &minimum);
        float a = d * (float)scale, m = dmin * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = low[j / 2 * 32 + i] >> 4 * (j % 2) & 15;
            q |= high ? (high[i] >> j & 1) << 4 : 0;
            out[j * 32 + i] = a * (float)q - m;
        }
    }
}

static void q4_k(float *out, const uint8_t *b)
{
    q45_k(out, b, NULL, b + 16);
}

static void q5_k(float *out, const uint8_t *b)
{
    q45_k(out, b, b + 16, b + 48);
}

static void q6_k(float *out, const uint8_t *b)
{
    const uint8_t *scales = b + 192;
    float d = half_to_float(load16(b + 208));
    for (int half = 0; half < 2; half++) {
        const uint8_t *low = b + 64 * half, *high = b + 128 + 32 * half;
        for (int i = 0; i < 128; i++) {
            int group = i / 32, j = i % 32;
            int q = low[group % 2 * 32 + j] >> 4 * (group / 2) & 15;
            q |= (high[j] >> 2 * group & 3) << 4;
            int scale = (int8_t)scales[8 * half + i / 16];
            out[128 * half + i] = d * (float)scale * (float)(q - 32);
        }
    }
}

static void (*const decoders[])(float *, const uint8_t *) = {
    [DTYPE_Q8_0] = q8_0, [DTYPE_Q4_0] = q4_0, [DTYPE_Q4_1] = q4_1, [DTYPE_Q5_0] = q5_0,
    [DTYPE_Q5_1] = q5_1, [DTYPE_Q4_K] = q4_k, [DTYPE_Q5_K] = q5_k, [DTYPE_Q6_K] = q6_k,
};

void dtype_to_float(float *out, enum dtype type, const void *from, int64_t count)
{
    const uint8_t *bytes = from;
    assert(type < DTYPE_OTHER);
    if (type == DTYPE_F32)
        memcpy(out, from, sizeof *out * (size_t)count);
    else if (type == DTYPE_F16)
        for (int64_t i = 0; i < count; i++)
            out[i] = half_to_float(load16(bytes + 2 * i));
    else if (type == DTYPE_BF16)
        for (int64_t i = 0; i < count; i++)
            out[i] = from_bits((uint32_t)load16(bytes + 2 * i) << 16);
    else
        for (int64_t i = 0; i < count / types[type].block; i++)
            decoders[type](out + i * types[type].block, bytes + i * types[type].bytes);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void to_q8_0(uint8_t *b, const float *x)
{
    float most = 0;
    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    float d = most / 127, inverse = d != 0 ? 1 / d : 0;
    store16(b, float_to_half(d));
    for (int i = 0; i < 32; i++)
        b[2 + i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
}

/* The number of largest magnitude becomes -8 times d, whatever its sign. */
static void to_q4_0(uint8_t *b, const float *x)
{
    float most = 0;
    for (int i = 0; i < 32; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    float d = most / -8, inverse = d != 0 ? 1 / d : 0;
    store16(b, float_to_half(d));
    for (int i = 0; i < 16; i++) {
        int low = (int)(x[i] * inverse + 8.5f), high = (int)(x[i + 16] * inverse + 8.5f);
        b[2 + i] = (uint8_t)((low < 15 ? low : 15) | (high < 15 ? high : 15) << 4);
    }
}

void dtype_from_float(void *out, enum dtype type, const float *from, int64_t count)
{
    uint8_t *bytes = out;
    if (type == DTYPE_F32)
        memcpy(out, from, sizeof *from * (size_t)count);
    else if (type == DTYPE_F16)
        for (int64_t i = 0; i < count; i++)
            store16(bytes + 2 * i, float_to_half(from[i]));
    else if (type == DTYPE_BF16)
        for (int64_t i = 0; i < count; i++)
            store16(bytes + 2 * i, float_to_bf16(from[i]));
    else {
        assert(type == DTYPE_Q8_0 || type == DTYPE_Q4_0);
        for (int64_t i = 0; i < count / 32; i++)
            (type == DTYPE_Q8_0 ? to_q8_0 : to_q4_0)(bytes + i * types[type].bytes, from + 32 * i);
    }
}
