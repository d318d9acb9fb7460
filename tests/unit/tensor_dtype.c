/*
 * Number types of weights. Blocks: bytes by a formula (block_bytes), d = 0.5 and m or dmin = -0.75
 * put in; expected: 4 times what the package gguf reads from them (whole numbers), and for the
 * other direction what it rounds the same input to. Made by tests/golden/make_dtype.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "tensor/dtype.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int16_t q8_0[32] = {-202, -58,  114,  -198, 30,   -226, 116, -84, -256, 112, -4,
                                 -92,  -152, -184, -130, -106, -54,  26,  134, -242, -78, 114,
                                 -120, 128,  -108, 196,  16,   -136, 252, 156, 146,  106};
static const int16_t q4_0[32] = {-16, 0,   12, -12, -8,  -8,  14,  6,  -6, 10, -10,
                                 -2,  2,   2,  -8,  -16, 10,  -14, -4, 10, -8, 8,
                                 -4,  -16, 6,  -4,  -10, -16, 12,  10, 14, -16};
static const int16_t q4_1[32] = {3,  11, 15, 15, 5,  -3, 17, 1,  13, 21, 25, 25, 15, 7, 27, 11,
                                 17, -3, 11, 27, 17, 5,  25, 17, 9,  3,  -1, -3, 1,  3, 5,  11};
static const int16_t q5_0[32] = {-4,  28,  -14, 10,  30, 14,  -6,  -30, -26, 6,  -4,
                                 -12, -24, -8,  -28, 12, -12, -28, -6,  14,  2,  -6,
                                 18,  14,  -22, -24, 10, 12,  16,  20,  -4,  -28};
static const int16_t q5_1[32] = {57, 17, 37, 53, 1,  9,  13, 13, 35, 27, 15, -1, 43, 51, 55, 23,
                                 29, 49, 7,  -3, 23, 49, 45, 43, 47, 47, 19, 25, -1, 39, 49, -3};
static const int16_t q4_k[256] = {
    41,   25,   65,   33,   57,  9,    17,   17,   61,   45,   21,   53,  13,  29,   37,   37,
    17,   65,   41,   9,    33,  49,   57,   57,   37,   21,   61,   29,  53,  69,   13,   13,
    1005, 1081, 1157, 169,  397, 777,  1157, 397,  1005, 397,  1081, 549, 169, 1005, 701,  473,
    473,  321,  321,  397,  473, 625,  853,  1157, 473,  929,  169,  777, 169, 853,  473,  93,
    603,  411,  123,  507,  27,  219,  315,  315,  75,   651,  363,  747, 267, 459,  555,  555,
    315,  123,  603,  219,  507, 699,  27,   27,   555,  363,  75,   459, 747, 171,  267,  267,
    627,  483,  387,  291,  291, 291,  339,  435,  675,  51,   291,  531, 99,  435,  51,   483,
    291,  51,   579,  435,  291, 195,  195,  195,  291,  387,  531,  675, 99,  387,  675,  243,
    48,   600,  324,  692,  232, 416,  508,  508,  278,  94,   554,  186, 462, 646,  738,  738,
    508,  324,  48,   416,  692, 140,  232,  232,  738,  554,  278,  646, 186, 370,  462,  462,
    1473, 785,  269,  1129, 785, 441,  183,  1387, 1473, 1473, 1473, 269, 441, 699,  1043, 1473,
    785,  1387, 699,  1387, 785, 355,  1301, 957,  785,  613,  527,  441, 527, 613,  785,  1043,
    233,  129,  389,  181,  337, 441,  493,  493,  363,  259,  519,  311, 467, 155,  207,  207,
    493,  389,  233,  441,  181, 285,  337,  337,  207,  519,  363,  155, 311, 415,  467,  467,
    78,   528,  978,  168,  798, 78,   888,  348,  78,   1158, 798,  618, 438, 438,  438,  528,
    798,  1068, 1428, 348,  888, 1428, 618,  1338, 888,  258,  1248, 888, 528, 258,  78,   1428};
static const int16_t q5_k[256] = {
    2038, 3358, 2698, 3578, 2478, 2918, 3138, 3138, 828,  388,  1488, 608,  1268, 1708, 168,  168,
    3138, 2698, 2038, 2918, 3578, 2258, 2478, 2478, 168,  1488, 828,  1708, 608,  1048, 1268, 1268,
    114,  762,  1518, 1410, 546,  546,  1464, 1572, 978,  1194, 546,  870,  1194, 1572, 330,  816,
    1410, 1140, 60,   708,  1410, 1356, 438,  438,  600,  654,  1680, 978,  384,  654,  978,  1356,
    732,  212,  472,  264,  420,  940,  992,  992,  446,  758,  186,  394,  966,  238,  706,  706,
    992,  472,  732,  940,  264,  784,  420,  420,  706,  186,  446,  238,  394,  914,  966,  966,
    630,  864,  266,  968,  422,  318,  240,  188,  214,  630,  656,  266,  318,  838,  942,  656,
    422,  188,  812,  188,  864,  708,  162,  474,  864,  812,  344,  760,  344,  370,  422,  500,
    1457, 337,  897,  449,  785,  113,  1121, 1121, 841,  1513, 281,  729,  169,  1289, 1401, 505,
    225,  1793, 561,  1009, 449,  673,  785,  785,  505,  281,  1737, 393,  1625, 57,   169,  1065,
    1827, 771,  2787, 387,  1059, 387,  1251, 2211, 291,  2979, 1155, 2403, 771,  2211, 2211, 771,
    1155, 2883, 1731, 2211, 1155, 1731, 2403, 1635, 1155, 2115, 3,    1155, 771,  2115, 387,  1827,
    1185, 465,  249,  1113, 177,  897,  393,  969,  213,  1221, 429,  141,  933,  1077, 573,  573,
    393,  825,  1185, 897,  537,  681,  753,  177,  573,  1005, 789,  1077, 717,  861,  357,  357,
    2090, 590,  790,  990,  2990, 1790, 690,  1290, 590,  1290, 590,  3190, 990,  2090, 1690, 2990,
    2990, 1290, 1190, 1290, 2990, 3190, 1990, 790,  2990, 1990, 1090, 1790, 1090, 1990, 2990, 890};
static const int16_t q6_k[256] = {
    -1536, -1792, 896,   384,   -1280, -2048, 128,   128,   -192,  -448,  1216,  1728,  -960,
    -704,  1472,  1472,  -208,  -1456, 2496,  3328,  -624,  -1040, 2080,  2080,  -2392, -1976,
    312,   1144,  -2808, -3224, 1560,  1560,  -2928, 1952,  -4392, 1464,  -3904, 6832,  6344,
    6344,  -4148, -3172, 6100,  -3660, 6588,  1708,  1220,  1220,  -4056, 2808,  1872,  -4368,
    -936,  2184,  2496,  2496,  -780,  -3900, 2652,  -1092, 2340,  2964,  -4212, -4212, 1872,
    936,   -1152, 360,   1872,  72,    -576,  -1152, 1872,  -864,  -1224, 1872,  -1800, -864,
    1296,  72,    -464,  -464,  80,    -128,  -336,  -272,  -192,  416,   -464,  -336,  -464,
    208,   -400,  288,   -272,  -64,   -324,  264,   72,    -120,  -336,  24,    -204,  132,
    -336,  -12,   96,    -372,  -288,  -12,   60,    120,   -48,   -12,   -168,  -348,  240,
    48,    -168,  -192,  -48,   288,   -156,  360,   -288,  192,   96,    372,   -2368, -1480,
    444,   1036,  -2072, -1776, 740,   740,   -814,  -1110, 1998,  1406,  -518,  -222,  2294,
    2294,  1300,  780,   -4160, -3120, 1820,  260,   -3640, -3640, 4030,  3510,  -1430, -390,
    2470,  2990,  -910,  -910,  4280,  0,     -4708, 428,   -5136, -856,  -428,  -428,  -4922,
    4494,  -214,  4922,  -642,  214,   642,   642,   372,   4092,  -3720, 744,   -372,  -4092,
    4464,  4464,  -558,  186,   4278,  -186,  -4278, 3906,  558,   558,   874,   -1058, -874,
    -1426, 138,   -1242, -460,  -460,  138,   -690,  690,   1242,  322,   -644,  1288,  -1242,
    -1342, 1708,  2928,  244,   -366,  -732,  2806,  -1342, -1342, -1342, 732,   2806,  -732,
    -366,  -1830, 732,   3492,  -4074, -5432, -4074, 3492,  4656,  2522,  -2910, 3492,  776,
    -5044, 1164,  -5044, 776,   3492,  -194,  180,   -150,  -930,  -750,  -510,  -750,  -960,
    -180,  210,   540,   -510,  -90,   810,   -180,  780,   -150};
static const uint8_t to_q8_0[102] = {
    77,  34,  154, 246, 83,  176, 13,  106, 199, 36,  129, 222, 59,  152, 245, 81,  175,
    12,  104, 198, 34,  127, 221, 57,  151, 243, 80,  174, 10,  103, 196, 33,  126, 219,
    44,  34,  57,  147, 242, 81,  170, 9,   104, 194, 33,  127, 217, 56,  146, 241, 79,
    169, 8,   102, 193, 31,  126, 216, 54,  145, 239, 78,  168, 6,   102, 191, 30,  124,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0};
static const uint8_t to_q4_0[54] = {
    64, 50,  242, 71,  173, 243, 105, 207, 20,  122, 208, 54,  156, 225, 71,  173, 243, 105,
    32, 178, 132, 47,  201, 99,  13,  183, 81,  252, 150, 48,  234, 132, 47,  201, 99,  13,
    0,  128, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136, 136};

static const struct block {
    enum dtype type;
    int bytes, d, m; /* where d and m (-1: none) are */
    const int16_t *four_times;
    int count;
} blocks[] = {
    {DTYPE_Q8_0, 34, 0, -1, q8_0, 32},  {DTYPE_Q4_0, 18, 0, -1, q4_0, 32},
    {DTYPE_Q4_1, 20, 0, 2, q4_1, 32},   {DTYPE_Q5_0, 22, 0, -1, q5_0, 32},
    {DTYPE_Q5_1, 24, 0, 2, q5_1, 32},   {DTYPE_Q4_K, 144, 0, 2, q4_k, 256},
    {DTYPE_Q5_K, 176, 0, 2, q5_k, 256}, {DTYPE_Q6_K, 210, 208, -1, q6_k, 256},
};
#define BLOCKS (sizeof blocks / sizeof *blocks)

