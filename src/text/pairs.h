/* A map from a pair of token ids to a number: open addressing, linear probing, at most half full.
 */
#ifndef TEXT_PAIRS_H
#define TEXT_PAIRS_H

#include <stddef.h>
#include <stdint.h>

struct pair {
    int32_t left, right; /* >= 0 */
};

struct pair_slot {
    struct pair pair; /* left -1: free */
    int64_t value;
};

/* Zeroed: empty. */
struct pairs {
    struct pair_slot *slots; /* [capacity], a power of two */
    size_t capacity, count;
};

void pairs_release(struct pairs *p);
int64_t *pairs_get(const struct pairs *p, struct pair pair); /* NULL: not there */
/* The value of the pair, which starts as 0. The pointer holds until the next put. NULL: out of
   memory. */
int64_t *pairs_put(struct pairs *p, struct pair pair);

#endif
