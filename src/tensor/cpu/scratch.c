/*
 * The pool: SLOTS blocks, each free or busy. scratch_take prefers the smallest free block that is
 * large enough, else replaces the smallest free one (or fills an empty slot). When all are busy the
 * block comes from the system and goes back to it. 64 bytes before a block name its slot.
 *
 * Kernels cannot fail, so a scratch block that the system refuses is a fault like touching a page
 * that it cannot back: the process dies at the first use of the NULL.
 */
#include "tensor/cpu/scratch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { SLOTS = 32, HEADER = 64 };

struct block {
    char *base;
    size_t bytes;
    bool busy;
};

static struct block pool[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *block_new(size_t bytes, int64_t slot)
{
    char *base = aligned_alloc(64, bytes + HEADER);
    if (base)
        *(int64_t *)base = slot;
    return base;
}

/* The slot to use for `bytes`: fitting and smallest, else the smallest free one; -1: all busy. */
static int choose(size_t bytes)
{
    int best = -1;
    for (int i = 0; i < SLOTS; i++) {
        if (pool[i].busy)
            continue;
        if (best < 0) {
            best = i;
            continue;
        }
        bool fits = pool[i].bytes >= bytes, best_fits = pool[best].bytes >= bytes;
        if (fits != best_fits ? fits : pool[i].bytes < pool[best].bytes)
            best = i;
    }
    return best;
}

void *scratch_take(size_t bytes)
{
    bytes = (bytes + 4095) / 4096 * 4096;
    pthread_mutex_lock(&lock);
    int slot = choose(bytes);
    char *base;
    if (slot < 0) {
        base = block_new(bytes, -1);
    } else {
        struct block *b = &pool[slot];
        if (b->bytes < bytes) {
            free(b->base);
            b->base = block_new(bytes, slot);
            b->bytes = b->base ? bytes : 0;
        }
        b->busy = b->base != NULL;
        base = b->base;
    }
    pthread_mutex_unlock(&lock);
    return base ? base + HEADER : NULL;
}

void scratch_give(void *p)
{
    if (!p)
        return;
    char *base = (char *)p - HEADER;
    int64_t slot = *(int64_t *)base;
    if (slot < 0) {
        free(base);
        return;
    }
    pthread_mutex_lock(&lock);
    pool[slot].busy = false;
    pthread_mutex_unlock(&lock);
}
