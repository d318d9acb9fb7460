/*
 * A place in bytes that nobody vouches for. Every read checks what is left first; a read past the
 * end gives 0 (or NULL) and sets `failed`, which stays set, so that a parser may look once after
 * several reads. Numbers are little-endian.
 */
#ifndef WEIGHTS_CURSOR_H
#define WEIGHTS_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const unsigned char *bytes;
    size_t size, at;
    bool failed;
};

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* The next n bytes, passed over; NULL where there are not so many. */
const unsigned char *cursor_take(struct cursor *c, uint64_t n);
size_t cursor_left(const struct cursor *c);

#endif
