/*
 * A clip to text within limits, at a rate that chooses itself. Each segment's share of the time is
 * what is left by its share of what is left of the clip, and is planned twice: before its encoders
 * run, which settles whether the pictures are looked at, and after, when only projectors, LLM and
 * search are still to come and the time that is left for them is known.
 *
 * Of the plans that keep the limits the richest is taken: the most tokens, pairs of equally many as
 * the model lists them; of a pair, the beams that were asked for before one beam, since a coarser
 * rate loses more words for the time that it saves than fewer beams do (docs/performance.md). Sound
 * alone, where that is allowed, comes behind all of them. Where nothing keeps the limits: what
 * breaks them least.
 *
 * Bytes are those of the whole process: what is resident without the arena, and what the plan needs
 * of the arena and the KV cache.
 */
#ifndef DECODE_PACE_RUN_H
#define DECODE_PACE_RUN_H

#include "decode/pace.h"
#include "decode/transcriber.h"

/* 0: no limit. Seconds count from the decoded clip to its text. */
struct pace_limits {
    double seconds;
    double rtf; /* seconds for each of the clip's */
    int64_t bytes;
};

struct pace_request {
    enum task task;
    bool may_drop_pictures;     /* avsr may become asr */
    int audio_rate, video_rate; /* 0: any that the model has */
    struct beam_options beam;   /* its beams may become one where the rates are free */
    struct pace_limits limits;
};

struct pace_segment {
    struct segment segment;
    struct pace_plan plan;                        /* as it was done */
    int64_t audio_rows, audio_states, video_rows; /* into and out of the encoders; 0: not run */
};

struct paced {
    struct transcript transcript;
    struct pace_segment *segments; /* [count]; owned */
    int count;
    double encode_seconds, seconds; /* in the encoders, altogether */
    bool late; /* a limit was not kept, or for want of memory not expected to */
};

/* What is loaded afterwards is the last segment. On failure there is nothing to release. */
int pace_run(struct pace *p, struct paced *out, struct transcriber *t, const struct clip *clip,
             const struct pace_request *request, struct error *err);
void paced_release(struct paced *out); /* also fine on a zeroed struct */

#endif
