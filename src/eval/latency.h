/*
 * How late words are on the screen: from the end of a word in the sound or on the lips to the
 * moment from which on it stood in the text as it was in the end. What was shown and changed later
 * does not count as shown, nor what the utterance's last reading changed.
 *
 *     shown     first read at its place, and so in every reading after that
 *     settled   that, and the reader of the stream called it settled (decode/stream.h)
 *
 * Where words end is what the model says of the utterance that is over (decode/align).
 */
#ifndef EVAL_LATENCY_H
#define EVAL_LATENCY_H

#include "decode/utterance.h"

struct latency_word;

struct latency {
    struct latency_word *words; /* [count], of the utterance that goes on; owned */
    int count;
    int64_t room;
    double start; /* of it */

    double *shown, *settled; /* seconds, [total]; owned */
    int64_t total, shown_room, settled_room;
    int64_t taken_back; /* words that were settled and then changed */
};

struct latency_figures {
    double median, p95; /* seconds; 0 words: 0 */
};

/* A reading of an utterance that goes on, or of one that is over, on the screen at a time (seconds,
   on the clock of the media). */
int latency_partial(struct latency *l, const struct utterance *u, double at, struct error *err);
int latency_final(struct latency *l, const struct utterance *u, double at, struct error *err);
void latency_release(struct latency *l); /* also fine on a zeroed struct */

/* Of the last `most` words (0: of all). values: shown or settled. false: no memory. */
bool latency_figures(const struct latency *l, const double *values, int64_t most,
                     struct latency_figures *out);

#endif
