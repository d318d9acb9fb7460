/*
 * Word and character error rates.
 *
 *     rate = (substitutions + deletions + insertions) / length of the reference
 *
 * by the alignment with the fewest edits (Levenshtein). A corpus' rate is the sum of all edits over
 * the sum of all reference words. Texts are compared as they come (text/normalize.h folds them).
 * Words are what stands between white space; characters are code points, spaces between words
 * included.
 */
#ifndef EVAL_WER_H
#define EVAL_WER_H

#include "base/error.h"

#include <stdint.h>

enum wer_unit { WER_WORDS, WER_CHARACTERS };

struct wer {
    int64_t length; /* of the reference, in units */
    int64_t substitutions, deletions, insertions;
};

enum wer_edit { WER_HIT, WER_SUBSTITUTION, WER_DELETION, WER_INSERTION };

/* One step of an alignment: the units concerned as byte ranges of the two texts; an insertion has
   an empty reference range, a deletion an empty hypothesis range. */
struct wer_step {
    enum wer_edit edit;
    const char *reference, *hypothesis;
    int64_t reference_bytes, hypothesis_bytes;
};

/* Counts of one utterance. When steps is not NULL, *steps gets the alignment (freed by memory_free)
   and *step_count its length. Of several best alignments: substitutions before deletions before
   insertions, from the end. More than 2^28 pairs of units: ERROR_LIMIT. */
int wer_align(struct wer *counts, struct wer_step **steps, int64_t *step_count,
              const char *reference, const char *hypothesis, enum wer_unit unit, struct error *err);

void wer_add(struct wer *total, const struct wer *one);
int64_t wer_errors(const struct wer *counts);
double wer_rate(const struct wer *counts); /* 0 for nothing against nothing; may exceed 1 */

struct wer_interval {
    double low, high;
};

/* The middle 95 % of the values, which it sorts. */
void wer_interval_of(struct wer_interval *interval, double *values, int count);

/* 95 % interval of the corpus rate by percentile bootstrap: 2000 resamples of the utterances with
   replacement. The same seed gives the same interval. */
int wer_bootstrap(struct wer_interval *interval, const struct wer *utterances, int64_t count,
                  uint64_t seed, struct error *err);

#endif
