#include "text/normalize.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t normalize_character(int32_t *code, const char *text, size_t length)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text,
                                          length > 4 ? 4 : (utf8proc_ssize_t)length, code);
    return n > 0 ? (size_t)n : 0;
}

size_t normalize_character_before(int32_t *code, const char *text, size_t length)
{
    size_t n = 1;
    while (n < 4 && n < length && ((unsigned char)text[length - n] & 0xc0) == 0x80)
        n++;
    return length && normalize_character(code, text + length - n, n) == n ? n : 0;
}

size_t normalize_valid(const char *bytes, size_t length)
{
    size_t at = 0, n;
    int32_t code;
    while (at < length && (n = normalize_character(&code, bytes + at, length - at)) > 0)
        at += n;
    return at;
}

/* Could these 1-3 bytes, which are no character, become one when more bytes follow? Tried with the
   smallest and the largest bytes that may follow. */
static bool unfinished(const char *bytes, size_t length)
{
    unsigned char lead = (unsigned char)bytes[0];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    if (length >= need)
        return false;
    for (int follow = 0x80; follow <= 0xbf; follow += 0x3f) {
        char whole[4];
        int32_t code;
        for (size_t i = 0; i < need; i++)
            whole[i] = i < length ? bytes[i] : (char)follow;
        if (normalize_character(&code, whole, need) == need)
            return true;
    }
    return false;
}

size_t normalize_utf8(struct strbuf *out, const char *bytes, size_t length)
{
    for (;;) {
        size_t good = normalize_valid(bytes, length);
        strbuf_add(out, bytes, good);
        bytes += good;
        length -= good;
        if (!length || unfinished(bytes, length))
            return length;
        strbuf_adds(out, "\xef\xbf\xbd");
        bytes++;
        length--;
    }
}

bool normalize_is_space(int32_t code)
{
    return code == ' ' || (code >= 9 && code <= 13) || code == 0x85 ||
           (utf8proc_category(code) >= UTF8PROC_CATEGORY_ZS &&
            utf8proc_category(code) <= UTF8PROC_CATEGORY_ZP);
}

