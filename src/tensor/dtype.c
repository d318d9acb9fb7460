/* Stored number types: block by block, in plain C. Layouts are in dtype.h. */
#include "tensor/dtype.h"
#include "tensor/dtype_blocks.h"

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

static void store16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
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
    uint32_t bits = to_bits(x), nearest = bits + 0x7fff + (bits >> 16 & 1);
    return (uint16_t)((isnan(x) ? bits | 0x400000 : nearest) >> 16);
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
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            store16(bytes + 2 * i, float_to_bf16(from[i]));
    else {
        assert(type == DTYPE_Q8_0 || type == DTYPE_Q4_0);
        for (int64_t i = 0; i < count / 32; i++)
            (type == DTYPE_Q8_0 ? to_q8_0 : to_q4_0)(bytes + i * types[type].bytes, from + 32 * i);
    }
}
