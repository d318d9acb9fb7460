/*
 * 10,000 strings for tokenizers, made from numbers: several scripts, composed and not, emoji,
 * digits, white space of every kind, control characters, code, names of special tokens, very long
 * words and bytes that are not UTF-8. tests/golden/make_tokenizers.py makes the same, step by step;
 * only hashes of the ids are committed. What is no UTF-8 is replaced as normalize_utf8 does.
 */
#ifndef TESTS_TOKENIZER_STRINGS_H
#define TESTS_TOKENIZER_STRINGS_H

#include "base/strbuf.h"
#include "text/normalize.h"
#include "text/tokenizer.h"

#include <stdint.h>
#include <stdio.h>

#define STRING_COUNT 10000
#define STRINGS_PER_HASH 100

static const int32_t ranges[][2] = {
    {0x20, 0x7e},       {0x61, 0x7a},       {0x41, 0x5a},     {0xa0, 0xff},
    {0x100, 0x17f},     {0x370, 0x373},     {0x391, 0x3a1},   {0x3b1, 0x3c9},
    {0x410, 0x44f},     {0x5d0, 0x5ea},     {0x627, 0x63a},   {0x641, 0x652},
    {0x905, 0x939},     {0x93e, 0x94d},     {0x958, 0x95f},   {0xe01, 0xe30},
    {0xe31, 0xe3a},     {0x1100, 0x1112},   {0x1161, 0x1175}, {0x11a8, 0x11c2},
    {0x1e00, 0x1e9b},   {0x3041, 0x3096},   {0x30a1, 0x30fa}, {0x4e00, 0x4eff},
    {0x4e00, 0x9fa5},   {0xac00, 0xd7a3},   {0xf900, 0xfa2d}, {0x1d15e, 0x1d164},
    {0x20000, 0x20100}, {0x1f600, 0x1f64f}, {0x2190, 0x21ff}, {0x2580, 0x259f},
    {0xff01, 0xff5e},   {0x212a, 0x212b},   {0xe000, 0xe010}, {0x10fffc, 0x10ffff},
    {0x17f, 0x17f},     {0x2126, 0x2126},   {0xfffd, 0xfffd},
};

static const int32_t spaces[] = {0x20,   0x20,   0x20,   0x20,   0x20,   0x20,   0x20,
                                 0x09,   0x0a,   0x0d,   0x0b,   0x0c,   0x85,   0xa0,
                                 0x1680, 0x180e, 0x2000, 0x2003, 0x200b, 0x2028, 0x2029,
                                 0x202f, 0x205f, 0x3000, 0xfeff, 0x2581};

static const int32_t digits[] = {0x30, 0x30, 0x660, 0x966, 0xff10, 0xb2, 0xbc, 0x2160, 0x2460};

static const char *const words[] = {
    "the",
    "The",
    "and",
    "of",
    "transcribe",
    "speech",
    "to",
    "text",
    "bin",
    "blue",
    "at",
    "f",
    "two",
    "now",
    "it's",
    "IT'S",
    "they'll",
    "DON'T",
    "we've",
    "I'm",
    "he'd",
    "you're",
    "'s",
    "'LL",
    "'\xc5\xbf",
    "internationalization",
    "Z\xc3\xbcrich",
    "na\xc3\xafve",
    "a_b",
    "x+=1;",
    "for(int i=0;i<n;++i){",
    "}\n",
    "return\t",
    "\r\n",
    "//",
    "/*",
    "*/",
    "<html>",
    "https://",
    "e.g.",
    "...",
    "!!",
    "?!",
    "--",
    "1,000.50",
    "2024-11-23",
    "0x1F",
    "3.14",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<audio>",
    "</audio>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|eot_id|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|notimestamps|>",
    "<|",
    "|>",
    "<0x0A>",
    "<0xE2>",
    "<tool_call>",
    "[INST]",
    "[one]",
    "[two]",
    "[three]",
    "[four]",
    "\xe2\x96\x81the",
    "\xe2\x96\x81",
    "\xc4\xa0the",
};

static const int32_t bytes[] = {0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0x96, 0x81, 0xed, 0xa0,
                                0xf0, 0x9f, 0x98, 0xf4, 0x90, 0xf8, 0xfe, 0xff, 0x41};

