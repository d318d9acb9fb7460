/*
 * Random numbers: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. The state is four
 * plain words, so that a checkpoint can hold it and a run can be resumed to the same numbers.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
double random_uniform(struct random *r);               /* [0, 1) */
double random_normal(struct random *r);                /* mean 0, variance 1 */
int64_t random_below(struct random *r, int64_t limit); /* 0 .. limit-1; limit >= 1 */

#endif
