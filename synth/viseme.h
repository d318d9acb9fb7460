/*
 * Phones -> the shape of the mouth at any time, with co-articulation.
 */
#ifndef SYNTH_VISEME_H
#define SYNTH_VISEME_H

#include "speech.h"

/* All 0 .. 1, except spread: -1 (drawn in) .. 1 (wide). */
struct mouth_pose {
    double open;   /* gap between the lips; the jaw follows */
    double spread; /* of the corners */
    double round;  /* narrowed and pushed out, as in "oo" */
    double tongue; /* 0 low, 0.7 behind the teeth, 1 between them */
    double press;  /* lips pressed on each other, thin */
    double tuck;   /* lower lip under the upper teeth */
    double teeth;  /* how near the two rows of teeth are: 1 = closed, as in "s" */
};

/* How somebody articulates. */
struct articulation {
    double strength; /* factor on the opening, 1 is usual */
    double reach_ms; /* how far a phone's lips reach into its neighbours, about 60 */
    double rest;     /* opening when silent */
    double smile;    /* spread when silent */
};

/* The pose at `ms` on the phones' clock. */
struct mouth_pose viseme_pose(const struct speech_span *phones, int count, double ms,
                              const struct articulation *a);

#endif
