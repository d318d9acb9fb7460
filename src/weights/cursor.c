#include "weights/cursor.h"

size_t cursor_left(const struct cursor *c)
{
    return c->failed ? 0 : c->size - c->at;
}

const unsigned char *cursor_take(struct cursor *c, uint64_t n)
{
    if (c->failed || n > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const unsigned char *p = c->bytes + c->at;
    c->at += (size_t)n;
    return p;
}

static uint64_t number(struct cursor *c, int n)
{
    const unsigned char *p = cursor_take(c, (uint64_t)n);
    uint64_t value = 0;
    for (int i = 0; p && i < n; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)number(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)number(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)number(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return number(c, 8);
}
