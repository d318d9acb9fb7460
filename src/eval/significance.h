/*
 * Whether two systems really differ, judged by the same clips:
 *
 *     difference    WER_b - WER_a, corpus level: sum of (errors_b - errors_a) / sum of words
 *     p             paired approximate randomisation (Noreen 1989): if the two were the same, each
 *                   clip's two results could as well be exchanged. Of TRIALS random exchanges, the
 *                   share (with the one that was seen) whose difference is at least as large,
 *                   whatever its sign
 *     low .. high   95 % percentile bootstrap of the difference: TRIALS resamples of the clips with
 *                   replacement, both results of a clip together (Bisani, Ney 2004)
 *
 * The same seed gives the same numbers.
 */
#ifndef EVAL_SIGNIFICANCE_H
#define EVAL_SIGNIFICANCE_H

#include "base/error.h"

#include <stdint.h>

enum { SIGNIFICANCE_TRIALS = 10000 };

struct paired_utterance {
    int64_t words; /* of the reference */
    int64_t errors_a, errors_b;
};

struct significance {
    double wer_a, wer_b, difference; /* b - a: below 0, b is better */
    double low, high, p;
    int64_t clips, better_a, better_b; /* clips with fewer errors of one */
};

int significance_test(struct significance *s, const struct paired_utterance *utterances,
                      int64_t count, uint64_t seed, struct error *err);

#endif
