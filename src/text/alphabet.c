#include "text/alphabet.h"

#define CODES 0x144 /* 256 + 68: one above the last code point */

static bool stands_for_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* Code point of each byte. */
static void alphabet(int code[256])
{
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++)
        code[byte] = stands_for_itself(byte) ? byte : next++;
}

void alphabet_spell(struct strbuf *out, const char *bytes, size_t length)
{
    int code[256];
    alphabet(code);
    for (size_t i = 0; i < length; i++) {
        int c = code[(unsigned char)bytes[i]];
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            utf8[0] = (char)c;
        strbuf_add(out, utf8, c < 0x80 ? 1 : 2);
    }
}

int64_t alphabet_read(char *bytes, const char *text, size_t length)
{
    int code[256];
    unsigned char back[CODES] = {0};
    alphabet(code);
    for (int byte = 0; byte < 256; byte++)
        back[code[byte]] = (unsigned char)byte;
    int64_t count = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)text[i];
        if (c >= 0xc0 && i + 1 < length)
            c = (c & 0x1f) << 6 | ((unsigned char)text[++i] & 0x3f);
        if (c >= CODES || code[back[c]] != c)
            return -1;
        bytes[count++] = (char)back[c];
    }
    return count;
}
