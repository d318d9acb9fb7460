/*
 * Pace: what a request takes on this machine, and the richest plan that a limit allows.
 *
 *     an encoder, n frames (25 a second)   c0 + c1 n + c2 n^2
 *     projectors, LLM and search           d . (1, rows, keys, steps, step rows, CTC rows,
 *                                               CTC rows * step rows)
 *
 * rows: of the prompt; step rows: one a step and beam; keys: what all those rows see, added up.
 * The coefficients come from a measurement (decode/pace_measure.h): least squares of the relative
 * errors under the condition that none is negative, so that nothing gets cheaper by being longer.
 *
 * A machine is never as it was measured, so what each part really took is followed while running:
 * of log(real / predicted) an exponential mean and variance. Counted on is the prediction times
 * exp(mean + 2 deviations), which 97 of 100 keep to if errors are normal; so are the steps that a
 * second of speech needs.
 */
#ifndef DECODE_PACE_H
#define DECODE_PACE_H

#include "text/prompt.h"

#include <stdbool.h>
#include <stdint.h>

enum { PACE_CURVE = 3, PACE_DECODER = 7, PACE_MAX_TERMS = 8 };

/* None negative. */
struct pace_costs {
    double audio[PACE_CURVE], video[PACE_CURVE];             /* seconds, by frames */
    double decoder[PACE_DECODER];                            /* seconds */
    double audio_bytes[PACE_CURVE], video_bytes[PACE_CURVE]; /* of the arena, by frames */
    double decoder_bytes[PACE_CURVE];                        /* by rows of the prompt */
};

/* What projectors, LLM and search have to do. */
struct pace_work {
    double rows, keys, steps, step_rows, ctc_rows;
};

/* Of log(real / predicted). */
struct pace_drift {
    double mean, variance;
    int64_t count; /* requests so far */
};

struct pace {
    struct pace_costs costs;
    struct pace_drift audio, video, decoder;
    double steps_per_second; /* of speech; a running mean, */
    int64_t count;           /* of so many requests */
};

/* A way to do a request. */
struct pace_plan {
    enum task task;
    int audio_rate, video_rate, beam; /* rates 0: the task lacks that modality */
    double tokens;                    /* of sound and pictures, into the LLM */
    double seconds, bytes;            /* that it is counted on to take */
};

void pace_init(struct pace *p, const struct pace_costs *costs, double steps_per_second);

double pace_curve(const double c[PACE_CURVE], double n);
double pace_decoder(const double d[PACE_DECODER], const struct pace_work *work);
void pace_decoder_terms(double terms[PACE_DECODER], const struct pace_work *work);

/* What a prediction is multiplied by. */
double pace_drift_factor(const struct pace_drift *d);
void pace_drift_add(struct pace_drift *d, double real, double predicted);
/* A request of so many seconds of speech took so many steps. */
void pace_add_steps(struct pace *p, double steps, double seconds);

/* The first of plans that takes neither more seconds nor more bytes (0: no limit); where there is
   none, the one that goes least beyond them, and *late is true. */
int pace_pick(const struct pace_plan *plans, int count, double seconds, double bytes, bool *late);

/* c[terms], none negative, that make terms x [count, terms] closest to y[count] (positive), by the
   squares of relative errors. */
void pace_fit(double *c, const double *x, const double *y, int count, int terms);

#endif
