/* A map from byte strings, which it keeps, to numbers: open addressing, linear probing, at most
   half full. */
#ifndef TEXT_STRINGS_H
#define TEXT_STRINGS_H

#include "base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

struct string_slot {
    size_t start, length; /* in strings.bytes; length 0: free */
    int32_t value;
};

struct strings {
    struct strbuf bytes;
    struct string_slot *slots; /* [capacity], a power of two */
    size_t capacity, count;
};

void strings_init(struct strings *s);
void strings_release(struct strings *s);
int32_t strings_get(const struct strings *s, const char *bytes, size_t length); /* -1: not there */
/* Gives the string, length >= 1, a value >= 0, in place of the one it had. false: out of memory. */
bool strings_put(struct strings *s, const char *bytes, size_t length, int32_t value);

#endif