static void block_bytes(uint8_t *bytes, int seed, const struct block *b)
{
    for (int i = 0; i < b->bytes; i++)
        bytes[i] = (uint8_t)(i * i * 7 + i * 37 + seed * 53 + (i >> 3) * 29);
    memcpy(bytes + b->d, "\x00\x38", 2);
    if (b->m >= 0)
        memcpy(bytes + b->m, "\x00\xba", 2);
}

static void test_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        const struct block *b = &blocks[i];
        uint8_t bytes[256];
        float values[256];
        block_bytes(bytes, (int)i + 1, b);
        assert_int_equal(dtype_block(b->type), b->count);
        assert_int_equal(dtype_bytes(b->type, b->count), b->bytes);
        dtype_to_float(values, b->type, bytes, b->count);
        for (int k = 0; k < b->count; k++)
            if (4 * values[k] != (float)b->four_times[k])
                fail_msg("%s[%d] is %g, not %g", dtype_name(b->type), k, (double)values[k],
                         b->four_times[k] / 4.0);
    }
}

/* Many blocks at an odd address are what each of them is alone. */
static void test_rows(void **state)
{
    (void)state;
    enum { ROW = 7 };
    struct random r;
    random_seed(&r, 3);
    for (size_t i = 0; i < BLOCKS; i++) {
        const struct block *b = &blocks[i];
        uint8_t *row = malloc((size_t)(ROW * b->bytes + 1));
        float *values = malloc(sizeof *values * (size_t)(ROW * b->count)), alone[256];
        for (int k = 0; k < ROW * b->bytes; k++)
            row[1 + k] = (uint8_t)random_next(&r);
        for (int k = 0; k < ROW; k++) { /* neither NaN nor infinity */
            row[1 + k * b->bytes + b->d + 1] &= 0xbb;
            if (b->m >= 0)
                row[1 + k * b->bytes + b->m + 1] &= 0xbb;
        }
        dtype_to_float(values, b->type, row + 1, ROW * b->count);
        for (int k = 0; k < ROW; k++) {
            dtype_to_float(alone, b->type, row + 1 + k * b->bytes, b->count);
            assert_memory_equal(alone, values + k * b->count, sizeof *alone * (size_t)b->count);
        }
        free(values);
        free(row);
    }
}

