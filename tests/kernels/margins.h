/*
 * Numbers for kernel tests. A guarded array has MARGIN floats before and after it that are NaN: an
 * input's margin that is read poisons the result, an output's margin that is written no longer has
 * its own bit pattern. compare() says where two arrays differ by more than `tolerance` times the
 * largest number in them.
 */
#ifndef TESTS_KERNELS_MARGINS_H
#define TESTS_KERNELS_MARGINS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "tensor/device.h"

enum { MARGIN = 81 /* odd: nothing is aligned */ };

static inline float poison(void)
{
    const uint32_t bits = 0x7fc0beef;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* n floats, not aligned, between margins; normal numbers times `scale`. */
static inline float *guarded(struct random *r, int64_t n, float scale)
{
    float *base = malloc((n + 2 * MARGIN) * sizeof *base);
    assert_non_null(base);
    for (int64_t i = 0; i < n + 2 * MARGIN; i++)
        base[i] = i < MARGIN || i >= n + MARGIN ? poison() : scale * random_normal(r);
    return base + MARGIN;
}

static inline float *guarded_copy(const float *from, int64_t n)
{
    float *base = malloc((n + 2 * MARGIN) * sizeof *base);
    assert_non_null(base);
    memcpy(base, from - MARGIN, (n + 2 * MARGIN) * sizeof *base);
    return base + MARGIN;
}

/* Frees it; fails if its margins were written. */
static inline void release(float *x, int64_t n)
{
    const float p = poison();
    for (int64_t i = 0; i < MARGIN; i++)
        if (memcmp(&x[-1 - i], &p, sizeof p) || memcmp(&x[n + i], &p, sizeof p))
            fail_msg("margin of an array of %lld was written", (long long)n);
    free(x - MARGIN);
}

static inline void compare(const char *what, const float *found, const float *expected, int64_t n,
                           double tolerance)
{
    double largest = 1e-30;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - expected[i]) <= tolerance * largest))
            fail_msg("%s: at %lld of %lld: %.9g, expected %.9g (largest %.3g)", what, (long long)i,
                     (long long)n, found[i], expected[i], largest);
}

/* compare, then release both */
static inline void check(const char *what, float *found, float *expected, int64_t n,
                         double tolerance)
{
    compare(what, found, expected, n, tolerance);
    release(found, n);
    release(expected, n);
}

#endif
