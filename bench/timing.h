/* What the benchmarks share: a clock that other programs on the machine disturb least, and the
   median. */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include "base/clock.h"

#include <omp.h>
#include <stdlib.h>
#include <time.h>

/* Seconds: with one thread its CPU time, with more of them what passes. */
static inline double now(void)
{
    struct timespec t;
    if (omp_get_max_threads() > 1)
        return clock_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts x. */
static inline double median(double *x, int count)
{
    qsort(x, (size_t)count, sizeof *x, ascending);
    return count % 2 ? x[count / 2] : (x[count / 2 - 1] + x[count / 2]) / 2;
}

#endif
