#include "base/memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

void *memory_new(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    void *p = aligned_alloc(ALIGNMENT, round_up(bytes ? bytes : 1));
    if (p)
        memset(p, 0, bytes);
    return p;
}

void memory_free(void *p)
{
    free(p);
}

bool memory_reserve(void *list, int64_t *room, int64_t used, int64_t needed, size_t size)
{
    void *old;
    if (needed <= *room)
        return true;
    int64_t doubled = *room ? 2 * *room : 4;
    doubled = doubled > needed ? doubled : needed;
    void *larger = memory_new((size_t)doubled, size);
    if (!larger)
        return false;
    memcpy(&old, list, sizeof old);
    if (used)
        memcpy(larger, old, (size_t)used * size);
    memory_free(old);
    memcpy(list, &larger, sizeof larger);
    *room = doubled;
    return true;
}

char *memory_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = memory_new(n, 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

int arena_init(struct arena *a, size_t limit_bytes, struct error *err)
{
    void *base = mmap(NULL, limit_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return error_set(err, ERROR_MEMORY, "cannot reserve %zu MiB of address space",
                         limit_bytes >> 20);
    madvise(base, limit_bytes, MADV_HUGEPAGE); /* fewer faults; as it is, where there are none */
    *a = (struct arena){.base = base, .limit = limit_bytes};
    return 0;
}

void arena_release(struct arena *a)
{
    if (a->base)
        munmap(a->base, a->limit);
    *a = (struct arena){0};
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t rounded = round_up(bytes ? bytes : 1);
    assert(rounded >= bytes && rounded <= a->limit - a->used);
    void *p = a->base + a->used;
    a->used += rounded;
    if (a->used > a->peak)
        a->peak = a->used;
    return p;
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    a->used = mark;
}