static void test_rounded_blocks(void **state)
{
    (void)state;
    float input[96] = {0};
    uint8_t q8[102], q4[54];
    for (int i = 0; i < 64; i++)
        input[i] = (float)((i * 73 + 19) % 201 - 100) / 64 + (i % 5 == 0 ? 0.0078125f : 0);
    dtype_from_float(q8, DTYPE_Q8_0, input, 96);
    dtype_from_float(q4, DTYPE_Q4_0, input, 96);
    assert_memory_equal(q8, to_q8_0, sizeof q8);
    assert_memory_equal(q4, to_q4_0, sizeof q4);
}

static float half_value(unsigned h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent == 31 ? (mantissa ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                              : ldexp(mantissa, -24);
    return (float)(h & 0x8000 ? -x : x);
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* Every half; and between neighbours: the nearer one, the even one in the middle. */
static void test_f16(void **state)
{
    (void)state;
    static uint16_t halves[65536];
    static float values[65536];
    uint16_t back;
    for (int i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    dtype_to_float(values, DTYPE_F16, halves, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        assert_true(same(values[i], half_value(i)));
        dtype_from_float(&back, DTYPE_F16, &values[i], 1);
        assert_true(isnan(values[i]) ? (back & 0x7fff) > 0x7c00 : back == i);
    }
    for (unsigned i = 0; i < 0x7c00; i++) {
        double next = i == 0x7bff ? 65536 : (double)values[i + 1];
        float middle = (float)(((double)values[i] + next) / 2);
        const float in[3] = {nextafterf(middle, 0), middle, nextafterf(middle, INFINITY)};
        uint16_t out[3];
        dtype_from_float(out, DTYPE_F16, in, 3);
        assert_true(out[0] == i && out[1] == i + (i & 1) && out[2] == i + 1);
    }
}

static void test_bf16(void **state)
{
    (void)state;
    static const uint32_t in[] = {0x3f800000, 0x3f808000, 0x3f808001, 0x3f818000, 0x7f7fffff,
                                  0x80000000, 0x00008001, 0xff800000, 0x7f800001};
    static const uint16_t wanted[] = {0x3f80, 0x3f80, 0x3f81, 0x3f82, 0x7f80,
                                      0x8000, 0x0001, 0xff80, 0x7fc0};
    float values[9], out[9];
    uint16_t words[9];
    memcpy(values, in, sizeof in);
    dtype_from_float(words, DTYPE_BF16, values, 9);
    assert_memory_equal(words, wanted, sizeof wanted);
    dtype_to_float(out, DTYPE_BF16, words, 9);
    for (int i = 0; i < 9; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        assert_int_equal(bits, (uint32_t)wanted[i] << 16);
    }
}

static void test_names(void **state)
{
    (void)state;
    enum dtype type;
    for (int i = 0; i < DTYPE_OTHER; i++) {
        assert_true(dtype_from_name(&type, dtype_name((enum dtype)i)));
        assert_int_equal(type, i);
    }
    assert_true(dtype_from_name(&type, "q4_k") && type == DTYPE_Q4_K);
    assert_false(dtype_from_name(&type, "other") || dtype_from_name(&type, "F8"));
    assert_string_equal(dtype_name(DTYPE_OTHER), "other");
    assert_true(dtype_bytes(DTYPE_F32, (int64_t)1 << 60) == (int64_t)1 << 62);
    assert_true(dtype_bytes(DTYPE_Q6_K, 512) == 420);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),         cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rounded_blocks), cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bf16),           cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
