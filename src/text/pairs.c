#include "text/pairs.h"
#include "base/memory.h"

#include <stdbool.h>

/* The finishing steps of splitmix64: every bit of the key reaches every bit of the hash. */
static size_t hash(struct pair pair)
{
    uint64_t x = (uint64_t)pair.left << 32 | (uint32_t)pair.right;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (size_t)(x ^ x >> 31);
}

static struct pair_slot *slot_of(const struct pairs *p, struct pair pair)
{
    size_t i = hash(pair);
    for (;; i++) {
        struct pair_slot *slot = &p->slots[i & (p->capacity - 1)];
        if (slot->pair.left < 0 || (slot->pair.left == pair.left && slot->pair.right == pair.right))
            return slot;
    }
}

static bool grow(struct pairs *p)
{
    struct pairs larger = {.capacity = p->capacity ? 2 * p->capacity : 256, .count = p->count};
    larger.slots = memory_new(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < larger.capacity; i++)
        larger.slots[i].pair.left = -1;
    for (size_t i = 0; i < p->capacity; i++)
        if (p->slots[i].pair.left >= 0)
            *slot_of(&larger, p->slots[i].pair) = p->slots[i];
    pairs_release(p);
    *p = larger;
    return true;
}

void pairs_release(struct pairs *p)
{
    memory_free(p->slots);
    *p = (struct pairs){0};
}

int64_t *pairs_get(const struct pairs *p, struct pair pair)
{
    if (!p->capacity)
        return NULL;
    struct pair_slot *slot = slot_of(p, pair);
    return slot->pair.left < 0 ? NULL : &slot->value;
}

int64_t *pairs_put(struct pairs *p, struct pair pair)
{
    if (2 * (p->count + 1) > p->capacity && !grow(p))
        return NULL;
    struct pair_slot *slot = slot_of(p, pair);
    if (slot->pair.left < 0) {
        *slot = (struct pair_slot){.pair = pair};
        p->count++;
    }
    return &slot->value;
}