struct maker {
    uint64_t state;
    struct strbuf text;
};

static uint32_t draw(struct maker *m, uint32_t limit)
{
    m->state = m->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->state >> 33) % limit;
}

#define DRAW_FROM(m, list) list[draw(m, sizeof list / sizeof *list)]

static void put(struct maker *m, int32_t code)
{
    char utf8[4];
    int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3f));
    utf8[0] = (char)(n == 1 ? code : (0xf00 >> n & 0xf0) | code);
    strbuf_add(&m->text, utf8, (size_t)n);
}

static int32_t draw_character(struct maker *m, const int32_t range[2])
{
    return range[0] + (int32_t)draw(m, (uint32_t)(range[1] - range[0] + 1));
}

static void put_emoji(struct maker *m)
{
    static const int32_t heads[] = {0x1f600, 0x1f468, 0x1f469, 0x1f44d, 0x1f3f3,
                                    0x2764,  0x1f1e9, 0x1f680, 0x31};
    static const int32_t tails[] = {0x1f3fb, 0x1f3ff, 0x200d, 0xfe0f, 0x1f1ea, 0x20e3};
    put(m, DRAW_FROM(m, heads));
    for (uint32_t n = draw(m, 4); n > 0; n--) {
        put(m, DRAW_FROM(m, tails));
        if (draw(m, 2))
            put(m, DRAW_FROM(m, heads));
    }
}

static void put_part(struct maker *m)
{
    uint32_t kind = draw(m, 100), n;
    if (kind < 30) {
        const int32_t *range = DRAW_FROM(m, ranges);
        for (n = 1 + draw(m, 8); n > 0; n--)
            put(m, draw_character(m, range));
    } else if (kind < 55) {
        strbuf_adds(&m->text, DRAW_FROM(m, words));
        if (draw(m, 3))
            put(m, ' ');
    } else if (kind < 70) {
        int32_t space = DRAW_FROM(m, spaces);
        for (n = draw(m, 8) ? 1 + draw(m, 3) : 1 + draw(m, 20); n > 0; n--)
            put(m, space);
    } else if (kind < 77) {
        int32_t zero = DRAW_FROM(m, digits);
        for (n = 1 + draw(m, 9); n > 0; n--)
            put(m, zero + (int32_t)draw(m, zero == 0xb2 ? 2 : zero == 0xbc ? 3 : 10));
    } else if (kind < 83) {
        put_emoji(m);
    } else if (kind < 90) {
        static const int32_t base[2] = {0x41, 0x7a}, mark[2] = {0x300, 0x345};
        put(m, draw_character(m, base));
        for (n = 1 + draw(m, 3); n > 0; n--)
            put(m, draw_character(m, mark));
    } else if (kind < 93) {
        put(m, (int32_t)draw(m, 0x20));
    } else if (kind < 97) {
        for (n = 1 + draw(m, 4); n > 0; n--)
            strbuf_add(&m->text, (char[]){(char)DRAW_FROM(m, bytes)}, 1);
    } else {
        int32_t code = draw_character(m, DRAW_FROM(m, ranges));
        for (n = draw(m, 20) ? 1 + draw(m, 60) : 1 + draw(m, 2000); n > 0; n--)
            put(m, code);
    }
}

/* The next string, as made, in m->text; and as the published programs see it, in seen. */
static void next_string(struct maker *m, struct strbuf *seen)
{
    strbuf_clear(&m->text);
    strbuf_clear(seen);
    for (uint32_t n = draw(m, 12); n > 0; n--)
        put_part(m);
    if (normalize_utf8(seen, m->text.data, m->text.length) > 0)
        strbuf_adds(seen, "\xef\xbf\xbd");
}

static void hash_bytes(uint64_t *h, const void *bytes_, size_t length)
{
    const unsigned char *p = bytes_;
    for (size_t i = 0; i < length; i++)
        *h = (*h ^ p[i]) * 0x100000001b3u;
}

/* FNV-1a, 64 bits, of their number and the ids, as little-endian int32. */
static void hash_ids(uint64_t *h, const int32_t *ids, int64_t count)
{
    int32_t n = (int32_t)count;
    hash_bytes(h, &n, sizeof n);
    hash_bytes(h, ids, (size_t)count * sizeof *ids);
}

#endif
