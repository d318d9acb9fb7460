#include "base/hash.h"

#include <string.h>

uint64_t hash_bytes(uint64_t h, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    h ^= size;
    while (size) {
        uint64_t word = 0;
        size_t n = size < sizeof word ? size : sizeof word;
        memcpy(&word, p, n);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
        p += n;
        size -= n;
    }
    return h;
}
