/*
 * Where utterances begin and end (endpointing), from how likely each frame of 40 ms is to be
 * speech, as a stream:
 *
 *     begin   ENDPOINT_ONSET of the last frames are speech (p > 0.5); `margin` frames before the
 *             first of them belong to it
 *     end     no speech (p > 0.35) for `pause` frames; `margin` of them belong to it
 *     breath  where that is asked for, from two to three fifths of `longest` the pause that is
 *             enough gets shorter, down to ENDPOINT_BREATH frames, and is counted from the last
 *             frame that is surely speech (p > 0.7): two sentences need not be one utterance
 *     shot    a new shot makes a pause of ENDPOINT_BREATH frames enough that it falls into, or that
 *             is no more than ENDPOINT_SHOT frames away; in running speech it is passed over
 *     cut     what gets longer than `longest` frames is cut in the middle of the longest pause
 *             within its second half, or where there is none (ENDPOINT_BREATH frames) after
 *             `longest`; the next begins segment_overlap frames before, so that each word at the
 *             seam is whole in one of the two
 *
 * Utterances with fewer than ENDPOINT_LEAST frames of speech are dropped: clicks, breath.
 */
#ifndef FEATURES_ENDPOINT_H
#define FEATURES_ENDPOINT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENDPOINT_ONSET = 3,
    ENDPOINT_LEAST = 5,
    ENDPOINT_BREATH = 4,
    ENDPOINT_SHOT = 5,
};

struct endpoint_options {
    int64_t longest; /* frames of an utterance, at most; > margin + ENDPOINT_ONSET */
    int64_t pause;   /* frames without speech that end one */
    int64_t margin;  /* frames kept on both sides; <= pause */
    bool breath;     /* less pause ends a longer one: the model was trained on short utterances */
};

/* Frames [start, start + count); the first `overlap` of them are the last of the one before, the
   last `shared` are the first of the one that follows. */
struct endpoint_span {
    int64_t start, count, overlap, shared;
};

struct endpoint;

int endpoint_new(struct endpoint **e, const struct endpoint_options *options, struct error *err);
void endpoint_free(struct endpoint *e); /* NULL is fine */

/* The next frame; shot: a new one begins with it. true: *span is an utterance that is over. */
bool endpoint_push(struct endpoint *e, float probability, bool shot, struct endpoint_span *span);
bool endpoint_finish(struct endpoint *e, struct endpoint_span *span); /* no more frames come */

/* The utterance that is not over yet, as far as it goes; false: nobody speaks. */
bool endpoint_open(const struct endpoint *e, struct endpoint_span *span);
/* The first frame that an utterance to come may still want. */
int64_t endpoint_needed(const struct endpoint *e);

#endif
