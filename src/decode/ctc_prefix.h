/*
 * How likely a beginning of a text is by CTC: the sum over all alignments of all texts that begin
 * so (prefix scores; Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
 * Recognition", algorithm 2). Search adds them to the LLM's log-probabilities, which keeps it from
 * words that nobody said, and from going round in circles.
 *
 * Of a table [rows, classes + 1] of log-probabilities, blank last, only the classes are kept that
 * some row finds likelier than e^CTC_FLOOR; the others are taken to be that unlikely everywhere.
 * Those that some row finds likelier than e^CTC_LIKELY are listed: search weighs them whether or
 * not the LLM would have thought of them, or names and rare words could never be found.
 */
#ifndef DECODE_CTC_PREFIX_H
#define DECODE_CTC_PREFIX_H

#include "base/error.h"

#include <stdint.h>

#define CTC_FLOOR (-14.0f)
#define CTC_LIKELY (-4.0f)

struct ctc_table {
    int64_t rows;
    float *blank;    /* [rows] */
    float *floor;    /* [rows]: of the classes that are not kept */
    float *kept;     /* [kept classes][rows] */
    int32_t *place;  /* [classes]: in kept; -1: not there */
    int32_t *likely; /* [likely_count] classes, ascending */
    int likely_count;
};

int ctc_table_init(struct ctc_table *t, const float *scores, int64_t rows, int64_t classes,
                   struct error *err);
void ctc_table_release(struct ctc_table *t); /* also fine on a zeroed struct */

/* Of a prefix, after each row: log-probability of all alignments that end in its last token, and in
   a blank. [rows] each, the caller's memory. */
struct ctc_prefix {
    float *token, *blank;
    int32_t last; /* its last token; -1: it is empty */
};

/* The empty prefix, whose score is 0. */
void ctc_prefix_start(struct ctc_prefix *p, const struct ctc_table *t);
/* log P(texts that begin with p and token); to, may be NULL, becomes that prefix. */
float ctc_prefix_extend(struct ctc_prefix *to, const struct ctc_prefix *p,
                        const struct ctc_table *t, int32_t token);
/* log P(the text is p, whole). */
float ctc_prefix_end(const struct ctc_prefix *p, const struct ctc_table *t);

#endif
