/*
 * Memory. Small objects come from memory_new (zeroed, 64-byte aligned, NULL when there is none);
 * numbers of a forward or training step come from an arena.
 *
 * An arena reserves `limit_bytes` of address space at once (the system backs pages as they are
 * touched), hands out 64-byte aligned pieces in order, and gives them all back by rewinding to a
 * mark. Pieces never move. Asking for more than the limit is our bug: asserted.
 * The contents of a piece are NOT zeroed.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memory_new(size_t count, size_t size); /* zeroed; overflow of count*size gives NULL */
void memory_free(void *p);                   /* NULL is fine */
/* Room for `needed` items of `size` bytes in a list that grows by doubling. list: where the pointer
   to its items is, of which `used` stay. False: no memory, and nothing has changed. */
bool memory_reserve(void *list, int64_t *room, int64_t used, int64_t needed, size_t size);
char *memory_strdup(const char *s); /* freed by memory_free */

struct arena {
    char *base;
    size_t used, limit, peak; /* bytes */
};

#define ARENA_DEFAULT_LIMIT ((size_t)16 << 30)

int arena_init(struct arena *a, size_t limit_bytes, struct error *err);
void arena_release(struct arena *a); /* also fine on a zeroed struct */
void *arena_alloc(struct arena *a, size_t bytes);
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark);

#endif