/* Alphabetic characters beyond the categories of letters: circled, squared and similar ones. */
static bool is_symbol_letter(int32_t code)
{
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

bool normalize_is_word(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
           category == UTF8PROC_CATEGORY_PC || code == 0x200c || code == 0x200d ||
           is_symbol_letter(code);
}

/* Puts n combining marks in the order of their classes, those of one class as they are. (utf8proc's
   own way takes a time that is quadratic in n.) */
static void order_marks(int32_t *codes, int32_t *spare, size_t n)
{
    size_t place[257] = {0};
    for (size_t i = 0; i < n; i++)
        place[utf8proc_get_property(codes[i])->combining_class + 1]++;
    for (int c = 1; c < 256; c++)
        place[c] += place[c - 1];
    for (size_t i = 0; i < n; i++)
        spare[place[utf8proc_get_property(codes[i])->combining_class]++] = codes[i];
    memcpy(codes, spare, n * sizeof *codes);
}

static void order_all_marks(int32_t *codes, int32_t *spare, size_t count)
{
    for (size_t i = 0, n; i < count; i += n + 1) {
        for (n = 0; i + n < count && utf8proc_get_property(codes[i + n])->combining_class; n++)
            ;
        if (n > 1)
            order_marks(codes + i, spare, n);
    }
}

#define NFC_OPTIONS (UTF8PROC_STABLE | UTF8PROC_COMPOSE)
#define MOST_PARTS 4 /* of one character, decomposed */

/* Appends the composed form of valid UTF-8. */
static void compose(struct strbuf *out, const char *text, size_t length)
{
    size_t room = 0;
    for (size_t i = 0; i < length; i++)
        room += ((unsigned char)text[i] & 0xc0) != 0x80 ? MOST_PARTS : 0;
    int32_t *codes = memory_new(room, sizeof *codes), *spare = memory_new(room, sizeof *spare);
    utf8proc_ssize_t count = 0, n = codes && spare ? 0 : -1;
    for (size_t at = 0; at < length && n >= 0; count += n) {
        int32_t code;
        at += normalize_character(&code, text + at, length - at);
        n = utf8proc_decompose_char(code, codes + count, (utf8proc_ssize_t)room - count,
                                    NFC_OPTIONS, NULL);
    }
    if (n >= 0) {
        order_all_marks(codes, spare, (size_t)count);
        n = utf8proc_normalize_utf32(codes, count, NFC_OPTIONS);
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char utf8[4];
        strbuf_add(out, utf8, (size_t)utf8proc_encode_char(codes[i], (utf8proc_uint8_t *)utf8));
    }
    out->failed = out->failed || n < 0;
    memory_free(spare);
    memory_free(codes);
}

/* ASCII is composed already and begins anew; only its last character may take marks. */
void normalize_nfc(struct strbuf *out, const char *text, size_t length)
{
    while (length) {
        size_t plain = 0;
        while (plain < length && (unsigned char)text[plain] < 0x80)
            plain++;
        plain -= plain > 0 && plain < length;
        strbuf_add(out, text, plain);
        text += plain;
        length -= plain;
        size_t rest = length > 0;
        while (rest < length && (unsigned char)text[rest] >= 0x80)
            rest++;
        size_t valid = normalize_valid(text, rest);
        compose(out, text, valid);
        size_t bad = valid == 0 && length > 0; /* a byte that is not UTF-8 */
        strbuf_add(out, text, bad);
        text += valid + bad;
        length -= valid + bad;
    }
}

/* Appends valid UTF-8 with one space where there was white space, none at the ends. */
static void fold_spaces(struct strbuf *out, const char *text, size_t length)
{
    size_t begin = out->length;
    bool space = false;
    int32_t code;
    for (size_t at = 0, n; at < length; at += n) {
        n = normalize_character(&code, text + at, length - at);
        if (!n)
            return;
        if (normalize_is_space(code)) {
            space = true;
            continue;
        }
        if (space && out->length > begin)
            strbuf_adds(out, " ");
        space = false;
        strbuf_add(out, text + at, n);
    }
}

void normalize_fold(struct strbuf *out, const char *text, size_t length)
{
    struct strbuf valid;
    strbuf_init(&valid, 3 * length + 3);
    if (normalize_utf8(&valid, text, length) > 0)
        strbuf_adds(&valid, "\xef\xbf\xbd");
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)valid.data, (utf8proc_ssize_t)valid.length, &folded,
                     UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (n < 0 || valid.failed)
        out->failed = true;
    else
        fold_spaces(out, (const char *)folded, (size_t)n);
    free(folded);
    strbuf_release(&valid);
}

static bool is_letter(int32_t code)
{
    return utf8proc_category(code) >= UTF8PROC_CATEGORY_LU &&
           utf8proc_category(code) <= UTF8PROC_CATEGORY_MN;
}

static bool is_mark(int32_t code)
{
    return utf8proc_category(code) >= UTF8PROC_CATEGORY_PC &&
           utf8proc_category(code) <= UTF8PROC_CATEGORY_SO;
}

static bool is_apostrophe(int32_t code)
{
    return code == '\'' || code == 0x2019 || code == 0x2bc;
}

void normalize_english(struct strbuf *out, const char *text, size_t length)
{
    struct strbuf folded, plain;
    strbuf_init(&folded, out->limit);
    strbuf_init(&plain, out->limit);
    normalize_fold(&folded, text, length);
    int32_t code = 0, last = 0, next;
    for (size_t at = 0, n; at < folded.length; at += n, last = code) {
        n = normalize_character(&code, folded.data + at, folded.length - at);
        if (!n)
            break;
        if (is_apostrophe(code)) {
            bool inside =
                normalize_character(&next, folded.data + at + n, folded.length - at - n) > 0 &&
                is_letter(next) && is_letter(last);
            strbuf_adds(&plain, inside ? "'" : " ");
        } else if (is_mark(code)) {
            strbuf_adds(&plain, " ");
        } else {
            strbuf_add(&plain, folded.data + at, n);
        }
    }
    if (folded.failed || plain.failed)
        out->failed = true;
    else
        fold_spaces(out, plain.data, plain.length);
    strbuf_release(&plain);
    strbuf_release(&folded);
}
