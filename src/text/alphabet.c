#include "text/alphabet.h"

#include <stdbool.h>

static bool stands_for_itself(int code)
{
    return (code >= '!' && code <= '~') || (code >= 0xa1 && code <= 0xac) ||
           (code >= 0xae && code <= 0xff);
}

/* The others are 0 to 0x20, 0x7f to 0xa0, and 0xad. */
static int code_of(int byte)
{
    if (stands_for_itself(byte))
        return byte;
    return 0x100 + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 0x21 : 0x43);
}

/* -1: no byte is spelled so. */
static int byte_of(int code)
{
    if (stands_for_itself(code))
        return code;
    int other = code - 0x100;
    if (other < 0 || other > 0x43)
        return -1;
    return other <= 0x20 ? other : other < 0x43 ? other - 0x21 + 0x7f : 0xad;
}

void alphabet_spell(struct strbuf *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int c = code_of((unsigned char)bytes[i]);
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            utf8[0] = (char)c;
        strbuf_add(out, utf8, c < 0x80 ? 1 : 2);
    }
}

int64_t alphabet_read(char *bytes, const char *text, size_t length)
{
    int64_t count = 0;
    for (size_t i = 0; i < length; i++) {
        int code = (unsigned char)text[i];
        if (code >= 0xc0 && code < 0xe0 && i + 1 < length)
            code = (code & 0x1f) << 6 | ((unsigned char)text[++i] & 0x3f);
        else if (code >= 0x80)
            return -1;
        int byte = byte_of(code);
        if (byte < 0)
            return -1;
        bytes[count++] = (char)byte;
    }
    return count;
}
