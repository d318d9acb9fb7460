/*
 * A piece of media and what was said in it: what recognition gives, one after the other, in the
 * order of time. Sound and lips are used as far as they are there; `fallback` says what was not.
 */
#ifndef DECODE_UTTERANCE_H
#define DECODE_UTTERANCE_H

#include "nn/expert_slots.h"
#include "text/prompt.h"
#include "text/words.h"

#include <stdbool.h>
#include <stdint.h>

enum fallback {
    FALLBACK_NONE,     /* all that was asked for was used */
    FALLBACK_NO_SOUND, /* there is none, or it is silent all through: lips alone */
    FALLBACK_DROWNED,  /* noise covers the sound: lips alone */
    FALLBACK_NO_FACE,  /* no picture, no face in it, or one that does not move: sound alone */
    FALLBACK_COUNT
};

struct alternative {
    char *text; /* owned */
    double score;
};

struct utterance {
    double start, end; /* seconds from the beginning of the media */
    enum task task;    /* what was used */
    enum fallback fallback;
    int audio_rate, video_rate; /* 0: that modality was not used */
    int face;                   /* whose lips: the nth of the shot; 0: nobody's */
    struct words words;         /* owned */
    struct alternative *n_best; /* [n_best_count], best first; owned */
    int n_best_count;
    int64_t media_tokens;                  /* that the LLM read of sound and pictures */
    struct expert_slots experts;           /* of the media tokens; owned */
    double encode_seconds, decode_seconds; /* it took */
    bool late;                             /* more than its limits allow (decode/pace_run) */
    int settled; /* while it goes on: words at its beginning that will hardly change */
};

/* "drowned", "no_face", ..; NULL where nothing is to say. */
const char *fallback_name(enum fallback f);
void utterance_release(struct utterance *u); /* also fine on a zeroed struct */

#endif
