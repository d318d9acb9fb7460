/* What stream.c (sound and pictures in, spans out) and stream_run.c (spans to utterances) share. */
#ifndef DECODE_STREAM_PARTS_H
#define DECODE_STREAM_PARTS_H

#include "decode/stream.h"
#include "features/clip_faces.h"
#include "features/endpoint.h"
#include "features/voice.h"

#define STREAM_HIDES_VOICES (-40.0f) /* dB of full scale: noise as loud as this may */
#define STREAM_QUIET (-90.0f)        /* dB: no sound at all */

struct stream_frame {
    float voice; /* probability; 0 where there is no sound */
    float level; /* dB of full scale */
};

struct stream {
    struct stream_options options;
    struct recognizer *recognizer; /* borrowed */
    struct endpoint *endpoint;
    struct voice *voice; /* NULL: no sound comes */
    struct faces *faces; /* NULL: no pictures come */
    struct clip_faces seen;
    struct faces_picture picture; /* the last that `faces` has decided */
    int64_t *shots; /* pictures not asked for yet that a new shot begins with; owned */
    int64_t shot_count, shot_room;
    int64_t longest; /* frames of an utterance, at most */
    bool finished, heard, held_back;

    int64_t base; /* the first frame that is kept */
    float *pcm;   /* from base on; owned, as the following */
    int64_t pcm_count, pcm_room;
    struct stream_frame *frames; /* from base on */
    int64_t frame_count, frame_room;
    int64_t asked;     /* frames that the endpointer has seen */
    int64_t deaf_from; /* loud frames from here on may hide a voice */

    struct endpoint_span *spans; /* to be decoded */
    int64_t span_count, span_room;
    struct utterance held; /* shares words with what comes, where held_back */
    struct words read;     /* what stream_partial said last, */
    double read_from;      /* of the utterance that begins there */
    struct utterance *done;
    int64_t done_count, done_room;
};

/* Lets go of the utterance held back once nothing comes that could share words with it. */
int stream_release_held(struct stream *s, struct error *err);

#endif
