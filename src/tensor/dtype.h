/*
 * Number types that weights are stored in. Plain ones (F32, F16, BF16), and the block types of GGUF
 * files (ggml): `block` neighbours of a row share scales, so a row's width must be a multiple.
 *
 *     Q8_0   32 numbers  34 bytes   f16 d, 32 int8 q                     x = d q
 *     Q4_0   32          18         f16 d, 16 bytes of nibbles           x = d (q - 8)
 *     Q4_1   32          20         f16 d, f16 m, nibbles                x = d q + m
 *     Q5_0   32          22         f16 d, 4 bytes high bits, nibbles    x = d (q - 16)
 *     Q5_1   32          24         f16 d, f16 m, high bits, nibbles     x = d q + m
 *     Q4_K  256         144         f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, nibbles
 *     Q5_K  256         176         as Q4_K, with 32 bytes of high bits before the nibbles
 *     Q6_K  256         210         128 bytes low 4 bits, 64 bytes high 2, 16 int8 scales, f16 d
 *
 * In the 32-blocks the low nibble of byte j is number j, the high nibble number j + 16.
 * Little-endian, any alignment.
 */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_OTHER, /* known to some format, cannot be read as numbers here (I64, BOOL, F8, ...) */
};

const char *dtype_name(enum dtype type);                  /* "F32" "Q4_K"; DTYPE_OTHER: "other" */
bool dtype_from_name(enum dtype *type, const char *name); /* as dtype_name, any case */
int64_t dtype_block(enum dtype type);                     /* numbers in a block: 1, 32 or 256 */
/* Of `count` numbers, a multiple of the block. Cannot overflow for count <= 2^60. */
int64_t dtype_bytes(enum dtype type, int64_t count);

/* count numbers (whole blocks) to float32; exact but for the products d q of the block types. */
void dtype_to_float(float *out, enum dtype type, const void *from, int64_t count);
/* To F32, F16, BF16 (nearest, ties to even), Q8_0 or Q4_0 (d from the number of largest magnitude,
   as ggml rounds). count: whole blocks. */
void dtype_from_float(void *out, enum dtype type, const float *from, int64_t count);

#endif
